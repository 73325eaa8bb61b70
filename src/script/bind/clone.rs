//! New machines from old ones.

use rhai::Map;
use rhai::plugin::*;

use super::super::error::Outcome;
use super::super::options::{Options, keys};
use super::{at, host_of};
use crate::ops::{CloneOptions, Disks, Domain};

#[export_module(manifest)]
pub(super) mod functions {
    /// Makes another machine of this one, which must be off.
    ///
    /// It has a name, UUID, hardware addresses, disks and UEFI variables of its own; paths of serial ports, logs and
    /// channels bear its name; every other byte of the description is the same. When a step fails, what was made is taken back.
    ///
    /// Errors: `domain_active`, `domain_exists`, `invalid_name`, `no_pool`, `cannot_copy`, `storage_vol_exist`; what libvirt says.
    ///
    /// Example: `plan(|| try { host("test:///default").domain("test").clone_to("test-2") } catch (e) { e.code })`
    #[rhai_fn(name = "clone_to", return_raw, pure)]
    pub fn clone_domain(ctx: NativeCallContext<'_>, domain: &mut Domain, name: &str) -> Outcome<Domain> {
        clone_domain_with(ctx, domain, name, Map::new())
    }

    /// As `clone_to(name)`, with options.
    ///
    /// Errors: those of `clone_to(name)`; `not_shared` for linked disks on another host without the same storage.
    ///
    /// Example: `plan(|| try { host("test:///default").domain("test").clone_to("test-2", #{disks: "linked"}) } catch (e) { e.code })`
    #[rhai_fn(name = "clone_to", return_raw, pure)]
    pub fn clone_domain_with(
        ctx: NativeCallContext<'_>,
        domain: &mut Domain,
        name: &str,
        options: Map,
    ) -> Outcome<Domain> {
        let options = Options::new(&keys::CLONE, options)?;
        let on = options.value("on").map(|value| host_of(&ctx, "clone_to", value)).transpose()?;
        let disks = match options.word("disks")?.as_deref() {
            Some("linked") => Disks::Linked,
            Some("reflink") => Disks::Reflink,
            _ => Disks::Full,
        };
        let wanted = CloneOptions { on, disks, start: options.flag("start")? };
        Ok(at(&ctx, || domain.clone_to(name, &wanted))?)
    }
}
