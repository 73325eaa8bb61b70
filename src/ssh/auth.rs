//! Authentication: the agent's keys, then key files, as OpenSSH orders them; or a password alone.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ssh2::{ErrorCode, KeyboardInteractivePrompt, Prompt};

use super::config::{SshConfig, expand};
use super::error::Kind;
use super::keys::{self, KeyFile, Unusable};
use super::limit::{Limit, Stall};
use super::settings::{HANDSHAKE, Login, Password, Settings, Unlock};
use super::wire::Wire;
use crate::model::Cancel;

/// libssh2's `LIBSSH2_ERROR_AUTHENTICATION_FAILED`: the server does not want this key.
const NOT_WANTED: i32 = -18;

/// Key files that OpenSSH tries when none is named; nobody misses those that are not there.
const DEFAULT_NAMES: [&str; 7] =
    ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa"];

/// Why a key that the host would take does not let us in.
pub(super) const LOCKED: &str = "its passphrase is needed";

/// Lets the user in, or says what was tried.
pub(super) fn authenticate(
    wire: &mut Wire,
    config: &SshConfig,
    settings: &Settings,
    login: &Login,
    cancel: &Cancel,
) -> Result<(), Kind> {
    let round = |wire, config| Round { wire, config, settings, cancel, only: None, tried: Vec::new() };
    match login {
        Login::Keys => round(wire, config).by_keys(),
        Login::Password(password) => round(wire, config).by_password(password),
        Login::Key(key) => {
            let config = SshConfig {
                identity_files: key.path.iter().cloned().collect(),
                certificate_files: Vec::new(),
                identities_only: key.path.is_some(),
                ..config.clone()
            };
            Round { only: Some(&key.blob), ..round(wire, &config) }.by_keys()
        }
    }
}

pub(super) fn is_default(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.ends_with(".ssh"))
        && path.file_name().is_some_and(|name| DEFAULT_NAMES.iter().any(|default| name == *default))
}

/// What the agent came to: in, or the keys that were offered in vain.
enum Tried {
    In,
    Not(Vec<Vec<u8>>),
}

/// What became of one key.
enum Answer {
    Accepted,
    NotWanted,
    /// The server wants it, but we could not sign, or the signature was refused.
    Failed(String),
}

struct Round<'a> {
    wire: &'a mut Wire,
    config: &'a SshConfig,
    settings: &'a Settings,
    cancel: &'a Cancel,
    /// The one key that may be used, in binary form.
    only: Option<&'a [u8]>,
    tried: Vec<String>,
}

impl Round<'_> {
    fn by_keys(mut self) -> Result<(), Kind> {
        let mut files = Vec::new();
        for path in &self.config.identity_files {
            match keys::look(path) {
                Ok(key) => files.push(key),
                Err(Unusable::Missing) if is_default(path) => {}
                Err(Unusable::Missing) => self.note(path, "no such file"),
                Err(Unusable::Because(why)) => self.note(path, &why),
            }
        }
        let mut certificates = Vec::new();
        for path in &self.config.certificate_files {
            match std::fs::read_to_string(path) {
                Ok(text) => certificates.push(text),
                Err(e) => self.note(path, &e.to_string()),
            }
        }
        let offered = match self.try_agent(&files)? {
            Tried::In => return Ok(()),
            Tried::Not(offered) => offered,
        };
        for key in &files {
            if self.try_file(key, &certificates, &offered)? {
                return Ok(());
            }
        }
        Err(self.failed())
    }

    /// Logs in with a password, by whichever of the two methods the host offers.
    fn by_password(mut self, password: &Password) -> Result<(), Kind> {
        const EXPIRED: i32 = -15; // LIBSSH2_ERROR_PASSWORD_EXPIRED
        let user = self.config.user.clone();
        let mut offers = String::new();
        let listed = self.ask(|ssh| {
            offers = ssh.auth_methods(&user)?.to_owned();
            Ok(())
        })?;
        if self.wire.ssh().authenticated() {
            return Ok(());
        }
        if let Answer::Failed(why) = listed {
            self.tried.push(why);
            return Err(self.failed());
        }
        let offered = |method: &str| offers.split(',').any(|offer| offer == method);
        if !offered("password") && !offered("keyboard-interactive") {
            self.tried.push(format!("the password (the host takes none, only: {offers})"));
            return Err(self.failed());
        }
        if offered("password") {
            let mut expired = false;
            let answer = self.ask(|ssh| {
                ssh.userauth_password(&user, password.reveal())
                    .inspect_err(|e| expired = e.code() == ErrorCode::Session(EXPIRED))
            })?;
            match answer {
                Answer::Accepted => return Ok(()),
                _ if expired => {
                    self.tried.push("the password (it has expired: change it at the console)".to_owned());
                    return Err(self.failed());
                }
                Answer::NotWanted => self.tried.push("the password (not accepted)".to_owned()),
                Answer::Failed(why) => self.tried.push(format!("the password ({why})")),
            }
        }
        if offered("keyboard-interactive") {
            let mut replies = Replies { password, given: false, more: None };
            let answer = self.ask(|ssh| ssh.userauth_keyboard_interactive(&user, &mut replies))?;
            let what = match (answer, replies.more) {
                (Answer::Accepted, _) => return Ok(()),
                (_, Some(prompt)) => format!("the host asks for more than a password: `{prompt}`"),
                (Answer::NotWanted, None) => "not accepted when the host asked for it".to_owned(),
                (Answer::Failed(why), None) => why,
            };
            self.tried.push(format!("the password ({what})"));
        }
        Err(self.failed())
    }

    fn note(&mut self, path: &Path, what: &str) {
        self.tried.push(format!("{} ({what})", path.display()));
    }

    fn failed(&mut self) -> Kind {
        if self.wire.is_closed() {
            self.tried.push("then the host closed the connection (too many keys?)".to_owned());
        }
        Kind::AuthFailed {
            user: self.config.user.clone(),
            address: self.config.endpoint(),
            tried: std::mem::take(&mut self.tried),
        }
    }

    /// One call of libssh2's; a new time limit for each, because a person may have been asked before.
    fn ask(
        &mut self,
        call: impl FnMut(&mut ssh2::Session) -> Result<(), ssh2::Error>,
    ) -> Result<Answer, Kind> {
        let limit = Limit::new(self.cancel, Some(HANDSHAKE));
        match self.wire.drive(&limit, call) {
            Ok(Ok(())) => Ok(Answer::Accepted),
            Ok(Err(e)) if self.wire.is_closed() => {
                self.tried.push(e.message().to_owned());
                Err(self.failed())
            }
            Ok(Err(e)) if e.code() == ErrorCode::Session(NOT_WANTED) => Ok(Answer::NotWanted),
            Ok(Err(e)) => Ok(Answer::Failed(e.message().to_owned())),
            Err(Stall::Deadline) => Err(Kind::HandshakeTimeout {
                address: self.config.endpoint(),
                stage: "authentication",
                after: HANDSHAKE,
            }),
            Err(Stall::Lost(cause)) => {
                Err(Kind::Handshake { address: self.config.endpoint(), stage: "authentication", cause })
            }
            Err(stall) => Err(stall.kind(&format!("logging in to {}", self.config.endpoint()), None, false)),
        }
    }

    /// Tries the agent's keys: first those that are named, then, unless `IdentitiesOnly`, the others.
    fn try_agent(&mut self, files: &[KeyFile]) -> Result<Tried, Kind> {
        let mut offered = Vec::new();
        let Some(socket) = agent_socket(self.config) else { return Ok(Tried::Not(offered)) };
        if !answers(&socket) {
            self.note(&socket, "the agent does not answer");
            return Ok(Tried::Not(offered));
        }
        let agent = self.wire.ssh().agent().and_then(|mut agent| {
            agent.set_identity_path(&socket)?;
            agent.connect()?;
            agent.list_identities()?;
            let identities = agent.identities()?;
            Ok((agent, identities))
        });
        let (agent, identities) = match agent {
            Ok(found) => found,
            Err(e) => {
                self.note(&socket, e.message());
                return Ok(Tried::Not(offered));
            }
        };
        let place = |blob: &[u8]| {
            files.iter().position(|key| {
                key.blob.as_deref().is_some_and(|plain| plain == blob || keys::certifies(blob, plain))
            })
        };
        let mut order: Vec<_> = identities
            .iter()
            .map(|identity| (place(identity.blob()).unwrap_or(usize::MAX), identity))
            .filter(|(place, _)| *place != usize::MAX || !self.config.identities_only)
            .filter(|(_, identity)| self.only.is_none_or(|only| only == identity.blob()))
            .collect();
        order.sort_by_key(|(place, _)| *place);
        for (_, identity) in order {
            let user = self.config.user.clone();
            let answer = self.ask(|_| agent.userauth(&user, identity))?;
            let kind = keys::kind(identity.blob()).unwrap_or_default();
            let name = format!("the agent's {kind} key `{}`", identity.comment());
            match answer {
                Answer::Accepted => return Ok(Tried::In),
                Answer::NotWanted => self.tried.push(format!("{name} (not accepted)")),
                Answer::Failed(why) => self.tried.push(format!("{name} ({why})")),
            }
            offered.push(identity.blob().to_vec());
        }
        Ok(Tried::Not(offered))
    }

    /// Tries a key file: with its certificates, then plain. `true` when it let us in.
    fn try_file(
        &mut self,
        key: &KeyFile,
        certificates: &[String],
        offered: &[Vec<u8>],
    ) -> Result<bool, Kind> {
        let certified = |text: &&String| {
            let blob = keys::blob(text);
            blob.zip(key.blob.as_deref()).is_some_and(|(c, k)| keys::certifies(&c, k))
        };
        let mut publics: Vec<Option<String>> =
            key.certificate.iter().chain(certificates.iter().filter(certified)).cloned().map(Some).collect();
        let plain = key.blob.as_deref();
        if !plain.is_some_and(|blob| offered.iter().any(|o| o == blob)) {
            publics.push(plain.and_then(keys::line));
        }
        for public in publics {
            let answer = self.offer(key, public.as_deref())?;
            let what = match answer {
                Answer::Accepted => return Ok(true),
                Answer::NotWanted => "not accepted".to_owned(),
                Answer::Failed(why) => why,
            };
            self.note(&key.path, &what);
        }
        Ok(false)
    }

    fn offer(&mut self, key: &KeyFile, public: Option<&str>) -> Result<Answer, Kind> {
        let user = self.config.user.clone();
        let attempt = |round: &mut Self, passphrase: Option<&str>| {
            round.ask(|ssh| ssh.userauth_pubkey_memory(&user, public, &key.private, passphrase))
        };
        if !key.encrypted {
            return attempt(self, None);
        }
        if public.is_some()
            && let Answer::NotWanted = attempt(self, None)?
        {
            // The server was asked with the public half: no need to ask a person.
            return Ok(Answer::NotWanted);
        }
        let passphrases = self.settings.passphrases.clone();
        let answer = passphrases.with(&key.path, |passphrase| match attempt(self, Some(passphrase)) {
            Ok(Answer::Failed(_)) => Unlock::Wrong,
            result => Unlock::Done(result),
        });
        answer.unwrap_or_else(|| Ok(Answer::Failed(LOCKED.to_owned())))
    }
}

/// Answers what the host asks one by one (keyboard-interactive, RFC 4256).
struct Replies<'a> {
    password: &'a Password,
    given: bool,
    /// A question beyond the password.
    more: Option<String>,
}

impl KeyboardInteractivePrompt for Replies<'_> {
    fn prompt<'a>(&mut self, _user: &str, _instructions: &str, prompts: &[Prompt<'a>]) -> Vec<String> {
        let mut reply = |prompt: &Prompt<'a>| {
            // What is typed unseen is the password; it is given once.
            if !prompt.echo && !std::mem::replace(&mut self.given, true) {
                return self.password.reveal().to_owned();
            }
            self.more.get_or_insert_with(|| prompt.text.trim().escape_debug().to_string());
            String::new()
        };
        prompts.iter().map(&mut reply).collect()
    }
}

/// The keys that the agent holds: in binary form, with their comments. None where it does not answer.
pub(super) fn agent_keys(config: &SshConfig) -> Vec<(Vec<u8>, String)> {
    let Some(socket) = agent_socket(config).filter(|socket| answers(socket)) else { return Vec::new() };
    let list = || -> Result<_, ssh2::Error> {
        let session = ssh2::Session::new()?;
        let mut agent = session.agent()?;
        agent.set_identity_path(&socket)?;
        agent.connect()?;
        agent.list_identities()?;
        let keys = agent.identities()?;
        Ok(keys.iter().map(|key| (key.blob().to_vec(), key.comment().to_owned())).collect())
    };
    list().unwrap_or_default()
}

/// The agent's socket: `IdentityAgent`, or `$SSH_AUTH_SOCK`.
fn agent_socket(config: &SshConfig) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    match config.identity_agent.as_deref() {
        Some("none") => None,
        None | Some("SSH_AUTH_SOCK") => variable("SSH_AUTH_SOCK"),
        Some(value) => match value.strip_prefix('$') {
            Some(name) => variable(name.trim_start_matches('{').trim_end_matches('}')),
            None => Some(PathBuf::from(expand(value, config))),
        },
    }
}

/// Whether the agent answers at all: libssh2 would wait for it for ever, and a
/// forwarded agent can hang behind a dead connection.
fn answers(socket: &Path) -> bool {
    const TIME: Duration = Duration::from_secs(2);
    // The length of the message, and SSH_AGENTC_REQUEST_IDENTITIES.
    const LIST: [u8; 5] = [0, 0, 0, 1, 11];
    let talk = || -> std::io::Result<()> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(TIME))?;
        stream.set_write_timeout(Some(TIME))?;
        stream.write_all(&LIST)?;
        stream.read_exact(&mut [0; 5])
    };
    talk().is_ok()
}
