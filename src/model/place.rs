//! Places in scripts, and errors that happened there.

use super::Fault;

/// Where in which script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The script's path as given, a module such as `std/evacuate`, `-c`, or `repl[3]`.
    pub script: String,
    /// The whole text of that script, for the caret; empty when it is not known.
    pub text: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters the offending token has; at least 1.
    pub length: usize,
}

/// An error with the places it went through, innermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What went wrong.
    pub fault: Fault,
    /// Where: the innermost place first, then the calls that led there.
    pub places: Vec<Place>,
}

impl From<Fault> for Diagnosis {
    fn from(fault: Fault) -> Self {
        Self { fault, places: Vec::new() }
    }
}
