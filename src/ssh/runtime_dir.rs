//! A private directory for generated files, shared by kvmsh processes.
//!
//! A set of files lies in a directory named after a hash of their contents, so
//! that parallel kvmsh find the same files and never write over each other's.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::Kind;

/// A file to be kept: its name, contents and mode.
pub(super) type Entry<'a> = (&'a str, &'a str, u32);

/// `$XDG_RUNTIME_DIR/kvmsh`, or `kvmsh` in the cache directory where there is no runtime directory (cron).
pub(super) fn candidates() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    runtime.into_iter().chain(dirs::cache_dir()).map(|dir| dir.join("kvmsh")).collect()
}

/// Makes sure that `base` is ours alone, and that a directory in it holds exactly these files.
///
/// # Errors
/// [`Kind::RuntimeDir`] when it cannot be written, or others could change what is in it.
pub(super) fn keep(base: &Path, entries: &[Entry<'_>]) -> Result<PathBuf, Kind> {
    let fail = |why: String| Kind::RuntimeDir { path: base.display().to_string(), why };
    let io = |e: io::Error| fail(e.to_string());
    DirBuilder::new().recursive(true).mode(0o700).create(base).map_err(io)?;
    check_private(base).map_err(fail)?;

    let mut hasher = DefaultHasher::new();
    entries.hash(&mut hasher);
    let name = format!("ssh-{:016x}", hasher.finish());
    // The hash is not a cryptographic one: what is there is compared, and a name
    // that something else has taken is passed over.
    for round in 0..8 {
        let dir = base.join(if round == 0 { name.clone() } else { format!("{name}-{round}") });
        if holds(&dir, entries) {
            return Ok(dir);
        }
        if dir.symlink_metadata().is_ok() {
            continue;
        }
        match make(base, &dir, entries) {
            Ok(()) => return Ok(dir),
            // Another kvmsh was faster: look again.
            Err(_) if holds(&dir, entries) => return Ok(dir),
            Err(e) => return Err(io(e)),
        }
    }
    Err(fail("it is full of foreign files".to_owned()))
}

fn check_private(dir: &Path) -> Result<(), String> {
    let meta = fs::symlink_metadata(dir).map_err(|e| e.to_string())?;
    if !meta.is_dir() {
        return Err("it is not a directory".to_owned());
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(format!("it belongs to user {}", meta.uid()));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(format!("others may write to it (mode {:o})", meta.mode() & 0o7777));
    }
    Ok(())
}

fn holds(dir: &Path, entries: &[Entry<'_>]) -> bool {
    check_private(dir).is_ok()
        && entries.iter().all(|(name, contents, mode)| {
            let path = dir.join(name);
            fs::symlink_metadata(&path).is_ok_and(|m| m.is_file() && m.mode() & 0o7777 == *mode)
                && fs::read(&path).is_ok_and(|bytes| bytes == contents.as_bytes())
        })
}

/// Fills a temporary directory and renames it, so that nobody ever sees half of it.
fn make(base: &Path, dir: &Path, entries: &[Entry<'_>]) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = base.join(format!(".new-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&temporary);
    let result = (|| {
        DirBuilder::new().mode(0o700).create(&temporary)?;
        for (name, contents, mode) in entries {
            let path = temporary.join(name);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(*mode).open(path)?;
            file.write_all(contents.as_bytes())?;
            // The mode at creation is cut by the umask.
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(*mode))?;
        }
        fs::rename(&temporary, dir)
    })();
    if result.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_same_contents_get_the_same_directory_even_in_parallel() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("kvmsh");
        let dirs: Vec<PathBuf> = std::thread::scope(|s| {
            let threads: Vec<_> =
                (0..8).map(|_| s.spawn(|| keep(&base, &[("config", "a\n", 0o600)]).unwrap())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(dirs.iter().all(|dir| *dir == dirs[0]));
        assert_ne!(keep(&base, &[("config", "b\n", 0o600)]).unwrap(), dirs[0]);
        assert_eq!(fs::read_dir(&base).unwrap().count(), 2);
        assert_eq!(fs::metadata(&base).unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let kind = keep(base.path(), &[("config", "a\n", 0o600)]).unwrap_err();
        assert_eq!(kind.code(), "runtime_dir");
    }

    #[test]
    fn a_file_that_was_tampered_with_is_not_used() {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let entries = [("config", "a\n", 0o600)];
        let first = keep(base.path(), &entries).unwrap();
        fs::write(first.join("config"), "evil\n").unwrap();
        let second = keep(base.path(), &entries).unwrap();
        assert_ne!(first, second);
        assert_eq!(fs::read(second.join("config")).unwrap(), b"a\n");
    }
}
