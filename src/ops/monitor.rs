//! Guests at work: counters of all hosts, read again and again, as rates.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Domain, Host};
use crate::gate::Mode;
use crate::libvirt::Counters;
use crate::model::{
    Bytes, Cancel, Deed, Fault, GuestWork, HostWork, MigrateOptions, NodeMemory, Watched, Work,
};

/// How many processor figures are kept of a guest.
const HISTORY: usize = 60;

/// Moves a guest: `ops` leaves to the caller how that is asked for.
type Mover<'a> = dyn Fn(&Domain, &Host, &MigrateOptions) -> Result<(), Fault> + Sync + 'a;

/// Reads the counters of hosts in the background, each host by itself: one that does not answer holds up no other.
pub struct Monitor<'a> {
    hosts: Vec<Host>,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    mover: &'a Mover<'a>,
}

#[derive(Debug, Default)]
struct State {
    hosts: HashMap<String, Seen>,
    readings: u64,
}

/// What is known of a host.
#[derive(Debug, Default)]
struct Seen {
    down: Option<String>,
    known: bool,
    cpus: u32,
    cpu: Option<f64>,
    memory: Option<NodeMemory>,
    guests: Vec<GuestWork>,
}

impl<'a> Monitor<'a> {
    /// Begins to read these hosts, as often as `every`.
    pub fn start(hosts: Vec<Host>, every: Duration, mover: &'a Mover<'a>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(AtomicBool::new(false));
        for host in &hosts {
            let (host, state, stop) = (host.clone(), state.clone(), stop.clone());
            // A thread that cannot be had leaves its host unknown; the view says so.
            let _ = std::thread::Builder::new()
                .name("monitor".into())
                .spawn(move || read_on(&host, every, &state, &stop));
        }
        Self { hosts, state, stop, mover }
    }

    fn host(&self, name: &str) -> Result<&Host, Fault> {
        let found = self.hosts.iter().find(|host| host.name() == name);
        found.ok_or_else(|| Fault::new("unknown_host", format!("no host `{name}` is watched")))
    }
}

impl std::fmt::Debug for Monitor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").field("hosts", &self.hosts.len()).finish()
    }
}

impl Drop for Monitor<'_> {
    fn drop(&mut self) {
        // Nobody waits for them: one may hang in a call.
        self.stop.store(true, Ordering::Release);
    }
}

fn read_on(host: &Host, every: Duration, state: &Mutex<State>, stop: &AtomicBool) {
    let cancel: Cancel = host.session().cancel().clone();
    let mut last: HashMap<String, Last> = HashMap::new();
    let mut cpu: Option<(u64, u64)> = None;
    while !stop.load(Ordering::Acquire) && cancel.stopped().is_none() {
        let began = Instant::now();
        let seen = read(host, &mut last, &mut cpu);
        {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.readings += 1;
            let kept = state.hosts.entry(host.name().to_owned()).or_default();
            match seen {
                Ok(seen) => *kept = seen,
                // The guests' last figures would pass for new ones.
                Err(fault) => *kept = Seen { down: Some(fault.to_string()), known: true, ..Seen::default() },
            }
        }
        // In short naps, to end soon.
        while began.elapsed() < every && !stop.load(Ordering::Acquire) {
            if cancel.sleep(Duration::from_millis(50).min(every)).is_some() {
                return;
            }
        }
    }
}

/// A guest's counters at a time, and its history.
#[derive(Debug)]
struct Last {
    at: Instant,
    counters: Counters,
    history: Vec<f64>,
}

fn read(host: &Host, last: &mut HashMap<String, Last>, cpu: &mut Option<(u64, u64)>) -> Result<Seen, Fault> {
    let fault = |error: crate::libvirt::Error| Fault::from(error).on_host(host.name());
    let connection = host.stats_connection()?;
    let counters = connection.counters().map_err(fault)?;
    let at = Instant::now();
    let times = connection.cpu_times().map_err(fault)?;
    let busy = cpu.zip(times).and_then(|(before, now)| busy_between(before, now));
    *cpu = times;
    let mut kept = HashMap::new();
    let mut guests = Vec::with_capacity(counters.len());
    for counters in counters {
        let before = last.remove(&counters.row.uuid);
        let work = work_of(host.name(), &counters, before.as_ref(), at);
        let mut history = before.map(|last| last.history).unwrap_or_default();
        history.extend(work.cpu);
        history.drain(..history.len().saturating_sub(HISTORY));
        kept.insert(counters.row.uuid.clone(), Last { at, counters, history: history.clone() });
        guests.push(GuestWork { history, ..work });
    }
    *last = kept;
    let info = connection.node_info().map_err(fault)?;
    let memory = connection.memory().map_err(fault)?;
    Ok(Seen { down: None, known: true, cpus: info.cpus, cpu: busy, memory: Some(memory), guests })
}

/// Percent, of idle and total processor time before and now.
fn busy_between(before: (u64, u64), now: (u64, u64)) -> Option<f64> {
    let (idle, all) = (now.0.checked_sub(before.0)?, now.1.checked_sub(before.1)?);
    (all > 0).then(|| 100.0 * (1.0 - idle as f64 / all as f64))
}

/// What became of the counters since the last reading; a counter that went back began anew.
fn work_of(host: &str, now: &Counters, before: Option<&Last>, at: Instant) -> GuestWork {
    let seconds = before.map(|before| at.duration_since(before.at).as_secs_f64()).filter(|time| *time > 0.0);
    let per_second = |figure: fn(&Counters) -> Option<u64>| {
        let grown = figure(now)?.checked_sub(figure(&before?.counters)?)?;
        Some(grown as f64 / seconds?)
    };
    let bytes = |figure| per_second(figure).map(|rate| Bytes(rate.round() as u64));
    GuestWork {
        host: host.to_owned(),
        name: now.row.name.clone(),
        state: now.row.state,
        cpu: per_second(|c| c.row.cpu_time).filter(|_| now.row.state.is_active()).map(|ns| ns / 1e7),
        history: Vec::new(),
        memory: now.row.memory.filter(|_| now.row.state.is_active()),
        vcpus: now.row.vcpus,
        disk_read: bytes(|c| c.disk_read),
        disk_written: bytes(|c| c.disk_written),
        received: bytes(|c| c.received),
        sent: bytes(|c| c.sent),
    }
}

impl Watched for Monitor<'_> {
    fn now(&self) -> Work {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut work = Work { readings: state.readings, ..Work::default() };
        let nothing = Seen::default();
        for host in &self.hosts {
            let seen = state.hosts.get(host.name()).unwrap_or(&nothing);
            let memory = seen.memory;
            work.hosts.push(HostWork {
                name: host.name().to_owned(),
                down: seen.down.clone(),
                known: seen.known,
                cpu: seen.cpu,
                cpus: seen.cpus,
                used: memory.map_or(Bytes(0), |memory| memory.total.saturating_sub(memory.available)),
                memory: memory.map_or(Bytes(0), |memory| memory.total),
            });
            work.guests.extend(seen.guests.iter().cloned());
        }
        work
    }

    fn act(&self, host: &str, guest: &str, deed: &Deed) -> Result<String, Fault> {
        let domain = self.host(host)?.domain(guest)?;
        // In a plan nothing has happened yet.
        let planned = domain.host().session().gate().mode() == Mode::Plan;
        let told = |done: &str, plan: &str| match planned {
            true => format!("only planned: {plan} {guest}"),
            false => format!("{guest} {done}"),
        };
        match deed {
            Deed::Suspend => domain.suspend().map(|()| told("is paused", "suspend")),
            Deed::Resume => domain.resume().map(|()| told("runs again", "resume")),
            Deed::Console => {
                domain.console(None, false).map(|()| format!("back from the console of {guest}"))
            }
            Deed::Migrate(target) => {
                let target = domain.host().session().host(target)?;
                (self.mover)(&domain, &target, &MigrateOptions::default())?;
                Ok(match planned {
                    true => format!("only planned: move {guest} to {}", target.name()),
                    false => format!("{guest} has moved to {}", target.name()),
                })
            }
        }
    }

    fn targets(&self) -> Vec<String> {
        let of = |host: &Host| host.session().inventory().hosts.keys().cloned().collect();
        self.hosts.first().map(of).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DomainRow, DomainState};

    fn counters(cpu_time: u64, disk: u64) -> Counters {
        let row = DomainRow {
            name: "web".into(),
            uuid: "u".into(),
            state: DomainState::Running,
            max_memory: None,
            memory: Some(Bytes(1 << 20)),
            resident: None,
            vcpus: Some(2),
            cpu_time: Some(cpu_time),
        };
        Counters { row, disk_read: Some(disk), disk_written: None, received: Some(0), sent: Some(0) }
    }

    #[test]
    fn counters_become_rates_of_the_time_that_has_passed() {
        let at = Instant::now();
        let before = Last { at, counters: counters(1_000_000_000, 1000), history: Vec::new() };
        let now = counters(4_000_000_000, 5000);
        let work = work_of("h", &now, Some(&before), at + Duration::from_secs(2));
        assert_eq!(
            (work.cpu, work.disk_read, work.received),
            (Some(150.0), Some(Bytes(2000)), Some(Bytes(0)))
        );
        assert_eq!(work.disk_written, None);
    }

    #[test]
    fn a_first_reading_and_a_guest_that_began_anew_have_no_rates() {
        let at = Instant::now();
        assert_eq!(work_of("h", &counters(5, 5), None, at).cpu, None);
        let before = Last { at, counters: counters(9, 9), history: Vec::new() };
        let work = work_of("h", &counters(5, 5), Some(&before), at + Duration::from_secs(1));
        assert_eq!((work.cpu, work.disk_read), (None, None));
    }

    #[test]
    fn in_a_plan_nothing_is_told_to_have_happened() {
        use crate::gate::Journal;
        use crate::model::{Inventory, Silent};
        use crate::ops::{Session, Settings};
        let told = |mode| {
            let session = Session::new(Settings {
                inventory: Inventory::default(),
                select: Vec::new(),
                mode,
                journal: Journal::off(),
                assume_yes: false,
                progress: Arc::new(Silent),
                cancel: Cancel::new(),
                prompt: None,
            });
            let host = session.host("test:///default").unwrap();
            let name = host.name().to_owned();
            let mover = |_: &Domain, _: &Host, _: &MigrateOptions| Ok(());
            let monitor = Monitor::start(vec![host], Duration::from_secs(60), &mover);
            [Deed::Suspend, Deed::Resume, Deed::Migrate(name.clone())]
                .map(|deed| monitor.act(&name, "test", &deed).unwrap())
        };
        let planned = told(Mode::Plan);
        assert!(planned.iter().all(|text| text.starts_with("only planned: ")), "{planned:?}");
        assert_eq!(told(Mode::Apply)[0], "test is paused");
    }

    #[test]
    fn a_host_is_as_busy_as_it_is_not_idle() {
        assert_eq!(busy_between((100, 200), (150, 400)), Some(75.0));
        assert_eq!(busy_between((100, 200), (100, 200)), None);
        assert_eq!(busy_between((100, 200), (50, 300)), None);
    }
}
