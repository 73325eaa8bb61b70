//! What kvmsh says: lines for people, JSON for programs, or the system's journal where systemd has started it.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use serde_json::json;

use crate::model::{Diagnosis, secret};

/// How talk is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people; with native fields where stderr is the system's journal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where it goes.
#[derive(Debug)]
enum Sink {
    Lines,
    Json,
    Journal(UnixDatagram),
}

static SINK: OnceLock<Sink> = OnceLock::new();
static RUN: OnceLock<String> = OnceLock::new();

/// Decides how talk is written; the first word stays.
pub fn begin(format: LogFormat) {
    let _ = SINK.set(match format {
        LogFormat::Json => Sink::Json,
        LogFormat::Text => journal().map_or(Sink::Lines, Sink::Journal),
    });
}

/// The run that what is said belongs to: its id in kvmsh's own journal.
pub fn of_run(id: &str) {
    let _ = RUN.set(id.to_owned());
}

/// The socket of the system's journal, if stderr leads there: see systemd.exec(5), `$JOURNAL_STREAM`.
fn journal() -> Option<UnixDatagram> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let (device, inode) = stream.split_once(':')?;
    let stderr = std::fs::File::from(std::io::stderr().as_fd().try_clone_to_owned().ok()?);
    let meta = stderr.metadata().ok()?;
    if (device.parse(), inode.parse()) != (Ok(meta.dev()), Ok(meta.ino())) {
        return None;
    }
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect("/run/systemd/journal/socket").ok()?;
    Some(socket)
}

/// Whether it is said even to who wants to hear of nothing but trouble.
pub(super) fn is_trouble(line: &str) -> bool {
    level(line) != "info"
}

/// How bad it is, from how the line begins.
fn level(line: &str) -> &'static str {
    if line.starts_with("error") {
        "error"
    } else if line.starts_with("warning") {
        "warn"
    } else {
        "info"
    }
}

/// Says a line.
pub(super) fn say(line: &str) {
    let line = secret::scrub(line);
    let level = level(&line);
    let message = line.strip_prefix("warning: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(&line);
    write(&line, level, message, &[]);
}

/// Says what went wrong; `text` is how people see it.
pub fn complain(diagnosis: &Diagnosis, text: &str) {
    let text = secret::scrub(text.trim_end());
    let fault = &diagnosis.fault;
    let place = diagnosis.places.first().map(|place| format!("{}:{}", place.script, place.line));
    let fields = [
        ("code", Some(fault.code.as_str())),
        ("host", fault.host.as_deref()),
        ("object", fault.object.as_deref()),
        ("place", place.as_deref()),
        ("hint", fault.hint.as_deref()),
    ];
    let fields: Vec<_> =
        fields.into_iter().filter_map(|(key, value)| Some((key, secret::scrub(value?)))).collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (*key, value.as_ref())).collect();
    let message = fault.to_string();
    write(&text, "error", &secret::scrub(&message), &fields);
}

fn write(line: &str, level: &str, message: &str, fields: &[(&str, &str)]) {
    let run = RUN.get().map(String::as_str).filter(|run| !run.is_empty());
    match SINK.get() {
        Some(Sink::Json) => {
            let mut record =
                json!({ "time": jiff::Timestamp::now().to_string(), "level": level, "message": message });
            if let serde_json::Value::Object(map) = &mut record {
                let all = fields.iter().copied().chain(run.map(|run| ("run", run)));
                all.for_each(|(key, value)| drop(map.insert(key.to_owned(), value.into())));
            }
            lines(&record.to_string());
        }
        Some(Sink::Journal(socket)) => {
            let record = native(level, message, fields, run);
            // A journal that takes no more is stderr's problem.
            if socket.send(&record).is_err() {
                lines(line);
            }
        }
        Some(Sink::Lines) | None => lines(line),
    }
}

fn lines(line: &str) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{line}");
}

/// A record in the journal's own form, see systemd's Native Journal Protocol.
fn native(level: &str, message: &str, fields: &[(&str, &str)], run: Option<&str>) -> Vec<u8> {
    let priority = match level {
        "error" => "3",
        "warn" => "4",
        _ => "6",
    };
    let mut record = Vec::new();
    let mut field = |name: &str, value: &str| {
        record.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            record.push(b'\n');
            record.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            record.push(b'=');
        }
        record.extend_from_slice(value.as_bytes());
        record.push(b'\n');
    };
    field("MESSAGE", message);
    field("PRIORITY", priority);
    field("SYSLOG_IDENTIFIER", "kvmsh");
    for (name, value) in fields.iter().copied().chain(run.map(|run| ("run", run))) {
        field(&format!("KVMSH_{}", name.to_uppercase()), value);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_fields_of_its_own_form() {
        let record = native("warn", "two\nlines", &[("host", "h2-a")], Some("cafe0123"));
        let mut wanted =
            b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nPRIORITY=4\nSYSLOG_IDENTIFIER=kvmsh\n".to_vec();
        wanted.extend_from_slice(b"KVMSH_HOST=h2-a\nKVMSH_RUN=cafe0123\n");
        assert_eq!(record, wanted);
        assert_eq!(
            (level("warning: x"), level("error[a]: x"), level("web1: done")),
            ("warn", "error", "info")
        );
    }
}
