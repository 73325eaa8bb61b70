//! Reading lines from a terminal that cannot move its cursor (`TERM=dumb`).

use std::io::{BufRead, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::editor::Read;
use super::leave::Leave;
use crate::model::Cancel;

/// Reads lines until `more` is content with them. What has been begun cannot be changed here any more: it is shown, and
/// Enter takes it, or what is typed goes on behind it.
pub(super) fn read(
    prompt: &str,
    begun: &str,
    cancel: &Cancel,
    leave: &Leave,
    more: impl Fn(&str) -> bool,
) -> Read {
    let mut entry = begun.to_owned();
    let mut shown = format!("{prompt}{begun}");
    loop {
        eprint_flush(&shown);
        match line(cancel, leave) {
            Line::Text(text) => entry.push_str(&text),
            Line::Interrupted => {
                eprint_flush("\n");
                return Read::Nothing;
            }
            Line::End => {
                eprint_flush("\n");
                return Read::End;
            }
        }
        let ended = entry.strip_suffix('\n').unwrap_or(&entry);
        if !more(ended) {
            return Read::Entry(ended.to_owned());
        }
        shown = format!("{:>1$}", "> ", prompt.len());
    }
}

enum Line {
    Text(String),
    Interrupted,
    End,
}

/// A blocked read would go on after Ctrl-C: the signal only wakes `cancel`.
fn line(cancel: &Cancel, leave: &Leave) -> Line {
    cancel.reset();
    let stdin = std::io::stdin();
    let tick = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    loop {
        if leave.is_asked() {
            return Line::End;
        }
        if cancel.stopped().is_some() {
            return Line::Interrupted;
        }
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&tick)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => break,
            Err(_) => return Line::End,
        }
    }
    let mut text = String::new();
    match stdin.lock().read_line(&mut text) {
        Ok(0) | Err(_) => Line::End,
        Ok(_) => Line::Text(text),
    }
}

fn eprint_flush(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
