//! A domain on a host.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Host;
use crate::gate::{Change, Outcome, Permit};
use crate::libvirt::{self, UndefineOptions, XmlKind};
use crate::model::{DomainInfo, DomainState, Fault, Hardware, JobStats};
use crate::xml;

/// A domain: a name on a host, and libvirt's handle while its connection lives.
#[derive(Debug, Clone)]
pub struct Domain {
    host: Host,
    name: String,
    handle: Arc<Mutex<Option<libvirt::Domain>>>,
}

impl Domain {
    pub(super) fn of(host: &Host, handle: libvirt::Domain, name: String) -> Self {
        Self { host: host.clone(), name, handle: Arc::new(Mutex::new(Some(handle))) }
    }

    /// A domain that a plan would define: changes to it can be planned, it has no properties.
    pub(super) fn planned(host: &Host, name: String) -> Self {
        Self { host: host.clone(), name, handle: Arc::default() }
    }

    /// Its host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// libvirt's handle; looked up again when its connection has broken.
    pub(super) fn handle(&self) -> Result<libvirt::Domain, Fault> {
        let mut kept = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = kept.as_ref().filter(|handle| handle.connection().is_alive()) {
            return Ok(handle.clone());
        }
        // By UUID where it is known: the name may be another guest's by now.
        let uuid = kept.as_ref().and_then(|handle| handle.uuid().ok());
        let found = self.host.ask(|c| match &uuid {
            Some(uuid) => c.domain_by_uuid(uuid),
            None => c.domain_by_name(&self.name),
        });
        let handle = found.map_err(|fault| fault.on_object("domain", &self.name))?;
        *kept = Some(handle.clone());
        Ok(handle)
    }

    /// Asks libvirt, once more over a new connection when the old one has broken.
    pub(super) fn ask<T>(
        &self,
        ask: impl Fn(&libvirt::Domain) -> Result<T, libvirt::Error>,
    ) -> Result<T, Fault> {
        let first = ask(&self.handle()?);
        let answer =
            if matches!(&first, Err(error) if error.is_lost()) { ask(&self.handle()?) } else { first };
        answer.map_err(|error| Fault::from(error).on_host(self.host.name()).on_object("domain", &self.name))
    }

    fn change(
        &self,
        action: &str,
        deed: impl FnOnce(&libvirt::Domain, &Permit) -> Result<(), libvirt::Error>,
    ) -> Result<(), Fault> {
        let change = Change::new(self.host.name(), "domain", &self.name, action);
        self.change_as(change, deed)
    }

    pub(super) fn change_as(
        &self,
        change: Change,
        deed: impl FnOnce(&libvirt::Domain, &Permit) -> Result<(), libvirt::Error>,
    ) -> Result<(), Fault> {
        self.host
            .change(change, |permit| {
                let handle = self.handle()?;
                deed(&handle, permit).map_err(Fault::from)
            })
            .map(drop)
    }

    /// UUID.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn uuid(&self) -> Result<String, Fault> {
        self.ask(libvirt::Domain::uuid)
    }

    /// The number of a running domain.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn id(&self) -> Result<Option<u32>, Fault> {
        self.ask(libvirt::Domain::id)
    }

    /// State now.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn state(&self) -> Result<DomainState, Fault> {
        self.ask(libvirt::Domain::state)
    }

    /// State, memory, processors.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn info(&self) -> Result<DomainInfo, Fault> {
        self.ask(libvirt::Domain::info)
    }

    /// The XML.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn xml(&self, kind: XmlKind) -> Result<String, Fault> {
        self.ask(|d| d.xml(kind))
    }

    /// What the XML says of devices, CPU and machine.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn hardware(&self) -> Result<Hardware, Fault> {
        Ok(xml::domain::hardware(&self.xml(XmlKind::Live)?)?)
    }

    /// Whether it has a definition.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn is_persistent(&self) -> Result<bool, Fault> {
        self.ask(libvirt::Domain::is_persistent)
    }

    /// Whether it starts with the host.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn autostart(&self) -> Result<bool, Fault> {
        self.ask(libvirt::Domain::autostart)
    }

    /// Whether a saved memory image waits for the next start.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn has_managed_save(&self) -> Result<bool, Fault> {
        self.ask(libvirt::Domain::has_managed_save)
    }

    /// The running job, or with `completed` the last one that ended; over the
    /// connection for figures, so that it answers during a migration.
    ///
    /// # Errors
    /// `no_domain`, `no_support`.
    pub fn job(&self, completed: bool) -> Result<JobStats, Fault> {
        let handle = self.stats_handle()?;
        handle.job(completed).map_err(|error| self.fault(error))
    }

    pub(super) fn fault(&self, error: libvirt::Error) -> Fault {
        Fault::from(error).on_host(self.host.name()).on_object("domain", &self.name)
    }

    /// A handle on the connection for figures.
    pub(super) fn stats_handle(&self) -> Result<libvirt::Domain, Fault> {
        let connection = self.host.stats_connection()?;
        let own = self.handle()?;
        if own.connection().uri() == connection.uri() && connection.uri().starts_with("test:") {
            return Ok(own);
        }
        let uuid = own.uuid().map_err(|error| self.fault(error))?;
        connection.domain_by_uuid(&uuid).map_err(|error| self.fault(error))
    }

    /// Starts it; one that runs is left alone. Without `force`, it must not run on another known host, nor a machine
    /// there that writes to one of its disks.
    ///
    /// # Errors
    /// `runs_elsewhere`, `disk_in_use`; what libvirt said.
    pub fn start(&self, paused: bool, force: bool) -> Result<(), Fault> {
        if self.is_known() && self.state()?.is_active() {
            return Ok(());
        }
        if self.is_known() && !force {
            let text = self.xml(XmlKind::Inactive)?;
            super::twice::refuse(self.host(), self.name(), Some(&self.uuid()?), &text)?;
        }
        // Explained within the change: only so the gate sees that a refused start has changed nothing.
        let change = Change::new(self.host.name(), "domain", &self.name, "start");
        let deed = |permit: &Permit| {
            let started = self.handle()?.start(permit, paused);
            started.map_err(|error| super::cpu::explain_start(self, error.into()))
        };
        self.host.change(change, deed).map(drop)
    }

    /// Its definition with its secrets, to be changed and given to [`Domain::redefine`]. A read-only session gets it
    /// without them.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn definition(&self) -> Result<String, Fault> {
        self.xml(if self.host.session().is_read_only() { XmlKind::Inactive } else { XmlKind::Whole })
    }

    /// Puts another definition in the place of the one that [`Domain::definition`] gave; tells whether they differ.
    ///
    /// # Errors
    /// `other_domain` when name or UUID differ; what libvirt said of the XML.
    pub fn redefine(&self, old: &str, new: &str) -> Result<bool, Fault> {
        if old == new {
            return Ok(false);
        }
        let identity = |text: &str| -> Result<_, Fault> {
            let xml = xml::edit::Edit::parse(text)?;
            Ok((xml.get("name")?, xml.get("uuid")?))
        };
        if identity(old)? != identity(new)? {
            let message =
                format!("with another name or UUID this would be another guest beside {}", self.name);
            return Err(Fault::new("other_domain", message)
                .class(crate::model::Class::Refused)
                .hint("leave <name> and <uuid> as they are; `host.define(xml)` makes another guest")
                .on_host(self.host.name())
                .on_object("domain", &self.name));
        }
        let mut change = Change::new(self.host.name(), "domain", &self.name, "define")
            .before(xml::secret::hidden(old))
            .after(xml::secret::hidden(new));
        let runs = self.state()?.is_active();
        if runs {
            change = change.detail("takes effect at the next start");
        }
        let connection = self.host.connection()?;
        let made = self.host.change(change, |permit| connection.define_domain(permit, new))?;
        if runs && matches!(made, Outcome::Done(_)) {
            let progress = self.host.session().progress();
            progress.say(&format!("{} runs: the change takes effect at its next start", self.name));
        }
        Ok(true)
    }

    /// What runs it: emulator, architecture, machine, type.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn hypervisor(&self) -> Result<libvirt::Hypervisor, Fault> {
        let hardware = xml::domain::hardware(&self.xml(XmlKind::Inactive)?)?;
        Ok(libvirt::Hypervisor {
            emulator: hardware.emulator,
            arch: hardware.arch,
            machine: hardware.machine,
            virt_type: hardware.virt_type,
        })
    }

    /// Whether libvirt knows it, which is not so for one that a plan would define.
    pub(super) fn is_known(&self) -> bool {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Asks the guest to shut down and waits until it has, at most `limit`; zero does not wait.
    ///
    /// # Errors
    /// `shutdown_timeout` when it still runs then.
    pub fn shutdown(&self, limit: Duration) -> Result<(), Fault> {
        if self.is_known() && !self.state()?.is_active() {
            return Ok(());
        }
        let cancel = self.host.session().cancel();
        let change = Change::new(self.host.name(), "domain", &self.name, "shutdown");
        self.host
            .change(change, |permit| -> Result<(), Fault> {
                let handle = self.handle()?;
                handle.shutdown(permit).map_err(|error| self.fault(error))?;
                let began = Instant::now();
                while !limit.is_zero() {
                    match handle.state() {
                        Ok(state) if state.is_active() => {}
                        Ok(_) => break,
                        // A transient guest is gone when it stops.
                        Err(error) if error.is_not_found() => break,
                        Err(error) => return Err(self.fault(error)),
                    }
                    if began.elapsed() >= limit {
                        return Err(Fault::new(
                            "shutdown_timeout",
                            format!("{} has not shut down within {} s", self.name, limit.as_secs()),
                        )
                        .hint("the guest may ignore ACPI, or ask its user; destroy() pulls the plug"));
                    }
                    if let Some(stop) = cancel.sleep(Duration::from_millis(200)) {
                        return Err(stop.fault());
                    }
                }
                Ok(())
            })
            .map(drop)
    }

    /// Asks the guest to reboot.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn reboot(&self) -> Result<(), Fault> {
        self.change("reboot", |d, permit| d.reboot(permit))
    }

    /// The reset button.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn reset(&self) -> Result<(), Fault> {
        self.change("reset", |d, permit| d.reset(permit))
    }

    /// Pulls the plug; one that is off is left alone.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn destroy(&self, graceful: bool) -> Result<(), Fault> {
        if self.is_known() && !self.state()?.is_active() {
            return Ok(());
        }
        self.change("destroy", |d, permit| d.destroy(permit, graceful))
    }

    /// Stops its processors.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn suspend(&self) -> Result<(), Fault> {
        self.change("suspend", |d, permit| d.suspend(permit))
    }

    /// Lets its processors run again.
    ///
    /// # Errors
    /// `operation_invalid` when it is not paused.
    pub fn resume(&self) -> Result<(), Fault> {
        self.change("resume", |d, permit| d.resume(permit))
    }

    /// Removes its definition.
    ///
    /// # Errors
    /// `operation_invalid` when snapshots, NVRAM or a saved image are there and not named.
    pub fn undefine(&self, options: UndefineOptions) -> Result<(), Fault> {
        let mut change = Change::new(self.host.name(), "domain", &self.name, "undefine");
        if self.is_known() {
            change = change.before(xml::secret::hidden(&self.xml(XmlKind::Inactive)?));
        }
        self.change_as(change, |d, permit| d.undefine(permit, options))
    }

    /// Whether it shall start with the host; does nothing where it is so already.
    ///
    /// # Errors
    /// `operation_invalid` for a transient domain.
    pub fn set_autostart(&self, on: bool) -> Result<(), Fault> {
        if self.is_known() && self.autostart()? == on {
            return Ok(());
        }
        let action = if on { "autostart" } else { "no autostart" };
        self.change(action, |d, permit| d.set_autostart(permit, on))
    }

    /// Aborts its running job, also one of somebody else who holds the lease on the host.
    ///
    /// # Errors
    /// `operation_invalid` when there is none.
    pub fn abort_job(&self) -> Result<(), Fault> {
        let change = Change::new(self.host.name(), "domain", &self.name, "abort job");
        self.host
            .change_unleased(change, |permit| {
                let handle = self.stats_handle()?;
                handle.abort_job(permit).map_err(|error| self.fault(error))
            })
            .map(drop)
    }
}
