//! What would stop a guest from moving, found before the first byte is sent.
//!
//! Facts are gathered once per host (one libvirt conversation and one SSH round
//! trip each), then every guest is judged against every target by a pure
//! function that returns all blockers at once. The list follows the failures
//! measured with libvirt 9.0 and QEMU 7.2.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::cpu::{question, remedy};
use super::facts::{FileFacts, HostFacts};
use super::{Domain, Host};
use crate::libvirt::{Hypervisor, XmlKind};
use crate::model::{Bytes, Class, Disk, DomainState, Fault, Hardware};
use crate::xml;

/// QEMU's own memory beside the guest's: page tables (8 bytes for each 4 KiB
/// page) and 64 MiB for the process and its devices, as KubeVirt estimates it
/// (GetMemoryOverhead).
pub fn overhead(memory: Bytes) -> Bytes {
    Bytes(memory.0 / 512).saturating_add(Bytes::from_mib(64))
}

/// A guest that is to move, with all that the judgement needs.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// Its state.
    pub state: DomainState,
    /// The most memory it may have.
    pub memory: Bytes,
    /// Virtual processors.
    pub vcpus: u64,
    /// Devices, CPU, machine.
    pub hardware: Hardware,
    /// Names of its snapshots.
    pub snapshots: Vec<String>,
    /// Whether a saved memory image waits for its next start.
    pub managed_save: bool,
    /// Whether it has a definition.
    pub persistent: bool,
    /// Whether it starts with its host.
    pub autostart: bool,
}

impl Subject {
    /// Gathers it from libvirt.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn of(domain: &Domain) -> Result<Self, Fault> {
        let info = domain.info()?;
        let mut hardware = xml::domain::hardware(&domain.xml(XmlKind::Live)?)?;
        for disk in hardware.disks.iter_mut().filter(|disk| disk.kind == "volume") {
            // `pool/volume`: what matters is the path it stands for.
            if let Some((pool, volume)) = disk.source.split_once('/')
                && let Ok(path) = domain.host().pool(pool).and_then(|pool| pool.volume(volume)?.path())
            {
                disk.pool = pool.to_owned();
                disk.source = path;
            }
        }
        let persistent = domain.is_persistent()?;
        Ok(Self {
            uuid: domain.uuid()?,
            state: info.state,
            memory: info.max_memory,
            vcpus: info.vcpus.into(),
            hardware,
            snapshots: domain.snapshots()?,
            managed_save: domain.has_managed_save().unwrap_or(false),
            persistent,
            autostart: persistent && domain.autostart()?,
            name: domain.name().to_owned(),
        })
    }

    /// Whether it runs and moves live; otherwise only its definition moves.
    pub const fn is_live(&self) -> bool {
        self.state.is_active()
    }

    /// What it takes on its new host.
    pub fn demand(&self) -> Bytes {
        if self.is_live() { self.memory.saturating_add(overhead(self.memory)) } else { Bytes::default() }
    }

    /// Files the target's QEMU must be able to open; an empty drive has none.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let disks = self.hardware.disks.iter().filter(|disk| is_local(disk)).map(|disk| disk.source.as_str());
        // A moved definition needs its UEFI variables there; a live move carries them.
        let nvram = (!self.is_live()).then_some(self.hardware.nvram.as_str());
        let boot = self.hardware.boot_files.iter().map(String::as_str);
        disks.chain(boot).chain(nvram).filter(|path| path.starts_with('/'))
    }

    /// Disks whose contents must be the very same at the target.
    pub fn writable_files(&self) -> impl Iterator<Item = &str> {
        let disks = self.hardware.disks.iter();
        disks
            .filter(|disk| is_local(disk) && !disk.read_only)
            .map(|disk| disk.source.as_str())
            .filter(|path| path.starts_with('/'))
    }

    pub(super) fn bridges(&self) -> impl Iterator<Item = &str> {
        self.hardware.nics.iter().filter(|nic| nic.kind == "bridge").map(|nic| nic.source.as_str())
    }

    fn hypervisor(&self) -> Hypervisor {
        Hypervisor {
            emulator: String::new(),
            arch: self.hardware.arch.clone(),
            machine: self.hardware.machine.clone(),
            virt_type: self.hardware.virt_type.clone(),
        }
    }
}

/// Whether it is a path on the host, whose being shared is to be judged.
fn is_local(disk: &Disk) -> bool {
    matches!(disk.kind.as_str(), "file" | "block" | "volume")
}

/// What decides beside the facts.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Directories the admin vouches are the same storage on all hosts.
    pub vouched: Vec<std::path::PathBuf>,
    /// Disks are copied along, so they need not be shared.
    pub copy_storage: bool,
    /// The name at the target, where it is another one.
    pub rename: Option<String>,
}

/// Everything that would stop `subject` from moving from `source` to `target`,
/// the CPU aside ([`cpu_blockers`] asks libvirt). Pure.
pub fn blockers(subject: &Subject, source: &HostFacts, target: &HostFacts, rules: &Rules) -> Vec<Fault> {
    let mut found = Vec::new();
    let name = subject.name.as_str();
    let mut block = |code: &str, message: String, hint: &str| {
        found.push(
            Fault::new(code, message)
                .class(Class::Refused)
                .hint(hint)
                .on_host(&target.name)
                .on_object("domain", name),
        );
    };

    if let Some(cordon) = &target.cordon {
        block(
            "cordoned",
            format!("{} is cordoned: {}", target.name, cordon.sentence()),
            &format!("when it may have guests again: host(\"{}\").uncordon()", target.name),
        );
    }
    if !source.uuid.is_empty() && source.uuid == target.uuid {
        block(
            "same_host_uuid",
            format!("{} and {} have the same host UUID {}", source.name, target.name, target.uuid),
            "set a host_uuid of its own in libvirtd.conf or virtqemud.conf on one of them (boards without a \
             serial number share one)",
        );
    }
    let new_name = rules.rename.as_deref().unwrap_or(name);
    let twin = target.domains.iter().find(|(known, (uuid, _))| *uuid == subject.uuid && *known != new_name);
    if let Some((twin, _)) = twin {
        block(
            "uuid_taken",
            format!("{} has a guest called {twin} with the UUID of {name}", target.name),
            "one of them is a copy; give it a UUID of its own",
        );
    }
    match target.domains.get(new_name) {
        Some((uuid, _)) if *uuid != subject.uuid => block(
            "name_taken",
            format!("{} has another guest called {new_name}", target.name),
            "rename one of them, or migrate with `rename`",
        ),
        Some((_, true)) => block(
            "already_active",
            format!("{name} is active on {} already", target.name),
            "find out which one is right before anything else: two copies destroy their disks",
        ),
        _ => {}
    }
    if subject.is_live() {
        let hardware = &subject.hardware;
        if target.hostname.starts_with("localhost") {
            block(
                "hostname_localhost",
                format!("{} calls itself {}", target.name, target.hostname),
                "give it a host name of its own: `hostnamectl set-hostname`",
            );
        }
        match target.machines.get(&(hardware.arch.clone(), hardware.virt_type.clone())) {
            None => block(
                "no_hypervisor",
                format!("{} cannot run {} guests of type {}", target.name, hardware.arch, hardware.virt_type),
                "install QEMU for that architecture there, or enable KVM",
            ),
            Some(machines) if !hardware.machine.is_empty() && !machines.contains(&hardware.machine) => block(
                "machine_type",
                format!("QEMU on {} does not know the machine type {}", target.name, hardware.machine),
                "its QEMU is older; upgrade it, or start the guest with an older machine type",
            ),
            Some(_) => {}
        }
        for device in &hardware.host_devices {
            block(
                "host_device",
                format!("{name} uses a {device} device of {}", source.name),
                "detach it before, or shut the guest down",
            );
        }
        for nic in &hardware.nics {
            match nic.kind.as_str() {
                "network" => match target.networks.get(&nic.source) {
                    None => block(
                        "no_network",
                        format!("{} has no network {}", target.name, nic.source),
                        "define and start it there first",
                    ),
                    Some(false) => block(
                        "network_inactive",
                        format!("network {} does not run on {}", nic.source, target.name),
                        "start it there first",
                    ),
                    Some(true) => {}
                },
                "bridge" if target.shell_error.is_none() && !target.bridges.contains(&nic.source) => block(
                    "no_bridge",
                    format!("{} has no bridge {}", target.name, nic.source),
                    "create it there first",
                ),
                _ => {}
            }
        }
    }
    if !subject.persistent && !subject.is_live() {
        block("transient", format!("{name} has no definition to move"), "it is about to vanish by itself");
    }
    if !subject.snapshots.is_empty() {
        block(
            "has_snapshots",
            format!("{name} has {} snapshots; libvirt moves none", subject.snapshots.len()),
            "delete them, or redefine them at the target afterwards",
        );
    }
    if subject.managed_save && !subject.is_live() {
        block(
            "managed_save",
            format!("{name} has a saved memory image on {}", source.name),
            "start it, or drop the image, before its definition is moved",
        );
    }
    storage_blockers(subject, source, target, rules, &mut block);
    found
}

fn storage_blockers(
    subject: &Subject,
    source: &HostFacts,
    target: &HostFacts,
    rules: &Rules,
    block: &mut impl FnMut(&str, String, &str),
) {
    if let Some(fault) = target.shell_error.as_ref().or(source.shell_error.as_ref()) {
        if subject.files().next().is_some() {
            block(
                "not_checked",
                format!("the files of {} could not be checked: {fault}", subject.name),
                "SSH to both hosts must work; see `kvmsh hosts test`",
            );
        }
        return;
    }
    for disk in subject.hardware.disks.iter().filter(|disk| !disk.source.is_empty()) {
        match disk.kind.as_str() {
            "file" | "block" | "network" => {}
            "volume" if disk.pool.is_empty() => block(
                "no_volume",
                format!("the volume {} of {} was not found on {}", disk.source, subject.name, source.name),
                "is its pool started?",
            ),
            "volume" if target.pools.get(&disk.pool) != Some(&true) => block(
                "no_pool",
                format!("no pool {} runs on {}", disk.pool, target.name),
                "define and start it there first",
            ),
            "volume" => {}
            kind => block(
                "disk_kind",
                format!(
                    "{} has a disk of the kind {kind}, of which kvmsh cannot tell whether it is shared",
                    subject.name
                ),
                "move it with virsh if you know",
            ),
        }
    }
    let copied: BTreeSet<&str> =
        if rules.copy_storage { subject.writable_files().collect() } else { BTreeSet::new() };
    for file in subject.files().filter(|file| !copied.contains(file)) {
        if target.file(file).is_none() {
            block(
                "file_missing",
                format!("{file} does not exist on {}", target.name),
                "make it available there, or eject it if it is a CD",
            );
        }
    }
    if rules.copy_storage || !subject.is_live() {
        return;
    }
    for file in subject.writable_files() {
        let (Some(here), Some(there)) = (source.file(file), target.file(file)) else { continue };
        if let Some((message, hint)) = unshared(file, here, there, source, target, rules) {
            block("not_shared", message, hint);
        }
    }
}

/// Why a disk's file or device is not the same one on both hosts, as far as
/// facts tell; what is left is put to the proof before the move.
fn unshared(
    file: &str,
    here: &FileFacts,
    there: &FileFacts,
    source: &HostFacts,
    target: &HostFacts,
    rules: &Rules,
) -> Option<(String, &'static str)> {
    if here.is_block() || there.is_block() {
        // The same name is not the same disk: /dev/sdb is on every host. Its identity decides.
        let same = here.is_block() && here.identity == there.identity && !here.identity.is_empty();
        let message =
            format!("{file} is not known to be the same device on {} and {}", source.name, target.name);
        let hint = "their WWNs or LVM UUIDs differ or are not known (udevadm info); use a LUN or volume group \
                    that both hosts see";
        return (!same).then_some((message, hint));
    }
    if here.real != there.real {
        let message =
            format!("{file} is {} on {} and {} on {}", here.real, source.name, there.real, target.name);
        return Some((message, "links must lead to the same place on both hosts"));
    }
    if (here.is_shared() && there.is_shared()) || is_vouched(file, rules) {
        return None;
    }
    let (host, kind) =
        if here.is_shared() { (&target.name, &there.kind) } else { (&source.name, &here.kind) };
    Some((
        format!("{file} is on {kind} on {host}, which is not storage that two hosts share"),
        "if it is the same storage on both all the same, list its directory under [storage] shared in \
         hosts.toml; or copy the disks along with copy_storage",
    ))
}

fn is_vouched(file: &str, rules: &Rules) -> bool {
    rules.vouched.iter().any(|dir| Path::new(file).starts_with(dir))
}

/// What has to be proven before the guest may move: the directories in which its
/// disks really are, unless both hosts have mounted them from the same place.
/// And whether libvirt has to be told that they are shared, which it sees of
/// network file systems by itself.
pub fn proofs(
    subject: &Subject,
    source: &HostFacts,
    target: &HostFacts,
    rules: &Rules,
) -> (Vec<PathBuf>, bool) {
    let mut proofs = BTreeSet::new();
    let mut vouched = false;
    if !subject.is_live() || rules.copy_storage {
        return (Vec::new(), false);
    }
    for file in subject.writable_files() {
        let (Some(here), Some(there)) = (source.file(file), target.file(file)) else { continue };
        if here.is_block() {
            continue;
        }
        let known = here.is_shared() && there.is_shared();
        vouched |= !known;
        if !known || here.identity != there.identity || here.identity.is_empty() {
            proofs.insert(here.directory());
        }
    }
    (proofs.into_iter().collect(), vouched)
}

/// Why the target's CPU cannot run the guest, asking libvirt there.
///
/// # Errors
/// Faults of the connection.
pub fn cpu_blockers(
    subject: &Subject,
    source: &HostFacts,
    target: &HostFacts,
    on: &Host,
) -> Result<Vec<Fault>, Fault> {
    let hardware = &subject.hardware;
    if !subject.is_live() {
        return Ok(Vec::new());
    }
    let refuse = |message: String, hint: &str| {
        Fault::new("cpu_incompatible", message)
            .class(Class::Refused)
            .hint(hint)
            .on_host(on.name())
            .on_object("domain", &subject.name)
    };
    if hardware.host_passthrough {
        let same = source.cpu.model == target.cpu.model && source.cpu.features == target.cpu.features;
        let message = format!(
            "{} sees the CPU of {} itself (host-passthrough), and that of {} is another one",
            subject.name, source.name, target.name
        );
        let hint = "start it with a named CPU model that both hosts have";
        return Ok(if same { Vec::new() } else { vec![refuse(message, hint)] });
    }
    if hardware.cpu_xml.is_empty() {
        return Ok(Vec::new());
    }
    let cpu = question(&hardware.cpu_xml)?;
    let compared = on.ask(|c| match c.compare_cpu(&subject.hypervisor(), &cpu, true) {
        // Which features, in libvirt's words.
        Err(error) if error.is_cpu_incompatible() => Ok(Some(error.to_string())),
        other => other.map(|_| None),
    });
    match compared {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(said)) => {
            let message = format!("the CPU of {} cannot run {}", on.name(), subject.name);
            let hint = remedy(&subject.name, &format!("{} --hosts {}", source.name, target.name));
            Ok(vec![refuse(message, &hint).because(said)])
        }
        // A question this libvirt cannot answer: the migration itself will tell.
        Err(fault) if fault.class != Class::Connect && fault.code != "connection_lost" => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}
