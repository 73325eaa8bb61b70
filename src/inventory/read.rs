//! Reads `hosts.toml`, strictly: what is not understood is an error that says where.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use wildmatch::WildMatch;

use super::check;
use super::flaw::{Flaw, Found, report};
use crate::model::{Bytes, Diagnosis, HostEntry, Inventory, Target, suggest};

const TOP: [&str; 3] = ["hosts", "groups", "storage"];
const STORAGE: [&str; 1] = ["shared"];
const HOST: [&str; 10] = [
    "address",
    "user",
    "port",
    "uri",
    "identity",
    "known_hosts",
    "jump",
    "tags",
    "reserve",
    "migration_address",
];

/// Reads the text of the inventory at `path`.
///
/// # Errors
/// `inventory` with the first place that is wrong and the lines of the others.
pub fn parse(path: &Path, text: &str) -> Result<Inventory, Diagnosis> {
    let mut reader = Reader { beside: directory(path), flaws: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut inventory = Inventory { path: Some(path.to_owned()), ..Inventory::default() };
    if errors.is_empty() {
        reader.document(document.get_ref(), &mut inventory);
    }
    reader.flaws.extend(errors.iter().map(|error| syntax(text, error)));
    report(path, text, reader.flaws).map_or(Ok(inventory), Err)
}

fn syntax(text: &str, error: &toml::de::Error) -> Found {
    let span = error.span().unwrap_or(0..0);
    let token = text.get(span.clone()).unwrap_or_default().trim();
    let flaw = match error.message() {
        "duplicate key" if !token.is_empty() => Flaw::Twice(token.to_owned()),
        message => Flaw::Syntax(message.to_owned()),
    };
    Found { flaw, span }
}

fn directory(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

type Key<'i> = Spanned<DeString<'i>>;
type Value<'i> = Spanned<DeValue<'i>>;

struct Reader {
    beside: PathBuf,
    flaws: Vec<Found>,
}

impl Reader {
    fn document(&mut self, document: &DeTable<'_>, inventory: &mut Inventory) {
        let mut groups = None;
        for (key, value) in document {
            match key.get_ref().as_ref() {
                "hosts" => {
                    for (name, entry) in self.table("hosts", value) {
                        if let Some(host) = self.host(name, entry) {
                            inventory.hosts.insert(host.target.name.clone(), host);
                        }
                    }
                }
                "groups" => groups = Some(value),
                "storage" => self.storage(value, &mut inventory.shared),
                _ => self.unknown(key, "the inventory", &TOP),
            }
        }
        if let Some(groups) = groups {
            // A flawed host is still a host for the groups: one mistake, one message.
            let names = document.iter().filter(|(key, _)| key.get_ref() == "hosts");
            let names =
                names.filter_map(|(_, hosts)| hosts.get_ref().as_table()).flat_map(|hosts| hosts.keys());
            let names: Vec<&str> = names.map(|name| name.get_ref().as_ref()).collect();
            inventory.groups = self.groups(groups, &names);
        }
    }

    fn host(&mut self, name: &Key<'_>, entry: &Value<'_>) -> Option<HostEntry> {
        let label = name.get_ref().as_ref();
        if !check::host_name(label) {
            self.flaw(name.span(), Flaw::Name(label.to_owned(), "host"));
        }
        let before = self.flaws.len();
        let mut host = HostEntry {
            target: Target { uri: None, ..Target::local(label, "") },
            tags: Vec::new(),
            reserve: None,
            migration_address: None,
        };
        let mut remote = check::Remote::default();
        for (key, value) in self.table(label, entry) {
            let span = value.span();
            let target = &mut host.target;
            match key.get_ref().as_ref() {
                "address" => target.address = self.text(key, value, check::address),
                "user" => target.user = self.text(key, value, check::user),
                "jump" => target.jump = self.text(key, value, check::jump),
                "migration_address" => host.migration_address = self.text(key, value, check::address),
                "port" => target.port = self.port(key, value),
                "identity" => target.identity = self.file(key, value),
                "known_hosts" => target.known_hosts = self.file(key, value),
                "tags" => host.tags = self.words(key, value, "tag"),
                "reserve" => {
                    let text = self.text(key, value, |_| Ok(()));
                    host.reserve = text.and_then(|text| self.value(&span, text.parse::<Bytes>()));
                }
                "uri" => {
                    target.uri = self.text(key, value, |_| Ok(()));
                    let uri = target.uri.clone();
                    remote = uri.and_then(|uri| self.value(&span, check::uri(&uri))).unwrap_or_default();
                }
                _ => self.unknown(key, &format!("[hosts.{label}]"), &HOST),
            }
        }
        if self.flaws.len() > before {
            return None;
        }
        let target = &mut host.target;
        if target.address.is_none() {
            if target.uri.is_none() {
                self.flaw(name.span(), Flaw::Unreachable(label.to_owned()));
                return None;
            }
            // SSH goes where libvirt goes, unless the inventory says otherwise.
            target.address = remote.host;
            target.user = target.user.take().or(remote.user);
            target.port = target.port.or(remote.port);
        }
        Some(host)
    }

    fn groups(&mut self, groups: &Value<'_>, hosts: &[&str]) -> BTreeMap<String, Vec<String>> {
        let mut found = BTreeMap::new();
        for (name, members) in self.table("groups", groups) {
            let group = name.get_ref().as_ref();
            if !check::host_name(group) {
                self.flaw(name.span(), Flaw::Name(group.to_owned(), "group"));
            }
            for (member, span) in self.strings(name, members) {
                let pattern = member.contains(['*', '?']);
                if !hosts.iter().any(|host| WildMatch::new(&member).matches(host)) && !pattern {
                    let hint = suggest::did_you_mean(&member, hosts.iter().copied());
                    let group = group.to_owned();
                    self.flaw(span, Flaw::Member { group, member: member.clone(), hint });
                }
                found.entry(group.to_owned()).or_insert_with(Vec::new).push(member);
            }
            found.entry(group.to_owned()).or_default();
        }
        found
    }

    fn storage(&mut self, storage: &Value<'_>, shared: &mut Vec<PathBuf>) {
        for (key, value) in self.table("storage", storage) {
            if key.get_ref() != "shared" {
                self.unknown(key, "[storage]", &STORAGE);
                continue;
            }
            for (path, span) in self.strings(key, value) {
                shared.extend(self.value(&span, check::shared(&path)));
            }
        }
    }

    fn words(&mut self, key: &Key<'_>, value: &Value<'_>, what: &'static str) -> Vec<String> {
        let words = self.strings(key, value);
        for (word, span) in &words {
            if !check::host_name(word) {
                self.flaw(span.clone(), Flaw::Name(word.clone(), what));
            }
        }
        words.into_iter().map(|(word, _)| word).collect()
    }

    fn port(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<u16> {
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a number");
            return None;
        };
        let port = u16::from_str_radix(number.as_str(), number.radix()).ok().filter(|&port| port > 0);
        self.value(&value.span(), port.ok_or("a port is a number from 1 to 65535"))
    }

    fn file(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<PathBuf> {
        let text = self.text(key, value, |_| Ok(()))?;
        let path = check::file(&text, &self.beside);
        self.value(&value.span(), path)
    }

    fn text(
        &mut self,
        key: &Key<'_>,
        value: &Value<'_>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<String> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "text in quotes");
            return None;
        };
        self.value(&value.span(), check(text))?;
        Some(text.to_owned())
    }

    fn strings(&mut self, key: &Key<'_>, value: &Value<'_>) -> Vec<(String, Range<usize>)> {
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of texts, such as [\"a\", \"b\"]");
            return Vec::new();
        };
        let mut found = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) => found.push((text.to_owned(), item.span())),
                None => self.wrong_type(key, item, "a list of texts"),
            }
        }
        found
    }

    fn table<'v, 'i>(
        &mut self,
        name: &str,
        value: &'v Value<'i>,
    ) -> impl Iterator<Item = (&'v Key<'i>, &'v Value<'i>)> + use<'v, 'i> {
        if !value.get_ref().is_table() {
            let found = kind(value.get_ref());
            self.flaw(value.span(), Flaw::Type { key: name.to_owned(), expected: "a table", found });
        }
        value.get_ref().as_table().into_iter().flatten()
    }

    fn value<T>(&mut self, span: &Range<usize>, result: Result<T, impl ToString>) -> Option<T> {
        result.map_err(|why| self.flaw(span.clone(), Flaw::Value(why.to_string()))).ok()
    }

    fn unknown(&mut self, key: &Key<'_>, table: &str, known: &[&str]) {
        let name = key.get_ref().to_string();
        let hint = suggest::did_you_mean(&name, known.iter().copied())
            .unwrap_or_else(|| format!("known are: {}", known.join(", ")));
        self.flaw(key.span(), Flaw::UnknownKey { key: name, table: table.to_owned(), hint });
    }

    fn wrong_type(&mut self, key: &Key<'_>, value: &Value<'_>, expected: &'static str) {
        let found = kind(value.get_ref());
        self.flaw(value.span(), Flaw::Type { key: key.get_ref().to_string(), expected, found });
    }

    fn flaw(&mut self, span: Range<usize>, flaw: Flaw) {
        self.flaws.push(Found { flaw, span });
    }
}

const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests;
