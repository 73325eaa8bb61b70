//! Hosts as a table.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use rhai::Dynamic;

use super::tables::{all, number, text};
use crate::model::{Cell, Class, Fault, Table, Tone};
use crate::ops::Host;

const COLUMNS: [&str; 10] =
    ["name", "state", "running", "guests", "cpus", "memory", "available", "libvirt", "hypervisor", "why"];

/// Where there is room for few.
const KEPT: &[&str] = &["name", "state", "running", "available", "why", "guests", "memory", "cpus"];

type Answer = Result<Vec<Cell>, Fault>;

fn ask(host: &Host) -> Answer {
    let versions = host.versions()?;
    let rows = host.domain_rows()?;
    let memory = host.memory()?;
    Ok(vec![
        text(host.name()),
        Cell::State("up".into(), Tone::Good),
        number(rows.iter().filter(|row| row.state.is_running()).count() as u64),
        number(rows.len() as u64),
        number(host.node_info()?.cpus.into()),
        Cell::Bytes(memory.total),
        Cell::Bytes(memory.available),
        text(versions.libvirt),
        text(format!("{} {}", versions.driver, versions.hypervisor)),
        Cell::Nothing,
    ])
}

/// Asks all hosts at once; one that is down costs its own row only.
pub(super) fn table(hosts: &[Host]) -> Table {
    let answers = std::thread::scope(|scope| {
        let asked: Vec<_> = hosts.iter().map(|host| scope.spawn(|| ask(host))).collect();
        let gone = |_| Err(Fault::new("defect", "a thread has ended"));
        asked.into_iter().map(|asked| Some(asked.join().unwrap_or_else(gone))).collect()
    });
    rows(hosts, answers)
}

/// A list is short: why a host is down is told where one alone is shown, and by `:hosts`.
pub(super) fn without_why(mut table: Table) -> Table {
    table.columns.truncate(COLUMNS.len() - 1);
    table.rows.iter_mut().for_each(|row| row.truncate(COLUMNS.len() - 1));
    table
}

/// The same, of an array of hosts, without those that have not answered in time; they are asked to the end, so that
/// who asks again may have luck.
pub(super) fn within(items: &[Dynamic], patience: Duration) -> Option<Table> {
    let hosts = all::<Host>(items).filter(|hosts| !hosts.is_empty())?;
    let (tell, told) = mpsc::channel();
    for (at, host) in hosts.iter().cloned().enumerate() {
        let tell = tell.clone();
        let work = move || {
            // Who has stopped waiting is told nothing.
            let _ = tell.send((at, ask(&host)));
        };
        // Without a thread there is no answer.
        let _ = std::thread::Builder::new().name("hosts".into()).spawn(work);
    }
    drop(tell);
    let until = Instant::now() + patience;
    let mut answers: Vec<Option<Answer>> = hosts.iter().map(|_| None).collect();
    while let Ok((at, answer)) = told.recv_timeout(until.saturating_duration_since(Instant::now())) {
        answers[at] = Some(answer);
    }
    Some(rows(&hosts, answers))
}

fn rows(hosts: &[Host], answers: Vec<Option<Answer>>) -> Table {
    let mut table = Table::with_columns(COLUMNS).with_last_kept(KEPT);
    let row = |(host, answer): (&Host, Option<Answer>)| {
        let (state, why) = match answer {
            Some(Ok(cells)) => return cells,
            None => {
                let why = "it has not answered yet; ask again in a while".to_owned();
                (Cell::State("no answer".into(), Tone::Warn), why)
            }
            Some(Err(fault)) => {
                let state = match fault.class {
                    // Who was not let finish has not seen whether it is down.
                    Class::Interrupted => Cell::State("interrupted".into(), Tone::Warn),
                    Class::TimedOut => Cell::State("timed out".into(), Tone::Warn),
                    _ => Cell::State("down".into(), Tone::Bad),
                };
                (state, fault.to_string())
            }
        };
        let mut row = vec![text(host.name()), state];
        row.resize(COLUMNS.len() - 1, Cell::Nothing);
        row.push(text(why));
        row
    };
    table.rows = hosts.iter().zip(answers).map(row).collect();
    table
}
