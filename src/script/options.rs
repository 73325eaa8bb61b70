//! Option maps: the one trailing `#{…}` of a function.

use std::time::Duration;

use rhai::{Array, Dynamic, ImmutableString, Map};

pub(super) mod keys;

use super::error::{Outcome, misuse};
use crate::model::suggest::did_you_mean;
use crate::model::{Bytes, Fault};
pub(super) use keys::Keys;

/// An option map all of whose keys are known.
pub(super) struct Options {
    function: &'static str,
    known: &'static Keys,
    map: Map,
}

impl Options {
    /// Takes a map; fails at once on a key that is not among `known`.
    pub(super) fn new(known: &'static Keys, map: Map) -> Outcome<Self> {
        debug_assert!(keys::ALL.iter().any(|one| std::ptr::eq(*one, known)), "{known:?} is not listed");
        for key in map.keys() {
            if !known.keys.iter().any(|one| one.name == key) {
                return Err(unknown_key(known, key).into());
            }
        }
        Ok(Self { function: known.function, known, map })
    }

    fn take(&self, key: &'static str) -> Option<&Dynamic> {
        debug_assert!(self.known.keys.iter().any(|one| one.name == key), "{key} is not declared");
        self.map.get(key).filter(|value| !value.is_unit())
    }

    fn wrong(&self, key: &str, expected: &str, got: &Dynamic) -> Box<rhai::EvalAltResult> {
        misuse(format!("{}: option `{key}` must be {expected}, not {}", self.function, type_word(got)))
    }

    /// A truth value, `false` where it is missing.
    pub(super) fn flag(&self, key: &'static str) -> Outcome<bool> {
        Ok(self.maybe_flag(key)?.unwrap_or(false))
    }

    /// A truth value that may be missing.
    pub(super) fn maybe_flag(&self, key: &'static str) -> Outcome<Option<bool>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        value.as_bool().map(Some).map_err(|_| self.wrong(key, "true or false", value))
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Outcome<Option<String>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value.read_lock::<ImmutableString>() {
            Some(text) => Ok(Some(text.to_string())),
            None => Err(self.wrong(key, "a text", value)),
        }
    }

    /// One of the words that it may be.
    pub(super) fn word(&self, key: &'static str) -> Outcome<Option<String>> {
        let word = self.text(key)?;
        let words = match self.known.keys.iter().find(|one| one.name == key).map(|one| one.holds) {
            Some(keys::Holds::Word(words)) => words,
            _ => return Ok(word),
        };
        if let Some(word) = word.as_deref().filter(|word| !words.contains(word)) {
            return Err(wrong_word(self.known, key, word, words).into());
        }
        Ok(word)
    }

    /// A whole number that is not negative.
    pub(super) fn count(&self, key: &'static str) -> Outcome<Option<u64>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = value.as_int().ok().and_then(|number| u64::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.wrong(key, "a whole number, 0 or more", value))
    }

    /// Seconds, whole or not.
    pub(super) fn seconds(&self, key: &'static str) -> Outcome<Option<Duration>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        duration(value).map(Some).ok_or_else(|| self.wrong(key, "a number of seconds", value))
    }

    /// A size: bytes, or a text such as `"4GiB"`.
    pub(super) fn size(&self, key: &'static str) -> Outcome<Option<Bytes>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        size(value)
            .map(Some)
            .map_err(|fault| misuse(format!("{}: option `{key}`: {}", self.function, fault.message)))
    }

    /// Any value.
    pub(super) fn value(&self, key: &'static str) -> Option<&Dynamic> {
        self.take(key)
    }
}

/// The fault for a text that is none of those that an option may be.
pub(super) fn wrong_word(known: &Keys, key: &str, word: &str, words: &[&str]) -> Fault {
    let message = format!("{}: option `{key}` cannot be `{word}`", known.function);
    let near = did_you_mean(word, words.iter().copied());
    Fault::new("invalid_arg", message).hint(near.unwrap_or_else(|| format!("it is {}", words.join(", "))))
}

/// The fault for an option that a function does not have.
pub(super) fn unknown_key(known: &Keys, key: &str) -> Fault {
    let fault = Fault::new("unknown_option", format!("{} has no option `{key}`", known.function));
    let names: Vec<&str> = known.keys.iter().map(|one| one.name).collect();
    match did_you_mean(key, names.iter().copied()) {
        Some(hint) => fault.hint(hint),
        None => fault.hint(format!("its options are: {}", names.join(", "))),
    }
}

/// Seconds as a script writes them.
pub(super) fn duration(value: &Dynamic) -> Option<Duration> {
    let seconds = value.as_float().ok().or_else(|| value.as_int().ok().map(|n| n as f64))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A size as a script writes it.
pub(super) fn size(value: &Dynamic) -> Result<Bytes, Fault> {
    if let Ok(bytes) = value.as_int() {
        return u64::try_from(bytes)
            .map(Bytes)
            .map_err(|_| Fault::new("invalid_arg", format!("{bytes} is not a size: it is negative")));
    }
    match value.read_lock::<ImmutableString>() {
        Some(text) => text
            .parse()
            .map_err(|error: crate::model::bytes::NotASize| Fault::new("invalid_arg", error.to_string())),
        None => Err(Fault::new(
            "invalid_arg",
            format!("a size is a number of bytes or a text, not {}", type_word(value)),
        )),
    }
}

/// Texts of an array, or the one text alone.
pub(super) fn texts(function: &str, value: &Dynamic) -> Outcome<Vec<String>> {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(vec![text.to_string()]);
    }
    let array = value.read_lock::<Array>().ok_or_else(|| {
        misuse(format!("{function} takes a text or an array of texts, not {}", type_word(value)))
    })?;
    array
        .iter()
        .map(|item| match item.read_lock::<ImmutableString>() {
            Some(text) => Ok(text.to_string()),
            None => Err(misuse(format!("{function} takes texts, not {}", type_word(item)))),
        })
        .collect()
}

/// A value's type in plain words.
pub(super) fn type_word(value: &Dynamic) -> String {
    match value.type_name() {
        "()" => "nothing".into(),
        "string" | "alloc::string::String" => format!("the text {value:?}"),
        "i64" => format!("the number {value}"),
        "f64" => format!("the number {value}"),
        "bool" => value.to_string(),
        "array" => "an array".into(),
        "map" => "a map".into(),
        "Fn" => "a function".into(),
        other => format!("a {}", other.rsplit("::").next().unwrap_or(other)),
    }
}
