//! Talk and data.

use rhai::Dynamic;
use rhai::plugin::*;

use super::super::error::{Outcome, misuse};
use super::super::options::texts;
use super::super::{show, tables};
use super::session;
use crate::model::Fault;

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
        tables::table(&rows).ok_or_else(|| misuse("table: it takes an array of maps or objects"))
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

    /// A value as JSON text.
    ///
    /// Example: `json(#{a: 1})`
    #[rhai_fn(name = "json", return_raw)]
    pub fn json(value: Dynamic) -> Outcome<String> {
        let fail = |error: serde_json::Error| Fault::new("json", error.to_string());
        Ok(serde_json::to_string_pretty(&show::json(&value)).map_err(fail)?)
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
    /// `level`: `"info"`, `"warn"` or `"error"`.
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
