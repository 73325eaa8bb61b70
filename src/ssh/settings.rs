//! What an SSH connection needs to know beside its target.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{HostKey, OwnKey};
use crate::model::Cancel;

/// Settings shared by all hosts of a session. Clones share the passphrases.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Stops everything in flight.
    pub cancel: Cancel,
    /// How long a TCP connection may take, all addresses together. The SSH
    /// handshake and authentication have [`HANDSHAKE`] on top.
    pub connect_timeout: Duration,
    /// What to do about a host key nobody has seen before.
    pub trust: Trust,
    /// Where passphrases of encrypted keys come from.
    pub passphrases: Passphrases,
    /// An ssh_config file that is read before `~/.ssh/config`.
    pub extra_config: Option<PathBuf>,
    /// Where the generated ssh_config files go, instead of `$XDG_RUNTIME_DIR/kvmsh`.
    pub runtime_dir: Option<PathBuf>,
    /// How the host itself is logged in to; jump hosts always take keys.
    pub login: Login,
}

/// How a host is logged in to.
#[derive(Debug, Clone, Default)]
pub enum Login {
    /// With the agent's keys and the key files, as OpenSSH orders them.
    #[default]
    Keys,
    /// With this key alone.
    Key(OwnKey),
    /// With this password alone.
    Password(Password),
}

/// A password; nothing that is printed ever holds it.
#[derive(Clone)]
pub struct Password(Arc<str>);

impl Password {
    /// Keeps a password.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// Time limit for the SSH handshake, and once more for authentication (a person may
/// have to touch a security key; asking for a passphrase does not count).
pub const HANDSHAKE: Duration = Duration::from_secs(8);

/// Time limit for opening a session on a connection: on a busy host, starting the user's systemd instance takes its time.
pub(super) const OPEN: Duration = Duration::from_secs(20);

/// Time limit of [`super::Shell::run`] unless the command sets another: ten minutes.
pub const RUN_TIMEOUT: Duration = Duration::from_secs(600);

/// Time limit of kvmsh's own probes: they read what is there and answer at once.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

impl Default for Settings {
    fn default() -> Self {
        Self {
            cancel: Cancel::new(),
            connect_timeout: Duration::from_secs(5),
            trust: Trust::Refuse,
            passphrases: Passphrases::none(),
            extra_config: None,
            runtime_dir: None,
            login: Login::Keys,
        }
    }
}

/// The function that shows a host key and asks.
type Ask = dyn Fn(&HostKey) -> bool + Send + Sync;

/// What to do about a host key that is in no known_hosts file. A changed or
/// revoked key is always refused.
#[derive(Clone)]
pub enum Trust {
    /// Refuse it.
    Refuse,
    /// Ask; after `true` the key is written to known_hosts. Only one question is open at a time.
    Ask(Arc<Ask>),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "Refuse",
            Self::Ask(_) => "Ask",
        })
    }
}

/// The function that asks for a passphrase: the key file, and whether the
/// answer before was wrong.
type AskPassphrase = dyn Fn(&Path, bool) -> Option<String> + Send + Sync;

/// Passphrases of encrypted private keys: asked for once, kept in memory only.
#[derive(Clone, Default)]
pub struct Passphrases {
    ask: Option<Arc<AskPassphrase>>,
    known: Arc<Mutex<HashMap<PathBuf, String>>>,
    asking: Arc<Mutex<()>>,
}

impl Passphrases {
    /// Nobody to ask: encrypted keys work through the agent only.
    pub fn none() -> Self {
        Self::default()
    }

    /// Asks this function, at most three times for a key.
    pub fn ask(ask: impl Fn(&Path, bool) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { ask: Some(Arc::new(ask)), ..Self::default() }
    }

    /// Runs `attempt` with the passphrase for `key` until it does not answer `Wrong`.
    ///
    /// Only one question is open at a time, so that many hosts at once ask only once.
    pub(super) fn with<T>(&self, key: &Path, mut attempt: impl FnMut(&str) -> Unlock<T>) -> Option<T> {
        let mut tried = None;
        if let Some(passphrase) = self.known(key) {
            match attempt(&passphrase) {
                Unlock::Done(value) => return Some(value),
                Unlock::Wrong => tried = Some(passphrase),
            }
        }
        let ask = self.ask.as_ref()?;
        let _one_question = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(passphrase) = self.known(key).filter(|p| Some(p) != tried.as_ref()) {
            match attempt(&passphrase) {
                Unlock::Done(value) => return Some(value),
                Unlock::Wrong => tried = Some(passphrase),
            }
        }
        for _ in 0..3 {
            let passphrase = ask(key, tried.is_some())?;
            if let Unlock::Done(value) = attempt(&passphrase) {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), passphrase);
                return Some(value);
            }
            tried = Some(passphrase);
        }
        None
    }

    fn known(&self, key: &Path) -> Option<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

/// What became of one passphrase.
pub(super) enum Unlock<T> {
    /// It opened the key; this came of it.
    Done(T),
    /// It did not.
    Wrong,
}

impl fmt::Debug for Passphrases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the passphrases themselves.
        f.debug_struct("Passphrases").field("ask", &self.ask.is_some()).finish_non_exhaustive()
    }
}
