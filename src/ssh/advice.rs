//! What errors mean to scripts (code), to the process (class) and to people (hint).

use super::error::{FileError, Kind};
use crate::model::{Class, Stop};

impl Kind {
    /// The stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadEntry { .. } => "bad_host_entry",
            Self::Config { .. } => "ssh_config",
            Self::NoProgram { .. } => "no_program",
            Self::RuntimeDir { .. } => "runtime_dir",
            Self::Unresolvable { .. } => "unresolvable",
            Self::Refused { .. } => "connection_refused",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::Unreachable { .. } => "unreachable",
            Self::HandshakeTimeout { .. } => "handshake_timeout",
            Self::Handshake { .. } => "handshake_failed",
            Self::HostKeyUnknown { .. } => "host_key_unknown",
            Self::HostKeyChanged { .. } => "host_key_changed",
            Self::HostKeyRevoked { .. } => "host_key_revoked",
            Self::AuthFailed { .. } => "auth_failed",
            Self::JumpLoop { .. } => "jump_loop",
            // What a script has to decide on is what went wrong, not where on the way.
            Self::Jump { cause, .. } => cause.code(),
            Self::Lost { .. } => "connection_lost",
            Self::ExecRefused { .. } => "exec_refused",
            Self::CommandTimeout { .. } => "command_timeout",
            Self::Stopped { stop: Stop::Interrupted, .. } => "interrupted",
            Self::Stopped { stop: Stop::TimedOut, .. } => "timed_out",
            Self::Stopped { stop: Stop::StepTimedOut, .. } => "step_timeout",
            Self::OutputTooLarge { .. } => "output_too_large",
            Self::BadArgument { .. } => "bad_argument",
            Self::File { why, .. } => why.code(),
            Self::OwnKey { .. } => "own_key",
            Self::LocalFile { .. } => "local_file",
            Self::Probe { .. } => "probe_failed",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::BadEntry { .. } => "correct the host's entry in hosts.toml".to_owned(),
            Self::Config { .. } => "correct ~/.ssh/config, or the host's entry in hosts.toml".to_owned(),
            Self::NoProgram { .. } => "install openssh-client on this machine".to_owned(),
            Self::RuntimeDir { .. } => {
                "it must belong to you and be closed to others (mode 0700); set XDG_RUNTIME_DIR".to_owned()
            }
            Self::Unresolvable { .. } => "check `address` in hosts.toml, /etc/hosts and DNS".to_owned(),
            Self::Refused { .. } => "is sshd running there, and is the port right?".to_owned(),
            Self::ConnectTimeout { .. } | Self::Unreachable { .. } => {
                "is the host up, and does a firewall let this port pass?".to_owned()
            }
            Self::HandshakeTimeout { .. } | Self::Handshake { .. } => {
                "is it sshd that listens there? compare `ssh -v`; the host may be overloaded".to_owned()
            }
            Self::HostKeyUnknown { only_authority: true, .. } => {
                "kvmsh cannot check host certificates: add the host's plain key with `kvmsh hosts add`"
                    .to_owned()
            }
            Self::HostKeyUnknown { .. } => "compare the fingerprint with the host's own \
                 (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`), then `kvmsh hosts add`"
                .to_owned(),
            Self::HostKeyChanged { key, known_at, .. } => format!(
                "someone may be intercepting the connection, or the host was installed anew. Compare the \
                 fingerprint at the host's own console; only if it is right, remove the old key \
                 ({known_at}; `ssh-keygen -R '{}'`) and run `kvmsh hosts add`",
                key.name
            ),
            Self::HostKeyRevoked { .. } => "do not use this host until it has a new key".to_owned(),
            Self::AuthFailed { tried, .. } if tried.iter().any(|t| t.contains("passphrase")) => {
                "unlock the key once with `ssh-add`; kvmsh then uses the agent".to_owned()
            }
            Self::AuthFailed { tried, .. } if tried.iter().any(|t| t.starts_with("the password")) => {
                "is it right, and does sshd there take one (PasswordAuthentication, PermitRootLogin)? \
                 Otherwise add your key at the host's console"
                    .to_owned()
            }
            Self::AuthFailed { user, .. } => {
                format!(
                    "keys::copy_id of std/keys, or `ssh-copy-id {user}@…`, puts your key there; \
                     `identity` in hosts.toml names another one"
                )
            }
            Self::JumpLoop { .. } => {
                "look for ProxyJump in ~/.ssh/config and `jump` in hosts.toml".to_owned()
            }
            Self::Jump { cause, .. } => return cause.hint(),
            Self::Lost { .. } => {
                "whether the command has done its work is unknown: look before repeating it".to_owned()
            }
            Self::ExecRefused { .. } => {
                "does the account's authorized_keys or sshd_config force a command?".to_owned()
            }
            Self::CommandTimeout { may_run: true, .. } | Self::Stopped { may_run: true, .. } => {
                "the command may still be running on the host".to_owned()
            }
            Self::CommandTimeout { .. } => "give it more time with `timeout`".to_owned(),
            Self::OutputTooLarge { .. } => "write it to a file on the host and download that".to_owned(),
            Self::File { why: FileError::Denied, .. } => {
                "connect as root, or let sudo do it (`sudo: true`)".to_owned()
            }
            Self::File { why: FileError::NoSpace, .. } => "the file is as it was before".to_owned(),
            _ => return None,
        };
        Some(text)
    }

    /// Decides the exit code.
    pub fn class(&self) -> Class {
        match self {
            Self::BadEntry { .. } | Self::Config { .. } => Class::Usage,
            Self::Unresolvable { .. }
            | Self::Refused { .. }
            | Self::ConnectTimeout { .. }
            | Self::Unreachable { .. }
            | Self::HandshakeTimeout { .. }
            | Self::Handshake { .. }
            | Self::HostKeyUnknown { .. }
            | Self::HostKeyChanged { .. }
            | Self::HostKeyRevoked { .. }
            | Self::AuthFailed { .. }
            | Self::JumpLoop { .. } => Class::Connect,
            Self::Jump { cause, .. } => match cause.class() {
                Class::Failed => Class::Connect,
                class => class,
            },
            Self::Stopped { stop, .. } => stop.fault().class,
            _ => Class::Failed,
        }
    }
}
