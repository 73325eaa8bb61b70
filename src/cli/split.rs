//! Where kvmsh's own options end.
//!
//! Everything after FILE belongs to the script, also words that look like
//! options of kvmsh, and an existing file is a script even when it is called
//! like a command. clap can express neither, so the first word that is no
//! option is found here, with clap's own definition of the options.

use std::ffi::OsString;
use std::path::Path;

use clap::Command;

/// The arguments, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// For clap: kvmsh's options, and the command with its own arguments.
    pub(super) options: Vec<OsString>,
    /// For the script: the file, unless `-c` was given, and its arguments.
    pub(super) rest: Vec<OsString>,
}

impl Split {
    /// Takes the arguments apart; the first is the program's name.
    pub(super) fn of(command: &Command, argv: Vec<OsString>) -> Self {
        let Some(found) = first_word(command, &argv) else {
            return Self { options: argv, rest: Vec::new() };
        };
        let word = &argv[found.at];
        let is_command = !found.code
            && !found.dashes
            && !is_script(Path::new(word))
            && command.get_subcommands().any(|known| word.as_os_str() == known.get_name());
        if is_command {
            return Self { options: argv, rest: Vec::new() };
        }
        let mut options = argv;
        let rest = options.split_off(found.at);
        if found.dashes {
            options.pop();
        }
        Self { options, rest }
    }
}

/// Whether this names something that a script can be read from: also a pipe, as in `kvmsh <(…)`.
fn is_script(path: &Path) -> bool {
    path == "-" || std::fs::metadata(path).is_ok_and(|meta| !meta.is_dir())
}

struct Word {
    at: usize,
    /// `-c` was given before it.
    code: bool,
    /// It stands right behind `--`.
    dashes: bool,
}

/// The first word that is neither an option nor an option's value. `None` also
/// when an option is not known: clap reports that better.
fn first_word(command: &Command, argv: &[OsString]) -> Option<Word> {
    let takes_value = |short: Option<char>, long: Option<&str>| {
        let arg = command.get_arguments().find(|arg| {
            (short.is_some() && arg.get_short() == short) || (long.is_some() && arg.get_long() == long)
        })?;
        Some(arg.get_action().takes_values())
    };
    let mut code = false;
    let mut at = 1;
    while at < argv.len() {
        let word = argv[at].to_string_lossy();
        if word == "--" {
            return (at + 1 < argv.len()).then_some(Word { at: at + 1, code, dashes: true });
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            if takes_value(None, Some(name))? && value.is_none() {
                at += 1;
            }
        } else if let Some(shorts) = word.strip_prefix('-').filter(|shorts| !shorts.is_empty()) {
            let mut letters = shorts.chars();
            while let Some(letter) = letters.next() {
                code |= letter == 'c';
                if takes_value(Some(letter), None)? {
                    at += usize::from(letters.as_str().is_empty());
                    break;
                }
            }
        } else {
            return Some(Word { at, code, dashes: false });
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::CommandFactory;

    fn split(line: &str) -> (String, String) {
        let mut command = Cli::command();
        command.build();
        let argv = shlex::split(line).unwrap().into_iter().map(OsString::from).collect();
        let split = Split::of(&command, argv);
        let join = |words: Vec<OsString>| words.join(" ".as_ref()).into_string().unwrap();
        (join(split.options), join(split.rest))
    }

    #[test]
    fn what_follows_the_file_is_the_scripts() {
        for (line, options, rest) in [
            ("kvmsh x.rhai --plan -v", "kvmsh", "x.rhai --plan -v"),
            ("kvmsh --plan -o json x.rhai --yes", "kvmsh --plan -o json", "x.rhai --yes"),
            ("kvmsh --output=json -Hh2-a x.rhai", "kvmsh --output=json -Hh2-a", "x.rhai"),
            ("kvmsh -vH h2-a x.rhai -H z", "kvmsh -vH h2-a", "x.rhai -H z"),
            ("kvmsh -c 'code' --plan a --plan", "kvmsh -c code --plan", "a --plan"),
            ("kvmsh -qc code hosts", "kvmsh -qc code", "hosts"),
            ("kvmsh -c code -- --plan", "kvmsh -c code", "--plan"),
            ("kvmsh -v - a", "kvmsh -v", "- a"),
            ("kvmsh -- hosts list", "kvmsh", "hosts list"),
            ("kvmsh nosuch", "kvmsh", "nosuch"),
            ("kvmsh", "kvmsh", ""),
        ] {
            assert_eq!(split(line), (options.to_owned(), rest.to_owned()), "{line}");
        }
    }

    #[test]
    fn commands_and_unknown_options_are_claps() {
        for line in ["kvmsh hosts list --output json", "kvmsh --tiemout 5 x.rhai", "kvmsh -Z x", "kvmsh -H"] {
            assert_eq!(split(line), (line.to_owned(), String::new()));
        }
    }
}
