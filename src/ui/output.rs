//! Results in the format that was asked for, and stdout itself.

use std::io::Write;

use serde_json::{Map, Value};

use super::term::Term;
use super::{outline, table, tree, visible, xml};
use crate::model::{Class, Data, Fault, Table};

/// How results are shown now: the prompt changes it, and views go by it.
#[derive(Debug, Clone, Default)]
pub struct Shown(std::sync::Arc<std::sync::Mutex<Format>>);

impl Shown {
    /// A format that may be changed later.
    pub fn new(format: Format) -> Self {
        Self(std::sync::Arc::new(std::sync::Mutex::new(format)))
    }

    /// How it is now.
    pub fn get(&self) -> Format {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// From now on.
    pub fn set(&self, format: Format) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = format;
    }
}

/// What `--output` offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people: tables, trees and plain text.
    #[default]
    Table,
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
    /// Comma-separated values with a heading (RFC 4180); tables only.
    Csv,
}

/// The result as text, ended with a newline unless it is empty.
///
/// # Errors
/// `no_table` when something that is no table is asked for as CSV.
pub fn render(data: &Data, format: Format, term: &Term) -> Result<String, Fault> {
    let text = match format {
        Format::Table => people(data, term),
        Format::Json => {
            let text = serde_json::to_string_pretty(&to_json(data)).map_err(|e| broken("JSON", &e))?;
            visible::json(&text).into_owned()
        }
        Format::Yaml => {
            let value = to_json(data);
            let text = serde_saphyr::to_string(&value).map_err(|e| broken("YAML", &e))?;
            at_terminal(text, term)
        }
        Format::Csv => at_terminal(csv(data)?, term),
    };
    Ok(if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" })
}

/// Writes data to stdout.
///
/// # Errors
/// `stdout_closed` when the reader has gone, as in `kvmsh … | head`: say nothing
/// and stop; `stdout` when it cannot be written for another reason.
pub fn print(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| {
        if e.kind() == std::io::ErrorKind::BrokenPipe {
            Fault::new("stdout_closed", "the reader of the output has gone").class(Class::Interrupted)
        } else {
            Fault::new("stdout", "cannot write the output").because(e.to_string())
        }
    })
}

/// Writes a line of talk to stderr. Where stderr is gone there is nobody to tell:
/// `eprintln!` would panic.
pub fn say(line: &str) {
    super::log::say(line);
}

/// The result for programs.
pub fn to_json(data: &Data) -> Value {
    match data {
        Data::Nothing => Value::Null,
        Data::Text(text) => Value::from(text.as_str()),
        Data::Tree(value) | Data::Measured(value, _) => value.clone(),
        Data::Table(table) => table.rows.iter().map(|row| record(table, row)).collect(),
        Data::Object(table) => table.rows.first().map_or(Value::Null, |row| record(table, row)),
        Data::Outline(trees) => match trees.as_slice() {
            [one] => one.to_json(),
            trees => trees.iter().map(crate::model::Branch::to_json).collect(),
        },
    }
}

fn record(table: &Table, row: &[crate::model::Cell]) -> Value {
    let cells = row.iter().map(crate::model::Cell::to_json).chain(std::iter::repeat(Value::Null));
    Value::Object(table.columns.iter().map(|column| column.key.clone()).zip(cells).collect::<Map<_, _>>())
}

fn people(data: &Data, term: &Term) -> String {
    match data {
        Data::Nothing => String::new(),
        Data::Text(text) => xml::render(text, term).unwrap_or_else(|| text.clone()),
        Data::Tree(value) => tree::render(value, term),
        Data::Measured(value, units) => tree::measured(value, units, term),
        Data::Table(table) => table::render(table, term),
        Data::Object(table) => table::upright(table, term),
        Data::Outline(trees) => outline::render(trees, term),
    }
}

fn csv(data: &Data) -> Result<String, Fault> {
    let from_tree;
    let table = match data {
        Data::Nothing => return Ok(String::new()),
        Data::Table(table) | Data::Object(table) => table,
        Data::Tree(value) | Data::Measured(value, _) => {
            from_tree = tree::as_table(value).or_else(|| tree::as_column(value)).ok_or_else(no_table)?;
            &from_tree
        }
        Data::Text(text) => {
            from_tree = tree::as_column(&Value::from(text.as_str())).ok_or_else(no_table)?;
            &from_tree
        }
        Data::Outline(_) => return Err(no_table()),
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = || -> Result<(), csv::Error> {
        writer.write_record(table.columns.iter().map(|column| &column.key))?;
        for row in &table.rows {
            writer
                .write_record(record(table, row).as_object().into_iter().flat_map(Map::values).map(field))?;
        }
        Ok(())
    };
    if !table.columns.is_empty() {
        write().map_err(|e| broken("CSV", &e))?;
    }
    let bytes = writer.into_inner().map_err(|e| broken("CSV", e.error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A file gets every byte; a terminal must not act on any.
fn at_terminal(text: String, term: &Term) -> String {
    if term.stdout.tty { visible::lines(&text).into_owned() } else { text }
}

fn no_table() -> Fault {
    Fault::new("no_table", "this result is no table, so it cannot be written as CSV")
        .class(Class::Usage)
        .hint("JSON and YAML can hold it; table(rows) makes a table of an array of maps")
}

fn broken(format: &str, cause: &dyn ToString) -> Fault {
    Fault::new("output", format!("cannot write this result as {format}")).because(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bytes, Cell, Tone};
    use insta::assert_snapshot;
    use serde_json::json;

    fn guests() -> Data {
        let mut table = Table::with_columns(["name", "state", "memory"]);
        table.rows.push(vec![
            Cell::Text("we\"b, 1".into()),
            Cell::State("running".into(), Tone::Good),
            Cell::Bytes(Bytes(1024)),
        ]);
        table.rows.push(vec![Cell::Text("-\x1b[2J".into()), Cell::Nothing, Cell::Nothing]);
        Data::Table(table)
    }

    #[test]
    fn programs_get_columns_in_order_and_bytes_as_numbers() {
        assert_snapshot!(render(&guests(), Format::Json, &Term::plain()).unwrap(), @r#"
        [
          {
            "name": "we\"b, 1",
            "state": "running",
            "memory": 1024
          },
          {
            "name": "-\u001b[2J",
            "state": null,
            "memory": null
          }
        ]
        "#);
        assert_snapshot!(render(&guests(), Format::Yaml, &Term::plain()).unwrap(), @r#"
        - name: we"b, 1
          state: running
          memory: 1024
        - name: "-\e[2J"
          state: null
          memory: null
        "#);
        assert_eq!(
            render(&guests(), Format::Csv, &Term::plain()).unwrap(),
            "name,state,memory\n\"we\"\"b, 1\",running,1024\n-\x1b[2J,,\n"
        );
    }

    #[test]
    fn an_escape_sequence_never_reaches_a_terminal() {
        let mut term = Term::plain();
        term.stdout.tty = true;
        for format in [Format::Table, Format::Json, Format::Yaml, Format::Csv] {
            assert!(!render(&guests(), format, &term).unwrap().contains('\x1b'), "{format:?}");
        }
    }

    #[test]
    fn csv_of_a_tree_is_a_table_or_a_clear_error() {
        let rows = Data::Tree(json!([{"a": 1, "b": true}]));
        assert_eq!(render(&rows, Format::Csv, &Term::plain()).unwrap(), "a,b\n1,true\n");
        for other in [json!({"a": 1}), json!([[1], 2]), json!([{"a": 1}, {"b": 1}])] {
            let fault = render(&Data::Tree(other), Format::Csv, &Term::plain()).unwrap_err();
            assert_eq!(fault.code, "no_table");
        }
        assert_eq!(render(&Data::Nothing, Format::Csv, &Term::plain()).unwrap(), "");
    }

    #[test]
    fn csv_of_plain_values_is_one_column() {
        let csv = |data: Data| render(&data, Format::Csv, &Term::plain()).unwrap();
        assert_eq!(csv(Data::Tree(json!(42))), "value\n42\n");
        assert_eq!(csv(Data::Text("a, b".into())), "value\n\"a, b\"\n");
        assert_eq!(csv(Data::Tree(json!(["a", 1.5, null]))), "value\na\n1.5\n\"\"\n");
        assert_eq!(csv(Data::Tree(json!([]))), "");
    }

    #[test]
    fn one_object_is_one_object_for_programs_and_stands_upright_for_people() {
        let Data::Table(mut table) = guests() else { panic!() };
        table.rows.truncate(1);
        table.columns.push(crate::model::Column { key: "title".into(), rank: 3 });
        let data = Data::Object(table);
        let text = |format| render(&data, format, &Term::plain()).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&text(Format::Json)).unwrap(),
            json!({"name": "we\"b, 1", "state": "running", "memory": 1024, "title": null})
        );
        assert!(text(Format::Yaml).starts_with("name: "), "{}", text(Format::Yaml));
        assert_eq!(text(Format::Csv), "name,state,memory,title\n\"we\"\"b, 1\",running,1024,\n");
        assert_snapshot!(text(Format::Table), @r#"
        property  value
        name      we"b, 1
        state     running
        memory    1 KiB
        "#);
    }

    #[test]
    fn text_is_printed_as_it_is_and_ends_its_line() {
        assert_eq!(render(&Data::Text("<a/>".into()), Format::Table, &Term::plain()).unwrap(), "<a/>\n");
    }
}
