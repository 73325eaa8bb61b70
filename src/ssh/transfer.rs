//! Whole files up and down, with progress.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Shell;
use super::command::{Command, Output};
use super::error::{Error, FileError, Kind};
use super::files::{WriteOptions, Written, renamed, why};
use super::flow::{Feed, Flow, Stream};
use crate::gate::Permit;

/// Told how many bytes are done, and of how many.
pub type Meter<'a> = dyn FnMut(u64, u64) + 'a;

impl Shell {
    /// Copies a file of this machine to the host, as atomically as [`Shell::write`].
    ///
    /// # Errors
    /// `local_file`, and as [`Shell::write`].
    pub fn upload(
        &self,
        permit: &Permit,
        local: &Path,
        remote: &str,
        how: &WriteOptions,
        meter: &mut Meter<'_>,
    ) -> Result<Written, Error> {
        let fail = |e: io::Error| self.local_error("read", local, &e);
        let file = File::open(local).map_err(fail)?;
        let meta = file.metadata().map_err(fail)?;
        if !meta.is_file() {
            return Err(fail(io::Error::other("it is not a regular file")));
        }
        let total = meta.len();
        let mut metered = Metered { file, done: 0, total, meter };
        self.write_from(permit, remote, &mut metered, total, how).map_err(|error| match error.kind {
            Kind::LocalFile { action, cause, .. } => {
                self.error(Kind::LocalFile { action, path: local.display().to_string(), cause })
            }
            _ => error,
        })
    }

    /// Copies a regular file of the host to this machine: under a temporary name
    /// in the same directory, synced, its size checked, renamed. The new file has
    /// the mode of the remote one, cut by 0755 and always readable for its owner.
    ///
    /// Returns how many bytes it has.
    ///
    /// # Errors
    /// `local_file`, `no_such_file`, `not_a_file`, `permission_denied`,
    /// `file_torn` when it was cut short meanwhile, and as [`Shell::run`].
    pub fn download(&self, remote: &str, local: &Path, meter: &mut Meter<'_>) -> Result<u64, Error> {
        const ACTION: &str = "download";
        self.check_path(ACTION, remote)?;
        let mut copy = Copy::beside(local).map_err(|e| self.local_error("write", local, &e))?;
        let command =
            Command::argv(["sh", "-c", include_str!("scripts/download.sh"), "kvmsh", remote]).timeout(None);
        let mut stderr = Vec::new();
        let mut sink = |stream, bytes: &[u8]| match stream {
            Stream::Out => copy.take(bytes, meter).map_err(|e| local_file("write", local, &e)),
            Stream::Err => {
                let room = (64usize << 10).saturating_sub(stderr.len());
                stderr.extend_from_slice(&bytes[..bytes.len().min(room)]);
                Ok(())
            }
        };
        let mut nothing = io::empty();
        let exit = self
            .carry_out(&command, &mut Flow { input: Feed::new(&mut nothing), output: &mut sink })
            .map_err(|kind| self.error(renamed(kind, &format!("downloading {remote}"))))?;
        let output = Output { status: exit.status, signal: exit.signal, stdout: Vec::new(), stderr };
        if !output.ok() {
            return Err(self.file_error(ACTION, remote, why(&output)));
        }
        let Some((size, mode)) = copy.header().filter(|(size, _)| *size == copy.done) else {
            return Err(self.file_error(ACTION, remote, FileError::Torn));
        };
        copy.keep(local, mode).map_err(|e| self.local_error("write", local, &e))?;
        Ok(size)
    }

    fn local_error(&self, action: &'static str, path: &Path, error: &io::Error) -> Error {
        self.error(local_file(action, path, error))
    }
}

fn local_file(action: &'static str, path: &Path, error: &io::Error) -> Kind {
    Kind::LocalFile { action, path: path.display().to_string(), cause: error.to_string() }
}

struct Metered<'a, 'm> {
    file: File,
    done: u64,
    total: u64,
    meter: &'a mut Meter<'m>,
}

impl Read for Metered<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.done += read as u64;
        (self.meter)(self.done.min(self.total), self.total);
        Ok(read)
    }
}

/// The file that is being written under its temporary name; removed unless it is kept.
struct Copy {
    path: PathBuf,
    file: File,
    /// The first line: size and mode.
    head: Vec<u8>,
    headed: bool,
    done: u64,
}

impl Copy {
    fn beside(target: &Path) -> io::Result<Self> {
        let dir = match target.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        if target.is_dir() {
            return Err(io::Error::other("it is a directory"));
        }
        let path = dir.join(format!(".kvmsh.{}", uuid::Uuid::new_v4().simple()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file, head: Vec::new(), headed: false, done: 0 })
    }

    fn take(&mut self, bytes: &[u8], meter: &mut Meter<'_>) -> io::Result<()> {
        let mut bytes = bytes;
        if !self.headed {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (head, rest) = end.map_or((bytes, &[][..]), |end| (&bytes[..end], &bytes[end + 1..]));
            self.head.extend_from_slice(head);
            if self.head.len() > 100 {
                return Err(io::Error::other("the host answers something else than a file"));
            }
            self.headed = end.is_some();
            bytes = rest;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_all(bytes)?;
        self.done += bytes.len() as u64;
        meter(self.done, self.header().map_or(0, |(size, _)| size));
        Ok(())
    }

    /// Size and mode, once they have arrived.
    fn header(&self) -> Option<(u64, u32)> {
        let text = std::str::from_utf8(&self.head).ok().filter(|_| self.headed)?;
        let (size, mode) = text.split_once(' ')?;
        Some((size.parse().ok()?, u32::from_str_radix(mode, 8).ok()?))
    }

    fn keep(mut self, target: &Path, mode: u32) -> io::Result<()> {
        self.file.set_permissions(fs::Permissions::from_mode(mode & 0o755 | 0o400))?;
        self.file.sync_all()?;
        fs::rename(&self.path, target)?;
        self.path = PathBuf::new();
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}
