//! The lab for integration tests: real libvirt daemons, SSH servers and guests on this machine.
//!
//! ```no_run
//! let lab = Lab::up(&["h2-a", "h2-b"]);
//! let web = lab.guest("h2-a", "web").start();
//! web.wait_boot();
//! let mut evacuate = lab.kvmsh();
//! evacuate.args(["-c", r#"host("h2-a").domain("web").migrate("h2-b")"#]);
//! let output = lab.run(evacuate, Duration::from_secs(60));
//! assert!(output.status.success(), "{}", output.stderr);
//! assert_eq!(web.ticks().boots, 1);
//! ```
//!
//! Everything is done by the program `tests/lab/lab`; see the README.md beside it. A lab ends when its [`Lab`] is
//! dropped, and also when the test process is killed. Whatever the lab cannot do is a panic, never a skipped test.

// Each test crate uses a part of this.
#![allow(dead_code)]

pub mod vm;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a guest may take to its first tick. It takes 2 s on an idle machine, but tests run in parallel.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// Some hosts and a controller, joined by a switch.
pub struct Lab {
    /// The program that drives it: `lab`, or `vm` for a [`vm::VmLab`].
    program: &'static str,
    dir: PathBuf,
    // Dropped after `dir` has been taken down; holds it, kvmsh's own directories and what commands print.
    temp: TempDir,
    outputs: AtomicUsize,
}

impl Lab {
    /// Brings up one host for each name.
    pub fn up(hosts: &[&str]) -> Lab {
        Lab::up_with_bare(hosts, &[])
    }

    /// Brings up `hosts`, and as `bare` hosts that have SSH but no libvirt.
    pub fn up_with_bare(hosts: &[&str], bare: &[&str]) -> Lab {
        let lab = Lab::new("lab");
        let mut up = lab.up_command();
        if hosts.is_empty() {
            up.args(["--hosts", "0"]);
        }
        for host in hosts {
            up.args(["--host", host]);
        }
        for host in bare {
            up.args(["--bare", host]);
        }
        succeed(up);
        lab
    }

    fn new(program: &'static str) -> Lab {
        let temp = tempfile::Builder::new()
            .prefix("kvmsh-lab-")
            .tempdir()
            .expect("a temporary directory for the lab");
        Lab { program, dir: temp.path().join("lab"), temp, outputs: AtomicUsize::new(0) }
    }

    /// Brings it up, for as long as this process lives.
    fn up_command(&self) -> Command {
        let mut up = program(self.program, "up");
        up.arg(&self.dir).args(["--owner", &std::process::id().to_string()]);
        up
    }

    /// The lab's directory, with `hosts.toml`, `known_hosts`, `id_ed25519` and `shared/`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A directory for the test's own files, which goes with the lab.
    pub fn scratch(&self) -> &Path {
        self.temp.path()
    }

    /// What all hosts see as `/srv/shared`.
    pub fn shared(&self) -> PathBuf {
        self.dir.join("shared")
    }

    /// A guest to be made on `host`.
    pub fn guest<'lab>(&'lab self, host: &str, name: &str) -> GuestBuilder<'lab> {
        GuestBuilder { lab: self, host: host.to_owned(), name: name.to_owned(), options: Vec::new() }
    }

    /// kvmsh, to be run on the controller with the lab's inventory. Its pid is that of the child; it has no terminal
    /// and no input, and keeps its files in the lab.
    pub fn kvmsh(&self) -> Command {
        self.controller(env!("CARGO_BIN_EXE_kvmsh"))
    }

    /// Any other program on the controller, in the same surroundings as [`Lab::kvmsh`].
    pub fn controller(&self, program: impl AsRef<OsStr>) -> Command {
        // In a session of its own, for tests started at a terminal must not differ from those in CI. setsid and
        // `lab enter` both exec, so the pid stays the same.
        let mut command = Command::new("setsid");
        command.arg(program_path(self.program)).arg("enter").arg(&self.dir).arg(program);
        for (variable, subdirectory) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_DATA_HOME", "data"),
        ] {
            command.env(variable, self.temp.path().join(subdirectory));
        }
        for variable in ["SSH_AUTH_SOCK", "LIBVIRT_DEFAULT_URI", "VIRSH_DEFAULT_CONNECT_URI"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null());
        command
    }

    /// A program inside `host`, as root.
    pub fn on_host(&self, host: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = tool("exec");
        command.arg(&self.dir).arg(host).arg(program).stdin(Stdio::null());
        command
    }

    /// Runs `command` to its end, or kills it after `limit`.
    pub fn run(&self, command: Command, limit: Duration) -> Output {
        self.spawn(command).wait(limit)
    }

    /// Starts `command`; its output goes to files, so that nobody has to read along.
    pub fn spawn(&self, mut command: Command) -> Child {
        let number = self.outputs.fetch_add(1, Ordering::Relaxed);
        let create = |name: &str| {
            let path = self.temp.path().join(format!("{name}-{number}"));
            let file = File::create(&path).expect("a file for a command's output");
            (path, file)
        };
        let (stdout, stdout_file) = create("stdout");
        let (stderr, stderr_file) = create("stderr");
        command.stdout(stdout_file).stderr(stderr_file);
        let process = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        Child { process, stdout, stderr, started: Instant::now() }
    }

    /// What `virsh ARGS` prints on `host` about its own daemon.
    pub fn virsh(&self, host: &str, args: &[&str]) -> String {
        let mut virsh = self.on_host(host, "virsh");
        virsh.args(["-q", "-c", "qemu:///system"]).args(args);
        succeed(virsh)
    }

    /// The full state of every daemon, in a form to compare: domains with their inactive and live XML, snapshots,
    /// pools, volumes, networks, autostart flags; without ids, CPU times and the like.
    pub fn state(&self) -> String {
        self.tool("state", &[])
    }

    /// Pulls the network cable of `host`.
    pub fn link_down(&self, host: &str) {
        self.tool("link", &[host, "down"]);
    }

    /// Puts the network cable of `host` back.
    pub fn link_up(&self, host: &str) {
        self.tool("link", &[host, "up"]);
    }

    /// Limits the cable of `host` to `rate` in tc's spelling ("100mbit"), in both directions; "off" ends that.
    pub fn shape(&self, host: &str, rate: &str) {
        self.tool("shape", &[host, rate]);
    }

    /// Sends `signal` ("KILL", "TERM", "STOP") to a daemon, "libvirtd" or "sshd"; waits for the end of a killed one.
    pub fn stop(&self, host: &str, daemon: &str, signal: &str) {
        self.tool("stop", &[host, daemon, "--signal", signal]);
    }

    /// Starts a daemon that was killed, or lets one go on that got "STOP", and waits until it answers.
    pub fn start(&self, host: &str, daemon: &str) {
        self.tool("start", &[host, daemon]);
    }

    /// Takes the power from `host`: its daemons and guests are gone at once, its disk stays.
    pub fn crash(&self, host: &str) {
        self.tool("crash", &[host]);
    }

    /// Boots a host after [`Lab::crash`].
    pub fn boot(&self, host: &str) {
        self.tool("boot", &[host]);
    }

    /// Makes a bridge device on `host`.
    pub fn bridge(&self, host: &str, bridge: &str) {
        self.tool("bridge", &[host, bridge]);
    }

    fn tool(&self, command: &str, args: &[&str]) -> String {
        let mut tool = program(self.program, command);
        tool.arg(&self.dir).args(args);
        succeed(tool)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let down = program(self.program, "down").arg(&self.dir).status();
        // A second panic while one is under way would hide the first.
        if !thread::panicking() {
            assert!(down.is_ok_and(|status| status.success()), "lab down failed");
        }
    }
}

/// What is known of a guest before it exists; see [`Lab::guest`].
#[must_use = "the guest is only made by start()"]
pub struct GuestBuilder<'lab> {
    lab: &'lab Lab,
    host: String,
    name: String,
    options: Vec<String>,
}

impl<'lab> GuestBuilder<'lab> {
    /// Memory in MiB; 128 unless set.
    pub fn memory(self, mib: u32) -> Self {
        self.option("--memory", mib)
    }

    /// The most memory in MiB that the guest can be given while it runs; its memory unless set.
    pub fn max_memory(self, mib: u32) -> Self {
        self.option("--max-memory", mib)
    }

    /// Makes the guest rewrite so many MiB of its memory each second, to keep a migration busy.
    pub fn dirty(self, mib_per_second: u32) -> Self {
        self.option("--dirty", mib_per_second)
    }

    /// The guest is only defined; `start` leaves it shut off.
    pub fn off(self) -> Self {
        self.flag("--off")
    }

    /// The disk is on the host itself instead of on the shared storage.
    pub fn local_disk(self) -> Self {
        self.flag("--local-disk")
    }

    /// The guest has no disk.
    pub fn no_disk(self) -> Self {
        self.flag("--no-disk")
    }

    /// A CD drive with the image at `path` on the host.
    pub fn cdrom(self, path: &str) -> Self {
        self.option("--cdrom", path)
    }

    /// A network interface on a libvirt network.
    pub fn network(self, network: &str) -> Self {
        self.option("--network", network)
    }

    /// A network interface on a bridge of the host.
    pub fn bridge(self, bridge: &str) -> Self {
        self.option("--bridge", bridge)
    }

    /// The address of that interface, such as "10.88.0.101/24".
    pub fn address(self, address: &str) -> Self {
        self.option("--address", address)
    }

    /// The guest is defined by the XML in this file, and no other option but `off` counts.
    pub fn xml(self, file: &Path) -> Self {
        let file = file.to_str().expect("a path in UTF-8").to_owned();
        self.option("--xml", file)
    }

    /// Makes the guest and starts it, without waiting for its first tick.
    pub fn start(self) -> Guest<'lab> {
        let mut guest = tool("guest");
        guest.arg(&self.lab.dir).arg(&self.host).arg(&self.name).args(&self.options);
        succeed(guest);
        Guest { lab: self.lab, name: self.name }
    }

    fn flag(mut self, flag: &str) -> Self {
        self.options.push(flag.to_owned());
        self
    }

    fn option(mut self, option: &str, value: impl ToString) -> Self {
        self.options.extend([option.to_owned(), value.to_string()]);
        self
    }
}

/// A guest that counts, wherever it may be running now.
pub struct Guest<'lab> {
    lab: &'lab Lab,
    name: String,
}

/// What a guest has said on its console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// How far it has counted since its last boot, by five a second; 0 if it has not begun.
    pub tick: u64,
    /// How often it has booted. More than 1: it was restarted, or ran twice.
    pub boots: u64,
}

impl Guest<'_> {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has said so far.
    pub fn ticks(&self) -> Ticks {
        let console = self.lab.shared().join("console").join(format!("{}.log", self.name));
        if !console.exists() {
            return Ticks::default();
        }
        let line = self.lab.tool("ticks", &[&self.name]);
        let number = |key: &str| {
            line.split_whitespace()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
                .unwrap_or_else(|| panic!("lab ticks says {line:?}"))
        };
        Ticks { tick: number("tick"), boots: number("boots") }
    }

    /// Waits for its first tick.
    pub fn wait_boot(&self) {
        wait_until(BOOT_LIMIT, &format!("guest {} to boot", self.name), || self.ticks().tick > 0);
    }

    /// Waits until it has counted on from here, which shows that it runs.
    pub fn wait_tick(&self) {
        let before = self.ticks();
        wait_until(BOOT_LIMIT, &format!("guest {} to count on from {before:?}", self.name), || {
            self.ticks().tick > before.tick
        });
    }
}

/// A command under way; killed when dropped.
pub struct Child {
    process: std::process::Child,
    stdout: PathBuf,
    stderr: PathBuf,
    started: Instant,
}

/// How a command ended and what it printed.
#[derive(Debug)]
pub struct Output {
    /// Ended by signal 9 if it was killed at its limit.
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Child {
    /// Its pid: that of the program itself, which `lab enter` becomes.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal, such as "INT".
    pub fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(self.id().to_string());
        succeed(kill);
    }

    /// Its input, if the command was given `Stdio::piped()`.
    pub fn stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.process.stdin.take()
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().expect("waiting for a child").is_some()
    }

    /// Waits for its end; kills it after `limit`, counted from here.
    pub fn wait(mut self, limit: Duration) -> Output {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("waiting for a child") {
                break status;
            }
            if Instant::now() >= deadline {
                self.process.kill().expect("killing a child");
                break self.process.wait().expect("waiting for a killed child");
            }
            thread::sleep(Duration::from_millis(5));
        };
        Output { status, stdout: self.stdout(), stderr: self.stderr(), took: self.started.elapsed() }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail for one that has been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks `done` until it says yes; panics after `limit`, naming what was waited for.
pub fn wait_until(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn program_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab").join(name)
}

fn program(name: &str, command: &str) -> Command {
    let mut program = Command::new(program_path(name));
    program.arg(command);
    program
}

fn tool(command: &str) -> Command {
    program("lab", command)
}

/// Runs a command that has to succeed, and returns its output.
fn succeed(mut command: Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}
