//! The one gate for every change.
//!
//! Nothing reaches a mutating libvirt or SSH call but through [`Gate::apply`]:
//! those calls take a [`Permit`], and only this module can make one. That is
//! what makes `--plan` complete, the journal complete and `--read-only` safe.
//!
//! The gate lies below `libvirt/` and `ssh/` because it knows neither: it is
//! given a description of the change and the deed itself.

mod change;
mod journal;
mod read;
mod rotate;
mod scope;
mod user;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

pub use change::{Change, Digest, Origin, Record};
pub use journal::{Entry, Journal, Phase, RunEntry, RunPhase};
pub use read::{Filter, JournalLine, Reading, read_journal};
pub use scope::Scope;

use crate::model::{Class, Fault, Window, cancel, limited};

/// The proof that the gate let a change pass. Cannot be made, copied or kept
/// outside this module:
///
/// ```compile_fail,E0451
/// let permit = kvmsh::gate::Permit { _only_the_gate: () };
/// ```
#[derive(Debug)]
pub struct Permit {
    _only_the_gate: (),
}

/// What the gate does with a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Makes it, and writes it down.
    Apply,
    /// Lists it and does nothing.
    Plan,
    /// Refuses it.
    ReadOnly,
}

/// What became of a change that was not refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It was made, with this result.
    Done(T),
    /// It was only listed.
    Planned,
}

impl<T> Outcome<T> {
    /// The result, or what stands for it in a plan.
    pub fn unwrap_or_else(self, planned: impl FnOnce() -> T) -> T {
        match self {
            Self::Done(value) => value,
            Self::Planned => planned(),
        }
    }
}

/// Changes that a plan has collected, in order.
type Plan = Arc<Mutex<Vec<Change>>>;

/// See the module's description.
#[derive(Debug)]
pub struct Gate {
    mode: Mutex<Mode>,
    plan: Plan,
    journal: Journal,
    rules: OnceLock<Rules>,
    made: AtomicBool,
}

/// What a run may do, and when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// When changes may begin.
    pub window: Option<Window>,
    /// How long each change may take.
    pub step: Option<Duration>,
}

thread_local! {
    /// How many changes this thread is in the middle of.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Counts this thread into a change, and out of it again.
struct Within;

impl Within {
    fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

impl Gate {
    /// A gate that writes what it lets pass to `journal`.
    pub fn new(mode: Mode, journal: Journal) -> Self {
        let (rules, made) = (OnceLock::new(), AtomicBool::new(false));
        Self { mode: Mutex::new(mode), plan: Plan::default(), journal, rules, made }
    }

    /// Sets when changes may begin and how long each may take; the first word stays.
    pub fn obey(&self, rules: Rules) {
        let _ = self.rules.set(rules);
    }

    /// Whether anything was changed.
    pub fn has_changed(&self) -> bool {
        self.made.load(Ordering::Relaxed)
    }

    /// No new step begins outside the window; what has begun is brought to its end.
    fn check_window(&self, change: &Change) -> Result<(), Fault> {
        let window = self.rules.get().and_then(|rules| rules.window);
        let Some(window) = window.filter(|window| !window.is_open()) else { return Ok(()) };
        if DEPTH.get() > 0 || cancel::is_finishing() {
            return Ok(());
        }
        let class = if self.has_changed() { Class::Partial } else { Class::Refused };
        Err(Fault::new("window_closed", format!("not begun outside of the window {window}: {change}"))
            .class(class)
            .on_host(change.host.clone())
            .hint("run it again in the next window: what is done already is left alone"))
    }

    /// What happens now to a change made on this thread.
    pub fn mode(&self) -> Mode {
        if Scope::current().plan.is_some() {
            return Mode::Plan;
        }
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches the mode, as the prompt's `:plan on` does.
    pub fn set_mode(&self, mode: Mode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// The journal that this gate writes.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Makes, lists or refuses a change.
    ///
    /// The change is in the journal, on the disk, before `deed` begins, and its
    /// result after it has ended.
    ///
    /// # Errors
    /// `read_only` when the session may not change anything, `journal` when the
    /// change could not be written down beforehand, and whatever `deed` returns.
    pub fn apply<T, E: Into<Fault>>(
        &self,
        mut change: Change,
        deed: impl FnOnce(&Permit) -> Result<T, E>,
    ) -> Result<Outcome<T>, Fault> {
        let scope = Scope::current();
        change.origin = change.origin.or(scope.origin);
        match self.mode() {
            Mode::Plan => {
                let plan = scope.plan.unwrap_or_else(|| self.plan.clone());
                plan.lock().unwrap_or_else(PoisonError::into_inner).push(change);
                Ok(Outcome::Planned)
            }
            Mode::ReadOnly => Err(read_only(change)),
            Mode::Apply => {
                self.check_window(&change)?;
                let had_changed = self.has_changed();
                let passing = change.passing;
                let ticket = self.journal.begin(&change).map_err(|fault| match had_changed {
                    // What was changed before stays changed.
                    true => fault.class(Class::Partial),
                    false => fault,
                })?;
                let _within = Within::enter();
                let deed = || deed(&Permit { _only_the_gate: () }).map_err(Into::into);
                let result = match self.rules.get().and_then(|rules| rules.step) {
                    Some(limit) => limited(limit, deed),
                    None => deed(),
                };
                // The change is made, whatever becomes of this line: its result must not be lost
                // with it. The next change is refused if the journal is still broken then.
                let _ = self.journal.end(ticket, result.as_ref().err());
                // Only what is refused is certain to have changed nothing.
                if !passing && !matches!(&result, Err(fault) if fault.class == Class::Refused) {
                    self.made.store(true, Ordering::Relaxed);
                }
                result.map(Outcome::Done)
            }
        }
    }

    /// Lets through what the operator says changes nothing, in a plan too and
    /// without the journal: `run(…, #{changes: false})`. A read-only session does
    /// not take the operator's word for it. For [`crate::ops`]' commands alone.
    ///
    /// # Errors
    /// `read_only`, and whatever `deed` returns.
    pub(crate) fn observe<T, E: Into<Fault>>(
        &self,
        what: Change,
        deed: impl FnOnce(&Permit) -> Result<T, E>,
    ) -> Result<T, Fault> {
        match self.mode() {
            Mode::ReadOnly => Err(read_only(what)),
            Mode::Apply | Mode::Plan => deed(&Permit { _only_the_gate: () }).map_err(Into::into),
        }
    }

    /// Runs `f` in plan mode on this thread and returns what it would change.
    pub fn planning<R>(&self, f: impl FnOnce() -> R) -> (R, Vec<Change>) {
        let plan = Plan::default();
        let result = Scope { plan: Some(plan.clone()), ..Scope::current() }.enter(f);
        let changes = std::mem::take(&mut *plan.lock().unwrap_or_else(PoisonError::into_inner));
        (result, changes)
    }

    /// Whether the plan of this thread lists this very change already, from whichever line of script.
    pub fn is_planned(&self, change: &Change) -> bool {
        let plan = Scope::current().plan.unwrap_or_else(|| self.plan.clone());
        let listed = plan.lock().unwrap_or_else(PoisonError::into_inner);
        listed.iter().any(|known| Change { origin: change.origin.clone(), ..known.clone() } == *change)
    }

    /// Takes the changes that `--plan` has collected so far.
    pub fn take_plan(&self) -> Vec<Change> {
        std::mem::take(&mut *self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Lets kvmsh put its own mark on a host: a lease is no change that anybody asked for, is in no plan and no journal.
/// For [`crate::ops`]' leases alone, which takes none in a plan or a read-only session.
pub(crate) fn mark<T>(deed: impl FnOnce(&Permit) -> T) -> T {
    deed(&Permit { _only_the_gate: () })
}

fn read_only(change: Change) -> Fault {
    Fault::new("read_only", format!("not done, this session is read-only: {change}"))
        .class(Class::Refused)
        .on_host(change.host)
        .hint("run it again without --read-only")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: &str) -> Change {
        Change::new("h2-a", "domain", "web1", action)
    }

    #[test]
    fn a_plan_lists_the_change_and_does_not_make_it() {
        let gate = Gate::new(Mode::Plan, Journal::off());
        let outcome = gate.apply(change("start"), |_| -> Result<(), Fault> { Err(Fault::new("x", "made")) });
        assert_eq!(outcome, Ok(Outcome::Planned));
        assert_eq!(gate.take_plan().len(), 1);
        assert!(gate.take_plan().is_empty());
    }

    #[test]
    fn read_only_refuses_and_names_the_change() {
        let gate = Gate::new(Mode::ReadOnly, Journal::off());
        let fault = gate.apply(change("start"), |_| Ok::<_, Fault>(())).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (Class::Refused, "read_only"));
        assert!(fault.message.contains("start domain web1 on h2-a"), "{}", fault.message);
    }

    #[test]
    fn what_is_said_to_change_nothing_runs_in_a_plan_and_not_in_a_read_only_session() {
        for (mode, done) in [(Mode::Apply, true), (Mode::Plan, true), (Mode::ReadOnly, false)] {
            let gate = Gate::new(mode, Journal::off());
            let result = gate.observe(change("run"), |_| Ok::<_, Fault>(()));
            assert_eq!(result.is_ok(), done, "{mode:?}");
            assert!(result.err().is_none_or(|fault| fault.code == "read_only"));
            assert!(gate.take_plan().is_empty());
        }
    }

    #[test]
    fn what_was_refused_has_changed_nothing_and_all_else_may_have() {
        let gate = Gate::new(Mode::Apply, Journal::off());
        let fail = |class| gate.apply(change("start"), |_| Err::<(), _>(Fault::new("x", "x").class(class)));
        assert!(fail(Class::Refused).is_err() && !gate.has_changed());
        let proof = gate.apply(change("prove").passing(), |_| Ok::<_, Fault>(()));
        assert!(proof.is_ok() && !gate.has_changed(), "nothing of it is left");
        assert!(fail(Class::Failed).is_err() && gate.has_changed());
    }

    #[test]
    fn outside_of_the_window_nothing_begins_and_what_has_begun_comes_to_its_end() {
        let now = jiff::Zoned::now();
        let hour =
            |hours: i64| now.saturating_add(jiff::Span::new().hours(hours)).strftime("%H:00").to_string();
        let window = format!("{}-{}", hour(3), hour(5)).parse().unwrap();
        let gate = Gate::new(Mode::Apply, Journal::off());
        let inner = |_: &Permit| gate.apply(change("inner"), |_| Ok::<_, Fault>(7));
        let outer = gate.apply(change("outer"), |permit| {
            gate.obey(Rules { window: Some(window), step: None });
            inner(permit)
        });
        assert_eq!(outer, Ok(Outcome::Done(Outcome::Done(7))));
        let refused = gate.apply(change("start"), |_| Ok::<_, Fault>(())).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.class), ("window_closed", Class::Partial));
        assert!(crate::model::finishing(|| gate.apply(change("start"), |_| Ok::<_, Fault>(()))).is_ok());
        let fresh = Gate::new(Mode::Apply, Journal::off());
        fresh.obey(Rules { window: Some(window), step: None });
        let refused = fresh.apply(change("start"), |_| Ok::<_, Fault>(())).unwrap_err();
        assert_eq!(refused.class, Class::Refused);
    }

    #[test]
    fn planning_on_one_thread_leaves_the_others_alone_and_reaches_those_it_starts() {
        let gate = Gate::new(Mode::Apply, Journal::off());
        let (inside, changes) = gate.planning(|| {
            let scope = Scope::current();
            std::thread::scope(|s| {
                let outsider = s.spawn(|| gate.mode());
                let insider = s.spawn(|| scope.enter(|| gate.apply(change("stop"), |_| Ok::<_, Fault>(()))));
                (outsider.join().unwrap(), insider.join().unwrap())
            })
        });
        assert_eq!(inside, (Mode::Apply, Ok(Outcome::Planned)));
        assert_eq!(changes.len(), 1);
        assert_eq!(gate.mode(), Mode::Apply);
    }
}
