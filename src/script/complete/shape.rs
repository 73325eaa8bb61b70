//! Types of values, as far as they are known without evaluating anything.

use std::collections::BTreeMap;

use rhai::{Array, Dynamic, Engine, Map};

use super::super::help::{Entry, type_word};
use crate::ops::{Domain, Host, Network, Pool, Volume};

/// What a value is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Shape {
    /// Nobody knows.
    #[default]
    Any,
    /// An object, or a plain value: `Host`, `string`.
    Object(String),
    /// An array of such.
    Array(Box<Shape>),
    /// A map with these keys.
    Map(BTreeMap<String, Shape>),
}

/// A value: what it is, and of a live object where and who it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Known {
    pub(super) shape: Shape,
    pub(super) host: Option<String>,
    pub(super) name: Option<String>,
}

/// So many keys of a map are looked at.
const KEYS: usize = 500;

impl Shape {
    pub(super) fn object(name: &str) -> Self {
        Self::Object(name.to_owned())
    }

    /// The type's name in the index.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Object(name) => Some(name),
            Self::Array(_) => Some("array"),
            Self::Map(_) => Some("map"),
        }
    }

    /// What is in an array.
    pub(super) fn item(&self) -> Self {
        match self {
            Self::Array(item) => (**item).clone(),
            _ => Self::Any,
        }
    }

    /// What a function returns: by its signature, and by its documentation where that is a map.
    pub(super) fn returned(entry: &Entry) -> Self {
        let described = || fields(&entry.doc);
        match entry.returns.as_str() {
            "map" => Self::Map(described().unwrap_or_default()),
            "array" | "array of map" => Self::Array(Box::new(described().map(Self::Map).unwrap_or_default())),
            "" => described().map(Self::Map).unwrap_or_default(),
            other => match other.strip_prefix("array of ") {
                Some(item) => Self::Array(Box::new(Self::object(item))),
                None => Self::object(other),
            },
        }
    }
}

impl Known {
    pub(super) fn of(shape: Shape) -> Self {
        Self { shape, ..Self::default() }
    }

    pub(super) fn item(self) -> Self {
        Self { shape: self.shape.item(), host: self.host, name: None }
    }

    /// What a variable holds. Its value is only looked at.
    pub(super) fn value(engine: &Engine, value: &Dynamic) -> Self {
        Self::value_within(engine, value, 4)
    }

    fn value_within(engine: &Engine, value: &Dynamic, depth: usize) -> Self {
        let live = |kind: &str, host: &Host, name: &str| Self {
            shape: Shape::object(kind),
            host: Some(host.name().to_owned()),
            name: Some(name.to_owned()),
        };
        if let Some(host) = value.read_lock::<Host>() {
            return live("Host", &host, host.name());
        }
        if let Some(domain) = value.read_lock::<Domain>() {
            return live("Domain", domain.host(), domain.name());
        }
        if let Some(pool) = value.read_lock::<Pool>() {
            return live("Pool", pool.host(), pool.name());
        }
        if let Some(network) = value.read_lock::<Network>() {
            return live("Network", network.host(), network.name());
        }
        if let Some(volume) = value.read_lock::<Volume>() {
            return live("Volume", volume.pool().host(), volume.name());
        }
        if let Some(array) = value.read_lock::<Array>() {
            let first = array.first().filter(|_| depth > 0);
            let item = first.map(|item| Self::value_within(engine, item, depth - 1)).unwrap_or_default();
            return Self { shape: Shape::Array(Box::new(item.shape)), host: item.host, name: None };
        }
        if let Some(map) = value.read_lock::<Map>() {
            let keys = map.iter().take(if depth > 0 { KEYS } else { 0 });
            let shape = |value: &Dynamic| Self::value_within(engine, value, depth - 1).shape;
            return Self::of(Shape::Map(keys.map(|(key, value)| (key.to_string(), shape(value))).collect()));
        }
        Self::of(match type_word(engine.map_type_name(value.type_name())).as_str() {
            "nothing" | "any" => Shape::Any,
            word => Shape::object(word),
        })
    }
}

/// The keys in documentation such as ``Returns `#{moved, left}` ``.
fn fields(doc: &str) -> Option<BTreeMap<String, Shape>> {
    let returned = doc.match_indices("`#{").find(|(at, _)| {
        let before = doc[..*at].trim_end();
        ["Returns", "returns", "array of", "array of maps", "is"].iter().any(|word| before.ends_with(word))
            || doc[..*at].ends_with("\n\n")
            || *at == 0
    })?;
    let inner = doc[returned.0 + 3..].split('}').next()?;
    let word = |key: &str| {
        let key = key.trim().trim_matches('"');
        let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
        plain.then(|| (key.to_owned(), Shape::Any))
    };
    Some(inner.split(',').filter_map(word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_off_the_documentation() {
        let keys = |doc: &str| fields(doc).map(|fields| fields.into_keys().collect::<Vec<_>>().join(" "));
        assert_eq!(keys("Sizes.\n\n`#{total, free}`; bytes.").as_deref(), Some("free total"));
        assert_eq!(keys("Its disks.\n\nAn array of `#{target,\ndevice}`.").as_deref(), Some("device target"));
        assert_eq!(keys("`f`: takes `#{no}`. Returns `#{moved}`.").as_deref(), Some("moved"));
        assert_eq!(keys("`filter`: `#{state}`."), None);
    }
}
