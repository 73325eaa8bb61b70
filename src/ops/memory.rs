//! Memory that moves under way have been promised on their targets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Host;
use super::facts::room;
use crate::model::{Bytes, Class, Fault};

/// Promises on one host, by the guest's UUID.
type Promises = Arc<Mutex<HashMap<String, Bytes>>>;

/// All promises of this run: two evacuations side by side do not count on the
/// same free memory.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<HashMap<String, Promises>>);

/// One promise; ends when dropped.
#[derive(Debug)]
pub(super) struct Held {
    promises: Promises,
    uuid: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.promises.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.uuid);
    }
}

impl Ledger {
    /// Promises memory to a guest that is about to move, after a last look at what is free.
    ///
    /// # Errors
    /// `no_room` when it has become too little meanwhile.
    pub(super) fn hold(&self, target: &Host, uuid: &str, demand: Bytes, guest: &str) -> Result<Held, Fault> {
        let promises = {
            let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(ledger.entry(target.name().to_owned()).or_default())
        };
        if demand > Bytes::default() {
            // Held while looking, so that two guests do not see the same free memory.
            let mut held = promises.lock().unwrap_or_else(PoisonError::into_inner);
            let room = room(target, &held)?;
            if demand > room.free {
                let lacking = demand.saturating_sub(room.free);
                let message = format!(
                    "{guest} needs {demand}, {} has only {} free by now: {lacking} too little",
                    target.name(),
                    room.free
                );
                return Err(Fault::new("no_room", message).class(Class::Refused).on_host(target.name()));
            }
            held.insert(uuid.to_owned(), demand);
        }
        Ok(Held { promises, uuid: uuid.to_owned() })
    }

    /// What is promised on a host now.
    pub(super) fn promised(&self, target: &Host) -> HashMap<String, Bytes> {
        let ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let promises = ledger.get(target.name()).map(Arc::clone);
        drop(ledger);
        promises.map(|p| p.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }
}
