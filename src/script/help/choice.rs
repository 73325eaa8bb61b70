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

/// What the map may have that is the value of an option, or that stands in the array that is: the disks of `create`.
pub(in super::super) fn of_option(function: &str, option: &str) -> Vec<Choice> {
    let of = |keys: &&&keys::Keys| {
        keys.function == function
            && (keys.object == option || option.strip_suffix('s').is_some_and(|one| one == keys.object))
    };
    keys::ALL.iter().find(of).map(|keys| table(keys)).unwrap_or_default()
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

/// What a script's function says of the map that it takes: ``Options: `to` (all others), `off` ("move" or "leave"), and
/// those of `transfer`.``, the same behind `` `wanted`: ``, or `` `wanted` is what `Host.define_pool` takes``.
fn described(index: &Index, entry: &Entry) -> Vec<Choice> {
    let mut paragraphs = entry.doc.split("\n\n").map(str::trim);
    let of_map = |paragraph: &str| -> Option<(bool, usize)> {
        ["Options:", "`wanted`:"]
            .iter()
            .find(|head| paragraph.starts_with(**head))
            .map(|head| (false, head.len()))
            .or_else(|| paragraph.starts_with(AS_ANOTHER).then_some((true, AS_ANOTHER.len())))
    };
    let found = paragraphs.find_map(|paragraph| of_map(paragraph).map(|(same, at)| (same, &paragraph[at..])));
    let Some((same, text)) = found else {
        let same = entry.doc.split("options` are those of `").nth(1);
        return same.map(|rest| of_other(index, entry, rest)).unwrap_or_default();
    };
    let mut choices: Vec<Choice> = if same { of_other(index, entry, text) } else { Vec::new() };
    let mut rest = if same { text.split_once('`').map_or("", |(_, rest)| rest) } else { text };
    // What the words hold may be told elsewhere.
    let (told, like) = rest.split_once(AS_ELSEWHERE).map_or((rest, None), |(told, like)| (told, Some(like)));
    rest = told;
    while let Some(at) = rest.find('`') {
        let borrowed = rest[..at].trim_end().ends_with("those of");
        rest = &rest[at + 1..];
        if borrowed {
            let known: Vec<String> = choices.iter().map(|choice| choice.name.clone()).collect();
            choices.extend(of_other(index, entry, rest).into_iter().filter(|one| !known.contains(&one.name)));
        }
        let Some((name, after)) = rest.split_once('`') else { break };
        rest = after;
        let explained = after.trim_start().strip_prefix('(').and_then(|inner| inner.split_once(')'));
        if let Some((_, tail)) = explained {
            rest = tail;
        }
        if borrowed {
            continue;
        }
        let in_quotes = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        if let (Some(word), Some(last)) = (in_quotes, choices.last_mut()) {
            // `squash`: `"none"` or `"root"`.
            last.words.push(word.to_owned());
        } else if is_word(name) && !choices.iter().any(|one| one.name == name) {
            choices.push(told_as(name, explained.map_or("", |(doc, _)| doc)));
        }
    }
    if let Some(like) = like {
        // ``… for a `bond` of `Host.set_links`.``
        let object = like.split('`').next().unwrap_or_default();
        let known = keys::ALL.iter().filter(|keys| keys.object == object).flat_map(|keys| table(keys));
        let known: Vec<Choice> =
            known.chain(of_other(index, entry, like.split('`').nth(2).unwrap_or_default())).collect();
        choices.iter_mut().for_each(|choice| add_from(choice, &known));
    }
    choices
}

/// Behind it stands the name of the function whose map it is.
const AS_ANOTHER: &str = "`wanted` is what `";

/// Behind it stands the object whose options have the same names.
const AS_ELSEWHERE: &str = "hold what they do for a `";

fn told_as(name: &str, doc: &str) -> Choice {
    let doc = doc.replace('\n', " ");
    let inner = doc.trim_matches('`').to_owned();
    let is_flag = matches!(inner.as_str(), "true" | "false");
    Choice {
        name: name.to_owned(),
        holds: if is_flag { "bool".to_owned() } else { String::new() },
        words: doc.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect(),
        standard: if is_flag { inner } else { String::new() },
        doc,
    }
}

/// What a choice does not tell itself.
fn add_from(choice: &mut Choice, known: &[Choice]) {
    let Some(known) = known.iter().find(|known| known.name == choice.name) else { return };
    if choice.holds.is_empty() {
        choice.holds.clone_from(&known.holds);
    }
    if !known.words.is_empty() {
        choice.words.clone_from(&known.words);
    }
    let doc = &known.doc;
    if choice.doc.is_empty() {
        choice.doc.clone_from(doc);
    } else if let Some(standard) = choice.doc.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        choice.doc = format!("{} (default {standard})", doc.trim_end_matches("; needed"));
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The options of the function whose name stands before the next back quote.
fn of_other(index: &Index, entry: &Entry, rest: &str) -> Vec<Choice> {
    let name = rest.split('`').next().unwrap_or_default();
    let (object, function) = name.split_once('.').unwrap_or(("", name));
    let beside =
        |other: &&Entry| other.name == name && other.module.is_some() && other.module == entry.module;
    if let Some(other) =
        index.entries.iter().filter(beside).find(|other| other.doc != entry.doc && takes_options(other))
    {
        return described(index, other);
    }
    let keys =
        keys::ALL.iter().find(|keys| keys.function == function && keys.object.eq_ignore_ascii_case(object));
    let known = keys.map(|keys| table(keys)).unwrap_or_default();
    known.into_iter().filter(|_| index.entries.iter().any(|entry| entry.name == function)).collect()
}
