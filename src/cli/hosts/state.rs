//! `kvmsh hosts`: whether the hosts answer, who changes them, and which are cordoned.

use super::test::each;
use crate::cli::signals;
use crate::cli::start::Start;
use crate::model::{Cell, Data, Diagnosis, Fault, Table, Tone};
use crate::ops::{Host, Marks};

/// What is to be told of a host.
struct State {
    guests: Result<(usize, usize), Fault>,
    marks: Result<Marks, Fault>,
}

pub(crate) fn state(start: &Start) -> Result<u8, Diagnosis> {
    let session = start.session()?;
    signals::watch(&start.cancel)?;
    if let Some(time) = start.options.timeout {
        signals::deadline(&start.cancel, time);
    }
    let hosts = session.hosts(&[])?;
    if hosts.is_empty() {
        start.say("no hosts yet: add one with kvmsh hosts add NAME [user@]ADDRESS");
        return Ok(0);
    }
    let mut table = Table::with_columns(["host", "state", "running", "guests", "lease", "cordon"]);
    let mut code = 0;
    for (host, state) in each(&hosts, look) {
        if state.guests.is_err() {
            code = crate::model::Class::Connect.exit_code();
        }
        table.rows.push(row(host.name(), state));
    }
    start.show(&Data::Table(table))?;
    Ok(start.cancel.stopped().map_or(code, |stop| stop.fault().class.exit_code()))
}

/// libvirt and the shell at the same time: two log-ins, one wait.
fn look(host: &Host) -> State {
    std::thread::scope(|scope| {
        let marks = scope.spawn(|| host.marks());
        let guests = host.domain_rows();
        let marks =
            marks.join().unwrap_or_else(|_| Err(Fault::new("defect", "a thread of kvmsh ended badly")));
        let count = |rows: Vec<crate::model::DomainRow>| {
            (rows.iter().filter(|row| row.state.is_active()).count(), rows.len())
        };
        State { guests: guests.map(count), marks }
    })
}

fn row(name: &str, state: State) -> Vec<Cell> {
    let number = |number: usize| Cell::Number(i64::try_from(number).unwrap_or(i64::MAX));
    let bad = |fault: &Fault| Cell::State(fault.code.clone(), Tone::Bad);
    let mut row = vec![Cell::Text(name.to_owned())];
    row.extend(match &state.guests {
        Ok((running, all)) => [Cell::State("up".to_owned(), Tone::Good), number(*running), number(*all)],
        Err(fault) => [bad(fault), Cell::Nothing, Cell::Nothing],
    });
    row.extend(match state.marks {
        Ok(marks) => {
            let lease = match (marks.lease, marks.ended) {
                (Some(lease), _) => Cell::State(lease.sentence(), Tone::Warn),
                (None, Some(holder)) => Cell::State(format!("left behind by {holder}"), Tone::Idle),
                (None, None) => Cell::Nothing,
            };
            let cordon = marks.cordon.map(|cordon| Cell::State(cordon.sentence(), Tone::Warn));
            [lease, cordon.unwrap_or(Cell::Nothing)]
        }
        // Said once is enough.
        Err(_) if state.guests.is_err() => [Cell::Nothing, Cell::Nothing],
        Err(fault) => [bad(&fault), Cell::Nothing],
    });
    row
}
