//! Looking after one migration while it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::migrate::Move;
use crate::gate::Permit;
use crate::libvirt::{self, Abort};
use crate::model::{Fault, JobStats, MigrateOptions, Step, Task, finishing};

/// How often figures are asked for and stops are looked at.
pub(super) const POLL: Duration = Duration::from_millis(200);

/// How long a migration that has begun to send may stand still before it is
/// given up: a cut link between the hosts shows itself only so, since the kernel
/// would retry for a quarter of an hour. (KubeVirt gives up after 150 s.)
const STALL: Duration = Duration::from_secs(25);

/// The same before the first byte: the target may have to clear a terabyte of hugepages.
const SLOW_START: Duration = Duration::from_secs(180);

/// Figures of the job, asked for on a thread of their own: a frozen QEMU must
/// not keep anybody from looking at the clock.
#[derive(Debug)]
struct Figures {
    latest: Arc<Mutex<Option<JobStats>>>,
    over: Arc<AtomicBool>,
}

impl Figures {
    fn begin(handle: libvirt::Domain) -> Result<Self, Fault> {
        let latest = Arc::<Mutex<Option<JobStats>>>::default();
        let over = Arc::new(AtomicBool::new(false));
        let (shared, ended) = (Arc::clone(&latest), Arc::clone(&over));
        let poll = move || {
            while !ended.load(Ordering::Relaxed) {
                if let Ok(job) = handle.job(false)
                    && job.is_running()
                {
                    *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
                }
                std::thread::sleep(POLL);
            }
        };
        std::thread::Builder::new()
            .name("job figures".into())
            .spawn(poll)
            .map_err(|error| Fault::new("no_thread", "cannot start a thread").because(error.to_string()))?;
        Ok(Self { latest, over })
    }

    /// The figures that came since the last look.
    fn take(&self) -> Option<JobStats> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// See the module's description.
pub(super) struct Watch<'a> {
    one: &'a Move,
    task: &'a dyn Task,
    options: &'a MigrateOptions,
    /// The guest, over the connection for figures.
    handle: libvirt::Domain,
    figures: Option<Figures>,
    began: Instant,
    last: Option<JobStats>,
    /// For how long figures have come without anything being sent.
    still: Duration,
    looked_at: Instant,
    post_copy: bool,
    /// Why it was given up, if it was, and since when.
    given_up: Option<(Fault, Instant)>,
    /// The abort under way; repeated until the migration's call returns.
    abort: Option<Abort>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        one: &'a Move,
        options: &'a MigrateOptions,
        task: &'a dyn Task,
        handle: libvirt::Domain,
    ) -> Result<Self, Fault> {
        let now = Instant::now();
        let figures = if one.live { Some(Figures::begin(handle.clone())?) } else { None };
        Ok(Self {
            one,
            task,
            options,
            handle,
            figures,
            began: now,
            last: None,
            still: Duration::ZERO,
            looked_at: now,
            post_copy: false,
            given_up: None,
            abort: None,
        })
    }

    /// The last figures.
    pub(super) const fn last(&self) -> Option<&JobStats> {
        self.last.as_ref()
    }

    /// Why it was given up.
    pub(super) fn given_up(&self) -> Option<&Fault> {
        self.given_up.as_ref().map(|(fault, _)| fault)
    }

    /// Whether it was given up so long ago, or a second stop was asked for, that
    /// its call is not waited for any longer.
    pub(super) fn is_hopeless(&self, patience: Duration) -> bool {
        let waited = self.given_up.as_ref().is_some_and(|(_, since)| since.elapsed() >= patience);
        waited || self.is_left()
    }

    /// Whether a second stop was asked for: then nobody waits, neither for the end nor for those who know it.
    pub(super) fn is_left(&self) -> bool {
        self.given_up.is_some() && self.one.domain.host().session().cancel().times() > 1
    }

    pub(super) fn look(&mut self, permit: &Permit, target_alive: bool) {
        let since = self.looked_at.elapsed();
        self.looked_at = Instant::now();
        if let Some(job) = self.figures.as_ref().and_then(Figures::take) {
            self.weigh(job, since, permit);
        }
        if self.given_up.is_none() {
            self.given_up = self.reason(target_alive).map(|fault| (fault, Instant::now()));
        }
        if self.given_up.is_some() {
            self.press(permit);
        }
    }

    fn weigh(&mut self, job: JobStats, since: Duration, permit: &Permit) {
        let sent = |job: &JobStats| (job.data_processed, job.iteration);
        let moves_on = self.last.as_ref().is_none_or(|last| sent(last) != sent(&job));
        self.still = if moves_on { Duration::ZERO } else { self.still + since };
        // As virsh's --postcopy-after-precopy: when all memory has been sent once.
        if self.options.post_copy && !self.post_copy && job.iteration > 1 {
            self.post_copy = true;
            let _ = self.handle.start_post_copy(permit);
        }
        self.task.step(&running_step(&job, self.one));
        self.last = Some(job);
    }

    /// Aborts, again and again: too early there is no job yet, too late none any more.
    fn press(&mut self, permit: &Permit) {
        match self.abort.as_ref().map(Abort::ended) {
            Some(None) => return,
            Some(Some(Err(error))) if error.is_lost() => {
                if let Ok(handle) = finishing(|| self.one.domain.stats_handle()) {
                    self.handle = handle;
                }
            }
            _ => {}
        }
        self.abort = self.handle.begin_abort(permit).ok();
    }

    fn reason(&self, target_alive: bool) -> Option<Fault> {
        let cancel = self.one.domain.host().session().cancel();
        if let Some(stop) = cancel.stopped() {
            return Some(stop.fault());
        }
        if self.options.timeout.is_some_and(|limit| self.began.elapsed() >= limit) {
            return Some(Fault::new("migration_timeout", "it took longer than it was given"));
        }
        if !target_alive {
            let message = format!("the libvirt daemon on {} is gone", self.one.target.name());
            return Some(Fault::new("target_lost", message));
        }
        let has_sent = self.last.as_ref().is_some_and(|job| job.data_processed.0 > 0);
        if self.still >= if has_sent { STALL } else { SLOW_START } {
            let message =
                format!("nothing could be sent to {} for {} s", self.one.target.name(), self.still.as_secs());
            let hint = "the link between the two hosts may be down";
            return Some(Fault::new("migration_stalled", message).hint(hint));
        }
        None
    }
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn running_step(job: &JobStats, one: &Move) -> Step {
    let mut note = format!("→ {}", one.target.name());
    if job.memory_rate.0 > 0 && job.memory_remaining.0 > 0 {
        let left = job.memory_remaining.0 / job.memory_rate.0.max(1);
        note.push_str(&format!("   {left} s left"));
    }
    if let Some(dirty) = job.dirty_rate.filter(|rate| rate.0 > 0) {
        note.push_str(&format!(", dirtying {dirty}/s"));
    }
    if job.throttle > 0 {
        note.push_str(&format!(", slowed by {} %", job.throttle));
    }
    Step {
        done: job.data_total.saturating_sub(job.data_remaining).0,
        total: job.data_total.0,
        size: Some(one.memory),
        rate: Some(job.memory_rate),
        note,
    }
}
