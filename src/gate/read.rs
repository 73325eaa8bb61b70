//! Reading the journal.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::{Entry, Phase, RunEntry, RunPhase, rotate};
use crate::model::Fault;

/// Which lines of the journal to read.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Only lines written at or after this time.
    pub since: Option<Timestamp>,
    /// Only lines written before this time.
    pub until: Option<Timestamp>,
    /// Only the run whose id begins so.
    pub run: Option<String>,
}

impl Filter {
    fn wants(&self, time: Timestamp, run: &str) -> bool {
        self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && self.run.as_ref().is_none_or(|wanted| run.starts_with(wanted.as_str()))
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum JournalLine {
    /// Of a change.
    Change(Entry),
    /// Of a run.
    Run(RunEntry),
}

/// What a journal says.
#[derive(Debug, Default)]
pub struct Reading {
    /// The changes in the order they began, each with its result if one was written.
    pub changes: Vec<Entry>,
    /// The runs in the order they began, each with its end if one was written.
    pub runs: Vec<RunEntry>,
    /// How many lines are neither.
    pub unreadable: usize,
    changes_at: HashMap<(String, u64), usize>,
    runs_at: HashMap<String, usize>,
}

impl Reading {
    /// Takes in one more line.
    pub fn take(&mut self, line: JournalLine, filter: &Filter) {
        match line {
            JournalLine::Change(entry) if filter.wants(entry.time, &entry.run) => {
                match self.changes_at.get(&(entry.run.clone(), entry.change)) {
                    Some(&at) => {
                        let begun = &mut self.changes[at];
                        (begun.phase, begun.result, begun.error) = (Phase::End, entry.result, entry.error);
                    }
                    None => {
                        self.changes_at.insert((entry.run.clone(), entry.change), self.changes.len());
                        self.changes.push(entry);
                    }
                }
            }
            JournalLine::Run(entry) if filter.wants(entry.time, &entry.run) => {
                match self.runs_at.get(&entry.run) {
                    Some(&at) => {
                        if entry.phase == RunPhase::RunEnd {
                            self.runs[at] = entry;
                        }
                    }
                    None => {
                        self.runs_at.insert(entry.run.clone(), self.runs.len());
                        self.runs.push(entry);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Reads a journal, with what was put aside of it. A line that is no entry is left out and counted.
///
/// # Errors
/// `journal` when the file cannot be read; one that does not exist is empty.
pub fn read_journal(path: &Path, filter: &Filter) -> Result<Reading, Fault> {
    let mut reading = Reading::default();
    for path in rotate::older(path).iter().map(AsRef::as_ref).chain([path]) {
        let fail = |e: std::io::Error| {
            Fault::new("journal", format!("cannot read the journal {}", path.display()))
                .because(e.to_string())
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(fail(e)),
        };
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(fail)?;
            match serde_json::from_slice(&line) {
                Ok(line) => reading.take(line, filter),
                Err(_) => reading.unreadable += usize::from(!line.is_empty()),
            }
        }
    }
    Ok(reading)
}
