//! Sessions that wait for their next command.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::Kind;
use super::limit::Stall;
use super::wire::Wire;
use crate::model::Cancel;

/// Idle sessions are closed after this time.
const IDLE: Duration = Duration::from_secs(120);

/// No more idle sessions than this are kept for one host.
const KEPT: usize = 16;

/// How many sessions are opened at the same time on one host: sshd drops new
/// connections at random beyond `MaxStartups`, 10 by default, and others use it too.
const OPENING: u32 = 4;

/// See the module's description.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<(Wire, Instant)>>,
    opening: Mutex<u32>,
    opened: Condvar,
}

impl Pool {
    /// An idle session, or a new one; `true` says that it had been used before.
    pub(super) fn take(
        &self,
        cancel: &Cancel,
        open: impl FnOnce() -> Result<Wire, Kind>,
    ) -> Result<(Wire, bool), Kind> {
        if let Some(wire) = self.idle_one() {
            return Ok((wire, true));
        }
        let _slot = self.slot(cancel)?;
        // While this one waited for its turn, another may have become idle.
        match self.idle_one() {
            Some(wire) => Ok((wire, true)),
            None => open().map(|wire| (wire, false)),
        }
    }

    /// Keeps a session for the next command.
    pub(super) fn put(&self, wire: Wire) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let old: Vec<_> = idle.extract_if(.., |(_, since)| since.elapsed() > IDLE).collect();
        let surplus = if idle.len() < KEPT {
            idle.push((wire, Instant::now()));
            None
        } else {
            Some(wire)
        };
        drop(idle);
        // Closing may wait for a helper: not while others wait for the lock.
        drop((old, surplus));
    }

    /// Closes all idle sessions.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(all);
    }

    fn idle_one(&self) -> Option<Wire> {
        loop {
            let (wire, since) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if since.elapsed() <= IDLE && !wire.is_closed() {
                return Some(wire);
            }
        }
    }

    fn slot(&self, cancel: &Cancel) -> Result<Slot<'_>, Kind> {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        while *opening >= OPENING {
            if let Some(stop) = cancel.stopped() {
                return Err(Stall::Stopped(stop).kind("connecting", None, false));
            }
            let tick = Duration::from_millis(50);
            opening = self.opened.wait_timeout(opening, tick).unwrap_or_else(PoisonError::into_inner).0;
        }
        *opening += 1;
        Ok(Slot(self))
    }
}

/// The right to open a session.
struct Slot<'a>(&'a Pool);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.opening.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.opened.notify_one();
    }
}
