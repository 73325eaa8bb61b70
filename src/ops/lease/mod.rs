//! Leases and cordons: kvmsh's marks on the hosts themselves.
//!
//! Whoever changes a host holds a lease on it from the first change to the end
//! of the run (at the prompt: of the line), so that two operators, on one
//! controller or on two, do not pull at the same guests. The lease lies on the
//! host, is taken under a lock there, counts the host's own time since its
//! boot, and ends by itself when nobody renews it. A host without a shell of
//! its own (`test:///`) has none.

mod marks;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::Host;
use crate::gate::{Change, Mode, Outcome, Permit};
use crate::model::{Class, Fault, clearing, finishing};
use crate::ssh::{Command, Kind, Shell};

use marks::{Answer, Process};
pub use marks::{Cordon, Lease, Marks};

/// How long a lease counts without being renewed: longer than a daemon or a network may stumble, shorter than the
/// patience of whoever waits for a dead holder's. `KVMSH_LEASE_TTL` says otherwise.
fn ttl() -> u64 {
    static TTL: OnceLock<u64> = OnceLock::new();
    *TTL.get_or_init(|| {
        let text = std::env::var("KVMSH_LEASE_TTL").ok();
        text.and_then(|text| text.parse().ok()).unwrap_or(60).clamp(4, 3600)
    })
}

/// How often it is renewed: every 15 s.
fn renew_after() -> Duration {
    Duration::from_secs(ttl()) / 4
}

/// How old the last word from the host may be when the next change is made, 40 s; after that the host is asked first.
fn is_stale(confirmed: f64) -> bool {
    uptime() - confirmed >= Duration::from_secs(ttl()).as_secs_f64() * 2.0 / 3.0
}

/// How long one step may take on the host.
const STEP: Duration = Duration::from_secs(30);

/// How long giving one back may take: what is not given back in time ends by itself.
const GIVE_BACK: Duration = Duration::from_secs(5);

/// How long between two looks whether somebody else's lease has ended.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) const SCRIPT: &str = include_str!("lease.sh");

/// What a run says of itself, and how long it waits.
#[derive(Debug, Clone, Default)]
pub struct Purpose {
    /// Who.
    pub user: String,
    /// What is done: a script's name, `-c`, `prompt`.
    pub text: String,
    /// How long somebody else's lease is waited for.
    pub wait: Duration,
}

/// The leases of a run.
#[derive(Debug)]
pub struct Leases {
    run: String,
    purpose: OnceLock<Purpose>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    hosts: Mutex<HashMap<String, Arc<Mutex<Held>>>>,
    /// How often all were given back: the thread that renews ends when it changes.
    round: Mutex<u64>,
    over: Condvar,
    /// The round for which a thread renews.
    renewing: Mutex<Option<u64>>,
}

/// What is held on one host.
#[derive(Debug, Default)]
enum Held {
    /// Nothing yet.
    #[default]
    Nothing,
    /// A lease, when the host last confirmed it, in which boot of the host it was taken, and the way to it.
    Lease(f64, String, Shell),
    /// It was asked for, and the answer did not come: the host may have given it all the same.
    Asked(Shell),
    /// It was somebody else's meanwhile: this run changes the host no more.
    Lost(Fault),
    /// The host takes no leases; it was told.
    Unusable,
}

impl Default for Leases {
    fn default() -> Self {
        let run = uuid::Uuid::new_v4().simple().to_string();
        Self { run, purpose: OnceLock::new(), shared: Arc::default() }
    }
}

impl Leases {
    /// Says what this run does; the first word stays.
    pub fn for_purpose(&self, purpose: Purpose) {
        let _ = self.purpose.set(purpose);
    }

    fn purpose(&self) -> Purpose {
        self.purpose.get().cloned().unwrap_or_default()
    }

    fn of(&self, host: &Host) -> Arc<Mutex<Held>> {
        let mut hosts = self.shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hosts.entry(host.name().to_owned()).or_default())
    }

    /// Gives all of them back, all hosts at once; bounded, also after a stop.
    pub fn give_back(&self) {
        let held: Vec<Arc<Mutex<Held>>> = {
            let mut hosts = self.shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            hosts.drain().map(|(_, held)| held).collect()
        };
        if held.is_empty() {
            return;
        }
        *self.shared.round.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.shared.over.notify_all();
        let drop_one = |held: &Mutex<Held>| {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            if let Held::Lease(_, _, shell) | Held::Asked(shell) = std::mem::take(&mut *held) {
                // What fails here ends by itself.
                let command = command(&["drop", &self.run]).timeout(Some(GIVE_BACK));
                let _ = clearing(GIVE_BACK, || crate::gate::mark(|permit| shell.run(permit, &command)));
            }
        };
        std::thread::scope(|scope| {
            for one in &held {
                scope.spawn(|| drop_one(one));
            }
        });
    }
}

/// Seconds since this machine's boot, sleep included: no clock that jumps.
fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn command(words: &[&str]) -> Command {
    let head = ["sh", "-c", SCRIPT, "kvmsh"];
    Command::argv(head.iter().chain(words).copied()).timeout(Some(STEP))
}

/// One line for the file on the host.
fn line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.chars().take(200).collect()
}

impl Host {
    /// Whether leases and cordons are kept there: where guests really run, and a shell can be had.
    pub fn keeps_marks(&self) -> bool {
        let uri = self.uri();
        !uri.starts_with("test:") && !uri.ends_with("/session")
    }

    /// Makes sure that this run holds the lease, where changes are made at all.
    ///
    /// # Errors
    /// `lease_held` (refused): somebody else does; `lease_lost`: somebody else has taken it meanwhile; faults of the
    /// connection.
    pub fn lease(&self) -> Result<(), Fault> {
        let session = self.session();
        if session.gate().mode() != Mode::Apply || !self.keeps_marks() {
            return Ok(());
        }
        let slot = session.leases().of(self);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Held::Unusable => return Ok(()),
            Held::Lost(fault) => return Err(fault.clone()),
            Held::Lease(confirmed, ..) if !is_stale(*confirmed) => return Ok(()),
            // The controller slept, or the network was away: what happened meanwhile?
            Held::Lease(_, boot, _) => {
                let asked = uptime();
                let answer = self.ask_again()?;
                if answer.renewed {
                    if let Held::Lease(confirmed, ..) = &mut *held {
                        *confirmed = asked;
                    }
                } else if answer.boot == *boot {
                    let fault = self.lease_lost(answer.held.as_ref());
                    *held = Held::Lost(fault.clone());
                    return Err(fault);
                } else {
                    // With the host's boot all leases on it ended.
                    *held = self.take_lease(&mut false)?;
                }
            }
            Held::Nothing | Held::Asked(_) => {
                let mut unheard = false;
                let taken = self.take_lease(&mut unheard);
                if unheard {
                    *held = Held::Asked(self.shell().clone());
                }
                *held = taken?;
                session.leases().renew_from_now_on();
            }
        }
        Ok(())
    }

    /// Has the host keep this run's lease for so long without a word from here, and not less than usual: for changes that cut
    /// it off.
    ///
    /// # Errors
    /// `lease_lost`: it is no longer this run's; faults of the connection.
    pub(super) fn keep_lease_for(&self, time: Duration) -> Result<(), Fault> {
        let leases = self.session().leases();
        let slot = leases.of(self);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let Held::Lease(confirmed, _, shell) = &mut *held else { return Ok(()) };
        let ttl = ttl().max(time.as_secs()).to_string();
        let asked = uptime();
        let command = command(&["renew", &leases.run, &ttl]);
        let output = crate::gate::mark(|permit| shell.run(permit, &command));
        let output = output.map_err(|error| Fault::from(error).on_host(self.name()))?;
        if !output.text().contains("renewed=1") {
            let fault = self.lease_lost(Answer::read(&output.text()).held.as_ref());
            *held = Held::Lost(fault.clone());
            return Err(fault);
        }
        *confirmed = asked;
        Ok(())
    }

    /// `unheard`: whether the host was asked and its answer did not come.
    fn take_lease(&self, unheard: &mut bool) -> Result<Held, Fault> {
        let session = self.session();
        let leases = session.leases();
        let began = uptime();
        let mut steal = None;
        loop {
            let asked = uptime();
            let answer = match self.ask_for_lease(steal.as_deref(), unheard) {
                Ok(answer) => answer,
                // libvirt over TLS needs no SSH; who has none, has no leases.
                Err(fault) if fault.class == Class::Connect && !self.uri().contains("+ssh") => {
                    Answer { unusable: Some(fault.to_string()), ..Answer::default() }
                }
                Err(fault) => return Err(fault),
            };
            if let Some(why) = answer.unusable {
                session.progress().say(&format!(
                    "warning: no lease on {}, others may change it at the same time: {why}",
                    self.name()
                ));
                return Ok(Held::Unusable);
            }
            if let Some(holder) = &answer.ended {
                session.progress().say(&format!(
                    "warning: took over the lease on {} of {holder}, who is gone",
                    self.name()
                ));
            }
            let Some(other) = answer.held else {
                return Ok(Held::Lease(asked, answer.boot, self.shell().clone()));
            };
            if steal.is_none() && other.process.is_dead_here() {
                steal = Some(other.run);
                continue;
            }
            let patience = leases.purpose().wait;
            if uptime() - began >= patience.as_secs_f64() {
                return Err(self.lease_held(&other));
            }
            if let Some(stop) = session.cancel().sleep(LOOK_AGAIN) {
                return Err(stop.fault());
            }
        }
    }

    fn ask_for_lease(&self, steal: Option<&str>, unheard: &mut bool) -> Result<Answer, Fault> {
        let leases = self.session().leases();
        let purpose = leases.purpose();
        let holder = line(&format!("{}@{}", purpose.user, Process::controller()));
        let (ttl, text, process) = (ttl().to_string(), line(&purpose.text), Process::this().to_string());
        let mut words = vec!["take", &leases.run, &ttl, &holder, &text, &process];
        words.extend(steal);
        let command = command(&words);
        let output = crate::gate::mark(|permit| self.shell().run(permit, &command));
        *unheard = matches!(
            output.as_ref().map_err(|error| &error.kind),
            Err(Kind::Stopped { may_run: true, .. }
                | Kind::CommandTimeout { may_run: true, .. }
                | Kind::Lost { .. })
        );
        let output = output.map_err(|error| Fault::from(error).on_host(self.name()))?;
        if !output.ok() {
            let why = format!("status {} {}", output.status, output.error_text());
            return Ok(Answer { unusable: Some(why), ..Answer::default() });
        }
        Ok(Answer::read(&output.text()))
    }

    /// Whether the lease that was taken is still this run's; renews it if it is.
    fn ask_again(&self) -> Result<Answer, Fault> {
        let command = command(&["renew", &self.session().leases().run]);
        let output = crate::gate::mark(|permit| self.shell().run(permit, &command));
        let output = output.map_err(|error| Fault::from(error).on_host(self.name()))?;
        Ok(Answer::read(&output.text()))
    }

    /// What was changed elsewhere stays changed: that is no refusal.
    fn class_of_refusal(&self) -> Class {
        if self.session().gate().has_changed() { Class::Partial } else { Class::Refused }
    }

    fn lease_held(&self, other: &Lease) -> Fault {
        let message = format!("{} is being changed by {}", self.name(), other.sentence());
        Fault::new("lease_held", message).class(self.class_of_refusal()).on_host(self.name()).hint(format!(
            "let it end, or wait for it: --wait 10m; if its holder has died the lease ends by itself within {} s",
            other.left.max(1)
        ))
    }

    fn lease_lost(&self, other: Option<&Lease>) -> Fault {
        let message = match other {
            Some(other) => format!(
                "the lease on {} ended while this run could not renew it, and was taken by {}",
                self.name(),
                other.sentence()
            ),
            None => format!(
                "the lease on {} ended while this run could not renew it, and somebody else had it meanwhile",
                self.name()
            ),
        };
        Fault::new("lease_lost", message).class(self.class_of_refusal()).on_host(self.name()).hint(
            "nothing more is changed there: see `kvmsh journal`, and run it again when the other one is done",
        )
    }

    /// Makes sure of the leases on all these hosts, one after the other in the order of their names: of two runs that need
    /// the same hosts at the same moment one gets them all, and neither waits for the other for ever.
    ///
    /// # Errors
    /// The first that [`Host::lease`] meets.
    pub fn lease_all(hosts: &[&Self]) -> Result<(), Fault> {
        let mut hosts = hosts.to_vec();
        hosts.sort_by_key(|host| host.name());
        hosts.iter().try_for_each(|host| host.lease())
    }

    /// Keeps guests from being placed on the host until [`Host::uncordon`]. Whether that is new; `None` in a plan.
    ///
    /// # Errors
    /// `no_support` for hosts without a shell of their own; `lease_held`; what the host says.
    pub fn cordon(&self, why: &str) -> Result<Option<bool>, Fault> {
        let why = line(why.trim());
        let before = self.marks()?.cordon.map(|cordon| cordon.why);
        if before.as_ref() == Some(&why) {
            return Ok(Some(false));
        }
        let by = line(&format!("{}@{}", self.session().leases().purpose().user, Process::controller()));
        let change = Change::new(self.name(), "host", self.name(), "cordon").detail(why.clone());
        self.mark_host(change, &["cordon", &why, &by])
    }

    /// Lets guests be placed on the host again. Whether it was cordoned; `None` in a plan.
    ///
    /// # Errors
    /// As [`Host::cordon`].
    pub fn uncordon(&self) -> Result<Option<bool>, Fault> {
        let Some(cordon) = self.marks()?.cordon else { return Ok(Some(false)) };
        let change = Change::new(self.name(), "host", self.name(), "uncordon").detail(cordon.why);
        self.mark_host(change, &["uncordon"])
    }

    fn mark_host(&self, change: Change, words: &[&str]) -> Result<Option<bool>, Fault> {
        let command = command(words);
        let outcome = self.change(change, |permit: &Permit| {
            let output = self.shell().run(permit, &command)?;
            if output.ok() {
                return Ok(output.text().contains("changed=1"));
            }
            let message = format!("cannot mark {}", self.name());
            Err(Fault::new("command_failed", message).because(output.error_text()))
        })?;
        Ok(match outcome {
            Outcome::Done(changed) => Some(changed),
            Outcome::Planned => None,
        })
    }
}

impl Leases {
    /// Renews what is held, on a thread of its own, until all is given back.
    fn renew_from_now_on(&self) {
        let round = *self.shared.round.lock().unwrap_or_else(PoisonError::into_inner);
        let (shared, run) = (Arc::clone(&self.shared), self.run.clone());
        // One thread serves all; the first lease begins it.
        if shared.renewing.lock().unwrap_or_else(PoisonError::into_inner).replace(round) == Some(round) {
            return;
        }
        // Without a thread the next change renews.
        let _ = std::thread::Builder::new().spawn(move || {
            finishing(|| {
                loop {
                    let now = shared.round.lock().unwrap_or_else(PoisonError::into_inner);
                    let (now, _) = shared
                        .over
                        .wait_timeout_while(now, renew_after(), |now| *now == round)
                        .unwrap_or_else(PoisonError::into_inner);
                    if *now != round {
                        return;
                    }
                    drop(now);
                    shared.renew(&run);
                }
            });
        });
    }
}

impl Shared {
    fn renew(&self, run: &str) {
        let held: Vec<Arc<Mutex<Held>>> = {
            let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            hosts.values().cloned().collect()
        };
        let renew = |slot: &Mutex<Held>| {
            // Whoever waits for somebody else's lease holds the slot, and must not hold up the others.
            let shell = match slot.try_lock().as_deref() {
                Ok(Held::Lease(_, _, shell)) => shell.clone(),
                _ => return,
            };
            let asked = uptime();
            let command = command(&["renew", run]);
            let output = crate::gate::mark(|permit| shell.run(permit, &command));
            let Ok(output) = output else { return };
            // What is not renewed grows old, and the next change asks; where it is lost, at once.
            let confirmed_at = match Answer::read(&output.text()) {
                answer if answer.renewed => asked,
                answer if answer.lost => f64::NEG_INFINITY,
                _ => return,
            };
            if let Held::Lease(confirmed, ..) = &mut *slot.lock().unwrap_or_else(PoisonError::into_inner) {
                *confirmed = confirmed_at;
            }
        };
        std::thread::scope(|scope| {
            for one in &held {
                scope.spawn(|| finishing(|| renew(one)));
            }
        });
    }
}
