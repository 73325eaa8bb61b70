//! The prompt.
//!
//! `editor` reads an entry with the help of `assistant`, which looks into
//! `world`; `shell` runs it, code or one of `commands`, and `entry` shows what
//! came of it. `greeting` says what there is to play with, `history` keeps what
//! was typed, `record` makes a script of it, `leave` ends it all on a signal.

mod assistant;
mod bare;
mod commands;
mod editor;
mod entry;
mod greeting;
mod history;
mod keys;
mod leave;
mod lists;
mod news;
mod outside;
mod plain;
mod record;
mod shell;
mod world;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use crate::inventory::Location;
use crate::model::Class;
use crate::ops::Session;
use crate::script::Runner;
use crate::ui::{self, Shown, Term};

use editor::{Editor, Read};
use leave::Leave;
use shell::{Next, Shell};
use world::World;

/// How the prompt is begun.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How results are shown.
    pub format: Shown,
    /// Whether the inventory could not be read.
    pub unread: bool,
    /// Where the inventory is, for `:reload`.
    pub location: Option<Location>,
    /// A script that runs first, if it is there.
    pub rc: Option<PathBuf>,
}

/// Runs the prompt until the person leaves; returns the exit code.
pub fn run(session: &Session, term: &Term, setup: Setup) -> u8 {
    let runner = Rc::new(RefCell::new(Runner::interactive(session)));
    let greeting = greeting::choose(session, setup.unread);
    if let Some((name, host)) = &greeting.host {
        runner.borrow_mut().give_host(name, host.clone());
    }
    for line in greeting.lines(term) {
        ui::say(&line);
    }
    let leave = Leave::watch();
    // What a script prints while it is being stopped would stand behind the `^C`.
    let _unseen = ui::term::Unseen::control_keys();
    let world = World::new(session);
    let mut editor = match Editor::new(runner.clone(), world.clone(), term, session, leave.clone()) {
        Ok(editor) => editor,
        Err(fault) => {
            ui::say(ui::diagnostic::render(&fault.into(), term).trim_end());
            return Class::Failed.exit_code();
        }
    };
    let rc = setup.rc.clone();
    let mut shell = Shell::new(session, setup, world.clone(), greeting.prologue());
    if let Some(path) = rc.filter(|path| path.exists())
        && let Next::Leave(code) = shell.begin(&path, &mut runner.borrow_mut(), term)
    {
        return code;
    }
    let mut hosts: Vec<String> =
        session.hosts(&[]).unwrap_or_default().iter().map(|host| host.name().to_owned()).collect();
    hosts.extend(greeting.host.iter().map(|(_, host)| host.name().to_owned()));
    match editor.printer() {
        Some(printer) => news::begin(&world, hosts, printer, leave.clone(), term.stdout.colour),
        None => world.greet(hosts.iter().map(String::as_str)),
    }
    let mut begun = String::new();
    loop {
        let text = match editor.read(greeting::prompt(session), &std::mem::take(&mut begun)) {
            Read::Entry(text) => text,
            Read::Nothing => continue,
            Read::End => break,
        };
        if text.trim().is_empty() {
            continue;
        }
        editor.remember(&text);
        let next = shell.entry(&mut runner.borrow_mut(), &text, term);
        match next {
            Next::Leave(code) => return code,
            _ if leave.is_asked() => break,
            Next::Begin(text) => begun = text,
            Next::Line => {}
        }
    }
    if leave.is_asked() { Class::Interrupted.exit_code() } else { 0 }
}
