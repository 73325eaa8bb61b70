//! Snapshots of domains.

use virt::domain_snapshot::DomainSnapshot;
use virt::sys;

use super::domain::Domain;
use super::error::Error;
use crate::gate::Permit;

/// What a snapshot is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotOptions {
    /// The disks alone, each going on in a new file; without, memory and disks, inside the image files.
    pub disk_only: bool,
    /// The guest agent holds file systems still meanwhile.
    pub quiesce: bool,
}

/// How to go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RevertOptions {
    /// It runs afterwards, whatever it was.
    pub running: bool,
    /// It is paused afterwards.
    pub paused: bool,
    /// Also where the QEMU that runs has to be replaced.
    pub force: bool,
}

impl Domain {
    /// Names of its snapshots.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn snapshots(&self) -> Result<Vec<String>, Error> {
        self.ask(move |d| d.list_all_snapshots(0)?.iter().map(DomainSnapshot::name).collect())
    }

    /// Makes a snapshot: all of it, or nothing.
    ///
    /// # Errors
    /// What libvirt said: `config_unsupported` for disks that can have none, `operation_invalid`.
    pub fn snapshot(&self, _: &Permit, xml: &str, options: SnapshotOptions) -> Result<(), Error> {
        let xml = xml.to_owned();
        let mut flags = 0;
        if options.disk_only {
            flags |= sys::VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | sys::VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
        }
        if options.quiesce {
            flags |= sys::VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE;
        }
        self.tell(move |d| d.create_snapshot_xml(&xml, flags).map(drop))
    }

    /// Sets it back to what it was.
    ///
    /// # Errors
    /// `no_domain_snapshot`; what libvirt said.
    pub fn revert(&self, _: &Permit, name: &str, options: RevertOptions) -> Result<(), Error> {
        let mut flags = 0;
        for (wanted, flag) in [
            (options.running, sys::VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING),
            (options.paused, sys::VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED),
            (options.force, sys::VIR_DOMAIN_SNAPSHOT_REVERT_FORCE),
        ] {
            if wanted {
                flags |= flag;
            }
        }
        let name = name.to_owned();
        self.tell(move |d| virt::domain::Domain::lookup_snapshot_by_name(d, &name, 0)?.revert(flags))
    }

    /// Deletes a snapshot, with `children` those that were made after it as well.
    ///
    /// # Errors
    /// `no_domain_snapshot`; what libvirt said.
    pub fn delete_snapshot(&self, _: &Permit, name: &str, children: bool) -> Result<(), Error> {
        let flags = if children { sys::VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN } else { 0 };
        let name = name.to_owned();
        self.tell(move |d| virt::domain::Domain::lookup_snapshot_by_name(d, &name, 0)?.delete(flags))
    }
}
