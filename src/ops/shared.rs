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
use crate::gate::{Change, Outcome};
use crate::model::{Class, Fault, finishing};
use crate::ssh::{Command, WriteOptions};

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
        let proof = one_way(dir, a, b).and_then(|()| one_way(dir, b, a));
        // What could not be tried may be tried again; a disproof stands.
        if proof.as_ref().is_ok_and(|()| true) || proof.as_ref().is_err_and(|f| f.code == "not_shared") {
            proofs.insert(key, proof.clone());
        }
        proof
    }
}

/// How long the removal of a token may take.
const CLEAR: Duration = Duration::from_secs(10);

fn one_way(dir: &Path, writer: &Host, reader: &Host) -> Result<(), Fault> {
    let id = uuid::Uuid::new_v4();
    let path = dir.join(format!(".kvmsh-probe-{id}")).display().to_string();
    let token = uuid::Uuid::new_v4().to_string();
    let change = Change::new(writer.name(), "file", &path, "prove sharing")
        .detail(format!("written here, read on {}, removed", reader.name()));
    let outcome = writer.change(change, |permit| -> Result<bool, Fault> {
        writer.shell().write(permit, &path, token.as_bytes(), &WriteOptions::default())?;
        let seen = match reader.shell().exists(&path) {
            Ok(Some(_)) => reader.shell().read(&path, 1024).map(|bytes| bytes == token.as_bytes()),
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        let remove = Command::argv(["rm", "-f", "--", &path]).timeout(Some(CLEAR));
        let removed = finishing(|| writer.shell().run(permit, &remove));
        let seen = seen?;
        removed?;
        Ok(seen)
    })?;
    match outcome {
        Outcome::Done(true) | Outcome::Planned => Ok(()),
        Outcome::Done(false) => Err(Fault::new(
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
        .hint("mount the same storage there, or take the directory out of [storage] shared in hosts.toml")),
    }
}
