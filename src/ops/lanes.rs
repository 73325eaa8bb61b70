//! Connections for migrations.
//!
//! A daemon serves 5 requests of a client at a time (`max_client_requests`) and
//! then stops reading from it, keepalives included (virnetserverclient.c). A
//! migration holds a request for its whole length, so each connection carries a
//! few and the next ones get a connection of their own.

use std::sync::{Arc, Mutex, PoisonError};

use crate::libvirt::Connection;
use crate::model::Fault;

/// Each migration has one request under way at a time; one of the 5 stays free
/// for keepalives' sake.
pub(super) const PER_CONNECTION: usize = 4;

/// The migration connections of one host.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<Vec<Arc<Lane>>>);

#[derive(Debug)]
struct Lane {
    connection: Connection,
    users: Mutex<usize>,
}

/// A place on a migration connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Lane>);

impl Place {
    pub(super) fn connection(&self) -> &Connection {
        &self.0.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.users.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

impl Lanes {
    /// A place on a connection that lives and has room, or on a new one.
    ///
    /// The lock is held while a connection is opened, so that several guests
    /// that start together share one instead of opening one each.
    pub(super) fn take(&self, open: impl FnOnce() -> Result<Connection, Fault>) -> Result<Place, Fault> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| lane.connection.is_alive());
        for lane in lanes.iter() {
            let mut users = lane.users.lock().unwrap_or_else(PoisonError::into_inner);
            if *users < PER_CONNECTION {
                *users += 1;
                return Ok(Place(Arc::clone(lane)));
            }
        }
        let lane = Arc::new(Lane { connection: open()?, users: Mutex::new(1) });
        lanes.push(Arc::clone(&lane));
        Ok(Place(lane))
    }
}
