//! libvirt's errors, by number.
//!
//! Daemons are localised (they answer in the language of *their* environment),
//! so nothing here or above looks at the message's text to decide anything.

use virt::error::ErrorNumber;

use crate::model::{Class, Fault, Stop};

/// What can go wrong in this layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// libvirt refused or failed; `number` is its `virErrorNumber`.
    #[error("{message}")]
    Libvirt {
        /// `virErrorNumber`, the part that does not depend on the daemon's language.
        number: u32,
        /// The number's name in snake_case: `no_domain`, `operation_invalid`, …
        code: String,
        /// What libvirt said.
        message: String,
    },
    /// The connection had broken before or broke during the call.
    #[error("the connection to the libvirt daemon is lost")]
    Lost {
        /// What libvirt said.
        message: String,
    },
    /// The daemon did not answer the opening of a connection in time.
    #[error("the libvirt daemon at {uri} did not answer within {seconds} s")]
    OpenTimeout {
        /// The URI.
        uri: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The daemon lives and does not answer.
    #[error("the libvirt daemon gave no answer within {seconds} s")]
    NoAnswer {
        /// How long was waited.
        seconds: u64,
    },
    /// A text with a zero byte cannot be handed to libvirt.
    #[error("{what} contains a zero byte")]
    ZeroByte {
        /// Which text.
        what: &'static str,
    },
    /// The work was stopped while it waited.
    #[error("stopped")]
    Stopped(Stop),
}

impl Error {
    /// Whether it is this `virErrorNumber`, for instance `ErrorNumber::NoDomain`.
    pub(super) fn is(&self, wanted: ErrorNumber) -> bool {
        use virt::enumutil::RawEnum;
        matches!(self, Self::Libvirt { number, .. } if *number == wanted.to_raw())
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        [
            ErrorNumber::NoDomain,
            ErrorNumber::NoNetwork,
            ErrorNumber::NoStoragePool,
            ErrorNumber::NoStorageVolume,
        ]
        .into_iter()
        .any(|number| self.is(number))
    }

    /// Whether the driver at the other end does not offer the call at all.
    pub fn is_unsupported(&self) -> bool {
        self.is(ErrorNumber::NoSupport) || self.is(ErrorNumber::OperationUnsupported)
    }

    /// Whether a CPU lacks what was asked for.
    pub fn is_cpu_incompatible(&self) -> bool {
        self.is(ErrorNumber::CpuIncompatible)
    }

    /// Whether the connection is gone.
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

impl From<virt::error::Error> for Error {
    fn from(error: virt::error::Error) -> Self {
        let code = match error.code() {
            virt::enumutil::Enum::Known(number) => snake_case(&format!("{number:?}")),
            virt::enumutil::Enum::Unknown(number) => format!("libvirt_{number}"),
        };
        Self::Libvirt { number: error.code().to_raw(), code, message: error.message().trim().to_owned() }
    }
}

/// `NoDomain` → `no_domain`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Libvirt { code, message, .. } => {
                let hint = hint(&code);
                let fault = Self::new(code, message);
                match hint {
                    Some(hint) => fault.hint(hint),
                    None => fault,
                }
            }
            Error::Lost { message } => {
                Self::new("connection_lost", "the connection to the libvirt daemon is lost")
                    .because(message)
                    .hint("the daemon or the link may be down; `kvmsh hosts test` tells which")
            }
            Error::OpenTimeout { .. } => Self::new("libvirt_timeout", error.to_string())
                .class(Class::Connect)
                .hint("the daemon may hang: look with `systemctl status libvirtd virtqemud` on the host"),
            Error::NoAnswer { .. } => Self::new("no_answer", error.to_string())
                .hint("a guest's QEMU may be frozen: look on the host for one in state T or D with `ps`"),
            Error::ZeroByte { .. } => Self::new("invalid_arg", error.to_string()),
            Error::Stopped(stop) => stop.fault(),
        }
    }
}

/// What an admin can do about an error libvirt reports, where there is one usual thing.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "operation_timeout" => "another job holds the guest; see `domain.job`, or try again later",
        "migrate_unsafe" => {
            "the guest's disks are not on storage that libvirt knows to be shared; if they are on the same \
             storage all the same, list the directory under [storage] shared in hosts.toml"
        }
        "auth_unavailable" | "auth_failed" | "auth_cancelled" => {
            "the user must be root or in the group libvirt on that host"
        }
        "cpu_incompatible" => "the host's CPU lacks what the guest was started with; see `host.cpu`",
        _ => return None,
    })
}

/// Fails on a text that libvirt's C interface cannot take.
pub(super) fn no_zero_byte(what: &'static str, text: &str) -> Result<(), Error> {
    if text.contains('\0') { Err(Error::ZeroByte { what }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libvirt_names_become_codes() {
        assert_eq!(snake_case("NoDomain"), "no_domain");
        assert_eq!(snake_case("OperationInvalid"), "operation_invalid");
    }
}
