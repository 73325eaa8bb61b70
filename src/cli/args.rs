//! Every option and command, defined once: help, man page and completions come from here.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use jiff::Timestamp;

use super::{journal, lock};
use crate::model::{Class, Fault, Limit, Window};
use crate::ui::log::LogFormat;
use crate::ui::{Choice, Format};

const USAGE: &str = "kvmsh [OPTIONS] [FILE [ARGS]...]
       kvmsh [OPTIONS] -c CODE [ARGS]...
       kvmsh [OPTIONS] COMMAND";

pub(super) const EXIT_CODES: &str = "  0    done; with --plan: nothing to change
  1    the script failed
  2    usage, or a mistake in the inventory
  3    could not connect or authenticate
  4    refused before anything was changed
  5    partial: some objects failed, the report names them
  6    --plan: changes are pending
  124  --timeout was reached
  130  interrupted";

const EXAMPLES: &str = "  kvmsh                               the prompt
  kvmsh evacuate.rhai h2-a            run a script; what follows FILE is the script's
  kvmsh --plan evacuate.rhai h2-a     list what it would change
  kvmsh -c 'hosts()' --output json    run a line and print its value
  kvmsh hosts add h2-a root@h2-a      get to know a host";

/// A shell and script runner for KVM hosts
#[derive(Debug, Parser)]
#[command(
    name = "kvmsh",
    version,
    override_usage = USAGE,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = format!("Examples:\n{EXAMPLES}\n\nExit codes:\n{EXIT_CODES}"),
)]
pub struct Cli {
    /// Options of kvmsh itself.
    #[command(flatten)]
    pub options: Options,

    /// Run CODE and print the value of its last expression
    #[arg(short = 'c', value_name = "CODE", allow_hyphen_values = true)]
    pub code: Option<String>,

    /// What to do instead of running a script.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The script to run; `-` reads it from stdin. An existing file is a script even when it is called like a command
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,

    /// What the script finds in `args`; options in here are the script's, not kvmsh's
    #[arg(value_name = "ARGS", value_hint = ValueHint::AnyPath)]
    args: Vec<String>,
}

/// Options of kvmsh itself: they stand before FILE.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these hosts: names, globs, @GROUP, tag:WORD or libvirt URIs; several with commas
    #[arg(short = 'H', long, value_name = "GLOB", value_delimiter = ',', global = true)]
    pub hosts: Vec<String>,

    /// The file with the hosts, instead of $KVMSH_INVENTORY or hosts.toml in the configuration directory
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true)]
    pub inventory: Option<PathBuf>,

    /// List what would be changed, and change nothing
    #[arg(long, global = true, conflicts_with = "read_only")]
    pub plan: bool,

    /// Refuse every change, and open libvirt read-only
    #[arg(long, global = true)]
    pub read_only: bool,

    /// Answer yes to every question except whether to trust a host key
    #[arg(short, long, global = true)]
    pub yes: bool,

    /// How results are written
    #[arg(short, long, value_name = "FORMAT", default_value = "table", global = true)]
    pub output: Format,

    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: Choice,

    /// Stop everything after this time: 90s, 5m, 1h30m, or seconds
    #[arg(long, value_name = "TIME", value_parser = duration, global = true)]
    pub timeout: Option<Duration>,

    /// No single change may take longer than this: it is aborted, and the script told
    #[arg(long, value_name = "TIME", value_parser = duration, global = true)]
    pub step_timeout: Option<Duration>,

    /// Begin changes only between these times of the day: 22:00-05:00
    #[arg(long, value_name = "FROM-UNTIL", global = true)]
    pub window: Option<Window>,

    /// Only one run at a time under this NAME on this machine (of this user); the second is refused
    #[arg(long, value_name = "NAME", value_parser = lock::name, global = true)]
    pub lock: Option<String>,

    /// Wait this long for --lock, and for hosts that somebody else is changing, instead of giving up at once
    #[arg(long, value_name = "TIME", value_parser = duration, global = true)]
    pub wait: Option<Duration>,

    /// Where changes are written down, instead of the state directory
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true)]
    pub journal: Option<PathBuf>,

    /// Change hosts without writing it down anywhere
    #[arg(long, global = true, conflicts_with = "journal")]
    pub no_journal: bool,

    /// Forget the steps that a run of this script which was killed has done: `once` does them again
    #[arg(long, global = true)]
    pub start_over: bool,

    /// How much a script may take: string=1GiB, array=N, map=N, depth=N, operations=N; may be repeated
    #[arg(long, value_name = "NAME=VALUE", global = true)]
    pub limit: Vec<Limit>,

    /// How what is said on stderr is written; under systemd, text has the journal's own fields
    #[arg(long, value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,

    /// Do not run rc.rhai of the configuration directory when the prompt begins
    #[arg(long, global = true)]
    pub no_rc: bool,

    /// Say more; twice: say what is sent to libvirt and SSH
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,

    /// Say nothing but failures
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// What kvmsh does beside running scripts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The hosts in the inventory; alone: whether they answer, who changes them, which are cordoned
    Hosts {
        /// What to do with them.
        #[command(subcommand)]
        command: Option<HostsCommand>,
    },
    /// What was changed, when, and by which line of which script
    Journal(ReadJournal),
    /// Check scripts without running them
    Check {
        /// The scripts; `-` is stdin
        #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Write a commented script to begin with
    New {
        /// What to call it: NAME or NAME.rhai
        #[arg(value_name = "NAME", value_hint = ValueHint::FilePath)]
        name: PathBuf,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Write files that tell the Rhai language server what scripts can call
    Definitions {
        /// Where to; made if need be
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

/// `journal`
#[derive(Debug, Args)]
pub struct ReadJournal {
    /// Only changes since: 2h, 3days, 2026-01-31, or a date with a time
    #[arg(long, value_name = "TIME", value_parser = journal::since)]
    pub since: Option<Timestamp>,
    /// Only changes before that time
    #[arg(long, value_name = "TIME", value_parser = journal::since)]
    pub until: Option<Timestamp>,
    /// Only changes of the run whose id begins so
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Only changes by this user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only what failed, or whose end nobody saw
    #[arg(long)]
    pub failed: bool,
    /// The runs instead of their changes
    #[arg(long, conflicts_with = "tree")]
    pub runs: bool,
    /// Each run with its changes below it
    #[arg(long)]
    pub tree: bool,
    /// Go on to show what is written, until Ctrl-C
    #[arg(short, long, conflicts_with_all = ["runs", "tree"])]
    pub follow: bool,
}

/// What to do with the hosts in the inventory.
#[derive(Debug, Subcommand)]
pub enum HostsCommand {
    /// Connect to a host, record its key, and add it to the inventory
    Add(AddHost),
    /// List the hosts, without connecting to them
    List,
    /// Remove a host from the inventory and its groups
    Remove {
        /// Its name in the inventory
        name: String,
    },
    /// Connect to hosts over SSH and libvirt, and say what works
    Test {
        /// Names, globs, @GROUP or tag:WORD; all when there is none
        names: Vec<String>,
    },
}

/// `hosts add`
#[derive(Debug, Args)]
pub struct AddHost {
    /// What to call it
    pub name: String,
    /// [user@]ADDRESS[:port]: a name, an IP address or an alias of ~/.ssh/config; or a libvirt URI
    pub address: String,
    /// Add it without connecting to it
    #[arg(long)]
    pub no_test: bool,
    /// Trust the host key if it has this fingerprint (SHA256:…), without asking
    #[arg(long, value_name = "SHA256:…", conflicts_with = "no_test")]
    pub accept_fingerprint: Option<String>,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Table, Self::Json, Self::Yaml, Self::Csv]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Csv => "csv",
        }))
    }
}

impl ValueEnum for LogFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Text => "text",
            Self::Json => "json",
        }))
    }
}

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Always, Self::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }))
    }
}

/// `--color` before the options are parsed; a wrong value is clap's to report.
pub(super) fn early_colour(options: &[std::ffi::OsString]) -> Choice {
    let words: Vec<_> = options.iter().map(|word| word.to_string_lossy()).collect();
    let value = words.iter().enumerate().rev().find_map(|(at, word)| match word.strip_prefix("--color") {
        Some("") => words.get(at + 1).map(AsRef::as_ref),
        Some(tail) => tail.strip_prefix('='),
        None => None,
    });
    value.and_then(|value| Choice::from_str(value, true).ok()).unwrap_or_default()
}

/// A fault about the command line.
pub(super) fn usage(message: impl Into<String>) -> Fault {
    Fault::new("usage", message).class(Class::Usage)
}

/// `90s`, `5m`, `1h 30m`, or a plain number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let time = crate::model::duration::parse(text)?;
    if time.is_zero() { Err("the time has to be longer than nothing".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_standard_library_knows_the_options_that_stand_before_a_script() {
        let cli = include_str!("../../stdlib/cli.rhai");
        for argument in Cli::command().get_arguments().filter(|one| !one.is_hide_set()) {
            let names = argument.get_long().map(|long| format!("\"--{long}\""));
            for name in names.into_iter().filter(|name| name != "\"--help\"" && name != "\"--version\"") {
                assert!(cli.contains(&name), "{name}");
            }
        }
    }

    #[test]
    fn times_are_friendly_or_seconds() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h 30m", 5400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "0", "-5", "-5m", "1e99", "nan"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn colour_is_known_before_the_rest_is_parsed() {
        let early = |words: &[&str]| early_colour(&words.iter().map(Into::into).collect::<Vec<_>>());
        assert_eq!(early(&["kvmsh", "--color", "never"]), Choice::Never);
        assert_eq!(early(&["kvmsh", "--color=always", "-v"]), Choice::Always);
        assert_eq!(early(&["kvmsh", "--color"]), Choice::Auto);
    }
}
