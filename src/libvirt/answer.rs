//! Waiting for libvirt without being at its mercy.
//!
//! A call of libvirt's cannot be interrupted: a frozen QEMU holds it for ever,
//! though the daemon lives. So each call runs on a thread of its own, and whoever
//! waits looks at the clock and at the cancel token. A call that is given up is
//! left behind; it holds its own reference to the connection.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Error;
use crate::model::{Cancel, Stop};

/// How often a wait looks at the cancel token.
const TICK: Duration = Duration::from_millis(50);

/// A call under way.
#[derive(Debug)]
pub(super) struct Answer<T>(Receiver<Result<T, Error>>);

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// In all; `None`: as long as it takes.
    pub(super) limit: Option<Duration>,
    /// After a stop was asked for.
    pub(super) after_stop: Duration,
}

/// Why nobody waits any longer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Silence {
    Stopped(Stop),
    TooLong(Duration),
}

/// Begins a call.
pub(super) fn begin<T: Send + 'static>(
    name: &str,
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<Answer<T>, Error> {
    let (sender, receiver) = mpsc::channel();
    let run = move || drop(sender.send(call()));
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| Error::Lost { message: format!("cannot start a thread: {error}") })?;
    Ok(Answer(receiver))
}

impl<T> Answer<T> {
    /// The answer, if it comes within `time`.
    pub(super) fn within(&self, time: Duration) -> Option<Result<T, Error>> {
        match self.0.recv_timeout(time) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(Error::Lost { message: "the thread of the call has ended".into() }))
            }
        }
    }

    /// The answer, or why it is not waited for any longer.
    pub(super) fn wait(&self, patience: Patience, cancel: &Cancel) -> Result<Result<T, Error>, Silence> {
        let began = Instant::now();
        let mut stopped_at: Option<Instant> = None;
        loop {
            if let Some(answer) = self.within(TICK) {
                return Ok(answer);
            }
            if let Some(stop) = cancel.stopped() {
                let since = stopped_at.get_or_insert_with(Instant::now);
                // Who asks twice does not want to wait.
                if since.elapsed() >= patience.after_stop || cancel.times() > 1 {
                    return Err(Silence::Stopped(stop));
                }
            }
            if let Some(limit) = patience.limit.filter(|limit| began.elapsed() >= *limit) {
                return Err(Silence::TooLong(limit));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(millis: u64) -> Answer<u8> {
        let call = move || {
            std::thread::sleep(Duration::from_millis(millis));
            Ok(7)
        };
        begin("test", call).unwrap()
    }

    #[test]
    fn an_answer_is_waited_for_no_longer_than_allowed() {
        let patience = Patience { limit: Some(Duration::from_millis(100)), after_stop: Duration::ZERO };
        let cancel = Cancel::new();
        assert!(matches!(sleeper(1).wait(patience, &cancel), Ok(Ok(7))));
        assert!(matches!(sleeper(3000).wait(patience, &cancel), Err(Silence::TooLong(_))));
    }

    #[test]
    fn a_stop_ends_a_question_at_once_and_gives_a_change_time() {
        let cancel = Cancel::new();
        cancel.stop(Stop::Interrupted);
        let question = Patience { limit: None, after_stop: Duration::ZERO };
        assert!(matches!(sleeper(3000).wait(question, &cancel), Err(Silence::Stopped(Stop::Interrupted))));
        let change = Patience { limit: None, after_stop: Duration::from_secs(5) };
        assert!(matches!(sleeper(200).wait(change, &cancel), Ok(Ok(7))));
    }
}
