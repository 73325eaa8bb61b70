//! Volumes: made, filled, copied.

use std::path::Path;

use rhai::Map;
use rhai::plugin::*;

use super::super::error::{Outcome, misuse};
use super::super::options::{Options, keys, size, type_word};
use super::super::sizes;
use super::at;
use crate::model::{Bytes, VolumeSpec};
use crate::ops::{CopyWay, Moved, Moving, Pool, Volume};

fn volume_spec(name: &str, map: Map) -> Outcome<VolumeSpec> {
    let map = Options::new(&keys::CREATE_VOLUME, map)?;
    let capacity = map.size("size")?.unwrap_or_default();
    let preallocation = map.word("preallocation")?.unwrap_or_default();
    let allocation = map.size("allocation")?;
    let backing_format = map.text("backing_format")?.unwrap_or_else(|| "qcow2".to_owned());
    let number = |key| Ok::<_, Box<EvalAltResult>>(map.count(key)?.and_then(|id| i64::try_from(id).ok()));
    Ok(VolumeSpec {
        name: name.to_owned(),
        capacity,
        allocation: allocation.unwrap_or(if preallocation == "full" { capacity } else { Bytes(0) }),
        format: map.word("format")?.unwrap_or_else(|| "qcow2".to_owned()),
        metadata: preallocation == "metadata",
        backing: map.text("backing")?.map(|path| (path, backing_format)),
        mode: map.count("mode")?.and_then(|mode| u32::try_from(mode).ok()),
        owner: number("owner")?,
        group: number("group")?,
    })
}

fn moving(options: &Options, checksum: bool) -> Outcome<Moving> {
    Ok(Moving { rate: options.size("rate")?, checksum: checksum && options.flag("checksum")? })
}

fn moved_map(moved: Moved) -> Map {
    Map::from([
        ("bytes".into(), sizes::bytes(moved.bytes)),
        ("data".into(), sizes::bytes(moved.data)),
        ("seconds".into(), moved.elapsed.as_secs_f64().into()),
        ("sha256".into(), moved.sha256.map_or(Dynamic::UNIT, Dynamic::from)),
    ])
}

#[export_module(manifest)]
pub(super) mod functions {
    /// Creates a volume.
    ///
    /// `size_or_map`: bytes or a text such as `"4GiB"`, for a qcow2 image; or a map of options.
    ///
    /// Errors: `invalid_name`, `invalid_volume`, `storage_vol_exist`, …
    ///
    /// Example: `plan(|| host("test:///default").pool("default-pool").create_volume("disk.qcow2", "4GiB"))`
    #[rhai_fn(name = "create_volume", return_raw, pure)]
    pub fn create_volume(
        ctx: NativeCallContext<'_>,
        pool: &mut Pool,
        name: &str,
        size_or_map: Dynamic,
    ) -> Outcome<Volume> {
        let spec = match size_or_map.clone().try_cast::<Map>() {
            None => VolumeSpec {
                name: name.to_owned(),
                capacity: size(&size_or_map)?,
                format: "qcow2".to_owned(),
                ..VolumeSpec::default()
            },
            Some(map) => volume_spec(name, map)?,
        };
        Ok(at(&ctx, || pool.create_volume(&spec))?)
    }

    /// Makes a volume of a local file.
    ///
    /// Its holes stay holes, on the way and there. Under its name there is all of it or nothing. Returns
    /// `#{bytes, data, seconds, sha256}`; `data` is what was sent.
    ///
    /// Errors: `local_file`, `invalid_name`, `storage_vol_exist`, `checksum`; what libvirt says.
    ///
    /// Example: `plan(|| try { host("test:///default").pool("default-pool").upload("/etc/hostname", "hostname") } catch (e) { e.code })`
    #[rhai_fn(name = "upload", return_raw, pure)]
    pub fn upload(ctx: NativeCallContext<'_>, pool: &mut Pool, file: &str, name: &str) -> Outcome<Map> {
        upload_with(ctx, pool, file, name, Map::new())
    }

    /// As `upload(file, name)`, with options.
    ///
    /// Example: `plan(|| try { host("test:///default").pool("default-pool").upload("/etc/hostname", "hostname", #{rate: "1MiB"}) } catch (e) { e.code })`
    #[rhai_fn(name = "upload", return_raw, pure)]
    pub fn upload_with(
        ctx: NativeCallContext<'_>,
        pool: &mut Pool,
        file: &str,
        name: &str,
        options: Map,
    ) -> Outcome<Map> {
        let options = Options::new(&keys::POOL_UPLOAD, options)?;
        let how = moving(&options, true)?;
        let convert = options.word("convert")?;
        let (_, moved) = at(&ctx, || pool.upload(Path::new(file), name, convert.as_deref(), &how))?;
        Ok(moved_map(moved))
    }

    /// Replaces what is in the volume by a local file of at most its size.
    ///
    /// Behind a shorter file there are zeros. What is interrupted leaves a mixture: `Pool.upload` makes a new volume, all or nothing.
    ///
    /// Errors: `local_file`, `too_large`; what libvirt says.
    ///
    /// Example: `plan(|| try { host("test:///default").pool("default-pool").volume("x").upload("/etc/hostname") } catch (e) { e.code })`
    #[rhai_fn(name = "upload", return_raw, pure)]
    pub fn overwrite(ctx: NativeCallContext<'_>, volume: &mut Volume, file: &str) -> Outcome<Map> {
        overwrite_with(ctx, volume, file, Map::new())
    }

    /// As `upload(file)`, with options.
    ///
    /// Example: `plan(|| try { host("test:///default").pool("default-pool").volume("x").upload("/etc/hostname", #{rate: "1MiB"}) } catch (e) { e.code })`
    #[rhai_fn(name = "upload", return_raw, pure)]
    pub fn overwrite_with(
        ctx: NativeCallContext<'_>,
        volume: &mut Volume,
        file: &str,
        options: Map,
    ) -> Outcome<Map> {
        let options = Options::new(&keys::VOLUME_UPLOAD, options)?;
        let how = moving(&options, false)?;
        Ok(moved_map(at(&ctx, || volume.upload(Path::new(file), &how))?))
    }

    /// Writes the volume to a local file, whole or not at all; holes stay holes.
    ///
    /// Returns `#{bytes, data, seconds, sha256}`.
    ///
    /// Errors: `local_file`, `checksum`; what libvirt says.
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("x").download("/tmp/x") } catch (e) { e.code }`
    #[rhai_fn(name = "download", return_raw, pure)]
    pub fn download(volume: &mut Volume, file: &str) -> Outcome<Map> {
        download_with(volume, file, Map::new())
    }

    /// As `download(file)`, with options.
    ///
    /// Example: `try { host("test:///default").pool("default-pool").volume("x").download("/tmp/x", #{checksum: true}) } catch (e) { e.code }`
    #[rhai_fn(name = "download", return_raw, pure)]
    pub fn download_with(volume: &mut Volume, file: &str, options: Map) -> Outcome<Map> {
        let options = Options::new(&keys::VOLUME_DOWNLOAD, options)?;
        let how = moving(&options, true)?;
        Ok(moved_map(volume.download(Path::new(file), &how)?))
    }

    /// Copies the volume under another name.
    ///
    /// Errors: `invalid_name`, `storage_vol_exist`; what libvirt says. Nothing is left behind then.
    ///
    /// Example: `plan(|| try { host("test:///default").pool("default-pool").volume("x").clone_to("y") } catch (e) { e.code })`
    #[rhai_fn(name = "clone_to", return_raw, pure)]
    pub fn clone_to(ctx: NativeCallContext<'_>, volume: &mut Volume, name: &str) -> Outcome<Volume> {
        clone_with(ctx, volume, name, Map::new())
    }

    /// As `clone_to(name)`, with options: also to another pool, on another host.
    ///
    /// Between hosts the data pass through here, without their holes, and the format stays.
    ///
    /// Errors: those of `clone_to(name)`; `other_format`.
    ///
    /// Example: `plan(|| try { host("test:///default").pool("default-pool").volume("x").clone_to("y", #{format: "raw"}) } catch (e) { e.code })`
    #[rhai_fn(name = "clone_to", return_raw, pure)]
    pub fn clone_with(
        ctx: NativeCallContext<'_>,
        volume: &mut Volume,
        name: &str,
        options: Map,
    ) -> Outcome<Volume> {
        let options = Options::new(&keys::VOLUME_CLONE, options)?;
        let to = match options.value("pool") {
            None => volume.pool().clone(),
            Some(value) => value.clone().try_cast::<Pool>().ok_or_else(|| {
                misuse(format!("clone_to: option `pool` must be a Pool, not {}", type_word(value)))
            })?,
        };
        let format = options.word("format")?;
        let way = if options.flag("reflink")? { CopyWay::Reflink } else { CopyWay::Full };
        let how = moving(&options, false)?;
        Ok(at(&ctx, || volume.copy_to(&to, name, format.as_deref(), way, &how))?.0)
    }

    /// Overwrites all of the volume with zeros.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| try { host("test:///default").pool("default-pool").volume("x").wipe() } catch (e) { e.code })`
    #[rhai_fn(name = "wipe", return_raw, pure)]
    pub fn wipe(ctx: NativeCallContext<'_>, volume: &mut Volume) -> Outcome<()> {
        Ok(at(&ctx, || volume.wipe())?)
    }
}
