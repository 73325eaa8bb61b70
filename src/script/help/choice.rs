//! The options of functions.

use super::super::options::keys;
use super::{Entry, Index, Kind};

/// One option, as `help()` and completion show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// What it holds, in a word; empty where nobody says.
    pub holds: String,
    /// The texts that it may be, if those are few.
    pub words: Vec<String>,
    /// What holds where it is missing; may be empty.
    pub standard: String,
    /// What it does.
    pub doc: String,
}

/// The options of a function, if this form of it takes any.
pub(super) fn options(index: &Index, entry: &Entry) -> Vec<Choice> {
    if entry.kind != Kind::Function || !takes_options(entry) {
        return Vec::new();
    }
    let object = entry.object.as_deref().unwrap_or_default();
    match keys::ALL.iter().find(|keys| keys.function == entry.name && keys.object == object) {
        Some(keys) if entry.module.is_none() => table(keys),
        _ => described(index, entry),
    }
}

/// What the maps in an array may have that a function takes, such as the bonds of `set_links`.
pub(in super::super) fn of_items(function: &str) -> Vec<Choice> {
    let items = keys::ALL.iter().filter(|keys| keys.function == function);
    let items = items.filter(|keys| keys.object.starts_with(char::is_lowercase));
    let mut choices: Vec<Choice> = items.flat_map(|keys| table(keys)).collect();
    let mut seen = std::collections::HashSet::new();
    choices.retain(|choice| seen.insert(choice.name.clone()));
    choices
}

fn takes_options(entry: &Entry) -> bool {
    let takes = |(name, kind): &(String, String)| {
        kind == "map" || name == "options" || name == "what" || name.ends_with("or_map") || kind.is_empty()
    };
    entry.parameters.iter().any(takes)
}

fn table(keys: &keys::Keys) -> Vec<Choice> {
    let choice = |key: &keys::Key| Choice {
        name: key.name.to_owned(),
        holds: key.holds.word(),
        words: match key.holds {
            keys::Holds::Word(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            _ => Vec::new(),
        },
        standard: key.standard.to_owned(),
        doc: key.doc.to_owned(),
    };
    keys.keys.iter().map(choice).collect()
}

/// ``Options: `to` (all others), `off` ("move" or "leave"), and those of `transfer`.``
fn described(index: &Index, entry: &Entry) -> Vec<Choice> {
    let mut paragraphs = entry.doc.split("\n\n").map(str::trim);
    let Some(text) = paragraphs.find_map(|paragraph| paragraph.strip_prefix("Options:")) else {
        let same = entry.doc.split("options` are those of `").nth(1);
        return same.map(|rest| of_other(index, rest)).unwrap_or_default();
    };
    let mut choices: Vec<Choice> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        let borrowed = rest[..at].trim_end().ends_with("those of");
        rest = &rest[at + 1..];
        if borrowed {
            let known: Vec<String> = choices.iter().map(|choice| choice.name.clone()).collect();
            choices.extend(of_other(index, rest).into_iter().filter(|one| !known.contains(&one.name)));
        }
        let Some((name, after)) = rest.split_once('`') else { break };
        rest = after;
        let explained = after.trim_start().strip_prefix('(').and_then(|inner| inner.split_once(')'));
        if let Some((_, tail)) = explained {
            rest = tail;
        }
        if !borrowed {
            let doc = explained.map_or("", |(doc, _)| doc).replace('\n', " ");
            let words = doc.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect();
            choices.push(Choice {
                name: name.to_owned(),
                holds: String::new(),
                words,
                standard: String::new(),
                doc,
            });
        }
    }
    choices
}

/// The options of the function whose name stands before the next back quote.
fn of_other(index: &Index, rest: &str) -> Vec<Choice> {
    let name = rest.split('`').next().unwrap_or_default();
    let (object, function) = name.split_once('.').unwrap_or(("", name));
    let keys =
        keys::ALL.iter().find(|keys| keys.function == function && keys.object.eq_ignore_ascii_case(object));
    let known = keys.map(|keys| table(keys)).unwrap_or_default();
    known.into_iter().filter(|_| index.entries.iter().any(|entry| entry.name == function)).collect()
}
