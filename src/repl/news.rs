//! How the hosts are, said above the line that is being edited as it becomes known.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nu_ansi_term::{Color, Style};
use rustyline::ExternalPrinter;

use super::leave::Leave;
use super::world::{State, World};
use crate::script::wrap;
use crate::ui::{term, visible};

/// The first hosts are told after this time, even if others have not answered.
const FIRST: Duration = Duration::from_millis(1500);

/// What becomes known within this time is told together.
const TOGETHER: Duration = Duration::from_millis(300);

/// How often it is looked whether a host has gone.
const LOOK: Duration = Duration::from_secs(5);

/// So many hosts are named.
const NAMED: usize = 6;

type Known = BTreeMap<String, State>;

/// The prompt is painted before anybody is asked anything.
const PAINTED: Duration = Duration::from_millis(30);

/// Asks these hosts, and tells what becomes known of them until the prompt ends.
pub(super) fn begin(
    world: &World,
    names: Vec<String>,
    mut printer: impl ExternalPrinter + Send + 'static,
    leave: Leave,
    colour: bool,
) {
    let (sender, receiver) = channel();
    world.tell(sender);
    let world = world.clone();
    let tell = move || {
        let mut say = |text: String| {
            // While something runs, its output is not interrupted.
            while !leave.is_editing() {
                std::thread::sleep(Duration::from_millis(20));
            }
            printer.print(text).is_ok()
        };
        while !leave.is_editing() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(PAINTED);
        let hosts = names.iter().filter(|name| !name.contains("://")).count();
        world.greet(names.iter().map(String::as_str));
        let first = gather(&receiver, Instant::now() + FIRST, hosts);
        let mut left = hosts.saturating_sub(first.len());
        if !first.is_empty() && !say(summary(&first, colour)) {
            return;
        }
        let mut known = first;
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok((name, state)) => {
                    let mut news = gather(&receiver, Instant::now() + TOGETHER, left.saturating_sub(1));
                    news.insert(name, state);
                    let fresh = news.keys().filter(|name| !known.contains_key(*name)).count();
                    let text =
                        if fresh == news.len() { summary(&news, colour) } else { changes(&news, colour) };
                    left = left.saturating_sub(fresh);
                    known.extend(news);
                    if !say(text) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => world.look_after(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    };
    // Without it nobody is told; `:hosts` still knows.
    let _ = std::thread::Builder::new().name("news".into()).spawn(tell);
}

/// What comes until a time, or until so many have come.
fn gather(receiver: &Receiver<(String, State)>, until: Instant, most: usize) -> Known {
    let mut known = Known::new();
    while known.len() < most {
        let left = until.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok((name, state)) => drop(known.insert(name, state)),
            Err(_) => break,
        }
    }
    known
}

/// `up: h2-a (3/4 running)` and `down: h2-b (connection refused)`.
fn summary(known: &Known, colour: bool) -> String {
    let mut up = Vec::new();
    let mut down = Vec::new();
    let (mut running, mut all) = (0, 0);
    for (name, state) in known {
        let name = visible::line(name);
        match state {
            State::Up(some, of) => {
                running += some;
                all += of;
                up.push(format!("{name} ({some}/{of} running)"));
            }
            State::Down(why) => down.push(format!("{name} ({why})")),
            State::Unknown => {}
        }
    }
    if up.len() > NAMED {
        up = vec![format!("{} hosts ({running}/{all} guests running)", up.len())];
    }
    if down.len() > NAMED {
        let rest = down.len() - NAMED;
        down.truncate(NAMED);
        down.push(format!("and {rest} more, `:hosts` lists them"));
    }
    let mut text = lines("up: ", Color::Green, &up.join(", "), colour);
    text.push_str(&lines("down: ", Color::Red, &down.join(", "), colour));
    text
}

/// What has become of hosts that were known.
fn changes(news: &Known, colour: bool) -> String {
    let line = |(name, state): (&String, &State)| match state {
        State::Up(..) => lines("up again: ", Color::Green, &visible::line(name), colour),
        State::Down(why) => lines("down: ", Color::Red, &format!("{} ({why})", visible::line(name)), colour),
        State::Unknown => String::new(),
    };
    news.iter().map(line).collect()
}

fn lines(word: &str, tone: Color, text: &str, colour: bool) -> String {
    if text.is_empty() {
        return String::new();
    }
    let width = term::stderr_columns().clamp(20, 100);
    let text = wrap(&format!("{word}{text}"), width, 0).join("\n");
    let text = match text.strip_prefix(word).filter(|_| colour) {
        Some(rest) => format!("{}{rest}", Style::new().fg(tone).paint(word)),
        None => text,
    };
    format!("{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_hosts_are_named_and_many_are_counted() {
        let up = |name: &str| (name.to_owned(), State::Up(2, 3));
        let down = |name: &str| (name.to_owned(), State::Down("connection refused".into()));
        let known: Known = [up("a"), down("b"), up("c")].into();
        assert_eq!(
            summary(&known, false),
            "up: a (2/3 running), c (2/3 running)\ndown: b (connection refused)\n"
        );
        let many: Known = (0..20).map(|n| up(&format!("h{n}"))).collect();
        assert_eq!(summary(&many, false), "up: 20 hosts (40/60 guests running)\n");
        assert_eq!(changes(&[down("b")].into(), false), "down: b (connection refused)\n");
        assert_eq!(changes(&[up("b")].into(), false), "up again: b\n");
    }
}
