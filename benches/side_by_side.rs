//! kvmsh beside virsh: the same work, in one run, in turn; prints medians and their ratio.
//!
//! `make bench` runs all of it (about four minutes), `make bench ARGS="start list"` a part. What counts is the ratio: it hardly
//! depends on the machine. `--strict` makes a missed goal an error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[allow(unreachable_pub)]
#[path = "../tests/lab/mod.rs"]
mod lab;

use lab::Lab;

const KVMSH: &str = env!("CARGO_BIN_EXE_kvmsh");
const DOMAINS: usize = 1000;
const GUESTS: usize = 6;

/// Two ways to the same end, measured in turn.
struct Comparison {
    name: &'static str,
    kvmsh: Samples,
    virsh: Samples,
    goal: Goal,
}

enum Goal {
    /// kvmsh takes at most so many times as long.
    AtMost(f64),
    /// virsh takes at least so many times as long.
    TimesFaster(f64),
}

#[derive(Default)]
struct Samples(Vec<f64>);

impl Samples {
    fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64());
        self.0.sort_by(f64::total_cmp);
    }

    /// The value below which this share of the samples lies.
    fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }

    fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// "12.3 ms (11.9 – 14.0)": the median, and what nine of ten samples lie between.
    fn show(&self) -> String {
        let (unit, factor) = if self.median() < 1.0 { ("ms", 1000.0) } else { ("s", 1.0) };
        let number = |value: f64| format!("{:.1}", value * factor);
        format!("{} {unit} ({} – {})", number(self.median()), number(self.at(0.05)), number(self.at(0.95)))
    }
}

impl Comparison {
    fn ratio(&self) -> f64 {
        match self.goal {
            Goal::AtMost(_) => self.kvmsh.median() / self.virsh.median(),
            Goal::TimesFaster(_) => self.virsh.median() / self.kvmsh.median(),
        }
    }

    fn met(&self) -> bool {
        match self.goal {
            Goal::AtMost(limit) => self.ratio() <= limit,
            Goal::TimesFaster(times) => self.ratio() >= times,
        }
    }

    fn cells(&self) -> [String; 6] {
        let (ratio, goal) = match self.goal {
            Goal::AtMost(limit) => (format!("{:.2} of the time", self.ratio()), format!("≤ {limit:.2}")),
            Goal::TimesFaster(times) => (format!("{:.1} × faster", self.ratio()), format!("≥ {times:.1} ×")),
        };
        let verdict = if self.met() { "PASS" } else { "MISS" };
        [self.name.to_owned(), self.kvmsh.show(), self.virsh.show(), ratio, goal, verdict.to_owned()]
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    // Inside a host of the lab: see `inside`.
    if let [command, task] = &args[..]
        && command == "--inside"
    {
        return inside(task);
    }
    let strict = args.iter().any(|arg| arg == "--strict");
    let parts: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    if let Some(wrong) = parts.iter().find(|part| !["start", "list", "state", "evacuate"].contains(part)) {
        eprintln!("there is no part {wrong}: start, list, state, evacuate");
        std::process::exit(2);
    }
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);

    let mut done = Vec::new();
    if wanted("start") {
        done.push(start());
    }
    if wanted("list") || wanted("state") {
        let lab = Lab::up(&["h2-a"]);
        define_domains(&lab);
        if wanted("list") {
            done.push(measured_inside(&lab, "list"));
        }
        if wanted("state") {
            done.push(measured_inside(&lab, "state"));
        }
    }
    if wanted("evacuate") {
        done.extend(evacuate());
    }

    println!("{}", table(&done));
    println!("median (90 % of the rounds lie between); {}", machine());
    if strict && done.iter().any(|one| !one.met()) {
        std::process::exit(1);
    }
}

/// Start-up: one question to a driver that lives in the process.
fn start() -> Comparison {
    say("start-up and one question");
    let mut one = Comparison {
        name: "start, ask test:///default for its version",
        kvmsh: Samples::default(),
        virsh: Samples::default(),
        goal: Goal::AtMost(1.0),
    };
    for round in 0..101 {
        let kvmsh = || time(Command::new(KVMSH).args(["-c", r#"host("test:///default").version"#]));
        let virsh = || time(Command::new("virsh").args(["-c", "test:///default", "version"]));
        in_turn(round, &mut one, kvmsh, virsh);
    }
    one
}

/// Measures both, in an order that changes from round to round; the first round only warms up.
fn in_turn(round: usize, one: &mut Comparison, kvmsh: impl Fn() -> Duration, virsh: impl Fn() -> Duration) {
    let (ours, theirs) = if round.is_multiple_of(2) {
        let ours = kvmsh();
        (ours, virsh())
    } else {
        let theirs = virsh();
        (kvmsh(), theirs)
    };
    if round > 0 {
        one.kvmsh.add(ours);
        one.virsh.add(theirs);
    }
}

/// How long a command takes; its output goes where nobody reads it.
fn time(command: &mut Command) -> Duration {
    let began = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("the command starts");
    let took = began.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}

/// Defines domains that are off on h2-a, with one virsh for all.
fn define_domains(lab: &Lab) {
    say(&format!("defining {DOMAINS} domains"));
    let mut commands = String::new();
    for number in 0..DOMAINS {
        let file = lab.shared().join(format!("d{number:04}.xml"));
        fs::write(&file, domain_xml(number)).expect("a domain's XML");
        writeln!(commands, "define /srv/shared/d{number:04}.xml").expect("text");
    }
    fs::write(lab.shared().join("commands"), commands).expect("a list of commands");
    let mut define = lab.on_host("h2-a", "sh");
    define.args(["-c", "virsh -q -c qemu:///system </srv/shared/commands"]);
    let output = lab.run(define, Duration::from_secs(300));
    assert!(output.status.success(), "{}", output.stderr);
    // The programs must be where a host of the lab sees them.
    fs::copy(KVMSH, lab.shared().join("kvmsh")).expect("a copy of kvmsh");
    let this = std::env::current_exe().expect("this program");
    fs::copy(this, lab.shared().join("bench")).expect("a copy of this program");
}

fn domain_xml(number: usize) -> String {
    format!(
        "<domain type='qemu'><name>guest{number:04}</name><memory unit='MiB'>512</memory><vcpu>2</vcpu>\
         <os><type arch='x86_64' machine='pc'>hvm</type></os>\
         <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><memballoon model='virtio'/></devices></domain>"
    )
}

/// Runs this program once more inside h2-a, so that both tools talk to the daemon over its socket and only they are measured.
fn measured_inside(lab: &Lab, task: &'static str) -> Comparison {
    say(match task {
        "list" => "listing them",
        _ => "asking each for its state",
    });
    let mut bench = lab.on_host("h2-a", "/srv/shared/bench");
    bench.args(["--inside", task]);
    let output = lab.run(bench, Duration::from_secs(600));
    assert!(output.status.success(), "{}", output.stderr);
    let (name, goal) = match task {
        "list" => ("list 1,000 domains: state, memory, vCPUs | virsh list --all", Goal::AtMost(1.0)),
        _ => ("state of 1,000 domains | 1,000 × virsh domstate", Goal::TimesFaster(50.0)),
    };
    let mut one = Comparison { name, kvmsh: Samples::default(), virsh: Samples::default(), goal };
    for line in output.stdout.lines() {
        let (kvmsh, virsh) = line.split_once(' ').expect("two numbers");
        one.kvmsh.add(Duration::from_secs_f64(kvmsh.parse().expect("seconds")));
        one.virsh.add(Duration::from_secs_f64(virsh.parse().expect("seconds")));
    }
    one
}

/// Inside h2-a: prints the seconds of kvmsh and of virsh, a line for each round.
fn inside(task: &str) {
    const LIST: &str = r#"host("qemu:///system").domains()"#;
    const STATES: &str =
        r#"for one in host("qemu:///system").domains() { print(one.name + " " + one.state); }"#;
    const LOOP: &str = r#"for name in $(virsh -q -c qemu:///system list --all --name); do virsh -q -c qemu:///system domstate "$name"; done"#;
    let kvmsh = |code: &'static str| time(Command::new("/srv/shared/kvmsh").args(["-c", code]));
    let mut one = Comparison {
        name: "",
        kvmsh: Samples::default(),
        virsh: Samples::default(),
        goal: Goal::AtMost(1.0),
    };
    let rounds = if task == "list" { 31 } else { 4 };
    for round in 0..rounds {
        match task {
            "list" => {
                let virsh =
                    || time(Command::new("virsh").args(["-q", "-c", "qemu:///system", "list", "--all"]));
                in_turn(round, &mut one, || kvmsh(LIST), virsh);
            }
            _ => in_turn(round, &mut one, || kvmsh(STATES), || time(Command::new("sh").args(["-c", LOOP]))),
        }
    }
    for (kvmsh, virsh) in one.kvmsh.0.iter().zip(&one.virsh.0) {
        println!("{kvmsh} {virsh}");
    }
}

/// Six idle guests from one host to the other and back, by three means in turn.
fn evacuate() -> Vec<Comparison> {
    const ROUNDS: usize = 6;
    let hosts = ["h2-a", "h2-b"];
    let lab = Lab::up(&hosts);
    let names: Vec<String> = (1..=GUESTS).map(|number| format!("idle{number}")).collect();
    let guests: Vec<_> = names.iter().map(|name| lab.guest("h2-a", name).memory(128).start()).collect();
    guests.iter().for_each(lab::Guest::wait_boot);
    let uris = hosts.map(|host| uri(&lab, host));

    let mut took = [Samples::default(), Samples::default(), Samples::default()];
    // Three means and two directions: each means goes both ways in turn.
    for step in 0..3 * ROUNDS {
        let (means, from, to) = (step % 3, step % 2, (step + 1) % 2);
        say(&format!("evacuating {GUESTS} guests, {} of {}", step + 1, 3 * ROUNDS));
        let one = match means {
            0 => {
                let mut kvmsh = lab.controller(KVMSH);
                kvmsh.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/evacuate.rhai")).arg(hosts[from]);
                kvmsh
            }
            1 => shell(
                &lab,
                &format!("for name in {}; do {}; done", names.join(" "), virsh(&uris, from, to, "$name")),
            ),
            _ => shell(
                &lab,
                &format!(
                    "printf '%s\\n' {} | xargs -P 6 -I@ {}",
                    names.join(" "),
                    virsh(&uris, from, to, "@")
                ),
            ),
        };
        let output = lab.run(one, Duration::from_secs(300));
        assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
        took[means].add(output.took);
        let left = lab.virsh(hosts[from], &["list", "--all", "--name"]);
        assert_eq!(left.trim(), "", "guests stayed on {}", hosts[from]);
        std::thread::sleep(Duration::from_secs(1));
    }
    for guest in &guests {
        assert_eq!(guest.ticks().boots, 1, "{} was restarted", guest.name());
    }
    let [kvmsh, one_by_one, at_once] = took;
    let again = Samples(kvmsh.0.clone());
    vec![
        Comparison {
            name: "evacuate 6 guests | loop of virsh migrate",
            kvmsh,
            virsh: one_by_one,
            goal: Goal::TimesFaster(2.2),
        },
        Comparison {
            name: "evacuate 6 guests | virsh migrate under xargs -P 6",
            kvmsh: again,
            virsh: at_once,
            goal: Goal::AtMost(1.0),
        },
    ]
}

fn virsh(uris: &[String; 2], from: usize, to: usize, name: &str) -> String {
    format!(
        "virsh -q -c '{}' migrate --live --persistent --undefinesource --unsafe {name} '{}'",
        uris[from], uris[to]
    )
}

fn shell(lab: &Lab, line: &str) -> Command {
    let mut shell = lab.controller("sh");
    shell.args(["-e", "-c", line]);
    shell
}

/// The URI under which virsh reaches a host through the very wrapper around ssh that kvmsh uses.
fn uri(lab: &Lab, host: &str) -> String {
    let mut ask = lab.controller(KVMSH);
    ask.args(["-c", &format!("let host = host(\"{host}\"); host.version; host.uri")]);
    let output = lab.run(ask, Duration::from_secs(30));
    assert!(output.status.success(), "{}", output.stderr);
    let address = output.stdout.trim().rsplit('@').next().and_then(|rest| rest.split('/').next());
    let address = address.expect("an address in the URI").to_owned();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let wrapper = [runtime, Some(lab.scratch().join("cache"))]
        .into_iter()
        .flatten()
        .find_map(|base| wrapper_for(&base.join("kvmsh"), &address))
        .expect("kvmsh has written a wrapper around ssh");
    format!("qemu+ssh://{address}/system?command={}&no_tty=1", wrapper.display())
}

fn wrapper_for(base: &Path, address: &str) -> Option<PathBuf> {
    let found = fs::read_dir(base).ok()?.flatten().map(|entry| entry.path()).find(|dir| {
        fs::read_to_string(dir.join("config"))
            .is_ok_and(|config| config.split_whitespace().any(|word| word == address))
    });
    found.map(|dir| dir.join("ssh"))
}

fn table(done: &[Comparison]) -> String {
    let head = ["", "kvmsh", "virsh", "ratio", "goal", ""].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(done.iter().map(Comparison::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        writeln!(text, "{}", cells.join("  ").trim_end()).expect("text");
    }
    text
}

/// What a reader must know of the machine.
fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        cpuinfo
            .lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(": "))
            .map(|(_, value)| value)
    };
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let virsh =
        Command::new("virsh").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    format!(
        "{cpus} CPUs ({}), virsh {}, load at the end {}",
        field("model name").unwrap_or("of unknown model"),
        String::from_utf8_lossy(&virsh).trim(),
        load.split(' ').next().unwrap_or("unknown"),
    )
}

fn say(what: &str) {
    eprintln!("bench: {what}");
}
