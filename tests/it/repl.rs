//! The prompt at a pseudo-terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use rexpect::session::{Options, PtySession, spawn_with_options};
use tempfile::TempDir;

/// How long anything may take before a test fails.
const LIMIT_MS: u64 = 15_000;

/// Ctrl-C has to be done with by then.
const SOON: Duration = Duration::from_secs(1);

pub struct Prompt(pub PtySession);

pub fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
    command
        .args(args)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env("LANG", "C.UTF-8")
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    command
}

pub fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("config/kvmsh")).unwrap();
    // With a host there is nothing that depends on whether this machine has libvirt.
    fs::write(
        home.path().join("config/kvmsh/hosts.toml"),
        "[hosts.lab]\naddress = \"localhost\"\nuri = \"test:///default\"\n",
    )
    .unwrap();
    home
}

impl Prompt {
    pub fn spawn(command: Command) -> Self {
        let options = Options::new().timeout_ms(Some(LIMIT_MS)).strip_ansi_escape_codes(true);
        Self(spawn_with_options(command, options).unwrap())
    }

    pub fn open(home: &TempDir) -> Self {
        let mut prompt = Self::spawn(command(home.path(), &[]));
        prompt.shows("kvmsh> ");
        prompt
    }

    pub fn types(&mut self, text: &str) -> &mut Self {
        self.0.send(text).unwrap();
        self.0.flush().unwrap();
        self
    }

    pub fn line(&mut self, text: &str) -> &mut Self {
        self.types(&format!("{text}\r"))
    }

    /// Waits until this has been written; returns what was written before it.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> String {
        self.0.exp_string(text).unwrap_or_else(|error| panic!("waited for {text:?}: {error}"))
    }

    pub fn control(&mut self, key: char) -> &mut Self {
        self.0.send_control(key).unwrap();
        self
    }

    #[track_caller]
    pub fn ends_with(&mut self, code: i32) -> String {
        let last = self.0.exp_eof().unwrap();
        match self.0.process().wait().unwrap() {
            WaitStatus::Exited(_, got) => assert_eq!(got, code, "{last}"),
            other => panic!("{other:?}: {last}"),
        }
        last
    }
}

#[test]
fn opens_with_what_there_is_to_work_with_and_evaluates() {
    let home = home();
    let mut prompt = Prompt::spawn(command(home.path(), &[]));
    prompt.shows("kvmsh 0.");
    prompt.shows("1 host: lab. ");
    prompt.shows("kvmsh> ");
    prompt.line("host(\"lab\").domains()").shows("name");
    prompt.shows("8 GiB");
    prompt.line("it.len() + 41").shows("42");
    prompt.line("hosts").shows("up");
    prompt.line("exit").ends_with(0);
}

#[test]
fn without_hosts_there_is_one_to_play_with() {
    let home = tempfile::tempdir().unwrap();
    let mut prompt = Prompt::spawn(command(home.path(), &[]));
    let (_, name) = prompt.0.exp_regex("`(demo|local)`").unwrap();
    let name = name.trim_matches('`').to_owned();
    prompt.shows("kvmsh> ");
    prompt.line(&format!("{name}.uri")).shows("///");
    prompt.line("fn of() { 1 }").line(&format!("fn uri() {{ {name}.uri + \"!\" }}")).line("uri()").shows("!");
    prompt.control('d').ends_with(0);
}

#[test]
fn entries_go_on_until_they_are_complete() {
    let home = home();
    let mut prompt = Prompt::open(&home);
    prompt.line("fn twice(n) {").line("    n * 2").line("}").line("twice(21)").shows("42");
    prompt.types("\x1b[200~let a = [\n  40,\n  3,\n];\nprint(a[0] + a[1]);\x1b[201~\r").shows("\n43");
    // Two empty lines end what cannot be ended otherwise.
    for line in ["let b = [1,", "", ""] {
        // What comes faster is pasted, and may have empty lines.
        std::thread::sleep(Duration::from_millis(100));
        prompt.line(line);
    }
    prompt.shows("error[syntax]");
    prompt.types("fn far(n) {\r\r\r    n * 2\r}\r").line("far(4)").shows("\n8");
    prompt.line("6 * 11").shows("66");
    prompt.line("exit").ends_with(0);
}

#[test]
fn an_error_shows_its_entry_and_a_caret_and_stays_at_hand() {
    let home = home();
    let mut prompt = Prompt::open(&home);
    prompt.line("let lab = host(\"lab\");");
    prompt.line("lab.domain(\"tset\").state").shows("error[no_domain]");
    prompt.shows("--> repl[2]:1:12");
    prompt.shows("^^^^^^");
    prompt.shows("did you mean `test`?");
    prompt.line("\"<\" + last_error.code + \">\"").shows("<no_domain>");
    prompt.line("exit").ends_with(0);
}

#[test]
fn ctrl_c_clears_the_line_and_interrupts_what_runs() {
    let home = home();
    let mut prompt = Prompt::open(&home);
    // What is typed right behind a Ctrl-C is lost with the line: nothing may be painted in between.
    prompt.shows("up: lab");
    prompt.shows("kvmsh> ");
    prompt.types("exit(9) // never entered").control('c').shows("kvmsh> ");
    for endless in ["loop {}", "sleep(60)", "while true { try { sleep(60) } catch {} }"] {
        prompt.line(&format!("print(\"g\" + \"o\"); {endless}")).shows("\ngo");
        let began = Instant::now();
        prompt.control('c').shows("interrupted");
        assert!(began.elapsed() < SOON, "{endless}: {:?}", began.elapsed());
    }
    prompt.line("40 + 2").shows("42");
    prompt.control('d').ends_with(0);
}

#[test]
fn exit_ends_with_its_code() {
    let home = home();
    let mut prompt = Prompt::open(&home);
    prompt.line("exit(3)").ends_with(3);
}

#[test]
fn history_is_private_and_there_for_the_next_session() {
    let home = home();
    let file = home.path().join("state/kvmsh/history");
    let mut one = Prompt::open(&home);
    let mut other = Prompt::open(&home);
    one.line("\"fi\" + \"rst\"").shows("first");
    other.line("\"sec\" + \"ond\"").shows("second");
    one.line(" \"not \" + \"kept\"").shows("not kept");
    one.line("[1,").line("7].len()").shows("2");
    one.control('d').ends_with(0);
    other.control('d').ends_with(0);

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let kept = fs::read_to_string(&file).unwrap();
    assert_eq!(kept.lines().count(), 4, "{kept}");
    assert!(kept.contains("rst") && kept.contains("ond") && !kept.contains("kept"), "{kept}");

    let mut next = Prompt::open(&home);
    // Up: the entry of two lines; once more: its first line; then the one before.
    next.types("\x1b[A").shows("7].len()");
    next.line("").shows("2");
    next.line("exit").ends_with(0);
}

#[test]
fn the_prompt_says_when_nothing_is_changed() {
    let home = home();
    let mut prompt = Prompt::spawn(command(home.path(), &["--plan"]));
    prompt.shows("kvmsh (plan)> ");
    prompt.line("host(\"lab\").domain(\"test\").suspend()").shows("would suspend domain test on lab");
    prompt.line("host(\"lab\").domain(\"test\").state").shows("running");
    prompt.line("exit").ends_with(0);
    let mut prompt = Prompt::spawn(command(home.path(), &["--read-only"]));
    prompt.shows("kvmsh (read-only)> ");
    prompt.line("host(\"lab\").domain(\"test\").suspend()").shows("error[read_only]");
    prompt.line("exit").ends_with(0);
}

#[test]
fn help_is_there() {
    let home = home();
    let mut prompt = Prompt::open(&home);
    prompt.line("help").shows("Objects");
    prompt.shows("std/evacuate");
    prompt.line("help migrate").shows("domain.migrate(target, options: map)");
    prompt.line("help(host(\"lab\"))").shows("Properties");
    prompt.line("exit").ends_with(0);
}

#[test]
fn sigterm_ends_it_and_gives_the_terminal_back() {
    let home = home();
    let mut prompt = Prompt::open(&home);
    prompt.line("1 + 1").shows("2");
    prompt.shows("kvmsh> ");
    prompt.0.process_mut().signal(Signal::SIGTERM).unwrap();
    prompt.ends_with(130);
    let mut prompt = Prompt::open(&home);
    prompt.line("print(\"g\" + \"o\"); loop {}").shows("\ngo");
    prompt.0.process_mut().signal(Signal::SIGTERM).unwrap();
    prompt.ends_with(130);
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let home = home();
    let mut command = command(home.path(), &[]);
    fs::write(home.path().join("edit.sh"), "sed -i 's/40/41/' \"$1\"\n").unwrap();
    let editor = format!("sh {}", home.path().join("edit.sh").display());
    command.env("TERM", "dumb").env("VISUAL", editor).env("PATH", "/usr/bin:/bin");
    let mut prompt = Prompt::spawn(command);
    prompt.shows("kvmsh> ");
    prompt.types("fn f() {\n41 + 1\n}\n").types("f()\n").shows("42");
    prompt.control('c').shows("kvmsh> ");
    prompt.types("print(\"g\" + \"o\"); loop {}\n").shows("go");
    prompt.control('c').shows("interrupted");
    for line in ["[1,\n", "\n", "\n"] {
        std::thread::sleep(Duration::from_millis(100));
        prompt.types(line);
    }
    prompt.shows("error[syntax]");
    // What the editor has left is there, and Enter takes it.
    prompt.types("40 + 2\n").shows("42");
    prompt.types(":edit\n").shows("kvmsh> 41 + 2");
    prompt.types("\n").shows("43");
    prompt.types("host(\"lab\").domain(\"test\").console()\n").shows("TERM says `dumb`");
    prompt.types("exit(7)\n").ends_with(7);
}
