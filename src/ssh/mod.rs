//! A host's shell: commands, files and facts, over SSH or on this machine.
//!
//! SSH is libssh2's (crate `ssh2`), configured by OpenSSH itself (`ssh -G`), so
//! that `~/.ssh/config`, keys, known hosts and jump hosts mean the same here and
//! for libvirt's `qemu+ssh`. What changes a host takes a [`Permit`].

mod account;
mod advice;
mod auth;
pub mod authorized_keys;
mod cksum;
mod command;
mod config;
mod connect;
mod error;
mod exec;
mod facts;
mod files;
mod flow;
mod keys;
mod known_hosts;
mod limit;
mod local;
mod own_key;
mod pool;
mod proxy;
mod runtime_dir;
mod session;
mod settings;
mod survey;
mod transfer;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

pub use account::{Account, Chain, Step};
pub use command::{Command, Exit, OUTPUT_LIMIT, Output, Probe, shell_line};
pub use config::SshConfig;
pub use error::{Error, FileError, Kind};
pub use facts::Facts;
pub use files::{FileKind, Metadata, WriteOptions, Written};
pub use known_hosts::{HostKey, KeyState, Merge};
pub use own_key::{Accepted, OwnKey};
use settings::OPEN;
pub use settings::{HANDSHAKE, Login, PROBE_TIMEOUT, Passphrases, Password, RUN_TIMEOUT, Settings, Trust};
pub use survey::Survey;
pub use transfer::Meter;

use crate::gate::Permit;
use crate::model::{Cancel, Target};
use config::Hop;
use flow::{Collect, Feed, Flow};
use limit::{Limit, Stall};
use pool::Pool;
use session::Opening;

/// A host's shell: over SSH, or this machine itself when the target has no address.
///
/// Cheap to clone; clones share their connections. Each running command has a
/// connection of its own, which is kept for the next one.
#[derive(Clone)]
pub struct Shell {
    host: Arc<Host>,
    cancel: Cancel,
    sudo: bool,
}

struct Host {
    target: Target,
    settings: Settings,
    /// The directory with the generated config, and what it comes to.
    resolved: OnceLock<(PathBuf, SshConfig)>,
    pool: Pool,
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").field("target", &self.host.target).finish_non_exhaustive()
    }
}

impl Shell {
    /// The shell of this target. Nothing is opened before it is used.
    pub fn new(target: Target, settings: Settings) -> Self {
        let cancel = settings.cancel.clone();
        let host = Host { target, settings, resolved: OnceLock::new(), pool: Pool::default() };
        Self { host: Arc::new(host), cancel, sudo: false }
    }

    /// The same shell and connections, stopped by another token: for cleaning
    /// up after the first one has stopped everything.
    #[must_use]
    pub fn with_cancel(&self, cancel: Cancel) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// The same shell and connections, everything run with `sudo -n`.
    #[must_use]
    pub fn with_sudo(&self) -> Self {
        Self { sudo: true, ..self.clone() }
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.host.target
    }

    /// Whether it is this machine, reached without SSH.
    pub fn is_local(&self) -> bool {
        self.host.target.address.is_none()
    }

    /// Opens a connection now and logs in, unless one is open already.
    ///
    /// # Errors
    /// Everything of the class `Connect`, see [`Kind`].
    pub fn connect(&self) -> Result<(), Error> {
        if self.is_local() {
            return Ok(());
        }
        let (wire, _) = self.checkout().map_err(|kind| self.error(kind))?;
        self.host.pool.put(wire);
        Ok(())
    }

    /// Closes the connections that are idle.
    pub fn disconnect(&self) {
        self.host.pool.clear();
    }

    /// What OpenSSH makes of the inventory and `~/.ssh/config`.
    ///
    /// # Errors
    /// `bad_host_entry`, `ssh_config`, `no_program`, `runtime_dir`.
    pub fn config(&self) -> Result<&SshConfig, Error> {
        self.resolved().map(|(_, config)| config).map_err(|kind| self.error(kind))
    }

    /// The key that the host shows now, and whether it is known. Logs in nowhere
    /// but on jump hosts.
    ///
    /// # Errors
    /// Everything of the class `Connect`, but `host_key_…` only for a jump host.
    pub fn host_key(&self) -> Result<HostKey, Error> {
        let (dir, config) = self.resolved().map_err(|kind| self.error(kind))?;
        self.opening(dir).host_key(config).map_err(|kind| self.error(kind))
    }

    /// Writes the key to the known_hosts file and returns that file.
    ///
    /// # Errors
    /// `host_key_changed` or `host_key_revoked` for such a key, `local_file`.
    pub fn trust_host_key(&self, key: &HostKey) -> Result<PathBuf, Error> {
        let trust = || -> Result<PathBuf, Kind> {
            let (_, config) = self.resolved()?;
            match key.state.clone() {
                KeyState::Changed { at, known } => {
                    return Err(Kind::HostKeyChanged { key: Box::new(key.clone()), known_at: at, known });
                }
                KeyState::Revoked { at } => {
                    return Err(Kind::HostKeyRevoked { key: Box::new(key.clone()), at });
                }
                KeyState::Known { .. } | KeyState::Unknown { .. } => {}
            }
            let file = known_hosts::file_for_new_keys(config)?;
            if !matches!(key.state, KeyState::Known { .. }) {
                known_hosts::append(&file, key)?;
            }
            Ok(file)
        };
        trust().map_err(|kind| self.error(kind))
    }

    /// What becomes of the text of a known_hosts file, anybody's, when it is to vouch for these keys under these
    /// names. `keys` are lines `type base64`, all that the host has.
    ///
    /// # Errors
    /// `no_program` where `ssh-keygen` is missing here.
    pub fn merge_known_hosts(&self, text: &[u8], names: &[String], keys: &[String]) -> Result<Merge, Error> {
        known_hosts::merge(text, names, keys, &self.cancel).map_err(|kind| self.error(kind))
    }

    /// The program that libvirt is to start in place of `ssh`
    /// (`qemu+ssh://ADDRESS/system?command=…&no_tty=1`), so that it uses the same
    /// keys, known hosts, port, user and jump host. The host part of the URI must be the target's address.
    ///
    /// # Errors
    /// As [`Shell::config`].
    pub fn libvirt_transport(&self) -> Result<PathBuf, Error> {
        self.resolved().map(|(dir, _)| dir.join("ssh")).map_err(|kind| self.error(kind))
    }

    /// Runs a command that may change the host.
    ///
    /// A status other than 0 is no error here: it is in the [`Output`]. As with
    /// `ssh`, a background child that keeps the outputs open (`daemon &`) keeps
    /// the command running: redirect them.
    ///
    /// # Errors
    /// Class `Connect` when it could not be started; `connection_lost`,
    /// `command_timeout`, `interrupted`, `timed_out`, `output_too_large`.
    pub fn run(&self, _permit: &Permit, command: &Command) -> Result<Output, Error> {
        self.output(command)
    }

    /// Runs a read-only command of kvmsh's own.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn probe(&self, probe: &Probe) -> Result<Output, Error> {
        self.output(&probe.0)
    }

    fn output(&self, command: &Command) -> Result<Output, Error> {
        let mut collect = Collect::new(command.output_limit, command.display());
        let mut input = command.stdin.as_slice();
        let mut sink = |stream, bytes: &[u8]| collect.take(stream, bytes);
        let exit = self.carry_out(command, &mut Flow { input: Feed::new(&mut input), output: &mut sink });
        exit.map(|exit| collect.output(exit)).map_err(|kind| self.error(kind))
    }

    /// Runs a command here or there; its own `stdin` is not used, `flow` is.
    fn carry_out(&self, command: &Command, flow: &mut Flow<'_>) -> Result<Exit, Kind> {
        let command = &Command { sudo: command.sudo || self.sudo, stdin: Vec::new(), ..command.clone() };
        let words = command.words()?;
        let fail = |stall: Stall, remote| stall.kind(&command.display(), command.timeout, remote);
        if self.is_local() {
            let limit = Limit::new(&self.cancel, command.timeout);
            return match local::run(&words, flow, &limit) {
                // A shell, and so the same command over SSH, has a status for it.
                Err(Stall::Own(Kind::NoProgram { program, cause })) => {
                    (flow.output)(flow::Stream::Err, format!("{program}: {cause}\n").as_bytes())?;
                    Ok(Exit { status: 127, signal: None })
                }
                result => result.map_err(|stall| fail(stall, false)),
            };
        }
        // `exec`: no login shell stays between sshd and the program, so signals are told apart.
        let line = format!("exec {}", command::quote(&words)?);
        let (mut wire, channel) = loop {
            let (mut wire, pooled) = self.checkout()?;
            match exec::open(&mut wire, &Limit::new(&self.cancel, Some(OPEN))) {
                Ok(channel) => break (wire, channel),
                // Nothing had been sent: a session that died while it was idle is replaced.
                // What killed it will have killed the other idle ones as well.
                Err(Stall::Lost(_) | Stall::Deadline) if pooled => self.host.pool.clear(),
                Err(stall) => return Err(stall.kind("opening a session", Some(OPEN), false)),
            }
        };
        let limit = Limit::new(&self.cancel, command.timeout);
        let exit = exec::run(&mut wire, channel, &line, flow, &limit).map_err(|stall| fail(stall, true))?;
        self.host.pool.put(wire);
        Ok(exit)
    }

    /// A session of our own, and whether it had been used before.
    fn checkout(&self) -> Result<(wire::Wire, bool), Kind> {
        if let Some(stop) = self.cancel.stopped() {
            return Err(Stall::Stopped(stop).kind("connecting", None, false));
        }
        let (dir, config) = self.resolved()?;
        self.host.pool.take(&self.cancel, || self.opening(dir).open(config))
    }

    fn opening<'a>(&'a self, dir: &'a std::path::Path) -> Opening<'a> {
        Opening { dir, settings: &self.host.settings, cancel: &self.cancel }
    }

    fn resolved(&self) -> Result<(&std::path::Path, &SshConfig), Kind> {
        let host = &self.host;
        if host.resolved.get().is_none() {
            let settings = &host.settings;
            let text =
                config::text(&host.target, settings.connect_timeout, settings.extra_config.as_deref())?;
            let dir = config::store(&text, settings.runtime_dir.as_deref())?;
            let alias = host.target.address.clone().unwrap_or_else(|| "localhost".to_owned());
            let config = config::resolve(&dir, &Hop { alias, ..Hop::default() }, &self.cancel)?;
            // A second thread may have been faster; it found the same.
            let _ = host.resolved.set((dir, config));
        }
        match host.resolved.get() {
            Some((dir, config)) => Ok((dir, config)),
            None => Err(Kind::Config { said: "no answer".to_owned() }),
        }
    }

    fn error(&self, kind: Kind) -> Error {
        kind.on(&self.host.target.name)
    }
}
