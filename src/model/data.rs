//! What a script or a line at the prompt hands to a person or a program.

use serde_json::Value;

use super::{Branch, Bytes};

/// A result, free of the script engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Nothing to show.
    Nothing,
    /// One piece of text, printed as it is.
    Text(String),
    /// Nested maps and arrays, or a plain number or truth value.
    Tree(Value),
    /// The same with numbers among them that are amounts of memory or storage.
    Measured(Value, Units),
    /// Rows with columns in an order that a type or the script has chosen.
    Table(Table),
    /// One object: a table of one row, which people read from top to bottom.
    Object(Table),
    /// Trees of things that hang on things.
    Outline(Vec<Branch>),
}

/// Where in nested maps and arrays numbers stand that are amounts of memory or storage (RFC 6901), and how many bytes
/// each counts by.
pub type Units = std::collections::HashMap<String, u64>;

/// Makes the place of something in a map or an array out of the place of that.
pub fn step_into(path: &mut String, step: &str) {
    path.push('/');
    path.push_str(&step.replace('~', "~0").replace('/', "~1"));
}

/// Rows and columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// The columns, as a rule the most useful first: narrow terminals drop the last.
    pub columns: Vec<Column>,
    /// Each row has as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// A column's heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The key in JSON, YAML and CSV; also the heading.
    pub key: String,
    /// How dispensable it is: narrow terminals drop the column with the highest number first.
    pub rank: usize,
}

/// One value in a table. Numbers stand to the right.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Nothing,
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// An amount of memory or storage: with its unit for people, in bytes for programs.
    Bytes(Bytes),
    /// A truth value: `yes` or `no` for people.
    Flag(bool),
    /// A word that stands for a state, with how good or bad it is.
    State(String, Tone),
    /// A nested map or array: as it is for programs.
    Tree(Value),
}

/// How a state word is coloured; never the only sign of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be: green.
    Good,
    /// Worth a look: yellow.
    Warn,
    /// Wrong: red.
    Bad,
    /// Neither: dimmed.
    Idle,
}

impl Table {
    /// An empty table with these columns.
    pub fn with_columns<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> Self {
        let column = |(rank, key): (usize, S)| Column { key: key.into(), rank };
        Self { columns: keys.into_iter().enumerate().map(column).collect(), rows: Vec::new() }
    }

    /// The same; these columns stay longest where there is no room for all.
    #[must_use]
    pub fn with_last_kept(mut self, keys: &[&str]) -> Self {
        let count = self.columns.len();
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.rank = keys.iter().position(|key| *key == column.key).unwrap_or(count + at);
        }
        self
    }
}

impl Cell {
    /// The value for programs.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Text(text) | Self::State(text, _) => Value::from(text.as_str()),
            Self::Number(number) => Value::from(*number),
            Self::Decimal(number) => Value::from(*number),
            Self::Bytes(bytes) => Value::from(bytes.0),
            Self::Flag(flag) => Value::from(*flag),
            Self::Tree(value) => value.clone(),
        }
    }
}
