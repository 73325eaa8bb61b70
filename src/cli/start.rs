//! From options to a session.

use std::path::PathBuf;
use std::sync::Arc;

use super::args::{Options, usage};
use crate::gate::{Journal, Mode};
use crate::inventory::{self, Location};
use crate::model::{Cancel, Data, Diagnosis, Fault, Inventory, Limits, Progress, Prompt, Screen};
use crate::ops::{Manner, Purpose, Session, Settings};
use crate::ui::{self, Ask, Bars, Live, Shown, Term, output};

/// What all commands begin with.
pub(super) struct Start {
    pub(super) options: Options,
    pub(super) term: Term,
    pub(super) cancel: Cancel,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) location: Option<Location>,
    pub(super) shown: Shown,
}

impl Start {
    pub(super) fn new(options: Options, term: Term) -> Result<Self, Diagnosis> {
        ui::log::begin(options.log_format);
        let location = inventory::locate(options.inventory.as_deref());
        let progress = Arc::new(Bars::new(&term, options.quiet));
        let shown = Shown::new(options.output);
        Ok(Self { shown, options, term, cancel: Cancel::new(), progress, location })
    }

    /// The session: reads the inventory, and connects to nothing.
    pub(super) fn session(&self) -> Result<Session, Diagnosis> {
        self.session_with(self.location.clone())
    }

    /// The session of the prompt, which opens without hosts where the inventory cannot be read, and says what is wrong
    /// with it. One that is named and not there, or from which hosts are chosen, is a slip of the command line.
    pub(super) fn session_at_prompt(&self) -> Result<(Session, Option<Diagnosis>), Diagnosis> {
        let missing =
            self.location.as_ref().is_some_and(|location| location.named && !location.path.exists());
        let (inventory, wrong) = match inventory::load(self.location.as_ref()) {
            Ok(inventory) => (inventory, None),
            Err(wrong) if missing || !self.options.hosts.is_empty() => return Err(wrong),
            Err(wrong) => (Inventory::default(), Some(wrong)),
        };
        let session = self.session_on(inventory, Arc::new(self.screen().at_prompt()))?;
        if !self.options.hosts.is_empty() {
            session.hosts(&self.options.hosts)?;
        }
        Ok((session, wrong))
    }

    /// As [`Self::session`], but an inventory that is named need not exist yet.
    pub(super) fn session_for_new_inventory(&self) -> Result<Session, Diagnosis> {
        self.session_with(self.location.clone().map(|location| Location { named: false, ..location }))
    }

    /// A session that knows no hosts: for what reads scripts and runs none.
    pub(super) fn session_without_hosts(&self) -> Result<Session, Diagnosis> {
        self.session_from(Inventory::default())
    }

    /// The session, unless the usual inventory cannot be read; one that was named must be.
    pub(super) fn session_if_readable(&self) -> Result<Option<Session>, Diagnosis> {
        match self.session() {
            Ok(session) => Ok(Some(session)),
            Err(wrong) if self.location.as_ref().is_some_and(|location| location.named) => Err(wrong),
            Err(_) => Ok(None),
        }
    }

    fn session_with(&self, location: Option<Location>) -> Result<Session, Diagnosis> {
        let inventory = inventory::load(location.as_ref())?;
        // A slip in -H must not surface in the middle of a script.
        let session = self.session_from(inventory)?;
        if !self.options.hosts.is_empty() {
            session.hosts(&self.options.hosts)?;
        }
        Ok(session)
    }

    fn session_from(&self, inventory: Inventory) -> Result<Session, Diagnosis> {
        self.session_on(inventory, Arc::new(self.screen()))
    }

    fn session_on(&self, inventory: Inventory, screen: Arc<dyn Screen>) -> Result<Session, Diagnosis> {
        let mode = match (self.options.plan, self.options.read_only) {
            (true, _) => Mode::Plan,
            (_, true) => Mode::ReadOnly,
            _ => Mode::Apply,
        };
        Ok(Session::new(Settings {
            inventory,
            select: self.options.hosts.clone(),
            mode,
            journal: if self.options.no_journal { Journal::off() } else { Journal::at(self.journal()?) },
            assume_yes: self.options.yes,
            progress: self.progress.clone(),
            cancel: self.cancel.clone(),
            prompt: self.prompt(),
        })
        .on(screen)
        .behaving(Manner {
            quiet: self.options.quiet,
            limits: self.options.limit.iter().fold(Limits::default(), |limits, one| limits.with(*one)),
            width: self.term.width,
        }))
    }

    /// The file that changes are written down in.
    pub(super) fn journal(&self) -> Result<PathBuf, Fault> {
        let usual = || dirs::state_dir().map(|dir| dir.join("kvmsh/journal.ndjson"));
        self.options.journal.clone().or_else(usual).ok_or_else(|| {
            usage("there is no home directory to keep the journal in")
                .hint("set HOME, or name a file with --journal")
        })
    }

    /// What leases on hosts say of this run.
    pub(super) fn purpose(&self, session: &Session, text: &str) -> Purpose {
        let user = session.gate().journal().user().to_owned();
        Purpose { user, text: text.to_owned(), wait: self.options.wait.unwrap_or_default() }
    }

    /// Whoever can be asked.
    pub(super) fn prompt(&self) -> Option<Arc<dyn Prompt>> {
        let ask = || Arc::new(Ask::new(self.cancel.clone(), self.progress.clone())) as Arc<dyn Prompt>;
        self.term.interactive.then(ask)
    }

    /// Where views are drawn.
    fn screen(&self) -> Live {
        Live::new(self.term, self.shown.clone(), self.cancel.clone(), self.progress.clone())
    }

    /// Writes a result to stdout in the format that was asked for.
    pub(super) fn show(&self, data: &Data) -> Result<(), Fault> {
        super::deliver(&output::render(data, self.options.output, &self.term)?)
    }

    /// A line of talk, unless it was asked to be quiet.
    pub(super) fn say(&self, line: &str) {
        self.progress.say(line);
    }
}
