//! The prompt's own state, and what its commands do.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, ExitStatus};
use std::time::{Duration, Instant};

use super::commands::{Command, LIST};
use super::record::Record;
use super::world::{State, World};
use super::{Setup, bare, commands, entry};
use crate::gate::Mode;
use crate::inventory;
use crate::model::{Cancel, Cell, Data, Diagnosis, Fault, Table, Tone};
use crate::ops::Session;
use crate::script::{End, Runner, Source, wrap};
use crate::ui::{self, Format, Shown, Term};

/// What comes after an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next one.
    Line,
    /// The next one begins with this text.
    Begin(String),
    /// The prompt ends with this exit code.
    Leave(u8),
}

/// The prompt.
pub(super) struct Shell {
    session: Session,
    setup: Setup,
    world: World,
    /// What the session was begun with.
    mode: Mode,
    format: Shown,
    timing: bool,
    record: Option<Record>,
    /// What a script needs first, to know the host that the prompt has given.
    prologue: Option<String>,
    count: usize,
    last: String,
}

impl Shell {
    pub(super) fn new(session: &Session, setup: Setup, world: World, prologue: Option<String>) -> Self {
        Self {
            session: session.clone(),
            world,
            mode: session.gate().mode(),
            format: setup.format.clone(),
            timing: false,
            record: None,
            prologue,
            count: 0,
            last: String::new(),
            setup,
        }
    }

    /// Runs one entry.
    pub(super) fn entry(&mut self, runner: &mut Runner, text: &str, term: &Term) -> Next {
        let term = entry::now(term);
        runner.set_width(term.width.unwrap_or(80));
        // A Ctrl-C that came too late for the last entry is not meant for this one.
        self.session.cancel().reset();
        match commands::parse(text, |code| runner.is_code(code)) {
            Some(command) => {
                command.and_then(|command| self.command(command, runner, &term)).unwrap_or_else(|fault| {
                    entry::complain(&fault.into(), &term);
                    Next::Line
                })
            }
            None => self.code(runner, text, &term),
        }
    }

    fn code(&mut self, runner: &mut Runner, text: &str, term: &Term) -> Next {
        self.last = text.to_owned();
        self.count += 1;
        let text = bare::call(text, runner).unwrap_or_else(|| text.to_owned());
        let source = Source { name: format!("repl[{}]", self.count), text };
        self.run(runner, &source, term)
    }

    /// Runs code, shows what came of it, and records it.
    fn run(&mut self, runner: &mut Runner, source: &Source, term: &Term) -> Next {
        let began = Instant::now();
        let planned = self.session.gate().mode() == Mode::Plan;
        let result = runner.run_line(source);
        let took = began.elapsed();
        self.session.leases().give_back();
        self.world.doubt();
        if let Some(record) = self.record.as_mut()
            && let Err(fault) = record.add(runner, &source.text, &result, planned)
        {
            entry::complain(&fault.into(), term);
            self.record = None;
        }
        let next = match result {
            Ok(End::Exit(code)) => Next::Leave(code),
            Ok(End::Value(value)) => {
                entry::show(&value, self.format.get(), term, self.session.cancel());
                Next::Line
            }
            Err(mut diagnosis) => {
                self.say_where(&mut diagnosis);
                entry::complain(&diagnosis, term);
                Next::Line
            }
        };
        if self.session.gate().mode() == Mode::Plan {
            entry::pending(&self.session);
        }
        if self.timing {
            ui::say(&format!("took {}", human(took)));
        }
        next
    }

    /// A guest that is not here may be known to be there.
    fn say_where(&self, diagnosis: &mut Diagnosis) {
        let fault = &mut diagnosis.fault;
        let name = fault.object.as_deref().and_then(|object| object.strip_prefix("domain "));
        let Some(name) = name.filter(|_| fault.code == "no_domain") else { return };
        let mut hosts = self.world.hosts_with(name);
        hosts.retain(|host| Some(host) != fault.host.as_ref());
        if !hosts.is_empty() {
            fault.hint = Some(format!("`{name}` is on {}", hosts.join(", ")));
        }
    }

    fn command(&mut self, command: Command, runner: &mut Runner, term: &Term) -> Result<Next, Fault> {
        match command {
            Command::Help => help(term),
            Command::Format(None) => ui::say(&format!("results are shown as {}", word(self.format.get()))),
            Command::Format(Some(format)) => self.format.set(format),
            Command::Time(on) => {
                self.timing = on.unwrap_or(!self.timing);
                ui::say(if self.timing { "each entry says how long it took" } else { "no times are shown" });
            }
            Command::Hosts => entry::show(&self.hosts(), self.format.get(), term, self.session.cancel()),
            Command::Plan(on) => self.plan(on)?,
            Command::Record(path) => {
                let record = Record::begin(&path, self.prologue.as_deref())?;
                ui::say(&format!("recording to {}; `:record stop` ends it", path.display()));
                self.record = Some(record);
            }
            Command::StopRecord => match self.record.take() {
                Some(record) => ui::say(&record.summary()),
                None => {
                    return Err(
                        Fault::new("usage", "nothing is being recorded").hint("`:record FILE` begins")
                    );
                }
            },
            Command::Recording => match &self.record {
                Some(record) => ui::say(&record.summary()),
                None => ui::say("nothing is being recorded; `:record FILE` begins"),
            },
            Command::Source(path) => return self.source(&path, runner, term),
            Command::Edit => return edit(&self.last, self.session.cancel()).map(Next::Begin),
            Command::Reload => {
                if let Err(diagnosis) = self.reload(runner) {
                    entry::complain(&diagnosis, term);
                }
            }
            Command::Quit => return Ok(Next::Leave(0)),
            Command::Local(line) => {
                local(&line, self.session.cancel())?;
                ui::term::fresh_line(term);
            }
        }
        Ok(Next::Line)
    }

    fn plan(&self, on: Option<bool>) -> Result<(), Fault> {
        let gate = self.session.gate();
        match on {
            Some(true) => gate.set_mode(Mode::Plan),
            // Who began with --plan or --read-only may end the one, and not the other.
            Some(false) if self.mode == Mode::ReadOnly => gate.set_mode(Mode::ReadOnly),
            Some(false) => gate.set_mode(Mode::Apply),
            None => {}
        }
        ui::say(match gate.mode() {
            Mode::Plan => "changes are only listed; `:plan off` ends that",
            Mode::Apply => "changes are made",
            Mode::ReadOnly => "changes are refused: kvmsh was started with --read-only",
        });
        Ok(())
    }

    /// Runs a script so that what it declares stays.
    pub(super) fn source(&mut self, path: &Path, runner: &mut Runner, term: &Term) -> Result<Next, Fault> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Fault::new("no_script", format!("cannot read {}", path.display())).because(error.to_string())
        })?;
        let source = Source { name: path.display().to_string(), text };
        Ok(match self.run(runner, &source, term) {
            // The script's end is not the prompt's.
            Next::Leave(code) => {
                ui::say(&format!("{} ended with exit code {code}", path.display()));
                Next::Line
            }
            next => next,
        })
    }

    /// Runs the script that a person wants at each start.
    pub(super) fn begin(&mut self, path: &Path, runner: &mut Runner, term: &Term) -> Next {
        self.source(path, runner, term).unwrap_or_else(|fault| {
            entry::complain(&fault.into(), term);
            Next::Line
        })
    }

    fn reload(&mut self, runner: &mut Runner) -> Result<(), Diagnosis> {
        let inventory = inventory::load(self.setup.location.as_ref())?;
        let count = inventory.hosts.len();
        self.session.renew(inventory.clone());
        self.world.renew(inventory);
        runner.forget();
        let hosts = if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") };
        ui::say(&format!("{hosts} in the inventory; modules are read again when they are imported"));
        Ok(())
    }

    fn hosts(&self) -> Data {
        let mut table = Table::with_columns(["name", "state", "running", "guests", "why", "uri"]);
        let hosts = self.session.hosts(&[]).unwrap_or_default();
        for host in hosts {
            let number = |number: usize| Cell::Number(i64::try_from(number).unwrap_or(i64::MAX));
            let state = |word: &str, tone| Cell::State(word.to_owned(), tone);
            let mut row = vec![Cell::Text(host.name().to_owned())];
            row.extend(match self.world.state(host.name()) {
                State::Unknown => [state("asking", Tone::Idle), Cell::Nothing, Cell::Nothing, Cell::Nothing],
                State::Up(running, all) => {
                    [state("up", Tone::Good), number(running), number(all), Cell::Nothing]
                }
                State::Down(why) => [state("down", Tone::Bad), Cell::Nothing, Cell::Nothing, Cell::Text(why)],
            });
            row.push(Cell::Text(host.uri()));
            table.rows.push(row);
        }
        if table.rows.is_empty() {
            return Data::Text("the inventory has no hosts: `kvmsh hosts add NAME ADDRESS` adds one".into());
        }
        Data::Table(table)
    }
}

fn help(term: &Term) {
    let width = term.width.unwrap_or(80).clamp(20, 100);
    let column = 30.min(width / 2);
    for (name, argument, what) in LIST {
        let left = format!("{name}{}{argument}", if argument.is_empty() { "" } else { " " });
        let mut lines = wrap(what, width, column).into_iter();
        let first = lines.next().unwrap_or_default();
        if left.len() < column {
            ui::say(&format!("{left:column$}{}", first.trim_start()));
        } else {
            ui::say(&left);
            ui::say(&first);
        }
        lines.for_each(|line| ui::say(&line));
    }
    ui::say("");
    let keys = "Tab completes, the right arrow takes the grey hint, Alt and the right arrow one word of it, \
                Ctrl-R searches what was typed before, Alt-Enter begins a new line. `it` is the last result, \
                `last_error` the last error. A line that begins with a space, or carries a secret, is not kept in the history.";
    wrap(keys, width, 0).iter().for_each(|line| ui::say(line));
}

const fn word(format: Format) -> &'static str {
    match format {
        Format::Table => "tables",
        Format::Json => "JSON",
        Format::Yaml => "YAML",
        Format::Csv => "CSV",
    }
}

fn human(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 0.1 => format!("{:.1} ms", seconds * 1000.0),
        seconds if seconds < 10.0 => format!("{seconds:.2} s"),
        seconds => format!("{seconds:.0} s"),
    }
}

/// Runs a program at the terminal. Ctrl-C is meant for it then, not for kvmsh.
fn wait(program: &mut Program, cancel: &Cancel) -> std::io::Result<ExitStatus> {
    ui::pager::ended(&mut program.spawn()?, cancel)
}

/// Runs a line in this machine's shell.
fn local(line: &str, cancel: &Cancel) -> Result<(), Fault> {
    if line.is_empty() {
        return Err(Fault::new("usage", "`!COMMAND` runs a command of this machine's shell"));
    }
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let mut program = Program::new(&shell);
    program.arg("-c").arg(line);
    if let Some(path) = path_with_kvmsh() {
        program.env("PATH", path);
    }
    let status = wait(&mut program, cancel).map_err(|error| {
        Fault::new("local_command", format!("cannot run {}", Path::new(&shell).display()))
            .because(error.to_string())
    })?;
    if let Some(code) = status.code().filter(|code| *code != 0) {
        ui::say(&format!("ended with status {code}"));
    }
    Ok(())
}

/// `$PATH` with the directory of this kvmsh behind it, so that `!kvmsh` is found where it is installed nowhere.
fn path_with_kvmsh() -> Option<std::ffi::OsString> {
    let own = std::env::current_exe().ok()?;
    // Without one the shell has its own.
    let path = std::env::var_os("PATH")?;
    let all = std::env::split_paths(&path).chain(own.parent().map(Path::to_owned));
    std::env::join_paths(all).ok()
}

/// Lets a person edit a text in their editor.
fn edit(text: &str, cancel: &Cancel) -> Result<String, Fault> {
    let chosen =
        ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|e| !e.is_empty()));
    let editor = chosen.unwrap_or_else(|| "vi".to_owned());
    let fail = |what: &str, error: std::io::Error| {
        Fault::new("editor", format!("{what} `{editor}`")).because(error.to_string())
    };
    let file = Draft::new(text).map_err(|error| fail("cannot write a file for", error))?;
    // The variable may hold options: `code --wait`.
    let script = format!("{editor} \"$1\"");
    let status = wait(Program::new("/bin/sh").args(["-c", &script, "sh"]).arg(&file.0), cancel)
        .map_err(|error| fail("cannot run", error))?;
    if !status.success() {
        return Err(Fault::new("editor", format!("`{editor}` ended with {status}"))
            .hint("set $VISUAL or $EDITOR to an editor that is installed"));
    }
    let edited =
        std::fs::read_to_string(&file.0).map_err(|error| fail("cannot read what was written with", error))?;
    Ok(edited.trim_end().to_owned())
}

/// A file for nobody else to read, that goes away.
struct Draft(PathBuf);

impl Draft {
    fn new(text: &str) -> std::io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let name = format!("kvmsh-{}.rhai", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let draft = Self(path);
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
