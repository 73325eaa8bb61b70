//! What can go wrong between here and a host's shell.

use std::time::Duration;

use super::HostKey;
use crate::model::{Fault, Stop};

/// An error with the host it happened on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host}: {kind}")]
pub struct Error {
    /// The host as people call it: the inventory's name.
    pub host: String,
    /// What went wrong.
    pub kind: Kind,
}

/// What went wrong. [`Kind::code`] gives the stable name of each.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Kind {
    /// The inventory, or a URI, holds a value that cannot be meant.
    #[error("{field} `{value}` cannot be used: {why}")]
    BadEntry {
        /// Which key of the inventory.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// OpenSSH did not accept the configuration.
    #[error("`ssh -G` rejects the SSH configuration: {said}")]
    Config {
        /// What `ssh -G` said.
        said: String,
    },
    /// OpenSSH's own tools are not installed here.
    #[error("cannot start `{program}` on this machine: {cause}")]
    NoProgram {
        /// The program's name.
        program: String,
        /// The system's error.
        cause: String,
    },
    /// The private directory for the configuration cannot be made or trusted.
    #[error("cannot use the directory {path}: {why}")]
    RuntimeDir {
        /// The directory.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The name has no address.
    #[error("cannot resolve `{name}`: {cause}")]
    Unresolvable {
        /// The name.
        name: String,
        /// The resolver's error.
        cause: String,
    },
    /// Nothing listens there.
    #[error("{address} refused the connection")]
    Refused {
        /// Address and port.
        address: String,
    },
    /// No answer to the connection attempt in time.
    #[error("no answer from {address} within {} s", .after.as_secs())]
    ConnectTimeout {
        /// Address and port.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// No way to the host.
    #[error("cannot reach {address}: {cause}")]
    Unreachable {
        /// Address and port.
        address: String,
        /// The system's error.
        cause: String,
    },
    /// Something accepted the connection and then did not finish the SSH handshake in time.
    #[error("{address} accepted the connection, but {stage} did not end within {} s", .after.as_secs())]
    HandshakeTimeout {
        /// Address and port.
        address: String,
        /// `the SSH handshake` or `authentication`.
        stage: &'static str,
        /// The time limit.
        after: Duration,
    },
    /// What answers there is no SSH server we can talk to.
    #[error("{address} accepted the connection, but {stage} failed: {cause}")]
    Handshake {
        /// Address and port.
        address: String,
        /// `the SSH handshake`, `authentication`, …
        stage: &'static str,
        /// What libssh2 said.
        cause: String,
    },
    /// The host's key is in no known_hosts file.
    #[error("the host key of {} is not known: {} {}", .key.name, .key.kind, .key.fingerprint)]
    HostKeyUnknown {
        /// The key the host showed.
        key: Box<HostKey>,
        /// Set when only a certificate authority vouches for the host.
        only_authority: bool,
    },
    /// The host shows another key than the one we know.
    #[error(
        "THE HOST KEY OF {} HAS CHANGED: it shows {} {}, but {known_at} holds {known}",
        .key.name, .key.kind, .key.fingerprint
    )]
    HostKeyChanged {
        /// The key the host showed.
        key: Box<HostKey>,
        /// File and line of the key we know: `/root/.ssh/known_hosts:12`.
        known_at: String,
        /// Type and fingerprint of the key we know.
        known: String,
    },
    /// The host's key is marked `@revoked`.
    #[error("the host key of {} is marked as revoked in {at}: {} {}", .key.name, .key.kind, .key.fingerprint)]
    HostKeyRevoked {
        /// The key the host showed.
        key: Box<HostKey>,
        /// File and line of the mark.
        at: String,
    },
    /// The host did not let us in.
    #[error("{user}@{address} does not let us in; {}", tried_text(.tried))]
    AuthFailed {
        /// The user.
        user: String,
        /// Address and port.
        address: String,
        /// Each key with what became of it.
        tried: Vec<String>,
    },
    /// Jump hosts that lead to each other.
    #[error("more than {limit} jump hosts in a row: do they name each other?")]
    JumpLoop {
        /// How many are allowed.
        limit: usize,
    },
    /// A jump host, or a `ProxyCommand`, failed; the cause is its own error.
    #[error("the way leads through {via}: {cause}")]
    Jump {
        /// The jump host.
        via: String,
        /// What went wrong there.
        cause: Box<Kind>,
    },
    /// The connection broke while something ran.
    #[error("the connection was lost while `{command}` ran: {cause}")]
    Lost {
        /// What ran.
        command: String,
        /// How it showed.
        cause: String,
    },
    /// The host refused to run commands.
    #[error("the host refused to run `{command}`: {cause}")]
    ExecRefused {
        /// What should have run.
        command: String,
        /// What the host said.
        cause: String,
    },
    /// The command took too long.
    #[error("`{command}` did not end within {} s", .after.as_secs_f64())]
    CommandTimeout {
        /// What ran.
        command: String,
        /// The time limit.
        after: Duration,
        /// Whether it is still running: always possible over SSH, never here.
        may_run: bool,
    },
    /// The operator, or `--timeout`, stopped us.
    #[error("stopped while `{command}` ran")]
    Stopped {
        /// Who asked.
        stop: Stop,
        /// What ran.
        command: String,
        /// Whether it may still be running.
        may_run: bool,
    },
    /// The command wrote more than fits.
    #[error("`{command}` wrote more than {limit} bytes")]
    OutputTooLarge {
        /// What ran.
        command: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// An argument that no program can be given.
    #[error("`{value}` cannot be passed to a program: it holds a NUL byte")]
    BadArgument {
        /// The argument, shortened.
        value: String,
    },
    /// A file operation on the host failed.
    #[error("cannot {action} {path}: {}", .why.text())]
    File {
        /// `read`, `write`, …
        action: &'static str,
        /// The path on the host.
        path: String,
        /// Why.
        why: FileError,
    },
    /// Our own key pair.
    #[error("the key {path} on this machine cannot be used: {why}")]
    OwnKey {
        /// The private half's file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file on this machine.
    #[error("cannot {action} {path} on this machine: {cause}")]
    LocalFile {
        /// `read`, `write`, …
        action: &'static str,
        /// The path here.
        path: String,
        /// The system's error.
        cause: String,
    },
    /// One of kvmsh's own commands failed.
    #[error("{action} failed with status {status}: {said}")]
    Probe {
        /// What it was for.
        action: &'static str,
        /// Its exit status.
        status: i32,
        /// What it wrote to stderr.
        said: String,
    },
}

/// Why a file operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileError {
    /// There is no such file, or no such directory to write to.
    Missing,
    /// It is a directory, a device, …
    NotAFile,
    /// The user may not.
    Denied,
    /// The disk or the quota is full.
    NoSpace,
    /// It has more bytes than asked for.
    TooLarge(u64),
    /// What arrived is not what was sent.
    Torn,
    /// The path is empty, relative, or holds a control character.
    BadPath,
    /// Anything else, in the system's words.
    Other(String),
}

impl FileError {
    fn text(&self) -> String {
        match self {
            Self::Missing => "no such file or directory".to_owned(),
            Self::NotAFile => "it is not a regular file".to_owned(),
            Self::Denied => "permission denied".to_owned(),
            Self::NoSpace => "no space left on the device".to_owned(),
            Self::TooLarge(limit) => format!("it has more than {limit} bytes"),
            Self::Torn => "what was stored is not what was sent".to_owned(),
            Self::BadPath => "the path must be absolute and without control characters".to_owned(),
            Self::Other(said) => said.clone(),
        }
    }

    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "no_such_file",
            Self::NotAFile => "not_a_file",
            Self::Denied => "permission_denied",
            Self::NoSpace => "no_space",
            Self::TooLarge(_) => "file_too_large",
            Self::Torn => "file_torn",
            Self::BadPath => "bad_path",
            Self::Other(_) => "file_failed",
        }
    }
}

fn tried_text(tried: &[String]) -> String {
    if tried.is_empty() {
        "there was no key to try".to_owned()
    } else {
        format!("tried {}", tried.join(", "))
    }
}

impl Kind {
    /// The error on this host.
    pub fn on(self, host: &str) -> Error {
        Error { host: host.to_owned(), kind: self }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault =
            Self::new(error.kind.code(), error.to_string()).class(error.kind.class()).on_host(&error.host);
        match error.kind.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Class;

    #[test]
    fn a_jump_host_that_refuses_has_the_code_of_its_cause() {
        let cause = Box::new(Kind::Refused { address: "10.0.0.1:22".to_owned() });
        let fault = Fault::from(Kind::Jump { via: "gw".to_owned(), cause }.on("h2-a"));
        assert_eq!((fault.code.as_str(), fault.class), ("connection_refused", Class::Connect));
        assert_eq!(fault.message, "h2-a: the way leads through gw: 10.0.0.1:22 refused the connection");
        assert_eq!(fault.host.as_deref(), Some("h2-a"));
        assert!(fault.hint.is_some_and(|h| h.contains("sshd")));
    }

    #[test]
    fn a_stop_keeps_the_class_of_who_asked() {
        for (stop, class, code) in [
            (Stop::Interrupted, Class::Interrupted, "interrupted"),
            (Stop::TimedOut, Class::TimedOut, "timed_out"),
            (Stop::StepTimedOut, Class::Failed, "step_timeout"),
        ] {
            let fault = Fault::from(Kind::Stopped { stop, command: "x".into(), may_run: true }.on("h"));
            assert_eq!((fault.class, fault.code.as_str()), (class, code));
            assert!(fault.hint.is_some_and(|h| h.contains("may still be running")));
        }
    }
}
