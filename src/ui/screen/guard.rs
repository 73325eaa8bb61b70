//! The terminal's settings while a view has it, and their return.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use crate::model::{Fault, NoScreen};

/// A page of its own, without a cursor, where long lines are not wrapped.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J\x1b[H";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// What a guest may have left switched on: colours, hidden cursor, no wrapping, other character set, mouse, pasting,
/// application keys, its own page, a scroll region.
const UNDO: &str = "\x1b[0m\x1b[?25h\x1b[?7h\x1b(B\x0f\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[?47l\x1b7\x1b[r\x1b8";

/// How the terminal was, and what is written to leave a view.
struct Before {
    settings: Termios,
    leave: &'static str,
}

static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

/// Gives the terminal back as it was. Does nothing where no view has it; for the ends of a process that run no
/// destructors, and for what has to be read.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(before.leave.as_bytes()).and_then(|()| out.flush());
        // Not `Drain`: a terminal that reads no more would hold us up.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &before.settings);
    }
}

/// While it lives, a view has the terminal.
#[derive(Debug)]
pub(in super::super) struct Guard(());

impl Guard {
    /// A page of its own; keys arrive one by one and unseen, Ctrl-C is a signal as ever.
    pub(in super::super) fn page() -> Result<Self, Fault> {
        Self::take(ENTER, LEAVE, |settings| {
            settings.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
            settings.special_codes[SpecialCodeIndex::VMIN] = 1;
            settings.special_codes[SpecialCodeIndex::VTIME] = 0;
            // Ctrl-Z would leave the shell with our page.
            settings.special_codes[SpecialCodeIndex::VSUSP] = 0;
        })
    }

    /// Every key goes through, Ctrl-C too.
    pub(super) fn raw() -> Result<Self, Fault> {
        Self::take("", UNDO, Termios::make_raw)
    }

    fn take(enter: &str, leave: &'static str, change: impl FnOnce(&mut Termios)) -> Result<Self, Fault> {
        let refused = |_| NoScreen::fault("a view");
        let settings = termios::tcgetattr(std::io::stdin()).map_err(refused)?;
        let mut wanted = settings.clone();
        change(&mut wanted);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Before { settings, leave });
        let guard = Self(());
        termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &wanted).map_err(refused)?;
        super::super::print(enter)?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}
