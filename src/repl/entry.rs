//! Showing what came of an entry.

use crate::model::{Cancel, Class, Data, Diagnosis};
use crate::ops::Session;
use crate::ui::{self, Format, Term, diagnostic, output};

/// The terminal may have another width than when it was first looked at.
pub(super) fn now(term: &Term) -> Term {
    let mut term = *term;
    if term.width.is_some() && term.stderr.tty {
        term.width = Some(ui::term::stderr_columns());
    }
    term
}

/// Shows a result.
pub(super) fn show(value: &Data, format: Format, term: &Term, cancel: &Cancel) {
    // Nobody wants `null` after `let x = 1`.
    if *value == Data::Nothing {
        return;
    }
    let shown = output::render(value, format, term).and_then(|text| ui::pager::print(&text, term, cancel));
    if let Err(fault) = shown {
        complain(&fault.into(), term);
    }
}

/// Shows an error.
pub(super) fn complain(diagnosis: &Diagnosis, term: &Term) {
    match diagnosis.fault.class {
        Class::Interrupted if diagnosis.fault.object.is_none() => {
            ui::term::fresh_line(term);
            ui::say("interrupted");
        }
        // What became of a guest that was on its way is worth knowing.
        Class::Interrupted => {
            ui::term::fresh_line(term);
            ui::say(diagnostic::render(diagnosis, term).trim_end());
        }
        _ => ui::say(diagnostic::render(diagnosis, term).trim_end()),
    }
}

/// `--plan`: what this entry would have changed.
pub(super) fn pending(session: &Session) {
    let changes = session.gate().take_plan();
    for change in &changes {
        ui::say(&format!("would {}", ui::visible::line(&change.to_string())));
    }
}
