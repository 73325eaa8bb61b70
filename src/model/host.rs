//! What is known of a host, its pools, volumes and networks.

use super::Bytes;

/// `virNodeInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Architecture, for instance `x86_64`.
    pub arch: String,
    /// Memory the kernel has.
    pub memory: Bytes,
    /// Logical processors.
    pub cpus: u32,
    /// Their frequency in MHz.
    pub mhz: u32,
    /// NUMA nodes.
    pub numa_nodes: u32,
    /// Sockets per NUMA node.
    pub sockets: u32,
    /// Cores per socket.
    pub cores: u32,
    /// Threads per core.
    pub threads: u32,
}

/// The host's memory now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeMemory {
    /// All of it.
    pub total: Bytes,
    /// Unused.
    pub free: Bytes,
    /// Free, or used for buffers and cache: what a new guest could get.
    pub available: Bytes,
}

/// Versions at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// libvirt's, as `9.0.0`.
    pub libvirt: String,
    /// The driver: `QEMU`, `TEST`, …
    pub driver: String,
    /// The hypervisor's, as `7.2.9`.
    pub hypervisor: String,
}

/// `virStoragePoolInfo` and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolInfo {
    /// `inactive`, `building`, `running`, `degraded`, `inaccessible`.
    pub state: &'static str,
    /// Size.
    pub capacity: Bytes,
    /// Used.
    pub allocation: Bytes,
    /// Free.
    pub available: Bytes,
}

/// `virStorageVolInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeInfo {
    /// `file`, `block`, `dir`, `network`, …
    pub kind: &'static str,
    /// Size the guest sees.
    pub capacity: Bytes,
    /// Space it takes.
    pub allocation: Bytes,
}

/// A lifecycle event of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The domain's name.
    pub domain: String,
    /// Its UUID.
    pub uuid: String,
    /// `defined`, `undefined`, `started`, `suspended`, `resumed`, `stopped`, `shutdown`, `pmsuspended`, `crashed`.
    pub event: &'static str,
    /// libvirt's detail: `booted`, `migrated`, …
    pub detail: &'static str,
}

/// `1_009_002` → `1.9.2`: libvirt counts major × 1,000,000 + minor × 1,000 + release.
pub fn version_text(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000)
}
