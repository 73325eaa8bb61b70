//! How long work tells a person where it stands. `ui/` implements it; `ops/` calls it.

use std::fmt::Debug;

use super::{Bytes, Fault};

/// Where one task stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Done so far, 0 to `total`, in whatever unit the task counts.
    pub done: u64,
    /// The whole, 0 while it is not known.
    pub total: u64,
    /// The size that a person knows the task by, for instance the guest's memory.
    pub size: Option<Bytes>,
    /// Bytes per second.
    pub rate: Option<Bytes>,
    /// The rest, in words: `→ h2-b   9 s left, dirtying 14 MiB/s`.
    pub note: String,
}

/// One line of progress.
pub trait Task: Send + Sync + Debug {
    /// Shows where it stands.
    fn step(&self, step: &Step);
    /// Ends the line: what remains to be seen of it.
    fn finish(&self, ok: bool, step: &Step);
}

/// Where progress goes: bars at a terminal, plain lines elsewhere, or nowhere.
pub trait Progress: Send + Sync + Debug {
    /// Begins a line for `label`.
    fn task(&self, label: &str) -> Box<dyn Task>;
    /// Prints a line of talk above the bars.
    fn say(&self, line: &str);
    /// Writes data to stdout, with the bars out of the way.
    ///
    /// # Errors
    /// `stdout_closed` when its reader has gone; `stdout` when it cannot be written.
    fn print(&self, text: &str) -> Result<(), Fault>;
    /// Runs `f` with the bars out of the way: for what prints or asks itself.
    fn suspend(&self, f: &mut dyn FnMut()) {
        f();
    }
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Task for Silent {
    fn step(&self, _: &Step) {}
    fn finish(&self, _: bool, _: &Step) {}
}

impl Progress for Silent {
    fn task(&self, _: &str) -> Box<dyn Task> {
        Box::new(Self)
    }
    fn say(&self, _: &str) {}
    fn print(&self, _: &str) -> Result<(), Fault> {
        Ok(())
    }
}
