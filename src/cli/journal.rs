//! `kvmsh journal`: what was changed, when, by which line of which script.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::start::Start;
use crate::gate::{Entry, Filter, read_journal};
use crate::model::{Cell, Data, Diagnosis, Table, Tone};
use crate::ui::{self, Format};

pub(super) fn run(since: Option<Timestamp>, run: Option<String>, start: &Start) -> Result<u8, Diagnosis> {
    let path = start.journal()?;
    let (entries, unreadable) = read_journal(&path, &Filter { since, run })?;
    if unreadable > 0 {
        let lines = if unreadable == 1 { "1 line is".to_owned() } else { format!("{unreadable} lines are") };
        ui::say(&format!("{lines} not readable in {}: left out", path.display()));
    }
    if entries.is_empty() && start.options.output == Format::Table {
        start.say(&format!("no changes in {}", path.display()));
        return Ok(0);
    }
    let local = start.options.output == Format::Table;
    start.show(&Data::Table(table(&entries, local, &TimeZone::system())))?;
    Ok(0)
}

/// The journal as rows; times for people in their zone, for programs in UTC.
fn table(entries: &[Entry], local: bool, zone: &TimeZone) -> Table {
    let mut table =
        Table::with_columns(["time", "run", "host", "action", "object", "result", "detail", "script"]);
    for entry in entries {
        let time = if local {
            entry.time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
        } else {
            entry.time.to_string()
        };
        let what = &entry.what;
        let script = what.origin.as_ref().map(|origin| match origin.line {
            0 => origin.script.clone(),
            line => format!("{}:{line}", origin.script),
        });
        let result = match entry.result.as_deref() {
            Some("ok") => Cell::State("ok".to_owned(), Tone::Good),
            Some(code) => Cell::State(code.to_owned(), Tone::Bad),
            // Nobody saw how it ended.
            None => Cell::State("unfinished".to_owned(), Tone::Warn),
        };
        let text = |text: String| Cell::Text(text);
        table.rows.push(vec![
            text(time),
            text(entry.run.clone()),
            text(what.host.clone()),
            text(what.action.clone()),
            text(format!("{} {}", what.kind, what.object)),
            // Before the detail: how it ended has to fit into a narrow window.
            result,
            what.detail.clone().map_or(Cell::Nothing, text),
            script.map_or(Cell::Nothing, text),
        ]);
    }
    table
}

/// How long ago, or a date, or a date with a time; without a zone it is the local one.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    since_at(text, Timestamp::now(), &TimeZone::system())
}

fn since_at(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let bad = || format!("`{text}` is no time: write 2h, 3days, yesterday, 2026-01-31 or 2026-01-31T08:00");
    let today = now.to_zoned(zone.clone()).date();
    let midnight = |date: Date| date.to_zoned(zone.clone()).map(|at| at.timestamp()).map_err(|_| bad());
    match text.trim() {
        "today" => return midnight(today),
        "yesterday" => return midnight(today.yesterday().map_err(|_| bad())?),
        _ => {}
    }
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let (true, Ok(at)) = (text.contains(['T', ':']), text.parse::<DateTime>()) {
        return at.to_zoned(zone.clone()).map(|at| at.timestamp()).map_err(|_| bad());
    }
    if let Ok(date) = text.parse::<Date>() {
        return midnight(date);
    }
    // Days have 24 hours here: "3days" is a distance, not a date.
    let ago = text.parse::<SignedDuration>().ok().or_else(|| {
        let span = text.trim_end_matches("ago").trim().parse::<jiff::Span>().ok()?;
        span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()
    });
    let ago = ago.filter(|ago| !ago.is_negative()).ok_or_else(bad)?;
    let ago = 0.seconds().checked_add(ago).map_err(|_| bad())?;
    now.checked_sub(ago).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Change, Origin, Phase};

    #[test]
    fn since_understands_what_admins_write() {
        let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        for (text, at) in [
            ("2h", "2026-03-10T10:00:00Z"),
            ("90 minutes", "2026-03-10T10:30:00Z"),
            ("3days", "2026-03-07T12:00:00Z"),
            ("3 days ago", "2026-03-07T12:00:00Z"),
            ("1w", "2026-03-03T12:00:00Z"),
            ("today", "2026-03-09T23:00:00Z"),
            ("yesterday", "2026-03-08T23:00:00Z"),
            ("2026-01-31", "2026-01-30T23:00:00Z"),
            ("2026-01-31 08:00", "2026-01-31T07:00:00Z"),
            ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
        ] {
            assert_eq!(since_at(text, now, &zone).map(|at| at.to_string()).as_deref(), Ok(at), "{text}");
        }
        for text in ["", "soon", "-2h", "2026-13-01", "5"] {
            assert!(since_at(text, now, &zone).is_err(), "{text}");
        }
    }

    #[test]
    fn a_row_says_what_was_done_how_it_ended_and_which_line_asked() {
        let mut what = Change::new("h2-a", "domain", "web1", "start");
        what.origin = Some(Origin { script: "evacuate.rhai".into(), line: 12 });
        let entry = Entry {
            time: "2026-03-10T12:00:00Z".parse().unwrap(),
            run: "cafe0123".into(),
            change: 1,
            phase: Phase::Begin,
            user: "root".into(),
            what: what.record(),
            result: None,
            error: None,
        };
        let table = table(&[entry], true, &TimeZone::UTC);
        let row: Vec<_> = table.rows[0].iter().map(|cell| cell.to_json().to_string()).collect();
        assert_eq!(
            row.join(" "),
            r#""2026-03-10 12:00:00" "cafe0123" "h2-a" "start" "domain web1" "unfinished" null "evacuate.rhai:12""#
        );
    }
}
