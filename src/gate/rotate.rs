//! The journal's file: for its owner alone, and never larger or older than it should be.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use nix::fcntl::{Flock, FlockArg};

use crate::model::Bytes;

/// When a new file is begun, and how many old ones are kept.
struct Limits {
    size: u64,
    age: SignedDuration,
    keep: usize,
}

impl Limits {
    /// 16 MiB, 30 days, 24 files; `KVMSH_JOURNAL_SIZE`, `_AGE` and `_KEEP` say otherwise.
    fn from_environment() -> Self {
        let text = |name: &str| std::env::var(format!("KVMSH_JOURNAL_{name}")).ok();
        let size = text("SIZE").and_then(|text| text.parse::<Bytes>().ok());
        let age = text("AGE").and_then(|text| {
            let span = text.parse::<jiff::Span>().ok()?;
            span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()
        });
        Self {
            size: size.map_or(16 << 20, |size| size.0),
            age: age.unwrap_or(SignedDuration::from_hours(30 * 24)),
            keep: text("KEEP").and_then(|text| text.parse().ok()).unwrap_or(24),
        }
    }
}

/// Opens the journal for appending; an old or large one is put aside first.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    // What cannot be put aside goes on to grow: better than no journal.
    let _ = rotate(path, &Limits::from_environment());
    let is_new = !path.exists();
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if let Some(dir) = path.parent().filter(|_| is_new) {
        // A name is durable once its directory is.
        File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?.sync_all()?;
    }
    Ok(file)
}

fn is_due(path: &Path, limits: &Limits) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else { return false };
    if !meta.is_file() || meta.len() == 0 {
        return false;
    }
    meta.len() >= limits.size
        || first_time(path).is_some_and(|first| Timestamp::now().duration_since(first) >= limits.age)
}

/// When the first line was written.
fn first_time(path: &Path) -> Option<Timestamp> {
    let mut line = Vec::new();
    let file = File::open(path).ok()?;
    BufReader::new(io::Read::take(file, 1 << 20)).read_until(b'\n', &mut line).ok()?;
    serde_json::from_slice::<serde_json::Value>(&line).ok()?.get("time")?.as_str()?.parse().ok()
}

fn rotate(path: &Path, limits: &Limits) -> io::Result<()> {
    if !is_due(path, limits) {
        return Ok(());
    }
    // Of two that want to put it aside, the second finds a new one.
    let lock =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(beside(path, "lock"))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| io::Error::from(errno))?;
    if !is_due(path, limits) {
        return Ok(());
    }
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S%6fZ").to_string();
    fs::rename(path, beside(path, &stamp))?;
    let old = older(path);
    for file in old.iter().rev().skip(limits.keep) {
        fs::remove_file(file)?;
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{suffix}"));
    path.with_file_name(name)
}

/// The files that were put aside, the oldest first.
pub(super) fn older(path: &Path) -> Vec<PathBuf> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem =
        beside(path, "").file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let stamped = |name: &str| {
        name.strip_prefix(&stem).is_some_and(|stamp| {
            stamp.len() == 22 && stamp.ends_with('Z') && stamp.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| stamped(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_or_old_journal_is_put_aside_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.ndjson");
        let limits = Limits { size: 50, age: SignedDuration::from_hours(24), keep: 2 };
        let now = format!("{{\"time\":\"{}\"}}\n", Timestamp::now());
        fs::write(&path, &now).unwrap();
        rotate(&path, &limits).unwrap();
        assert!(older(&path).is_empty() && path.exists());
        for round in 0..4 {
            let text =
                if round % 2 == 0 { now.repeat(3) } else { "{\"time\":\"2026-01-01T00:00:00Z\"}\n".into() };
            fs::write(&path, text).unwrap();
            rotate(&path, &limits).unwrap();
            assert!(!path.exists());
        }
        assert_eq!(older(&path).len(), 2);
    }
}
