//! Line editing.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use nu_ansi_term::{Color, Style};
use rustyline::config::Behavior;
use rustyline::error::ReadlineError;
use rustyline::history::{FileHistory, History};
use rustyline::{ColorMode, CompletionType, Config, ExternalPrinter};

use super::assistant::Assistant;
use super::leave::Leave;
use super::world::World;
use super::{history, keys, plain};
use crate::model::{Cancel, Fault};
use crate::ops::Session;
use crate::script::Runner;
use crate::ui::{self, Term};

/// What came of reading.
pub(super) enum Read {
    /// One or more lines that belong together.
    Entry(String),
    /// Ctrl-C: the line is dropped.
    Nothing,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// The editor with its history.
pub(super) struct Editor {
    lines: rustyline::Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
    colour: bool,
    dumb: bool,
    cancel: Cancel,
    leave: Leave,
}

impl Editor {
    pub(super) fn new(
        runner: Rc<RefCell<Runner>>,
        world: World,
        term: &Term,
        session: &Session,
        leave: Leave,
    ) -> Result<Self, Fault> {
        let broken = |error: ReadlineError| {
            Fault::new("terminal", "cannot edit lines here").because(error.to_string())
        };
        let config = Config::builder()
            .max_history_size(history::ENTRIES)
            .map_err(broken)?
            .history_ignore_space(true)
            .auto_add_history(false)
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            // The assistant lists no more than the screen holds: a question about it would not hear Ctrl-C.
            .completion_prompt_limit(usize::MAX)
            .color_mode(if term.stdout.colour { ColorMode::Enabled } else { ColorMode::Disabled })
            // `kvmsh > file`: the prompt is talk and must not get into the file.
            .behavior(if term.stdout.tty { Behavior::Stdio } else { Behavior::PreferTerm })
            .build();
        let entries = FileHistory::with_config(&config);
        let mut lines = rustyline::Editor::with_history(config, entries).map_err(broken)?;
        lines.set_helper(Some(Assistant::new(runner, world, term.stdout.colour)));
        keys::bind(&mut lines);
        let history = load(&mut lines).inspect_err(|fault| ui::say(&format!("note: {fault}"))).ok();
        Ok(Self {
            lines,
            history,
            colour: term.stdout.colour,
            dumb: term.stderr.tty && !term.live,
            cancel: session.cancel().clone(),
            leave,
        })
    }

    /// What prints lines above the one that is being edited, from other threads.
    pub(super) fn printer(&mut self) -> Option<impl ExternalPrinter + Send + use<>> {
        (!self.dumb).then(|| self.lines.create_external_printer().ok()).flatten()
    }

    /// Reads one entry, of which this much is there already.
    pub(super) fn read(&mut self, prompt: &str, begun: &str) -> Read {
        if self.leave.is_asked() {
            return Read::End;
        }
        if self.dumb {
            let more = |text: &str| self.lines.helper().is_some_and(|assistant| assistant.wants_more(text));
            return plain::read(prompt, begun, &self.cancel, &self.leave, more);
        }
        let style = if prompt.contains('(') { Style::new().fg(Color::Yellow) } else { Style::new() };
        let styled = if self.colour { style.bold().paint(prompt).to_string() } else { prompt.to_owned() };
        let prompt = (prompt.to_owned(), styled);
        let leave = self.leave.clone();
        match leave.editing(|| self.lines.readline_with_initial(&prompt, (begun, ""))) {
            _ if leave.is_asked() => Read::End,
            Ok(text) => Read::Entry(text),
            Err(ReadlineError::Interrupted) => Read::Nothing,
            Err(_) => Read::End,
        }
    }

    /// Adds an entry to the history; one that begins with a space, or that has a secret in it, is not kept.
    pub(super) fn remember(&mut self, text: &str) {
        if history::has_secret(text) {
            return;
        }
        let added = self.lines.add_history_entry(text.trim_end()).unwrap_or(false);
        if let (true, Some(path)) = (added, &self.history)
            && let Err(error) = self.lines.append_history(path)
        {
            ui::say(&format!("note: history is not kept any more: {error}"));
            self.history = None;
        }
    }
}

fn load(lines: &mut rustyline::Editor<Assistant, FileHistory>) -> Result<PathBuf, Fault> {
    let path = history::prepare()?;
    let mut read = lines.history_mut().load(&path);
    if read.is_err()
        && let Ok(bad @ 1..) = history::mend(&path)
    {
        let lines_were = if bad == 1 { "1 line was".to_owned() } else { format!("{bad} lines were") };
        ui::say(&format!("note: {lines_were} no text and left the history: {}", path.display()));
        read = lines.history_mut().clear().and_then(|()| lines.history_mut().load(&path));
    }
    read.map_err(|error| {
        Fault::new("history", format!("history is not kept: cannot read {}", path.display()))
            .because(error.to_string())
    })?;
    Ok(path)
}
