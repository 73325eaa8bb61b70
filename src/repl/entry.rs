//! Running one entry and showing what came of it.

use super::bare;
use crate::gate::Mode;
use crate::model::{Class, Data, Diagnosis};
use crate::ops::Session;
use crate::script::{End, Runner, Source};
use crate::ui::{self, Format, Term, diagnostic, output};

/// What comes after an entry.
pub(super) enum Next {
    /// The next one.
    Line,
    /// The prompt ends with this exit code.
    Leave(u8),
}

/// Runs entry number `count`.
pub(super) fn run(
    runner: &mut Runner,
    session: &Session,
    text: &str,
    count: usize,
    term: &Term,
    format: Format,
) -> Next {
    let term = now(term);
    runner.set_width(term.width.unwrap_or(80));
    let text = bare::call(text, |word| runner.has_variable(word)).unwrap_or_else(|| text.to_owned());
    // A Ctrl-C that came too late for the last entry is not meant for this one.
    session.cancel().reset();
    let result = runner.run_line(&Source { name: format!("repl[{count}]"), text });
    let next = match result {
        Ok(End::Exit(code)) => Next::Leave(code),
        Ok(End::Value(value)) => {
            show(&value, format, &term);
            Next::Line
        }
        Err(diagnosis) => {
            complain(&diagnosis, &term);
            Next::Line
        }
    };
    if session.gate().mode() == Mode::Plan {
        pending(session);
    }
    next
}

/// The terminal may have another width than when it was first looked at.
fn now(term: &Term) -> Term {
    let mut term = *term;
    if term.width.is_some() && term.stderr.tty {
        term.width = Some(ui::term::stderr_columns());
    }
    term
}

fn show(value: &Data, format: Format, term: &Term) {
    // Nobody wants `null` after `let x = 1`.
    if *value == Data::Nothing {
        return;
    }
    if let Err(fault) = output::render(value, format, term).and_then(|text| ui::pager::print(&text, term)) {
        complain(&fault.into(), term);
    }
}

fn complain(diagnosis: &Diagnosis, term: &Term) {
    match diagnosis.fault.class {
        // The terminal has written ^C where the cursor was.
        Class::Interrupted => ui::say("\ninterrupted"),
        _ => ui::say(diagnostic::render(diagnosis, term).trim_end()),
    }
}

/// `--plan`: what this entry would have changed.
fn pending(session: &Session) {
    let changes = session.gate().take_plan();
    for change in &changes {
        ui::say(&format!("would {}", ui::visible::line(&change.to_string())));
    }
}
