//! The neutral error report: what every layer's typed error becomes when it
//! leaves that layer, and all that `ui/` and scripts ever see of an error.

use std::fmt;

/// What kind of end an error is; decides the exit code (docs/DESIGN: exit codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Something was tried and failed.
    Failed,
    /// The command line or the inventory is wrong.
    Usage,
    /// A host could not be reached, or would not let us in.
    Connect,
    /// Refused before anything was changed.
    Refused,
    /// Some objects failed, others did not.
    Partial,
    /// `--timeout` was reached.
    TimedOut,
    /// The operator interrupted.
    Interrupted,
}

impl Class {
    /// The process exit code that stands for this class.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Connect => 3,
            Self::Refused => 4,
            Self::Partial => 5,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }

    /// The word for it in scripts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Connect => "connect",
            Self::Refused => "refused",
            Self::Partial => "partial",
            Self::TimedOut => "timed out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An error as a person and a script see it.
///
/// `code` is stable and made for `switch`; `message` says what was tried and
/// what went wrong; `hint` what to do about it; `causes` what libvirt, the
/// remote command or the system said, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Decides the exit code.
    pub class: Class,
    /// Stable name in snake_case, for instance `no_domain` or `host_key_changed`.
    pub code: String,
    /// What was tried and what went wrong, one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The host it happened on.
    pub host: Option<String>,
    /// The object it happened to, for instance `domain web1`.
    pub object: Option<String>,
    /// What the parts below said, outermost first.
    pub causes: Vec<String>,
}

impl Fault {
    /// A fault of the class [`Class::Failed`].
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            class: Class::Failed,
            code: code.into(),
            message: message.into(),
            hint: None,
            host: None,
            object: None,
            causes: Vec::new(),
        }
    }

    /// Sets the class.
    #[must_use]
    pub const fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Sets what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the host, unless a layer nearer to the cause has done so.
    #[must_use]
    pub fn on_host(mut self, host: impl Into<String>) -> Self {
        self.host.get_or_insert_with(|| host.into());
        self
    }

    /// Sets the object, unless a layer nearer to the cause has done so.
    #[must_use]
    pub fn on_object(mut self, kind: &str, name: &str) -> Self {
        self.object.get_or_insert_with(|| format!("{kind} {name}"));
        self
    }

    /// Adds what a part below said; empty text is left out.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        let cause = cause.into();
        if !cause.trim().is_empty() {
            self.causes.push(cause);
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {}", cause.trim_end())?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
