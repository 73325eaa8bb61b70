//! Asks the person at the terminal.

use std::io::{BufRead, Write};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::visible;
use crate::model::{Cancel, Progress, prompt::Prompt};

/// Asks on stderr and reads the answer from stdin, with the bars out of the way.
#[derive(Debug, Clone)]
pub struct Ask {
    cancel: Cancel,
    progress: Arc<dyn Progress>,
}

impl Ask {
    /// Asks between the bars of `progress`, and stops asking when `cancel` says so.
    pub fn new(cancel: Cancel, progress: Arc<dyn Progress>) -> Self {
        Self { cancel, progress }
    }

    fn answer(&self, question: &str) -> Option<String> {
        write!(std::io::stderr(), "{} [y/N] ", visible::lines(question)).ok()?;
        // A blocked read would go on after Ctrl-C: the signal only wakes `cancel`.
        // The terminal hands over whole lines, so that reading does not block then.
        let stdin = std::io::stdin();
        let tick = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            if self.cancel.stopped().is_some() {
                super::say("");
                return None;
            }
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&tick)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => break,
                Err(_) => return None,
            }
        }
        let mut line = String::new();
        stdin.lock().read_line(&mut line).ok()?;
        if line.is_empty() {
            super::say("");
        }
        Some(line)
    }
}

impl Prompt for Ask {
    fn confirm(&self, question: &str) -> bool {
        let mut answer = None;
        self.progress.suspend(&mut || answer = self.answer(question));
        answer.is_some_and(|text| matches!(text.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn passphrase(&self, what: &str) -> Option<String> {
        let mut answer = None;
        self.progress.suspend(&mut || {
            answer = rpassword::prompt_password(asked(&visible::line(what))).ok();
        });
        answer.filter(|text| !text.is_empty() && self.cancel.stopped().is_none())
    }
}

/// A question for a secret ends with one colon, whoever has written it.
fn asked(what: &str) -> String {
    let what = what.trim_end();
    let ended = what.ends_with([':', '?', '>']);
    format!("{what}{} ", if ended { "" } else { ":" })
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn one_colon_is_enough() {
        for (what, shown) in
            [("pw", "pw: "), ("pw:", "pw: "), ("pw: ", "pw: "), ("which one?", "which one? "), ("", ": ")]
        {
            assert_eq!(asked(what), shown);
        }
    }
}
