//! One run's settings and connections. (Stub of this branch: replaced at merge.)

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::gate::{Gate, Journal, Mode};
use crate::inventory;
use crate::model::{Cancel, Class, Fault, Inventory, Progress, Prompt, Target};

/// What the command line decides about a run.
#[derive(Debug)]
pub struct Settings {
    /// The hosts.
    pub inventory: Inventory,
    /// `-H`: which of them are meant; empty: all.
    pub select: Vec<String>,
    /// Apply, plan or read-only.
    pub mode: Mode,
    /// Where changes are written down.
    pub journal: Journal,
    /// `--yes`.
    pub assume_yes: bool,
    /// Someone can answer.
    pub interactive: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    /// Where progress goes.
    pub progress: Arc<dyn Progress>,
    /// Stops everything.
    pub cancel: Cancel,
    /// Whom to ask.
    pub prompt: Option<Arc<dyn Prompt>>,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Session(Arc<(Settings, Gate)>);

/// The key a host shows. (At merge: `ssh::HostKey`.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// Its type: `ssh-ed25519`.
    pub kind: String,
    /// `SHA256:…`, as OpenSSH prints it.
    pub fingerprint: String,
    /// What the known_hosts files say about it.
    pub state: KeyState,
}

/// What the known_hosts files say about a host's key. (At merge: `ssh::KeyState`.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// It is there.
    Known {
        /// File and line.
        at: String,
    },
    /// The host is not there.
    Unknown {
        /// Only a `@cert-authority` is there, which kvmsh cannot use.
        only_authority: bool,
    },
    /// Another key is there.
    Changed {
        /// File and line of the other key.
        at: String,
        /// Type and fingerprint of the other key.
        known: String,
    },
    /// It is there, marked `@revoked`.
    Revoked {
        /// File and line.
        at: String,
    },
}

/// What `hosts test` finds out.
#[derive(Debug)]
pub struct HostCheck {
    /// How long a command took over SSH; `None` for this machine.
    pub ssh: Result<Option<Duration>, Fault>,
    /// For instance `libvirt 9.0.0, QEMU 7.2.9`.
    pub libvirt: Result<String, Fault>,
}

/// A host.
#[derive(Debug, Clone)]
pub struct Host(Target);

impl Session {
    /// A run with these settings.
    pub fn new(mut settings: Settings) -> Self {
        let journal = std::mem::replace(&mut settings.journal, Journal::off());
        let gate = Gate::new(settings.mode, journal);
        Self(Arc::new((settings, gate)))
    }

    /// The gate that every change passes.
    pub fn gate(&self) -> &Gate {
        &self.0.1
    }

    /// What stops everything.
    pub fn cancel(&self) -> &Cancel {
        &self.0.0.cancel
    }

    /// The hosts.
    pub fn inventory(&self) -> &Inventory {
        &self.0.0.inventory
    }

    /// Hosts by pattern.
    ///
    /// # Errors
    /// `unknown_host`.
    pub fn hosts(&self, patterns: &[String]) -> Result<Vec<Host>, Fault> {
        let patterns = if patterns.is_empty() { &self.0.0.select } else { patterns };
        let chosen = inventory::select(self.inventory(), patterns)?;
        Ok(chosen.into_iter().map(|host| Host(host.target.clone())).collect())
    }

    /// A host that is not in the inventory yet.
    pub fn stranger(&self, target: &Target) -> Host {
        Host(target.clone())
    }
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Tries SSH and libvirt.
    pub fn check(&self) -> HostCheck {
        let fail = || {
            Fault::new("connect", "cannot connect: this build has no transport")
                .class(Class::Connect)
                .on_host(self.name())
        };
        let ssh = if self.0.address.is_some() { Err(fail()) } else { Ok(None) };
        HostCheck { ssh, libvirt: Err(fail()) }
    }

    /// The SSH key that the host shows now.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub fn host_key(&self) -> Result<HostKey, Fault> {
        Err(Fault::new("connect", "cannot connect: this build has no transport")
            .class(Class::Connect)
            .on_host(self.name()))
    }

    /// Records the key in known_hosts, and returns that file.
    ///
    /// # Errors
    /// `host_key_changed` or `host_key_revoked` for such a key.
    pub fn trust_host_key(&self, _key: &HostKey) -> Result<PathBuf, Fault> {
        Err(Fault::new("connect", "this build has no transport").class(Class::Connect))
    }
}
