//! The command line: what the arguments ask for, and the exit code it ends with.

pub mod args;
mod check;
mod definitions;
mod docs;
mod hosts;
mod journal;
mod lock;
mod new;
pub mod plan;
mod run;
mod signals;
mod source;
mod split;
mod start;

use std::ffi::OsString;
use std::panic;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::model::{Diagnosis, Fault};
use crate::ui::{self, Term, diagnostic};
use args::{Cli, Command, HostsCommand};
use split::Split;
use start::Start;

/// Does what the arguments ask for.
pub fn main(argv: Vec<OsString>) -> ExitCode {
    panic::set_hook(Box::new(|info| {
        // A view has a page of its own, which nobody reads any more.
        ui::screen::restore();
        ui::say(&defect(info));
    }));
    ExitCode::from(panic::catch_unwind(|| dispatch(argv)).unwrap_or(1))
}

/// What a person needs to report a defect; a backtrace would tell them nothing.
fn defect(info: &panic::PanicHookInfo<'_>) -> String {
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    format!(
        "kvmsh {}: this is a defect of kvmsh, not of your script or your hosts:\n  {}{}\n  \
         Please report it with what you were doing. What was changed is in: kvmsh journal",
        env!("CARGO_PKG_VERSION"),
        info.payload_as_str().unwrap_or("no message"),
        place.unwrap_or_default(),
    )
}

fn dispatch(argv: Vec<OsString>) -> u8 {
    let mut command = Cli::command();
    command.build();
    let split = Split::of(&command, argv);
    let cli = match parse(command, &split.options) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, with 0; all others to stderr, with 2.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let term = Term::detect(cli.options.color);
    let done = Start::new(cli.options, term).and_then(|start| act(cli.code, cli.command, split.rest, &start));
    done.unwrap_or_else(|diagnosis| complain(&diagnosis, &term))
}

fn parse(command: clap::Command, options: &[OsString]) -> Result<Cli, clap::Error> {
    // clap decides about colour before it has read --color: look at it first.
    let colour = match args::early_colour(options) {
        ui::Choice::Auto => clap::ColorChoice::Auto,
        ui::Choice::Always => clap::ColorChoice::Always,
        ui::Choice::Never => clap::ColorChoice::Never,
    };
    Cli::from_arg_matches(&command.color(colour).try_get_matches_from(options)?)
}

fn act(
    code: Option<String>,
    command: Option<Command>,
    rest: Vec<OsString>,
    start: &Start,
) -> Result<u8, Diagnosis> {
    match (code, command) {
        (Some(_), Some(_)) => Err(args::usage("-c takes code to run, not a command beside it").into()),
        (Some(code), None) => run::script(&source::code(code), &source::arguments(&rest)?, true, start),
        (None, Some(command)) => subcommand(command, start),
        (None, None) => match rest.split_first() {
            Some((file, args)) => run::script(&source::file(file)?, &source::arguments(args)?, false, start),
            None => run::alone(start),
        },
    }
}

fn subcommand(command: Command, start: &Start) -> Result<u8, Diagnosis> {
    match command {
        Command::Check { files } => check::run(&files, start),
        Command::Journal(wanted) => journal::run(&wanted, start),
        Command::New { name } => new::run(&name, start),
        Command::Completions { shell } => docs::completions(shell).map_err(Into::into),
        Command::Definitions { dir } => definitions::run(&dir, start),
        Command::Man => docs::man().map_err(Into::into),
        Command::Hosts { command: None } => hosts::state(start),
        Command::Hosts { command: Some(command) } => match command {
            HostsCommand::List => hosts::list(start),
            HostsCommand::Test { names } => hosts::test(&names, start),
            HostsCommand::Add(arguments) => hosts::add(&arguments, start),
            HostsCommand::Remove { name } => hosts::remove(&name, start),
        },
    }
}

/// Shows the error and returns its exit code.
fn complain(diagnosis: &Diagnosis, term: &Term) -> u8 {
    // `kvmsh … | head`: the reader has what it wanted.
    if diagnosis.fault.code != "stdout_closed" {
        ui::log::complain(diagnosis, &diagnostic::render(diagnosis, term));
    }
    diagnosis.fault.class.exit_code()
}

/// Writes a result to stdout; that its reader has gone is no failure then.
fn deliver(text: &str) -> Result<(), Fault> {
    match ui::print(text) {
        Err(fault) if fault.code == "stdout_closed" => Ok(()),
        other => other,
    }
}
