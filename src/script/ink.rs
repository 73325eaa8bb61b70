//! What the parts of a text are, for colouring it while it is typed.

use std::collections::HashSet;
use std::ops::Range;

use super::help::{Index, Kind as Form};
use super::tokens::{Kind, Token};

/// What a part of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// A word of the language.
    Keyword,
    /// A text.
    Text,
    /// A number, a character, a truth value.
    Value,
    /// A comment.
    Comment,
    /// A function that there is.
    Function,
    /// A variable that there is.
    Variable,
    /// A function or a variable that is not there, or what has no meaning.
    Wrong,
    /// Everything else.
    Plain,
}

/// The names that can be called.
#[derive(Debug, Default)]
pub(super) struct Callable {
    free: HashSet<String>,
    members: HashSet<String>,
    modules: HashSet<String>,
}

impl Callable {
    pub(super) fn of(index: &Index) -> Self {
        let mut callable = Self::default();
        for entry in &index.entries {
            let names = match (&entry.object, &entry.module) {
                (Some(_), _) => &mut callable.members,
                (None, Some(_)) => &mut callable.modules,
                (None, None) => &mut callable.free,
            };
            names.insert(entry.name.clone());
            // Rhai's functions can be called as members of their first argument.
            let rhai = entry.object.is_none() && entry.module.is_none() && entry.kind == Form::Function;
            if rhai && !entry.parameters.is_empty() {
                callable.members.insert(entry.name.clone());
            }
        }
        callable
    }
}

/// Words that can be called like functions though no index lists them.
const BUILT_IN: &[&str] =
    &["print", "debug", "eval", "call", "curry", "is_def_var", "is_def_fn", "type_of", "Fn", "is_shared"];

/// The parts of a text of so many bytes, in order; what is between them is space.
pub(super) fn inks(
    tokens: &[Token],
    callable: &Callable,
    is_variable: impl Fn(&str) -> bool,
    length: usize,
) -> Vec<(Range<usize>, Ink)> {
    let own = declared(tokens);
    let mut depth = Vec::new();
    let mut found = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let ink = match &token.kind {
            Kind::Keyword("true" | "false") | Kind::Value => Ink::Value,
            Kind::Keyword(_) => Ink::Keyword,
            Kind::Text(_) | Kind::Open => Ink::Text,
            Kind::Comment { .. } => Ink::Comment,
            Kind::Wrong => Ink::Wrong,
            Kind::Sign(sign) => bracket(sign, &mut depth),
            Kind::Word(_) | Kind::Reserved(_) => {
                let known = |name: &str| own.contains(name) || is_variable(name);
                word(tokens, at, callable, &known, length)
            }
        };
        found.push((token.start..token.end, ink));
    }
    found
}

/// The names that a text itself declares, wherever: variables, functions, parameters, modules.
fn declared(tokens: &[Token]) -> HashSet<&str> {
    let mut own = HashSet::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match &token.kind {
            Kind::Keyword("let" | "const" | "as" | "for") => {
                own.extend(tokens.get(at).and_then(Token::word));
            }
            Kind::Keyword("fn") => {
                own.extend(tokens.get(at).and_then(Token::word));
                own.extend(until(tokens, at, ")"));
            }
            Kind::Sign("(") if at >= 2 && matches!(tokens[at - 2].kind, Kind::Keyword("for" | "catch")) => {
                own.extend(until(tokens, at, ")"));
            }
            // A bar behind a value is an operator.
            Kind::Sign("|") if !at.checked_sub(2).is_some_and(|before| ends_value(&tokens[before])) => {
                own.extend(until(tokens, at, "|"));
                at += tokens[at..].iter().position(|token| token.is("|")).map_or(0, |bar| bar + 1);
            }
            _ => {}
        }
    }
    own
}

/// The names from a token on, up to a sign.
fn until<'t>(tokens: &'t [Token], from: usize, sign: &str) -> impl Iterator<Item = &'t str> {
    tokens[from..].iter().take_while(move |token| !token.is(sign)).filter_map(Token::word)
}

fn ends_value(token: &Token) -> bool {
    let closes = [")", "]", "}"].iter().any(|sign| token.is(sign));
    closes || token.word().is_some() || matches!(token.kind, Kind::Text(_) | Kind::Value)
}

fn word(
    tokens: &[Token],
    at: usize,
    callable: &Callable,
    is_variable: &dyn Fn(&str) -> bool,
    length: usize,
) -> Ink {
    let before = at.checked_sub(1).and_then(|at| tokens.get(at));
    let dotted = before.is_some_and(|token| token.is(".") || token.is("?."));
    let is = |at: usize, sign: &str| tokens.get(at).is_some_and(|token| token.is(sign));
    let Some(name) = tokens[at].word() else { return Ink::Wrong };
    let is_own = |name: &str| is_variable(name) || BUILT_IN.contains(&name);
    if matches!(tokens[at].kind, Kind::Reserved(_)) && !is_own(name) && !callable.free.contains(name) {
        return Ink::Wrong;
    }
    if !is(at + 1, "(") {
        let member = dotted || before.is_some_and(|token| token.is("::")) || is(at + 1, "::");
        let made = before.is_some_and(|token| {
            matches!(token.kind, Kind::Keyword("let" | "const" | "fn" | "for" | "as" | "import"))
        });
        // `#{name: ...}`; a variable is never followed by a colon.
        if member || made || is(at + 1, ":") {
            return Ink::Plain;
        }
        if is_variable(name) {
            return Ink::Variable;
        }
        // What is being typed may go on, and a function's name may be handed on.
        let goes_on = tokens[at].end == length;
        return if goes_on || callable.free.contains(name) { Ink::Plain } else { Ink::Wrong };
    }
    let known = if dotted {
        callable.members.contains(name)
    } else if before.is_some_and(|token| token.is("::")) {
        callable.modules.contains(name)
    } else {
        callable.free.contains(name)
    };
    if known || is_own(name) { Ink::Function } else { Ink::Wrong }
}

/// A bracket that closes nothing is wrong.
fn bracket(sign: &'static str, open: &mut Vec<&'static str>) -> Ink {
    let opening = match sign {
        "(" | "[" | "{" | "#{" => {
            open.push(sign);
            return Ink::Plain;
        }
        ")" => &["("][..],
        "]" => &["["],
        "}" => &["{", "#{"],
        _ => return Ink::Plain,
    };
    match open.pop() {
        Some(last) if opening.contains(&last) => Ink::Plain,
        _ => Ink::Wrong,
    }
}

/// The bracket at the cursor, or just before it, and the one that belongs to it.
pub(super) fn pair(tokens: &[Token], cursor: usize) -> Option<(usize, usize)> {
    let brackets = ["(", "[", "{", "#{", ")", "]", "}"];
    let touching = |token: &&Token| token.start == cursor || token.end == cursor;
    let mut there = tokens.iter().filter(|token| brackets.iter().any(|sign| token.is(sign)));
    let chosen = there.by_ref().filter(touching).max_by_key(|token| token.start == cursor)?;
    let mut open: Vec<&Token> = Vec::new();
    for token in tokens {
        if ["(", "[", "{", "#{"].iter().any(|sign| token.is(sign)) {
            open.push(token);
        } else if [")", "]", "}"].iter().any(|sign| token.is(sign)) {
            let opening = open.pop()?;
            if opening.start == chosen.start || token.start == chosen.start {
                return Some((opening.end - 1, token.start));
            }
        }
    }
    None
}
