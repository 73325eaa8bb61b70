//! What fits where the cursor is, in the order in which it is offered.

use super::super::help::{Entry, Kind as Form, Origin, of_items, of_option};
use super::super::tokens::Kind;
use super::cursor::{Quoted, Spot, What};
use super::infer::Call;
use super::shape::{Known, Shape};
use super::{Candidate, Completion, Live, Named, Typed, World};

/// More than this nobody reads.
const MOST: usize = 2000;

/// The words a statement may begin with.
const KEYWORDS: &[&str] = &[
    "let", "const", "fn", "if", "else", "for", "in", "while", "loop", "do", "until", "switch", "return",
    "break", "continue", "throw", "try", "catch", "import", "export", "true", "false",
];

/// What the cursor's place allows.
pub(super) fn offer(typed: &Typed<'_>, spot: &Spot, after: Option<char>, world: &dyn World) -> Completion {
    let written = typed.text.get(spot.start..).unwrap_or_default();
    let list = Offer { typed, written, after, world };
    let mut start = spot.start;
    let candidates = match &spot.what {
        What::Member(known) => list.members(known),
        What::Module(alias) => list.functions_of(alias),
        What::Name => list.names(),
        What::Key(call, taken) => list.keys(call, taken),
        What::Value(call, key) => {
            let mut values = list.values(call, key, true);
            if values.is_empty() {
                let named = list.named(call, key);
                values =
                    named.iter().map(|one| candidate(&in_quotes(&one.name), &one.name, &one.note)).collect();
            }
            if values.is_empty() { list.names() } else { list.ranked(values) }
        }
        What::Argument(Quoted::HostValue) => {
            let (_, mut found) = list.quoted(&Quoted::HostValue);
            found.extend(list.names());
            found
        }
        What::Argument(quoted) => {
            let (_, mut found) = list.quoted(quoted);
            found.retain(|one| one.text.contains('"'));
            found.iter_mut().for_each(|one| one.text.insert(0, '"'));
            if found.is_empty() { list.names() } else { found }
        }
        What::Text(Quoted::HostValue) => {
            // The quote goes as well.
            start -= 1;
            list.quoted(&Quoted::HostValue).1
        }
        What::Text(quoted) => {
            let (skip, candidates) = list.quoted(quoted);
            start += skip;
            candidates
        }
    };
    Completion { start, candidates }
}

struct Offer<'a> {
    typed: &'a Typed<'a>,
    /// What is there of it.
    written: &'a str,
    /// The character behind the cursor.
    after: Option<char>,
    world: &'a dyn World,
}

impl Offer<'_> {
    fn members(&self, known: &Known) -> Vec<Candidate> {
        let index = self.typed.look.index;
        // All members of all objects help nobody.
        if known.shape == Shape::Any && self.written.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        if let Shape::Map(keys) = &known.shape {
            let key = |(key, shape): (&String, &Shape)| match is_word(key) {
                true => Some(candidate(key, key, shape.name().unwrap_or_default())),
                false => None,
            };
            found.extend(keys.iter().filter_map(key));
        }
        let entries: Vec<&Entry> = match known.shape.name() {
            Some(object) => index.members(object).collect(),
            // Nobody knows what it is: a member of any of kvmsh's objects.
            None => index.own().filter(|entry| entry.object.is_some()).collect(),
        };
        let callable = entries.into_iter().filter(|entry| entry.kind != Form::Setter);
        found.extend(self.entries(callable, known.shape == Shape::Any));
        if let Some(kind) = known.shape.name() {
            found.extend(self.on_first(kind));
        }
        self.ranked(found)
    }

    /// Rhai's functions that take this as their first argument: `"a".to_upper()`.
    fn on_first(&self, kind: &str) -> Vec<Candidate> {
        let index = self.typed.look.index;
        let takes = |entry: &&Entry| {
            entry.origin == Origin::Rhai
                && entry.object.is_none()
                && entry.module.is_none()
                && entry.parameters.first().is_some_and(|(_, first)| first == kind)
        };
        let bound: Vec<Entry> = index
            .entries
            .iter()
            .filter(takes)
            .filter(|entry| !index.members(kind).any(|member| member.name == entry.name))
            .map(|entry| Entry { parameters: entry.parameters[1..].to_vec(), ..entry.clone() })
            .collect();
        self.entries(bound.iter(), false)
    }

    fn functions_of(&self, alias: &str) -> Vec<Candidate> {
        let module = self.typed.module_of(alias);
        let of = |entry: &&Entry| entry.module.as_deref() == Some(module.as_str());
        self.ranked(self.entries(self.typed.look.index.entries.iter().filter(of), false))
    }

    /// One candidate for each name, with its signature; of several forms the shortest.
    fn entries<'e>(&self, entries: impl Iterator<Item = &'e Entry>, of_any: bool) -> Vec<Candidate> {
        let mut found: Vec<(Candidate, &Entry)> = Vec::new();
        for entry in entries {
            if let Some((known, _)) = found.iter_mut().find(|(_, other)| other.name == entry.name) {
                // A form with arguments: the parentheses stay open for them.
                if entry.kind == Form::Function && !entry.parameters.is_empty() && known.text.ends_with("()")
                {
                    known.text.pop();
                }
                continue;
            }
            let call = match (entry.kind, self.after) {
                (Form::Function, Some('(')) | (Form::Property | Form::Setter, _) => "",
                (Form::Function, _) if entry.parameters.is_empty() => "()",
                (Form::Function, _) => "(",
            };
            let note = if of_any { entry.usage() } else { short(entry) };
            found.push((candidate(&format!("{}{call}", entry.name), &entry.name, &note), entry));
        }
        // Rhai's own come last.
        found.sort_by_key(|(_, entry)| entry.origin == Origin::Rhai);
        found.into_iter().map(|(candidate, _)| candidate).collect()
    }

    fn names(&self) -> Vec<Candidate> {
        let look = self.typed.look;
        let mut found: Vec<Candidate> = Vec::new();
        let mut declared: Vec<&str> = Vec::new();
        for pair in self.typed.tokens.windows(2) {
            if let (Kind::Keyword("let" | "const" | "for") | Kind::Sign("|"), Some(name)) =
                (&pair[0].kind, pair[1].word())
                && pair[1].end < self.typed.text.len()
            {
                declared.push(name);
            }
        }
        declared.sort_unstable();
        declared.dedup();
        found.extend(declared.iter().map(|name| candidate(name, name, "")));
        let mut variables: Vec<_> = look.scope.iter_raw().collect();
        variables.sort_by_key(|(name, ..)| *name);
        for (name, _, value) in variables {
            // A function of an earlier line is a constant too.
            if value.is_fnptr() && look.index.entries.iter().any(|e| e.name == name && e.object.is_none()) {
                continue;
            }
            let known = Known::value(look.engine, value);
            let note = match (known.shape.name(), known.name) {
                (Some(kind), Some(name)) => format!("{kind} {name}"),
                (Some(kind), None) => kind.to_owned(),
                (None, _) => String::new(),
            };
            found.retain(|other| other.text != name);
            found.push(candidate(name, name, &note));
        }
        let free = |entry: &&Entry| entry.object.is_none() && entry.module.is_none();
        let own = look.index.own().filter(free);
        found.extend(self.entries(own, false));
        if self.written.is_empty() {
            return self.ranked(found);
        }
        found.extend(self.aliases());
        let rhai = look.index.entries.iter().filter(free).filter(|entry| entry.origin == Origin::Rhai);
        let more = self.entries(rhai, false);
        found.extend(more.into_iter().filter(|one| !one.text.starts_with('_')));
        found.extend(KEYWORDS.iter().map(|word| candidate(word, word, "")));
        self.ranked(found)
    }

    fn aliases(&self) -> Vec<Candidate> {
        let mut names: Vec<&str> =
            self.typed.look.index.entries.iter().filter_map(|e| e.module.as_deref()).collect();
        let imported = self.typed.tokens.windows(2);
        names.extend(imported.filter(|w| w[0].kind == Kind::Keyword("as")).filter_map(|w| w[1].word()));
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| candidate(&format!("{name}::"), name, "module")).collect()
    }

    fn keys(&self, call: &Call, taken: &[String]) -> Vec<Candidate> {
        let colon = if self.after == Some(':') { "" } else { ": " };
        let mut found: Vec<Candidate> = Vec::new();
        for option in self.options(call) {
            let known = taken.contains(&option.name) || found.iter().any(|one| one.shown == option.name);
            if !known {
                let note = [option.holds.as_str(), option.doc.as_str()].join("  ");
                found.push(candidate(&format!("{}{colon}", option.name), &option.name, note.trim()));
            }
        }
        self.ranked(found)
    }

    fn options(&self, call: &Call) -> Vec<super::super::help::Choice> {
        if let Some(option) = &call.within {
            return of_option(&call.name, option);
        }
        if call.in_list {
            return of_items(&call.name);
        }
        let meant = self.typed.meant(call);
        meant.iter().flat_map(|entry| self.typed.look.index.options(entry)).collect()
    }

    /// What an option may be; with quotes where there are none yet.
    fn values(&self, call: &Call, key: &str, quotes: bool) -> Vec<Candidate> {
        let Some(option) = self.options(call).into_iter().find(|option| option.name == key) else {
            return Vec::new();
        };
        if quotes && option.holds == "bool" {
            return ["true", "false"].map(|word| candidate(word, word, "")).into();
        }
        let quoted = |word: &String| match quotes {
            true => candidate(&format!("{word:?}"), word, ""),
            false => self.closed(&Named::new(word, ""), false),
        };
        option.words.iter().map(quoted).collect()
    }

    /// What the value of an option is the name of.
    fn named(&self, call: &Call, key: &str) -> Vec<Named> {
        let live = |what: Live| {
            let host = call.receiver.as_ref().and_then(|known| known.host.as_deref());
            self.world.live(host, &what)
        };
        match key {
            "host" | "to" | "target" | "hosts" | "on" => self.world.hosts(),
            "pool" => live(Live::Pools),
            "network" | "nics" => live(Live::Networks),
            _ => Vec::new(),
        }
    }

    /// Candidates in quotes, and how many bytes of what was typed they leave alone.
    fn quoted(&self, quoted: &Quoted) -> (usize, Vec<Candidate>) {
        let all = |named: Vec<Named>, alone: bool| -> Vec<Candidate> {
            self.ranked(named.iter().map(|one| self.closed(one, alone)).collect())
        };
        let candidates = match quoted {
            Quoted::Host { patterns } => {
                let mut hosts = self.world.hosts();
                if *patterns && !self.written.is_empty() {
                    hosts.extend(self.world.patterns());
                }
                all(hosts, true)
            }
            Quoted::Live(host, what) => all(self.world.live(host.as_deref(), what), true),
            Quoted::Import => {
                let modules: Vec<Named> =
                    self.typed.look.index.modules.iter().map(|m| Named::new(&m.name, "")).collect();
                if !self.written.starts_with("std/") {
                    let (skip, mut files) = self.files(None);
                    // The module `lib/mine` is the file lib/mine.rhai.
                    files.retain(|one| one.shown.ends_with('/') || one.shown.ends_with(".rhai"));
                    files.iter_mut().for_each(|one| one.text = one.text.replace(".rhai", ""));
                    let found = if skip > 0 { Vec::new() } else { all(modules, false) };
                    return (skip, [found, files].concat());
                }
                all(modules, false)
            }
            Quoted::File(host) => return self.files(host.as_deref()),
            Quoted::Environment => {
                let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
                let mut names: Vec<Named> = names.map(|name| Named::new(name, "")).collect();
                names.sort();
                all(names, true)
            }
            Quoted::Topic => {
                let index = self.typed.look.index;
                let topics = index.objects.iter().chain(&index.modules).map(|t| Named::new(&t.name, ""));
                let mut names: Vec<Named> =
                    index.own().map(|e| Named::new(&e.name, "")).chain(topics).collect();
                names.sort();
                names.dedup();
                all(names, true)
            }
            Quoted::Option(call, key) => {
                let values = self.values(call, key, false);
                if values.is_empty() { all(self.named(call, key), false) } else { self.ranked(values) }
            }
            Quoted::HostValue => {
                let hosts = self.world.hosts();
                let call =
                    |one: &Named| candidate(&format!("host({})", in_quotes(&one.name)), &one.name, &one.note);
                self.ranked(hosts.iter().map(call).collect())
            }
            Quoted::Words(words) => all(words.iter().map(|word| Named::new(word, "")).collect(), false),
            Quoted::State(known, name) => all(self.states(known, name), false),
        };
        (0, candidates)
    }

    fn files(&self, host: Option<&str>) -> (usize, Vec<Candidate>) {
        let skip = self.written.rfind('/').map_or(0, |at| at + 1);
        let (directory, name) = self.written.split_at(skip);
        let files = self.world.files(host, directory);
        let shown = |file: &&Named| name.starts_with('.') || !file.name.starts_with('.');
        let rest = Offer { written: name, ..*self };
        let found = files.iter().filter(shown).map(|file| match file.name.ends_with('/') {
            true => candidate(&escaped(&file.name), &file.name, ""),
            false => rest.closed(file, false),
        });
        (skip, rest.ranked(found.collect()))
    }

    /// The words that a property's documentation names.
    fn states(&self, known: &Known, name: &str) -> Vec<Named> {
        let index = self.typed.look.index;
        let own = |entry: &&Entry| entry.kind == Form::Property && entry.name == name;
        let entry = match known.shape.name() {
            Some(object) => index.members(object).find(own),
            None => index.own().find(own),
        };
        let Some(entry) = entry.filter(|entry| entry.returns == "string") else { return Vec::new() };
        let words = entry.doc.split("Example:").next().unwrap_or_default().split('`').skip(1).step_by(2);
        words
            .filter(|word| word.chars().all(|c| c.is_alphanumeric() || c == ' '))
            .map(|word| Named::new(word, ""))
            .collect()
    }

    /// A name with the quote that closes it, and with the parenthesis if it is the only argument.
    fn closed(&self, named: &Named, alone: bool) -> Candidate {
        let before = self.typed.text.len() - self.written.len();
        let quote = self.typed.text.get(..before).and_then(|text| text.chars().next_back());
        let quote = quote.filter(|quote| matches!(quote, '"' | '`')).unwrap_or('"');
        let mut text = escaped(&named.name);
        if self.after != Some(quote) {
            text.push(quote);
            if alone && self.after.is_none() && self.is_only_argument() {
                text.push(')');
            }
        }
        candidate(&text, &named.name, &named.note)
    }

    fn is_only_argument(&self) -> bool {
        let tokens = &self.typed.tokens;
        let open = tokens.last().is_some_and(|last| last.kind == Kind::Open);
        let last = tokens.len() - usize::from(open);
        let Some(call) = self.typed.call_at(last) else { return false };
        let most = self.typed.meant(&call).iter().map(|entry| entry.parameters.len()).max();
        call.open + 1 == last && most == Some(1)
    }

    /// Those that begin with what was typed; where none does, those that have it
    /// somewhere, or its letters in order.
    fn ranked(&self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let written = self.written.to_lowercase();
        let written = unescaped(&written);
        let keep = |fits: &dyn Fn(&str) -> bool| -> Vec<Candidate> {
            let fit = candidates.iter().filter(|one| fits(&one.shown));
            fit.take(MOST).cloned().collect()
        };
        let exact = unescaped(self.written);
        let found = keep(&|name| name.starts_with(&exact));
        if !found.is_empty() {
            return found;
        }
        let found = keep(&|name| name.to_lowercase().starts_with(&written));
        if !found.is_empty() {
            return found;
        }
        let found = keep(&|name| name.to_lowercase().contains(&written));
        if !found.is_empty() || written.chars().count() < 3 {
            return found;
        }
        keep(&|name| {
            let mut letters = name.chars().flat_map(char::to_lowercase);
            written.chars().all(|wanted| letters.any(|letter| letter == wanted))
        })
    }
}

fn candidate(text: &str, shown: &str, note: &str) -> Candidate {
    Candidate { text: text.to_owned(), shown: shown.to_owned(), note: note.to_owned() }
}

/// A signature without its name: `(target: string) -> Domain`.
fn short(entry: &Entry) -> String {
    let call = entry.signature();
    match entry.kind {
        Form::Function => call.find('(').map_or(call.clone(), |at| call[at..].to_owned()),
        Form::Property | Form::Setter => entry.returns.clone(),
    }
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A name with its quotes.
fn in_quotes(name: &str) -> String {
    format!("\"{}\"", escaped(name))
}

/// A name as it stands between double quotes.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '"' | '\\' | '`' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            c if c.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

fn unescaped(text: &str) -> String {
    text.replace("\\\"", "\"").replace("\\`", "`").replace("\\\\", "\\")
}
