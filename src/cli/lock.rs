//! `--lock NAME`: one run at a time on this machine.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::args::usage;
use super::start::Start;
use crate::model::{Class, Fault};

/// How often somebody else's lock is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Held as long as it lives, and not longer than the process: the kernel lets go of it.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "it is held, not used")] Flock<File>);

/// A name that is a file's as well.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 64 || text.starts_with('.') || !text.chars().all(fits) {
        return Err("a name has letters, digits, `-`, `_` and `.`, at most 64".to_owned());
    }
    Ok(text.to_owned())
}

/// Takes the lock that was asked for, if one was.
///
/// # Errors
/// `locked` (refused): another run has it.
pub(super) fn take(start: &Start, script: &str) -> Result<Option<Lock>, Fault> {
    let Some(name) = &start.options.lock else { return Ok(None) };
    let state = dirs::state_dir().ok_or_else(|| {
        usage("there is no home directory to keep locks in").hint("set HOME or XDG_STATE_HOME")
    })?;
    let path = state.join("kvmsh/locks").join(format!("{name}.lock"));
    let fail = |e: std::io::Error| {
        Fault::new("lock", format!("cannot lock {}", path.display()))
            .because(e.to_string())
            .class(Class::Refused)
    };
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
    }
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = open.map_err(fail)?;
    let patience = start.options.wait.unwrap_or_default();
    let began = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // Who it is helps, and its absence does not matter.
                let who = format!(
                    "process {}, {script}, since {}",
                    std::process::id(),
                    jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S")
                );
                let _ = lock
                    .set_len(0)
                    .and_then(|()| lock.rewind())
                    .and_then(|()| lock.write_all(who.as_bytes()));
                return Ok(Some(Lock(lock)));
            }
            Err((mut other, Errno::EWOULDBLOCK)) if began.elapsed() >= patience => {
                let mut who = String::new();
                let _ = other.rewind().and_then(|()| other.read_to_string(&mut who));
                let who = if who.is_empty() { "another run" } else { &who };
                return Err(Fault::new("locked", format!("the lock {name} is held by {who}"))
                    .class(Class::Refused)
                    .hint("let it end, or wait for it: --wait 10m"));
            }
            Err((other, Errno::EWOULDBLOCK)) => file = other,
            Err((_, errno)) => return Err(fail(errno.into())),
        }
        if let Some(stop) = start.cancel.sleep(LOOK_AGAIN) {
            return Err(stop.fault());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(name("nightly-2.x_y").is_ok());
        for bad in ["", ".", "..", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
