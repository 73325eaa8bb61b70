//! What a change inherits from where it is asked for: a plan, a line of a script.

use std::cell::RefCell;

use super::{Origin, Plan};
use crate::model::cancel::Pace;

/// The plan and the line of script that the running thread works for. Threads
/// do not inherit it by themselves: carry it over with [`Scope::current`] and
/// [`Scope::enter`].
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Set while `plan(f)` runs.
    pub(super) plan: Option<Plan>,
    /// Which line of which script is at work.
    pub(super) origin: Option<Origin>,
    /// How long the step at work may take, and what may stop it.
    pub(super) pace: Pace,
}

thread_local! {
    static CURRENT: RefCell<Scope> = RefCell::default();
}

impl Scope {
    /// This thread's scope.
    pub fn current() -> Self {
        Self { pace: Pace::current(), ..CURRENT.with_borrow(Clone::clone) }
    }

    /// This thread's scope with another line of script.
    #[must_use]
    pub fn at(origin: Origin) -> Self {
        Self { origin: Some(origin), ..Self::current() }
    }

    /// Runs `f` in this scope.
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Restore(Option<Scope>);
        impl Drop for Restore {
            fn drop(&mut self) {
                if let Some(before) = self.0.take() {
                    CURRENT.with_borrow_mut(|current| *current = before);
                }
            }
        }
        let before = CURRENT.with_borrow_mut(|current| std::mem::replace(current, self.clone()));
        let _restore = Restore(Some(before));
        self.pace.keep(f)
    }
}
