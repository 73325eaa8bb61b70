//! The key pair of whoever runs kvmsh: which one it is, and how it is made.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::Command;
use super::config::SshConfig;
use super::error::{Error, Kind};
use super::keys::{self, Unusable};
use super::limit::Limit;
use super::settings::{Login, Password};
use super::{Shell, auth, local};
use crate::gate::Permit;
use crate::model::Cancel;

/// A key pair of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKey {
    /// The private half's file; `None` when only the agent has it.
    pub path: Option<PathBuf>,
    /// The public half as `.pub` files have it: type, base64, comment.
    pub line: String,
    /// The public half in SSH's binary form.
    pub blob: Vec<u8>,
}

impl OwnKey {
    /// A key by its public line; `None` when that is none.
    pub fn new(path: Option<&Path>, line: &str) -> Option<Self> {
        let blob = keys::blob(line)?;
        Some(Self { path: path.map(Path::to_owned), line: line.to_owned(), blob })
    }
}

/// What a host makes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It lets us in.
    Yes,
    /// It would, but nobody has unlocked the private half.
    Locked,
    /// It does not.
    No,
}

/// Key files in the order in which one is chosen: newest kind first.
const PREFERRED: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

impl Shell {
    /// The same host, logged in to in another way, over connections of its own.
    #[must_use]
    pub fn with_login(&self, login: Login) -> Self {
        let settings = super::Settings { login, ..self.host.settings.clone() };
        let mut shell = Self::new(self.host.target.clone(), settings);
        shell.cancel = self.cancel.clone();
        shell.sudo = self.sudo;
        shell
    }

    /// The same host, logged in to with a password alone.
    #[must_use]
    pub fn with_password(&self, password: Password) -> Self {
        self.with_login(Login::Password(password))
    }

    /// Logs in anew with this key alone.
    ///
    /// # Errors
    /// Everything of the class `Connect` but `auth_failed`.
    pub fn accepts(&self, key: &OwnKey) -> Result<Accepted, Error> {
        match self.with_login(Login::Key(key.clone())).connect() {
            Ok(()) => Ok(Accepted::Yes),
            Err(Error { kind: Kind::AuthFailed { tried, .. }, .. }) => {
                let locked = tried.iter().any(|key| key.contains(auth::LOCKED));
                Ok(if locked { Accepted::Locked } else { Accepted::No })
            }
            Err(error) => Err(error),
        }
    }

    /// Our key for this host: `wanted`, else the one that the inventory or ssh_config names, else
    /// one of the usual files, else the agent's first. `None` when there is none at all.
    ///
    /// # Errors
    /// `own_key` for a key file that cannot be used; as [`Shell::config`].
    pub fn own_key(&self, wanted: Option<&Path>) -> Result<Option<OwnKey>, Error> {
        let config = self.config()?;
        let fail = |path: &Path, why: String| {
            let path = path.display().to_string();
            self.error(Kind::OwnKey { path, why })
        };
        if let Some(path) = wanted {
            return match from_file(path) {
                Ok(key) => Ok(Some(key)),
                Err(Unusable::Missing) => Err(fail(path, "no such file".to_owned())),
                Err(Unusable::Because(why)) => Err(fail(path, why)),
            };
        }
        let mut flaw = None;
        for path in candidates(config) {
            match from_file(&path) {
                Ok(key) => return Ok(Some(key)),
                Err(Unusable::Missing) => {}
                Err(Unusable::Because(why)) => flaw = flaw.or(Some(fail(&path, why))),
            }
        }
        if let Some((blob, comment)) = auth::agent_keys(config).into_iter().next().filter(|_| !named(config))
        {
            let line = keys::line(&blob).map(|line| format!("{line} {comment}").trim_end().to_owned());
            return Ok(line.map(|line| OwnKey { path: None, line, blob }));
        }
        flaw.map_or(Ok(None), Err)
    }

    /// Where a key pair is made when there is none.
    ///
    /// # Errors
    /// As [`Shell::config`].
    pub fn own_key_place(&self) -> Result<PathBuf, Error> {
        let config = self.config()?;
        let fail = || {
            let why = "there is no home directory".to_owned();
            self.error(Kind::OwnKey { path: "~/.ssh/id_ed25519".to_owned(), why })
        };
        candidates(config).into_iter().next().ok_or_else(fail)
    }

    /// Makes an ed25519 key pair with OpenSSH's `ssh-keygen`. At a terminal that asks for a passphrase
    /// itself, so that none passes through our hands; otherwise the key has none.
    ///
    /// # Errors
    /// `own_key` when `ssh-keygen` fails.
    pub fn make_own_key(&self, _permit: &Permit, path: &Path, ask: bool) -> Result<OwnKey, Error> {
        let fail = |why: String| self.error(Kind::OwnKey { path: path.display().to_string(), why });
        if let Some(dir) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|e| fail(e.to_string()))?;
        }
        keygen(path, ask, &self.cancel).map_err(fail)?;
        match from_file(path) {
            Ok(key) => Ok(key),
            Err(Unusable::Missing) => Err(fail("ssh-keygen made none".to_owned())),
            Err(Unusable::Because(why)) => Err(fail(why)),
        }
    }
}

fn keygen(path: &Path, ask: bool, cancel: &Cancel) -> Result<(), String> {
    let file = path.to_string_lossy().into_owned();
    let mut argv: Vec<String> =
        ["ssh-keygen", "-q", "-t", "ed25519", "-f", &file].map(str::to_owned).to_vec();
    if ask {
        let status = std::process::Command::new(&argv[0]).args(&argv[1..]).status();
        return match status {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err("ssh-keygen was left without making it".to_owned()),
            Err(e) => Err(format!("cannot start ssh-keygen: {e}")),
        };
    }
    argv.extend(["-N".to_owned(), String::new()]);
    const TIME: Duration = Duration::from_secs(20);
    let output = local::output(&Command::argv(argv).timeout(Some(TIME)), &Limit::new(cancel, Some(TIME)));
    match output {
        Ok(output) if output.ok() => Ok(()),
        Ok(output) => Err(format!("ssh-keygen: {} {}", output.error_text(), output.text()).trim().to_owned()),
        Err(kind) => Err(kind.to_string()),
    }
}

/// Whether the inventory or ssh_config names key files of their own.
fn named(config: &SshConfig) -> bool {
    config.identity_files.iter().any(|path| !auth::is_default(path))
}

/// The files that could hold our key, the best first.
fn candidates(config: &SshConfig) -> Vec<PathBuf> {
    if named(config) {
        return config.identity_files.iter().filter(|path| !auth::is_default(path)).cloned().collect();
    }
    let dir = config.identity_files.first().and_then(|path| path.parent()).map(Path::to_owned);
    let dir = dir.or_else(|| dirs::home_dir().map(|home| home.join(".ssh")));
    dir.map(|dir| PREFERRED.iter().map(|name| dir.join(name)).collect()).unwrap_or_default()
}

fn from_file(path: &Path) -> Result<OwnKey, Unusable> {
    let key = keys::look(path)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let public = std::fs::read_to_string(beside).unwrap_or_default();
    let first = public.lines().next().unwrap_or_default().trim();
    let blob = key.blob.ok_or_else(|| Unusable::Because("its .pub file is missing".to_owned()))?;
    let line = match keys::blob(first) {
        Some(other) if other == blob => first.to_owned(),
        _ => keys::line(&blob).ok_or_else(|| Unusable::Because("it is no public key".to_owned()))?,
    };
    Ok(OwnKey { path: Some(path.to_owned()), line, blob })
}
