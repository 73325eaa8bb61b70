//! What the tests on the lab share: two hosts, kvmsh at work, and the daemons' own word on what came of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::lab::{Child, Guest, Lab, Output, wait_until};

/// How long anything that is not broken may take; generous, for tests share their processors.
pub const LONG: Duration = Duration::from_secs(120);

/// The two hosts of nearly every test.
pub const HOSTS: [&str; 2] = ["h2-a", "h2-b"];

/// Two hosts.
pub fn pair() -> Lab {
    Lab::up(&HOSTS)
}

/// `kvmsh ARGS`.
pub fn kvmsh(lab: &Lab, args: &[&str]) -> Command {
    let mut kvmsh = lab.kvmsh();
    kvmsh.args(args);
    kvmsh
}

/// `kvmsh -c CODE`, run to its end.
pub fn run_code(lab: &Lab, code: &str) -> Output {
    lab.run(kvmsh(lab, &["-c", code]), LONG)
}

/// A script that people run.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

/// `kvmsh OPTIONS scripts/evacuate.rhai h2-a ARGS`.
pub fn evacuation(lab: &Lab, options: &[&str], args: &[&str]) -> Command {
    let mut kvmsh = kvmsh(lab, options);
    kvmsh.arg(script("evacuate.rhai")).arg("h2-a").args(args);
    kvmsh
}

/// The same, run to its end.
pub fn evacuate(lab: &Lab, options: &[&str], args: &[&str]) -> Output {
    lab.run(evacuation(lab, options, args), LONG)
}

impl Output {
    /// The exit code; 128 and the signal where one ended it, as a shell has it.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or_default())
    }

    /// Fails unless it ended with `code` and did not fall over.
    #[track_caller]
    pub fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "{self}");
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("defect"), "{self}");
        self
    }

    /// Fails unless stderr has every one of `words`.
    #[track_caller]
    pub fn says(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stderr.contains(word), "stderr lacks {word:?}: {self}");
        }
        self
    }

    /// Fails unless stdout has every one of `words`.
    #[track_caller]
    pub fn prints(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stdout.contains(word), "stdout lacks {word:?}: {self}");
        }
        self
    }

    /// Fails if it took longer.
    #[track_caller]
    pub fn within(&self, limit: Duration) -> &Self {
        assert!(self.took <= limit, "it took {:?}, and {limit:?} at most were allowed: {self}", self.took);
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, stdout, stderr, took } = self;
        write!(f, "{status} after {took:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// What `virsh list` names on a host, sorted; `None` where its daemon does not answer within 5 s.
fn ask(lab: &Lab, host: &str, filter: &str) -> Option<Vec<String>> {
    let mut virsh = lab.on_host(host, "timeout");
    virsh.args(["5", "virsh", "-q", "-c", "qemu:///system", "list", "--name", filter]);
    let output = lab.run(virsh, Duration::from_secs(10));
    let names = output.stdout.split_whitespace().map(str::to_owned);
    output.status.success().then(|| {
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    })
}

/// The guests that hold memory on `host`, running or paused.
pub fn active(lab: &Lab, host: &str) -> Vec<String> {
    ask(lab, host, "--state-running").unwrap_or_else(|| panic!("libvirtd on {host} does not answer"))
}

/// All guests that `host` knows.
pub fn defined(lab: &Lab, host: &str) -> Vec<String> {
    ask(lab, host, "--all").unwrap_or_else(|| panic!("libvirtd on {host} does not answer"))
}

/// Waits until the migration of `guest` off h2-a sends.
pub fn wait_migrating(lab: &Lab, guest: &str, child: &Child) {
    wait_until(LONG, &format!("the migration of {guest} to send; {}", child.stderr()), || {
        let mut virsh = lab.on_host("h2-a", "timeout");
        virsh.args(["5", "virsh", "-c", "qemu:///system", "domjobinfo", guest]);
        let info = lab.run(virsh, Duration::from_secs(10)).stdout;
        info.lines().any(|line| line.starts_with("Memory processed:") && !line.ends_with(" 0.000 B"))
    });
}

/// Waits until both daemons answer and every guest has exactly one QEMU: on h2-a if `on` says so, else on h2-b.
/// Whoever is left over or lost shows itself here.
#[track_caller]
pub fn wait_settled(lab: &Lab, guests: &[Guest<'_>], on: &str) {
    let mut names: Vec<_> = guests.iter().map(|guest| guest.name().to_owned()).collect();
    names.sort();
    let wanted = HOSTS.map(|host| if host == on { names.clone() } else { Vec::new() });
    let mut last = String::new();
    let began = std::time::Instant::now();
    loop {
        let listed = HOSTS.map(|host| ask(lab, host, "--state-running"));
        let paused = HOSTS.map(|host| ask(lab, host, "--state-paused"));
        let processes = HOSTS.map(|host| qemus(lab, host));
        let settled = (0..HOSTS.len()).all(|at| {
            listed[at].as_ref() == Some(&wanted[at])
                && paused[at].as_ref().is_some_and(Vec::is_empty)
                && processes[at] == wanted[at].len()
        });
        if settled {
            break;
        }
        last.clear();
        last.push_str(&format!("running {listed:?}, paused {paused:?}, QEMUs {processes:?}"));
        assert!(began.elapsed() < Duration::from_secs(60), "not all on {on} and nothing else: {last}");
        std::thread::sleep(Duration::from_millis(250));
    }
    for guest in guests {
        guest.wait_tick();
        assert_eq!(guest.ticks().boots, 1, "{} was started anew", guest.name());
    }
}

/// How many QEMUs run on `host`, whether libvirt knows of them or not.
fn qemus(lab: &Lab, host: &str) -> usize {
    let mut pgrep = lab.on_host(host, "pgrep");
    pgrep.args(["-c", "-f", "^/usr/bin/qemu-system-x86_64 -name guest="]);
    let output = lab.run(pgrep, Duration::from_secs(10));
    output.stdout.trim().parse().unwrap_or_else(|_| panic!("pgrep on {host}: {output}"))
}

/// Fails if a job of libvirt's still holds `guest` on `host`.
#[track_caller]
pub fn assert_no_job(lab: &Lab, host: &str, guest: &str) {
    let info = lab.virsh(host, &["domjobinfo", guest]);
    assert!(info.contains("None"), "a job is left on {guest}: {info}");
}

/// Fails if kvmsh has left files of its own on the shared storage.
#[track_caller]
pub fn assert_no_file_left(lab: &Lab) {
    let left: Vec<_> = std::fs::read_dir(lab.shared())
        .expect("the shared storage")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// The journal as it stands; empty before the first change.
pub fn journal(lab: &Lab) -> String {
    std::fs::read_to_string(lab.scratch().join("state/kvmsh/journal.ndjson")).unwrap_or_default()
}
