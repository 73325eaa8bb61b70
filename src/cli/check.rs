//! `kvmsh check`: reads scripts and says what is wrong, without running them.

use std::path::{Path, PathBuf};

use super::start::Start;
use super::{complain, source};
use crate::model::{Cell, Class, Data, Diagnosis, Table};
use crate::script::Runner;
use crate::ui::Format;

pub(super) fn run(files: &[PathBuf], start: &Start) -> Result<u8, Diagnosis> {
    // What a script may call does not depend on the hosts; their names are looked up where there is an inventory.
    let runner = Runner::checker(&start.session_without_hosts()?);
    let hosts = start.session_if_readable()?;
    let plain = start.options.output == Format::Table;
    let mut worst = 0;
    let mut all = Table::with_columns(["file", "line", "column", "length", "code", "message", "hint"]);
    for file in files {
        let found = match source::file(file.as_os_str()) {
            Ok(source) => runner.check(&source, hosts.as_ref()),
            Err(fault) => vec![fault.into()],
        };
        if plain && found.is_empty() && start.options.verbose > 0 {
            start.say(&format!("{}: nothing found", file.display()));
        }
        for diagnosis in &found {
            // What is found in a script has failed, whatever class it would have when the script runs.
            let read = !diagnosis.places.is_empty();
            worst = worst.max(if read { Class::Failed } else { diagnosis.fault.class }.exit_code());
            if plain {
                complain(diagnosis, &start.term);
            } else {
                all.rows.push(row(file, diagnosis));
            }
        }
    }
    // The process ends: taking the engine apart, function by function, would only take time.
    std::mem::forget(runner);
    if !plain {
        start.show(&Data::Table(all))?;
    }
    Ok(worst)
}

/// A finding for programs: where it is, what it is, what to do.
fn row(file: &Path, diagnosis: &Diagnosis) -> Vec<Cell> {
    let fault = &diagnosis.fault;
    let place = diagnosis.places.first();
    let number = |number: Option<usize>| {
        number.and_then(|number| i64::try_from(number).ok()).map_or(Cell::Nothing, Cell::Number)
    };
    vec![
        Cell::Text(place.map_or_else(|| file.display().to_string(), |place| place.script.clone())),
        number(place.map(|place| place.line)),
        number(place.map(|place| place.column)),
        number(place.map(|place| place.length)),
        Cell::Text(fault.code.clone()),
        Cell::Text(fault.message.clone()),
        fault.hint.clone().map_or(Cell::Nothing, Cell::Text),
    ]
}
