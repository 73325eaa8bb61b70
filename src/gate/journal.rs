//! The journal: what was changed, when, by whom and by which line of which script.
//!
//! NDJSON, one object per line. A change is written and synced before it is
//! made (`"phase":"begin"`) and again when it has ended (`"phase":"end"` with
//! its result); a `begin` without `end` is a change whose outcome nobody saw.
//! Several kvmsh may write the same file: each line is one `write` in append mode.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Change, Record, rotate};
use crate::model::secret::{self, scrub};
use crate::model::{Class, Fault};

/// Which half of a change a line of the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// About to be made.
    Begin,
    /// Ended, well or not.
    End,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When the line was written, UTC.
    pub time: Timestamp,
    /// Which run of kvmsh: eight hexadecimal digits.
    pub run: String,
    /// The number of the change within the run, from 1.
    pub change: u64,
    /// Which half.
    pub phase: Phase,
    /// The operating system's user.
    pub user: String,
    /// What is changed.
    #[serde(flatten)]
    pub what: Record,
    /// At the end: `ok`, or the error's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// At the end of a failed change: the error's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A run: a line when its first change begins, and one when it ends. A script that changes nothing has the second alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// When the line was written, UTC.
    pub time: Timestamp,
    /// As [`Entry::run`].
    pub run: String,
    /// Which half.
    pub phase: RunPhase,
    /// As [`Entry::user`].
    pub user: String,
    /// The script's path, `-c` or `prompt`.
    pub script: String,
    /// Its arguments, without secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// When the run began.
    pub began: Timestamp,
    /// At the end: kvmsh's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// At the end: how many changes were begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    /// At the end: how many of them failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
}

/// Which half of a run a line of the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// The first change is about to be made.
    RunBegin,
    /// The run has ended.
    RunEnd,
}

/// Writes the journal of one run.
#[derive(Debug)]
pub struct Journal {
    path: Option<PathBuf>,
    run: String,
    user: String,
    file: OnceLock<Mutex<File>>,
    next: AtomicU64,
    failed: AtomicU64,
    about: OnceLock<RunEntry>,
    begun: Mutex<bool>,
}

/// A change that has begun; hand it back to [`Journal::end`].
#[derive(Debug)]
pub(super) struct Ticket(Option<Entry>);

impl Journal {
    /// A journal in this file, which is opened when the first change is made.
    pub fn at(path: PathBuf) -> Self {
        let run = uuid::Uuid::new_v4().simple().to_string();
        Self { path: Some(path), run: run[..8].to_owned(), ..Self::off() }
    }

    /// A journal that is not kept, for tests.
    pub fn off() -> Self {
        Self {
            path: None,
            run: String::new(),
            user: super::user::name(),
            file: OnceLock::new(),
            next: AtomicU64::new(1),
            failed: AtomicU64::new(0),
            about: OnceLock::new(),
            begun: Mutex::new(false),
        }
    }

    /// This run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Who runs it: the operating system's user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Says what runs, before its first change; the first word stays.
    pub fn about(&self, script: &str, args: &[String]) {
        let now = Timestamp::now();
        let _ = self.about.set(RunEntry {
            time: now,
            run: self.run.clone(),
            phase: RunPhase::RunBegin,
            user: self.user.clone(),
            script: scrub(script).into_owned(),
            args: secret::arguments(args),
            began: now,
            exit: None,
            changes: None,
            failed: None,
        });
    }

    /// Writes down how the run ended, where it has changed anything or `always`.
    ///
    /// # Errors
    /// `journal`.
    pub fn run_ended(&self, exit: u8, always: bool) -> Result<(), Fault> {
        let begun = *self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(about) = self.about.get().filter(|_| begun || always) else { return Ok(()) };
        let entry = RunEntry {
            time: Timestamp::now(),
            phase: RunPhase::RunEnd,
            exit: Some(exit),
            changes: Some(self.next.load(Ordering::Relaxed) - 1),
            failed: Some(self.failed.load(Ordering::Relaxed)),
            // What the script has since named as a secret is none of the journal's business either.
            args: secret::arguments(&about.args),
            ..about.clone()
        };
        self.write(&entry)
    }

    fn run_begins(&self) -> Result<(), Fault> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        match self.about.get() {
            Some(about) if !*begun => {
                let args = secret::arguments(&about.args);
                self.write(&RunEntry { time: Timestamp::now(), args, ..about.clone() })?
            }
            _ => {}
        }
        *begun = true;
        Ok(())
    }

    pub(super) fn begin(&self, change: &Change) -> Result<Ticket, Fault> {
        if self.path.is_none() {
            self.next.fetch_add(1, Ordering::Relaxed);
            return Ok(Ticket(None));
        }
        let entry = Entry {
            time: Timestamp::now(),
            run: self.run.clone(),
            change: self.next.fetch_add(1, Ordering::Relaxed),
            phase: Phase::Begin,
            user: self.user.clone(),
            what: change.record(),
            result: None,
            error: None,
        };
        self.run_begins().and_then(|()| self.write(&entry)).map_err(|fault| {
            fault.class(Class::Refused).hint(
                "this was not changed: kvmsh changes nothing that it cannot write down first; \
                 free the disk, name another file with --journal, or do without one: --no-journal",
            )
        })?;
        Ok(Ticket(Some(entry)))
    }

    pub(super) fn end(&self, ticket: Ticket, failed: Option<&Fault>) -> Result<(), Fault> {
        if failed.is_some() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        let Some(mut entry) = ticket.0 else { return Ok(()) };
        entry.time = Timestamp::now();
        entry.phase = Phase::End;
        entry.result = Some(failed.map_or_else(|| "ok".to_owned(), |fault| fault.code.clone()));
        entry.error = failed.map(|fault| secret::command(&fault.to_string()));
        entry.what.before_digest = None;
        entry.what.after_digest = None;
        self.write(&entry)
    }

    fn write(&self, entry: &impl Serialize) -> Result<(), Fault> {
        let Some(path) = &self.path else { return Ok(()) };
        let fail = |what: &str, cause: &dyn ToString| {
            Fault::new("journal", format!("{what} the journal {}", path.display())).because(cause.to_string())
        };
        let mut line = serde_json::to_vec(entry).map_err(|e| fail("cannot write", &e))?;
        line.push(b'\n');
        if self.file.get().is_none() {
            // A second thread may win the race; its file is the same one.
            let file = rotate::open(path).map_err(|e| fail("cannot open", &e))?;
            let _ = self.file.set(Mutex::new(file));
        }
        let Some(file) = self.file.get() else { return Err(fail("cannot open", &"")) };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if is_torn(&file) {
            line.insert(0, b'\n');
        }
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(|e| fail("cannot write", &e))
    }
}

/// Whether the last line has no end: a write was cut short, by a full disk or a crash.
fn is_torn(file: &File) -> bool {
    let Some(last) = file.metadata().ok().and_then(|meta| meta.len().checked_sub(1)) else { return false };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last).is_ok() && byte != *b"\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Filter, read_journal};

    #[test]
    fn a_change_is_on_disk_before_it_is_made_and_its_result_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/journal.ndjson");
        let journal = Journal::at(path.clone());
        let ticket = journal.begin(&Change::new("h2-a", "domain", "web1", "start")).unwrap();
        let before = read_journal(&path, &Filter::default()).unwrap().changes;
        assert_eq!((before[0].phase, before[0].result.as_deref()), (Phase::Begin, None));
        journal.end(ticket, Some(&Fault::new("no_domain", "gone"))).unwrap();
        let reading = read_journal(&path, &Filter::default()).unwrap();
        let after = &reading.changes;
        assert_eq!((after.len(), reading.unreadable), (1, 0));
        assert_eq!((after[0].phase, after[0].result.as_deref()), (Phase::End, Some("no_domain")));
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_written_down_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let journal = Journal::at(dir.path().join("file/journal.ndjson"));
        let fault = journal.begin(&Change::new("h2-a", "domain", "web1", "start")).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (Class::Refused, "journal"));
    }

    #[test]
    fn a_run_is_written_down_with_its_first_change_and_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.ndjson");
        let journal = Journal::at(path.clone());
        journal
            .about("night.rhai", &["--password".to_owned(), "hunter2".to_owned(), "Gl4ssBr1dge".to_owned()]);
        journal.run_ended(0, false).unwrap();
        // The script names it when it runs.
        secret::remember("Gl4ssBr1dge");
        assert!(!path.exists());
        let ticket = journal.begin(&Change::new("h2-a", "domain", "web1", "start")).unwrap();
        journal.end(ticket, Some(&Fault::new("no_domain", "gone"))).unwrap();
        journal.run_ended(5, false).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("Gl4ssBr1dge"), "{text}");
        let reading = read_journal(&path, &Filter::default()).unwrap();
        let run = &reading.runs[0];
        assert_eq!((run.exit, run.changes, run.failed), (Some(5), Some(1), Some(1)));
        assert_eq!(
            (run.args.as_slice(), reading.runs.len()),
            (&["--password", "***", "***"].map(str::to_owned)[..], 1)
        );
    }

    #[test]
    fn a_torn_line_is_counted_and_the_rest_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.ndjson");
        let journal = Journal::at(path.clone());
        journal.begin(&Change::new("h2-a", "domain", "web1", "start")).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"time\":\"20\n").unwrap();
        let reading = read_journal(&path, &Filter::default()).unwrap();
        assert_eq!((reading.changes.len(), reading.unreadable), (1, 1));
    }

    #[test]
    fn texts_are_never_kept_only_their_digests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.ndjson");
        let journal = Journal::at(path.clone());
        let change = Change::new("h2-a", "file", "/etc/x", "write").before("hunter1").after("abc");
        let ticket = journal.begin(&change).unwrap();
        journal.end(ticket, None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter1") && !text.contains("\"abc\""), "{text}");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(text.contains(&format!(r#""after_digest":{{"bytes":3,"sha256":"{abc}"}}"#)), "{text}");
        // A plan does show them.
        assert!(serde_json::to_string(&change).unwrap().contains("hunter1"));
    }

    #[test]
    fn a_torn_last_line_does_not_take_the_next_one_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.ndjson");
        std::fs::write(&path, b"{\"time\":\"20").unwrap();
        let journal = Journal::at(path.clone());
        journal.begin(&Change::new("h2-a", "domain", "web1", "start")).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"ti").unwrap();
        journal.begin(&Change::new("h2-a", "domain", "web2", "start")).unwrap();
        let reading = read_journal(&path, &Filter::default()).unwrap();
        assert_eq!((reading.changes.len(), reading.unreadable), (2, 2));
    }
}
