//! Nested maps and arrays as an indented tree.

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use super::table;
use super::term::Term;
use super::visible;
use crate::model::data::step_into;
use crate::model::{Bytes, Cell, Table, Units};

/// The value as lines of text, each ended.
pub(super) fn render(value: &Value, term: &Term) -> String {
    measured(value, &Units::new(), term)
}

/// The same with units where numbers have some.
pub(super) fn measured(value: &Value, units: &Units, term: &Term) -> String {
    let mut out = String::new();
    block(value, &Place { path: String::new(), depth: 0, units, term }, &mut out);
    out
}

/// Where in the whole a value stands.
struct Place<'a> {
    path: String,
    depth: usize,
    units: &'a Units,
    term: &'a Term,
}

impl Place<'_> {
    fn inside(&self, step: &str, deeper: usize) -> Self {
        let mut path = self.path.clone();
        step_into(&mut path, step);
        Self { path, depth: self.depth + deeper, ..*self }
    }

    /// The number that stands here with its unit.
    fn size(&self, value: &Value) -> Option<Bytes> {
        let unit = self.units.get(&self.path)?;
        Some(Bytes(value.as_u64()?.saturating_mul(*unit)))
    }
}

/// An array of maps with the same keys and plain values is a table.
pub(super) fn as_table(value: &Value) -> Option<Table> {
    let rows = value.as_array()?;
    let first = rows.first()?.as_object()?;
    if first.is_empty() {
        return None;
    }
    let mut table = Table::with_columns(first.keys());
    for row in rows {
        let row = row.as_object().filter(|row| row.len() == first.len())?;
        table.rows.push(first.keys().map(|key| cell(row.get(key)?)).collect::<Option<_>>()?);
    }
    Some(table)
}

/// A plain value, or an array of such, is a table of one column.
pub(super) fn as_column(value: &Value) -> Option<Table> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let mut table = Table::with_columns(if items.is_empty() { None } else { Some("value") });
    table.rows = items.iter().map(|item| cell(item).map(|cell| vec![cell])).collect::<Option<_>>()?;
    Some(table)
}

fn cell(value: &Value) -> Option<Cell> {
    Some(match value {
        Value::Null => Cell::Nothing,
        Value::Bool(flag) => Cell::Flag(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Cell::Number(whole),
            (None, Some(decimal)) => Cell::Decimal(decimal),
            (None, None) => Cell::Text(number.to_string()),
        },
        Value::String(text) => Cell::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

/// As [`as_table`], with units.
fn table_at(value: &Value, place: &Place<'_>) -> Option<Table> {
    let mut table = as_table(value)?;
    for (at, row) in table.rows.iter_mut().enumerate().filter(|_| !place.units.is_empty()) {
        let own = place.inside(&at.to_string(), 0);
        for (column, cell) in table.columns.iter().zip(row) {
            if let Some(size) = own.inside(&column.key, 0).size(&cell.to_json()) {
                *cell = Cell::Bytes(size);
            }
        }
    }
    Some(table)
}

fn block(value: &Value, place: &Place<'_>, out: &mut String) {
    let depth = place.depth;
    if let Some(table) = table_at(value, place) {
        let narrower =
            Term { width: place.term.width.map(|width| width.saturating_sub(depth * 2)), ..*place.term };
        for line in table::render(&table, &narrower).lines() {
            push(out, depth, line);
        }
        return;
    }
    match value {
        Value::Object(map) if !map.is_empty() => pairs(map, place, out),
        Value::Array(items) if !items.is_empty() => {
            let plain = depth == 0 && items.iter().all(is_plain);
            for (at, item) in items.iter().enumerate() {
                let own = place.inside(&at.to_string(), 1);
                if is_plain(item) {
                    let bullet = if plain { "" } else { "- " };
                    let text = own.size(item).map_or_else(|| scalar(item), |size| size.to_string());
                    push(out, depth, &format!("{bullet}{text}"));
                } else {
                    let from = out.len();
                    block(item, &own, out);
                    // The first line of the item carries the bullet in its indent.
                    let at = from + depth * 2;
                    if out.get(at..at + 2) == Some("  ") {
                        out.replace_range(at..at + 2, "- ");
                    }
                }
            }
        }
        // A number by itself: the person may want to go on with it as it is.
        plain => match place.size(plain).filter(|_| depth == 0 && place.path.is_empty()) {
            Some(size) => push(out, depth, &format!("{size} ({})", scalar(plain))),
            // Alone it is shown to the last digit: it was asked for.
            None if depth == 0 && plain.as_f64().is_some_and(|number| number.fract() != 0.0) => {
                push(out, depth, &plain.to_string());
            }
            None => push(out, depth, &scalar(plain)),
        },
    }
}

fn pairs(map: &Map<String, Value>, place: &Place<'_>, out: &mut String) {
    let keys: Vec<_> = map.keys().map(|key| visible::line(key)).collect();
    let flat = map.iter().zip(&keys).filter(|((_, value), _)| is_plain(value));
    // Values line up, unless one very long key would push them all away.
    let column = flat.map(|(_, key)| key.width()).max().unwrap_or(0).min(24);
    for ((name, value), key) in map.iter().zip(&keys) {
        let own = place.inside(name, 1);
        if is_plain(value) {
            let pad = " ".repeat(column.saturating_sub(key.width()));
            let size = own.size(value).or_else(|| size(key, value));
            let text = size.map_or_else(|| scalar(value), |size| size.to_string());
            push(out, place.depth, &format!("{key}: {pad}{text}"));
        } else {
            push(out, place.depth, &format!("{key}:"));
            block(value, &own, out);
        }
    }
}

/// Keys that hold bytes wherever they stand.
const IN_BYTES: &[&str] = &["bytes", "memory", "capacity", "allocation"];

/// An amount of bytes with its unit.
fn size(key: &str, value: &Value) -> Option<Bytes> {
    value.as_u64().filter(|_| IN_BYTES.contains(&key)).map(Bytes)
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => true,
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        Value::Number(number) => number.as_f64().map_or_else(String::new, table::decimal),
        Value::String(text) => visible::line(text).into_owned(),
        Value::Array(_) => "(none)".to_owned(),
        Value::Object(_) => "(empty)".to_owned(),
    }
}

fn push(out: &mut String, depth: usize, line: &str) {
    let text = format!("{}{line}", "  ".repeat(depth));
    out.push_str(text.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use serde_json::json;

    fn shown(value: &Value) -> String {
        render(value, &Term::plain())
    }

    #[test]
    fn bytes_have_a_unit_where_the_key_says_that_they_are_some() {
        let text =
            shown(&json!({"bytes": 230319460, "cpus": 4096, "memory": 0, "inner": {"capacity": 1048576}}));
        assert_eq!(text, "bytes:  220 MiB\ncpus:   4096\nmemory: 0 B\ninner:\n  capacity: 1 MiB\n");
    }

    #[test]
    fn numbers_have_units_where_it_is_known_that_they_have_some() {
        let value = json!({"free": 1048576, "a/b": 2048, "n": 7, "rows": [{"at": 1, "size": 4096}], "list": [1, 1024]});
        let units = [("/free", 1), ("/a~1b", 1024), ("/rows/0/size", 1), ("/list/1", 1)];
        let units = units.map(|(path, unit)| (path.to_owned(), unit)).into();
        assert_snapshot!(measured(&value, &units, &Term::plain()), @"
        free: 1 MiB
        a/b:  2 MiB
        n:    7
        rows:
          at   size
           1  4 KiB
        list:
          - 1
          - 1 KiB
        ");
    }

    #[test]
    fn maps_line_up_and_nest() {
        assert_snapshot!(shown(&json!({
            "name": "web1", "autostart": true, "title": null, "cpu": {"model": "EPYC", "features": ["avx2", "aes"]},
            "disks": [{"target": "vda", "size": 1024}, {"target": "sda", "size": 0}],
            "mixed": [{"a": 1, "b": [1, 2]}, "text", []], "none": [],
        })), @"
        name:      web1
        autostart: yes
        title:     -
        cpu:
          model: EPYC
          features:
            - avx2
            - aes
        disks:
          target  size
          vda     1024
          sda        0
        mixed:
          - a: 1
            b:
              - 1
              - 2
          - text
          - (none)
        none:      (none)
        ");
    }

    #[test]
    fn plain_values_are_printed_plainly() {
        assert_eq!(shown(&json!(3)), "3\n");
        assert_eq!(shown(&json!(["a", "b\x1b"])), "a\nb\\x1b\n");
        assert_eq!(shown(&json!([])), "(none)\n");
        assert_eq!(shown(&json!(true)), "yes\n");
    }

    #[test]
    fn maps_alike_are_a_table_and_others_are_not() {
        assert!(as_table(&json!([{"a": 1, "b": "x"}, {"b": null, "a": 2.5}])).is_some());
        for other in
            [json!([]), json!([{}]), json!([{"a": 1}, {"b": 1}]), json!([{"a": [1]}]), json!({"a": 1})]
        {
            assert!(as_table(&other).is_none(), "{other}");
        }
    }
}
