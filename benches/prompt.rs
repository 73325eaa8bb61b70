//! How soon the prompt is there, how soon a key is on the screen, and how soon a script is checked.
//!
//! `cargo bench --bench prompt`; `-- --strict` makes a missed goal an error. It is kvmsh at a pseudo-terminal of 50 lines and
//! 120 columns, with 1,000 domains on 17 hosts of the test driver and 3 hosts that accept and say nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rexpect::process::PtyProcess;

const DOMAINS: usize = 1000;
const HOSTS: usize = 20;
const DEAD: usize = 3;
const READY_GOAL: Duration = Duration::from_millis(60);
const PAINT_GOAL: Duration = Duration::from_millis(16);
const CHECK_GOAL: Duration = Duration::from_millis(30);
/// When nothing has been written for so long, the screen is done.
const QUIET: Duration = Duration::from_millis(40);
const LIMIT: Duration = Duration::from_secs(20);

struct Terminal {
    process: PtyProcess,
    keys: fs::File,
    output: Receiver<(Instant, Vec<u8>)>,
}

impl Terminal {
    fn open(home: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        command
            .current_dir(home)
            .env_clear()
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env("COLUMNS", "120");
        let process = PtyProcess::new(command).expect("a pseudo-terminal");
        let keys = process.get_file_handle().expect("its master");
        let mut screen = process.get_file_handle().expect("its master");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                if sender.send((Instant::now(), buffer[..count].to_vec())).is_err() {
                    return;
                }
            }
        });
        Self { process, keys, output }
    }

    fn send(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("keys");
        self.keys.flush().expect("keys");
    }

    /// When this was first on the screen.
    fn shows(&self, wanted: &str) -> Instant {
        let mut text = String::new();
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            if let Ok((at, bytes)) = self.output.recv_timeout(LIMIT) {
                text.push_str(&String::from_utf8_lossy(&bytes));
                if text.contains(wanted) {
                    return at;
                }
            }
        }
        panic!("waited for {wanted:?}: {text}");
    }

    /// When the last was written of what comes now.
    fn settles(&self) -> Option<Instant> {
        let mut last = None;
        while let Ok((at, _)) = self.output.recv_timeout(QUIET) {
            last = Some(at);
        }
        last
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.send("\x15\x04");
        let _ = self.process.exit();
    }
}

/// A home with that inventory; the listener must stay.
fn home(alive: usize, dead: usize) -> (tempfile::TempDir, TcpListener) {
    let home = tempfile::tempdir().expect("a directory");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let mut inventory = String::new();
    for host in 0..alive {
        let domains: String = (0..DOMAINS / alive.max(1))
            .map(|n| {
                format!(
                    "<domain type='test'><name>guest{host:02}-{n:04}</name><memory>1024</memory>\
                     <os><type>hvm</type></os></domain>"
                )
            })
            .collect();
        let file = home.path().join(format!("node{host}.xml"));
        fs::write(&file, format!("<node>{domains}</node>")).expect("a node");
        inventory.push_str(&format!(
            "[hosts.up{host:02}]\naddress = \"localhost\"\nuri = \"test://{}\"\n",
            file.display()
        ));
    }
    for host in 0..dead {
        inventory.push_str(&format!("[hosts.dead{host:02}]\naddress = \"127.0.0.1\"\nport = {port}\n"));
    }
    fs::create_dir_all(home.path().join("config/kvmsh")).expect("a directory");
    fs::write(home.path().join("config/kvmsh/hosts.toml"), inventory).expect("an inventory");
    (home, silent)
}

fn ready() -> Vec<Duration> {
    let (home, _silent) = home(0, HOSTS);
    let one = || {
        let began = Instant::now();
        let terminal = Terminal::open(home.path());
        terminal.shows("kvmsh> ") - began
    };
    one();
    (0..30).map(|_| one()).collect()
}

/// Types into a buffer of 200 lines, and into an empty one, and completes.
fn paint() -> Vec<(&'static str, Vec<Duration>)> {
    let (home, _silent) = home(HOSTS - DEAD, DEAD);
    let mut terminal = Terminal::open(home.path());
    terminal.shows("guests running)");
    terminal.settles();
    let mut keys = |name: &'static str, setup: &str, typed: &[&str], rounds: usize| {
        terminal.send(setup);
        terminal.settles();
        let mut times = Vec::new();
        for _ in 0..rounds {
            for key in typed {
                let began = Instant::now();
                terminal.send(key);
                times.push(
                    terminal.settles().map_or(Duration::ZERO, |last| last.saturating_duration_since(began)),
                );
            }
            terminal.send("\x15");
            terminal.settles();
        }
        (name, times)
    };
    let letters: Vec<String> =
        "host(\"up01\").domain(\"guest01-0001\").state".chars().map(String::from).collect();
    let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
    let empty = keys("keys in an empty line", "", &letters, 5);
    let tabs =
        keys("Tab: names of a host with 58 domains", "", &["host(\"up01\").domain(\"guest01-000", "\t"], 20);
    let tabs = (tabs.0, tabs.1.into_iter().skip(1).step_by(2).collect());
    let dead = keys("Tab: names of a dead host", "", &["host(\"dead01\").domain(\"g", "\t#"], 20);
    let dead = (dead.0, dead.1.into_iter().skip(1).step_by(2).collect());
    let line =
        "    let guest = host(\"up01\").domains().filter(|one| one.name.contains(\"x\")); // a comment\n";
    let buffer = format!("\x1b[200~if true {{\n{}\x1b[201~", line.repeat(199));
    let long = keys("keys in a buffer of 200 lines", &buffer, &["h", "o", "s", "t", "(", "\"", "u", "p"], 8);
    vec![empty, tabs, dead, long]
}

/// `kvmsh check` of a script of 1,000 lines, from its start to its end.
fn check() -> Vec<Duration> {
    let (home, _silent) = home(0, HOSTS);
    let ten = "import \"std/evacuate\" as evacuate;\nlet source = host(\"dead01\");\nlet guests = source.domains();\n\
               for guest in guests {\n    if guest.state == \"running\" { print(`${guest.name} runs`); }\n}\n\
               let busy = guests.filter(|one| one.active).map(|one| one.name);\n\
               fn sum_N(a, b) { let total = a + b; total * 2 }\nprint(sum_N(1, 2) + busy.len());\n\
               guests.filter(|one| one.name.starts_with(\"w\")).len();\n";
    let text: String = (0..100).map(|n| ten.replace('N', &n.to_string())).collect();
    assert_eq!(text.lines().count(), 1000);
    fs::write(home.path().join("long.rhai"), text).expect("a script");
    let one = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        command
            .args(["check", "long.rhai"])
            .current_dir(home.path())
            .env("XDG_CONFIG_HOME", home.path().join("config"));
        let began = Instant::now();
        let output = command.output().expect("kvmsh");
        let took = began.elapsed();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        took
    };
    one();
    (0..30).map(|_| one()).collect()
}

/// The value below which this share of the times lies.
fn at(times: &[Duration], share: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[((times.len() - 1) as f64 * share).round() as usize]
}

fn main() {
    let strict = std::env::args().any(|arg| arg == "--strict");
    let mut rows = vec![("prompt ready, 20 hosts that do not answer", ready(), READY_GOAL)];
    rows.push(("kvmsh check, 1,000 lines", check(), CHECK_GOAL));
    rows.extend(paint().into_iter().map(|(name, times)| (name, times, PAINT_GOAL)));
    let mut missed = false;
    println!("{:45} {:>9} {:>9} {:>9}", "", "median", "99 %", "goal");
    for (name, times, goal) in &rows {
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
        let late = at(times, 0.99);
        missed |= late > *goal;
        let verdict = if late > *goal { "MISS" } else { "PASS" };
        println!("{name:45} {:>9} {:>9} {:>9} {verdict}", ms(at(times, 0.5)), ms(late), ms(*goal));
    }
    if strict && missed {
        std::process::exit(1);
    }
}
