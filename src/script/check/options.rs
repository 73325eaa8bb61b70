//! Keys of option maps, and the words they may hold.

use rhai::{Expr, Position};

use super::super::options::{Keys, keys, unknown_key, wrong_word};
use super::{Finding, fault};

/// What is wrong with the options that a call writes out.
pub(super) fn wrong<'e>(
    object: &str,
    function: &str,
    given: impl Iterator<Item = (&'e str, Position, &'e Expr)>,
) -> Vec<Finding> {
    let Some(known) = known(object, function) else { return Vec::new() };
    let one = |(key, position, value): (&str, Position, &Expr)| {
        let Some(option) = known.keys.iter().find(|option| option.name == key) else {
            return Some(fault(unknown_key(known, key), position));
        };
        let keys::Holds::Word(words) = option.holds else { return None };
        let Expr::StringConstant(word, position) = value else { return None };
        let sound = words.contains(&word.as_str());
        (!sound).then(|| fault(wrong_word(known, key, word, words), *position))
    };
    given.filter_map(one).collect()
}

fn known(object: &str, function: &str) -> Option<&'static Keys> {
    keys::ALL.iter().copied().find(|keys| keys.function == function && keys.object == object)
}
