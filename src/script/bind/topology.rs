//! What hangs on what.

use rhai::plugin::*;

use super::super::error::Outcome;
use super::super::show;
use crate::ops::Host;

#[export_module(manifest)]
pub(super) mod functions {
    /// A host and what hangs on it, drawn as a tree when it is printed.
    pub type Topology = crate::model::Branch;

    /// What hangs on what in the host: its links, networks, pools and guests as a tree.
    ///
    /// Bridges and bonds hold their ports, and guests stand where they are plugged in; pools hold the disks of
    /// guests. Sizes are in bytes for programs. Links are read over SSH, the rest from libvirt.
    ///
    /// Errors: faults of the connection; `probe_failed`.
    ///
    /// Example: `host("test:///default").topology()`
    #[rhai_fn(name = "topology", return_raw, pure)]
    pub fn topology(host: &mut Host) -> Outcome<Topology> {
        Ok(host.topology()?)
    }

    /// The tree as maps: `#{kind, name, …, branches}`, where `branches` is an array of the same.
    ///
    /// Errors: none of its own.
    ///
    /// Example: `host("test:///default").topology().map.branches.map(|branch| branch.name)`
    #[rhai_fn(get = "map", return_raw, pure)]
    pub fn map(topology: &mut Topology) -> Outcome<Dynamic> {
        Ok(show::from_serde(&topology.to_json())?)
    }
}
