//! Things that hang on things: what is drawn as a tree.

use serde_json::{Map, Value};

use super::Cell;

/// One thing, and what hangs on it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Branch {
    /// `host`, `bridge`, `guest`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What else is worth knowing, the most useful first: narrow terminals cut the last.
    pub facts: Vec<(String, Cell)>,
    /// What hangs on it.
    pub branches: Vec<Branch>,
}

impl Branch {
    /// A thing that nothing is known of yet.
    pub fn new(kind: &str, name: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), name: name.into(), ..Self::default() }
    }

    /// With a fact; one without a value is left out.
    #[must_use]
    pub fn fact(mut self, key: &str, cell: Cell) -> Self {
        let empty = match &cell {
            Cell::Nothing => true,
            Cell::Text(text) => text.is_empty(),
            _ => false,
        };
        if !empty {
            self.facts.push((key.to_owned(), cell));
        }
        self
    }

    /// With what hangs on it.
    #[must_use]
    pub fn holding(mut self, branches: impl IntoIterator<Item = Self>) -> Self {
        self.branches.extend(branches);
        self
    }

    /// The value for programs: `kind`, `name`, the facts, and `branches`.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("kind".into(), self.kind.as_str().into());
        map.insert("name".into(), self.name.as_str().into());
        for (key, cell) in &self.facts {
            map.insert(key.clone(), cell.to_json());
        }
        map.insert("branches".into(), self.branches.iter().map(Self::to_json).collect());
        Value::Object(map)
    }
}
