//! The prompt.
//!
//! `editor` reads an entry, `entry` runs it, `greeting` says what there is to
//! play with, `history` keeps what was typed, `leave` ends it all on a signal.

mod bare;
mod editor;
mod entry;
mod greeting;
mod history;
mod leave;
mod plain;

use std::cell::RefCell;
use std::rc::Rc;

use crate::model::Class;
use crate::ops::Session;
use crate::script::Runner;
use crate::ui::{self, Format, Term};

use editor::{Editor, Read};
use entry::Next;
use leave::Leave;

/// Runs the prompt until the person leaves; returns the exit code.
pub fn run(session: &Session, term: &Term, format: Format) -> u8 {
    let runner = Rc::new(RefCell::new(Runner::interactive(session)));
    let greeting = greeting::choose(session);
    if let Some((name, host)) = &greeting.host {
        runner.borrow_mut().give_host(name, host.clone());
    }
    for line in greeting.lines(term) {
        ui::say(&line);
    }
    let leave = Leave::watch();
    let mut editor = match Editor::new(runner.clone(), term, session, leave.clone()) {
        Ok(editor) => editor,
        Err(fault) => {
            ui::say(ui::diagnostic::render(&fault.into(), term).trim_end());
            return Class::Failed.exit_code();
        }
    };
    let mut count = 0;
    loop {
        let text = match editor.read(greeting::prompt(session)) {
            Read::Entry(text) => text,
            Read::Nothing => continue,
            Read::End => break,
        };
        if text.trim().is_empty() {
            continue;
        }
        editor.remember(&text);
        count += 1;
        let next = entry::run(&mut runner.borrow_mut(), session, &text, count, term, format);
        match next {
            Next::Line if leave.is_asked() => break,
            Next::Line => {}
            Next::Leave(code) => return code,
        }
    }
    if leave.is_asked() { Class::Interrupted.exit_code() } else { 0 }
}
