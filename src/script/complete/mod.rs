//! What could come next in a line that is being typed.
//!
//! `cursor` finds out where in the code the cursor is, `infer` what type the
//! code before it has, `offer` what fits there. Nothing is evaluated: types
//! come from the variables there are and from the index that `help()` shows;
//! names of live objects come from a [`World`] that only remembers.

mod cursor;
mod infer;
mod offer;
mod shape;

use std::cell::Cell;

use rhai::{Engine, Scope};

use super::help::Index;
use super::tokens::{self, Token};

/// Something that has a name, and what is known of it: `web1`, `running`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Its name; of a directory with a `/` behind it.
    pub name: String,
    /// A word or two on it; may be empty.
    pub note: String,
}

impl Named {
    /// Something of this name.
    pub fn new(name: impl Into<String>, note: impl Into<String>) -> Self {
        Self { name: name.into(), note: note.into() }
    }
}

/// The objects whose names can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Live {
    /// Domains of a host.
    Domains,
    /// Storage pools of a host.
    Pools,
    /// Virtual networks of a host.
    Networks,
    /// Volumes of a pool.
    Volumes(String),
    /// Snapshots of a domain.
    Snapshots(String),
}

/// What is known of the world without asking anybody.
pub trait World {
    /// The hosts that have names.
    fn hosts(&self) -> Vec<Named>;
    /// Groups and tags, as `hosts("…")` takes them.
    fn patterns(&self) -> Vec<Named>;
    /// Objects of a host, or of all hosts.
    fn live(&self, host: Option<&str>, what: &Live) -> Vec<Named>;
    /// What is in a directory: of a host, or of this machine.
    fn files(&self, host: Option<&str>, directory: &str) -> Vec<Named>;
}

/// One way to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What is put in place of what was typed.
    pub text: String,
    /// What a list shows.
    pub shown: String,
    /// What a list says of it: a signature, a state.
    pub note: String,
}

/// Ways to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Completion {
    /// Where what was typed of it begins, in bytes.
    pub start: usize,
    /// The best first.
    pub candidates: Vec<Candidate>,
}

/// What completion looks at.
pub(super) struct Look<'a> {
    pub(super) engine: &'a Engine,
    pub(super) scope: &'a Scope<'static>,
    pub(super) index: &'a Index,
}

/// A text up to the cursor, cut into tokens.
struct Typed<'a> {
    look: &'a Look<'a>,
    text: &'a str,
    tokens: Vec<Token>,
    /// How many more expressions may be looked at.
    steps: Cell<u32>,
}

impl<'a> Typed<'a> {
    fn new(look: &'a Look<'a>, text: &'a str) -> Self {
        let mut tokens = tokens::tokens(look.engine, text);
        // A comment that is over is nothing.
        let last = tokens.len().saturating_sub(1);
        let mut at = 0;
        tokens.retain(|token| {
            at += 1;
            !matches!(token.kind, tokens::Kind::Comment { .. }) || at > last
        });
        Self { look, text, tokens, steps: Cell::new(1000) }
    }
}

impl Look<'_> {
    /// How the text before `at` could go on.
    pub(super) fn complete(&self, line: &str, at: usize, world: &dyn World) -> Completion {
        let Some(before) = line.get(..at) else { return Completion::default() };
        let after = line.get(at..).and_then(|rest| rest.chars().next());
        let typed = Typed::new(self, before);
        let Some(spot) = typed.spot() else { return Completion { start: at, candidates: Vec::new() } };
        offer::offer(&typed, &spot, after, world)
    }

    /// The keys of the map, or the members of the object, that stands before the last dot.
    pub(super) fn keys_before(&self, text: &str) -> Vec<String> {
        let typed = Typed::new(self, text);
        let Some(dot) = typed.tokens.len().checked_sub(1) else { return Vec::new() };
        match typed.value_before(dot).shape {
            shape::Shape::Map(keys) => keys.into_keys().collect(),
            _ => Vec::new(),
        }
    }

    /// The forms of the function whose arguments are being typed at the end of
    /// the text, and which argument that is.
    pub(super) fn calling(&self, text: &str) -> Option<(Vec<String>, usize)> {
        let typed = Typed::new(self, text);
        if typed.tokens.last().is_some_and(|last| matches!(last.kind, tokens::Kind::Comment { .. })) {
            return None;
        }
        let call = typed.call_at(typed.tokens.len())?;
        let forms = typed.forms(&call);
        if forms.is_empty() { None } else { Some((forms, call.argument)) }
    }
}

#[cfg(test)]
mod tests;
