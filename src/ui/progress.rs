//! How long work shows itself: a line a task that is redrawn at a terminal, and
//! now and then a plain line elsewhere.

mod line;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use unicode_width::UnicodeWidthStr;

use super::term::{self, Term};
use super::visible;
use crate::model::{Fault, Progress, Step, Task};
use line::{Look, State};

/// Where nobody watches, a task is heard of this often: a log stays readable,
/// and a cron job that hangs is seen to hang.
const QUIET: Duration = Duration::from_secs(10);

/// Progress on stderr.
#[derive(Clone)]
pub struct Bars(Arc<Shared>);

struct Shared {
    /// `None` where lines cannot be redrawn.
    multi: Option<MultiProgress>,
    look: Look,
    quiet: bool,
    /// The tasks under way, the longest label among them, and the next number.
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    live: Vec<(u64, ProgressBar, State)>,
    label: usize,
    next: u64,
}

impl Bars {
    /// Bars for this terminal; with `quiet` only failures are shown.
    pub fn new(term: &Term, quiet: bool) -> Self {
        let draw = term.live && !quiet;
        let multi = draw.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        let look = Look { colour: term.stderr.colour, unicode: term.unicode };
        Self(Arc::new(Shared { multi, look, quiet, rows: Mutex::default() }))
    }
}

impl fmt::Debug for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bars").field("live", &self.0.multi.is_some()).finish()
    }
}

impl Progress for Bars {
    fn task(&self, label: &str) -> Box<dyn Task> {
        let label = visible::line(label).into_owned();
        let Some(multi) = &self.0.multi else {
            let said = Mutex::new(Instant::now());
            return Box::new(Plain { label, quiet: self.0.quiet, said, look: self.0.look });
        };
        let mut rows = self.0.rows();
        let bar = multi.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        if rows.live.is_empty() {
            rows.label = 0;
        }
        let id = rows.next;
        rows.next += 1;
        let widest = rows.label.max(label.width());
        let wider = widest > rows.label;
        rows.label = widest;
        rows.live.push((id, bar, State::new(label)));
        // A longer label moves the columns of all lines.
        let redraw = if wider { 0 } else { rows.live.len() - 1 };
        for (_, bar, state) in &rows.live[redraw..] {
            bar.set_message(state.line(widest, term::stderr_columns(), self.0.look));
        }
        Box::new(Drawn { bars: self.0.clone(), id })
    }

    fn say(&self, line: &str) {
        if self.0.quiet && !super::log::is_trouble(line) {
            return;
        }
        let line = visible::lines(line);
        self.suspend(&mut || super::say(&line));
    }

    fn print(&self, text: &str) -> Result<(), Fault> {
        let mut printed = Ok(());
        self.suspend(&mut || printed = super::print(text));
        printed
    }

    fn suspend(&self, f: &mut dyn FnMut()) {
        match &self.0.multi {
            Some(multi) => multi.suspend(f),
            None => f(),
        }
    }
}

impl Shared {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the line away and leaves `last` above the ones that go on, so that
    /// a hundred finished guests scroll by instead of filling the window.
    fn close(&self, id: u64, last: impl FnOnce(&mut State, usize) -> Option<String>) {
        let mut rows = self.rows();
        let Some(at) = rows.live.iter().position(|(other, ..)| *other == id) else { return };
        let widest = rows.label;
        let (_, bar, mut state) = rows.live.remove(at);
        drop(rows);
        bar.finish_and_clear();
        if let (Some(multi), Some(line)) = (&self.multi, last(&mut state, widest)) {
            multi.remove(&bar);
            multi.suspend(|| super::say(&line));
        }
    }
}

/// A line that is redrawn.
struct Drawn {
    bars: Arc<Shared>,
    id: u64,
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drawn").field("id", &self.id).finish()
    }
}

impl Task for Drawn {
    fn step(&self, step: &Step) {
        let mut rows = self.bars.rows();
        let widest = rows.label;
        if let Some((_, bar, state)) = rows.live.iter_mut().find(|(id, ..)| *id == self.id) {
            state.step(step);
            bar.set_message(state.line(widest, term::stderr_columns(), self.bars.look));
        }
    }

    fn finish(&self, ok: bool, step: &Step) {
        self.bars.close(self.id, |state, widest| {
            state.end(ok, step);
            Some(state.line(widest, term::stderr_columns(), self.bars.look))
        });
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        // Unfinished: an error is on its way and will be told in full.
        self.bars.close(self.id, |_, _| None);
    }
}

/// A task that nobody watches.
#[derive(Debug)]
struct Plain {
    label: String,
    quiet: bool,
    said: Mutex<Instant>,
    look: Look,
}

impl Task for Plain {
    fn step(&self, step: &Step) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.quiet && said.elapsed() >= QUIET {
            *said = Instant::now();
            super::say(&line::plain_step(&self.label, step, self.look));
        }
    }

    fn finish(&self, ok: bool, step: &Step) {
        if !(ok && self.quiet) {
            super::say(&line::plain_end(&self.label, ok, step, self.look));
        }
    }
}
