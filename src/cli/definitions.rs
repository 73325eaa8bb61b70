//! Files for the Rhai language server.

use std::fs;
use std::path::Path;

use super::start::Start;
use crate::model::{Diagnosis, Fault};
use crate::script::Runner;

/// Writes the files into the directory, which is made if need be.
pub(super) fn run(dir: &Path, start: &Start) -> Result<u8, Diagnosis> {
    let runner = Runner::new(&start.session_without_hosts()?);
    let failed = |path: &Path, error: std::io::Error| {
        Fault::new("file_write", format!("cannot write {}", path.display())).because(error.to_string())
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let files = runner.definitions();
    for (name, text) in &files {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    start.say(&format!("{} files for the Rhai language server are in {}", files.len(), dir.display()));
    Ok(0)
}
