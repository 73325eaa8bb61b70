//! `kvmsh hosts test`: connects to all hosts at once and says what works.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::cli::start::Start;
use crate::cli::{complain, signals};
use crate::model::{Cell, Class, Data, Diagnosis, Fault, Table, Tone};
use crate::ops::{Host, HostCheck};

/// So many at a time: a connection is a process, and a few hundred at once are a load of their own.
const AT_ONCE: usize = 64;

pub(crate) fn test(names: &[String], start: &Start) -> Result<u8, Diagnosis> {
    let session = start.session()?;
    signals::watch(&start.cancel)?;
    if let Some(time) = start.options.timeout {
        signals::deadline(&start.cancel, time);
    }
    let hosts = session.hosts(names)?;
    if hosts.is_empty() {
        start.say("no hosts yet: add one with kvmsh hosts add NAME [user@]ADDRESS");
        return Ok(0);
    }
    let checks = each(&hosts, Host::check);
    let mut table = Table::with_columns(["host", "ssh", "libvirt", "latency"]);
    for (host, check) in &checks {
        table.rows.push(row(host.name(), check));
    }
    start.show(&Data::Table(table))?;

    let mut code = 0;
    for (host, check) in checks {
        for fault in faults(check) {
            complain(&fault.on_host(host.name()).into(), &start.term);
            code = Class::Connect.exit_code();
        }
    }
    Ok(start.cancel.stopped().map_or(code, |stop| stop.fault().class.exit_code()))
}

/// Asks all hosts at once; the slowest decides how long it takes. The order stays.
pub(super) fn each<T: Send>(hosts: &[Host], ask: impl Fn(&Host) -> T + Sync) -> Vec<(&Host, T)> {
    let waiting = Mutex::new(hosts.iter().enumerate().collect::<VecDeque<_>>());
    let done = Mutex::new(Vec::with_capacity(hosts.len()));
    let work = || {
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((at, host)) = next else { break };
            let answer = ask(host);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, host, answer));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..hosts.len().min(AT_ONCE) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, ..)| *at);
    done.into_iter().map(|(_, host, answer)| (host, answer)).collect()
}

fn row(name: &str, check: &HostCheck) -> Vec<Cell> {
    let (ssh, latency) = match &check.ssh {
        Ok(Some(time)) => (Cell::State("ok".to_owned(), Tone::Good), Cell::Text(milliseconds(*time))),
        Ok(None) => (Cell::State("local".to_owned(), Tone::Idle), Cell::Nothing),
        Err(fault) => (Cell::State(fault.code.clone(), Tone::Bad), Cell::Nothing),
    };
    let libvirt = match &check.libvirt {
        Ok(version) => Cell::State(version.clone(), Tone::Good),
        Err(fault) => Cell::State(fault.code.clone(), Tone::Bad),
    };
    vec![Cell::Text(name.to_owned()), ssh, libvirt, latency]
}

/// What is wrong, once: where SSH fails, libvirt over SSH fails for the same reason.
pub(super) fn faults(check: HostCheck) -> Vec<Fault> {
    match (check.ssh, check.libvirt) {
        (Err(ssh), Err(libvirt)) if ssh.code == libvirt.code => vec![ssh],
        (ssh, libvirt) => ssh.err().into_iter().chain(libvirt.err()).collect(),
    }
}

pub(super) fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}
