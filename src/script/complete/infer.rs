//! From tokens to types: `host("a").domains()[0].` stands behind a Domain.

use super::super::help::{Entry, Kind as Form};
use super::super::tokens::{Kind, Token};
use super::Typed;
use super::shape::{Known, Shape};

/// More steps than this are nobody's code.
const STEPS: usize = 200;

/// A call whose arguments are being typed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// The function's name.
    pub(super) name: String,
    /// What it is called on.
    pub(super) receiver: Option<Known>,
    /// The module it is called in.
    pub(super) module: Option<String>,
    /// The argument that is being typed, from 0.
    pub(super) argument: usize,
    /// Whether it stands in an array that is the argument.
    pub(super) in_list: bool,
    /// The option whose own map, or array of maps, is being typed: `disks` in `create(#{disks: [#{`.
    pub(super) within: Option<String>,
    /// The token of its opening parenthesis.
    pub(super) open: usize,
}

impl Typed<'_> {
    fn is(&self, at: usize, sign: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(sign))
    }

    fn is_dot(&self, at: usize) -> bool {
        self.is(at, ".") || self.is(at, "?.")
    }

    fn word(&self, at: usize) -> Option<&str> {
        self.tokens.get(at).and_then(Token::word)
    }

    fn text_at(&self, at: usize) -> Option<String> {
        match self.tokens.get(at).map(|token| &token.kind) {
            Some(Kind::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// The bracket that closes the one at `open`, before `end`.
    fn close_of(&self, open: usize, end: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in open..end.min(self.tokens.len()) {
            depth += usize::from(opens(&self.tokens[at]));
            if closes(&self.tokens[at]) {
                depth = depth.checked_sub(1)?;
            }
            if depth == 0 {
                return Some(at);
            }
        }
        None
    }

    /// The bracket that the one at `close` closes.
    fn open_of(&self, close: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in (0..=close).rev() {
            depth += usize::from(closes(&self.tokens[at]));
            if opens(&self.tokens[at]) {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        None
    }

    /// The bracket that is open before the token `at`, and how many commas are between.
    pub(super) fn enclosing(&self, at: usize) -> Option<(usize, usize)> {
        let (mut depth, mut commas) = (0_usize, 0);
        for at in (0..at.min(self.tokens.len())).rev() {
            let token = &self.tokens[at];
            if closes(token) {
                depth += 1;
            } else if opens(token) {
                match depth.checked_sub(1) {
                    Some(outer) => depth = outer,
                    None => return Some((at, commas)),
                }
            } else if depth == 0 && token.is(",") {
                commas += 1;
            } else if depth == 0 && token.is(";") {
                commas = 0;
            }
        }
        None
    }

    /// The call in whose arguments, or in an array among them, the token `at` stands.
    pub(super) fn call_at(&self, at: usize) -> Option<Call> {
        let (open, argument) = self.enclosing(at)?;
        if self.is(open, "[") {
            let call = self.call_at(open)?;
            return (!self.is_indexed(open)).then_some(Call { in_list: true, ..call });
        }
        if !self.is(open, "(") {
            return None;
        }
        let named = open.checked_sub(1)?;
        let name = self.word(named)?.to_owned();
        let before = named.checked_sub(1);
        let receiver = before.filter(|at| self.is_dot(*at)).map(|dot| self.value_before(dot));
        let module = before
            .filter(|at| self.is(*at, "::"))
            .and_then(|at| self.word(at.checked_sub(1)?))
            .map(ToOwned::to_owned);
        Some(Call { name, receiver, module, argument, in_list: false, within: None, open })
    }

    /// The call in whose options the map at `open` is the value of one, by itself or in an array.
    pub(super) fn call_around(&self, open: usize) -> Option<Call> {
        let (outer, _) = self.enclosing(open)?;
        let (value, map) =
            if self.is(outer, "[") { (outer, self.enclosing(outer)?.0) } else { (open, outer) };
        if !self.is(map, "#{") || !self.is(value.checked_sub(1)?, ":") {
            return None;
        }
        let key = self.word(value.checked_sub(2)?)?.to_owned();
        Some(Call { within: Some(key), ..self.call_at(map)? })
    }

    /// Whether the bracket at `open` is an index, and no array.
    fn is_indexed(&self, open: usize) -> bool {
        let before = open.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.is_some_and(|token| {
            token.word().is_some() || token.is(")") || token.is("]") || matches!(token.kind, Kind::Text(_))
        })
    }

    /// The functions that a call may mean.
    pub(super) fn meant(&self, call: &Call) -> Vec<&Entry> {
        let index = self.look.index;
        let module = call.module.as_deref().map(|alias| self.module_of(alias));
        let fits = |entry: &&Entry| {
            entry.kind == Form::Function
                && entry.name == call.name
                && match (&call.receiver, &module) {
                    (Some(known), _) => match known.shape.name() {
                        Some(object) => {
                            entry.object.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(object))
                        }
                        None => entry.object.is_some() && entry.origin != super::super::help::Origin::Rhai,
                    },
                    (None, Some(module)) => entry.module.as_deref() == Some(module),
                    (None, None) => entry.object.is_none() && entry.module.is_none(),
                }
        };
        index.entries.iter().filter(fits).collect()
    }

    /// Their signatures without the object.
    pub(super) fn forms(&self, call: &Call) -> Vec<String> {
        let mut forms: Vec<String> = self
            .meant(call)
            .iter()
            .filter(|e| e.parameters.len() > call.argument)
            .map(|e| e.call())
            .collect();
        forms.dedup();
        forms
    }

    /// What a module is called in the index: by its alias, or by what it was imported from in this text.
    pub(super) fn module_of(&self, alias: &str) -> String {
        let imported = self.tokens.windows(4).find_map(|w| match (&w[0].kind, &w[1].kind, &w[2].kind) {
            (Kind::Keyword("import"), Kind::Text(path), Kind::Keyword("as")) => {
                (w[3].word() == Some(alias)).then(|| path.rsplit('/').next().unwrap_or(path).to_owned())
            }
            _ => None,
        });
        imported.unwrap_or_else(|| alias.to_owned())
    }

    /// The value of the expression that ends before the token `end`.
    pub(super) fn value_before(&self, end: usize) -> Known {
        self.chain(self.start_of(end), end, 0).0
    }

    /// Where the expression begins that ends before `end`.
    fn start_of(&self, end: usize) -> usize {
        let mut at = end;
        for _ in 0..STEPS {
            let Some(last) = at.checked_sub(1) else { return at };
            let token = &self.tokens[last];
            if token.is(")") || token.is("]") || token.is("}") {
                let Some(open) = self.open_of(last) else { return at };
                at = open;
                if self.is(open, "{") || self.is(open, "#{") || !self.is_indexed(open) {
                    return at;
                }
            } else if token.word().is_some() || matches!(token.kind, Kind::Text(_) | Kind::Value) {
                at = last;
                match at.checked_sub(1) {
                    Some(dot) if self.is_dot(dot) => at = dot,
                    Some(colons) if self.is(colons, "::") => return colons.saturating_sub(1),
                    _ => return at,
                }
            } else {
                return at;
            }
        }
        at
    }

    /// The value of the expression that begins at `start`, and where it ends.
    fn chain(&self, start: usize, end: usize, depth: usize) -> (Known, usize) {
        // What nobody would write may branch without end.
        let left = self.steps.get();
        if depth > 16 || start >= end || left == 0 {
            return (Known::default(), end);
        }
        self.steps.set(left - 1);
        let (mut known, mut at) = self.primary(start, end, depth);
        for _ in 0..STEPS {
            if at < end && self.is_dot(at) {
                let Some(name) = self.word(at + 1).filter(|_| at + 1 < end) else { break };
                if self.is(at + 2, "(") && at + 2 < end {
                    let Some(close) = self.close_of(at + 2, end) else { break };
                    known = self.method(known, name, at + 2, close, depth);
                    at = close + 1;
                } else {
                    known = self.property(&known, name);
                    at += 2;
                }
            } else if at < end && self.is(at, "[") {
                let Some(close) = self.close_of(at, end) else { break };
                known = match (&known.shape, self.text_at(at + 1)) {
                    (Shape::Map(keys), Some(key)) => Known::of(keys.get(&key).cloned().unwrap_or_default()),
                    _ => known.item(),
                };
                at = close + 1;
            } else if at < end && self.is(at, "(") {
                let Some(close) = self.close_of(at, end) else { break };
                known = Known::default();
                at = close + 1;
            } else {
                break;
            }
        }
        (known, at)
    }

    fn primary(&self, at: usize, end: usize, depth: usize) -> (Known, usize) {
        let token = &self.tokens[at];
        let close = || self.close_of(at, end).unwrap_or(end);
        match &token.kind {
            Kind::Text(_) => (Known::of(Shape::object("string")), at + 1),
            Kind::Value => (Known::of(Shape::object("number")), at + 1),
            Kind::Keyword("true" | "false") => (Known::of(Shape::object("bool")), at + 1),
            Kind::Sign("(") => (self.chain(at + 1, close(), depth + 1).0, close() + 1),
            Kind::Sign("[") => {
                let item = self.chain(at + 1, close(), depth + 1).0;
                let shape = Shape::Array(Box::new(item.shape));
                (Known { shape, host: item.host, name: None }, close() + 1)
            }
            Kind::Sign("#{") => (Known::of(self.map(at, close(), depth)), close() + 1),
            Kind::Word(name) if self.is(at + 1, "::") && at + 2 < end => {
                let function = self.word(at + 2).unwrap_or_default().to_owned();
                let call = self.call(function, None, Some(name.clone()), at + 3);
                let next = self.close_of(at + 3, end).filter(|_| self.is(at + 3, "(")).unwrap_or(at + 2);
                (self.result(&call, at + 3, next, depth), next + 1)
            }
            Kind::Word(name) if self.is(at + 1, "(") && at + 1 < end => {
                let Some(close) = self.close_of(at + 1, end) else { return (Known::default(), end) };
                let call = self.call(name.clone(), None, None, at + 1);
                (self.result(&call, at + 1, close, depth), close + 1)
            }
            Kind::Word(name) => (self.variable(name, at, depth), at + 1),
            _ => (Known::default(), at + 1),
        }
    }

    fn call(&self, name: String, receiver: Option<Known>, module: Option<String>, open: usize) -> Call {
        Call { name, receiver, module, argument: 0, in_list: false, within: None, open }
    }

    fn map(&self, open: usize, close: usize, depth: usize) -> Shape {
        let mut keys = std::collections::BTreeMap::new();
        let mut at = open + 1;
        while at + 1 < close && keys.len() < STEPS {
            let key = self.word(at).map(ToOwned::to_owned).or_else(|| self.text_at(at));
            let Some(key) = key.filter(|_| self.is(at + 1, ":")) else { break };
            let (value, mut next) = self.chain(at + 2, close, depth + 1);
            keys.insert(key, value.shape);
            while next < close && !self.is(next, ",") {
                next = self.close_of(next, close).map_or(next, |end| end.max(next)) + 1;
            }
            at = next + 1;
        }
        Shape::Map(keys)
    }

    fn property(&self, known: &Known, name: &str) -> Known {
        if let Shape::Map(keys) = &known.shape
            && let Some(shape) = keys.get(name)
        {
            return Known { shape: shape.clone(), host: known.host.clone(), name: None };
        }
        let Some(object) = known.shape.name() else { return Known::default() };
        let entry = self.look.index.members(object).find(|e| e.name == name && e.kind == Form::Property);
        let shape = entry.map(Shape::returned).unwrap_or_default();
        let name = if shape.name() == Some("Host") { known.host.clone() } else { None };
        Known { shape, host: known.host.clone(), name }
    }

    fn method(&self, on: Known, name: &str, open: usize, close: usize, depth: usize) -> Known {
        if matches!(on.shape, Shape::Array(_)) {
            match name {
                "filter" | "extract" | "drain" | "retain" | "splice" | "dedup" | "sort" | "reverse" => {
                    return on;
                }
                "find" | "pop" | "shift" | "remove" | "get" => return on.item(),
                _ => {}
            }
        }
        let call = self.call(name.to_owned(), Some(on), None, open);
        self.result(&call, open, close, depth)
    }

    /// What a call returns whose arguments stand between two parentheses.
    fn result(&self, call: &Call, open: usize, close: usize, depth: usize) -> Known {
        let arguments = self.arguments(open, close);
        let meant = self.meant(call);
        let best = meant
            .iter()
            .filter(|entry| entry.parameters.len() == arguments)
            .chain(&meant)
            .find(|entry| Shape::returned(entry) != Shape::Any);
        let Some(entry) = best else { return Known::default() };
        let shape = Shape::returned(entry);
        // The name that an object was asked for by; a host's is where it is as well.
        let name = self.text_at(open + 1).filter(|_| arguments == 1);
        let host = match (call.receiver.as_ref(), shape.name()) {
            (None, Some("Host")) => name.clone(),
            (Some(receiver), _) => receiver.host.clone(),
            (None, _) if arguments > 0 && depth < 8 => self.chain(open + 1, close, depth + 1).0.host,
            _ => None,
        };
        Known { shape, host, name }
    }

    fn arguments(&self, open: usize, close: usize) -> usize {
        if open + 1 >= close {
            return 0;
        }
        1 + (open + 1..close)
            .filter(|&at| self.is(at, ",") && self.enclosing(at).is_some_and(|(outer, _)| outer == open))
            .count()
    }

    /// What a name stands for: declared in this text, or a variable of earlier lines.
    fn variable(&self, name: &str, at: usize, depth: usize) -> Known {
        for before in (0..at).rev() {
            if self.word(before) != Some(name) {
                continue;
            }
            let keyword = before.checked_sub(1).map(|at| &self.tokens[at].kind);
            match keyword {
                Some(Kind::Keyword("let" | "const")) if self.is(before + 1, "=") => {
                    return self.chain(before + 2, at, depth + 1).0;
                }
                Some(Kind::Keyword("for")) => return self.chain(before + 2, at, depth + 1).0.item(),
                Some(Kind::Keyword("catch")) => return Known::of(Shape::object("Error")),
                Some(Kind::Sign("(")) if self.is_keyword(before.checked_sub(2), "catch") => {
                    return Known::of(Shape::object("Error"));
                }
                Some(Kind::Sign("|")) if self.begins_closure(before - 1) => {
                    return self.parameter(before - 1, 0, depth).unwrap_or_default();
                }
                Some(Kind::Sign(",")) => {
                    if let Some((bar, place)) = self.bar_before(before) {
                        return self.parameter(bar, place, depth).unwrap_or_default();
                    }
                }
                _ => {}
            }
        }
        let found = self.look.scope.iter_raw().filter(|(known, ..)| *known == name).last();
        found.map(|(_, _, value)| Known::value(self.look.engine, value)).unwrap_or_default()
    }

    fn is_keyword(&self, at: Option<usize>, word: &str) -> bool {
        let token = at.and_then(|at| self.tokens.get(at));
        token.is_some_and(|token| matches!(token.kind, Kind::Keyword(one) if one == word))
    }

    /// Whether a bar is the first of a closure, and no operator.
    fn begins_closure(&self, bar: usize) -> bool {
        let before = bar.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.is_none_or(|token| {
            token.word().is_none()
                && !token.is(")")
                && !token.is("]")
                && !matches!(token.kind, Kind::Text(_) | Kind::Value)
        })
    }

    /// The bar that begins the closure whose further parameter is at `at`, and which that is.
    fn bar_before(&self, at: usize) -> Option<(usize, usize)> {
        let (mut first, mut place) = (at, 0);
        while first >= 2 && self.is(first - 1, ",") && self.word(first - 2).is_some() {
            (first, place) = (first - 2, place + 1);
        }
        let bar = first.checked_sub(1)?;
        (self.is(bar, "|") && self.begins_closure(bar)).then_some((bar, place))
    }

    /// A parameter of a closure: an item of the array that the function works on, if that is what it is given there.
    fn parameter(&self, bar: usize, place: usize, depth: usize) -> Option<Known> {
        if depth > 8 {
            return None;
        }
        let call = self.call_at(bar)?;
        let items: &[usize] = match call.name.as_str() {
            "sort" => &[0, 1],
            "reduce" | "reduce_rev" => &[1],
            _ => &[0],
        };
        if !items.contains(&place) {
            return None;
        }
        let of = match call.receiver {
            Some(receiver) => receiver,
            None => self.chain(call.open + 1, bar, depth + 1).0,
        };
        matches!(of.shape, Shape::Array(_)).then(|| of.item())
    }
}

fn opens(token: &Token) -> bool {
    ["(", "[", "{", "#{"].iter().any(|sign| token.is(sign))
}

fn closes(token: &Token) -> bool {
    [")", "]", "}"].iter().any(|sign| token.is(sign))
}
