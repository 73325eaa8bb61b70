//! What the tests on the lab share: two hosts, kvmsh at work, and the daemons' own word on what came of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

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

/// Waits until both daemons answer, these guests run on h2-a and those on h2-b, no other guest does, no QEMU is left
/// over and no job either; then that all go on and none was started anew. Whoever is lost or doubled shows itself here.
#[track_caller]
pub fn wait_settled(lab: &Lab, on_a: &[Guest<'_>], on_b: &[Guest<'_>]) {
    let began = Instant::now();
    let wanted = [on_a, on_b].map(|guests| Some(as_they_should(guests)));
    loop {
        let seen = HOSTS.map(|host| what_runs(lab, host));
        if seen == wanted {
            break;
        }
        assert!(began.elapsed() < SETTLED, "there is {seen:?} instead of {wanted:?}");
        sleep(Duration::from_millis(250));
    }
    for guest in on_a.iter().chain(on_b) {
        guest.wait_tick();
        assert_eq!(guest.ticks().boots, 1, "{} was started anew", guest.name());
    }
}

/// How long things may take to come right by themselves once the fault is mended: TCP's pauses between two attempts
/// grow to about as long as the cut was.
const SETTLED: Duration = Duration::from_secs(90);

/// Each guest's name, state and job, and the number of QEMUs, whether libvirt knows of them or not.
type Running = (Vec<String>, usize);

fn as_they_should(guests: &[Guest<'_>]) -> Running {
    let mut lines: Vec<_> = guests.iter().map(|guest| format!("{} running, no job", guest.name())).collect();
    lines.sort();
    (lines, guests.len())
}

/// What there is; `None` where the daemon does not answer.
fn what_runs(lab: &Lab, host: &str) -> Option<Running> {
    let mut ask = lab.on_host(host, "timeout");
    ask.args(["10", "bash", "-c", WHAT_RUNS]);
    let output = lab.run(ask, Duration::from_secs(15));
    let mut lines: Vec<_> = output.stdout.lines().map(str::to_owned).collect();
    let qemus = lines.pop().filter(|_| output.status.success())?.parse().ok()?;
    lines.sort();
    Some((lines, qemus))
}

const WHAT_RUNS: &str = r#"
set -e
export LIBVIRT_DEFAULT_URI=qemu:///system
names=$(virsh -q list --name)
for name in $names; do
    job=$(virsh domjobinfo "$name" | sed -n 's/^Job type: *\([A-Za-z]*\).*/\1/p')
    [ "$job" != None ] || job=no
    echo "$name $(virsh -q domstate "$name" | head -1), $job job"
done
pgrep -c -f '^/usr/bin/qemu-system-x86_64 -name guest=' || :
"#;

/// Replaces a text in the lab's inventory, which must have it.
pub fn edit_inventory(lab: &Lab, old: &str, new: &str) {
    let path = lab.dir().join("hosts.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{text}");
    std::fs::write(&path, text.replace(old, new)).unwrap();
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

/// The changes in the journal as it stands; empty before the first.
pub fn journal(lab: &Lab) -> String {
    let path = lab.scratch().join("state/kvmsh/journal.ndjson");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| line.contains(r#""change":"#)).flat_map(|line| [line, "\n"]).collect()
}

/// A kvmsh without a lab: a directory of its own, nothing in the environment, no host but libvirt's test driver.
pub struct Alone(tempfile::TempDir);

impl Alone {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Its directory, which is also its home.
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// Writes a script.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("a script");
    }

    /// `kvmsh ARGS`, killed after 20 s. stdout and stderr are small enough for a pipe.
    pub fn run(&self, args: &[&str]) -> Output {
        self.run_for(args, Duration::from_secs(20))
    }

    /// `kvmsh ARGS`, killed when the time is over.
    pub fn run_for(&self, args: &[&str], limit: Duration) -> Output {
        let began = Instant::now();
        let output = Command::new("timeout")
            .args(["-s", "KILL", &limit.as_secs().to_string(), env!("CARGO_BIN_EXE_kvmsh")])
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("LANG", "C.UTF-8")
            .stdin(std::process::Stdio::null())
            .output()
            .expect("timeout of coreutils");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Output {
            status: output.status,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            took: began.elapsed(),
        }
    }

    /// `kvmsh FILE` with a file of this text.
    pub fn script(&self, text: &str) -> Output {
        self.write("script.rhai", text);
        self.run(&["script.rhai"])
    }
}
