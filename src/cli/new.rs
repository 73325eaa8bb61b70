//! `kvmsh new NAME`: a script to begin with.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::args::usage;
use super::start::Start;
use crate::model::{Diagnosis, Fault};

const SKELETON: &str = include_str!("new.rhai");

/// Writes the skeleton, and never over anything.
pub(super) fn run(path: &Path, start: &Start) -> Result<u8, Diagnosis> {
    let path = match path.extension() {
        Some(_) => path.to_owned(),
        None => PathBuf::from(format!("{}.rhai", path.display())),
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| usage(format!("{} is no name for a script", path.display())))?;
    write(&path, &SKELETON.replace("NAME.rhai", &name)).map_err(|error| {
        Fault::new("local_file", format!("cannot write {}", path.display())).because(error.to_string())
    })?;
    start.say(&format!("wrote {0}: kvmsh --plan {0} --help", path.display()));
    Ok(0)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?;
    file.write_all(text.as_bytes())
}
