//! How long something may take, and who may stop it.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::Kind;
use crate::model::{Cancel, Stop};

/// How often a wait looks at the cancel token.
const TICK: Duration = Duration::from_millis(50);

/// A deadline and the token that stops everything.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    cancel: Cancel,
    until: Option<Instant>,
}

/// Why an operation did not come to its own end.
#[derive(Debug)]
pub(super) enum Stall {
    /// The operator or `--timeout`.
    Stopped(Stop),
    /// The deadline of this operation.
    Deadline,
    /// The connection is gone, or has been silent for too long.
    Lost(String),
    /// The other side said no.
    Refused(String),
    /// Reading the input or taking the output failed.
    Own(Kind),
}

impl Limit {
    /// From now on, `time` long; `None` is for ever.
    pub(super) fn new(cancel: &Cancel, time: Option<Duration>) -> Self {
        Self { cancel: cancel.clone(), until: time.and_then(|time| Instant::now().checked_add(time)) }
    }

    /// Whether to go on.
    pub(super) fn check(&self) -> Result<(), Stall> {
        if let Some(stop) = self.cancel.stopped() {
            return Err(Stall::Stopped(stop));
        }
        if self.left().is_some_and(|left| left.is_zero()) { Err(Stall::Deadline) } else { Ok(()) }
    }

    /// The time left; `None` is for ever.
    pub(super) fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Waits for one of the descriptors, at most until it is time to look at the token again.
    ///
    /// Returns how many are ready; their `revents` say for what.
    pub(super) fn poll(&self, fds: &mut [PollFd<'_>]) -> Result<i32, Stall> {
        self.check()?;
        let time = self.left().unwrap_or(TICK).min(TICK).max(Duration::from_millis(1));
        let timeout = PollTimeout::from(u8::try_from(time.as_millis()).unwrap_or(u8::MAX));
        match poll(fds, timeout) {
            Ok(ready) => Ok(ready),
            Err(Errno::EINTR) => Ok(0),
            Err(errno) => Err(Stall::Lost(format!("poll: {errno}"))),
        }
    }
}

/// Whether `fd` is readable (or closed) right now.
pub(super) fn readable_now(fd: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO).is_ok_and(|n| n > 0)
}

impl Stall {
    /// The error it becomes for a command.
    pub(super) fn kind(self, command: &str, timeout: Option<Duration>, remote: bool) -> Kind {
        let command = command.to_owned();
        match self {
            Self::Stopped(stop) => Kind::Stopped { stop, command, may_run: remote },
            Self::Deadline => {
                Kind::CommandTimeout { command, after: timeout.unwrap_or_default(), may_run: remote }
            }
            Self::Lost(cause) => Kind::Lost { command, cause },
            Self::Refused(cause) => Kind::ExecRefused { command, cause },
            Self::Own(kind) => kind,
        }
    }
}
