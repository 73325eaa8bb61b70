//! Who is let in where: our key on a host, hosts' keys on each other, and host keys that are known.

use std::path::Path;

use super::Host;
use crate::gate::{Change, Mode, Outcome};
use crate::model::{Class, Fault};
use crate::ssh::{
    self, Accepted, Account, Chain, Command, HostKey, KeyState, Merge, OwnKey, Password, Probe, WriteOptions,
    authorized_keys,
};

/// The most that authorized_keys and known_hosts files may hold: 8 MiB.
const LIMIT: u64 = 8 << 20;

/// How a fingerprint can be given beforehand, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Pin {
    /// What it is called: `--accept-fingerprint`.
    pub named: &'static str,
    /// What is to be written before it: `kvmsh hosts add … --accept-fingerprint`.
    pub write: &'static str,
}

/// What became of keys that were to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authorized {
    /// The file.
    pub file: String,
    /// Whether a key was added, or would be in a plan.
    pub changed: bool,
    /// Of keys that were there: where, and what their options allow only; `FILE:3 (from="10.0.0.1")`.
    pub limits: Vec<String>,
}

/// A host as others are to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquaintance {
    /// Its names and addresses, as known_hosts files have them.
    pub names: Vec<String>,
    /// Its keys, `type base64` each.
    pub keys: Vec<String>,
}

impl Host {
    /// Makes sure that the host's key is known here: `false` when that is only planned.
    ///
    /// An unknown key is shown and asked about, unless `accepted` is its fingerprint; `--yes` is no answer.
    ///
    /// # Errors
    /// `host_key_unknown` (refused), `host_key_changed`, `host_key_revoked`, `local_host`, faults of the connection.
    pub fn introduce(&self, accepted: Option<&str>, pin: Pin) -> Result<bool, Fault> {
        let session = self.session();
        let key = self.host_key()?;
        match key.state {
            // Not a matter of trust: this says what to do about it, and records nothing.
            KeyState::Changed { .. } | KeyState::Revoked { .. } => {
                return self.trust_host_key(&key).map(|_| true);
            }
            KeyState::Known { .. } | KeyState::Unknown { .. } => {}
        }
        if accepted.is_some_and(|accepted| accepted != key.fingerprint) {
            return Err(self.stranger_key(&key, &format!("is not the one that {} names", pin.named), pin));
        }
        if matches!(key.state, KeyState::Known { .. }) {
            return Ok(true);
        }
        if accepted.is_none() {
            let unasked = || self.stranger_key(&key, "is not known, and nobody can be asked", pin);
            let prompt = session.prompt().ok_or_else(unasked)?;
            session.progress().say(&format!(
                "The host key of {} is not known yet:\n  {} {}\nCompare it on the host: \
                 for f in /etc/ssh/ssh_host_*.pub; do ssh-keygen -lf $f; done",
                self.name(),
                key.kind,
                key.fingerprint,
            ));
            if !prompt.confirm("Is it the same?") {
                session.cancel().check()?;
                return Err(self.stranger_key(&key, "was not accepted", pin));
            }
        }
        let change = Change::new(self.name(), "host", self.name(), "trust")
            .detail(format!("host key {}", key.fingerprint));
        match self.change_unleased(change, |_| self.trust_host_key(&key))? {
            Outcome::Done(file) => {
                let name = self.name();
                session.progress().say(&format!("recorded the host key of {name} in {}", file.display()));
                Ok(true)
            }
            Outcome::Planned => Ok(false),
        }
    }

    fn stranger_key(&self, key: &HostKey, why: &str, pin: Pin) -> Fault {
        Fault::new("host_key_unknown", format!("the host key {} {} {why}", key.kind, key.fingerprint))
            .class(Class::Refused)
            .on_host(self.name())
            .hint(format!(
                "compare it with `ssh-keygen -lf /etc/ssh/ssh_host_*.pub` on the host, then: {} {}",
                pin.write, key.fingerprint
            ))
    }

    /// The same host, logged in to with a password alone, for as long as this handle lives.
    pub fn with_password(&self, password: &str) -> Self {
        crate::model::secret::remember(password);
        self.through(self.shell().with_password(Password::new(password)))
    }

    /// Our key for this host; `None` when we have none at all.
    ///
    /// # Errors
    /// `own_key` for a key file that cannot be used.
    pub fn own_key(&self, wanted: Option<&Path>) -> Result<Option<OwnKey>, Fault> {
        Ok(self.shell().own_key(wanted)?)
    }

    /// Makes a key pair on this machine; `None` in a plan. A person at the terminal is asked for its passphrase.
    ///
    /// # Errors
    /// `own_key`.
    pub fn make_own_key(&self) -> Result<Option<OwnKey>, Fault> {
        let path = self.shell().own_key_place()?;
        let session = self.session();
        let ask = session.prompt().is_some();
        let kind = if ask { "ed25519" } else { "ed25519, without a passphrase" };
        let change = Change::new("this machine", "key", &path.display().to_string(), "make").detail(kind);
        let outcome = self.change_unleased(change, |permit| {
            let mut made = None;
            session.progress().suspend(&mut || {
                made = Some(self.shell().make_own_key(permit, &path, ask));
            });
            made.unwrap_or_else(|| self.shell().make_own_key(permit, &path, false))
        })?;
        Ok(match outcome {
            Outcome::Done(key) => {
                session.progress().say(&format!("made the key {} ({kind})", path.display()));
                Some(key)
            }
            Outcome::Planned => None,
        })
    }

    /// Logs in anew with this key alone, and says what came of it.
    ///
    /// # Errors
    /// Faults of the connection.
    pub fn accepts(&self, key: &OwnKey) -> Result<Accepted, Fault> {
        self.shell().accepts(key).map_err(|error| self.shell_fault(error))
    }

    /// The account on the host that we log in to.
    ///
    /// # Errors
    /// Faults of the connection.
    pub fn account(&self) -> Result<Account, Fault> {
        self.shell().account().map_err(|error| self.shell_fault(error))
    }

    /// The host's own keys: read from its disk over our session, and only if the one that this session has
    /// proven is among them.
    ///
    /// # Errors
    /// `host_keys` when it is not; faults of the connection.
    pub fn public_host_keys(&self, account: &Account) -> Result<Vec<String>, Fault> {
        if self.shell().is_local() {
            return Ok(account.host_keys.clone());
        }
        let shown = self.host_key()?;
        let proven = |line: &String| authorized_keys::find(line.as_bytes(), &shown.line()).is_some();
        if account.host_keys.iter().any(proven) {
            return Ok(account.host_keys.clone());
        }
        let message = format!("the key that {} shows is none of those on its disk", self.name());
        Err(Fault::new("host_keys", message)
            .on_host(self.name())
            .hint("does a jump host or a port forwarding lead to another machine?"))
    }

    /// The names under which others may know this host: the inventory's name, its address, its migration address.
    pub fn ssh_names(&self) -> Vec<String> {
        let target = self.target();
        let name = Some(self.name()).filter(|name| !name.contains("://"));
        let mut names: Vec<String> = Vec::new();
        for name in [name, target.address.as_deref(), self.migration_address()].into_iter().flatten() {
            let name = name.to_lowercase();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Lets these public keys in: adds those that are missing to the account's authorized_keys file, and nothing else.
    /// `coming` describes keys that a plan could not make, for the plan.
    ///
    /// # Errors
    /// `keys_not_taken`, `authorized_keys` (refused) where sshd would not read what we wrote, with its reason;
    /// faults of the connection; what writing says.
    pub fn authorize(&self, keys: &[String], coming: &[String]) -> Result<Authorized, Fault> {
        if let Some(bad) = keys.iter().find(|key| !authorized_keys::is_public_key(key)) {
            let bad: String = bad.chars().take(40).collect();
            return Err(Fault::new("invalid_arg", format!("`{}` is no public key", bad.escape_debug())));
        }
        let account = self.account()?;
        let refuse = |code: &str, why: String, hint: String| {
            Err(Fault::new(code, why).class(Class::Refused).on_host(self.name()).hint(hint))
        };
        if !account.takes_keys {
            let why = format!("sshd on {} takes no keys (PubkeyAuthentication no)", self.name());
            return refuse(
                "keys_not_taken",
                why,
                "set PubkeyAuthentication yes in sshd_config there".to_owned(),
            );
        }
        let chains = self.shell().chains(&account).map_err(|error| self.shell_fault(error))?;
        let Some(chain) = choose(&chains) else {
            let why = format!("sshd on {} reads no authorized_keys file", self.name());
            return refuse("keys_not_taken", why, "set AuthorizedKeysFile in sshd_config there".to_owned());
        };
        let odd = chain.exists() && !chain.is_regular();
        let ignored = chain.objection(account.uid).filter(|_| account.strict || odd);
        if let Some((why, hint)) = ignored {
            let why = format!("sshd on {} would ignore {}: {why}", self.name(), chain.file);
            return refuse("authorized_keys", why, hint);
        }
        let mut limits = Vec::new();
        let mut missing: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut text = Vec::new();
        for one in chains.iter().filter(|one| one.is_regular()) {
            let bytes = self.read_file(&one.file, LIMIT)?;
            missing.retain(|key| match authorized_keys::find(&bytes, key) {
                Some(listed) if !listed.options.is_empty() => {
                    limits.push(format!("{}:{} ({})", one.file, listed.line, listed.options));
                    false
                }
                listed => listed.is_none(),
            });
            if one == chain {
                text = bytes;
            }
        }
        let mut done = Authorized { file: chain.file.clone(), changed: false, limits };
        if missing.is_empty() && coming.is_empty() {
            return Ok(done);
        }
        done.changed = true;
        let (dir, there) = chain.directory();
        if !in_home(chain) && (!there || account.uid != 0) {
            let why = format!(
                "sshd on {} reads keys of {} only from {}, {}",
                self.name(),
                account.user,
                chain.file,
                if there { "which only root may write" } else { "and that directory is not there" }
            );
            return refuse(
                "authorized_keys",
                why,
                "add the key there as root, by whatever keeps that file".to_owned(),
            );
        }
        if !there {
            self.make_private(dir)?;
        }
        if !missing.is_empty() {
            let how = WriteOptions { mode: (!chain.exists()).then_some(0o600), ..WriteOptions::default() };
            self.write_file(&chain.file, &authorized_keys::with(&text, missing.iter().copied()), &how)?;
        }
        if self.session().gate().mode() == Mode::Plan {
            for owner in coming {
                let change = Change::new(self.name(), "file", &chain.file, "write").detail(owner.clone());
                self.change(change, |_| Ok::<_, Fault>(()))?;
            }
        }
        Ok(done)
    }

    /// Has the account on this host know other hosts: their keys go to its known_hosts file. Whether anything changed.
    ///
    /// # Errors
    /// `known_hosts` (refused) when that file holds another key for one of the names; what writing says.
    pub fn know(&self, others: &[Acquaintance]) -> Result<bool, Fault> {
        let account = self.account()?;
        let dir = format!("{}/.ssh", account.home);
        let file = format!("{dir}/known_hosts");
        let there = self.file(&dir)?.is_some();
        let before =
            if there && self.file(&file)?.is_some() { Some(self.read_file(&file, LIMIT)?) } else { None };
        let mut text = before.clone().unwrap_or_default();
        for other in others {
            let merged = self.shell().merge_known_hosts(&text, &other.names, &other.keys)?;
            match merged {
                Merge::Same => {}
                Merge::Changed(more) => text = more,
                Merge::Conflict { name, line } => {
                    let message =
                        format!("{file} on {} has another key for {name}, in line {line}", self.name());
                    return Err(Fault::new("known_hosts", message)
                        .class(Class::Refused)
                        .on_host(self.name())
                        .hint(format!(
                            "if the host was installed anew, remove it there: ssh-keygen -R '{name}'"
                        )));
                }
            }
        }
        if before.as_deref().unwrap_or_default() == text {
            return Ok(false);
        }
        if !there {
            self.make_private(&dir)?;
        }
        let how = WriteOptions { mode: before.is_none().then_some(0o600), ..WriteOptions::default() };
        self.write_file(&file, &text, &how)?;
        Ok(true)
    }

    fn make_private(&self, dir: &str) -> Result<(), Fault> {
        let change = Change::new(self.name(), "file", dir, "make directory").detail("mode 0700");
        // In a plan several files may need it.
        if self.session().gate().is_planned(&change) {
            return Ok(());
        }
        let command = Command::argv(["mkdir", "-p", "-m", "0700", "--", dir]);
        let outcome = self.change(change, |permit| self.shell().run(permit, &command))?;
        match outcome {
            Outcome::Done(output) if !output.ok() => {
                let message = format!("cannot make the directory {dir}");
                Err(Fault::new("command_failed", message).on_host(self.name()).because(output.error_text()))
            }
            _ => Ok(()),
        }
    }

    /// Whether `ssh` on this host gets into another without asking anybody: `None`, or what it said.
    ///
    /// # Errors
    /// Faults of the connection to this host.
    pub fn reaches(&self, address: &str, user: &str, port: u16) -> Result<Option<String>, Fault> {
        let port = port.to_string();
        let options = [
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "UpdateHostKeys=no",
            "-o",
            "ControlMaster=no",
            "-o",
            "ControlPath=none",
            "-o",
            "ConnectTimeout=5",
            "-p",
            &port,
            "-l",
            user,
            "--",
            address,
            "true",
        ];
        let output =
            self.shell().probe(&Probe::argv("ssh", options)).map_err(|error| self.shell_fault(error))?;
        if output.ok() {
            return Ok(None);
        }
        let said = output.error_text();
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason was given");
        Ok(Some(last.trim().to_owned()))
    }

    pub(super) fn shell_fault(&self, error: ssh::Error) -> Fault {
        Fault::from(error).on_host(self.name())
    }
}

/// The file that new keys go to: the first below the home directory, else the first of all.
fn choose(chains: &[Chain]) -> Option<&Chain> {
    chains.iter().find(|chain| in_home(chain)).or_else(|| chains.first())
}

/// Whether the way from the file ends in the home directory and not in `/`.
fn in_home(chain: &Chain) -> bool {
    chain.steps.last().is_some_and(|step| step.path != "/")
}
