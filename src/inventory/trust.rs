//! What root may rely on: no file that somebody else could have written or put in its place. As OpenSSH's `StrictModes`,
//! but that a group may write to its files, and that in a sticky directory, such as /tmp, nobody can replace another's.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::model::{Class, Fault};

const EVERYBODY_WRITES: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Refuses to rely as root on a file that others could have changed, or on one in a directory where they could.
///
/// # Errors
/// `world_writable` and `not_ours` (both refused), with what to do.
pub fn trusted(path: &Path, file: &File) -> Result<(), Fault> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // A pipe, as in `kvmsh <(…)`, is nobody else's. Of the file that was opened, not of the path: that may change in between.
    let Some(meta) = file.metadata().ok().filter(Metadata::is_file) else { return Ok(()) };
    let ours = Ours::here();
    if let Some(flaw) = flaw(&meta, &ours.all) {
        return Err(flaw.of(&path.display().to_string(), path));
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for (height, dir) in real.ancestors().skip(1).enumerate() {
        let Ok(meta) = std::fs::metadata(dir) else { continue };
        // What belongs to nobody in this container is the machine's own.
        if Some(meta.uid()) == ours.unmapped {
            continue;
        }
        if let Some(flaw) = flaw(&meta, &ours.all) {
            let what = match height {
                0 => format!("the directory of {}", path.display()),
                _ => format!("{}, above {}", dir.display(), path.display()),
            };
            return Err(flaw.of(&what, dir));
        }
    }
    Ok(())
}

/// Who may have written what root relies on.
struct Ours {
    all: Vec<u32>,
    unmapped: Option<u32>,
}

impl Ours {
    /// Root; who became root by sudo; and who could replace kvmsh itself.
    fn here() -> Self {
        let mut all = vec![0];
        all.extend(std::env::var("SUDO_UID").ok().and_then(|text| text.parse::<u32>().ok()));
        all.extend(std::fs::metadata("/proc/self/exe").ok().map(|meta| meta.uid()));
        let unmapped = std::fs::read_to_string("/proc/sys/kernel/overflowuid").ok();
        Self { all, unmapped: unmapped.and_then(|text| text.trim().parse().ok()) }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Flaw {
    EverybodyWrites,
    BelongsTo(u32),
}

fn flaw(meta: &Metadata, ours: &[u32]) -> Option<Flaw> {
    flaw_of(meta.uid(), meta.mode(), meta.is_dir(), ours)
}

fn flaw_of(owner: u32, mode: u32, is_dir: bool, ours: &[u32]) -> Option<Flaw> {
    if !ours.contains(&owner) {
        return Some(Flaw::BelongsTo(owner));
    }
    let writable = mode & EVERYBODY_WRITES != 0 && !(is_dir && mode & STICKY != 0);
    writable.then_some(Flaw::EverybodyWrites)
}

impl Flaw {
    fn of(&self, what: &str, path: &Path) -> Fault {
        let path = path.display();
        let (code, message, hint) = match self {
            Self::EverybodyWrites => (
                "world_writable",
                format!("everybody may write to {what}, and kvmsh runs as root"),
                format!("chmod o-w {path}"),
            ),
            Self::BelongsTo(owner) => (
                "not_ours",
                format!("{what} belongs to the user with the id {owner}, and kvmsh runs as root"),
                format!("if nobody else is to change it: chown root {path}"),
            ),
        };
        Fault::new(code, message).class(Class::Refused).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_relies_on_nothing_that_others_can_change() {
        let (file, dir) = (
            |owner, mode| flaw_of(owner, mode, false, &[0, 7]),
            |owner, mode| flaw_of(owner, mode, true, &[0, 7]),
        );
        assert_eq!(
            (file(0, 0o644), file(0, 0o664), file(7, 0o600), dir(0, 0o1777), dir(0, 0o775)),
            (None, None, None, None, None)
        );
        assert_eq!(file(1000, 0o600), Some(Flaw::BelongsTo(1000)));
        assert_eq!(dir(1000, 0o1777), Some(Flaw::BelongsTo(1000)));
        assert_eq!(
            (file(0, 0o1646), dir(0, 0o777)),
            (Some(Flaw::EverybodyWrites), Some(Flaw::EverybodyWrites))
        );
    }
}
