//! `kvmsh journal`: what was changed, when, by which line of which script.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::args::ReadJournal;
use super::signals;
use super::start::Start;
use crate::gate::{Entry, Filter, JournalLine, Phase, Reading, RunEntry, read_journal};
use crate::model::{Cell, Data, Diagnosis, Table, Tone};
use crate::ui::{self, Format};

pub(super) fn run(wanted: &ReadJournal, start: &Start) -> Result<u8, Diagnosis> {
    let path = start.journal()?;
    let filter = Filter { since: wanted.since, until: wanted.until, run: wanted.run.clone() };
    // Looked at before: a line that is written now is rather shown twice than never.
    let seen = std::fs::metadata(&path).map(|meta| meta.len()).unwrap_or(0);
    let mut reading = read_journal(&path, &filter)?;
    reading.changes.retain(|entry| is_wanted(entry, wanted, &start.options.hosts));
    reading.runs.retain(|run| is_wanted_run(run, wanted, &reading.changes));
    if reading.unreadable > 0 {
        let unreadable = reading.unreadable;
        let lines = if unreadable == 1 { "1 line is".to_owned() } else { format!("{unreadable} lines are") };
        ui::say(&format!("{lines} not readable in {}: left out", path.display()));
    }
    let local = start.options.output == Format::Table;
    let zone = TimeZone::system();
    let empty = if wanted.runs { reading.runs.is_empty() } else { reading.changes.is_empty() };
    if empty && local && !wanted.follow && !wanted.tree {
        let what = if wanted.runs { "runs" } else { "changes" };
        start.say(&format!("no {what} in {}", path.display()));
        return Ok(0);
    }
    if wanted.tree {
        start.show(&tree(&reading, local, &zone))?;
    } else if wanted.runs {
        start.show(&Data::Table(runs(&reading.runs, local, &zone)))?;
    } else if !(wanted.follow && reading.changes.is_empty()) {
        start.show(&Data::Table(table(&reading.changes, local, &zone)))?;
    }
    if wanted.follow { follow(&path, seen, wanted, &filter, start) } else { Ok(0) }
}

fn is_wanted(entry: &Entry, wanted: &ReadJournal, hosts: &[String]) -> bool {
    let host = |glob: &String| wildmatch::WildMatch::new(glob).matches(&entry.what.host);
    wanted.user.as_ref().is_none_or(|user| *user == entry.user)
        && (hosts.is_empty() || hosts.iter().any(host))
        && (!wanted.failed || entry.result.as_deref() != Some("ok"))
}

fn is_wanted_run(run: &RunEntry, wanted: &ReadJournal, changes: &[Entry]) -> bool {
    wanted.user.as_ref().is_none_or(|user| *user == run.user)
        && (!wanted.failed || run.exit != Some(0) || changes.iter().any(|entry| entry.run == run.run))
}

/// Shows each line as it is written, also when another file is begun.
fn follow(
    path: &Path,
    mut skip: u64,
    wanted: &ReadJournal,
    filter: &Filter,
    start: &Start,
) -> Result<u8, Diagnosis> {
    signals::watch(&start.cancel)?;
    if let Some(time) = start.options.timeout {
        signals::deadline(&start.cancel, time);
    }
    let zone = TimeZone::system();
    let mut file: Option<(BufReader<File>, u64)> = None;
    start.say(&format!("following {}", path.display()));
    loop {
        let inode = std::fs::metadata(path).map(|meta| meta.ino()).ok();
        let mut text = Vec::new();
        if let Some((reader, _)) = &mut file {
            // What was written before another file was begun is read to its end.
            let _ = reader.read_until(b'\n', &mut text);
        }
        if text.is_empty() {
            if let Some(inode) = inode.filter(|inode| file.as_ref().is_none_or(|(_, open)| open != inode))
                && let Ok(mut opened) = File::open(path)
                && opened.seek(SeekFrom::Start(std::mem::take(&mut skip))).is_ok()
            {
                file = Some((BufReader::new(opened), inode));
                continue;
            }
            if let Some(stop) = start.cancel.sleep(std::time::Duration::from_millis(250)) {
                return Ok(stop.fault().class.exit_code());
            }
            continue;
        }
        let Ok(line) = serde_json::from_slice::<JournalLine>(&text) else { continue };
        let mut one = Reading::default();
        one.take(line.clone(), filter);
        let text = match (&line, start.options.output) {
            (JournalLine::Change(entry), _) if !is_wanted(entry, wanted, &start.options.hosts) => continue,
            _ if one.changes.is_empty() && one.runs.is_empty() => continue,
            (_, Format::Json) => String::from_utf8_lossy(&text).into_owned(),
            (JournalLine::Change(entry), _) => format!("{}\n", sentence(entry, &zone)),
            (JournalLine::Run(run), _) => format!("{}\n", run_sentence(run, &zone)),
        };
        super::deliver(&text)?;
    }
}

fn clock(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn sentence(entry: &Entry, zone: &TimeZone) -> String {
    let what = &entry.what;
    let result = match (entry.phase, entry.result.as_deref()) {
        (Phase::Begin, _) => "begins".to_owned(),
        (Phase::End, Some("ok")) => "ok".to_owned(),
        (Phase::End, code) => format!("FAILED: {}", entry.error.as_deref().or(code).unwrap_or_default()),
    };
    let detail = what.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let (time, run) = (clock(entry.time, zone), &entry.run);
    ui::visible::line(&format!(
        "{time} {run} {} {} {} on {}{detail}: {result}",
        what.action, what.kind, what.object, what.host
    ))
    .into_owned()
}

fn run_sentence(run: &RunEntry, zone: &TimeZone) -> String {
    let words = [std::slice::from_ref(&run.script), &run.args].concat().join(" ");
    let state = match run.exit {
        None => "runs, or was killed".to_owned(),
        Some(exit) => format!(
            "exit {exit}, {} changes, {} failed, {} s",
            run.changes.unwrap_or_default(),
            run.failed.unwrap_or_default(),
            run.time.duration_since(run.began).as_secs()
        ),
    };
    let text = format!("{} {} {words} by {}: {state}", clock(run.began, zone), run.run, run.user);
    ui::visible::line(&text).into_owned()
}

/// The runs as rows.
fn runs(runs: &[RunEntry], local: bool, zone: &TimeZone) -> Table {
    let mut table = Table::with_columns([
        "began",
        "run",
        "user",
        "script",
        "arguments",
        "exit",
        "changes",
        "failed",
        "seconds",
    ]);
    let number = |number: Option<u64>| {
        number.map_or(Cell::Nothing, |number| Cell::Number(i64::try_from(number).unwrap_or(i64::MAX)))
    };
    for run in runs {
        let exit = match run.exit {
            // A number for programs.
            Some(code) if !local => Cell::Number(code.into()),
            Some(0) => Cell::State("0".to_owned(), Tone::Good),
            Some(code) => Cell::State(code.to_string(), Tone::Bad),
            None if !local => Cell::Nothing,
            None => Cell::State("unfinished".to_owned(), Tone::Warn),
        };
        let took = run.exit.map(|_| run.time.duration_since(run.began).as_secs().unsigned_abs());
        table.rows.push(vec![
            Cell::Text(if local { clock(run.began, zone) } else { run.began.to_string() }),
            Cell::Text(run.run.clone()),
            Cell::Text(run.user.clone()),
            Cell::Text(run.script.clone()),
            Cell::Text(run.args.join(" ")),
            exit,
            number(run.changes),
            number(run.failed),
            number(took),
        ]);
    }
    table
}

/// Each run with its changes: lines for people, nested for programs. Changes of runs that have no line of their own too.
fn tree(reading: &Reading, local: bool, zone: &TimeZone) -> Data {
    let mut ids: Vec<&str> = reading.runs.iter().map(|run| run.run.as_str()).collect();
    for entry in &reading.changes {
        if !ids.contains(&entry.run.as_str()) {
            ids.push(&entry.run);
        }
    }
    let run_of = |id: &str| reading.runs.iter().find(|run| run.run == id);
    let changes_of =
        |id: &str| reading.changes.iter().filter(move |entry| entry.run == id).collect::<Vec<_>>();
    if !local {
        let values = ids.iter().map(|id| {
            let mut value = serde_json::to_value(run_of(id)).unwrap_or_default();
            let changes = serde_json::to_value(changes_of(id)).unwrap_or_default();
            match &mut value {
                serde_json::Value::Object(map) => drop(map.insert("records".to_owned(), changes)),
                other => *other = serde_json::json!({ "run": id, "records": changes }),
            }
            value
        });
        return Data::Tree(values.collect());
    }
    let mut text = String::new();
    for id in ids {
        text.push_str(&run_of(id).map_or_else(|| id.to_owned(), |run| run_sentence(run, zone)));
        text.push('\n');
        let changes = changes_of(id);
        for (at, entry) in changes.iter().enumerate() {
            let branch = if at + 1 == changes.len() { "└─" } else { "├─" };
            let mut entry = (*entry).clone();
            entry.phase = Phase::End;
            let line = sentence(&entry, zone);
            // The run's id stands above.
            let line = line.replacen(&format!(" {}", entry.run), "", 1);
            let line = if entry.result.is_none() { line.replace("FAILED: ", "unfinished") } else { line };
            text.push_str(&format!("{branch} {line}\n"));
        }
    }
    Data::Text(text.trim_end().to_owned())
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
    use crate::gate::{Change, Origin};

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
