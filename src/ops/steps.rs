//! What a script has done already: `once("step", f)` is not done again by the run that follows a killed one.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::{Class, Fault};

/// What was done longer ago than this is done again.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The steps that the runs of one script with the same arguments have done.
#[derive(Debug, Default)]
pub struct Steps {
    path: OnceLock<PathBuf>,
    done: Mutex<Option<Done>>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Done {
    script: String,
    since: Option<Timestamp>,
    steps: BTreeMap<String, Value>,
}

impl Steps {
    /// Says which script runs with which arguments; the first word stays.
    pub fn of(&self, state: &Path, script: &str, args: &[String]) {
        let place = fs::canonicalize(script).unwrap_or_else(|_| PathBuf::from(script));
        let mut hash = Sha256::new();
        for word in [place.to_string_lossy().as_ref()].into_iter().chain(args.iter().map(String::as_str)) {
            hash.update(word.as_bytes());
            hash.update([0]);
        }
        let name: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let _ = self.path.set(state.join("kvmsh/steps").join(format!("{name}.json")));
    }

    /// What a step has returned when it was done.
    pub fn done(&self, step: &str) -> Option<Value> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        self.load(&mut done).steps.get(step).cloned()
    }

    fn load<'a>(&self, done: &'a mut Option<Done>) -> &'a mut Done {
        done.get_or_insert_with(|| {
            let text = self.path.get().and_then(|path| fs::read(path).ok()).unwrap_or_default();
            let known: Done = serde_json::from_slice(&text).unwrap_or_default();
            let fresh = known.since.is_some_and(|since| {
                let age = Timestamp::now().duration_since(since);
                age < KEPT && age > -KEPT
            });
            if fresh { known } else { Done::default() }
        })
    }

    /// Writes down, durably, that a step is done.
    ///
    /// # Errors
    /// `steps`: it cannot be written; the script should end here, for the step would be done twice.
    pub fn finish(&self, step: &str, value: Value) -> Result<(), Fault> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.load(&mut done);
        all.since.get_or_insert_with(Timestamp::now);
        all.steps.insert(step.to_owned(), value);
        let Some(path) = self.path.get() else { return Ok(()) };
        let fail = |e: std::io::Error| {
            Fault::new(
                "steps",
                format!("the step {step} is done, and that cannot be written to {}", path.display()),
            )
            .because(e.to_string())
            .class(Class::Failed)
            .hint("free the disk")
        };
        let text = serde_json::to_vec(all).map_err(|e| fail(e.into()))?;
        write(path, &text).map_err(fail)
    }

    /// The script is through, or begins anew: all its steps are to be done the next time.
    pub fn forget(&self) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(path) = self.path.get() {
            let _ = fs::remove_file(path);
        }
    }
}

fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_outlive_the_run_and_belong_to_script_and_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let steps = |args: &[&str]| {
            let steps = Steps::default();
            steps.of(dir.path(), "x.rhai", &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
            steps
        };
        steps(&["a"]).finish("one", Value::from(7)).unwrap();
        assert_eq!((steps(&["a"]).done("one"), steps(&["b"]).done("one")), (Some(Value::from(7)), None));
        steps(&["a"]).forget();
        assert_eq!(steps(&["a"]).done("one"), None);
    }
}
