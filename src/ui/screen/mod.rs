//! Views that live at the terminal: they have it until the person leaves, and give it back as it was, also when
//! kvmsh is killed or fails.

mod console;
mod guard;
mod watch;

use std::sync::Arc;
use std::time::Duration;

pub(super) use guard::Guard;
pub use guard::restore;

use super::{Shown, Term, output, top};
use crate::model::screen::Wire;
use crate::model::{Cancel, Class, Data, Fault, NoScreen, Progress, Screen, Watched};

/// The terminal that kvmsh was started at, or what stands in its place.
#[derive(Debug, Clone)]
pub struct Live {
    term: Term,
    format: Shown,
    cancel: Cancel,
    progress: Arc<dyn Progress>,
    prompt: bool,
}

impl Live {
    /// A screen that is left when `cancel` says so.
    pub fn new(term: Term, format: Shown, cancel: Cancel, progress: Arc<dyn Progress>) -> Self {
        Self { term, format, cancel, progress, prompt: false }
    }

    /// The same where somebody types one line after the other: what is taller than the screen goes through the pager.
    #[must_use]
    pub fn at_prompt(self) -> Self {
        Self { prompt: true, ..self }
    }

    /// The terminal as wide as it is now.
    fn now(&self) -> Term {
        let columns =
            terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
        Term {
            width: self.term.width.map(|width| columns.filter(|&now| now > 0).unwrap_or(width)),
            ..self.term
        }
    }

    pub(super) fn term(&self) -> &Term {
        &self.term
    }

    pub(super) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    pub(super) fn text(&self, data: &Data) -> Result<String, Fault> {
        output::render(data, self.format.get(), &self.now())
    }
}

impl Screen for Live {
    fn is_live(&self) -> bool {
        self.term.interactive && self.term.stdout.tty && self.term.live
    }

    fn page(&self, text: &str) -> Result<bool, Fault> {
        let mut result = Ok(());
        if self.prompt {
            let term = self.now();
            let text = term.legible(text);
            self.progress.suspend(&mut || result = super::pager::print(&text, &term, &self.cancel));
        }
        result.map(|()| self.prompt)
    }

    fn show(&self, data: &Data) -> Result<(), Fault> {
        self.progress.print(&self.text(data)?)
    }

    fn watch(&self, every: Duration, next: &mut dyn FnMut() -> Option<Data>) -> Result<(), Fault> {
        let mut result = Ok(());
        self.progress.suspend(&mut || {
            result =
                if self.is_live() { watch::live(self, every, next) } else { watch::plain(self, every, next) };
        });
        result
    }

    fn top(&self, watched: &dyn Watched, every: Duration, times: Option<u64>) -> Result<(), Fault> {
        let mut result = Ok(());
        self.progress.suspend(&mut || {
            result = if self.is_live() { Ok(()) } else { top::plain(self, watched, every, times) };
        });
        // Not with the bars out of the way: a move from the view shows its own.
        if self.is_live() { top::live(self, watched) } else { result }
    }

    fn console(&self, name: &str, wire: &mut dyn Wire) -> Result<(), Fault> {
        if !self.is_live() {
            return Err(self.absent("console"));
        }
        let mut result = Ok(());
        self.progress.suspend(&mut || result = console::join(name, wire, &self.cancel));
        result
    }

    fn absent(&self, what: &str) -> Fault {
        if !self.term.interactive || !self.term.stdout.tty {
            return NoScreen::fault(what);
        }
        Fault::new("no_terminal", format!("{what} needs a terminal that can move its cursor"))
            .because("TERM says `dumb`")
            .class(Class::Refused)
            .hint("start kvmsh with TERM=xterm, or what this terminal is")
    }

    fn line(&self, data: &Data) -> Result<(), Fault> {
        self.progress.print(&self.text(data)?)
    }
}
