//! From guests and hosts to moves, and several moves at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};

use super::facts::{HostFacts, room};
use super::migrate::Move;
use super::preflight::{Rules, Subject, blockers, cpu_blockers, proofs};
use super::{Domain, Host, placement};
use crate::gate::Scope;
use crate::model::{Bytes, Fault, Guest, MigrateOptions, MigrateReport, Room, Unplaced};

/// A guest that goes nowhere.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// The guest.
    pub domain: Domain,
    /// Whether only memory is lacking.
    pub lacks_memory: bool,
    /// Every reason, each naming its host.
    pub reasons: Vec<Fault>,
}

/// Moves that can be made, and guests that cannot.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In the order in which they begin.
    pub moves: Vec<Move>,
    /// Guests without a place.
    pub blocked: Vec<Blocked>,
}

/// Decides where each of the guests of one host goes.
///
/// # Errors
/// Faults of the connections to the source. A target that cannot be reached is
/// a blocker for every guest, not an error, unless it is the only one.
pub fn plan(domains: &[Domain], targets: &[Host], options: &MigrateOptions) -> Result<Plan, Fault> {
    let Some(source) = domains.first().map(Domain::host) else { return Ok(Plan::default()) };
    let (domains, subjects) = gather(domains)?;
    let rules = Rules {
        vouched: source.session().inventory().shared.clone(),
        copy_storage: options.copy_storage,
        rename: options.rename.clone(),
    };
    // Every host is asked at once: the slowest one decides, not their sum.
    let (here, asked) = std::thread::scope(|scope| {
        let asked: Vec<_> =
            targets.iter().map(|target| scope.spawn(|| ask_target(target, &subjects))).collect();
        let here = HostFacts::gather(source, &subjects);
        let joined: Vec<_> =
            asked.into_iter().map(|asked| asked.join().unwrap_or_else(|_| Err(defect()))).collect();
        (here, joined)
    });
    let mut here = here?;
    let (facts, rooms): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .zip(targets)
        .map(|(answer, target)| match answer {
            Ok((fact, room)) => (Ok(fact), room),
            Err(fault) => (Err(fault), nowhere(target)),
        })
        .unzip();
    let facts = only_once(facts);
    if let [Err(fault)] = facts.as_slice() {
        return Err(fault.clone());
    }
    here.resolve(source, facts.iter().flatten().map(|fact| fact.hostname.as_str()));
    let cpu = all_cpu_blockers(&subjects, &here, &facts, targets);
    let guests: Vec<Guest> = subjects
        .iter()
        .enumerate()
        .map(|(at, subject)| Guest {
            name: subject.name.clone(),
            memory: subject.demand(),
            vcpus: if subject.is_live() { subject.vcpus } else { 0 },
            blockers: facts
                .iter()
                .enumerate()
                .map(|(host, fact)| match fact {
                    Ok(fact) => {
                        let mut found = blockers(subject, &here, fact, &rules);
                        found.extend(cpu[host][at].iter().cloned());
                        found
                    }
                    Err(fault) => vec![fault.clone()],
                })
                .collect(),
        })
        .collect();
    let placement = placement::place(&guests, &rooms);
    let mut moves: Vec<Move> = placement
        .assigned
        .into_iter()
        .map(|assignment| {
            let subject = &subjects[assignment.guest];
            let target = &targets[assignment.host];
            let there = facts[assignment.host].as_ref().ok();
            let (proofs, vouched) =
                there.map(|there| proofs(subject, &here, there, &rules)).unwrap_or_default();
            let hostname =
                facts[assignment.host].as_ref().map(|fact| fact.hostname.as_str()).unwrap_or_default();
            Move {
                domain: domains[assignment.guest].clone(),
                target: target.clone(),
                why: assignment.why,
                live: subject.is_live(),
                persistent: subject.persistent,
                memory: subject.memory,
                autostart: subject.autostart,
                demand: subject.demand(),
                proofs,
                vouched,
                copy_storage: rules.copy_storage,
                resolvable: here.resolved.contains(hostname),
            }
        })
        .collect();
    // The large ones first, so that no long tail of one remains; definitions last.
    moves.sort_by(|a, b| (b.live, b.memory, a.domain.name()).cmp(&(a.live, a.memory, b.domain.name())));
    let blocked = placement.unplaced.into_iter().map(|unplaced: Unplaced| Blocked {
        domain: domains[unplaced.guest].clone(),
        lacks_memory: unplaced.lacks_memory,
        reasons: unplaced.reasons,
    });
    Ok(Plan { moves, blocked: blocked.collect() })
}

/// What is to be known of the guests; one that has vanished meanwhile is left out.
fn gather(domains: &[Domain]) -> Result<(Vec<Domain>, Vec<Subject>), Fault> {
    // A daemon serves 5 requests of a client at a time; one stays free.
    const AT_ONCE: usize = 4;
    let mut kept = (Vec::new(), Vec::new());
    for some in domains.chunks(AT_ONCE) {
        let asked: Vec<Result<Subject, Fault>> = std::thread::scope(|scope| {
            let asked: Vec<_> = some.iter().map(|domain| scope.spawn(|| Subject::of(domain))).collect();
            asked.into_iter().map(|asked| asked.join().unwrap_or_else(|_| Err(defect()))).collect()
        });
        for (domain, subject) in some.iter().zip(asked) {
            match subject {
                Ok(subject) => {
                    kept.0.push(domain.clone());
                    kept.1.push(subject);
                }
                Err(fault) if fault.code == "no_domain" && domains.len() > 1 => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(kept)
}

/// A host that is listed twice, under one name or two, has its memory only once.
fn only_once(facts: Vec<Result<HostFacts, Fault>>) -> Vec<Result<HostFacts, Fault>> {
    let mut seen: HashMap<String, String> = HashMap::new();
    let once = |fact: Result<HostFacts, Fault>| {
        let fact = fact?;
        let id = if fact.uuid.is_empty() { fact.name.clone() } else { fact.uuid.clone() };
        match seen.insert(id, fact.name.clone()) {
            None => Ok(fact),
            Some(first) => {
                Err(Fault::new("same_host", format!("{} is the host {first} once more", fact.name))
                    .class(crate::model::Class::Refused)
                    .on_host(fact.name))
            }
        }
    };
    facts.into_iter().map(once).collect()
}

fn defect() -> Fault {
    Fault::new("defect", "a thread of kvmsh ended badly")
}

fn ask_target(target: &Host, subjects: &[Subject]) -> Result<(HostFacts, Room), Fault> {
    let promised = target.session().memory().promised(target);
    Ok((HostFacts::gather(target, subjects)?, room(target, &promised)?))
}

fn nowhere(target: &Host) -> Room {
    Room {
        name: target.name().to_owned(),
        free: Default::default(),
        total: Default::default(),
        cpus: 0,
        vcpus: 0,
    }
}

/// Per target and guest; guests with the same CPU are asked about once.
fn all_cpu_blockers(
    subjects: &[Subject],
    here: &HostFacts,
    facts: &[Result<HostFacts, Fault>],
    targets: &[Host],
) -> Vec<Vec<Vec<Fault>>> {
    facts
        .iter()
        .zip(targets)
        .map(|(fact, target)| {
            let mut known: HashMap<(String, String), bool> = HashMap::new();
            subjects
                .iter()
                .map(|subject| {
                    let Ok(fact) = fact else { return Vec::new() };
                    let key = (subject.hardware.cpu_xml.clone(), subject.hardware.machine.clone());
                    if known.get(&key) == Some(&true) {
                        return Vec::new();
                    }
                    let found = cpu_blockers(subject, here, fact, target).unwrap_or_else(|fault| vec![fault]);
                    known.insert(key, found.is_empty());
                    found
                })
                .collect()
        })
        .collect()
}

/// How many guests move at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In all.
    pub parallel: usize,
    /// The memory of all that are under way, if that is limited; one always moves.
    pub in_flight: Option<Bytes>,
}

/// Eight at a time, as vSphere allows on a 10 Gb/s link, and no more than 16 GiB
/// under way: idle small guests fill each other's pauses, while large ones would
/// only share the same link, and those that write would never get done.
impl Default for Limits {
    fn default() -> Self {
        Self { parallel: 8, in_flight: Some(Bytes(16 << 30)) }
    }
}

/// Moves that wait, and what is under way.
struct Queue<'a> {
    moves: &'a [Move],
    limits: Limits,
    state: Mutex<(VecDeque<usize>, Bytes, usize)>,
    freed: Condvar,
}

impl Queue<'_> {
    fn weight(&self, at: usize) -> Bytes {
        if self.moves[at].live { self.moves[at].memory } else { Bytes::default() }
    }

    /// The next move that may begin; waits until there is room for it.
    fn next(&self) -> Option<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let at = *state.0.front()?;
            let sum = state.1.saturating_add(self.weight(at));
            if state.2 == 0 || self.limits.in_flight.is_none_or(|limit| sum <= limit) {
                state.0.pop_front();
                state.1 = sum;
                state.2 += 1;
                return Some(at);
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, at: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = state.1.saturating_sub(self.weight(at));
        state.2 -= 1;
        self.freed.notify_all();
    }
}

/// Makes the moves, several at a time. One that fails never stops the others;
/// a stop lets none begin any more and waits for those under way.
///
/// Returns what became of each, in the order of `moves`; in a plan nothing.
pub fn run(moves: &[Move], options: &MigrateOptions, limits: Limits) -> Vec<MigrateReport> {
    let waiting = (0..moves.len()).collect();
    if let Err(fault) = lease_hosts(moves) {
        return moves.iter().map(|one| not_begun(one, fault.clone())).collect();
    }
    let queue =
        Queue { moves, limits, state: Mutex::new((waiting, Bytes::default(), 0)), freed: Condvar::new() };
    let reports: Mutex<Vec<Option<MigrateReport>>> = Mutex::new(vec![None; moves.len()]);
    let scope_of_work = Scope::current();
    let work = || {
        while let Some(at) = queue.next() {
            let report = run_one(&moves[at], options);
            queue.done(at);
            reports.lock().unwrap_or_else(PoisonError::into_inner)[at] = report;
        }
    };
    // In a plan nothing takes time, and the order of the changes is worth more.
    let planning =
        moves.first().is_some_and(|one| one.domain.host().session().gate().mode() == crate::gate::Mode::Plan);
    let workers = if planning { 1 } else { limits.parallel.clamp(1, moves.len().max(1)) };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| scope_of_work.enter(work));
        }
    });
    reports.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

/// Both ends of all moves, before the first begins: nobody is left half-way for want of a lease.
fn lease_hosts(moves: &[Move]) -> Result<(), Fault> {
    let mut hosts: Vec<&Host> = moves.iter().flat_map(|one| [one.domain.host(), &one.target]).collect();
    hosts.sort_by_key(|host| host.name());
    hosts.dedup_by_key(|host| host.name());
    Host::lease_all(&hosts)
}

/// On how many hosts connections for migrations are opened ahead; on more it
/// would cost log-ins that may never be used.
const AHEAD: usize = 4;

/// Opens the connections to these hosts, all at once instead of one after the
/// other. What fails here fails again, and is reported, where it is needed.
pub fn connect(hosts: &[Host]) {
    std::thread::scope(|scope| {
        for host in hosts {
            scope.spawn(|| drop(host.connection()));
            scope.spawn(|| drop(host.shell().connect()));
        }
    });
}

/// Begins to open the connections for so many migrations at a time off the
/// first host, and does not wait for them.
pub fn expect_migrations(hosts: &[Host], at_a_time: usize) {
    // Without a thread it is opened later, by whoever needs it.
    let begin = |open: Box<dyn FnOnce() + Send>| drop(std::thread::Builder::new().spawn(open));
    for (at, host) in hosts.iter().enumerate() {
        let source = host.clone();
        if at == 0 {
            begin(Box::new(move || drop(source.stats_connection())));
        } else if hosts.len() > AHEAD {
            break;
        }
        for _ in 0..at_a_time {
            let host = host.clone();
            begin(Box::new(move || drop(host.migration_place())));
        }
    }
}

fn run_one(one: &Move, options: &MigrateOptions) -> Option<MigrateReport> {
    let session = one.domain.host().session();
    let planning = session.gate().mode() == crate::gate::Mode::Plan;
    let task: Box<dyn crate::model::Task> =
        if planning { Box::new(crate::model::Silent) } else { session.progress().task(one.domain.name()) };
    match one.run(options, task.as_ref()) {
        Ok(report) => report,
        Err(fault) => {
            let source = one.domain.host();
            let fault = fault.on_host(source.name()).on_object("domain", one.domain.name());
            task.finish(false, &crate::model::Step { note: fault.to_string(), ..Default::default() });
            Some(not_begun(one, fault))
        }
    }
}

fn not_begun(one: &Move, fault: Fault) -> MigrateReport {
    MigrateReport {
        domain: one.domain.name().to_owned(),
        source: one.domain.host().name().to_owned(),
        target: one.target.name().to_owned(),
        verdict: crate::model::Verdict::Stayed,
        live: one.live,
        elapsed: Default::default(),
        bytes: Default::default(),
        downtime: None,
        error: Some(fault),
    }
}
