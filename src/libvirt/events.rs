//! Lifecycle events of domains.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use super::{Connection, Error, event_loop, raw};
use crate::model::Event;

/// A subscription; ends when dropped.
#[derive(Debug)]
pub struct Events {
    connection: Connection,
    id: i32,
    receiver: Receiver<raw::RawEvent>,
}

impl Connection {
    /// Subscribes to the lifecycle events of all domains of the host.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn events(&self) -> Result<Events, Error> {
        event_loop::start()?;
        let (sender, receiver) = mpsc::channel();
        let id = self.call(move |c| raw::subscribe_lifecycle(c, sender))?;
        Ok(Events { connection: self.clone(), id, receiver })
    }
}

impl Events {
    /// The next event, or nothing when none came within `limit`.
    ///
    /// # Errors
    /// [`Error::Lost`] when the daemon is gone.
    pub fn next(&self, limit: Duration) -> Result<Option<Event>, Error> {
        match self.receiver.recv_timeout(limit) {
            Ok(event) => Ok(Some(event_from(event))),
            Err(RecvTimeoutError::Timeout) if self.connection.is_alive() => Ok(None),
            Err(_) => Err(Error::Lost { message: "no more events can come".into() }),
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        raw::unsubscribe(self.connection.connect(), self.id);
    }
}

/// `virDomainEventType`, each with its details in the order of libvirt's enums.
const EVENTS: [(&str, &[&str]); 9] = [
    ("defined", &["added", "updated", "renamed", "from_snapshot"]),
    ("undefined", &["removed", "renamed"]),
    ("started", &["booted", "migrated", "restored", "from_snapshot", "wakeup", "recreated"]),
    (
        "suspended",
        &[
            "paused",
            "migrated",
            "ioerror",
            "watchdog",
            "restored",
            "from_snapshot",
            "api_error",
            "postcopy",
            "postcopy_failed",
            "guest_shutdown",
        ],
    ),
    ("resumed", &["unpaused", "migrated", "from_snapshot", "postcopy", "postcopy_failed"]),
    (
        "stopped",
        &["shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from_snapshot", "recreated"],
    ),
    ("shutdown", &["finished", "guest", "host"]),
    ("pmsuspended", &["memory", "disk"]),
    ("crashed", &["panicked", "crashloaded"]),
];

fn event_from(raw: raw::RawEvent) -> Event {
    let (event, details) =
        usize::try_from(raw.event).ok().and_then(|at| EVENTS.get(at)).copied().unwrap_or(("unknown", &[]));
    let detail =
        usize::try_from(raw.detail).ok().and_then(|at| details.get(at)).copied().unwrap_or("unknown");
    Event { domain: raw.domain, uuid: raw.uuid, event, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Change, Gate, Journal, Mode};
    use crate::model::Cancel;

    #[test]
    fn a_start_is_seen_as_started_booted() {
        let connection =
            Connection::open("test:///default", false, Duration::from_secs(5), &Cancel::new()).unwrap();
        let events = connection.events().unwrap();
        let domain = connection.domain_by_name("test").unwrap();
        let gate = Gate::new(Mode::Apply, Journal::off());
        let change = Change::new("test", "domain", "test", "suspend");
        gate.apply(change, |permit| domain.suspend(permit)).unwrap();
        let event = events.next(Duration::from_secs(5)).unwrap().unwrap();
        assert_eq!((event.domain.as_str(), event.event, event.detail), ("test", "suspended", "paused"));
    }
}
