//! A new machine from an old one.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::{CopyWay, Domain, Host, Moving, Pool, Volume};
use crate::libvirt::XmlKind;
use crate::model::pool::file_name;
use crate::model::{Class, Fault, VolumeSpec, clearing};
use crate::ssh::WriteOptions;
use crate::xml;
use crate::xml::clone::{FormerDisk, Identity, OwnDisk};

/// Where the disks of a clone come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disks {
    /// Copied.
    #[default]
    Full,
    /// On top of the original's, which must not be written to any more.
    Linked,
    /// Copied, sharing blocks until they are written, where the file system can.
    Reflink,
}

/// What a clone is to be.
#[derive(Debug, Clone, Default)]
pub struct CloneOptions {
    /// Its host; the original's where nothing is said.
    pub on: Option<Host>,
    /// Its disks.
    pub disks: Disks,
    /// Whether it is started.
    pub start: bool,
}

/// The most that UEFI variables take: 64 MiB, as flash of Arm's machines has.
const NVRAM: u64 = 64 << 20;

/// Clearing away must not hang where storage does.
const CLEAR: Duration = Duration::from_secs(60);

/// What is taken back when a later step fails, in the order in which it was made.
#[derive(Default)]
pub(super) struct Made {
    pub(super) volumes: Vec<Volume>,
    pub(super) files: Vec<(Host, String)>,
    pub(super) domain: Option<Domain>,
    /// What the host knows of it; forgotten once all is there, or taken back.
    pub(super) making: Option<super::unfinished::Making>,
}

impl Made {
    /// Nothing stays, also after a Ctrl-C.
    pub(super) fn undo(self) {
        clearing(CLEAR, || {
            if let Some(domain) = self.domain {
                let _ =
                    domain.undefine(crate::libvirt::UndefineOptions { nvram: true, ..Default::default() });
            }
            for (host, path) in self.files {
                let remove = crate::ssh::Command::argv(["rm", "-f", "--", &path]).note("a clone that failed");
                let _ = host.run(&remove, false);
            }
            for volume in self.volumes {
                let _ = volume.delete();
            }
            drop(self.making);
        });
    }
}

fn refuse(code: &str, message: String) -> Fault {
    Fault::new(code, message).class(Class::Refused)
}

impl Domain {
    /// Makes another machine of this one, which must be off: with a name, UUID, hardware addresses, disks and UEFI
    /// variables of its own, and all else as it is here.
    ///
    /// # Errors
    /// `invalid_name`, `domain_exists`, `domain_active`, `no_pool`, `cannot_copy`, `other_format`; those of each step. What
    /// was made is then taken back.
    pub fn clone_to(&self, name: &str, options: &CloneOptions) -> Result<Domain, Fault> {
        file_name("domain", name)?;
        let here = self.host();
        let there = options.on.as_ref().unwrap_or(here);
        if there.name() != here.name() {
            there.refuse_cordoned()?;
        }
        let state = self.state()?;
        if !matches!(state.word(), "shut off" | "crashed") {
            let message =
                format!("{} is {}: its disks change while they are copied", self.name(), state.word());
            return Err(refuse("domain_active", message).on_host(here.name()).hint("shut it down first"));
        }
        if self.has_managed_save().unwrap_or(false) {
            let message = format!("{} sleeps with its memory saved: its disks are not in order", self.name());
            return Err(refuse("domain_active", message)
                .on_host(here.name())
                .hint("start it and shut it down first"));
        }
        if there.domains()?.iter().any(|known| known.name() == name) {
            super::unfinished::forget(there, name);
            return Err(refuse("domain_exists", format!("{} has a domain {name} already", there.name()))
                .on_host(there.name()));
        }
        let text = self.xml(XmlKind::Whole)?;
        let disks = xml::clone::own_disks(&text)?;
        let mut made = Made::default();
        let result = self.clone_parts(name, there, &text, &disks, options, &mut made);
        match result {
            Ok(domain) => Ok(domain),
            Err(fault) => {
                made.undo();
                Err(fault)
            }
        }
    }

    fn clone_parts(
        &self,
        name: &str,
        there: &Host,
        text: &str,
        disks: &[FormerDisk],
        options: &CloneOptions,
        made: &mut Made,
    ) -> Result<Domain, Fault> {
        let uuid = || uuid::Uuid::new_v4().to_string();
        // All that is refused is refused before the first copy.
        let volumes = disks.iter().map(|disk| self.volume_of(disk)).collect::<Result<Vec<_>, _>>()?;
        for (disk, volume) in disks.iter().zip(&volumes) {
            self.same_format(disk, volume)?;
        }
        let macs = new_macs(&xml::clone::macs(text)?, &known_macs(self.host(), there)?);
        let mut id =
            Identity { name: name.to_owned(), uuid: uuid(), genid: uuid(), macs, ..Identity::default() };
        there.clear_unfinished(name, self.host())?;
        let nvram = self.hardware()?.nvram;
        let own_nvram = (!nvram.is_empty()).then(|| self.own_nvram(name, &nvram));
        let mut paths = Vec::new();
        for (disk, volume) in disks.iter().zip(&volumes) {
            let (file, to) = (self.own_file(name, disk, volume), there.pool(volume.pool().name())?);
            to.is_free(&file)?;
            paths.push(format!("{}/{file}", to.type_and_path()?.1.trim_end_matches('/')));
        }
        if let Some(own) = &own_nvram {
            // Without a file, libvirt makes one of the template when the clone starts.
            if self.host().file(&nvram)?.is_some() && there.file(own)?.is_some() {
                return Err(refuse("file_exists", format!("{own} is there already on {}", there.name()))
                    .on_host(there.name()));
            }
            paths.push(own.clone());
        }
        made.making = there.making(name, &paths)?;
        for (disk, volume) in disks.iter().zip(&volumes) {
            let own = self.copy_disk(name, there, disk, volume, options.disks)?;
            made.volumes.push(own.clone());
            if own.pool().host().name() != there.name() {
                there.pool(own.pool().name())?.refresh()?;
            }
            let source = if disk.kind == "volume" { own.name().to_owned() } else { own_path(volume, &own)? };
            let linked = options.disks == Disks::Linked && disk.format != "qcow2";
            id.disks.push(OwnDisk {
                target: disk.target.clone(),
                source,
                format: linked.then(|| "qcow2".to_owned()),
            });
        }
        if let Some(own) = own_nvram {
            if self.host().file(&nvram)?.is_some() {
                made.files.push((there.clone(), own.clone()));
                let variables = self.host().read_file(&nvram, NVRAM)?;
                there.write_file(
                    &own,
                    &variables,
                    &WriteOptions { mode: Some(0o600), ..WriteOptions::default() },
                )?;
            }
            id.nvram = Some(own);
        }
        let domain = there.define(&xml::clone::clone(text, &id)?, true)?;
        made.domain = Some(domain.clone());
        if options.start {
            domain.start(false, true)?;
        }
        Ok(domain)
    }

    /// The volume that a disk is.
    fn volume_of(&self, disk: &FormerDisk) -> Result<Volume, Fault> {
        let host = self.host();
        let named = format!("disk {} of {}", disk.target, self.name());
        match disk.kind.as_str() {
            "volume" => host.pool(&disk.pool)?.volume(&disk.source),
            "file" | "block" => host.volume(&disk.source).map_err(|fault| {
                refuse(
                    "no_pool",
                    format!("the {named}, {}, is in no running pool of {}", disk.source, host.name()),
                )
                .on_host(host.name())
                .because(fault.to_string())
                .hint("define a pool for its directory, or refresh() the one that is there")
            }),
            kind => Err(refuse(
                "cannot_copy",
                format!("the {named} is of the kind {kind}, which cannot be copied here"),
            )
            .on_host(host.name())),
        }
    }

    /// What a guest writes to a raw disk may look like an image of another format, which may name any file of the host as
    /// its backing file: the guest's word for it counts.
    fn same_format(&self, disk: &FormerDisk, volume: &Volume) -> Result<(), Fault> {
        let given = if disk.format.is_empty() { "raw" } else { disk.format.as_str() };
        let found = volume.format()?;
        // Of a partition, libvirt says what the table says.
        let images = [
            "qcow2",
            "qcow",
            "qed",
            "vmdk",
            "vdi",
            "vpc",
            "vhd",
            "vhdx",
            "cow",
            "luks",
            "parallels",
            "ploop",
        ];
        if given == found || !images.contains(&found.as_str()) {
            return Ok(());
        }
        let message = format!(
            "disk {} of {} is {given} to the guest, but {} looks like {found}",
            disk.target,
            self.name(),
            disk.source
        );
        Err(refuse("other_format", message)
            .on_host(self.host().name())
            .hint("what the guest wrote may only look like it: find out what it is, and put it right in the definition"))
    }

    /// What the clone's volume is called.
    fn own_file(&self, name: &str, disk: &FormerDisk, volume: &Volume) -> String {
        if volume.name().contains(self.name()) {
            return xml::clone::renamed(volume.name(), self.name(), name);
        }
        // An image that does not bear the machine's name.
        let extension = volume.name().rsplit_once('.').map(|(_, extension)| format!(".{extension}"));
        format!("{name}-{}{}", disk.target, extension.unwrap_or_default())
    }

    /// Where the clone's UEFI variables are.
    fn own_nvram(&self, name: &str, nvram: &str) -> String {
        let file = Path::new(nvram).file_name().unwrap_or_default().to_string_lossy();
        let own = Path::new(nvram).with_file_name(xml::clone::renamed(&file, self.name(), name));
        own.display().to_string()
    }

    fn copy_disk(
        &self,
        name: &str,
        there: &Host,
        disk: &FormerDisk,
        volume: &Volume,
        how: Disks,
    ) -> Result<Volume, Fault> {
        let here = self.host();
        let file = self.own_file(name, disk, volume);
        let to = if there.name() == here.name() {
            volume.pool().clone()
        } else {
            there.pool(volume.pool().name())?
        };
        let one_storage = there.name() == here.name() || same_storage(volume.pool(), &to)?;
        if how == Disks::Full && !one_storage {
            return Ok(volume.copy_to(&to, &file, None, CopyWay::Full, &Moving::default())?.0);
        }
        if !one_storage {
            let message = format!(
                "the pool {} is not the same storage on {} and {}",
                to.name(),
                here.name(),
                there.name()
            );
            return Err(refuse("not_shared", message)
                .on_host(there.name())
                .hint("disks: \"full\" copies them"));
        }
        // Made where the original is; the other host sees it once it has looked again.
        let way = if how == Disks::Reflink { CopyWay::Reflink } else { CopyWay::Full };
        let own = if how == Disks::Linked {
            let backing = Some((
                volume.path()?,
                if disk.format.is_empty() { "raw".to_owned() } else { disk.format.clone() },
            ));
            let spec = VolumeSpec {
                name: file.clone(),
                format: "qcow2".to_owned(),
                capacity: volume.info()?.capacity,
                backing,
                ..VolumeSpec::default()
            };
            volume.pool().is_free(&file)?;
            volume.pool().create_volume(&spec)?
        } else {
            volume.copy_to(volume.pool(), &file, None, way, &Moving::default())?.0
        };
        Ok(own)
    }
}

/// Where the clone's disk is. In a plan there is none yet: it will be beside the original.
fn own_path(original: &Volume, own: &Volume) -> Result<String, Fault> {
    own.path().or_else(|_| {
        let path = original.path()?;
        Ok(Path::new(&path).with_file_name(own.name()).display().to_string())
    })
}

/// Whether two pools of one name are one: from the network and the same source, or in a directory that the admin vouches for.
fn same_storage(a: &Pool, b: &Pool) -> Result<bool, Fault> {
    let (one, other) = (a.definition()?, b.definition()?);
    if one.kind != other.kind || one.path != other.path {
        return Ok(false);
    }
    let remote = matches!(one.kind.as_str(), "netfs" | "rbd" | "gluster" | "iscsi" | "iscsi-direct");
    if remote {
        return Ok(one.servers == other.servers && one.source == other.source);
    }
    let vouched = &a.host().session().inventory().shared;
    Ok(one.path.is_some_and(|path| vouched.iter().any(|dir| Path::new(&path).starts_with(dir))))
}

/// The hardware addresses of all machines on all hosts that answer.
fn known_macs(here: &Host, there: &Host) -> Result<HashSet<String>, Fault> {
    let mut hosts = here.session().hosts(&[]).unwrap_or_default();
    for one in [here, there] {
        if !hosts.contains(one) {
            hosts.push(one.clone());
        }
    }
    let ask = |host: &Host| -> Result<Vec<String>, Fault> {
        let mut macs = Vec::new();
        for domain in host.domains()? {
            // One that has gone meanwhile has none.
            macs.extend(
                xml::clone::macs(&domain.xml(XmlKind::Inactive).unwrap_or_default()).unwrap_or_default(),
            );
        }
        Ok(macs)
    };
    let answers: Vec<Result<Vec<String>, Fault>> = std::thread::scope(|scope| {
        let asked: Vec<_> = hosts.iter().map(|host| scope.spawn(move || ask(host))).collect();
        asked
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err(Fault::new("defect", "a thread ended badly"))))
            .collect()
    });
    // A host that is down says nothing; the addresses are random besides.
    Ok(answers.into_iter().flatten().flatten().map(|mac| mac.to_lowercase()).collect())
}

/// New addresses that nobody has, each of the same maker as the old one (`52:54:00` is QEMU's).
fn new_macs(old: &[String], known: &HashSet<String>) -> Vec<String> {
    let mut taken = known.clone();
    let mut fresh = |mac: &String| {
        let maker = mac.get(..8).unwrap_or("52:54:00").to_lowercase();
        loop {
            let random = uuid::Uuid::new_v4();
            let [a, b, c, ..] = *random.as_bytes();
            let mac = format!("{maker}:{a:02x}:{b:02x}:{c:02x}");
            if taken.insert(mac.clone()) {
                return mac;
            }
        }
    };
    old.iter().map(&mut fresh).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_addresses_are_nobodys_and_of_the_same_maker() {
        let old = vec!["52:54:00:00:00:01".to_owned(), "00:16:3E:00:00:01".to_owned()];
        let known = old.iter().map(|mac| mac.to_lowercase()).collect();
        let new = new_macs(&old, &known);
        assert!(new[0].starts_with("52:54:00:") && new[1].starts_with("00:16:3e:"), "{new:?}");
        assert!(new.iter().all(|mac| !known.contains(mac)));
    }
}
