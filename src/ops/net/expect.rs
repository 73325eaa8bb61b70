//! What must be true of a host before a change of its network is confirmed.

use std::net::IpAddr;

use ipnet::IpNet;

use super::look::Look;
use crate::model::Addressing;
use crate::netconf::Link;

/// See the module's description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expect {
    /// It is the same host.
    pub machine_id: String,
    /// The address we came in by is still there.
    pub main_address: Option<IpAddr>,
    /// Addresses, on this interface where one is named.
    pub addresses: Vec<(Option<String>, IpNet)>,
    /// Interfaces that must get an IPv4 address by DHCP.
    pub dhcp: Vec<String>,
    /// Default gateways, through this interface where one is named.
    pub gateways: Vec<(Option<String>, IpAddr)>,
    /// Gateways that must answer.
    pub answering: Vec<IpAddr>,
    /// Interfaces, and the bond or bridge that each must be in.
    pub masters: Vec<(String, String)>,
    /// Bonds and the mode each must have.
    pub bonds: Vec<(String, String)>,
    /// Interfaces that must have a link.
    pub carriers: Vec<String>,
    /// Interfaces that must not be there any more.
    pub gone: Vec<String>,
}

impl Expect {
    /// That nothing is lost: the same host, addresses, gateways and cables.
    pub fn unchanged(look: &Look) -> Self {
        let cards =
            look.links.iter().filter(|link| link.kind.is_empty() && link.medium == "ether" && link.carrier);
        Self {
            machine_id: look.machine_id.clone(),
            main_address: look.main_address,
            addresses: look.addresses.iter().filter(|a| !a.dynamic).map(|a| (None, a.net)).collect(),
            gateways: look.gateways.iter().map(|(_, gateway)| (None, *gateway)).collect(),
            answering: look.answering.clone(),
            carriers: cards.map(|card| card.name.clone()).collect(),
            ..Self::default()
        }
    }

    /// That these links are there as they are wanted, and nothing else is lost.
    pub(super) fn of_links(look: &Look, links: &[Link], changed: &[&Link]) -> Self {
        let mut expect = Self::unchanged(look);
        for link in changed {
            let name = link.name().to_string();
            expect.masters.extend(link.members().into_iter().map(|member| (member, name.clone())));
            if let Link::Bond(bond) = link {
                expect.bonds.push((name.clone(), bond.mode.word().to_owned()));
            }
            if !link.ports().is_empty() {
                expect.carriers.push(name.clone());
            }
            if link.vlan().is_some() || *link.address() == Addressing::Inherit {
                continue;
            }
            // New addresses replace those of the ports, and of the link itself.
            let mut replaced: Vec<String> = link.ports().iter().map(ToString::to_string).collect();
            for below in links.iter().filter(|below| link.ports().contains(below.name())) {
                replaced.extend(below.ports().iter().map(ToString::to_string));
            }
            replaced.push(name.clone());
            expect.addresses.retain(|(_, net)| {
                !look.addresses.iter().any(|address| address.net == *net && replaced.contains(&address.link))
            });
            let Addressing::Set(set) = link.address() else { continue };
            expect.addresses.extend(set.addresses.iter().map(|net| (Some(name.clone()), *net)));
            if set.dhcp4 {
                expect.dhcp.push(name.clone());
            }
            let moves = |dev: &str| replaced.iter().any(|name| name == dev);
            let (through, _): (Vec<_>, Vec<_>) = look.gateways.iter().partition(|(dev, _)| moves(dev));
            expect.gateways.retain(|(_, gateway)| !through.iter().any(|(_, old)| old == gateway));
            expect.answering.retain(|gateway| !through.iter().any(|(_, old)| old == gateway));
            for gateway in &set.gateways {
                expect.gateways.push((Some(name.clone()), *gateway));
                expect.answering.push(*gateway);
            }
        }
        expect
    }

    /// That these links are gone and nothing else is lost: what they had beside the address we came in by goes with them.
    pub(super) fn without(look: &Look, names: &[String]) -> Self {
        let mut expect = Self { gone: names.to_vec(), ..Self::unchanged(look) };
        let had = |link: &str| names.iter().any(|name| name == link);
        expect.addresses.retain(|(_, net)| {
            look.main_address == Some(net.addr())
                || !look.addresses.iter().any(|address| address.net == *net && had(&address.link))
        });
        if !had(&look.main) {
            let through: Vec<_> =
                look.gateways.iter().filter(|(dev, _)| had(dev)).map(|(_, gateway)| *gateway).collect();
            expect.gateways.retain(|(_, gateway)| !through.contains(gateway));
            expect.answering.retain(|gateway| !through.contains(gateway));
        }
        expect
    }

    /// That what the change is not about stays in its bond or bridge.
    pub(super) fn keep_masters(&mut self, look: &Look, touched: &[String]) {
        let others = look.links.iter().filter(|link| !touched.contains(&link.name));
        let in_one = others.filter_map(|link| Some((link.name.clone(), link.master.clone()?)));
        // A guest may end meanwhile, and its tap with it.
        self.masters
            .extend(in_one.filter(|(name, _)| look.link(name).is_some_and(|link| link.kind != "tun")));
    }

    /// What is not as it must be, in words; nothing when all is.
    pub fn failures(&self, look: &Look) -> Vec<String> {
        let mut failures = Vec::new();
        if look.machine_id != self.machine_id {
            failures.push(format!("another host answers: its machine-id is {}", look.machine_id));
        }
        if let Some(address) = self.main_address
            && !look.addresses.iter().any(|known| known.net.addr() == address)
        {
            failures.push(format!("the address {address} is not there"));
        }
        for (link, net) in &self.addresses {
            let there =
                |a: &super::look::Address| a.net == *net && link.as_ref().is_none_or(|link| *link == a.link);
            if !look.addresses.iter().any(there) {
                let place = link.as_ref().map(|link| format!(" on {link}")).unwrap_or_default();
                failures.push(format!("the address {net} is not there{place}"));
            }
        }
        for link in &self.dhcp {
            if !look.addresses_of(link).any(|address| address.net.addr().is_ipv4()) {
                failures.push(format!("{link} has got no address by DHCP"));
            }
        }
        for (link, gateway) in &self.gateways {
            let there = |(dev, known): &(String, IpAddr)| {
                known == gateway && link.as_ref().is_none_or(|link| link == dev)
            };
            if !look.gateways.iter().any(there) {
                let place = link.as_ref().map(|link| format!(" through {link}")).unwrap_or_default();
                failures.push(format!("there is no default route to {gateway}{place}"));
            }
        }
        for gateway in &self.answering {
            if !look.answering.contains(gateway) {
                failures.push(format!("the gateway {gateway} does not answer"));
            }
        }
        for (member, master) in &self.masters {
            match look.link(member) {
                None => failures.push(format!("there is no interface {member}")),
                Some(link) if link.master.as_deref() != Some(master) => {
                    failures.push(format!("{member} is not in {master}"))
                }
                Some(_) => {}
            }
        }
        for (bond, mode) in &self.bonds {
            match look.link(bond).map(|link| link.bond_mode.as_deref().unwrap_or("none")) {
                None => failures.push(format!("there is no bond {bond}")),
                Some(other) if other != mode => {
                    failures.push(format!("{bond} has the mode {other}, not {mode}"))
                }
                Some(_) => {}
            }
        }
        for link in &self.carriers {
            if !look.link(link).is_some_and(|link| link.carrier) {
                failures.push(format!("{link} has no link"));
            }
        }
        for link in self.gone.iter().filter(|link| look.link(link).is_some()) {
            failures.push(format!("{link} is still there"));
        }
        failures
    }

    /// What works, and is not as it could be.
    pub fn notes(&self, look: &Look) -> Vec<String> {
        let alone = |bond: &&String| {
            let partner = look.link(bond).and_then(|link| link.lacp_partner.as_deref());
            partner.is_some_and(|mac| mac.bytes().all(|byte| matches!(byte, b'0' | b':')))
        };
        self.bonds
            .iter()
            .map(|(bond, _)| bond)
            .filter(alone)
            .map(|bond| {
                format!(
                    "nobody speaks LACP with {bond}, so one of its cards carries everything: switch LACP on for these ports of the switch"
                )
            })
            .collect()
    }

    /// The checks in one sentence, for a plan.
    pub fn summary(&self) -> String {
        let mut parts = vec!["the same host key and machine-id".to_owned()];
        parts.extend(self.addresses.iter().map(|(link, net)| match link {
            Some(link) => format!("{net} on {link}"),
            None => net.to_string(),
        }));
        parts.extend(self.dhcp.iter().map(|link| format!("an address by DHCP on {link}")));
        parts.extend(self.gateways.iter().map(|(link, gateway)| match link {
            Some(link) => format!("a default route to {gateway} through {link}"),
            None => format!("a default route to {gateway}"),
        }));
        parts.extend(self.answering.iter().map(|gateway| format!("{gateway} answers")));
        parts.extend(self.masters.iter().map(|(member, master)| format!("{member} in {master}")));
        parts.extend(self.carriers.iter().map(|link| format!("{link} has a link")));
        parts.extend(self.gone.iter().map(|link| format!("no {link}")));
        parts.join(", ")
    }
}
