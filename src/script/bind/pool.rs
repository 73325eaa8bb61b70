//! Storage pools and volumes.

use rhai::Dynamic;
use rhai::plugin::*;

use super::super::error::Outcome;
use super::super::options::size;
use super::super::sizes::{self, Size};
use super::{ArrayOf, array, at};
use crate::ops::{Host, Pool as OpsPool, Volume as OpsVolume};

#[export_module(manifest)]
pub(super) mod functions {
    /// A storage pool.
    pub type Pool = OpsPool;

    /// A volume of a storage pool.
    pub type Volume = OpsVolume;

    /// Name.
    ///
    /// Example: `host("test:///default").pool("default-pool").name`
    #[rhai_fn(get = "name", pure)]
    pub fn pool_name(pool: &mut Pool) -> String {
        pool.name().to_owned()
    }

    /// Its host.
    ///
    /// Example: `host("test:///default").pool("default-pool").host.name`
    #[rhai_fn(get = "host", pure)]
    pub fn pool_host(pool: &mut Pool) -> Host {
        pool.host().clone()
    }

    /// UUID.
    ///
    /// Example: `host("test:///default").pool("default-pool").uuid`
    #[rhai_fn(get = "uuid", return_raw, pure)]
    pub fn pool_uuid(pool: &mut Pool) -> Outcome<String> {
        Ok(pool.uuid()?)
    }

    /// State now: `inactive`, `building`, `running`, `degraded` or `inaccessible`.
    ///
    /// Example: `host("test:///default").pool("default-pool").state`
    #[rhai_fn(get = "state", return_raw, pure)]
    pub fn state(pool: &mut Pool) -> Outcome<String> {
        Ok(pool.info()?.state.to_owned())
    }

    /// Size in bytes.
    ///
    /// Example: `host("test:///default").pool("default-pool").capacity`
    #[rhai_fn(get = "capacity", return_raw, pure)]
    pub fn pool_capacity(pool: &mut Pool) -> Outcome<Size> {
        Ok(sizes::bytes(pool.info()?.capacity))
    }

    /// Bytes used.
    ///
    /// Example: `host("test:///default").pool("default-pool").allocation`
    #[rhai_fn(get = "allocation", return_raw, pure)]
    pub fn pool_allocation(pool: &mut Pool) -> Outcome<Size> {
        Ok(sizes::bytes(pool.info()?.allocation))
    }

    /// Bytes free.
    ///
    /// Example: `host("test:///default").pool("default-pool").available`
    #[rhai_fn(get = "available", return_raw, pure)]
    pub fn available(pool: &mut Pool) -> Outcome<Size> {
        Ok(sizes::bytes(pool.info()?.available))
    }

    /// Its kind: `dir`, `netfs`, `logical`, ….
    ///
    /// Example: `host("test:///default").pool("default-pool").type`
    #[rhai_fn(get = "type", return_raw, pure)]
    pub fn kind(pool: &mut Pool) -> Outcome<String> {
        Ok(pool.type_and_path()?.0)
    }

    /// The path of its target; empty where it has none.
    ///
    /// Example: `host("test:///default").pool("default-pool").path`
    #[rhai_fn(get = "path", return_raw, pure)]
    pub fn pool_path(pool: &mut Pool) -> Outcome<String> {
        Ok(pool.type_and_path()?.1)
    }

    /// The XML.
    ///
    /// Example: `host("test:///default").pool("default-pool").xml.len() > 0`
    #[rhai_fn(get = "xml", return_raw, pure)]
    pub fn pool_xml(pool: &mut Pool) -> Outcome<String> {
        Ok(pool.xml()?)
    }

    /// Whether it starts with the host.
    ///
    /// Example: `host("test:///default").pool("default-pool").autostart`
    #[rhai_fn(get = "autostart", return_raw, pure)]
    pub fn pool_autostart(pool: &mut Pool) -> Outcome<bool> {
        Ok(pool.autostart()?)
    }

    /// Sets whether it starts with the host.
    ///
    /// Example: `plan(|| { let pool = host("test:///default").pool("default-pool"); pool.autostart = false; })`
    #[rhai_fn(set = "autostart", return_raw, pure)]
    pub fn set_pool_autostart(ctx: NativeCallContext<'_>, pool: &mut Pool, on: bool) -> Outcome<()> {
        Ok(at(&ctx, || pool.set_autostart(on))?)
    }

    /// Makes what it stands on: its directory, its volume group.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| host("test:///default").pool("default-pool").build())`
    #[rhai_fn(name = "build", return_raw, pure)]
    pub fn build(ctx: NativeCallContext<'_>, pool: &mut Pool) -> Outcome<()> {
        Ok(at(&ctx, || pool.build())?)
    }

    /// Starts it; one that runs is left alone.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| host("test:///default").pool("default-pool").start())`
    #[rhai_fn(name = "start", return_raw, pure)]
    pub fn pool_start(ctx: NativeCallContext<'_>, pool: &mut Pool) -> Outcome<()> {
        Ok(at(&ctx, || pool.start())?)
    }

    /// Stops it; its volumes stay.
    ///
    /// One that is stopped is left alone.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| host("test:///default").pool("default-pool").stop())`
    #[rhai_fn(name = "stop", return_raw, pure)]
    pub fn pool_stop(ctx: NativeCallContext<'_>, pool: &mut Pool) -> Outcome<()> {
        Ok(at(&ctx, || pool.stop())?)
    }

    /// Looks again which volumes there are.
    ///
    /// Errors: `operation_invalid` when it does not run.
    ///
    /// Example: `plan(|| host("test:///default").pool("default-pool").refresh())`
    #[rhai_fn(name = "refresh", return_raw, pure)]
    pub fn refresh(ctx: NativeCallContext<'_>, pool: &mut Pool) -> Outcome<()> {
        Ok(at(&ctx, || pool.refresh())?)
    }

    /// Destroys what it stands on.
    ///
    /// It must be stopped.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| host("test:///default").pool("default-pool").delete())`
    #[rhai_fn(name = "delete", return_raw, pure)]
    pub fn pool_delete(ctx: NativeCallContext<'_>, pool: &mut Pool) -> Outcome<()> {
        Ok(at(&ctx, || pool.delete())?)
    }

    /// Removes its definition; what it stands on stays.
    ///
    /// Errors: `operation_invalid` when it runs.
    ///
    /// Example: `plan(|| host("test:///default").pool("default-pool").undefine())`
    #[rhai_fn(name = "undefine", return_raw, pure)]
    pub fn pool_undefine(ctx: NativeCallContext<'_>, pool: &mut Pool) -> Outcome<()> {
        Ok(at(&ctx, || pool.undefine())?)
    }

    /// All volumes by name.
    ///
    /// Errors: `operation_invalid` when the pool does not run.
    ///
    /// Example: `host("test:///default").pool("default-pool").volumes()`
    #[rhai_fn(name = "volumes", return_raw, pure)]
    pub fn volumes(pool: &mut Pool) -> Outcome<ArrayOf<Volume>> {
        Ok(array(pool.volumes()?))
    }

    /// A volume by name.
    ///
    /// Errors: `no_storage_volume`, with a suggestion.
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("disk.qcow2").capacity } catch (e) { e.code }`
    #[rhai_fn(name = "volume", return_raw, pure)]
    pub fn volume(pool: &mut Pool, name: &str) -> Outcome<Volume> {
        Ok(pool.volume(name)?)
    }

    /// Name.
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("disk.qcow2").name } catch (e) { e.code }`
    #[rhai_fn(get = "name", pure)]
    pub fn volume_name(volume: &mut Volume) -> String {
        volume.name().to_owned()
    }

    /// Its pool.
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("disk.qcow2").pool.name } catch (e) { e.code }`
    #[rhai_fn(get = "pool", pure)]
    pub fn volume_pool(volume: &mut Volume) -> Pool {
        volume.pool().clone()
    }

    /// Path on the host.
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("disk.qcow2").path } catch (e) { e.code }`
    #[rhai_fn(get = "path", return_raw, pure)]
    pub fn volume_path(volume: &mut Volume) -> Outcome<String> {
        Ok(volume.path()?)
    }

    /// Its kind: `file`, `block`, `dir`, `network`, ….
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("disk.qcow2").type } catch (e) { e.code }`
    #[rhai_fn(get = "type", return_raw, pure)]
    pub fn volume_kind(volume: &mut Volume) -> Outcome<String> {
        Ok(volume.info()?.kind.to_owned())
    }

    /// Its format: `raw`, `qcow2`, ….
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("disk.qcow2").format } catch (e) { e.code }`
    #[rhai_fn(get = "format", return_raw, pure)]
    pub fn format(volume: &mut Volume) -> Outcome<String> {
        Ok(volume.format()?)
    }

    /// The size a guest sees, in bytes.
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("disk.qcow2").capacity } catch (e) { e.code }`
    #[rhai_fn(get = "capacity", return_raw, pure)]
    pub fn volume_capacity(volume: &mut Volume) -> Outcome<Size> {
        Ok(sizes::bytes(volume.info()?.capacity))
    }

    /// The space it takes, in bytes.
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("disk.qcow2").allocation } catch (e) { e.code }`
    #[rhai_fn(get = "allocation", return_raw, pure)]
    pub fn volume_allocation(volume: &mut Volume) -> Outcome<Size> {
        Ok(sizes::bytes(volume.info()?.allocation))
    }

    /// The XML.
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("disk.qcow2").xml } catch (e) { e.code }`
    #[rhai_fn(get = "xml", return_raw, pure)]
    pub fn volume_xml(volume: &mut Volume) -> Outcome<String> {
        Ok(volume.xml()?)
    }

    /// Deletes it and its data.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `try { plan(|| host("test:///default").pool("default-pool").volume("disk.qcow2").delete()) } catch (e) { e.code }`
    #[rhai_fn(name = "delete", return_raw, pure)]
    pub fn volume_delete(ctx: NativeCallContext<'_>, volume: &mut Volume) -> Outcome<()> {
        Ok(at(&ctx, || volume.delete())?)
    }

    /// Makes it larger: bytes, or a text such as `"8GiB"`.
    ///
    /// Errors: `invalid_arg` for a smaller size.
    ///
    /// Example: `try { plan(|| host("test:///default").pool("default-pool").volume("disk.qcow2").resize("8GiB")) } catch (e) { e.code }`
    #[rhai_fn(name = "resize", return_raw, pure)]
    pub fn resize(ctx: NativeCallContext<'_>, volume: &mut Volume, capacity: Dynamic) -> Outcome<()> {
        let capacity = size(&capacity)?;
        Ok(at(&ctx, || volume.resize(capacity))?)
    }
}
