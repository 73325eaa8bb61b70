//! The prompt. (Stub of this branch: replaced at merge.)

use crate::ops::Session;
use crate::ui::{Format, Term};

/// Runs the prompt until the person leaves.
pub fn run(_session: &Session, _term: &Term, _format: Format) -> u8 {
    crate::ui::say("this build has no prompt");
    0
}
