//! Views at a pseudo-terminal, and what they write where no terminal is.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use rexpect::session::{Options, PtySession, spawn_with_options};
use tempfile::TempDir;

use crate::lab::Lab;

/// How long anything may take before a test fails.
const LIMIT_MS: u64 = 30_000;

/// A stop has to be done with by then; 200 ms on a machine that has nothing else to do.
const SOON: Duration = Duration::from_secs(2);

/// A page of its own, and the way back.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// A pseudo-terminal, and the home that goes with it.
struct Terminal(PtySession, #[allow(dead_code)] Option<TempDir>);

impl Terminal {
    fn spawn(command: Command, home: Option<TempDir>) -> Self {
        let options = Options::new().timeout_ms(Some(LIMIT_MS)).strip_ansi_escape_codes(false);
        Self(spawn_with_options(command, options).unwrap(), home)
    }

    /// `kvmsh -c CODE` at a terminal of its own.
    fn code(code: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        plain(&mut command, home.path()).args(["-c", code]);
        Self::spawn(command, Some(home))
    }

    /// The same on a lab's controller.
    fn in_lab(lab: &Lab, code: &str) -> Self {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab"));
        plain(&mut command, lab.scratch()).arg("enter").arg(lab.dir());
        command.arg(env!("CARGO_BIN_EXE_kvmsh")).args(["-c", code]);
        Self::spawn(command, None)
    }

    /// Waits until this has been written; returns what was written before it.
    #[track_caller]
    fn shows(&mut self, text: &str) -> String {
        self.0.exp_string(text).unwrap_or_else(|error| panic!("waited for {text:?}: {error}"))
    }

    fn types(&mut self, text: &str) -> &mut Self {
        self.0.send(text).unwrap();
        self.0.flush().unwrap();
        self
    }

    /// Waits for the end; returns what was still written.
    #[track_caller]
    fn ends_with(&mut self, code: i32) -> String {
        let last = self.0.exp_eof().unwrap();
        match self.0.process().wait().unwrap() {
            WaitStatus::Exited(_, got) => assert_eq!(got, code, "{last}"),
            other => panic!("{other:?}: {last}"),
        }
        last
    }
}

fn plain<'a>(command: &'a mut Command, home: &std::path::Path) -> &'a mut Command {
    command
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"));
    command.env_remove("KVMSH_INVENTORY").env("LANG", "C.UTF-8").env("TERM", "xterm").env("NO_COLOR", "1")
}

const WATCH: &str = r#"watch(0.2, || host("test:///default").domains()); 42"#;

#[test]
fn watch_draws_in_place_and_a_key_leaves_it() {
    let mut terminal = Terminal::code(WATCH);
    terminal.shows(ENTER);
    terminal.shows("q leaves");
    terminal.shows("running");
    // The next picture begins at the top again.
    terminal.shows("\x1b[H");
    terminal.shows("running");
    terminal.types("q").shows(LEAVE);
    assert!(terminal.ends_with(0).contains("42"));
}

#[test]
fn a_stop_ends_a_view_soon_and_gives_the_terminal_back() {
    for (code, first) in [(WATCH, "running"), (r#"top("test:///default")"#, "cpu %")] {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let mut terminal = Terminal::code(code);
            terminal.shows(ENTER);
            terminal.shows(first);
            let began = Instant::now();
            match signal {
                Signal::SIGINT => {
                    terminal.types("\x03");
                }
                signal => terminal.0.process_mut().signal(signal).unwrap(),
            }
            terminal.shows(LEAVE);
            assert!(began.elapsed() < SOON, "{code}, {signal}: {:?}", began.elapsed());
            terminal.ends_with(130);
        }
    }
}

#[test]
fn an_error_inside_a_view_is_told_on_the_page_that_stays() {
    let mut terminal =
        Terminal::code(r#"let n = 0; watch(0.1, || { n += 1; if n == 3 { throw "enough"; } n })"#);
    terminal.shows(LEAVE);
    assert!(terminal.ends_with(1).contains("enough"));
}

#[test]
fn top_shows_guests_and_suspends_after_a_yes() {
    for (keys, state) in [("pnq", "running"), ("pyq", "paused")] {
        let mut terminal = Terminal::code(
            r#"top("test:///default", #{every: 0.2}); host("test:///default").domain("test").state"#,
        );
        terminal.shows("cpu %");
        terminal.shows("running");
        terminal.types(keys).shows(LEAVE);
        let last = terminal.ends_with(0);
        assert!(last.contains(state), "{keys}: {last:?}");
    }
}

#[test]
fn where_no_terminal_is_views_write_plain_text() {
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        let output = plain(&mut command, home.path()).args(args).stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    let (code, text) = run(&["-c", r#"watch(0.1, 3, || host("test:///default").domains()); ()"#]);
    assert_eq!((code, text.matches("running").count()), (0, 3), "{text}");
    let (code, text) = run(&["-c", r#"top("test:///default", #{every: 0.1, times: 2})"#]);
    assert_eq!((code, text.matches("running").count()), (0, 2), "{text}");
    assert!(!text.contains('\x1b'), "{text:?}");
    let (code, text) = run(&["-c", r#"host("test:///default").domain("test").console()"#]);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("no_terminal"), "{text}");
    let (code, text) = run(&["--timeout", "1", "-c", r#"watch(0.1, || 1)"#]);
    assert!(code == 124 && text.matches('1').count() > 3, "{code}: {text}");
}

#[test]
fn a_screen_becomes_a_png() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("screen.png");
    let code = format!("host(\"test:///default\").domain(\"test\").screenshot({file:?}).width");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
    let output = plain(&mut command, home.path()).args(["-c", &code]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let picture = fs::read(&file).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n"));
    let width = u32::from_be_bytes(picture[16..20].try_into().unwrap());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), width.to_string());
}

#[test]
fn console_screen_events_and_topology_of_a_real_guest() {
    let lab = Lab::up(&["h2-a"]);
    let web = lab.guest("h2-a", "web").start();
    web.wait_boot();

    let mut terminal = Terminal::in_lab(&lab, r#"host("h2-a").domain("web").console(); "after" + 1"#);
    terminal.shows("Ctrl-] leaves it");
    terminal.types("\r").shows("# ");
    terminal.types("echo from-$((20 + 22))\r").shows("from-42");
    // Ctrl-C is the guest's: kvmsh goes on.
    terminal.types("\x03").shows("BusyBox");
    terminal.shows("# ");
    terminal.types("echo still-$((1 + 1))\r").shows("still-2");
    let began = Instant::now();
    terminal.types("\x1d").shows("left the console of web");
    assert!(began.elapsed() < SOON);
    assert!(terminal.ends_with(0).contains("after1"));

    let mut terminal = Terminal::in_lab(&lab, r#"host("h2-a").domain("web").console()"#);
    terminal.shows("Ctrl-] leaves it");
    terminal.0.process_mut().signal(Signal::SIGTERM).unwrap();
    terminal.ends_with(130);

    let run = |code: &str| {
        let mut kvmsh = lab.kvmsh();
        kvmsh.args(["-c", code]);
        lab.run(kvmsh, Duration::from_secs(60))
    };
    let output = run(r#"host("h2-a").topology()"#);
    assert!(output.status.success(), "{}", output.stderr);
    for part in [
        "h2-a  qemu",
        "├─ links",
        "eth0",
        "pool  running  dir",
        "web.qcow2  disk  vda of web",
        "└─ web  guest  running",
    ] {
        assert!(output.stdout.contains(part), "no {part:?} in\n{}", output.stdout);
    }

    let output = run(r#"host("h2-a").domain("web").screenshot("/dev/null")"#);
    assert!(output.stderr.contains("operation_invalid"), "{}", output.stderr);
    let picture = lab.scratch().join("screen.png");
    let code = format!(
        "let h = host(\"h2-a\"); let web = h.domain(\"web\"); web.destroy(); let xml = web.inactive_xml; \
         xml.replace(\"</devices>\", \"<video><model type='vga'/></video></devices>\"); h.define(xml); web.start(); \
         web.screenshot({picture:?})"
    );
    let output = run(&code);
    assert!(output.status.success(), "{}", output.stderr);
    assert!(fs::read(&picture).unwrap().starts_with(b"\x89PNG\r\n"));

    let mut events = lab.kvmsh();
    events.args(["-c", r#"events("h2-a", #{timeout: 20, event: "suspended"})"#]);
    let events = lab.spawn(events);
    let began = Instant::now();
    let mut lines = String::new();
    while lines.is_empty() && began.elapsed() < Duration::from_secs(20) {
        run(r#"let web = host("h2-a").domain("web"); web.suspend(); web.resume()"#);
        lines = events.stdout();
    }
    assert!(lines.contains("h2-a  web  suspended (paused)"), "{lines:?}");
    events.signal("INT");
    assert_eq!(events.wait(Duration::from_secs(10)).status.code(), Some(130));
}

#[test]
fn definitions_for_editors_name_types_and_explain() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("a/b");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
    let output = plain(&mut command, home.path()).arg("definitions").arg(&dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut all = String::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.to_str().unwrap().ends_with(".d.rhai"), "{path:?}");
        all.push_str(&fs::read_to_string(path).unwrap());
    }
    let code = || all.lines().filter(|line| !line.trim_start().starts_with("//"));
    for part in [
        "fn host(name_or_uri: string) -> Host;",
        "module \"std/evacuate\";",
        "fn run(source: ?, options: ?) -> ?;",
        "/// Empties a host: every guest goes where there is room for it.",
        "fn get state(",
        "/// A host by its name in the inventory",
    ] {
        assert!(all.contains(part), "no {part:?}");
    }
    for odd in ["Outcome<", "kvmsh::", "crate::", "&mut "] {
        assert_eq!(code().find(|line| line.contains(odd)), None, "{odd}");
    }
}
