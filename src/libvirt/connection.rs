//! One connection to one daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use virt::connect::Connect;

use super::{Error, event_loop, raw};
use crate::model::Cancel;

/// A ping every 5 s, given up after 4 without answer: a dead daemon is noticed
/// within 25 s, as the house rule of 30 s asks (virsh: 5 s × 6).
const KEEPALIVE_INTERVAL_SECONDS: i32 = 5;
const KEEPALIVE_COUNT: u32 = 4;

/// How often a wait looks at the cancel token.
const TICK: Duration = Duration::from_millis(50);

/// A connection; closed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connect: Connect,
    uri: String,
    closed: raw::CloseReason,
    watched: bool,
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
    /// libvirt's own opening cannot be interrupted, so it runs on a thread that
    /// is left behind when the time is over; it ends by itself when ssh gives up.
    ///
    /// # Errors
    /// What libvirt said, [`Error::OpenTimeout`] after `limit`, [`Error::Stopped`].
    pub fn open(uri: &str, read_only: bool, limit: Duration, cancel: &Cancel) -> Result<Self, Error> {
        event_loop::register()?;
        if uri.starts_with("test:") {
            // In this process: nothing to wait for, and it knows no keepalive.
            return Self::watch(raw::open(uri, read_only)?, uri);
        }
        event_loop::start()?;
        let (sender, receiver) = mpsc::channel();
        let wanted = uri.to_owned();
        let open = move || drop(sender.send(raw::open(&wanted, read_only)));
        std::thread::Builder::new()
            .name("libvirt open".into())
            .spawn(open)
            .map_err(|error| Error::Lost { message: format!("cannot start a thread: {error}") })?;
        let deadline = Instant::now() + limit;
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(opened) => return Self::watch(opened?, uri),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Lost { message: "the opening thread ended".into() });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(stop) = cancel.stopped() {
                return Err(Error::Stopped(stop));
            }
            if Instant::now() >= deadline {
                return Err(Error::OpenTimeout { uri: uri.to_owned(), seconds: limit.as_secs() });
            }
        }
    }

    fn watch(connect: Connect, uri: &str) -> Result<Self, Error> {
        let closed = Arc::new(AtomicI32::new(-1));
        // Drivers inside this process know neither keepalive nor a way to close by themselves.
        let _ = connect.set_keep_alive(KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT);
        let watched = raw::watch_close(&connect, &closed).is_ok();
        Ok(Self(Arc::new(Inner { connect, uri: uri.to_owned(), closed, watched })))
    }

    /// Whether calls can still succeed. Asks nobody.
    pub fn is_alive(&self) -> bool {
        self.0.closed.load(Ordering::Acquire) < 0 && self.0.connect.is_alive().unwrap_or(false)
    }

    /// The URI it was opened with.
    pub fn uri(&self) -> &str {
        &self.0.uri
    }

    pub(super) fn connect(&self) -> &Connect {
        &self.0.connect
    }

    /// Makes a call, and tells a broken connection from an answer that is an error.
    pub(super) fn call<T, E: Into<Error>>(
        &self,
        call: impl FnOnce(&Connect) -> Result<T, E>,
    ) -> Result<T, Error> {
        call(&self.0.connect).map_err(|error| {
            let error = error.into();
            if self.is_alive() { error } else { Error::Lost { message: error.to_string() } }
        })
    }
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
