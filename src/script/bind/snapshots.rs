//! Snapshots of domains.

use rhai::plugin::*;
use rhai::{Dynamic, Map};

use super::super::error::Outcome;
use super::super::options::{Options, keys};
use super::{ArrayOf, at};
use crate::libvirt::{RevertOptions, SnapshotOptions};
use crate::ops::Domain;

#[export_module(manifest)]
pub(super) mod functions {
    /// Names of its snapshots.
    ///
    /// Example: `host("test:///default").domain("test").snapshots`
    #[rhai_fn(get = "snapshots", return_raw, pure)]
    pub fn snapshots(domain: &mut Domain) -> Outcome<ArrayOf<String>> {
        Ok(domain.snapshots()?.into_iter().map(Dynamic::from).collect())
    }

    /// Makes a snapshot: memory and disks of one that runs, the disks of one that is off.
    ///
    /// Disks must be qcow2. A domain with snapshots does not migrate.
    ///
    /// Errors: `snapshot_exists`; `bad_name`; what libvirt says of disks that can have none.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").snapshot("before-upgrade"))`
    #[rhai_fn(name = "snapshot", return_raw, pure)]
    pub fn snapshot(ctx: NativeCallContext<'_>, domain: &mut Domain, name: &str) -> Outcome<()> {
        snapshot_with(ctx, domain, name, Map::new())
    }

    /// As `snapshot(name)`, with options.
    ///
    /// Errors: as `snapshot(name)`; `unknown_option`.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").snapshot("night", #{description: "before the update"}))`
    #[rhai_fn(name = "snapshot", return_raw, pure)]
    pub fn snapshot_with(
        ctx: NativeCallContext<'_>,
        domain: &mut Domain,
        name: &str,
        options: Map,
    ) -> Outcome<()> {
        let options = Options::new(&keys::SNAPSHOT, options)?;
        let description = options.text("description")?.unwrap_or_default();
        let how =
            SnapshotOptions { disk_only: options.flag("disk_only")?, quiesce: options.flag("quiesce")? };
        Ok(at(&ctx, || domain.snapshot(name, &description, how))?)
    }

    /// Sets it back to what it was when the snapshot was made; what happened since is lost.
    ///
    /// Errors: `no_domain_snapshot`; what libvirt says.
    ///
    /// Example: `try { host("test:///default").domain("test").revert("before-upgrade") } catch (e) { e.code }`
    #[rhai_fn(name = "revert", return_raw, pure)]
    pub fn revert(ctx: NativeCallContext<'_>, domain: &mut Domain, snapshot: &str) -> Outcome<()> {
        revert_with(ctx, domain, snapshot, Map::new())
    }

    /// As `revert(snapshot)`, with options.
    ///
    /// Errors: as `revert(snapshot)`; `unknown_option`.
    ///
    /// Example: `try { host("test:///default").domain("test").revert("night", #{running: true}) } catch (e) { e.code }`
    #[rhai_fn(name = "revert", return_raw, pure)]
    pub fn revert_with(
        ctx: NativeCallContext<'_>,
        domain: &mut Domain,
        snapshot: &str,
        options: Map,
    ) -> Outcome<()> {
        let options = Options::new(&keys::REVERT, options)?;
        let how = RevertOptions {
            running: options.flag("running")?,
            paused: options.flag("paused")?,
            force: options.flag("force")?,
        };
        Ok(at(&ctx, || domain.revert(snapshot, how))?)
    }

    /// Deletes a snapshot; the domain goes on as it is.
    ///
    /// Errors: `no_domain_snapshot`; what libvirt says.
    ///
    /// Example: `try { host("test:///default").domain("test").delete_snapshot("night") } catch (e) { e.code }`
    #[rhai_fn(name = "delete_snapshot", return_raw, pure)]
    pub fn delete_snapshot(ctx: NativeCallContext<'_>, domain: &mut Domain, snapshot: &str) -> Outcome<()> {
        delete_snapshot_with(ctx, domain, snapshot, Map::new())
    }

    /// As `delete_snapshot(snapshot)`, with options.
    ///
    /// Errors: as `delete_snapshot(snapshot)`; `unknown_option`.
    ///
    /// Example: `try { host("test:///default").domain("test").delete_snapshot("a", #{children: true}) } catch (e) { e.code }`
    #[rhai_fn(name = "delete_snapshot", return_raw, pure)]
    pub fn delete_snapshot_with(
        ctx: NativeCallContext<'_>,
        domain: &mut Domain,
        snapshot: &str,
        options: Map,
    ) -> Outcome<()> {
        let options = Options::new(&keys::DELETE_SNAPSHOT, options)?;
        let children = options.flag("children")?;
        Ok(at(&ctx, || domain.delete_snapshot(snapshot, children))?)
    }
}
