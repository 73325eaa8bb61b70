//! The hosts an admin has named, and what the admin vouches for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Bytes, Target};

/// The contents of `hosts.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The file it was read from, if there was one.
    pub path: Option<PathBuf>,
    /// The hosts by name.
    pub hosts: BTreeMap<String, HostEntry>,
    /// Groups: name → members (host names or globs).
    pub groups: BTreeMap<String, Vec<String>>,
    /// Directories the admin vouches are the same storage on all hosts.
    pub shared: Vec<PathBuf>,
}

/// One `[hosts.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// How it is reached.
    pub target: Target,
    /// Free words to select hosts by.
    pub tags: Vec<String>,
    /// Memory that stays free for the host itself when guests are placed there.
    pub reserve: Option<Bytes>,
    /// The address other hosts send migrations to, when it is not `address`.
    pub migration_address: Option<String>,
}
