//! One connection to one daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use virt::connect::Connect;

use super::answer::{self, Patience, Silence};
use super::{Error, event_loop, raw};
use crate::model::Cancel;

/// A ping every 5 s, given up after 4 without answer: a dead daemon is noticed
/// within 25 s, as the house rule of 30 s asks (virsh: 5 s × 6).
const KEEPALIVE_INTERVAL_SECONDS: i32 = 5;
const KEEPALIVE_COUNT: u32 = 4;

/// How long a daemon may think about a question. Longer than the keepalive: this
/// is for one that lives and yet does not answer, as when a guest's QEMU is frozen.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a change that is under way may go on after a stop.
const GRACE: Duration = Duration::from_secs(15);

/// A connection; closed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connect: Connect,
    uri: String,
    closed: raw::CloseReason,
    watched: bool,
    cancel: Cancel,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.watched {
            raw::unwatch_close(&self.connect);
        }
    }
}

impl Connection {
    /// Opens a connection and keeps it alive.
    ///
    /// # Errors
    /// What libvirt said, [`Error::OpenTimeout`] after `limit`, [`Error::Stopped`].
    pub fn open(uri: &str, read_only: bool, limit: Duration, cancel: &Cancel) -> Result<Self, Error> {
        event_loop::register()?;
        if in_process(uri) {
            return Ok(Self::watch(raw::open(uri, read_only)?, uri, cancel));
        }
        event_loop::start()?;
        let wanted = uri.to_owned();
        // If it is left behind, it ends by itself when ssh gives up.
        let opening = answer::begin("libvirt open", move || raw::open(&wanted, read_only))?;
        let patience = Patience { limit: Some(limit), after_stop: Duration::ZERO };
        match opening.wait(patience, cancel) {
            Ok(opened) => Ok(Self::watch(opened?, uri, cancel)),
            Err(Silence::Stopped(stop)) => Err(Error::Stopped(stop)),
            Err(Silence::TooLong(limit)) => {
                Err(Error::OpenTimeout { uri: uri.to_owned(), seconds: limit.as_secs() })
            }
        }
    }

    fn watch(connect: Connect, uri: &str, cancel: &Cancel) -> Self {
        let closed = Arc::new(AtomicI32::new(-1));
        // Drivers inside this process know neither keepalive nor a way to close by themselves.
        let _ = connect.set_keep_alive(KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT);
        let watched = raw::watch_close(&connect, &closed).is_ok();
        let (uri, cancel) = (uri.to_owned(), cancel.clone());
        Self(Arc::new(Inner { connect, uri, closed, watched, cancel }))
    }

    /// Whether calls can still succeed. Asks nobody.
    pub fn is_alive(&self) -> bool {
        self.0.closed.load(Ordering::Acquire) < 0 && self.0.connect.is_alive().unwrap_or(false)
    }

    /// The URI it was opened with.
    pub fn uri(&self) -> &str {
        &self.0.uri
    }

    pub(super) fn cancel(&self) -> &Cancel {
        &self.0.cancel
    }

    pub(super) fn connect(&self) -> &Connect {
        &self.0.connect
    }

    /// Asks a question: answered within [`ANSWER`], given up at once on a stop.
    pub(super) fn call<T, E>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        E: Into<Error>,
    {
        self.wait_for(call, Patience { limit: Some(ANSWER), after_stop: Duration::ZERO })
    }

    /// Makes a change: it may take as long as it takes, and after a stop it is
    /// given [`GRACE`] to end.
    pub(super) fn tell<T, E>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        E: Into<Error>,
    {
        self.wait_for(call, Patience { limit: None, after_stop: GRACE })
    }

    fn wait_for<T, E>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, E> + Send + 'static,
        patience: Patience,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        E: Into<Error>,
    {
        if in_process(&self.0.uri) {
            return self.judge(call(&self.0.connect).map_err(Into::into));
        }
        let connection = self.clone();
        let call = move || call(connection.connect()).map_err(Into::into);
        match answer::begin("libvirt call", call)?.wait(patience, &self.0.cancel) {
            Ok(result) => self.judge(result),
            Err(Silence::Stopped(stop)) => Err(Error::Stopped(stop)),
            Err(Silence::TooLong(limit)) => Err(Error::NoAnswer { seconds: limit.as_secs() }),
        }
    }

    /// Tells a broken connection from an answer that is an error.
    pub(super) fn judge<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result
            .map_err(|error| if self.is_alive() { error } else { Error::Lost { message: error.to_string() } })
    }
}

/// The test driver: nothing to wait for.
fn in_process(uri: &str) -> bool {
    uri.starts_with("test:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(uri: &str) -> Result<Connection, Error> {
        Connection::open(uri, false, Duration::from_secs(5), &Cancel::new())
    }

    #[test]
    fn the_test_driver_opens_and_is_alive() {
        let connection = open("test:///default").unwrap();
        assert!(connection.is_alive());
    }

    #[test]
    fn a_uri_with_a_zero_byte_is_an_error() {
        assert_eq!(open("test:///default\0x").unwrap_err(), Error::ZeroByte { what: "the URI" });
    }

    #[test]
    fn an_unknown_driver_is_an_error_with_a_number() {
        assert!(matches!(open("nonsense:///"), Err(Error::Libvirt { .. })));
    }
}
