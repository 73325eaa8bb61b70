//! `kvmsh check`: reads scripts and says what is wrong, without running them.

use std::path::PathBuf;

use super::start::Start;
use super::{complain, source};
use crate::model::Diagnosis;
use crate::script::Runner;

pub(super) fn run(files: &[PathBuf], start: &Start) -> Result<u8, Diagnosis> {
    // What a script may call does not depend on the hosts: it is checked where there are none.
    let session = start.session_without_hosts()?;
    let runner = Runner::new(&session);
    let mut worst = 0;
    for file in files {
        let found = match source::file(file.as_os_str()) {
            Ok(source) => runner.check(&source),
            Err(fault) => vec![fault.into()],
        };
        if found.is_empty() && start.options.verbose > 0 {
            start.say(&format!("{}: nothing found", file.display()));
        }
        for diagnosis in &found {
            worst = worst.max(complain(diagnosis, &start.term));
        }
    }
    Ok(worst)
}
