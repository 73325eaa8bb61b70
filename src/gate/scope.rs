//! What a change inherits from where it is asked for: a plan, a line of a script.

use std::cell::RefCell;
use std::time::Instant;

use super::{Origin, Plan};
use crate::model::cancel;

/// The plan and the line of script that the running thread works for. Threads
/// do not inherit it by themselves: carry it over with [`Scope::current`] and
/// [`Scope::enter`].
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Set while `plan(f)` runs.
    pub(super) plan: Option<Plan>,
    /// Which line of which script is at work.
    pub(super) origin: Option<Origin>,
    /// Until when the step at work may take.
    pub(super) until: Option<Instant>,
}

thread_local! {
    static CURRENT: RefCell<Scope> = RefCell::default();
}

impl Scope {
    /// This thread's scope.
    pub fn current() -> Self {
        Self { until: cancel::limit(), ..CURRENT.with_borrow(Clone::clone) }
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
        cancel::limited_until(self.until, f)
    }
}
