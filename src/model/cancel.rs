//! One token that tells everything in flight to stop.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Class, Fault};

/// Why work has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT, SIGTERM or SIGHUP, or Ctrl-C at the prompt.
    Interrupted,
    /// The run's `--timeout` was reached.
    TimedOut,
    /// One step took longer than [`limited`] or `--step-timeout` lets it.
    StepTimedOut,
}

impl Stop {
    /// The fault a stopped call ends with.
    pub fn fault(self) -> Fault {
        match self {
            Self::Interrupted => Fault::new("interrupted", "interrupted").class(Class::Interrupted),
            Self::TimedOut => {
                Fault::new("timed_out", "the time given by --timeout is over").class(Class::TimedOut)
            }
            // A script may catch it, and go on with the next step.
            Self::StepTimedOut => {
                Fault::new("step_timeout", "the step took longer than the time it was given")
            }
        }
    }
}

/// A token shared by the signal thread, the deadline, the script engine and
/// every blocking call. The first reason wins until [`Cancel::reset`].
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: Option<Stop>,
    times: u32,
    /// Until when, and for which count of stops, a stopped script may still tell what became of its work.
    telling: Option<(Instant, u32)>,
}

/// How long a stopped script may still tell what became of its work.
const TELLING: Duration = Duration::from_secs(10);

thread_local! {
    /// Whether this thread finishes what a stop must not cut short.
    static FINISHING: Cell<bool> = const { Cell::new(false) };
    /// Until when this thread's step may take.
    static LIMIT: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether this thread clears away, which a stop that was asked for does not cut short.
    static SHIELDED: Cell<bool> = const { Cell::new(false) };
}

/// What a thread that does part of this thread's work has to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    until: Option<Instant>,
    shielded: bool,
}

impl Pace {
    /// This thread's.
    pub fn current() -> Self {
        Self { until: LIMIT.get(), shielded: SHIELDED.get() }
    }

    /// Runs `f` at this pace, whatever the thread's own was.
    pub fn keep<T>(self, f: impl FnOnce() -> T) -> T {
        struct Restore(Pace);
        impl Drop for Restore {
            fn drop(&mut self) {
                LIMIT.set(self.0.until);
                SHIELDED.set(self.0.shielded);
            }
        }
        let _restore =
            Restore(Self { until: LIMIT.replace(self.until), shielded: SHIELDED.replace(self.shielded) });
        f()
    }
}

/// Runs `f`, which clears away: a stop that was asked for does not end it, but this time does.
pub fn clearing<T>(time: Duration, f: impl FnOnce() -> T) -> T {
    Pace { until: Instant::now().checked_add(time), shielded: true }.keep(f)
}

/// Runs `f`, which sees a stop once the time is over; within another limit, the earlier one counts.
pub fn limited<T>(time: Duration, f: impl FnOnce() -> T) -> T {
    let until = Instant::now().checked_add(time);
    let earlier = match (LIMIT.get(), until) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    Pace { until: earlier, ..Pace::current() }.keep(f)
}

/// Whether this thread finishes or clears away what has begun.
pub fn is_finishing() -> bool {
    FINISHING.get() || SHIELDED.get()
}

fn step_is_over() -> Option<Stop> {
    LIMIT.get().filter(|until| Instant::now() >= *until).map(|_| Stop::StepTimedOut)
}

/// Runs `f` so that no stop is seen on this thread: to abort, to clear away and
/// to find out how things stand, new connections may be needed after a Ctrl-C
/// too. Everything in `f` has a time limit of its own.
pub fn finishing<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            FINISHING.set(self.0);
        }
    }
    let _restore = Restore(FINISHING.replace(true));
    f()
}

impl Cancel {
    /// A token that nobody has asked to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything to stop.
    pub fn stop(&self, why: Stop) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stop.get_or_insert(why);
        state.times += 1;
        self.0.changed.notify_all();
    }

    /// Makes the token usable again: the prompt does so before each line.
    pub fn reset(&self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::default();
    }

    /// Why to stop, if at all.
    pub fn stopped(&self) -> Option<Stop> {
        if FINISHING.get() {
            return None;
        }
        let stop = self.0.state.lock().unwrap_or_else(PoisonError::into_inner).stop;
        stop.filter(|_| !SHIELDED.get()).or_else(step_is_over)
    }

    /// How often a stop was asked for: a second Ctrl-C means "do not wait".
    pub fn times(&self) -> u32 {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).times
    }

    /// After a stop: lets the script go on for some seconds, or until the next
    /// stop, so that it can tell what became of its work. Whatever takes time
    /// or changes something sees the stop none the less.
    pub fn let_tell(&self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stop.is_some() && state.telling.is_none() {
            state.telling = Instant::now().checked_add(TELLING).map(|until| (until, state.times));
        }
    }

    /// Why the script itself has to end here, if it has: [`Self::stopped`], but for [`Self::let_tell`].
    pub fn cut_short(&self) -> Option<Stop> {
        let stop = self.stopped()?;
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let telling =
            state.telling.is_some_and(|(until, times)| state.times == times && Instant::now() < until);
        (!telling).then_some(stop)
    }

    /// `Err` with the fault to return when a stop was asked for.
    ///
    /// # Errors
    /// `interrupted` or `timed_out`.
    pub fn check(&self) -> Result<(), Fault> {
        self.stopped().map_or(Ok(()), |stop| Err(stop.fault()))
    }

    /// Sleeps, but returns at once when a stop is asked for.
    pub fn sleep(&self, time: Duration) -> Option<Stop> {
        let deadline = Instant::now().checked_add(time);
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.stop.is_some() && !is_finishing() {
                return state.stop;
            }
            let over = step_is_over().filter(|_| !FINISHING.get());
            if over.is_some() {
                return over;
            }
            let left =
                deadline.map_or(Duration::from_secs(3600), |d| d.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            let step = LIMIT.get().filter(|_| !FINISHING.get());
            let left = step.map_or(left, |until| left.min(until.saturating_duration_since(Instant::now())));
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finishes_after_a_stop_does_not_see_it() {
        let cancel = Cancel::new();
        cancel.stop(Stop::Interrupted);
        assert_eq!(finishing(|| (cancel.stopped(), cancel.sleep(Duration::from_millis(1)))), (None, None));
        assert_eq!(cancel.stopped(), Some(Stop::Interrupted));
    }

    #[test]
    fn a_step_sees_its_own_deadline_and_the_rest_does_not() {
        let cancel = Cancel::new();
        let began = Instant::now();
        let stop = limited(Duration::from_millis(20), || {
            limited(Duration::from_secs(60), || cancel.sleep(Duration::from_secs(60)))
        });
        assert_eq!((stop, cancel.stopped()), (Some(Stop::StepTimedOut), None));
        assert!(began.elapsed() < Duration::from_secs(10));
        cancel.stop(Stop::Interrupted);
        let cleared = clearing(Duration::from_millis(20), || {
            let pace = Pace::current();
            let inside =
                std::thread::scope(|s| s.spawn(|| pace.keep(|| cancel.stopped())).join().ok().flatten());
            (inside, cancel.stopped(), cancel.sleep(Duration::from_secs(60)))
        });
        assert_eq!(cleared, (None, None, Some(Stop::StepTimedOut)));
        let cancel = Cancel::new();
        let over = limited(Duration::ZERO, || (cancel.stopped(), finishing(|| cancel.stopped())));
        assert_eq!(over, (Some(Stop::StepTimedOut), None));
    }

    #[test]
    fn a_stopped_script_may_tell_what_became_of_its_work_until_it_is_stopped_again() {
        let cancel = Cancel::new();
        cancel.let_tell();
        cancel.stop(Stop::Interrupted);
        assert_eq!(cancel.cut_short(), Some(Stop::Interrupted));
        cancel.let_tell();
        assert_eq!((cancel.cut_short(), cancel.stopped()), (None, Some(Stop::Interrupted)));
        cancel.stop(Stop::Interrupted);
        cancel.let_tell();
        assert_eq!(cancel.cut_short(), Some(Stop::Interrupted));
    }

    #[test]
    fn sleep_ends_early_when_stopped_and_the_first_reason_wins() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            other.stop(Stop::TimedOut);
            other.stop(Stop::Interrupted);
        });
        let began = Instant::now();
        assert_eq!(cancel.sleep(Duration::from_secs(30)), Some(Stop::TimedOut));
        assert!(began.elapsed() < Duration::from_secs(5));
        thread.join().ok();
        assert_eq!(cancel.stopped(), Some(Stop::TimedOut));
        assert_eq!(cancel.times(), 2);
        cancel.reset();
        assert_eq!(cancel.check(), Ok(()));
    }
}
