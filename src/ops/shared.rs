//! The proof that a directory is the same storage on two hosts.
//!
//! libvirt takes a few network file systems as shared and refuses to migrate
//! over anything else. Where the admin vouches for a directory
//! (`[storage] shared`), kvmsh writes a random token on each host and reads it
//! on the other, and only then uses libvirt's unsafe flag.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Host;
use crate::gate::{Change, Permit};
use crate::model::{Class, Fault, finishing};
use crate::ssh::{self, Command, WriteOptions};

/// Directory and the two hosts, in the order of their names.
type Key = (PathBuf, String, String);

/// What has been proven in this run.
#[derive(Debug, Default)]
pub(super) struct Proofs(Mutex<HashMap<Key, Result<(), Fault>>>);

impl Proofs {
    /// Proves that `dir` is the same storage on `a` and `b`, both ways; once per run.
    ///
    /// # Errors
    /// `not_shared` when one does not see what the other wrote.
    pub(super) fn prove(&self, dir: &Path, a: &Host, b: &Host) -> Result<(), Fault> {
        let mut names = [a.name().to_owned(), b.name().to_owned()];
        names.sort();
        let [first, second] = names;
        let key = (dir.to_owned(), first, second);
        // Held during the proof: the second guest of the same pair waits for the first one's.
        let mut proofs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(proof) = proofs.get(&key) {
            return proof.clone();
        }
        let proof = both_ways(dir, a, b);
        // What could not be tried may be tried again; a disproof stands.
        if proof.as_ref().err().is_none_or(|fault| fault.code == "not_shared") {
            proofs.insert(key, proof.clone());
        }
        proof
    }
}

/// How long the removal of a token may take.
const CLEAR: Duration = Duration::from_secs(10);

fn both_ways(dir: &Path, a: &Host, b: &Host) -> Result<(), Fault> {
    let change = Change::new(a.name(), "directory", &dir.display().to_string(), "prove sharing of")
        .detail(format!("with {}: a file written on each, read on the other, removed", b.name()));
    a.change(change, |permit| {
        one_way(dir, a, b, permit)?;
        one_way(dir, b, a, permit)
    })
    .map(drop)
}

fn one_way(dir: &Path, writer: &Host, reader: &Host, permit: &Permit) -> Result<(), Fault> {
    let path = dir.join(format!(".kvmsh-probe-{}", uuid::Uuid::new_v4())).display().to_string();
    let token = uuid::Uuid::new_v4().to_string();
    let on = |host: &Host, error: ssh::Error| Fault::from(error).on_host(host.name());
    let written = writer.shell().write(permit, &path, token.as_bytes(), &WriteOptions::default());
    let seen =
        written.map_err(|error| on(writer, error)).and_then(|_| match reader.shell().read(&path, 1024) {
            Ok(bytes) => Ok(bytes == token.as_bytes()),
            Err(error) if error.kind.code() == "no_such_file" => Ok(false),
            Err(error) => Err(on(reader, error)),
        });
    // Also after a stop: no file of ours stays behind.
    let remove = Command::argv(["rm", "-f", "--", &path]).timeout(Some(CLEAR));
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
