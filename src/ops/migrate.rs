//! Moving one guest: the call, its progress, its end, and the truth afterwards.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{Domain, Host};
use crate::gate::{Change, Outcome, Permit};
use crate::libvirt::{self, MigrateCall};
use crate::model::{
    Bytes, Class, DomainState, Fault, JobStats, MigrateOptions, MigrateReport, Step, Task, Verdict, finishing,
};

/// How often figures are asked for and stops are looked at.
const POLL: Duration = Duration::from_millis(200);

/// How long both daemons may contradict each other before it is reported:
/// after an abort the target needs a moment to clear what had arrived.
const SETTLE: Duration = Duration::from_secs(10);

/// How long a migration that has begun to send may stand still before it is
/// given up: a cut link between the hosts shows itself only so, since the kernel
/// would retry for a quarter of an hour. (KubeVirt gives up after 150 s.)
const STALL: Duration = Duration::from_secs(25);

/// The same before the first byte: the target may have to clear a terabyte of hugepages.
const SLOW_START: Duration = Duration::from_secs(180);

/// One guest's move, decided.
#[derive(Debug, Clone)]
pub struct Move {
    /// The guest.
    pub domain: Domain,
    /// Where it goes.
    pub target: Host,
    /// Why there.
    pub why: String,
    /// Whether it runs; otherwise its definition moves.
    pub live: bool,
    /// Whether it has a definition; one without has none at the target either.
    pub persistent: bool,
    /// The most memory it may have.
    pub memory: Bytes,
    /// Directories of its disks that the admin vouches for and that are proven before the move.
    pub vouched: Vec<PathBuf>,
    /// Whether the source can resolve the target's own host name.
    pub resolvable: bool,
}

impl Move {
    /// The change that the gate is asked for.
    fn change(&self) -> Change {
        let action = if self.live { "migrate" } else { "move definition of" };
        let detail = if self.why.is_empty() {
            format!("→ {}", self.target.name())
        } else {
            format!("→ {}: {}", self.target.name(), self.why)
        };
        Change::new(self.domain.host().name(), "domain", self.domain.name(), action).detail(detail)
    }

    /// Makes the move and finds out how it ended. `None` in a plan.
    ///
    /// # Errors
    /// The gate's refusals, and faults before anything was begun. What goes
    /// wrong once it has begun is in the report.
    pub fn run(&self, options: &MigrateOptions, task: &dyn Task) -> Result<Option<MigrateReport>, Fault> {
        let source = self.domain.host();
        for dir in &self.vouched {
            source.session().proofs().prove(dir, source, &self.target)?;
        }
        let mut report = None;
        let outcome = source.change(self.change(), |permit| {
            let ended = self.run_permitted(permit, options, task)?;
            let error = ended.error.clone();
            report = Some(ended);
            error.map_or(Ok(()), Err)
        });
        match (outcome, report) {
            (_, Some(report)) => Ok(Some(report)),
            (Ok(Outcome::Planned), None) => Ok(None),
            (Ok(Outcome::Done(())), None) => Ok(None),
            (Err(fault), None) => Err(fault),
        }
    }

    fn run_permitted(
        &self,
        permit: &Permit,
        options: &MigrateOptions,
        task: &dyn Task,
    ) -> Result<MigrateReport, Fault> {
        let source = self.domain.host();
        let cancel = source.session().cancel();
        cancel.check()?;
        let began = Instant::now();
        let uuid = self.domain.uuid()?;
        let autostart = self.persistent && self.domain.autostart().unwrap_or(false);
        let paused = self.live && self.domain.state()? == DomainState::Paused;
        let from = source.migration_place()?;
        let to = self.target.migration_place()?;
        let handle = from.connection().domain_by_uuid(&uuid)?;
        if let Some(downtime) = options.max_downtime.filter(|_| self.live) {
            handle.set_max_downtime(permit, u64::try_from(downtime.as_millis()).unwrap_or(u64::MAX))?;
        }
        let call = MigrateCall {
            options,
            offline: !self.live,
            persistent: self.persistent && !options.transient,
            vouched: !self.vouched.is_empty(),
            migrate_uri: self.migrate_uri(),
            paused,
        };
        // Opened before: an abort must not depend on a connection that can no longer be opened.
        let mut watch = Watch::new(self, options, task, self.domain.stats_handle()?);
        // The worker cannot outlive this scope, nor need it: an abort, or the keepalive of a
        // connection that died (25 s), ends the call.
        let result = std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let to = to.connection();
            scope.spawn(move || drop(sender.send(handle.migrate(permit, to, &call))));
            loop {
                match receiver.recv_timeout(POLL) {
                    Ok(result) => return result,
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(libvirt::Error::Lost { message: "the migration's thread ended".into() });
                    }
                    Err(RecvTimeoutError::Timeout) => watch.look(permit, to.is_alive()),
                }
            }
        });
        let name = options.rename.as_deref().unwrap_or(self.domain.name());
        let verdict = finishing(|| self.verdict(&uuid, options));
        let mut report = self.report(began, &verdict, result.err(), &watch, name);
        if autostart && verdict.word() == "moved" && !options.transient {
            // libvirt carries the definition, not the autostart mark.
            let marked = finishing(|| {
                self.target
                    .ask(|c| c.domain_by_name(name).and_then(|domain| domain.set_autostart(permit, true)))
            });
            if let Err(fault) = marked {
                let message = format!("{name} was moved, but does not start with {} yet", self.target.name());
                let fault = Fault::new("autostart_lost", message).because(fault.message);
                report.error = Some(fault.on_host(self.target.name()).on_object("domain", name));
            }
        }
        task.finish(report.error.is_none(), &final_step(&report, self.memory));
        Ok(report)
    }

    /// `tcp://ADDRESS` where the admin named a network for migrations, or
    /// where the source cannot resolve the name the target gives itself.
    fn migrate_uri(&self) -> Option<String> {
        if self.resolvable && !self.target.has_migration_address() {
            return None;
        }
        let address = self.target.migration_address()?;
        Some(if address.contains(':') { format!("tcp://[{address}]") } else { format!("tcp://{address}") })
    }

    /// Asks both daemons where the guest is, until they agree.
    fn verdict(&self, uuid: &str, options: &MigrateOptions) -> Verdict {
        let began = Instant::now();
        loop {
            let source = self.domain.host().domain_state(uuid);
            let target = self.target.domain_state(uuid);
            let mut verdict = judge(self.live, source.ok(), target.ok());
            if !self.live && options.keep_source && verdict == Verdict::Both {
                verdict = Verdict::Moved;
            }
            let settled = !matches!(verdict, Verdict::Both | Verdict::Nowhere);
            if settled || began.elapsed() > SETTLE {
                return verdict;
            }
            std::thread::sleep(POLL);
        }
    }

    fn report(
        &self,
        began: Instant,
        verdict: &Verdict,
        error: Option<libvirt::Error>,
        watch: &Watch<'_>,
        name: &str,
    ) -> MigrateReport {
        let source = self.domain.host();
        let moved = verdict.word() == "moved";
        // The target's daemon has the final figures.
        let job = (moved && self.live)
            .then(|| self.target.domain(name).and_then(|domain| domain.job(true)).ok())
            .flatten()
            .or_else(|| watch.last.clone());
        let error = match (verdict, watch.given_up.clone()) {
            (Verdict::Moved, _) => None,
            (Verdict::MovedSourceSilent, _) => {
                Some(Fault::new("source_silent", "whether the source has let go of it is not known"))
            }
            (_, Some(fault)) => Some(fault),
            (_, None) => Some(match error {
                Some(error) => Fault::from(error),
                None => Fault::new("migration_lost", "libvirt reported success"),
            }),
        };
        let error = error.map(|fault| {
            let sentence = verdict.sentence(self.domain.name(), source.name(), self.target.name());
            let mut fault = fault.on_host(source.name()).on_object("domain", self.domain.name());
            fault.message = format!("{sentence}: {}", fault.message);
            fault
        });
        MigrateReport {
            domain: self.domain.name().to_owned(),
            source: source.name().to_owned(),
            target: self.target.name().to_owned(),
            verdict: verdict.clone(),
            live: self.live,
            elapsed: began.elapsed(),
            bytes: job.as_ref().map(|job| job.memory_processed).unwrap_or_default(),
            downtime: job.filter(|_| moved).and_then(|job| job.downtime),
            error,
        }
    }
}

/// What two answers mean. `None`: that daemon could not be asked. Pure.
fn judge(live: bool, source: Option<Option<DomainState>>, target: Option<Option<DomainState>>) -> Verdict {
    // A live move is about the running guest; a definition is where it is defined.
    let here = |state: Option<DomainState>| {
        if live { state.is_some_and(DomainState::is_active) } else { state.is_some() }
    };
    match (source.map(here), target.map(here)) {
        (Some(true), Some(true)) => Verdict::Both,
        (Some(true), Some(false)) => Verdict::Stayed,
        (Some(false), Some(true)) => Verdict::Moved,
        (Some(false), Some(false)) => Verdict::Nowhere,
        (Some(true), None) => Verdict::StayedTargetSilent,
        (None, Some(true)) => Verdict::MovedSourceSilent,
        (Some(false), None) | (None, Some(false) | None) => Verdict::Unknown,
    }
}

/// Looks after a migration while it runs.
struct Watch<'a> {
    one: &'a Move,
    task: &'a dyn Task,
    /// The guest, over the connection for figures.
    handle: libvirt::Domain,
    began: Instant,
    limit: Option<Duration>,
    last: Option<JobStats>,
    /// When something was sent last.
    sent_at: Instant,
    /// Why it was aborted, if it was; the abort is repeated until the call returns.
    given_up: Option<Fault>,
}

impl<'a> Watch<'a> {
    fn new(one: &'a Move, options: &MigrateOptions, task: &'a dyn Task, handle: libvirt::Domain) -> Self {
        let now = Instant::now();
        let limit = options.timeout;
        Self { one, task, handle, began: now, limit, last: None, sent_at: now, given_up: None }
    }

    fn look(&mut self, permit: &Permit, target_alive: bool) {
        if self.one.live {
            self.figures();
        }
        if self.given_up.is_none() {
            self.given_up = self.reason(target_alive);
        }
        if self.given_up.is_some() {
            // Too early there is no job yet, too late none any more: try again at the next look.
            if self.handle.abort_job(permit).is_err_and(|error| error.is_lost())
                && let Ok(handle) = finishing(|| self.one.domain.stats_handle())
            {
                self.handle = handle;
            }
        }
    }

    fn figures(&mut self) {
        let Ok(job) = self.handle.job(false) else { return };
        if !job.is_running() {
            return;
        }
        let sent = |job: &JobStats| (job.data_processed, job.iteration);
        if self.last.as_ref().is_none_or(|last| sent(last) != sent(&job)) {
            self.sent_at = Instant::now();
        }
        self.task.step(&running_step(&job, self.one));
        self.last = Some(job);
    }

    fn reason(&self, target_alive: bool) -> Option<Fault> {
        let cancel = self.one.domain.host().session().cancel();
        if let Some(stop) = cancel.stopped() {
            return Some(stop.fault());
        }
        if self.limit.is_some_and(|limit| self.began.elapsed() >= limit) {
            return Some(Fault::new("migration_timeout", "it took longer than it was given"));
        }
        if !target_alive {
            let message = format!("the libvirt daemon on {} is gone", self.one.target.name());
            return Some(Fault::new("target_lost", message));
        }
        let has_sent = self.last.as_ref().is_some_and(|job| job.data_processed.0 > 0);
        let patience = if has_sent { STALL } else { SLOW_START };
        if self.one.live && self.last.is_some() && self.sent_at.elapsed() >= patience {
            let seconds = self.sent_at.elapsed().as_secs();
            let message = format!("nothing could be sent to {} for {seconds} s", self.one.target.name());
            return Some(
                Fault::new("migration_stalled", message).hint("the link between the two hosts is down"),
            );
        }
        None
    }
}

fn seconds(time: Duration) -> String {
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

fn final_step(report: &MigrateReport, memory: Bytes) -> Step {
    let note = match (&report.error, report.downtime) {
        (Some(fault), _) => fault.to_string(),
        (None, Some(downtime)) => {
            format!("→ {}   {}, downtime {} ms", report.target, seconds(report.elapsed), downtime.as_millis())
        }
        (None, None) if report.live => format!("→ {}   {}", report.target, seconds(report.elapsed)),
        (None, None) => format!("→ {}   definition, {}", report.target, seconds(report.elapsed)),
    };
    if report.error.is_some() {
        return Step { note, ..Step::default() };
    }
    let rate = (report.live && report.bytes.0 > 0)
        .then(|| Bytes((report.bytes.0 as f64 / report.elapsed.as_secs_f64().max(0.001)) as u64));
    Step { done: 1, total: 1, size: report.live.then_some(memory), rate, note }
}

/// The guest's place after a move that was asked for by itself.
///
/// # Errors
/// The report's error.
pub fn into_result(report: MigrateReport) -> Result<MigrateReport, Fault> {
    match &report.error {
        None => Ok(report),
        Some(fault) => Err(fault.clone()),
    }
}

/// The class of fault that a set of ended moves comes to.
pub fn class_of(reports: &[MigrateReport]) -> Option<Class> {
    let failed: Vec<_> = reports.iter().filter_map(|report| report.error.as_ref()).collect();
    let stopped = failed
        .iter()
        .map(|fault| fault.class)
        .find(|class| matches!(class, Class::Interrupted | Class::TimedOut));
    stopped.or_else(|| (!failed.is_empty()).then_some(Class::Partial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_follows_from_what_both_daemons_say() {
        use DomainState::{Paused, Running, ShutOff};
        let on = |state| Some(Some(state));
        let gone = Some(None);
        assert_eq!(judge(true, gone, on(Running)), Verdict::Moved);
        assert_eq!(judge(true, on(ShutOff), on(Running)), Verdict::Moved);
        assert_eq!(judge(true, on(Running), gone), Verdict::Stayed);
        assert_eq!(judge(true, on(Running), None), Verdict::StayedTargetSilent);
        assert_eq!(judge(true, None, on(Running)), Verdict::MovedSourceSilent);
        assert_eq!(judge(true, on(Running), on(Paused)), Verdict::Both);
        assert_eq!(judge(true, gone, gone), Verdict::Nowhere);
        assert_eq!(judge(true, gone, None), Verdict::Unknown);
        assert_eq!(judge(false, gone, on(ShutOff)), Verdict::Moved);
        assert_eq!(judge(false, on(ShutOff), gone), Verdict::Stayed);
    }
}
