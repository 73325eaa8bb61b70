//! Migration: what is asked for, where it stands, how it ended.

use std::time::Duration;

use super::{Bytes, Fault, Verdict};

/// How one guest is to be moved. The default is a live move that leaves no
/// definition behind and never touches storage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigrateOptions {
    /// The most bandwidth, in MiB/s; libvirt's unit. None: no limit.
    pub bandwidth: Option<u64>,
    /// Slow the guest down when it dirties memory faster than it can be sent.
    pub auto_converge: bool,
    /// Allow the switch to post-copy.
    pub post_copy: bool,
    /// Number of connections the memory is sent over (multifd). None: one.
    pub parallel_connections: Option<i32>,
    /// Copy the disks as well (`--copy-storage-all`): for storage that is not shared.
    pub copy_storage: bool,
    /// The longest pause at the end that is acceptable, in ms. None: libvirt's 300 ms.
    pub max_downtime: Option<Duration>,
    /// Give the guest this name at the target.
    pub rename: Option<String>,
    /// Where the target's QEMU is reached by the source's: `tcp://ADDRESS`. None: worked out.
    pub migrate_uri: Option<String>,
    /// Leave the guest's definition at the source as well.
    pub keep_source: bool,
    /// Do not define the guest at the target: it is gone there when it stops.
    pub transient: bool,
    /// Give up when it has not ended after this long; the guest then stays where it was.
    pub timeout: Option<Duration>,
}

/// Figures of a running or ended job (`virDomainGetJobStats`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobStats {
    /// `none`, `bounded`, `unbounded`, `completed`, `failed`, `cancelled`.
    pub kind: String,
    /// `migration_out`, `save`, …
    pub operation: String,
    /// Since the job began.
    pub elapsed: Duration,
    /// How long libvirt thinks it takes still.
    pub remaining: Option<Duration>,
    /// While it runs, the expected pause of the guest; afterwards the real one.
    pub downtime: Option<Duration>,
    /// Memory and disks together.
    pub data_total: Bytes,
    /// Of that, sent or found to be zero.
    pub data_processed: Bytes,
    /// Of that, left.
    pub data_remaining: Bytes,
    /// The guest's memory.
    pub memory_total: Bytes,
    /// Memory left to send; grows again when the guest writes.
    pub memory_remaining: Bytes,
    /// Memory sent.
    pub memory_processed: Bytes,
    /// Per second.
    pub memory_rate: Bytes,
    /// What the guest writes, per second.
    pub dirty_rate: Option<Bytes>,
    /// Passes over the memory so far.
    pub iteration: u64,
    /// How much the guest is slowed down, in percent.
    pub throttle: u64,
}

impl JobStats {
    /// Whether a job is running.
    pub fn is_running(&self) -> bool {
        matches!(self.kind.as_str(), "bounded" | "unbounded")
    }
}

/// How one guest's move ended.
#[derive(Debug, Clone, PartialEq)]
pub struct MigrateReport {
    /// The guest.
    pub domain: String,
    /// From where.
    pub source: String,
    /// To where.
    pub target: String,
    /// Where it is now.
    pub verdict: Verdict,
    /// Whether it was running; a definition alone is moved otherwise.
    pub live: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// Sent.
    pub bytes: Bytes,
    /// How long the guest stood still, as the target's daemon measured.
    pub downtime: Option<Duration>,
    /// Why it did not work, if so.
    pub error: Option<Fault>,
}
