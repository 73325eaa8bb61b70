//! Where guests go: what is asked, and the answer. Plain data, so that every
//! property of a placement can be tested without a cluster.

use super::{Bytes, Fault};

/// A guest to be placed.
#[derive(Debug, Clone, PartialEq)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// What it takes on its new host: the most memory it may have and QEMU's
    /// own; nothing for one that is off.
    pub memory: Bytes,
    /// Virtual processors.
    pub vcpus: u64,
    /// Why it cannot go to a host, by the index of the host; no entry: it can.
    pub blockers: Vec<Vec<Fault>>,
}

/// A host that guests may be placed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// Its name.
    pub name: String,
    /// Memory for further guests, its reserve and what its guests may still claim already taken off.
    pub free: Bytes,
    /// All of its memory.
    pub total: Bytes,
    /// Logical processors.
    pub cpus: u64,
    /// Virtual processors that run on it already.
    pub vcpus: u64,
}

/// Where one guest goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Index of the guest.
    pub guest: usize,
    /// Index of the host.
    pub host: usize,
    /// Why there.
    pub why: String,
}

/// Why one guest goes nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Unplaced {
    /// Index of the guest.
    pub guest: usize,
    /// Whether only memory is lacking: there are hosts that could take it otherwise.
    pub lacks_memory: bool,
    /// Every reason, each naming its host.
    pub reasons: Vec<Fault>,
}

/// A placement.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Placement {
    /// Guests that have a place, in the order of the guests.
    pub assigned: Vec<Assignment>,
    /// Guests that have none.
    pub unplaced: Vec<Unplaced>,
}
