//! What the gate is asked to let pass.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::secret::{self, scrub};

/// One change to one object on one host, as the plan shows it; the journal keeps a [`Record`] of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What was there before, where it is small enough to keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What will be there after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Of what was there before, where `before` is not all of it.
    #[serde(skip)]
    pub before_digest: Option<Digest>,
    /// Of what will be there after, where `after` is not all of it.
    #[serde(skip)]
    pub after_digest: Option<Digest>,
    /// Which line of which script asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Whether nothing of it is left when it has ended.
    #[serde(skip)]
    pub passing: bool,
}

/// What the journal keeps of a change: never a text that was there before or
/// will be there after, for it may hold secrets; only how long it is and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// As [`Change::host`].
    pub host: String,
    /// As [`Change::kind`].
    pub kind: String,
    /// As [`Change::object`].
    pub object: String,
    /// As [`Change::action`].
    pub action: String,
    /// As [`Change::detail`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Of the text before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_digest: Option<Digest>,
    /// Of the text after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_digest: Option<Digest>,
    /// As [`Change::origin`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What says whether a text is another without telling the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = <sha2::Sha256 as sha2::Digest>::digest(bytes);
        let sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes: bytes.len() as u64, sha256 }
    }
}

impl Change {
    /// What the journal keeps of it.
    pub fn record(&self) -> Record {
        let digest = |text: &Option<String>| text.as_ref().map(|text| Digest::of(text.as_bytes()));
        Record {
            host: self.host.clone(),
            kind: self.kind.clone(),
            // A command line is the object of its change.
            object: if self.kind == "command" {
                secret::command(&self.object)
            } else {
                scrub(&self.object).into_owned()
            },
            action: self.action.clone(),
            detail: self.detail.as_deref().map(|detail| scrub(detail).into_owned()),
            before_digest: self.before_digest.clone().or_else(|| digest(&self.before)),
            after_digest: self.after_digest.clone().or_else(|| digest(&self.after)),
            origin: self.origin.clone(),
        }
    }
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
            before_digest: None,
            after_digest: None,
            origin: None,
            passing: false,
        }
    }

    /// Nothing of it is left when it has ended, however it ends: a proof by a file that is removed again.
    #[must_use]
    pub const fn passing(mut self) -> Self {
        self.passing = true;
        self
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
