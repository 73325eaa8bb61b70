//! New machines, from old ones and from maps.

use rhai::plugin::*;
use rhai::{Array, ImmutableString, Map};

use super::super::error::{Outcome, misuse};
use super::super::options::{Options, keys, size, type_word};
use super::super::show;
use super::views::hosts_of;
use super::{at, host_of};
use crate::model::Bytes;
use crate::model::machine::MachineNic;
use crate::model::os::OsProfile;
use crate::ops::{CloneOptions, DiskRequest, Disks, Domain, Host, MachineRequest};

/// 2 GiB: what installers and cloud images of today's distributions run in.
const MEMORY: Bytes = Bytes(2 << 30);

fn items(map: &Options, key: &'static str) -> Outcome<Array> {
    let Some(value) = map.value(key) else { return Ok(Array::new()) };
    let array = value.clone().try_cast::<Array>();
    array.ok_or_else(|| misuse(format!("create: option `{key}` must be an array, not {}", type_word(value))))
}

fn disk(value: &Dynamic, pool: &str) -> Outcome<DiskRequest> {
    let Some(map) = value.clone().try_cast::<Map>() else {
        return Ok(DiskRequest { pool: pool.to_owned(), size: Some(size(value)?), ..DiskRequest::default() });
    };
    let map = Options::new(&keys::CREATE_DISK, map)?;
    let (image, volume, size) = (map.text("image")?, map.text("volume")?, map.size("size")?);
    if image.is_none() && volume.is_none() && size.is_none() {
        return Err(misuse("create: a disk needs `size`, `image` or `volume`"));
    }
    Ok(DiskRequest { pool: map.text("pool")?.unwrap_or_else(|| pool.to_owned()), size, image, volume })
}

fn nic(value: &Dynamic) -> Outcome<MachineNic> {
    if let Some(name) = value.read_lock::<ImmutableString>() {
        return Ok(MachineNic::Network(name.to_string()));
    }
    let map = value.clone().try_cast::<Map>();
    let map =
        map.ok_or_else(|| misuse(format!("create: a nic is a text or a map, not {}", type_word(value))))?;
    let map = Options::new(&keys::CREATE_NIC, map)?;
    match (map.text("network")?, map.text("bridge")?) {
        (Some(name), None) => Ok(MachineNic::Network(name)),
        (None, Some(name)) => Ok(MachineNic::Bridge(name)),
        _ => Err(misuse("create: a nic needs either `network` or `bridge`")),
    }
}

/// cloud-config is YAML, and so is JSON.
fn user_data(value: &Dynamic) -> Outcome<String> {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(text.to_string());
    }
    if !value.is_map() {
        return Err(misuse(format!(
            "create: option `cloud_init` must be a map or a text, not {}",
            type_word(value)
        )));
    }
    Ok(format!("#cloud-config\n{}\n", show::json(value)))
}

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

    /// Makes a machine from a map, defines it and starts it.
    ///
    /// `os` decides devices: Windows gets SATA, e1000e, its own clock and Hyper-V's interfaces, and virtio instead of these
    /// with `drivers`; Windows 11 also UEFI with secure boot and a TPM. With `among`, the CPU is the best that this host and
    /// those have in common, so that it migrates to each.
    ///
    /// q35 and virtio, a serial console, a screen on the host itself, a channel for the guest's agent; disks are qcow2, without
    /// the host's cache on shared pools. With `cloud_init` it gets a seed that cloud images read (NoCloud). When a step fails,
    /// what was made is taken back.
    ///
    /// Errors: `invalid_name`, `domain_exists`, `storage_vol_exist`, `too_small`, `unknown_os`, those of `baseline_cpu`; what
    /// libvirt says; `unknown_option`.
    ///
    /// Example: `plan(|| host("test:///default").create(#{name: "web1", memory: "1GiB", disks: ["8GiB"], pool: "default-pool"}))`
    #[rhai_fn(name = "create", return_raw, pure)]
    pub fn create_machine(ctx: NativeCallContext<'_>, host: &mut Host, details: Map) -> Outcome<Domain> {
        let map = Options::new(&keys::CREATE, details)?;
        let pool = map.text("pool")?.unwrap_or_else(|| "default".to_owned());
        let vcpus = map.count("vcpus")?.unwrap_or(2);
        let os = map.text("os")?.map(|id| OsProfile::of(&id)).transpose()?;
        let among = match map.value("among") {
            Some(value) => hosts_of(&ctx, "create", value)?,
            None => Vec::new(),
        };
        let memory = os.as_ref().map_or(MEMORY, |os| os.memory);
        let wanted = MachineRequest {
            name: map.text("name")?.ok_or_else(|| misuse("create: `name` is missing"))?,
            memory: map.size("memory")?.unwrap_or(memory),
            vcpus: u32::try_from(vcpus).unwrap_or(u32::MAX),
            disks: items(&map, "disks")?.iter().map(|one| disk(one, &pool)).collect::<Outcome<_>>()?,
            nics: items(&map, "nics")?.iter().map(nic).collect::<Outcome<_>>()?,
            iso: map.text("iso")?,
            os,
            drivers: map.text("drivers")?,
            among,
            uefi: map.flag("uefi")?,
            cpu: map.text("cpu")?,
            virt_type: map.word("type")?,
            user_data: map.value("cloud_init").map(user_data).transpose()?,
            start: map.maybe_flag("start")?.unwrap_or(true),
        };
        Ok(at(&ctx, || host.create_machine(&wanted))?)
    }
}
