//! SIGTERM and SIGHUP end the prompt; the terminal is given back as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::iterator::Signals;

/// Whether somebody wants the prompt to end.
#[derive(Debug, Clone, Default)]
pub(super) struct Leave(Arc<State>);

#[derive(Debug, Default)]
struct State {
    asked: AtomicBool,
    editing: AtomicBool,
}

impl Leave {
    /// Waits for the signals in a thread of its own.
    pub(super) fn watch() -> Self {
        let leave = Self::default();
        let asked = leave.clone();
        // Without it a SIGTERM is noticed after the next line.
        if let Ok(mut signals) = Signals::new([SIGTERM, SIGHUP]) {
            std::thread::spawn(move || signals.forever().for_each(|_| asked.ask()));
        }
        leave
    }

    /// Whether a signal has come.
    pub(super) fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Whether a line is being edited now.
    pub(super) fn is_editing(&self) -> bool {
        self.0.editing.load(Ordering::SeqCst)
    }

    /// Calls `read` so that a signal can end it.
    pub(super) fn editing<T>(&self, read: impl FnOnce() -> T) -> T {
        self.0.editing.store(true, Ordering::SeqCst);
        let result = read();
        self.0.editing.store(false, Ordering::SeqCst);
        result
    }

    /// The editor waits for a key and for SIGINT alone; it has a handler for
    /// that only while it waits, so it is told more than once.
    fn ask(&self) {
        self.0.asked.store(true, Ordering::SeqCst);
        for _ in 0..20 {
            if !self.0.editing.load(Ordering::SeqCst) {
                return;
            }
            let _ = kill(Pid::this(), Signal::SIGINT);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
