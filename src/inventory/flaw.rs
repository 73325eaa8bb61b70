//! What can be wrong with an inventory.

use std::ops::Range;
use std::path::Path;

use crate::model::{Class, Diagnosis, Fault, Place};

/// One thing that is wrong, without the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("this is not TOML: {0}")]
    Syntax(String),
    #[error("`{0}` is there twice")]
    Twice(String),
    #[error("unknown key `{key}` in {table}")]
    UnknownKey { key: String, table: String, hint: String },
    #[error("`{key}` has to be {expected}, not {found}")]
    Type { key: String, expected: &'static str, found: &'static str },
    #[error("`{0}` is no name for a {1}")]
    Name(String, &'static str),
    #[error("host {0} has neither `address` nor `uri`")]
    Unreachable(String),
    #[error("{0}")]
    Value(String),
    #[error("group {group} names `{member}`, which is neither a host nor a pattern that fits one")]
    Member { group: String, member: String, hint: Option<String> },
}

impl Flaw {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Twice(_) => Some("keep one of them, or give the other another name".to_owned()),
            Self::UnknownKey { hint, .. } => Some(hint.clone()),
            Self::Name(_, _) => Some(
                "use letters, digits, `-`, `_` and `.`, and begin with a letter or digit: \
                 `*`, `?`, `@` and `:` select hosts"
                    .to_owned(),
            ),
            Self::Unreachable(_) => Some(
                "add address = \"…\" (a name, an IP address or an alias of ~/.ssh/config), \
                 or uri = \"qemu:///system\" for this machine"
                    .to_owned(),
            ),
            Self::Member { hint, .. } => hint.clone(),
            Self::Syntax(_) | Self::Type { .. } | Self::Value(_) => None,
        }
    }
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) flaw: Flaw,
    pub(super) span: Range<usize>,
}

/// The first flaw as a person sees it, with the lines of the others.
pub(super) fn report(path: &Path, text: &str, mut flaws: Vec<Found>) -> Option<Diagnosis> {
    flaws.sort_by_key(|found| found.span.start);
    let (first, rest) = flaws.split_first()?;
    let mut fault = Fault::new("inventory", first.flaw.to_string()).class(Class::Usage);
    // After a name that is there twice, all that follows it would be too.
    let rest = if matches!(first.flaw, Flaw::Twice(_)) { &[] } else { rest };
    let mut lines: Vec<usize> = rest.iter().map(|found| position(text, found.span.start).0).collect();
    lines.dedup();
    let more = match lines.as_slice() {
        [] => None,
        [line] => Some(format!("something is wrong in line {line} too")),
        many => {
            let lines: Vec<String> = many.iter().map(ToString::to_string).collect();
            Some(format!("something is wrong in the lines {} too", lines.join(", ")))
        }
    };
    let hints: Vec<String> = first.flaw.hint().into_iter().chain(more).collect();
    if !hints.is_empty() {
        fault = fault.hint(hints.join("\n"));
    }
    Some(Diagnosis { fault, places: vec![place(path, text, &first.span)] })
}

fn place(path: &Path, text: &str, span: &Range<usize>) -> Place {
    let (line, column) = position(text, span.start);
    let token = text.get(span.clone()).unwrap_or_default();
    let length = token.lines().next().unwrap_or_default().chars().count().max(1);
    Place {
        script: path.display().to_string(),
        text: crate::model::secret::blank_urls(text),
        line,
        column,
        length,
    }
}

/// Line and column in characters of a byte offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
