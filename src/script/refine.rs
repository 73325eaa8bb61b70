//! What a diagnosis gains from the text around its place: the caret under the
//! very name that is wrong, and names that were probably meant.

use super::complete::Look;
use super::tokens::{self, Kind, Token};
use crate::model::suggest::did_you_mean;
use crate::model::{Diagnosis, Place};

/// Words that a statement may begin with, of which a first word may be a slip.
const KEYWORDS: &[&str] = &[
    "let", "const", "if", "else", "for", "while", "loop", "switch", "return", "import", "throw", "try",
    "print",
];

/// Refines what was found out about an error.
pub(super) fn refine(look: &Look<'_>, diagnosis: &mut Diagnosis) {
    let Some(place) = diagnosis.places.first_mut() else { return };
    let Some(at) = offset(place) else { return };
    let tokens: Vec<Token> = tokens::tokens(look.engine, &place.text)
        .into_iter()
        .filter(|token| !matches!(token.kind, Kind::Comment { .. }))
        .collect();
    let fault = &mut diagnosis.fault;
    match fault.code.as_str() {
        "no_variable" => {
            let Some(name) = quoted(&fault.message).next().map(ToOwned::to_owned) else { return };
            let free = |name: &str| look.index.entries.iter().any(|e| e.name == name && e.object.is_none());
            if free(&name) {
                let here = tokens.iter().position(|token| token.start == at);
                let in_help = here
                    .filter(|here| *here >= 2)
                    .is_some_and(|here| tokens[here - 1].is("(") && tokens[here - 2].word() == Some("help"));
                fault.hint = Some(match in_help {
                    true => format!("write `help(\"{name}\")`"),
                    false => format!("`{name}` is a function: write `{name}()`"),
                });
                return;
            }
            let declared = tokens.windows(2).filter(|pair| {
                matches!(pair[0].kind, Kind::Keyword("let" | "const" | "for" | "fn") | Kind::Sign("|"))
            });
            let mut known: Vec<&str> = declared.filter_map(|pair| pair[1].word()).collect();
            known.extend(look.scope.iter_raw().map(|(name, ..)| name));
            known.extend(
                look.index
                    .own()
                    .filter(|e| e.object.is_none() && e.module.is_none())
                    .map(|e| e.name.as_str()),
            );
            known.extend(KEYWORDS);
            known.retain(|other| *other != name);
            known.sort_unstable();
            known.dedup();
            if let Some(hint) = did_you_mean(&name, known) {
                fault.hint = Some(hint);
            }
        }
        "no_property" if fault.hint.is_none() => {
            let Some(name) = quoted(&fault.message).next() else { return };
            // At the dot, or at the name behind it.
            let member = tokens.iter().find(|token| token.start >= at && token.word() == Some(name));
            let Some(before) = member.and_then(|member| place.text.get(..member.start)) else { return };
            let keys = look.keys_before(before);
            fault.hint = match did_you_mean(name, keys.iter().map(String::as_str)) {
                None if !keys.is_empty() => Some(format!("it has: {}", keys.join(", "))),
                hint => hint,
            };
        }
        "syntax" => {
            let Some(word) = quoted(&fault.message).next().map(ToOwned::to_owned) else { return };
            // A module's function that is no name in Rhai: `pool::shared`.
            let here = tokens.iter().position(|token| token.start == at);
            let Some(here) = here.filter(|here| *here >= 2 && tokens[here - 1].kind == Kind::Sign("::"))
            else {
                return;
            };
            let Some(module) = tokens[here - 2].word() else { return };
            let of = look.index.entries.iter().filter(|entry| entry.module.as_deref() == Some(module));
            if let Some(hint) = did_you_mean(&word, of.map(|entry| entry.name.as_str())) {
                fault.hint = Some(hint);
            }
        }
        _ => {
            let mut names: Vec<&str> = quoted(&fault.message).collect();
            names.extend(
                fault.object.as_deref().and_then(|object| object.split_once(' ')).map(|(_, name)| name),
            );
            // The last is the nearest to what is wrong: "option `state` cannot be `runing`".
            if let Some(token) = names.iter().rev().find_map(|name| argument(&tokens, at, name)) {
                aim(place, token);
            }
        }
    }
}

/// What stands between back quotes.
fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

/// Where a place is in its text, in bytes.
fn offset(place: &Place) -> Option<usize> {
    let line = place.line.checked_sub(1)?;
    let start: usize = place.text.split_inclusive('\n').take(line).map(str::len).sum();
    let column = place.column.checked_sub(1)?;
    Some(start + place.text.get(start..)?.chars().take(column).map(char::len_utf8).sum::<usize>())
}

/// The argument of the call at `at` that has this name: a text, or the key of an option.
fn argument<'t>(tokens: &'t [Token], at: usize, name: &str) -> Option<&'t Token> {
    let called = tokens.iter().position(|token| token.start == at && token.word().is_some())?;
    let open = called + 1;
    if !tokens.get(open)?.is("(") {
        return None;
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        depth += usize::from(["(", "[", "{", "#{"].iter().any(|sign| token.is(sign)));
        depth = depth.saturating_sub(usize::from([")", "]", "}"].iter().any(|sign| token.is(sign))));
        if depth == 0 {
            return None;
        }
        let wrong = match &token.kind {
            Kind::Text(text) => text == name,
            _ => {
                let is_key = tokens.get(at + 1).is_some_and(|next| next.is(":"));
                is_key && token.word() == Some(name)
            }
        };
        // A closure's own calls have places of their own.
        if wrong {
            return Some(token);
        }
    }
    None
}

/// Moves a place to a token.
fn aim(place: &mut Place, token: &Token) {
    let Some(before) = place.text.get(..token.start) else { return };
    let Some(text) = place.text.get(token.start..token.end).filter(|text| !text.contains('\n')) else {
        return;
    };
    place.line = before.matches('\n').count() + 1;
    place.column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    place.length = text.chars().count();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::gate::{Journal, Mode};
    use crate::model::{Cancel, Inventory, Silent};
    use crate::ops::{Session, Settings};
    use crate::script::{Runner, Source};

    /// The token under the caret, and the hint.
    #[track_caller]
    fn wrong(text: &str) -> (String, String) {
        let session = Session::new(Settings {
            inventory: Inventory::default(),
            select: Vec::new(),
            mode: Mode::Apply,
            journal: Journal::off(),
            assume_yes: false,
            progress: Arc::new(Silent),
            cancel: Cancel::new(),
            prompt: None,
        });
        let mut runner = Runner::interactive(&session);
        runner.give_host("demo", session.host("test:///default").unwrap());
        let source = Source { name: "repl[1]".into(), text: text.into() };
        let diagnosis = runner.run_line(&source).unwrap_err();
        let place = &diagnosis.places[0];
        let line = place.text.lines().nth(place.line - 1).unwrap();
        let token = line.chars().skip(place.column - 1).take(place.length).collect();
        (token, diagnosis.fault.hint.unwrap_or_default())
    }

    #[test]
    fn the_caret_is_under_the_name_that_is_wrong_and_the_right_one_is_told() {
        let means = |right: &str| format!("did you mean `{right}`?");
        for (text, token, hint) in [
            ("let domains = 1; domians", "domians", means("domains")),
            ("dmeo.name", "dmeo", means("demo")),
            ("let x = hosts;", "hosts", "`hosts` is a function: write `hosts()`".into()),
            ("let x = help(hosts);", "hosts", "write `help(\"hosts\")`".into()),
            ("demo.domian(\"x\")", "domian", "did you mean `domain` or `domains`?".into()),
            ("demo.domain(\n  \"tset\")", "\"tset\"", means("test")),
            ("demo.pool(\"default-pol\")", "\"default-pol\"", means("default-pool")),
            ("demo.domain(\"test\").start(#{pasued: true})", "pasued", means("paused")),
            ("demo.domains(#{name: \"*\", state: \"runing\"})", "\"runing\"", means("running")),
            ("let m = #{alpha: 1}; m.alhpa", "alhpa", means("alpha")),
            ("demo.info.cpsu", "cpsu", means("cpus")),
            ("demo.domain(\"test\").uudi", "uudi", means("uuid")),
            ("import \"std/evacute\" as e;", "\"std/evacute\"", means("std/evacuate")),
        ] {
            assert_eq!(wrong(text), (token.to_owned(), hint), "{text}");
        }
    }
}
