//! From a target to an authenticated session: resolve, connect, shake hands,
//! check the host key, log in; through jump hosts if need be.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ssh2::{HashType, MethodType};

use super::config::{self, Hop, SshConfig};
use super::error::Kind;
use super::known_hosts::{self, HostKey, KeyState, KnownKeys};
use super::limit::{Limit, Stall};
use super::proxy::{self, Helper};
use super::settings::{HANDSHAKE, Login, Settings, Trust};
use super::wire::Wire;
use super::{auth, keys};
use crate::model::Cancel;
use crate::model::base64;

/// More jump hosts in a row than anybody has.
const MAX_JUMPS: usize = 8;

/// How often a connection that sshd drops before its banner is tried again:
/// beyond `MaxStartups` (10 by default) sshd drops new connections at random.
const RETRIES: u32 = 6;

/// Everything that opening a session needs to know.
pub(super) struct Opening<'a> {
    /// The directory with the generated config.
    pub(super) dir: &'a Path,
    pub(super) settings: &'a Settings,
    pub(super) cancel: &'a Cancel,
}

impl Opening<'_> {
    /// Opens an authenticated session.
    pub(super) fn open(&self, config: &SshConfig) -> Result<Wire, Kind> {
        self.open_at(config, 0)
    }

    /// Shakes hands only, and returns the key that the host shows.
    pub(super) fn host_key(&self, config: &SshConfig) -> Result<HostKey, Kind> {
        let known = KnownKeys::search(config, self.cancel)?;
        let wire = self.shake_hands(config, &known, 0)?;
        self.shown_key(&wire, config, &known)
    }

    fn open_at(&self, config: &SshConfig, depth: usize) -> Result<Wire, Kind> {
        let known = KnownKeys::search(config, self.cancel)?;
        let mut wire = self.shake_hands(config, &known, depth)?;
        let key = self.shown_key(&wire, config, &known)?;
        self.check(key, config)?;
        // A password, or a key that is to be tried alone, is for the host itself: no jump host gets it.
        let login = if depth == 0 { &self.settings.login } else { &Login::Keys };
        auth::authenticate(&mut wire, config, self.settings, login, self.cancel)?;
        wire.keep_alive();
        Ok(wire)
    }

    fn shake_hands(&self, config: &SshConfig, known: &KnownKeys, depth: usize) -> Result<Wire, Kind> {
        let stage = "the SSH handshake";
        let fail = |cause: String| Kind::Handshake { address: config.endpoint(), stage, cause };
        let mut attempt = 0;
        loop {
            let (socket, helper) = self.carrier(config, depth)?;
            let mut wire = Wire::new(socket, helper).map_err(fail)?;
            wire.ssh()
                .method_pref(MethodType::HostKey, &known.algorithms())
                .map_err(|e| fail(e.message().to_owned()))?;
            let limit = Limit::new(self.cancel, Some(HANDSHAKE));
            let error = match wire.drive(&limit, ssh2::Session::handshake) {
                Ok(Ok(())) => return Ok(wire),
                Ok(Err(e)) => e.message().to_owned(),
                Err(Stall::Deadline) => {
                    return Err(Kind::HandshakeTimeout {
                        address: config.endpoint(),
                        stage,
                        after: HANDSHAKE,
                    });
                }
                Err(Stall::Lost(cause)) => cause,
                Err(stall) => {
                    return Err(stall.kind(&format!("connecting to {}", config.endpoint()), None, false));
                }
            };
            let dropped = wire.ssh().banner_bytes().is_none() && wire.is_closed();
            attempt += 1;
            if !dropped || attempt > RETRIES {
                return Err(fail(error));
            }
            self.cancel.sleep(Duration::from_millis(150) * attempt);
        }
    }

    /// A connected socket to the host, by whatever way its config says.
    fn carrier(&self, config: &SshConfig, depth: usize) -> Result<(OwnedFd, Option<Helper>), Kind> {
        if let Some((last, before)) = config.proxy_jump.split_last() {
            if depth >= MAX_JUMPS {
                return Err(Kind::JumpLoop { limit: MAX_JUMPS });
            }
            // As OpenSSH does it: the last hop is reached through the ones before it.
            let hop = Hop { jumps: before.to_vec(), ..config::parse_hop(last) };
            let through = || -> Result<_, Kind> {
                let config = config::resolve(self.dir, &hop, self.cancel)?;
                self.open_at(&config, depth + 1)
            };
            let jump = through().map_err(|cause| match cause {
                Kind::Stopped { .. } | Kind::JumpLoop { .. } => cause,
                cause => Kind::Jump { via: last.clone(), cause: Box::new(cause) },
            })?;
            let limit = Limit::new(self.cancel, Some(self.settings.connect_timeout));
            let (socket, helper) = proxy::through(jump, config, &limit)?;
            return Ok((socket, Some(helper)));
        }
        if let Some(template) = &config.proxy_command {
            let (socket, helper) = proxy::command(template, config)?;
            return Ok((socket, Some(helper)));
        }
        let socket = super::connect::tcp(config, self.settings.connect_timeout, self.cancel)?;
        Ok((socket, None))
    }

    fn shown_key(&self, wire: &Wire, config: &SshConfig, known: &KnownKeys) -> Result<HostKey, Kind> {
        let missing = || Kind::Handshake {
            address: config.endpoint(),
            stage: "the SSH handshake",
            cause: "the host showed no key".to_owned(),
        };
        let (blob, _) = wire.ssh().host_key().ok_or_else(missing)?;
        let hash = wire.ssh().host_key_hash(HashType::Sha256).ok_or_else(missing)?;
        let kind = keys::kind(blob).ok_or_else(missing)?;
        let state = known.judge(blob, |old| known_hosts::describe(old, self.cancel));
        let fingerprint = format!("SHA256:{}", base64::encode(hash, false));
        Ok(HostKey { name: config.known_as(), kind, fingerprint, blob: blob.to_vec(), state })
    }

    /// Lets only a known key pass; asks about an unknown one where there is somebody to ask.
    fn check(&self, key: HostKey, config: &SshConfig) -> Result<(), Kind> {
        let only_authority = match key.state.clone() {
            KeyState::Known { .. } => return Ok(()),
            KeyState::Revoked { at } => return Err(Kind::HostKeyRevoked { key: Box::new(key), at }),
            KeyState::Changed { at, known } => {
                return Err(Kind::HostKeyChanged { key: Box::new(key), known_at: at, known });
            }
            KeyState::Unknown { only_authority } => only_authority,
        };
        let refuse = |key| Err(Kind::HostKeyUnknown { key: Box::new(key), only_authority });
        let Trust::Ask(ask) = &self.settings.trust else { return refuse(key) };
        static ASKING: Mutex<()> = Mutex::new(());
        let _one_question = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
        // Another session may have had the answer meanwhile.
        let known = KnownKeys::search(config, self.cancel)?;
        let state = known.judge(&key.blob, |old| known_hosts::describe(old, self.cancel));
        if matches!(state, KeyState::Known { .. }) {
            return Ok(());
        }
        if !ask(&key) {
            return refuse(key);
        }
        known_hosts::append(&known_hosts::file_for_new_keys(config)?, &key)
    }
}
