//! The journal: what was changed, when, by whom and by which line of which script.
//!
//! NDJSON, one object per line. A change is written and synced before it is
//! made (`"phase":"begin"`) and again when it has ended (`"phase":"end"` with
//! its result); a `begin` without `end` is a change whose outcome nobody saw.
//! Several kvmsh may write the same file: each line is one `write` in append mode.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Change, Record};
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

/// Writes the journal of one run.
#[derive(Debug)]
pub struct Journal {
    path: Option<PathBuf>,
    run: String,
    user: String,
    file: OnceLock<Mutex<File>>,
    next: AtomicU64,
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

    pub(super) fn begin(&self, change: &Change) -> Result<Ticket, Fault> {
        if self.path.is_none() {
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
        self.write(&entry).map_err(|fault| {
            fault.class(Class::Refused).hint(
                "nothing was changed: kvmsh changes nothing that it cannot write down first; \
                 free the disk, or name another file with --journal",
            )
        })?;
        Ok(Ticket(Some(entry)))
    }

    pub(super) fn end(&self, ticket: Ticket, failed: Option<&Fault>) -> Result<(), Fault> {
        let Some(mut entry) = ticket.0 else { return Ok(()) };
        entry.time = Timestamp::now();
        entry.phase = Phase::End;
        entry.result = Some(failed.map_or_else(|| "ok".to_owned(), |fault| fault.code.clone()));
        entry.error = failed.map(ToString::to_string);
        entry.what.before_digest = None;
        entry.what.after_digest = None;
        self.write(&entry)
    }

    fn write(&self, entry: &Entry) -> Result<(), Fault> {
        let Some(path) = &self.path else { return Ok(()) };
        let fail = |what: &str, cause: &dyn ToString| {
            Fault::new("journal", format!("{what} the journal {}", path.display())).because(cause.to_string())
        };
        let mut line = serde_json::to_vec(entry).map_err(|e| fail("cannot write", &e))?;
        line.push(b'\n');
        if self.file.get().is_none() {
            // A second thread may win the race; its file is the same one.
            let file = open_private(path).map_err(|e| fail("cannot open", &e))?;
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

fn open_private(path: &Path) -> std::io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Which lines of the journal to read.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Only lines written at or after this time.
    pub since: Option<Timestamp>,
    /// Only the run whose id begins so.
    pub run: Option<String>,
}

/// Reads the changes of a journal in the order they began, each with its
/// result if one was written. A line that is no entry is left out and counted.
///
/// # Errors
/// `journal` when the file cannot be read; one that does not exist is empty.
pub fn read_journal(path: &Path, filter: &Filter) -> Result<(Vec<Entry>, usize), Fault> {
    let fail = |e: std::io::Error| {
        Fault::new("journal", format!("cannot read the journal {}", path.display())).because(e.to_string())
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(e) => return Err(fail(e)),
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut position = std::collections::HashMap::new();
    let mut unreadable = 0;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(fail)?;
        let Ok(entry) = serde_json::from_slice::<Entry>(&line) else {
            unreadable += usize::from(!line.is_empty());
            continue;
        };
        let wanted = filter.since.is_none_or(|since| entry.time >= since)
            && filter.run.as_ref().is_none_or(|run| entry.run.starts_with(run.as_str()));
        if !wanted {
            continue;
        }
        match position.get(&(entry.run.clone(), entry.change)) {
            Some(&at) => {
                let begun: &mut Entry = &mut entries[at];
                begun.phase = Phase::End;
                begun.result = entry.result;
                begun.error = entry.error;
            }
            None => {
                position.insert((entry.run.clone(), entry.change), entries.len());
                entries.push(entry);
            }
        }
    }
    Ok((entries, unreadable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_on_disk_before_it_is_made_and_its_result_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/journal.ndjson");
        let journal = Journal::at(path.clone());
        let ticket = journal.begin(&Change::new("h2-a", "domain", "web1", "start")).unwrap();
        let (before, _) = read_journal(&path, &Filter::default()).unwrap();
        assert_eq!((before[0].phase, before[0].result.as_deref()), (Phase::Begin, None));
        journal.end(ticket, Some(&Fault::new("no_domain", "gone"))).unwrap();
        let (after, unreadable) = read_journal(&path, &Filter::default()).unwrap();
        assert_eq!((after.len(), unreadable), (1, 0));
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
    fn a_torn_line_is_counted_and_the_rest_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.ndjson");
        let journal = Journal::at(path.clone());
        journal.begin(&Change::new("h2-a", "domain", "web1", "start")).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"time\":\"20\n").unwrap();
        let (entries, unreadable) = read_journal(&path, &Filter::default()).unwrap();
        assert_eq!((entries.len(), unreadable), (1, 1));
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
        let (entries, unreadable) = read_journal(&path, &Filter::default()).unwrap();
        assert_eq!((entries.len(), unreadable), (2, 2));
    }
}
