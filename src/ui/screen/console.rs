//! The terminal as a guest's console.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::{say, visible};
use super::guard::Guard;
use crate::model::screen::{Heard, Wire};
use crate::model::{Cancel, Fault};

/// Ctrl-], as in telnet and virsh.
const LEAVE: u8 = 0x1d;

/// How long the guest's answer may wait to be seen: less than anybody notices.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 8_000_000 };

/// More than this is not kept for a guest that does not read.
const UNREAD: usize = 64 << 10;

/// Joins terminal and guest until the person leaves or the guest does.
pub(super) fn join(name: &str, wire: &mut dyn Wire, cancel: &Cancel) -> Result<(), Fault> {
    let name = visible::line(name).into_owned();
    say(&format!("console of {name}: Ctrl-] leaves it"));
    let raw = Guard::raw()?;
    let ended = pass(wire, cancel, &std::io::stdin(), &mut std::io::stdout().lock());
    drop(raw);
    say(match &ended {
        Ok(Ended::Left) => format!("\nleft the console of {name}"),
        Ok(Ended::Closed) => format!("\n{name} has closed its console"),
        Err(_) => String::new(),
    }
    .as_str());
    ended.map(drop)
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Left,
    Closed,
}

fn pass(
    wire: &mut dyn Wire,
    cancel: &Cancel,
    keys: &impl AsFd,
    screen: &mut impl Write,
) -> Result<Ended, Fault> {
    let mut typed: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    let mut leaving: Option<Instant> = None;
    loop {
        cancel.check()?;
        let mut wait = [PollFd::new(keys, PollFlags::IN)];
        let ready = leaving.is_none()
            && typed.len() < UNREAD
            && poll(&mut wait, Some(&TICK)).is_ok_and(|ready| ready > 0);
        if ready {
            // An end of the input is an end of the person.
            let got = rustix::io::read(keys, &mut buffer).unwrap_or(0);
            let left = buffer[..got].iter().position(|key| *key == LEAVE);
            typed.extend_from_slice(&buffer[..left.unwrap_or(got)]);
            if got == 0 || left.is_some() {
                leaving = Some(Instant::now());
            }
        } else if leaving.is_some() || typed.len() >= UNREAD {
            std::thread::sleep(Duration::from_millis(2));
        }
        if !typed.is_empty() {
            let sent = wire.write(&typed)?;
            typed.drain(..sent.min(typed.len()));
        }
        // As much as is there, but the keys are looked at in between.
        for _ in 0..64 {
            match wire.read(&mut buffer)? {
                Heard::Bytes(got) => {
                    let written = screen.write_all(&buffer[..got]).and_then(|()| screen.flush());
                    if written.is_err() {
                        return Ok(Ended::Left);
                    }
                }
                Heard::Nothing => break,
                Heard::End => return Ok(Ended::Closed),
            }
        }
        // What was typed before leaving is still sent, unless the guest takes nothing.
        if leaving.is_some_and(|since| typed.is_empty() || since.elapsed() > Duration::from_millis(100)) {
            return Ok(Ended::Left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stop;

    /// A guest that answers everything in capitals, three bytes at a time.
    #[derive(Default)]
    struct Guest {
        unread: Vec<u8>,
        heard: Vec<u8>,
        deaf: bool,
        ends: bool,
    }

    impl Wire for Guest {
        fn read(&mut self, into: &mut [u8]) -> Result<Heard, Fault> {
            if self.unread.is_empty() {
                return Ok(if self.ends && !self.heard.is_empty() { Heard::End } else { Heard::Nothing });
            }
            let part: Vec<u8> = self.unread.drain(..self.unread.len().min(3)).collect();
            into[..part.len()].copy_from_slice(&part);
            Ok(Heard::Bytes(part.len()))
        }

        fn write(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
            if self.deaf {
                return Ok(0);
            }
            let taken = &bytes[..bytes.len().min(2)];
            self.heard.extend_from_slice(taken);
            self.unread.extend(taken.to_ascii_uppercase());
            Ok(taken.len())
        }
    }

    fn typed(guest: &mut Guest, keys: &[u8], keep_open: bool) -> (Result<Ended, Fault>, Vec<u8>) {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(keys).unwrap();
        let writer = keep_open.then_some(writer);
        let mut seen = Vec::new();
        let ended = pass(guest, &Cancel::new(), &reader, &mut seen);
        drop(writer);
        (ended, seen)
    }

    #[test]
    fn all_that_is_typed_before_leaving_arrives_and_nothing_behind_it() {
        let mut guest = Guest::default();
        let (ended, seen) = typed(&mut guest, b"hello \x03 there\x1dsecret", true);
        assert_eq!(ended.unwrap(), Ended::Left);
        assert_eq!(guest.heard, b"hello \x03 there");
        assert_eq!(seen, b"HELLO \x03 THERE");
    }

    #[test]
    fn the_view_ends_with_the_guest_and_with_the_input() {
        let mut guest = Guest { ends: true, ..Guest::default() };
        assert_eq!(typed(&mut guest, b"x", true).0.unwrap(), Ended::Closed);
        assert_eq!(typed(&mut Guest::default(), b"x", false).0.unwrap(), Ended::Left);
    }

    #[test]
    fn a_guest_that_reads_nothing_can_be_left() {
        let mut guest = Guest { deaf: true, ..Guest::default() };
        let began = Instant::now();
        assert_eq!(typed(&mut guest, b"x\x1d", true).0.unwrap(), Ended::Left);
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_stop_ends_it() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let cancel = Cancel::new();
        cancel.stop(Stop::Interrupted);
        let fault = pass(&mut Guest::default(), &cancel, &reader, &mut Vec::new()).unwrap_err();
        assert_eq!(fault.code, "interrupted");
    }
}
