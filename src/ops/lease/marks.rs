//! What the marks on a host say.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::SCRIPT;
use crate::model::{Class, Fault};
use crate::ops::Host;
use crate::ssh::Probe;

/// Somebody's lease on a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lease {
    /// Which run's it is.
    pub run: String,
    /// `user@controller`.
    pub holder: String,
    /// What is done: a script's name.
    pub purpose: String,
    /// For how many seconds it has been held, by the host's own time.
    pub age: i64,
    /// In how many seconds it ends unless it is renewed.
    pub left: i64,
    /// The process that holds it.
    pub(super) process: Process,
}

/// Why no guest is to be placed on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cordon {
    /// In the admin's words.
    pub why: String,
    /// `user@controller`.
    pub by: String,
    /// Since when, by the host's clock.
    pub since: Option<Timestamp>,
}

/// Both marks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// The lease, if somebody holds one.
    pub lease: Option<Lease>,
    /// Whose lease is left over: it has ended without being given back.
    pub ended: Option<String>,
    /// The cordon, if there is one.
    pub cordon: Option<Cordon>,
}

/// What a host answers to a request for a lease.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) unusable: Option<String>,
    pub(super) ended: Option<String>,
    pub(super) held: Option<Lease>,
    pub(super) renewed: bool,
    pub(super) lost: bool,
    /// Which boot of the host it is.
    pub(super) boot: String,
}

impl Answer {
    pub(super) fn read(text: &str) -> Self {
        let value = |key: &str| value(text, key).map(str::to_owned);
        Self {
            unusable: value("unusable"),
            ended: value("ended"),
            held: value("held").and_then(|_| Lease::read(text)),
            renewed: value("renewed").is_some(),
            lost: value("lost").is_some(),
            boot: value("boot").unwrap_or_default(),
        }
    }
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

impl Lease {
    fn read(text: &str) -> Option<Self> {
        let number = |key| value(text, key).and_then(|text| text.parse().ok()).unwrap_or_default();
        let word = |key| value(text, key).unwrap_or_default().to_owned();
        Some(Self {
            run: value(text, "run")?.to_owned(),
            holder: word("holder"),
            purpose: word("purpose"),
            age: number("age"),
            left: number("left"),
            process: Process::read(&word("process")),
        })
    }

    /// Since when, by this machine's clock.
    pub fn since(&self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_sub(SignedDuration::from_secs(self.age)).unwrap_or(now)
    }

    /// Who, since when, what for: for errors.
    pub fn sentence(&self) -> String {
        let since = self.since().to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        format!("{} since {since} ({} s ago): {}", self.holder, self.age, self.purpose)
    }
}

impl Cordon {
    /// Why, who, since when: for errors.
    pub fn sentence(&self) -> String {
        let since =
            self.since.map(|at| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string());
        let why = if self.why.is_empty() { "no reason given" } else { &self.why };
        format!("{why}; by {} since {}", self.by, since.unwrap_or_else(|| "?".to_owned()))
    }
}

impl Marks {
    /// Reads what the host says.
    pub(in crate::ops) fn read(text: &str) -> Self {
        let cordon = value(text, "cordon").map(|why| Cordon {
            why: why.to_owned(),
            by: value(text, "cordon_by").unwrap_or_default().to_owned(),
            since: value(text, "cordon_since")
                .and_then(|text| Timestamp::from_second(text.trim().parse().ok()?).ok()),
        });
        Self { lease: Lease::read(text), ended: value(text, "ended").map(str::to_owned), cordon }
    }
}

impl Host {
    /// The lease and the cordon, in one round trip; none where none are kept.
    ///
    /// # Errors
    /// Faults of the connection.
    pub fn marks(&self) -> Result<Marks, Fault> {
        if !self.keeps_marks() {
            return Ok(Marks::default());
        }
        let probe = Probe::script(SCRIPT, ["show"]).timeout(super::STEP);
        let output = self.shell().probe(&probe).map_err(|error| Fault::from(error).on_host(self.name()))?;
        Ok(Marks::read(&output.text()))
    }

    /// Refuses where the host is cordoned: at the head of all that makes a new guest there.
    ///
    /// # Errors
    /// `cordoned` (refused); faults of the connection.
    pub fn refuse_cordoned(&self) -> Result<(), Fault> {
        let marks = match self.marks() {
            Ok(marks) => marks,
            // libvirt over TLS needs no SSH; who has none, has no cordons.
            Err(fault) if fault.class == Class::Connect && !self.uri().contains("+ssh") => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let Some(cordon) = marks.cordon else { return Ok(()) };
        Err(Fault::new("cordoned", format!("{} is cordoned: {}", self.name(), cordon.sentence()))
            .class(Class::Refused)
            .on_host(self.name())
            .hint(format!("when it may have guests again: host(\"{}\").uncordon()", self.name())))
    }
}

/// A process that can be told to be dead from where it ran, and from nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Process {
    /// The boot of the machine, and the PID namespace.
    place: String,
    pid: u32,
    /// When it began, in ticks since that boot: a PID may be another's by now.
    start: u64,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.place, self.pid, self.start)
    }
}

impl Process {
    /// The name of this machine.
    pub(super) fn controller() -> String {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        if name.trim().is_empty() { "unknown".to_owned() } else { name.trim().to_owned() }
    }

    /// This process.
    pub(super) fn this() -> Self {
        let pid = std::process::id();
        Self { place: place(), pid, start: started(pid).unwrap_or_default() }
    }

    fn read(text: &str) -> Self {
        let mut words = text.split(' ');
        let mut next = || words.next().unwrap_or_default();
        let place = next().to_owned();
        Self { place, pid: next().parse().unwrap_or_default(), start: next().parse().unwrap_or_default() }
    }

    /// Whether it ran here, and does no more.
    pub(super) fn is_dead_here(&self) -> bool {
        !self.place.is_empty()
            && self.place == place()
            && self.pid > 0
            && self.start > 0
            && is_gone(self.pid, self.start)
    }
}

/// Other users' processes may be hidden in /proc (hidepid, ProtectProc=): what cannot be seen is not dead for that.
fn is_gone(pid: u32, start: u64) -> bool {
    use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
    let there = i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH));
    match started(pid) {
        Some(began) => began != start,
        None => !there || std::path::Path::new(&format!("/proc/{pid}/stat")).exists(),
    }
}

fn place() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if boot.trim().is_empty() || space.as_os_str().is_empty() {
        return String::new();
    }
    format!("{}/{}", boot.trim(), space.display())
}

/// When a process began; `None` where there is none. See proc(5), field 22.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie holds nothing any more.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_dead_only_where_it_ran() {
        let this = Process::this();
        assert!(this.start > 0 && !this.is_dead_here());
        assert_eq!(Process::read(&this.to_string()), this);
        assert!(Process { start: this.start + 1, ..this.clone() }.is_dead_here());
        assert!(Process { pid: u32::MAX, ..this.clone() }.is_dead_here());
        assert!(!Process { pid: u32::MAX, place: "elsewhere".into(), ..this }.is_dead_here());
        assert!(!Process::default().is_dead_here());
    }

    #[test]
    fn marks_are_read_line_by_line() {
        let text = "run=ab\nholder=root@c\npurpose=x=y.rhai\nprocess=p 1 2\nage=61\nleft=40\n\
                    cordon=new disks\ncordon_by=ops@c\ncordon_since=1767225600\n";
        let marks = Marks::read(text);
        let (lease, cordon) = (marks.lease.unwrap(), marks.cordon.unwrap());
        assert_eq!((lease.purpose.as_str(), lease.age, lease.left), ("x=y.rhai", 61, 40));
        assert_eq!(cordon.since, Some("2026-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(Marks::read(""), Marks::default());
    }
}
