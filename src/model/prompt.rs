//! Questions to the person at the terminal. `ui/` implements it.

use std::fmt::Debug;

/// Someone who can be asked.
pub trait Prompt: Send + Sync + Debug {
    /// Asks a question that is answered with yes or no; no is the default, and
    /// the answer when the person interrupts.
    fn confirm(&self, question: &str) -> bool;
    /// Asks for a secret, for instance the passphrase of a key file; `None`
    /// when the person gives none or interrupts.
    fn passphrase(&self, what: &str) -> Option<String>;
}
