//! No machine runs on two hosts at a time, and no disk is written by two machines that do not know of each other.
//!
//! QEMU's own locks keep two guests from one image where the file system carries locks, and libvirt knows its own host
//! alone. So before a machine is defined anew or started, all other known hosts are asked what runs there, each in one
//! round trip and all at once.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::facts::FileFacts;
use super::{Domain, Host};
use crate::libvirt::{Connection, XmlKind};
use crate::model::{Class, Disk, Fault, limited};
use crate::xml;

/// How long the other hosts are waited for, all together.
const ASK: Duration = Duration::from_secs(15);

/// For how long a host that could not be reached is not asked again: many guests may start while it is down.
const DOWN: Duration = Duration::from_secs(60);

/// What says that it is wanted all the same.
const FORCE: &str = "option force: true does it all the same; two machines that write to one disk destroy it";

/// A machine that is to run.
#[derive(Debug)]
struct Candidate<'a> {
    host: &'a Host,
    name: &'a str,
    uuid: Option<String>,
    /// Disks that it writes to alone.
    disks: Vec<Disk>,
}

/// A machine that runs elsewhere.
#[derive(Debug)]
struct Running {
    host: Host,
    name: String,
    uuid: String,
    images: Vec<String>,
}

/// Refuses a machine that runs on another known host, or one of whose disks a machine there has in use.
///
/// # Errors
/// `runs_elsewhere`, `disk_in_use`; those of the XML. A host that cannot be asked refuses nothing.
pub(super) fn refuse(host: &Host, name: &str, uuid: Option<&str>, text: &str) -> Result<(), Fault> {
    // libvirt's test driver is a world of its own.
    if host.in_process() {
        return Ok(());
    }
    let others: Vec<Host> = host
        .session()
        .every_host()
        .into_iter()
        .filter(|other| other != host && !other.in_process() && !other.was_down(DOWN))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let uuid = uuid.map(str::to_lowercase).or(xml::domain::uuid(text)?);
    let disks = own_disks(host, text)?;
    let candidate = Candidate { host, name, uuid, disks };
    let all = ask(&others, host);
    host.session().cancel().check()?;
    for running in all {
        candidate.judge(&running)?;
    }
    Ok(())
}

/// Disks that this machine alone writes to, each by its path.
fn own_disks(host: &Host, text: &str) -> Result<Vec<Disk>, Fault> {
    let mut disks = xml::domain::hardware(text)?.disks;
    disks.retain(|disk| !disk.read_only && !disk.shareable && !disk.source.is_empty());
    for disk in disks.iter_mut().filter(|disk| disk.kind == "volume") {
        if let Some((pool, volume)) = disk.source.split_once('/')
            && let Ok(path) = host.pool(pool).and_then(|pool| pool.volume(volume)?.path())
        {
            disk.source = path;
        }
    }
    Ok(disks)
}

/// What runs on these hosts.
fn ask(others: &[Host], host: &Host) -> Vec<Running> {
    let one = |other: &Host| limited(ASK, || other.ask(Connection::images_in_use));
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = others.iter().map(|other| scope.spawn(move || one(other))).collect();
        asked.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut running = Vec::new();
    for (other, answer) in others.iter().zip(answers) {
        match answer {
            Ok(Ok(rows)) => running.extend(rows.into_iter().map(|(name, uuid, images)| Running {
                host: other.clone(),
                name,
                uuid,
                images,
            })),
            _ => host
                .session()
                .progress()
                .say(&format!("{} does not answer: what runs there is not known", other.name())),
        }
    }
    running
}

/// The last part of a path, or of an image's name on the network.
fn last(source: &str) -> &str {
    source.rsplit('/').next().unwrap_or(source)
}

impl Candidate<'_> {
    fn refusal(&self, code: &str, message: String, running: &Running) -> Fault {
        Fault::new(code, message)
            .class(Class::Refused)
            .on_host(self.host.name())
            .on_object("domain", self.name)
            .hint(format!("shut {} down on {} first; {FORCE}", running.name, running.host.name()))
    }

    fn judge(&self, running: &Running) -> Result<(), Fault> {
        let same_machine = self.uuid.as_ref().is_some_and(|uuid| *uuid == running.uuid.to_lowercase());
        if same_machine {
            if self.is_same_daemon(&running.host) {
                return Ok(());
            }
            let message = format!(
                "{} is not to run on {}: it runs on {} (UUID {})",
                self.name,
                self.host.name(),
                running.host.name(),
                running.uuid
            );
            return Err(self.refusal("runs_elsewhere", message, running));
        }
        // The same file has the same name at the end of its path: seldom is more to be asked.
        let alike = |disk: &&Disk| running.images.iter().any(|image| last(image) == last(&disk.source));
        let suspects: Vec<&Disk> = self.disks.iter().filter(alike).collect();
        if suspects.is_empty() || self.is_same_daemon(&running.host) {
            return Ok(());
        }
        let theirs = || -> Result<Vec<Disk>, Fault> {
            let domain: Domain = running.host.domain(&running.name)?;
            own_disks(&running.host, &domain.xml(XmlKind::Live)?)
        };
        // It may have stopped meanwhile.
        let theirs = theirs().unwrap_or_default();
        for disk in suspects {
            let Some(used) = theirs.iter().find(|used| self.is_same_disk(disk, used, running)) else {
                continue;
            };
            let message = format!(
                "disk {} of {}, {}, is in use by {}, which runs on {}",
                disk.target,
                self.name,
                used.source,
                running.name,
                running.host.name()
            );
            return Err(self.refusal("disk_in_use", message, running));
        }
        Ok(())
    }

    /// One host under two names.
    fn is_same_daemon(&self, other: &Host) -> bool {
        let uuid = |host: &Host| host.capabilities().map(|known| known.uuid.clone()).ok();
        uuid(self.host).is_some_and(|own| Some(own) == uuid(other))
    }

    fn is_same_disk(&self, mine: &Disk, theirs: &Disk, running: &Running) -> bool {
        if last(&mine.source) != last(&theirs.source) {
            return false;
        }
        if !mine.source.starts_with('/') || !theirs.source.starts_with('/') {
            return mine.kind == theirs.kind && mine.source == theirs.source;
        }
        let facts = |host: &Host, path: &str| {
            let known = FileFacts::of(host, &BTreeSet::from([path.to_owned()]));
            known.ok().and_then(|mut known| known.remove(path))
        };
        let here = facts(self.host, &mine.source);
        let there = facts(&running.host, &theirs.source);
        let (Some(here), Some(there)) = (here, there) else { return false };
        let vouched = &self.host.session().inventory().shared;
        let vouched = [&mine.source, &here.real]
            .iter()
            .any(|path| vouched.iter().any(|dir| Path::new(path).starts_with(dir)));
        is_one(&here, &there, vouched)
    }
}

/// Whether what two hosts have is one and the same.
fn is_one(here: &FileFacts, there: &FileFacts, vouched: bool) -> bool {
    if here.is_block() || there.is_block() {
        return here.is_block() && here.identity == there.identity && !here.identity.is_empty();
    }
    here.real == there.real
        && (vouched || (here.is_shared() && there.is_shared() && here.identity == there.identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: &str, identity: &str, real: &str) -> FileFacts {
        FileFacts { kind: kind.into(), identity: identity.into(), real: real.into() }
    }

    #[test]
    fn what_only_has_the_same_name_is_not_the_same_disk() {
        let nfs = file("nfs", "nas:/srv/nfs", "/pool/web.img");
        assert!(is_one(&nfs, &nfs.clone(), false));
        assert!(!is_one(&nfs, &file("nfs", "other:/srv/nfs", "/pool/web.img"), false));
        let local = file("ext2/ext3", "/dev/vda1", "/pool/web.img");
        assert!(!is_one(&local, &local.clone(), false), "each host has its own");
        assert!(is_one(&local, &local.clone(), true), "the admin's word");
        let lun = file("block", "ID_WWN=0x5000 ", "/dev/sdb");
        assert!(is_one(&lun, &file("block", "ID_WWN=0x5000 ", "/dev/sdc"), false));
        let plain = file("block", "", "/dev/sdb");
        assert!(!is_one(&plain, &plain.clone(), false));
    }
}
