//! What `--plan` and `plan(f)` show.

use std::fmt::Write;

use nu_ansi_term::{Color, Style};
use similar::{ChangeTag, TextDiff};

use crate::gate::Change;
use crate::model::{Cell, Data, Fault, Table, secret};
use crate::ui::{Format, Term, output, visible};

/// The changes in the format that was asked for.
///
/// # Errors
/// `output` when they cannot be written in that format.
pub fn render(changes: &[Change], format: Format, term: &Term) -> Result<String, Fault> {
    let text = whole(changes, format, term)?;
    Ok(secret::scrub(&text).into_owned())
}

fn whole(changes: &[Change], format: Format, term: &Term) -> Result<String, Fault> {
    match format {
        Format::Table => {
            let mut text = list(changes, term.stdout.colour);
            let _ = writeln!(text, "{}", summary(changes.len()));
            Ok(text)
        }
        Format::Csv => output::render(&Data::Table(table(changes)), format, term),
        Format::Json | Format::Yaml => {
            let value = serde_json::to_value(changes)
                .map_err(|e| Fault::new("output", "cannot write the plan").because(e.to_string()))?;
            output::render(&Data::Tree(value), format, term)
        }
    }
}

/// A numbered list, with what differs where before and after are known.
pub fn list(changes: &[Change], colour: bool) -> String {
    let mut text = String::new();
    let digits = changes.len().to_string().len();
    for (at, change) in changes.iter().enumerate() {
        let number = format!("{:>digits$}.", at + 1);
        let line = visible::line(&change.to_string()).into_owned();
        let _ = match line.split_once(' ') {
            Some((action, rest)) if colour => {
                writeln!(text, "{number} {} {rest}", Style::new().bold().paint(action))
            }
            _ => writeln!(text, "{number} {line}"),
        };
        match (&change.before, &change.after) {
            (Some(before), Some(after)) => diff(before, after, digits + 2, colour, &mut text),
            // A file that there is not yet.
            (None, Some(after)) if change.kind == "file" && change.before_digest.is_none() => {
                diff("", after, digits + 2, colour, &mut text);
            }
            _ => {}
        }
    }
    text
}

fn diff(before: &str, after: &str, indent: usize, colour: bool, out: &mut String) {
    let diff = TextDiff::from_lines(before, after);
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        for change in hunk.iter_changes() {
            let value = visible::line(change.value().trim_end_matches(['\r', '\n'])).into_owned();
            let line = match change.tag() {
                ChangeTag::Equal => format!("  {value}"),
                ChangeTag::Delete if colour => Color::Red.paint(format!("- {value}")).to_string(),
                ChangeTag::Insert if colour => Color::Green.paint(format!("+ {value}")).to_string(),
                ChangeTag::Delete => format!("- {value}"),
                ChangeTag::Insert => format!("+ {value}"),
            };
            let _ = writeln!(out, "{:indent$}{line}", "");
        }
    }
}

fn summary(count: usize) -> String {
    match count {
        0 => "Nothing to change.".to_owned(),
        1 => "1 change would be made. Nothing was changed.".to_owned(),
        count => format!("{count} changes would be made. Nothing was changed."),
    }
}

fn table(changes: &[Change]) -> Table {
    let mut table = Table::with_columns(["host", "kind", "object", "action", "detail"]);
    for change in changes {
        let text = |text: &str| Cell::Text(text.to_owned());
        let detail = change.detail.as_deref().map_or(Cell::Nothing, text);
        table.rows.push(vec![
            text(&change.host),
            text(&change.kind),
            text(&change.object),
            text(&change.action),
            detail,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn changes() -> Vec<Change> {
        vec![
            Change::new("h2-a", "domain", "web1", "migrate").detail("→ h2-b: 21 GiB free"),
            Change::new("h2-a", "file", "/etc/hosts", "write")
                .before("a\nb\nc\nd\n")
                .after("a\nb\nX\x1b\nd\n"),
        ]
    }

    #[test]
    fn a_plan_is_a_numbered_list_with_what_differs() {
        assert_snapshot!(render(&changes(), Format::Table, &Term::plain()).unwrap(), @r"
        1. migrate domain web1 on h2-a (→ h2-b: 21 GiB free)
        2. write file /etc/hosts on h2-a
             a
             b
           - c
           + X\x1b
             d
        2 changes would be made. Nothing was changed.
        ");
        assert_eq!(render(&[], Format::Table, &Term::plain()).unwrap(), "Nothing to change.\n");
    }

    #[test]
    fn programs_get_an_array_of_changes() {
        let text = render(&changes()[..1], Format::Json, &Term::plain()).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            serde_json::json!([{
                "host": "h2-a", "kind": "domain", "object": "web1", "action": "migrate", "detail": "→ h2-b: 21 GiB free"
            }])
        );
        assert_eq!(render(&[], Format::Json, &Term::plain()).unwrap(), "[]\n");
        let csv = render(&changes(), Format::Csv, &Term::plain()).unwrap();
        assert_eq!(csv.lines().next(), Some("host,kind,object,action,detail"));
    }
}
