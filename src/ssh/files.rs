//! Files on a host: reading, looking, and replacing them atomically.

use std::io::{self, Read};
use std::time::Duration;

use super::cksum::Cksum;
use super::command::{Command, Output, Probe};
use super::error::{Error, FileError, Kind};
use super::flow::{Collect, Feed, Flow};
use super::{OUTPUT_LIMIT, Shell};
use crate::gate::Permit;

/// How long listing a directory may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link that leads nowhere; other links are followed.
    Link,
    /// A block device.
    Block,
    /// A character device, a FIFO or a socket.
    Other,
}

/// What is known about a file without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// When its contents were changed, in seconds since 1970.
    pub modified: i64,
    /// Permission bits: `0o644`.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The owner's name; `UNKNOWN` when the host has none for the number.
    pub owner: String,
    /// The group's name; `UNKNOWN` when the host has none for the number.
    pub group: String,
}

/// How a file is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Permission bits; by default those of the file that is replaced, or 0644.
    pub mode: Option<u32>,
    /// `user`, `user:group` or `:group`; by default that of the file that is replaced.
    pub owner: Option<String>,
    /// Keep the file that is replaced, as `.NAME.kvmsh-TIME` beside it.
    pub backup: bool,
}

/// What writing a file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `false` when the file had these bytes, this mode and this owner already, and was left alone.
    pub changed: bool,
    /// Where the file that was there before is kept.
    pub backup: Option<String>,
}

/// Writing a file of any size may take as long as it moves on; this bounds the
/// moment after the last byte (checksum, sync) together with the way there.
const WRITE_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

impl Shell {
    /// The names in a directory, at most `most`, with a `/` behind directories;
    /// none where there is no such directory. A relative path begins in the home directory.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn list(&self, path: &str, most: usize) -> Result<Vec<String>, Error> {
        let path = if path.is_empty() { "." } else { path };
        let probe = Probe::script(include_str!("scripts/list.sh"), [path, &most.to_string()]);
        let output = self.probe(&probe.timeout(LIST_TIMEOUT))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(ToOwned::to_owned).collect())
    }

    /// The contents of a file (also of those in /proc and /sys), at most `limit` bytes.
    ///
    /// # Errors
    /// `no_such_file`, `not_a_file`, `permission_denied`, `file_too_large`, and as [`Shell::run`].
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        const ACTION: &str = "read";
        self.check_path(ACTION, path)?;
        let count = limit.saturating_add(1);
        let count_text = count.to_string();
        let mut probe = Probe::argv("env", ["LC_ALL=C", "head", "-c", count_text.as_str(), "--", path]);
        // Room for the file, and for what head has to say.
        probe.0.output_limit = count.saturating_add(64 << 10);
        let output = self.probe(&probe)?;
        if !output.ok() {
            return Err(self.file_error(ACTION, path, why(&output)));
        }
        if output.stdout.len() as u64 > limit {
            return Err(self.file_error(ACTION, path, FileError::TooLarge(limit)));
        }
        Ok(output.stdout)
    }

    /// What is at this path; `None` when there is nothing.
    ///
    /// # Errors
    /// `permission_denied` when a directory on the way may not be searched, and as [`Shell::run`].
    pub fn exists(&self, path: &str) -> Result<Option<Metadata>, Error> {
        const ACTION: &str = "look at";
        self.check_path(ACTION, path)?;
        let output = self.probe(&Probe::script(include_str!("scripts/stat.sh"), [path]))?;
        if !output.ok() {
            return match why(&output) {
                FileError::Missing => Ok(None),
                why => Err(self.file_error(ACTION, path, why)),
            };
        }
        let text = output.text();
        let said = || FileError::Other(format!("`stat` said `{text}`"));
        parse_stat(&text).map(Some).ok_or_else(|| self.file_error(ACTION, path, said()))
    }

    /// Replaces a file, or makes it: under a temporary name in the same
    /// directory, synced, checked, moved. A link stays a link. Whatever goes
    /// wrong, the file is as it was and nothing is left behind.
    ///
    /// # Errors
    /// `no_such_file` when the directory is not there, `not_a_file`,
    /// `permission_denied`, `no_space`, `file_torn`, and as [`Shell::run`].
    pub fn write(
        &self,
        permit: &Permit,
        path: &str,
        bytes: &[u8],
        how: &WriteOptions,
    ) -> Result<Written, Error> {
        self.write_from(permit, path, &mut &*bytes, bytes.len() as u64, how)
    }

    /// [`Shell::write`] with the bytes, exactly `size` of them, from a reader.
    pub(super) fn write_from(
        &self,
        _permit: &Permit,
        path: &str,
        source: &mut dyn Read,
        size: u64,
        how: &WriteOptions,
    ) -> Result<Written, Error> {
        const ACTION: &str = "write";
        self.check_path(ACTION, path)?;
        let mode = how.mode.map_or_else(String::new, |mode| format!("{:04o}", mode & 0o7777));
        let owner = how.owner.clone().unwrap_or_default();
        if owner.contains(char::is_whitespace) || owner.starts_with('-') {
            let why = FileError::Other(format!("`{owner}` is no owner: write user, user:group or :group"));
            return Err(self.file_error(ACTION, path, why));
        }
        let suffix = if how.backup { backup_suffix() } else { String::new() };
        let script = include_str!("scripts/write.sh");
        let size_text = size.to_string();
        let command = Command::argv(["sh", "-c", script, "kvmsh", path, &size_text, &mode, &owner, &suffix])
            .timeout(Some(WRITE_TIMEOUT));
        let mut summed = Summed { source, left: size, sum: Cksum::default(), trailer: None };
        let output = self
            .feed_to(&command, &mut summed)
            .map_err(|kind| self.error(renamed(kind, &format!("writing {path}"))))?;
        if !output.ok() {
            return Err(self.file_error(ACTION, path, why(&output)));
        }
        let text = output.text();
        let mut lines = text.lines();
        let changed = lines.next() == Some("changed");
        Ok(Written { changed, backup: lines.next().filter(|l| !l.is_empty()).map(str::to_owned) })
    }

    fn feed_to(&self, command: &Command, source: &mut dyn Read) -> Result<Output, Kind> {
        let mut collect = Collect::new(OUTPUT_LIMIT, command.display());
        let mut sink = |stream, bytes: &[u8]| collect.take(stream, bytes);
        let exit = self.carry_out(command, &mut Flow { input: Feed::new(source), output: &mut sink })?;
        Ok(collect.output(exit))
    }

    /// Absolute and without control characters: everything else is a mistake.
    pub(super) fn check_path(&self, action: &'static str, path: &str) -> Result<(), Error> {
        if path.starts_with('/') && !path.chars().any(char::is_control) {
            return Ok(());
        }
        Err(self.file_error(action, path, FileError::BadPath))
    }

    pub(super) fn file_error(&self, action: &'static str, path: &str, why: FileError) -> Error {
        self.error(Kind::File { action, path: path.escape_debug().to_string(), why })
    }
}

/// Errors name what was done, not the script that did it.
pub(super) fn renamed(kind: Kind, what: &str) -> Kind {
    let command = what.to_owned();
    match kind {
        Kind::Lost { cause, .. } => Kind::Lost { command, cause },
        Kind::ExecRefused { cause, .. } => Kind::ExecRefused { command, cause },
        Kind::CommandTimeout { after, may_run, .. } => Kind::CommandTimeout { command, after, may_run },
        Kind::Stopped { stop, may_run, .. } => Kind::Stopped { stop, command, may_run },
        kind => kind,
    }
}

/// What a failed script or program meant. The texts are those of the C locale, which we set.
pub(super) fn why(output: &Output) -> FileError {
    let said = output.error_text();
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    match output.status {
        71 => FileError::Missing,
        72 => FileError::NotAFile,
        73 => FileError::Denied,
        74 => FileError::Torn,
        _ if has(&["No space left on device", "Disk quota exceeded"]) => FileError::NoSpace,
        _ if has(&["Permission denied", "Operation not permitted"]) => FileError::Denied,
        _ if has(&["No such file or directory", "Not a directory"]) => FileError::Missing,
        _ if has(&["Is a directory"]) => FileError::NotAFile,
        status if said.is_empty() => FileError::Other(format!("status {status}")),
        _ => FileError::Other(said),
    }
}

/// `.kvmsh-20261123T055300.123Z`: sorts by time.
fn backup_suffix() -> String {
    format!(".kvmsh-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ"))
}

fn parse_stat(text: &str) -> Option<Metadata> {
    let mut words = text.split(' ');
    let raw = u32::from_str_radix(words.next()?, 16).ok()?;
    // The file type bits of stat(2).
    let kind = match raw & 0o170_000 {
        0o100_000 => FileKind::File,
        0o040_000 => FileKind::Directory,
        0o120_000 => FileKind::Link,
        0o060_000 => FileKind::Block,
        _ => FileKind::Other,
    };
    Some(Metadata {
        kind,
        mode: raw & 0o7777,
        size: words.next()?.parse().ok()?,
        modified: words.next()?.parse().ok()?,
        uid: words.next()?.parse().ok()?,
        gid: words.next()?.parse().ok()?,
        owner: words.next()?.to_owned(),
        group: words.next()?.to_owned(),
    })
}

/// The bytes, and after them one line with their checksum.
///
/// A source that ends too early is an error, which closes the channel before
/// the line has been sent: then the script on the host throws its copy away.
struct Summed<'a> {
    source: &'a mut dyn Read,
    left: u64,
    sum: Cksum,
    trailer: Option<io::Cursor<Vec<u8>>>,
}

impl Read for Summed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let sum = self.sum;
            return self
                .trailer
                .get_or_insert_with(|| io::Cursor::new(format!("{}\n", sum.line()).into()))
                .read(buffer);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.source.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        self.sum.update(&buffer[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: i32, stderr: &str) -> Output {
        Output { status, signal: None, stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() }
    }

    #[test]
    fn what_programs_say_becomes_a_reason() {
        for (status, said, reason) in [
            (1, "head: cannot open '/x' for reading: No such file or directory", FileError::Missing),
            (1, "head: error reading '/': Is a directory", FileError::NotAFile),
            (1, "head: error writing 'standard output': No space left on device", FileError::NoSpace),
            (1, "mktemp: failed to create file: Permission denied", FileError::Denied),
            (74, "", FileError::Torn),
            (9, "", FileError::Other("status 9".into())),
            (1, "odd", FileError::Other("odd".into())),
        ] {
            assert_eq!(why(&failed(status, said)), reason);
        }
    }

    #[test]
    fn stat_is_understood() {
        let meta = parse_stat("81a4 12 1700000000 0 107 root kvm").unwrap();
        assert_eq!((meta.kind, meta.mode, meta.size), (FileKind::File, 0o644, 12));
        assert_eq!((meta.gid, meta.group.as_str()), (107, "kvm"));
        assert_eq!(parse_stat("41ed 4096 1 0 0 root root").unwrap().kind, FileKind::Directory);
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_source_that_ends_early_never_gets_its_checksum_line() {
        let mut source = &b"1234"[..];
        let mut summed = Summed { source: &mut source, left: 9, sum: Cksum::default(), trailer: None };
        let mut all = Vec::new();
        assert!(summed.read_to_end(&mut all).is_err());
        assert_eq!(all, b"1234");
        let mut source = &b"123456789"[..];
        let mut summed = Summed { source: &mut source, left: 9, sum: Cksum::default(), trailer: None };
        let mut all = String::new();
        summed.read_to_string(&mut all).unwrap();
        assert_eq!(all, "123456789930766865 9\n");
    }
}
