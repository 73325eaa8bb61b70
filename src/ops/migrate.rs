//! Moving one guest: the call, its end, and the truth afterwards.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::watch::{POLL, Watch, seconds};
use super::{Domain, Host};
use crate::gate::{Change, Outcome, Permit};
use crate::libvirt::{self, MigrateCall};
use crate::model::{
    Answer, Bytes, Class, DomainState, Fault, MigrateOptions, MigrateReport, Step, Task, Verdict,
    Whereabouts, finishing,
};

/// How long both daemons may contradict each other before it is reported:
/// after an abort the target needs a moment to clear what had arrived.
const SETTLE: Duration = Duration::from_secs(10);

/// How long an aborted migration is waited for before it is left to itself.
const ABANDON: Duration = Duration::from_secs(45);

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
    /// Whether it starts with its host.
    pub autostart: bool,
    /// The most memory it may have.
    pub memory: Bytes,
    /// What it takes on the target, QEMU's own memory included.
    pub demand: Bytes,
    /// Directories of its disks that must be proven to be the same storage before the move.
    pub proofs: Vec<PathBuf>,
    /// Whether libvirt has to be told that the storage is shared, once that is proven.
    pub vouched: bool,
    /// Whether it was judged as one whose disks are copied along.
    pub copy_storage: bool,
    /// Whether the source can resolve the target's own host name.
    pub resolvable: bool,
}

impl Move {
    /// The change that the gate is asked for.
    fn change(&self, options: &MigrateOptions) -> Change {
        let action = if self.live { "migrate" } else { "move definition of" };
        let mut detail = format!("→ {}", self.target.name());
        if !self.why.is_empty() {
            detail.push_str(": ");
            detail.push_str(&self.why);
        }
        if let Some(downtime) = options.max_downtime {
            detail.push_str(&format!("; may stand still for {} ms", downtime.as_millis()));
        }
        Change::new(self.domain.host().name(), "domain", self.domain.name(), action).detail(detail)
    }

    /// Makes the move and finds out how it ended. `None` in a plan.
    ///
    /// # Errors
    /// The gate's refusals, and faults before anything was begun. What goes
    /// wrong once it has begun is in the report.
    pub fn run(&self, options: &MigrateOptions, task: &dyn Task) -> Result<Option<MigrateReport>, Fault> {
        let source = self.domain.host();
        if options.copy_storage != self.copy_storage {
            let message = "copy_storage must be the same for placement and transfer";
            return Err(Fault::new("invalid_arg", message).class(Class::Refused));
        }
        Host::lease_all(&[source, &self.target])?;
        for dir in &self.proofs {
            source.session().proofs().prove(dir, source, &self.target)?;
        }
        if self.autostart && options.keep_source {
            // Marked on both hosts it would run twice after a power cut.
            self.domain.set_autostart(false)?;
        }
        let mut report = None;
        let outcome = source.change(self.change(options), |permit| {
            let ended = self.run_permitted(permit, options, task)?;
            let error = ended.error.clone();
            report = Some(ended);
            error.map_or(Ok(()), Err)
        });
        let name = options.rename.as_deref().unwrap_or(self.domain.name());
        match (outcome, report) {
            (_, Some(mut report)) => {
                if report.verdict == Verdict::Moved && report.error.is_none() {
                    report.error = self.restore_autostart(name, options).err();
                }
                task.finish(report.error.is_none(), &final_step(&report, self.memory));
                Ok(Some(report))
            }
            (Ok(Outcome::Planned), None) => {
                if self.autostart && !options.transient {
                    let change = Change::new(self.target.name(), "domain", name, "autostart");
                    self.target.change(change, |_| Ok::<_, Fault>(()))?;
                }
                Ok(None)
            }
            (Ok(Outcome::Done(())), None) => Ok(None),
            (Err(fault), None) => Err(fault),
        }
    }

    /// libvirt carries the definition, not the mark to start with the host.
    fn restore_autostart(&self, name: &str, options: &MigrateOptions) -> Result<(), Fault> {
        if !self.autostart || options.transient {
            return Ok(());
        }
        finishing(|| self.target.domain(name)?.set_autostart(true)).map_err(|fault| {
            let message = format!("{name} was moved, but does not start with {} yet", self.target.name());
            let fault = Fault::new("autostart_lost", message).because(fault.to_string());
            fault.on_host(self.target.name()).on_object("domain", name)
        })
    }

    fn run_permitted(
        &self,
        permit: &Permit,
        options: &MigrateOptions,
        task: &dyn Task,
    ) -> Result<MigrateReport, Fault> {
        let source = self.domain.host();
        source.session().cancel().check()?;
        let began = Instant::now();
        let uuid = self.domain.uuid()?;
        let state = self.domain.state()?;
        if state.is_active() != self.live {
            let message =
                format!("{} is {state} now, which it was not when its move was decided", self.domain.name());
            return Err(Fault::new("state_changed", message).class(Class::Refused).hint("decide again"));
        }
        // Others may have come to the target since the move was decided.
        let _held = source.session().memory().hold(&self.target, &uuid, self.demand, self.domain.name())?;
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
            // The only definition must not vanish with a transient guest.
            keep_definition: options.keep_source || (options.transient && self.persistent),
            vouched: self.vouched,
            migrate_uri: self.migrate_uri(),
            paused: state == DomainState::Paused,
        };
        // Opened before: an abort must not depend on a connection that can no longer be opened.
        let mut watch = Watch::new(self, options, task, self.domain.stats_handle()?)?;
        let migration = handle.migrate(permit, to.connection(), &call)?;
        let result = loop {
            if let Some(result) = migration.ended_within(POLL) {
                break result;
            }
            watch.look(permit, to.connection().is_alive());
            if watch.is_hopeless(ABANDON) {
                break Err(libvirt::Error::NoAnswer { seconds: ABANDON.as_secs() });
            }
        };
        let name = options.rename.as_deref().unwrap_or(self.domain.name());
        if result.is_err() && watch.is_left() {
            return Ok(self.left(began, &watch));
        }
        let found = finishing(|| self.find(&uuid, state == DomainState::Paused, options));
        Ok(finishing(|| self.report(began, found, result.err(), &watch, name)))
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
    fn find(&self, uuid: &str, was_paused: bool, options: &MigrateOptions) -> Whereabouts {
        let began = Instant::now();
        let ask = |host: &Host| match host.domain_state(uuid) {
            Ok(Some(state)) => Answer::There(state),
            Ok(None) => Answer::Absent,
            Err(_) => Answer::Silent,
        };
        loop {
            let (mut source, target) = (ask(self.domain.host()), ask(&self.target));
            if !self.live && options.keep_source && matches!(target, Answer::There(_)) {
                source = Answer::Absent;
            }
            let found = Whereabouts { source, target, live: self.live, was_paused };
            let settled =
                !matches!(found.verdict(), Verdict::Both | Verdict::Nowhere) && !found.stands_still();
            if settled || began.elapsed() > SETTLE {
                return found;
            }
            std::thread::sleep(POLL);
        }
    }

    /// The report of a move that nobody waits for any longer: it is being aborted, and how that ends is not known.
    fn left(&self, began: Instant, watch: &Watch<'_>) -> MigrateReport {
        let (name, source, target) = (self.domain.name(), self.domain.host().name(), self.target.name());
        let fault = watch.given_up().cloned().unwrap_or_else(|| Fault::new("interrupted", "interrupted"));
        let mut fault = fault.on_host(source).on_object("domain", name);
        fault.message = format!(
            "{name} was left on its way from {source} to {target} while the move was being aborted; where it runs say \
             host(\"{source}\").domains() and host(\"{target}\").domains(), how far it is host(\"{source}\").domain(\"{name}\").job"
        );
        MigrateReport {
            domain: name.to_owned(),
            source: source.to_owned(),
            target: target.to_owned(),
            verdict: Verdict::Unknown,
            live: self.live,
            elapsed: began.elapsed(),
            bytes: watch.last().map(|job| job.memory_processed).unwrap_or_default(),
            downtime: None,
            error: Some(fault),
        }
    }

    fn report(
        &self,
        began: Instant,
        found: Whereabouts,
        error: Option<libvirt::Error>,
        watch: &Watch<'_>,
        name: &str,
    ) -> MigrateReport {
        let source = self.domain.host();
        let verdict = found.verdict();
        let moved = verdict == Verdict::Moved;
        // The target's daemon has the final figures.
        let job = (moved && self.live)
            .then(|| self.target.domain(name).and_then(|domain| domain.job(true)).ok())
            .flatten()
            .or_else(|| watch.last().cloned());
        let said = error.map(Fault::from);
        let error = match (moved, watch.given_up()) {
            (true, _) if found.stands_still() => {
                Some(said.unwrap_or_else(|| Fault::new("paused_at_target", "it ran before the move")))
            }
            (true, _) => None,
            (false, Some(fault)) => Some(fault.clone()),
            (false, None) => {
                Some(said.unwrap_or_else(|| Fault::new("migration_lost", "libvirt reported success")))
            }
        };
        let error = error.map(|fault| {
            let sentence = found.sentence(self.domain.name(), source.name(), self.target.name());
            let mut fault = fault.on_host(source.name()).on_object("domain", self.domain.name());
            fault.message = format!("{sentence}: {}", fault.message);
            fault
        });
        MigrateReport {
            domain: self.domain.name().to_owned(),
            source: source.name().to_owned(),
            target: self.target.name().to_owned(),
            verdict,
            live: self.live,
            elapsed: began.elapsed(),
            bytes: job.as_ref().map(|job| job.memory_processed).unwrap_or_default(),
            downtime: job.filter(|_| moved).and_then(|job| job.downtime),
            error,
        }
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
