//! Views that live at the terminal until the person leaves them. `ui/` implements it.

use std::fmt::Debug;
use std::time::Duration;

use super::{Class, Data, Fault, Watched};

/// What came over a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing now.
    Nothing,
    /// So many bytes.
    Bytes(usize),
    /// The other end has closed it.
    End,
}

/// A line to a guest's console; neither way waits.
pub trait Wire {
    /// What the guest has written.
    ///
    /// # Errors
    /// `connection_lost`, and what libvirt says.
    fn read(&mut self, into: &mut [u8]) -> Result<Heard, Fault>;
    /// Sends what fits now, and says how much that was.
    ///
    /// # Errors
    /// As [`Wire::read`].
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Fault>;
}

/// Where views are drawn.
pub trait Screen: Send + Sync + Debug {
    /// Whether someone looks and has keys to press. Elsewhere views write plain lines.
    fn is_live(&self) -> bool;
    /// Shows what `next` gives, anew after each `every`, until the person leaves or `next` gives nothing.
    ///
    /// # Errors
    /// `interrupted`; `stdout_closed`.
    fn watch(&self, every: Duration, next: &mut dyn FnMut() -> Option<Data>) -> Result<(), Fault>;
    /// Shows guests at work until the person leaves; `times`: how often at most where nobody looks.
    ///
    /// # Errors
    /// `interrupted`; `stdout_closed`.
    fn top(&self, watched: &dyn Watched, every: Duration, times: Option<u64>) -> Result<(), Fault>;
    /// Joins the terminal to a guest's console until the person leaves; `name`: the guest's.
    ///
    /// # Errors
    /// `no_terminal` where nobody is there to type; `interrupted`; what the wire says.
    fn console(&self, name: &str, wire: &mut dyn Wire) -> Result<(), Fault>;
    /// The fault of what needs a screen that is live, where this one is not.
    fn absent(&self, what: &str) -> Fault {
        NoScreen::fault(what)
    }
    /// Writes a line of a stream of lines.
    ///
    /// # Errors
    /// `stdout_closed` when its reader has gone; `stdout` when it cannot be written.
    fn line(&self, data: &Data) -> Result<(), Fault>;
    /// Shows a text page by page, where somebody sits at the prompt who can turn them; returns whether it did.
    ///
    /// # Errors
    /// As [`Screen::line`].
    fn page(&self, _: &str) -> Result<bool, Fault> {
        Ok(false)
    }
    /// Writes a result in the format that was asked for.
    ///
    /// # Errors
    /// As [`Screen::line`].
    fn show(&self, _: &Data) -> Result<(), Fault> {
        Ok(())
    }
}

/// No screen at all, for tests and for what embeds the engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoScreen;

impl NoScreen {
    /// The fault of what needs a terminal.
    pub fn fault(what: &str) -> Fault {
        Fault::new("no_terminal", format!("{what} needs a terminal: nobody is here to look and type"))
            .class(Class::Refused)
            .hint("run it at the prompt, or in a script that is started at a terminal")
    }
}

impl Screen for NoScreen {
    fn is_live(&self) -> bool {
        false
    }
    fn watch(&self, _: Duration, next: &mut dyn FnMut() -> Option<Data>) -> Result<(), Fault> {
        next();
        Ok(())
    }
    fn top(&self, _: &dyn Watched, _: Duration, _: Option<u64>) -> Result<(), Fault> {
        Ok(())
    }
    fn console(&self, _: &str, _: &mut dyn Wire) -> Result<(), Fault> {
        Err(Self::fault("console"))
    }
    fn line(&self, _: &Data) -> Result<(), Fault> {
        Ok(())
    }
}
