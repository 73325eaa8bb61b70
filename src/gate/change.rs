//! What the gate is asked to let pass.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One change to one object on one host, as the plan and the journal show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The host that is changed.
    pub host: String,
    /// The kind of object: `domain`, `pool`, `volume`, `network`, `file`, `command`, `host`.
    pub kind: String,
    /// The object's name or path.
    pub object: String,
    /// What is done to it: `start`, `define`, `migrate`, …
    pub action: String,
    /// What a person wants to know beside that: where to, how large, why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What was there before, where it is small enough to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What will be there after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Which line of which script asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// A place in a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The script's path, a module such as `std/evacuate`, or `repl[3]`.
    pub script: String,
    /// The line, from 1; 0 when it is not known.
    pub line: usize,
}

impl Change {
    /// `action` on the object `kind` `object` on `host`.
    pub fn new(host: &str, kind: &str, object: &str, action: &str) -> Self {
        Self {
            host: host.to_owned(),
            kind: kind.to_owned(),
            object: object.to_owned(),
            action: action.to_owned(),
            detail: None,
            before: None,
            after: None,
            origin: None,
        }
    }

    /// Adds what a person wants to know beside the action.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the state before.
    #[must_use]
    pub fn before(mut self, before: impl Into<String>) -> Self {
        self.before = Some(before.into());
        self
    }

    /// Adds the state after.
    #[must_use]
    pub fn after(mut self, after: impl Into<String>) -> Self {
        self.after = Some(after.into());
        self
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} on {}", self.action, self.kind, self.object, self.host)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}
