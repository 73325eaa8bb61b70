//! The proof that a directory is the same storage on two hosts.
//!
//! libvirt takes a few network file systems as shared and refuses to migrate
//! over anything else. Where the admin vouches for a directory
//! (`[storage] shared`), kvmsh writes a random token on each host and reads it
//! on the other, and only then uses libvirt's unsafe flag.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Host;
use crate::gate::{Change, Mode, Outcome, Permit};
use crate::model::{Class, Fault, finishing};
use crate::ssh::{self, Command, Probe};

/// Directory and the two hosts, in the order of their names.
type Key = (PathBuf, String, String);

/// A proof, and when it was made; `None` while there is none.
type Slot = Arc<Mutex<Option<(Instant, Result<(), Fault>)>>>;

/// How long a proof holds: storage can be mounted and unmounted while a prompt is open.
const HOLDS: Duration = Duration::from_secs(60);

/// How long each step of a proof may take: a hung NFS server must not hold up everything.
const STEP: Duration = Duration::from_secs(20);

/// What has been proven lately.
#[derive(Debug, Default)]
pub(super) struct Proofs(Mutex<HashMap<Key, Slot>>);

impl Proofs {
    /// Proves that `dir` is the same storage on `a` and `b`, both ways. In a plan
    /// it only lists that it would.
    ///
    /// # Errors
    /// `not_shared` when one does not see what the other wrote.
    pub(super) fn prove(&self, dir: &Path, a: &Host, b: &Host) -> Result<(), Fault> {
        let mut names = [a.name().to_owned(), b.name().to_owned()];
        names.sort();
        let [first, second] = names;
        let slot = {
            let mut proofs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(proofs.entry((dir.to_owned(), first, second)).or_default())
        };
        // Held during the proof: the second guest of the same pair waits for the first one's.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, proof)) = slot.as_ref().filter(|(at, _)| at.elapsed() < HOLDS) {
            return proof.clone();
        }
        let proof = match both_ways(dir, a, b) {
            // A plan proves nothing.
            Ok(Outcome::Planned) => return Ok(()),
            Ok(Outcome::Done(())) => Ok(()),
            Err(fault) if fault.code == "not_shared" => Err(fault),
            // What could not be tried may be tried again.
            Err(fault) => return Err(fault),
        };
        *slot = Some((Instant::now(), proof.clone()));
        proof
    }
}

fn both_ways(dir: &Path, a: &Host, b: &Host) -> Result<Outcome<()>, Fault> {
    let change = Change::new(a.name(), "directory", &dir.display().to_string(), "prove sharing of")
        .detail(format!("with {}: a file written on each, read on the other, removed", b.name()))
        .passing();
    let gate = a.session().gate();
    if gate.mode() == Mode::Plan && gate.is_planned(&change) {
        // One proof serves all guests of a plan.
        return Ok(Outcome::Planned);
    }
    a.change(change, |permit| {
        one_way(dir, a, b, permit)?;
        one_way(dir, b, a, permit)
    })
}

fn one_way(dir: &Path, writer: &Host, reader: &Host, permit: &Permit) -> Result<(), Fault> {
    let path = dir.join(format!(".kvmsh-probe-{}", uuid::Uuid::new_v4())).display().to_string();
    let token = uuid::Uuid::new_v4().to_string();
    let on = |host: &Host, error: ssh::Error| Fault::from(error).on_host(host.name());
    // Created anew, never written over; synced, so that a client of a network file system has sent it.
    let script = r#"umask 077; set -C; printf %s "$2" >"$1" && sync -- "$1""#;
    let write = Command::argv(["sh", "-c", script, "kvmsh", &path, &token]).timeout(Some(STEP));
    let written = writer.shell().run(permit, &write).map_err(|error| on(writer, error)).and_then(|output| {
        if output.ok() {
            return Ok(());
        }
        let message = format!("cannot write to {} on {}", dir.display(), writer.name());
        Err(Fault::new("not_proven", message).on_host(writer.name()).because(output.error_text()))
    });
    let read = || reader.shell().probe(&Probe::argv("cat", ["--", &path]).timeout(STEP));
    let seen = written.and_then(|()| match read() {
        Ok(output) => Ok(output.ok() && output.stdout == token.as_bytes()),
        Err(error) => Err(on(reader, error)),
    });
    // Also after a stop: no file of ours stays behind.
    let remove = Command::argv(["rm", "-f", "--", &path]).timeout(Some(STEP));
    let removed = finishing(|| writer.shell().run(permit, &remove));
    if seen? {
        return removed.map(drop).map_err(|error| on(writer, error));
    }
    Err(Fault::new(
        "not_shared",
        format!(
            "{} is not the same storage on {} and {}: a file written on the one is not seen on the other",
            dir.display(),
            writer.name(),
            reader.name()
        ),
    )
    .class(Class::Refused)
    .on_host(reader.name())
    .hint("mount the same storage there, or take the directory out of [storage] shared in hosts.toml"))
}
