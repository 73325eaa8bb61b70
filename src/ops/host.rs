//! A host: libvirt and a shell under one name.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::lanes::{Lanes, Place};
use super::{Cpu, Session};
use crate::gate::{Change, Outcome, Permit};
use crate::libvirt::{self, Connection, Hypervisor};
use crate::model::{Bytes, Class, DomainState, Fault, HostEntry, NodeInfo, NodeMemory, Target, Versions};
use crate::ssh::{self, HostKey, Shell};
use crate::xml;

/// How long opening a libvirt connection may take. ssh itself gives up
/// connecting after 5 s; the rest is for a slow daemon.
const OPEN_LIMIT: Duration = Duration::from_secs(9);

/// How long a host that could not be reached counts as down: long enough for
/// those who queued for the same connection, short enough for a retry.
const STILL_DOWN: Duration = Duration::from_secs(2);

/// A host; cheap to clone.
#[derive(Debug, Clone)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    session: Session,
    target: Target,
    reserve: Option<Bytes>,
    migration_address: Option<String>,
    shell: Shell,
    /// For properties, definitions and lifecycle.
    main: Mutex<Option<Connection>>,
    /// For figures, job statistics and aborts, which must get through while `main` is busy.
    stats: Mutex<Option<Connection>>,
    /// For events.
    events: Mutex<Option<Connection>>,
    lanes: Lanes,
    /// Why opening failed last, and when: those who waited for it need not try again.
    failed: Mutex<Option<(Instant, Fault)>>,
    capabilities: OnceLock<xml::host::HostCapabilities>,
}

/// Whether a host can be reached both ways.
#[derive(Debug, Clone)]
pub struct HostCheck {
    /// How long SSH took, `None` for this machine; or why it failed.
    pub ssh: Result<Option<Duration>, Fault>,
    /// Versions, or why libvirt cannot be reached.
    pub libvirt: Result<String, Fault>,
}

impl Host {
    pub(super) fn new(session: Session, entry: &HostEntry) -> Self {
        let shell = Shell::new(entry.target.clone(), session.shell_settings());
        Self::with(session, entry.target.clone(), entry.reserve, entry.migration_address.clone(), shell)
    }

    /// The same host through another shell, with connections of its own.
    pub(super) fn through(&self, shell: Shell) -> Self {
        let Inner { session, target, reserve, migration_address, .. } = &*self.0;
        Self::with(session.clone(), target.clone(), *reserve, migration_address.clone(), shell)
    }

    fn with(
        session: Session,
        target: Target,
        reserve: Option<Bytes>,
        migration_address: Option<String>,
        shell: Shell,
    ) -> Self {
        Self(Arc::new(Inner {
            session,
            shell,
            reserve,
            migration_address,
            target,
            main: Mutex::default(),
            stats: Mutex::default(),
            events: Mutex::default(),
            lanes: Lanes::default(),
            failed: Mutex::default(),
            capabilities: OnceLock::new(),
        }))
    }

    /// The name people use.
    pub fn name(&self) -> &str {
        &self.0.target.name
    }

    /// How it is reached.
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// The run it belongs to.
    pub fn session(&self) -> &Session {
        &self.0.session
    }

    /// Its shell, over SSH or on this machine.
    pub fn shell(&self) -> &Shell {
        &self.0.shell
    }

    /// Memory that stays free for the host itself when guests are placed there, where the inventory says so.
    pub fn reserve(&self) -> Option<Bytes> {
        self.0.reserve
    }

    /// The address that other hosts send migrations to: the inventory's
    /// `migration_address`, else its `address`.
    pub fn migration_address(&self) -> Option<&str> {
        self.0.migration_address.as_deref().or(self.0.target.address.as_deref())
    }

    /// Whether the inventory names a network of its own for migrations.
    pub fn has_migration_address(&self) -> bool {
        self.0.migration_address.is_some()
    }

    /// The libvirt URI that stands for it, without kvmsh's own transport options.
    pub fn uri(&self) -> String {
        let target = &self.0.target;
        if let Some(uri) = &target.uri {
            return uri.clone();
        }
        let address = target.address.as_deref().unwrap_or("localhost");
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let user = target.user.as_deref().unwrap_or("root");
        let port = target.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("qemu+ssh://{user}@{address}{port}/system")
    }

    /// The URI that libvirt is opened with: over SSH, through the same keys,
    /// known hosts and jump host as our own sessions.
    fn transport_uri(&self) -> Result<String, Fault> {
        let target = &self.0.target;
        let plain = target.uri.as_ref().is_none_or(|uri| uri.contains("+ssh://") && !uri.contains('?'));
        if target.address.is_none() || !plain {
            return Ok(self.uri());
        }
        let wrapper = self.0.shell.libvirt_transport()?;
        let (driver, path) = match &target.uri {
            Some(uri) => {
                let (driver, rest) = uri.split_once("://").unwrap_or(("qemu+ssh", ""));
                (driver.to_owned(), rest.split_once('/').map_or("system", |(_, path)| path).to_owned())
            }
            None => ("qemu+ssh".to_owned(), "system".to_owned()),
        };
        // The wrapper's ssh_config knows the host by its address, and user and port with it.
        let address = target.address.as_deref().unwrap_or("localhost");
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        Ok(format!("{driver}://{address}/{path}?command={}&no_tty=1", wrapper.display()))
    }

    fn open(&self) -> Result<Connection, Fault> {
        let failed = || self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fault)) = failed().as_ref().filter(|(at, _)| at.elapsed() < STILL_DOWN) {
            return Err(fault.clone());
        }
        let opened = self.open_anew();
        *failed() = opened.as_ref().err().map(|fault| (Instant::now(), fault.clone()));
        opened
    }

    fn open_anew(&self) -> Result<Connection, Fault> {
        let uri = self.transport_uri()?;
        let read_only = self.0.session.is_read_only();
        Connection::open(&uri, read_only, OPEN_LIMIT, self.0.session.cancel()).map_err(|error| {
            if matches!(error, libvirt::Error::Stopped(_)) { error.into() } else { self.explain(error) }
        })
    }

    /// Finds out why libvirt could not be reached, without reading ssh's words:
    /// first whether SSH works at all, then whether there is a libvirt.
    fn explain(&self, error: libvirt::Error) -> Fault {
        let local = self.0.target.address.is_none();
        if !local && let Err(fault) = self.0.shell.connect() {
            return Fault::from(fault).class(Class::Connect).on_host(self.name());
        }
        let timed_out = matches!(error, libvirt::Error::OpenTimeout { .. });
        let fault = Fault::from(error).class(Class::Connect).on_host(self.name());
        if !self.uri().starts_with("qemu") || timed_out {
            return fault;
        }
        let probe = ssh::Probe::script(
            "PATH=$PATH:/usr/sbin:/sbin; if command -v libvirtd || command -v virtqemud; then exit 0; else exit 7; fi",
            [""; 0],
        );
        let said = fault.to_string();
        match self.0.shell.probe(&probe.timeout(Duration::from_secs(5))) {
            Ok(output) if output.status == 7 => {
                Fault::new("libvirt_missing", format!("libvirt is not installed on {}", self.name()))
                    .class(Class::Connect)
                    .on_host(self.name())
                    .because(said)
                    .hint("install it there: `apt-get install libvirt-daemon-system qemu-system-x86` on Debian and Ubuntu")
            }
            Ok(_) => Fault::new("libvirt_unreachable", format!("the libvirt daemon on {} does not answer", self.name()))
                .class(Class::Connect)
                .on_host(self.name())
                .because(said)
                .hint("look there: `systemctl status libvirtd.socket virtqemud.socket`; the user must be root or in the group libvirt"),
            Err(_) => fault,
        }
    }

    fn live(&self, slot: &Mutex<Option<Connection>>) -> Result<Connection, Fault> {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_alive()) {
            return Ok(connection.clone());
        }
        let connection = self.open()?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// The connection for properties, definitions and lifecycle.
    ///
    /// # Errors
    /// Faults of the class [`Class::Connect`], which say what is the matter.
    pub fn connection(&self) -> Result<Connection, Fault> {
        self.live(&self.0.main)
    }

    /// Whether the connection for properties is open and alive. Asks nobody.
    pub fn is_connected(&self) -> bool {
        let slot = self.0.main.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().is_some_and(Connection::is_alive)
    }

    /// The connection for figures and aborts.
    ///
    /// # Errors
    /// As [`Host::connection`].
    pub fn stats_connection(&self) -> Result<Connection, Fault> {
        if self.in_process() { self.connection() } else { self.live(&self.0.stats) }
    }

    /// The connection for events.
    ///
    /// # Errors
    /// As [`Host::connection`].
    pub fn events_connection(&self) -> Result<Connection, Fault> {
        if self.in_process() { self.connection() } else { self.live(&self.0.events) }
    }

    pub(super) fn migration_place(&self) -> Result<Place, Fault> {
        self.0.lanes.take(|| self.open())
    }

    /// Whether opening failed within this time, and nothing has succeeded since. Asks nobody.
    pub(super) fn was_down(&self, within: Duration) -> bool {
        let failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().is_some_and(|(at, _)| at.elapsed() < within)
    }

    /// The test driver: no daemon, no limit of requests, and each connection
    /// to a file is a host of its own.
    pub(super) fn in_process(&self) -> bool {
        self.uri().starts_with("test:")
    }

    /// Asks libvirt, once more over a new connection when the old one has broken.
    ///
    /// # Errors
    /// What libvirt said, with this host's name.
    pub fn ask<T>(&self, ask: impl Fn(&Connection) -> Result<T, libvirt::Error>) -> Result<T, Fault> {
        let first = ask(&self.connection()?);
        let lost = matches!(&first, Err(error) if error.is_lost());
        let answer = if lost { ask(&self.connection()?) } else { first };
        answer.map_err(|error| Fault::from(error).on_host(self.name()))
    }

    /// Where a domain of this UUID stands here; `None` when there is none.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn domain_state(&self, uuid: &str) -> Result<Option<DomainState>, Fault> {
        self.ask(|c| match c.domain_by_uuid(uuid).and_then(|domain| domain.state()) {
            Ok(state) => Ok(Some(state)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// Lets a change of the host through the gate, with the lease on the host.
    ///
    /// # Errors
    /// The gate's refusals, and what the deed said, with this host's name; as [`Host::lease`].
    pub fn change<T, E: Into<Fault>>(
        &self,
        change: Change,
        deed: impl FnOnce(&Permit) -> Result<T, E>,
    ) -> Result<Outcome<T>, Fault> {
        self.lease()?;
        self.change_unleased(change, deed)
    }

    /// As [`Host::change`], for what changes nothing on the host that others could get in the way of: this machine's
    /// own files, a joined console.
    ///
    /// # Errors
    /// The gate's refusals, and what the deed said, with this host's name.
    pub fn change_unleased<T, E: Into<Fault>>(
        &self,
        change: Change,
        deed: impl FnOnce(&Permit) -> Result<T, E>,
    ) -> Result<Outcome<T>, Fault> {
        let (kind, object) = (change.kind.clone(), change.object.clone());
        self.0
            .session
            .gate()
            .apply(change, deed)
            .map_err(|fault| fault.on_host(self.name()).on_object(&kind, &object))
    }

    /// Whether both ways to the host work; asks at once, keeps what it opens.
    pub fn check(&self) -> HostCheck {
        let began = Instant::now();
        let ssh = match &self.0.target.address {
            None => Ok(None),
            Some(_) => self
                .0
                .shell
                .connect()
                .map(|()| Some(began.elapsed()))
                .map_err(|error| Fault::from(error).on_host(self.name())),
        };
        let libvirt = match &ssh {
            Err(fault) => Err(fault.clone()),
            Ok(_) => self.versions().map(|v| format!("libvirt {}, {} {}", v.libvirt, v.driver, v.hypervisor)),
        };
        HostCheck { ssh, libvirt }
    }

    /// The key that the host shows over SSH.
    ///
    /// # Errors
    /// Faults of the class [`Class::Connect`]; `local_host` for this machine itself.
    pub fn host_key(&self) -> Result<HostKey, Fault> {
        if self.0.shell.is_local() {
            let message = format!("{} is this machine itself: nobody logs in over SSH", self.name());
            return Err(Fault::new("local_host", message).class(Class::Refused).on_host(self.name()));
        }
        self.0.shell.host_key().map_err(|error| Fault::from(error).on_host(self.name()))
    }

    /// Writes the key to the known_hosts file and returns that file.
    ///
    /// # Errors
    /// `host_key_changed`, `host_key_revoked`, and what the file system said.
    pub fn trust_host_key(&self, key: &HostKey) -> Result<PathBuf, Fault> {
        self.0.shell.trust_host_key(key).map_err(|error| Fault::from(error).on_host(self.name()))
    }

    /// Whether libvirt answers now.
    pub fn is_alive(&self) -> bool {
        self.ask(Connection::hostname).is_ok()
    }

    /// The host's own name.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn hostname(&self) -> Result<String, Fault> {
        self.ask(Connection::hostname)
    }

    /// Versions of libvirt and the hypervisor.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn versions(&self) -> Result<Versions, Fault> {
        self.ask(Connection::versions)
    }

    /// Processors and memory.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn node_info(&self) -> Result<NodeInfo, Fault> {
        self.ask(Connection::node_info)
    }

    /// Memory now.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn memory(&self) -> Result<NodeMemory, Fault> {
        self.ask(Connection::memory)
    }

    /// The capabilities XML.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn capabilities_xml(&self) -> Result<String, Fault> {
        self.ask(Connection::capabilities)
    }

    /// The capabilities, read once: they do not change while a daemon runs.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn capabilities(&self) -> Result<&xml::host::HostCapabilities, Fault> {
        if let Some(known) = self.0.capabilities.get() {
            return Ok(known);
        }
        let read = xml::host::capabilities(&self.capabilities_xml()?)?;
        Ok(self.0.capabilities.get_or_init(|| read))
    }

    /// The domain capabilities XML.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn domain_capabilities_xml(&self, of: &Hypervisor) -> Result<String, Fault> {
        self.ask(|c| c.domain_capabilities(of))
    }

    /// The host's CPU.
    pub fn cpu(&self) -> Cpu {
        Cpu::new(self.clone())
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}
