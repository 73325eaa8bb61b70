//! Commands and files on a host, through the gate.

use std::collections::BTreeMap;
use std::path::Path;

use super::Host;
use crate::gate::{Change, Digest, Mode, Outcome, Permit};
use crate::model::{Bytes, Fault, Step};
use crate::ssh::{self, Command, Facts, Metadata, Survey, WriteOptions, Written};

impl Host {
    /// Runs a command. With `reads_only` the operator says that it changes
    /// nothing: it then runs in a plan as well, and is not in the journal; a
    /// read-only session refuses it like any other. `None` in a plan.
    ///
    /// # Errors
    /// `read_only`; faults of the connection; `command_timeout`. A status other than 0 is none.
    pub fn run(&self, command: &Command, reads_only: bool) -> Result<Option<ssh::Output>, Fault> {
        let line = crate::model::secret::command(&command.display());
        let mut change = Change::new(self.name(), "command", &line, "run");
        change.detail = Some(command.note.clone()).filter(|note| !note.is_empty());
        if command.passing {
            change = change.passing();
        }
        if reads_only {
            let run =
                |permit: &Permit| self.shell().run(permit, command).map_err(|error| self.shell_fault(error));
            return self.session().gate().observe(change, run).map(Some);
        }
        let outcome = self.change(change, |permit| self.shell().run(permit, command))?;
        Ok(match outcome {
            Outcome::Done(output) => Some(output),
            Outcome::Planned => None,
        })
    }

    /// A file's contents, at most `limit` bytes.
    ///
    /// # Errors
    /// `no_such_file`, `permission_denied`, `file_too_large`, …
    pub fn read_file(&self, path: &str, limit: u64) -> Result<Vec<u8>, Fault> {
        self.shell().read(path, limit).map_err(|error| self.shell_fault(error))
    }

    /// What is known of a file; `None` when there is none.
    ///
    /// # Errors
    /// Faults of the connection, `permission_denied`.
    pub fn file(&self, path: &str) -> Result<Option<Metadata>, Fault> {
        self.shell().exists(path).map_err(|error| self.shell_fault(error))
    }

    /// The names in a directory, at most `most`, with a `/` behind directories.
    ///
    /// # Errors
    /// Faults of the connection.
    pub fn directory(&self, path: &str, most: usize) -> Result<Vec<String>, Fault> {
        self.shell().list(path, most).map_err(|error| self.shell_fault(error))
    }

    /// Writes a file: under a temporary name, synced, moved into place. `None` in a plan.
    ///
    /// # Errors
    /// `no_space`, `permission_denied`, …; the file that was there is then untouched.
    pub fn write_file(&self, path: &str, bytes: &[u8], how: &WriteOptions) -> Result<Option<Written>, Fault> {
        /// A diff of more than this helps nobody.
        const KEPT: usize = 64 << 10;
        let before = match self.shell().read(path, KEPT as u64) {
            Ok(before) => Some(before),
            Err(error) if matches!(error.kind.code(), "no_such_file" | "file_too_large") => None,
            Err(error) => return Err(self.shell_fault(error)),
        };
        if before.as_deref() == Some(bytes) && how.mode.is_none() && how.owner.is_none() {
            return Ok(Some(Written { changed: false, backup: None }));
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let mut change =
            Change::new(self.name(), "file", path, "write").detail(Bytes(bytes.len() as u64).to_string());
        change.before_digest = before.as_deref().map(Digest::of);
        change.after_digest = Some(Digest::of(bytes));
        if bytes.len() <= KEPT {
            change.after = text(bytes);
            change.before = before.as_deref().and_then(text);
        }
        let outcome = self.change(change, |permit| self.shell().write(permit, path, bytes, how))?;
        Ok(match outcome {
            Outcome::Done(written) => Some(written),
            Outcome::Planned => None,
        })
    }

    /// Copies a local file there, with progress.
    ///
    /// # Errors
    /// As [`Host::write_file`]; `local_file`.
    pub fn upload(&self, local: &Path, remote: &str, how: &WriteOptions) -> Result<(), Fault> {
        let change =
            Change::new(self.name(), "file", remote, "upload").detail(format!("from {}", local.display()));
        let name = local.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.change(change, |permit| -> Result<(), Fault> {
            let task = self.session().progress().task(&name);
            let mut last = Step::default();
            let result = self.shell().upload(permit, local, remote, how, &mut |done, total| {
                last = copied(done, total, self.name());
                task.step(&last);
            });
            task.finish(result.is_ok(), &last);
            result.map(drop).map_err(|error| self.shell_fault(error))
        })
        .map(drop)
    }

    /// Copies a file from there, with progress. Changes nothing on the host.
    ///
    /// # Errors
    /// As [`Host::read_file`]; `local_file`.
    pub fn download(&self, remote: &str, local: &Path) -> Result<(), Fault> {
        if self.session().gate().mode() == Mode::Plan {
            return self.file(remote).map(drop);
        }
        let name = local.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let task = self.session().progress().task(&name);
        let mut last = Step::default();
        let result = self.shell().download(remote, local, &mut |done, total| {
            last = copied(done, total, "here");
            task.step(&last);
        });
        task.finish(result.is_ok(), &last);
        result.map(drop).map_err(|error| self.shell_fault(error))
    }

    /// What the host brings for running guests: virtualisation, QEMU, libvirt, in one round trip.
    ///
    /// # Errors
    /// Faults of the connection.
    pub fn survey(&self) -> Result<Survey, Fault> {
        self.shell().survey().map_err(|error| self.shell_fault(error))
    }

    /// Which of these packages are installed, and their versions.
    ///
    /// # Errors
    /// `probe_failed` where there is no package manager that we know; faults of the connection.
    pub fn packages(&self, names: &[String]) -> Result<BTreeMap<String, String>, Fault> {
        self.shell().packages(names).map_err(|error| self.shell_fault(error))
    }

    /// What the host is: distribution, kernel, clock, …, in one round trip.
    ///
    /// # Errors
    /// Faults of the connection.
    pub fn facts(&self) -> Result<Facts, Fault> {
        self.shell().facts().map_err(|error| self.shell_fault(error))
    }
}

fn copied(done: u64, total: u64, to: &str) -> Step {
    Step { done, total, size: Some(Bytes(total)), rate: None, note: format!("→ {to}") }
}
