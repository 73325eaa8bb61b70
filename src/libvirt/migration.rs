//! Live migration and the figures of jobs.

use std::time::Duration;

use virt::sys;

use super::answer::{self, Answer};
use super::raw::{Argument, Params, Value};
use super::{Connection, Domain, Error, raw};
use crate::gate::Permit;
use crate::model::{Bytes, JobStats, MigrateOptions};

/// One call of `virDomainMigrate3`.
#[derive(Debug, Clone)]
pub struct MigrateCall<'a> {
    /// What the operator asked for.
    pub options: &'a MigrateOptions,
    /// Move the definition of a guest that does not run.
    pub offline: bool,
    /// Define the guest at the target, as it was at the source.
    pub persistent: bool,
    /// Leave the definition at the source.
    pub keep_definition: bool,
    /// libvirt's unsafe flag: only after sharing was proven (see `ops::shared`).
    pub vouched: bool,
    /// Where the source's QEMU finds the target's; `None` leaves it to libvirt.
    pub migrate_uri: Option<String>,
    /// Keep the guest paused at the target, because it was paused at the source.
    pub paused: bool,
}

impl MigrateCall<'_> {
    fn flags(&self) -> u32 {
        let options = self.options;
        let mut flags = if self.offline { sys::VIR_MIGRATE_OFFLINE } else { sys::VIR_MIGRATE_LIVE };
        let mut set = |on: bool, flag| flags |= if on { flag } else { 0 };
        set(self.persistent || self.offline, sys::VIR_MIGRATE_PERSIST_DEST);
        set(!self.keep_definition, sys::VIR_MIGRATE_UNDEFINE_SOURCE);
        set(self.vouched, sys::VIR_MIGRATE_UNSAFE);
        set(self.paused, sys::VIR_MIGRATE_PAUSED);
        if !self.offline {
            set(true, sys::VIR_MIGRATE_ABORT_ON_ERROR);
            set(options.auto_converge, sys::VIR_MIGRATE_AUTO_CONVERGE);
            set(options.post_copy, sys::VIR_MIGRATE_POSTCOPY);
            set(options.parallel_connections.is_some(), sys::VIR_MIGRATE_PARALLEL);
            set(options.copy_storage, sys::VIR_MIGRATE_NON_SHARED_DISK);
        }
        flags
    }

    fn arguments(&self) -> Vec<Argument> {
        let mut arguments = Vec::new();
        if let Some(uri) = self.options.migrate_uri.as_ref().or(self.migrate_uri.as_ref())
            && !self.offline
        {
            arguments.push(Argument::Text("migrate_uri", uri.clone()));
        }
        if let Some(name) = &self.options.rename {
            arguments.push(Argument::Text("destination_name", name.clone()));
        }
        if !self.offline {
            if let Some(mib) = self.options.bandwidth {
                arguments.push(Argument::Count("bandwidth", mib));
            }
            if let Some(connections) = self.options.parallel_connections {
                arguments.push(Argument::Number("parallel.connections", connections));
            }
        }
        arguments
    }
}

/// A migration under way.
#[derive(Debug)]
pub struct Migration {
    answer: Answer<()>,
    source: Connection,
}

impl Migration {
    /// How it ended, if it ends within `time`. An error does not say where the
    /// guest is: ask both daemons.
    pub fn ended_within(&self, time: Duration) -> Option<Result<(), Error>> {
        self.answer.within(time).map(|ended| self.source.judge(ended))
    }
}

impl Domain {
    /// Begins to move the domain to the host of `target`. Abort it from another
    /// connection with [`Domain::abort_job`].
    ///
    /// # Errors
    /// When no thread could be started.
    pub fn migrate(
        &self,
        _: &Permit,
        target: &Connection,
        call: &MigrateCall<'_>,
    ) -> Result<Migration, Error> {
        let (domain, source, target) = (self.domain.clone(), self.connection.clone(), target.clone());
        let (arguments, flags) = (call.arguments(), call.flags());
        let kept = source.clone();
        let run = move || {
            // Both connections stay open until the call has returned.
            let moved = raw::migrate(&domain, target.connect(), &arguments, flags);
            drop(kept);
            moved.map(drop)
        };
        Ok(Migration { answer: answer::begin("libvirt migrate", run)?, source })
    }
}

/// Job types by `virDomainJobType`.
const KINDS: [&str; 6] = ["none", "bounded", "unbounded", "completed", "failed", "cancelled"];

/// Operations by `virDomainJobOperation`.
const OPERATIONS: [&str; 11] = [
    "unknown",
    "start",
    "save",
    "restore",
    "migration_in",
    "migration_out",
    "snapshot",
    "snapshot_revert",
    "dump",
    "backup",
    "snapshot_delete",
];

pub(super) fn job_from(kind: i32, params: &Params) -> JobStats {
    let number = |key: &str| params.get(key).and_then(Value::as_u64);
    let bytes = |key: &str| Bytes(number(key).unwrap_or(0));
    let millis = |key: &str| number(key).map(Duration::from_millis);
    let word = |words: &[&str], at: u64| {
        usize::try_from(at)
            .ok()
            .and_then(|at| words.get(at))
            .map_or_else(|| at.to_string(), |w| (*w).to_owned())
    };
    let page = number("memory_page_size").unwrap_or(4096);
    JobStats {
        kind: word(&KINDS, u64::try_from(kind).unwrap_or(0)),
        operation: word(&OPERATIONS, number("operation").unwrap_or(0)),
        elapsed: millis("time_elapsed").unwrap_or_default(),
        remaining: millis("time_remaining"),
        downtime: millis("downtime"),
        data_total: bytes("data_total"),
        data_processed: bytes("data_processed"),
        data_remaining: bytes("data_remaining"),
        memory_total: bytes("memory_total"),
        memory_remaining: bytes("memory_remaining"),
        memory_processed: bytes("memory_processed"),
        memory_rate: bytes("memory_bps"),
        // In pages per second (libvirt-domain.h, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE).
        dirty_rate: number("memory_dirty_rate").map(|pages| Bytes(pages.saturating_mul(page))),
        iteration: number("memory_iteration").unwrap_or(0),
        throttle: number("auto_converge_throttle").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_figures_carry_their_units() {
        let params = Params::from([
            ("operation".to_owned(), Value::Int(5)),
            ("time_elapsed".to_owned(), Value::UInt(1500)),
            ("memory_bps".to_owned(), Value::UInt(1 << 20)),
            ("memory_dirty_rate".to_owned(), Value::UInt(256)),
            ("memory_page_size".to_owned(), Value::UInt(4096)),
        ]);
        let job = job_from(2, &params);
        assert_eq!((job.kind.as_str(), job.operation.as_str()), ("unbounded", "migration_out"));
        assert_eq!(job.elapsed, Duration::from_millis(1500));
        assert_eq!(job.dirty_rate, Some(Bytes(1 << 20)));
        assert!(job.is_running());
    }

    #[test]
    fn a_definition_alone_is_moved_without_the_options_of_a_live_move() {
        let options =
            MigrateOptions { auto_converge: true, bandwidth: Some(10), ..MigrateOptions::default() };
        let call = MigrateCall {
            options: &options,
            offline: true,
            persistent: true,
            keep_definition: false,
            vouched: false,
            migrate_uri: None,
            paused: false,
        };
        assert_eq!(
            call.flags(),
            sys::VIR_MIGRATE_OFFLINE | sys::VIR_MIGRATE_PERSIST_DEST | sys::VIR_MIGRATE_UNDEFINE_SOURCE
        );
        assert!(call.arguments().is_empty());
    }
}
