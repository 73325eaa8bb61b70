//! Where the cursor is: behind a dot, in the quotes of an argument, at a key.

use super::super::tokens::Kind;
use super::infer::Call;
use super::shape::Known;
use super::{Live, Typed};

/// What is being typed, and where that begins.
#[derive(Debug, PartialEq)]
pub(super) struct Spot {
    pub(super) start: usize,
    pub(super) what: What,
}

/// What could stand here.
#[derive(Debug, PartialEq)]
pub(super) enum What {
    /// A member of this.
    Member(Known),
    /// A function of this module.
    Module(String),
    /// A variable, a function, a keyword.
    Name,
    /// A key of the options of a call; these are there already.
    Key(Call, Vec<String>),
    /// The value of an option of a call.
    Value(Call, String),
    /// An argument that is such a text.
    Argument(Quoted),
    /// The inside of a text.
    Text(Quoted),
}

/// What a text stands for.
#[derive(Debug, PartialEq)]
pub(super) enum Quoted {
    /// A host of the inventory; with patterns for `hosts()`.
    Host { patterns: bool },
    /// An object of a host.
    Live(Option<String>, Live),
    /// A file of a host, or of this machine.
    File(Option<String>),
    /// A module.
    Import,
    /// A variable of the environment.
    Environment,
    /// A topic of `help`.
    Topic,
    /// The value of an option.
    Option(Call, String),
    /// A Host: no text, but `host("…")`.
    HostValue,
    /// One of these words.
    Words(Vec<String>),
    /// A state that a property may have.
    State(Known, String),
}

impl Typed<'_> {
    /// Where the cursor is; `None` where nobody knows what comes.
    pub(super) fn spot(&self) -> Option<Spot> {
        let end = self.tokens.len();
        let Some(last) = self.tokens.last() else { return Some(self.at(self.text.len(), What::Name)) };
        match &last.kind {
            Kind::Comment { open: true } | Kind::Wrong => return None,
            Kind::Open => {
                let start = last.start + 1;
                let quoted = self.quoted(end - 1)?;
                return self.text.is_char_boundary(start).then(|| self.at(start, What::Text(quoted)));
            }
            _ => {}
        }
        let touching = last.end == self.text.len();
        let typed = match &last.kind {
            Kind::Keyword(_) => touching,
            _ => touching && last.word().is_some(),
        };
        let (at, start) = if typed { (end - 1, last.start) } else { (end, self.text.len()) };
        let before = at.checked_sub(1).map(|at| &self.tokens[at]);
        if let Some(dot) = before.filter(|token| token.is(".") || token.is("?.")) {
            let number = at.checked_sub(2).is_some_and(|at| self.tokens[at].kind == Kind::Value);
            let value = self.value_before(at - 1);
            return (!number && dot.end <= start).then(|| self.at(start, What::Member(value)));
        }
        if before.is_some_and(|token| token.is("::")) {
            let alias = at.checked_sub(2).and_then(|at| self.tokens[at].word())?;
            return Some(self.at(start, What::Module(alias.to_owned())));
        }
        // After `let` and the like a name is made up.
        if matches!(before.map(|t| &t.kind), Some(Kind::Keyword("let" | "const" | "fn" | "for" | "as"))) {
            return None;
        }
        if !typed && touching && !last_opens(&last.kind) {
            return None;
        }
        if let Some(what) = self.option_at(at) {
            return Some(self.at(start, what));
        }
        // `host(` without a quote yet.
        if !typed && before.is_some_and(|token| token.is("(") || token.is(",")) {
            let quoted = self.call_at(at).and_then(|call| self.argument(&call));
            if let Some(quoted) = quoted {
                return Some(self.at(start, What::Argument(quoted)));
            }
        }
        Some(self.at(start, What::Name))
    }

    const fn at(&self, start: usize, what: What) -> Spot {
        Spot { start, what }
    }

    /// Whether the token `at` is, or would be, a key or a value of options.
    fn option_at(&self, at: usize) -> Option<What> {
        let (open, _) = self.enclosing(at)?;
        if !self.tokens[open].is("#{") {
            return None;
        }
        let call = self.call_at(open).or_else(|| self.call_around(open))?;
        let mut keys = Vec::new();
        for token in open + 1..at {
            if self.enclosing(token).is_some_and(|(outer, _)| outer == open)
                && self.tokens.get(token + 1).is_some_and(|next| next.is(":"))
                && let Some(word) = self.tokens[token].word()
            {
                keys.push(word.to_owned());
            }
        }
        match self.tokens.get(at.checked_sub(1)?)? {
            before if before.is("#{") || before.is(",") => Some(What::Key(call, keys)),
            before if before.is(":") => Some(What::Value(call, keys.pop()?)),
            _ => None,
        }
    }

    /// What the text stands for that begins with the token `at`.
    fn quoted(&self, at: usize) -> Option<Quoted> {
        let before = &self.tokens.get(at.checked_sub(1)?)?;
        if before.kind == Kind::Keyword("import") {
            return Some(Quoted::Import);
        }
        if before.is("==") || before.is("!=") {
            let name = self.tokens[at.checked_sub(2)?].word()?;
            let dot = at.checked_sub(3).filter(|dot| self.tokens[*dot].is("."))?;
            return Some(Quoted::State(self.value_before(dot), name.to_owned()));
        }
        if let Some(What::Value(call, key)) = self.option_at(at) {
            return Some(Quoted::Option(call, key));
        }
        let list = before.is("[") || before.is(",") || before.is("(");
        if !list {
            return None;
        }
        // In an array that is the value of an option: `to: ["h2-`.
        if let Some((open, _)) = self.enclosing(at)
            && self.tokens[open].is("[")
            && let Some(What::Value(call, key)) = self.option_at(open)
        {
            return Some(Quoted::Option(call, key));
        }
        self.argument(&self.call_at(at)?)
    }

    /// What a text argument stands for, by the names of the function and its parameter.
    fn argument(&self, call: &Call) -> Option<Quoted> {
        let object = call.receiver.as_ref().map(|known| known.shape.name().unwrap_or_default());
        let host = || call.receiver.as_ref().and_then(|known| known.host.clone());
        let name = || call.receiver.as_ref().and_then(|known| known.name.clone());
        let live = |what: Live| Some(Quoted::Live(host(), what));
        match (object, call.name.as_str(), call.argument) {
            (None, "host", 0) => return Some(Quoted::Host { patterns: false }),
            (None, "hosts", 0) => return Some(Quoted::Host { patterns: true }),
            (None, "env", 0) => return Some(Quoted::Environment),
            (None, "help", 0) => return Some(Quoted::Topic),
            (Some("Host" | ""), "domain", 0) => return live(Live::Domains),
            (Some("Host" | ""), "pool", 0) => return live(Live::Pools),
            (Some("Host" | ""), "network", 0) => return live(Live::Networks),
            (Some("Pool"), "volume", 0) => return live(Live::Volumes(name()?)),
            _ => {}
        }
        let meant = self.meant(call);
        let parameter = |entry: &&super::super::help::Entry| {
            entry.parameters.get(call.argument).map(|(name, _)| name.clone())
        };
        if let Some(words) = meant.iter().find_map(|entry| words(entry, call.argument)) {
            return Some(Quoted::Words(words));
        }
        meant.iter().filter_map(parameter).find_map(|parameter| match (object, parameter.as_str()) {
            // What is written in Rhai has methods of it called.
            (None, "host" | "source" | "server" | "node" | "from" | "target") if call.module.is_some() => {
                Some(Quoted::HostValue)
            }
            (None, "hosts" | "nodes") if call.module.is_some() => Some(Quoted::HostValue),
            (_, "target" | "targets" | "hosts") => Some(Quoted::Host { patterns: false }),
            (Some("Host"), "path" | "remote") => Some(Quoted::File(host())),
            (_, "local") => Some(Quoted::File(None)),
            (Some("Domain"), "snapshot") => live(Live::Snapshots(name()?)),
            (Some("Domain"), "path") => Some(Quoted::File(None)),
            _ => None,
        })
    }
}

/// The words that documentation names for a parameter: `` `level`: `"info"`, `"warn"` or `"error"` ``.
fn words(entry: &super::super::help::Entry, argument: usize) -> Option<Vec<String>> {
    let (name, _) = entry.parameters.get(argument)?;
    let told = entry.doc.split("\n\n").find_map(|part| part.trim().strip_prefix(&format!("`{name}`: ")))?;
    let told = told.split([';', '.']).next().unwrap_or_default();
    if !told.starts_with("`\"") {
        return None;
    }
    let words = told.split('`').skip(1).step_by(2);
    let words: Vec<String> =
        words.filter_map(|word| Some(word.strip_prefix('"')?.strip_suffix('"')?.to_owned())).collect();
    (words.len() > 1).then_some(words)
}

const fn last_opens(kind: &Kind) -> bool {
    matches!(kind, Kind::Sign(_))
}
