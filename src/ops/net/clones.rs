//! Machines that cannot be told apart: clones of one image whose machine-id(5) was left as it was.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use super::Look;
use crate::model::{Class, Fault};

/// The machines whose network was looked at in this run.
#[derive(Debug, Default)]
pub struct Machines(Mutex<HashMap<String, Machine>>);

#[derive(Debug, PartialEq, Eq)]
struct Machine {
    id: String,
    /// Hardware addresses of its cards (a container's are veths), which nobody else has: one machine may have several names.
    cards: BTreeSet<String>,
}

impl Machines {
    /// Remembers what was seen of `host`.
    pub(super) fn remember(&self, host: &str, look: &Look) {
        let _ = self.meet(host, look);
    }

    /// Remembers what was seen of `host`, which is to be changed.
    ///
    /// # Errors
    /// `same_identity` (refused): another host of this run has the same machine-id. Bridges and bonds of both would get the
    /// same hardware address (systemd.net-naming-scheme(7), `MACAddressPolicy=persistent`), and the same DHCP lease.
    pub(super) fn meet(&self, host: &str, look: &Look) -> Result<(), Fault> {
        if look.machine_id.is_empty() {
            return Ok(());
        }
        let cards = look
            .links
            .iter()
            .filter(|link| link.is_card() || link.kind == "veth")
            .map(|link| link.own_mac().to_owned());
        let machine = Machine { id: look.machine_id.clone(), cards: cards.collect() };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_twin = |other: &Machine| other.id == machine.id && other.cards.is_disjoint(&machine.cards);
        let twin = known.iter().find(|(name, other)| *name != host && is_twin(other));
        let twin = twin.map(|(name, _)| name.clone());
        let id = machine.id.clone();
        known.insert(host.to_owned(), machine);
        let Some(twin) = twin else { return Ok(()) };
        let message = format!("{host} and {twin} have the same machine-id {id}");
        Err(Fault::new("same_identity", message).class(Class::Refused).hint(
            "on all but one: rm -f /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup; reboot",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::net::LinkState;

    fn look(id: &str, mac: &str) -> Look {
        let card = |mac: &str| LinkState { medium: "ether".into(), mac: mac.into(), ..LinkState::default() };
        let in_bond = LinkState { permanent_mac: Some(format!("{mac}:2")), ..card("02:00:00:00:00:99") };
        let bond = LinkState { kind: "bond".into(), ..card("02:00:00:00:00:99") };
        Look { machine_id: id.into(), links: vec![card(mac), in_bond, bond], ..Look::default() }
    }

    #[test]
    fn clones_are_told_from_one_machine_of_two_names() {
        let machines = Machines::default();
        machines.meet("a", &look("1", "x")).unwrap();
        machines.meet("a", &look("1", "x")).unwrap();
        machines.meet("a.example.net", &look("1", "x")).unwrap();
        machines.meet("b", &look("2", "y")).unwrap();
        machines.meet("c", &look("", "z")).unwrap();
        machines.meet("d", &look("", "u")).unwrap();
        let fault = machines.meet("e", &look("2", "z")).unwrap_err();
        assert_eq!((fault.code.as_ref(), fault.class), ("same_identity", Class::Refused));
        assert_eq!(fault.message, "e and b have the same machine-id 2");
        // Once it is mended, all is well.
        machines.meet("e", &look("3", "z")).unwrap();
    }
}
