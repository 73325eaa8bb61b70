//! Hosts as a table.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use rhai::Dynamic;

use super::tables::{all, number, text};
use crate::model::{Cell, Class, Fault, Table, Tone};
use crate::ops::Host;

const COLUMNS: [&str; 9] =
    ["name", "state", "running", "guests", "cpus", "memory", "available", "libvirt", "hypervisor"];

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
    let mut table = Table::with_columns(COLUMNS);
    let row = |(host, answer): (&Host, Option<Answer>)| {
        let state = match answer {
            Some(Ok(cells)) => return cells,
            None => Cell::State("no answer".into(), Tone::Warn),
            Some(Err(fault)) => match fault.class {
                // Who was not let finish has not seen whether it is down.
                Class::Interrupted => Cell::State("interrupted".into(), Tone::Warn),
                Class::TimedOut => Cell::State("timed out".into(), Tone::Warn),
                _ => Cell::State("down".into(), Tone::Bad),
            },
        };
        let mut row = vec![text(host.name()), state];
        row.resize(COLUMNS.len(), Cell::Nothing);
        row
    };
    table.rows = hosts.iter().zip(answers).map(row).collect();
    table
}
