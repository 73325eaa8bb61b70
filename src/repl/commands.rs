//! `:commands`, for the prompt itself, and `!cmd`, for this machine.

use std::path::PathBuf;

use super::world;
use crate::model::Fault;
use crate::model::suggest::did_you_mean;
use crate::script::{Candidate, Completion};
use crate::ui::Format;

/// One command.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Help,
    /// Shows or sets the format of results.
    Format(Option<Format>),
    /// Whether each entry says how long it took.
    Time(Option<bool>),
    Hosts,
    Plan(Option<bool>),
    Record(PathBuf),
    StopRecord,
    /// Whether a recording is under way.
    Recording,
    Source(PathBuf),
    Edit,
    Reload,
    Quit,
    /// A command of this machine.
    Local(String),
}

/// How a command is written, and what it does.
pub(super) const LIST: &[(&str, &str, &str)] = &[
    (":help", "", "lists these commands; help() is about functions and objects"),
    (":format", "table|json|yaml|csv", "how results are shown; alone it says how now"),
    (":time", "on|off", "says how long each entry took"),
    (":hosts", "", "how each host of the inventory is"),
    (":plan", "on|off", "with on, changes are only listed"),
    (":record", "FILE|stop", "writes what succeeds into a script, until :record stop"),
    (":source", "FILE", "runs a script here: what it declares stays"),
    (":edit", "", "opens the last entry in $VISUAL or $EDITOR"),
    (":reload", "", "reads the inventory and modules again"),
    (":quit", "", "leaves, as exit() and Ctrl-D do"),
    ("!", "COMMAND", "runs a command of this machine's shell"),
];

const FORMATS: &[(&str, Format)] =
    &[("table", Format::Table), ("json", Format::Json), ("yaml", Format::Yaml), ("csv", Format::Csv)];

/// Whether a text is a command: it is never continued on another line.
pub(super) fn is_one(text: &str) -> bool {
    text.trim_start().starts_with([':', '!'])
}

/// The command that a text is. `!x` that is code is none: it means "not x".
pub(super) fn parse(text: &str, is_code: impl Fn(&str) -> bool) -> Option<Result<Command, Fault>> {
    let text = text.trim();
    if let Some(line) = text.strip_prefix('!') {
        return (!is_code(text)).then(|| Ok(Command::Local(line.trim().to_owned())));
    }
    let words = text.strip_prefix(':')?;
    let (name, argument) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    Some(command(name, argument.trim()))
}

fn command(name: &str, argument: &str) -> Result<Command, Fault> {
    let none = |command: Command| match argument {
        "" => Ok(command),
        _ => Err(usage(name)),
    };
    let switch = || match argument {
        "" => Ok(None),
        "on" => Ok(Some(true)),
        "off" => Ok(Some(false)),
        _ => Err(usage(name)),
    };
    let file = || match argument {
        "" => Err(usage(name)),
        path => Ok(world::at_home(path)),
    };
    match name {
        "help" | "h" | "?" => none(Command::Help),
        "format" if argument.is_empty() => Ok(Command::Format(None)),
        "format" => {
            let known = FORMATS.iter().find(|(word, _)| *word == argument);
            known.map(|(_, format)| Command::Format(Some(*format))).ok_or_else(|| {
                let near = did_you_mean(argument, FORMATS.iter().map(|(word, _)| *word));
                let fault = usage(name);
                match near {
                    Some(near) => fault.hint(near),
                    None => fault,
                }
            })
        }
        "time" => switch().map(Command::Time),
        "hosts" => none(Command::Hosts),
        "plan" => switch().map(Command::Plan),
        "record" if argument.is_empty() => Ok(Command::Recording),
        "record" if argument == "stop" => Ok(Command::StopRecord),
        "record" => file().map(Command::Record),
        "source" => file().map(Command::Source),
        "edit" => none(Command::Edit),
        "reload" => none(Command::Reload),
        "quit" | "q" | "exit" => none(Command::Quit),
        _ => {
            let fault = Fault::new("no_command", format!("there is no command `:{name}`"));
            let names = LIST.iter().map(|(name, ..)| name.trim_start_matches(':'));
            let near = did_you_mean(name, names).map(|near| near.replace('`', "`:").replace("`:?", "`?"));
            Err(fault.hint(near.map_or("`:help` lists them".to_owned(), |near| unquote(&near))))
        }
    }
}

/// ``did you mean `:time`:?`` → ``did you mean `:time`?``
fn unquote(text: &str) -> String {
    text.replace("`: ", "` ").replace("`:?", "`?")
}

fn usage(name: &str) -> Fault {
    let known = LIST.iter().find(|(known, ..)| known.trim_start_matches(':') == name);
    let call = known.map_or(String::new(), |(call, argument, _)| format!("{call} {argument}"));
    Fault::new("usage", format!("it is written `{}`", call.trim_end()))
}

/// How a command could go on; `None` where the text is none.
pub(super) fn complete(before: &str) -> Option<Completion> {
    let text = before.trim_start();
    if !text.starts_with(':') {
        return None;
    }
    let start = before.len() - text.len();
    let Some((name, rest)) = text.split_once(' ') else {
        let fits = LIST.iter().filter(|(name, ..)| name.starts_with(text));
        let candidates = fits.map(|(name, argument, what)| Candidate {
            text: format!("{name}{}", if argument.is_empty() { "" } else { " " }),
            shown: (*name).to_owned(),
            note: [*argument, *what].join(" ").trim().to_owned(),
        });
        return Some(Completion { start, candidates: candidates.collect() });
    };
    let argument = rest.trim_start();
    let start = before.len() - argument.len();
    let words: &[&str] = match name {
        ":format" => &["table", "json", "yaml", "csv"],
        ":time" | ":plan" => &["on", "off"],
        ":record" => &["stop"],
        _ => &[],
    };
    let word = |word: &str| Candidate { text: word.to_owned(), shown: word.to_owned(), note: String::new() };
    let mut candidates: Vec<Candidate> =
        words.iter().filter(|word| word.starts_with(argument)).map(|one| word(one)).collect();
    if !matches!(name, ":source" | ":record") {
        return Some(Completion { start, candidates });
    }
    let name_at = argument.rfind('/').map_or(0, |at| at + 1);
    let (directory, name) = argument.split_at(name_at);
    if name_at > 0 {
        candidates.clear();
    }
    let hidden = |file: &str| file.starts_with('.') && !name.starts_with('.');
    let files = world::local(directory);
    candidates.extend(
        files
            .iter()
            .filter(|one| one.name.starts_with(name) && !hidden(&one.name))
            .map(|one| word(&one.name)),
    );
    Some(Completion { start: start + name_at, candidates })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_slips_are_told() {
        let parse = |text: &str| parse(text, |code| code == "!true").map(Result::ok);
        assert_eq!(parse(":format json"), Some(Some(Command::Format(Some(Format::Json)))));
        assert_eq!(parse(" :time"), Some(Some(Command::Time(None))));
        assert_eq!(parse(":plan on"), Some(Some(Command::Plan(Some(true)))));
        assert_eq!(parse(":record a b.rhai"), Some(Some(Command::Record("a b.rhai".into()))));
        assert_eq!(parse(":plan perhaps"), Some(None));
        assert_eq!(parse("!ls -l"), Some(Some(Command::Local("ls -l".into()))));
        assert_eq!(parse("!true"), None);
        assert_eq!(parse("hosts()"), None);
        let hint = |text: &str| super::parse(text, |_| false).unwrap().unwrap_err().hint.unwrap();
        assert_eq!(hint(":fromat json"), "did you mean `:format`?");
        assert_eq!(hint(":xyzzy"), "`:help` lists them");
        assert_eq!(hint(":format jsno"), "did you mean `json`?");
    }

    #[test]
    fn commands_and_their_words_are_completed() {
        let texts = |before: &str| {
            let found = complete(before).unwrap();
            (found.start, found.candidates.into_iter().map(|one| one.text).collect::<Vec<_>>())
        };
        assert_eq!(texts(":ti"), (0, vec![":time ".to_owned()]));
        assert_eq!(texts(":format y"), (8, vec!["yaml".to_owned()]));
        assert_eq!(texts(":source Cargo.t"), (8, vec!["Cargo.toml".to_owned()]));
        assert_eq!(texts(":source src/repl/comm"), (17, vec!["commands.rs".to_owned()]));
        assert!(complete("host").is_none());
    }
}
