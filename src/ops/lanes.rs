//! Connections for migrations.
//!
//! A daemon serves 5 requests of a client at a time (`max_client_requests`) and
//! then stops reading from it, keepalives included (virnetserverclient.c). A
//! migration holds a request for its whole length, so each connection carries a
//! few and the next ones get a connection of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::libvirt::Connection;
use crate::model::Fault;

/// Each migration has one request under way at a time; one of the 5 stays free
/// for keepalives' sake.
const PER_CONNECTION: usize = 4;

/// The migration connections of one host.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<Vec<Arc<Lane>>>);

#[derive(Debug, Default)]
struct Lane {
    connection: Mutex<Option<Connection>>,
    users: AtomicUsize,
}

/// A place on a migration connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    lane: Arc<Lane>,
    connection: Connection,
}

impl Place {
    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lane.users.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    /// A place on a connection with room, opened if need be. Guests that start
    /// together share the opening of one connection, and open several side by side.
    pub(super) fn take(&self, open: impl FnOnce() -> Result<Connection, Fault>) -> Result<Place, Fault> {
        let lane = self.reserve();
        let opened = {
            let mut slot = lane.connection.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.as_ref().filter(|connection| connection.is_alive()) {
                Some(connection) => Ok(connection.clone()),
                None => open().inspect(|connection| *slot = Some(connection.clone())),
            }
        };
        match opened {
            Ok(connection) => Ok(Place { lane, connection }),
            Err(fault) => {
                lane.users.fetch_sub(1, Ordering::Relaxed);
                Err(fault)
            }
        }
    }

    /// Takes a place on a lane before its connection is there.
    fn reserve(&self) -> Arc<Lane> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Counted up only under the lock above, so no lane gets more than its share.
        let free = lanes.iter().find(|lane| lane.users.load(Ordering::Relaxed) < PER_CONNECTION).cloned();
        let lane = free.unwrap_or_else(|| {
            let lane = Arc::<Lane>::default();
            lanes.push(Arc::clone(&lane));
            lane
        });
        lane.users.fetch_add(1, Ordering::Relaxed);
        lane
    }
}
