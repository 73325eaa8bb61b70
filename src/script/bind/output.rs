//! Talk and data.

use rhai::Dynamic;
use rhai::plugin::*;

use super::super::error::{Outcome, misuse};
use super::super::options::texts;
use super::super::{show, tables};
use super::session;
use crate::model::{Fault, Step, Table as Rows, Task};

/// A line of progress of a script.
#[derive(Debug, Clone)]
pub struct Line {
    task: std::sync::Arc<dyn Task>,
    step: Step,
    ended: bool,
}

fn csv_of(table: &Rows) -> Result<String, Box<dyn std::error::Error>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(table.columns.iter().map(|column| &column.key))?;
    for row in &table.rows {
        writer.write_record(row.iter().map(|cell| match cell.to_json() {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        }))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// An array as a table; an empty one has no rows.
fn rows_of(value: &Dynamic) -> Outcome<Rows> {
    if value.as_array_ref().is_ok_and(|rows| rows.is_empty()) {
        return Ok(Rows::default());
    }
    tables::table(value).ok_or_else(|| misuse("table: it takes an array of maps or objects"))
}

#[export_module(manifest)]
pub(super) mod functions {
    /// A table of an array of maps or objects, as a value that prints as one.
    pub type Table = crate::model::Table;

    /// An array of maps or objects as a table.
    ///
    /// Errors: `invalid_arg` for anything else.
    ///
    /// Example: `table([#{a: 1}, #{a: 2}])`
    #[rhai_fn(name = "table", return_raw)]
    pub fn table(rows: Dynamic) -> Outcome<Table> {
        rows_of(&rows)
    }

    /// As `table(rows)`, with these columns in this order.
    ///
    /// Errors: `invalid_arg` for what is no table.
    ///
    /// Example: `table([#{a: 1, b: 2}], ["b"])`
    #[rhai_fn(name = "table", return_raw)]
    pub fn table_of(rows: Dynamic, columns: Dynamic) -> Outcome<Table> {
        let all = table(rows)?;
        let wanted = texts("table", &columns)?;
        let mut chosen = Table::with_columns(wanted.clone());
        let at: Vec<Option<usize>> =
            wanted.iter().map(|key| all.columns.iter().position(|column| column.key == *key)).collect();
        let cell = |row: &[crate::model::Cell], at: &Option<usize>| {
            at.and_then(|at| row.get(at).cloned()).unwrap_or(crate::model::Cell::Nothing)
        };
        chosen.rows = all.rows.iter().map(|row| at.iter().map(|at| cell(row, at)).collect()).collect();
        Ok(chosen)
    }

    /// What `word` is probably a slip of, as a sentence; an empty text where none of `words` is near.
    ///
    /// Example: `did_you_mean("--paralel", ["--parallel", "--partial"])`
    #[rhai_fn(name = "did_you_mean", return_raw)]
    pub fn did_you_mean(word: &str, words: Dynamic) -> Outcome<String> {
        let words = texts("did_you_mean", &words)?;
        let words = words.iter().map(String::as_str);
        Ok(crate::model::suggest::did_you_mean(word, words).unwrap_or_default())
    }

    /// `left`, and beside it `right` from column `column` on, broken between words where the terminal ends.
    ///
    /// Where output is no terminal nothing is broken; where there is no room beside, `right` stands below.
    ///
    /// Example: `beside("  --all", "all guests, also those that are off", 26)`
    #[rhai_fn(name = "beside", return_raw)]
    pub fn beside(ctx: NativeCallContext<'_>, left: &str, right: &str, column: i64) -> Outcome<String> {
        let column = usize::try_from(column).unwrap_or(0).min(200);
        let width = session(&ctx)?.manner().width;
        Ok(crate::script::help::beside(left, right, column, width.unwrap_or(usize::MAX)).join("\n"))
    }

    /// Writes a value to stdout as a line at the prompt is shown: a table, or what `--output` says.
    ///
    /// Errors: `stdout` when it cannot be written.
    ///
    /// Example: `show([#{a: 1}, #{a: 2}])`
    #[rhai_fn(name = "show", return_raw)]
    pub fn show_value(ctx: NativeCallContext<'_>, value: Dynamic) -> Outcome<()> {
        match session(&ctx)?.screen().show(&show::data(&value)) {
            Err(fault) if fault.code != "stdout_closed" => Err(fault.into()),
            _ => Ok(()),
        }
    }

    /// A value as JSON text.
    ///
    /// Example: `json(#{a: 1})`
    #[rhai_fn(name = "json", return_raw)]
    pub fn json(value: Dynamic) -> Outcome<String> {
        let fail = |error: serde_json::Error| Fault::new("json", error.to_string());
        Ok(serde_json::to_string_pretty(&show::json(&value)).map_err(fail)?)
    }

    /// An array of maps or objects as CSV text with a heading (RFC 4180).
    ///
    /// Errors: `no_table` for anything else.
    ///
    /// Example: `csv([#{a: 1, b: "x"}])`
    #[rhai_fn(name = "csv", return_raw)]
    pub fn csv(rows: Dynamic) -> Outcome<String> {
        if rows.as_array_ref().is_ok_and(|rows| rows.is_empty()) {
            return Ok(String::new());
        }
        let table = tables::table(&rows)
            .ok_or_else(|| Fault::new("no_table", "csv: it takes an array of maps or objects"))?;
        Ok(csv_of(&table).map_err(|error| Fault::new("csv", error.to_string()))?)
    }

    /// A line of progress, from `progress(label, total)`.
    pub type Progress = super::Line;

    /// Begins a line of progress on stderr.
    ///
    /// `total`: how much there is to do, in whatever unit; 0 if it is not known.
    ///
    /// Example: `let line = progress("disks", 3); line.set(2, "sda"); line.finish("done")`
    #[rhai_fn(name = "progress", return_raw)]
    pub fn progress(ctx: NativeCallContext<'_>, label: &str, total: i64) -> Outcome<Progress> {
        let task = session(&ctx)?.progress().task(label);
        let step = Step { total: u64::try_from(total).unwrap_or(0), ..Step::default() };
        Ok(Line { task: task.into(), step, ended: false })
    }

    /// Shows how much is done.
    ///
    /// Example: `let line = progress("disks", 3); line.set(2); line.finish("done")`
    #[rhai_fn(name = "set")]
    pub fn set(line: &mut Progress, done: i64) {
        line.step.done = u64::try_from(done).unwrap_or(0);
        line.task.step(&line.step);
    }

    /// As `set(done)`, with a note.
    ///
    /// Example: `let line = progress("disks", 3); line.set(2, "sda"); line.finish("done")`
    #[rhai_fn(name = "set")]
    pub fn set_noted(line: &mut Progress, done: i64, note: &str) {
        note.clone_into(&mut line.step.note);
        set(line, done);
    }

    /// Ends the line with what remains to be seen of it; the second time does nothing.
    ///
    /// Example: `let line = progress("disks", 3); line.finish("all copied")`
    #[rhai_fn(name = "finish")]
    pub fn finish(line: &mut Progress, text: &str) {
        if !std::mem::replace(&mut line.ended, true) {
            line.step.done = line.step.total;
            text.clone_into(&mut line.step.note);
            line.task.finish(true, &line.step);
        }
    }

    /// A value as YAML text.
    ///
    /// Example: `yaml(#{a: 1})`
    #[rhai_fn(name = "yaml", return_raw)]
    pub fn yaml(value: Dynamic) -> Outcome<String> {
        Ok(serde_saphyr::to_string(&show::json(&value))
            .map_err(|error| Fault::new("yaml", error.to_string()))?)
    }

    /// Reads JSON text.
    ///
    /// Errors: `json`, with the place.
    ///
    /// Example: `parse_json_text("[1]")[0]`
    #[rhai_fn(name = "parse_json_text", return_raw)]
    pub fn parse_json_text(text: &str) -> Outcome<Dynamic> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| Fault::new("json", error.to_string()))?;
        Ok(show::from_serde(&value)?)
    }

    /// Says something on stderr, above the progress bars.
    ///
    /// `level`: `"info"`, `"warn"` or `"error"`; under `-q` the first is not said.
    ///
    /// Errors: `invalid_arg` for another level.
    ///
    /// Example: `log("info", "hello")`
    #[rhai_fn(name = "log", return_raw)]
    pub fn log(ctx: NativeCallContext<'_>, level: &str, text: &str) -> Outcome<()> {
        let prefix = match level {
            "info" => "",
            "warn" => "warning: ",
            "error" => "error: ",
            _ => return Err(misuse(format!("log: `{level}` is not info, warn or error"))),
        };
        session(&ctx)?.progress().say(&format!("{prefix}{text}"));
        Ok(())
    }
}
