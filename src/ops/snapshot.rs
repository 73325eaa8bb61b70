//! Snapshots of a domain.

use super::Domain;
use crate::gate::{Change, Mode};
use crate::libvirt::{RevertOptions, SnapshotOptions};
use crate::model::{Class, Fault};
use crate::xml;

impl Domain {
    /// Names of its snapshots.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn snapshots(&self) -> Result<Vec<String>, Fault> {
        match self.ask(crate::libvirt::Domain::snapshots) {
            Err(fault) if fault.code == "no_support" => Ok(Vec::new()),
            names => names,
        }
    }

    /// Makes a snapshot.
    ///
    /// # Errors
    /// `snapshot_exists`; `invalid_xml` for names that cannot be; what libvirt said.
    pub fn snapshot(&self, name: &str, description: &str, options: SnapshotOptions) -> Result<(), Fault> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\n', '\0']) {
            // libvirt makes a file of this name.
            let wrong = format!("{name:?} cannot be the name of a snapshot: it is a file's name to libvirt");
            return Err(Fault::new("bad_name", wrong).class(Class::Refused).on_host(self.host().name()));
        }
        if self.is_known() && self.snapshots()?.iter().any(|known| known == name) {
            let wrong = format!("{} has a snapshot {name} already", self.name());
            return Err(Fault::new("snapshot_exists", wrong)
                .class(Class::Refused)
                .on_host(self.host().name())
                .on_object("domain", self.name())
                .hint("choose another name, or delete_snapshot() it first"));
        }
        let xml = xml::build::snapshot(name, description)?;
        self.change_as(self.snapshot_change(name), |d, permit| d.snapshot(permit, &xml, options))
    }

    /// Sets it back to a snapshot; what happened since is lost.
    ///
    /// # Errors
    /// `no_domain_snapshot`; what libvirt said.
    pub fn revert(&self, name: &str, options: RevertOptions) -> Result<(), Fault> {
        self.must_have(name)?;
        let change =
            Change::new(self.host().name(), "domain", self.name(), "revert to snapshot").detail(name);
        self.change_as(change, |d, permit| d.revert(permit, name, options))
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// `no_domain_snapshot`; what libvirt said.
    pub fn delete_snapshot(&self, name: &str, children: bool) -> Result<(), Fault> {
        self.must_have(name)?;
        let change = Change::new(self.host().name(), "domain", self.name(), "delete snapshot").detail(name);
        self.change_as(change, |d, permit| d.delete_snapshot(permit, name, children))
    }

    fn snapshot_change(&self, name: &str) -> Change {
        Change::new(self.host().name(), "domain", self.name(), "snapshot").detail(name)
    }

    /// Before anything is planned or begun; what the plan makes counts as there.
    fn must_have(&self, name: &str) -> Result<(), Fault> {
        let gate = self.host().session().gate();
        if !self.is_known() || gate.mode() == Mode::Plan && gate.is_planned(&self.snapshot_change(name)) {
            return Ok(());
        }
        let names = self.snapshots()?;
        if names.iter().any(|known| known == name) {
            return Ok(());
        }
        let hint = crate::model::suggest::did_you_mean(name, names.iter().map(String::as_str));
        let hint = hint.unwrap_or_else(|| match names.len() {
            0 => "it has none".to_owned(),
            _ => format!("it has: {}", names.join(", ")),
        });
        Err(Fault::new("no_domain_snapshot", format!("{} has no snapshot {name}", self.name()))
            .on_host(self.host().name())
            .on_object("domain", self.name())
            .hint(hint))
    }
}
