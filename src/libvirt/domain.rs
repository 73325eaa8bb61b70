//! Domains: look-up, lifecycle, XML, figures.

use std::time::Duration;

use virt::domain as virt_domain;
use virt::sys;

use super::answer::{self, Answer};
use super::{Connection, Error, raw};
use crate::gate::Permit;
use crate::model::{Bytes, DomainInfo, DomainState, JobStats};

/// A domain of one connection; cheap to clone.
#[derive(Debug, Clone)]
pub struct Domain {
    pub(super) connection: Connection,
    pub(super) domain: virt_domain::Domain,
}

/// Which of a domain's XML descriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XmlKind {
    /// As it runs now; of a domain that is off, the definition.
    Live,
    /// The definition that the next start uses.
    Inactive,
    /// The definition with its secrets, to be defined again.
    Whole,
    /// Fit for another host: what libvirt itself sends in a migration.
    Migratable,
}

/// What goes with the definition when a domain is undefined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UndefineOptions {
    /// Its saved memory image.
    pub managed_save: bool,
    /// The records of its snapshots.
    pub snapshots_metadata: bool,
    /// Its UEFI variables.
    pub nvram: bool,
}

impl Connection {
    /// The domain of this name.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn domain_by_name(&self, name: &str) -> Result<Domain, Error> {
        let name = name.to_owned();
        self.call(move |c| c.lookup_domain_by_name(&name)).map(|domain| self.own(domain))
    }

    /// The domain of this UUID.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn domain_by_uuid(&self, uuid: &str) -> Result<Domain, Error> {
        let uuid = uuid.to_owned();
        self.call(move |c| c.lookup_domain_by_uuid_string(&uuid)).map(|domain| self.own(domain))
    }

    /// All domains, running or not.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn domains(&self) -> Result<Vec<Domain>, Error> {
        let domains = self.call(|c| c.list_all_domains(0))?;
        Ok(domains.into_iter().map(|domain| self.own(domain)).collect())
    }

    /// Defines a domain, or changes the definition of the one with its name and UUID.
    ///
    /// # Errors
    /// What libvirt said: `xml_error`, `config_unsupported`, …
    pub fn define_domain(&self, _: &Permit, xml: &str) -> Result<Domain, Error> {
        let xml = xml.to_owned();
        self.tell(move |c| c.define_domain_xml_flags(&xml, sys::VIR_DOMAIN_DEFINE_VALIDATE))
            .map(|domain| self.own(domain))
    }

    /// Starts a transient domain: it is gone when it stops.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn create_domain(&self, _: &Permit, xml: &str) -> Result<Domain, Error> {
        let xml = xml.to_owned();
        self.tell(move |c| c.create_domain_xml(&xml, sys::VIR_DOMAIN_START_VALIDATE))
            .map(|domain| self.own(domain))
    }

    pub(super) fn own(&self, domain: virt_domain::Domain) -> Domain {
        Domain { connection: self.clone(), domain }
    }
}

/// An abort under way.
#[derive(Debug)]
pub struct Abort(Answer<()>);

impl Abort {
    /// How it ended, if it has.
    pub fn ended(&self) -> Option<Result<(), Error>> {
        self.0.within(Duration::ZERO)
    }
}

impl Domain {
    pub(super) fn ask<T: Send + 'static, E: Into<Error> + 'static>(
        &self,
        call: impl FnOnce(&virt_domain::Domain) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Error> {
        let domain = self.domain.clone();
        self.connection.call(move |_| call(&domain))
    }

    pub(super) fn tell<E: Into<Error> + 'static>(
        &self,
        call: impl FnOnce(&virt_domain::Domain) -> Result<(), E> + Send + 'static,
    ) -> Result<(), Error> {
        let domain = self.domain.clone();
        self.connection.tell(move |_| call(&domain))
    }

    /// The connection it was looked up on.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Name. Asks nobody.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn name(&self) -> Result<String, Error> {
        self.domain.name().map_err(Error::from)
    }

    /// UUID. Asks nobody.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn uuid(&self) -> Result<String, Error> {
        self.domain.uuid_string().map_err(Error::from)
    }

    /// The number of a running domain.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn id(&self) -> Result<Option<u32>, Error> {
        // The id in the handle is as old as the look-up.
        let uuid = self.uuid()?;
        Ok(self.connection.domain_by_uuid(&uuid)?.domain.id())
    }

    /// The state now.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn state(&self) -> Result<DomainState, Error> {
        self.ask(raw::domain_state).map(|(state, _)| DomainState::from_libvirt(state))
    }

    /// State, memory, processors.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn info(&self) -> Result<DomainInfo, Error> {
        let info = self.ask(virt_domain::Domain::info)?;
        Ok(DomainInfo {
            state: DomainState::from_libvirt(i32::try_from(info.state.to_raw()).unwrap_or(0)),
            max_memory: Bytes::from_kib(info.max_mem),
            memory: Bytes::from_kib(info.memory),
            vcpus: info.nr_virt_cpu,
            cpu_time: info.cpu_time,
        })
    }

    /// The XML.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn xml(&self, kind: XmlKind) -> Result<String, Error> {
        let flags = match kind {
            XmlKind::Live => 0,
            XmlKind::Inactive => sys::VIR_DOMAIN_XML_INACTIVE,
            XmlKind::Whole => sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE,
            XmlKind::Migratable => sys::VIR_DOMAIN_XML_MIGRATABLE | sys::VIR_DOMAIN_XML_INACTIVE,
        };
        self.ask(move |d| d.xml_desc(flags))
    }

    /// Whether it has a definition that outlives its run.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn is_persistent(&self) -> Result<bool, Error> {
        self.ask(virt_domain::Domain::is_persistent)
    }

    /// Whether it starts with the host.
    ///
    /// # Errors
    /// `no_domain`.
    pub fn autostart(&self) -> Result<bool, Error> {
        self.ask(virt_domain::Domain::autostart)
    }

    /// Whether a saved memory image waits for the next start.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn has_managed_save(&self) -> Result<bool, Error> {
        self.ask(move |d| d.has_managed_save(0))
    }

    /// The job that runs now, or with `completed` the last one that ended here.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn job(&self, completed: bool) -> Result<JobStats, Error> {
        // Keep it: reading must not delete what the next reader wants.
        let flags = if completed {
            sys::VIR_DOMAIN_JOB_STATS_COMPLETED | sys::VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
        } else {
            0
        };
        self.ask(move |d| raw::job_stats(d, flags))
            .map(|(kind, params)| super::migration::job_from(kind, &params))
    }

    /// Starts it.
    ///
    /// # Errors
    /// `operation_invalid` when it runs already.
    pub fn start(&self, _: &Permit, paused: bool) -> Result<(), Error> {
        let flags = if paused { sys::VIR_DOMAIN_START_PAUSED } else { sys::VIR_DOMAIN_NONE };
        self.tell(move |d| d.create_with_flags(flags))
    }

    /// Asks the guest to shut down; does not wait.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn shutdown(&self, _: &Permit) -> Result<(), Error> {
        self.tell(virt_domain::Domain::shutdown)
    }

    /// Asks the guest to reboot.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn reboot(&self, _: &Permit) -> Result<(), Error> {
        self.tell(move |d| d.reboot(sys::VIR_DOMAIN_REBOOT_DEFAULT))
    }

    /// The reset button.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn reset(&self, _: &Permit) -> Result<(), Error> {
        self.tell(virt_domain::Domain::reset)
    }

    /// Pulls the plug. With `graceful`, only if QEMU ends on SIGTERM, so that it can flush.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn destroy(&self, _: &Permit, graceful: bool) -> Result<(), Error> {
        let flags = if graceful { sys::VIR_DOMAIN_DESTROY_GRACEFUL } else { sys::VIR_DOMAIN_DESTROY_DEFAULT };
        self.tell(move |d| d.destroy_flags(flags))
    }

    /// Stops its processors.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn suspend(&self, _: &Permit) -> Result<(), Error> {
        self.tell(virt_domain::Domain::suspend)
    }

    /// Lets its processors run again.
    ///
    /// # Errors
    /// `operation_invalid` when it is not paused.
    pub fn resume(&self, _: &Permit) -> Result<(), Error> {
        self.tell(virt_domain::Domain::resume)
    }

    /// Removes its definition; one that runs goes on until it stops.
    ///
    /// # Errors
    /// `operation_invalid` when something named in the options is there and not named.
    pub fn undefine(&self, _: &Permit, options: UndefineOptions) -> Result<(), Error> {
        let mut flags = 0;
        if options.managed_save {
            flags |= sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE;
        }
        if options.snapshots_metadata {
            flags |= sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
        }
        flags |=
            if options.nvram { sys::VIR_DOMAIN_UNDEFINE_NVRAM } else { sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM };
        match self.tell(move |d| d.undefine_flags(flags)) {
            // Drivers without firmware know no NVRAM flags.
            Err(error) if error.is_unsupported() || error.is(virt::error::ErrorNumber::InvalidArg) => {
                flags &= !(sys::VIR_DOMAIN_UNDEFINE_NVRAM | sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM);
                self.tell(move |d| d.undefine_flags(flags))
            }
            result => result,
        }
    }

    /// Whether it shall start with the host.
    ///
    /// # Errors
    /// `operation_invalid` for a transient domain.
    pub fn set_autostart(&self, _: &Permit, on: bool) -> Result<(), Error> {
        self.tell(move |d| d.set_autostart(on))
    }

    /// Aborts the running job, for instance a migration.
    ///
    /// # Errors
    /// `operation_invalid` when there is none.
    pub fn abort_job(&self, _: &Permit) -> Result<(), Error> {
        self.tell(raw::abort_job)
    }

    /// Begins to abort the running job, and does not wait: a frozen QEMU would.
    ///
    /// # Errors
    /// When no thread could be started.
    pub fn begin_abort(&self, _: &Permit) -> Result<Abort, Error> {
        let (domain, connection) = (self.domain.clone(), self.connection.clone());
        let abort = move || {
            let aborted = raw::abort_job(&domain);
            connection.judge(aborted)
        };
        answer::begin("libvirt abort", abort).map(Abort)
    }

    /// Switches the running migration to post-copy.
    ///
    /// # Errors
    /// `operation_invalid` when none runs or post-copy was not allowed.
    pub fn start_post_copy(&self, _: &Permit) -> Result<(), Error> {
        self.tell(raw::start_post_copy)
    }

    /// The longest pause a migration may end with, in ms. Sticks until changed.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn set_max_downtime(&self, _: &Permit, ms: u64) -> Result<(), Error> {
        self.tell(move |d| d.migrate_set_max_downtime(ms, 0))
    }
}
