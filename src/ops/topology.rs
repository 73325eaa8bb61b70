//! What hangs on what in a host: links, networks, pools, guests.

use std::net::IpAddr;

use super::Host;
use super::net::{LinkState, Look};
use crate::model::{Branch, Bytes, Cell, DomainState, Fault, Hardware, Nic, PoolInfo, Tone};

/// What a host's tree is drawn from.
#[derive(Debug, Default)]
struct Facts {
    look: Look,
    networks: Vec<Network>,
    pools: Vec<Pool>,
    guests: Vec<Guest>,
}

#[derive(Debug)]
struct Network {
    name: String,
    active: bool,
    bridge: String,
}

#[derive(Debug)]
struct Pool {
    name: String,
    kind: String,
    path: String,
    info: Option<PoolInfo>,
}

#[derive(Debug)]
struct Guest {
    name: String,
    state: DomainState,
    memory: Option<Bytes>,
    vcpus: Option<u64>,
    hardware: Hardware,
}

impl Host {
    /// The host as a tree: bridges and bonds with what is in them, networks, pools, guests.
    ///
    /// # Errors
    /// Faults of the connection; `probe_failed` where the links could not be read.
    pub fn topology(&self) -> Result<Branch, Fault> {
        let facts = std::thread::scope(|scope| {
            let look = scope.spawn(|| self.look_at_network());
            let objects = self.objects();
            let look = look.join().unwrap_or_else(|_| Err(Fault::new("defect", "a look has failed")));
            objects.and_then(|facts| Ok(Facts { look: look?, ..facts }))
        })?;
        let root = Branch::new("host", self.name()).fact("uri", Cell::Text(self.uri()));
        Ok(root.holding(tree(&facts)))
    }

    fn objects(&self) -> Result<Facts, Fault> {
        let mut facts = Facts::default();
        for domain in self.domains()? {
            // One that has gone in the meantime is not part of the host any more.
            let Ok(info) = domain.info() else { continue };
            facts.guests.push(Guest {
                name: domain.name().to_owned(),
                state: info.state,
                memory: Some(info.max_memory),
                vcpus: Some(info.vcpus.into()),
                hardware: domain.hardware()?,
            });
        }
        // Not every driver has networks and pools.
        for network in self.networks().or_else(none_where_unsupported)? {
            facts.networks.push(Network {
                name: network.name().to_owned(),
                active: network.is_active().unwrap_or(false),
                bridge: network.bridge().unwrap_or_default(),
            });
        }
        for pool in self.pools().or_else(none_where_unsupported)? {
            let (kind, path) = pool.type_and_path().unwrap_or_default();
            facts.pools.push(Pool { name: pool.name().to_owned(), kind, path, info: pool.info().ok() });
        }
        Ok(facts)
    }
}

fn none_where_unsupported<T>(fault: Fault) -> Result<Vec<T>, Fault> {
    if fault.code == "no_support" { Ok(Vec::new()) } else { Err(fault) }
}

fn tree(facts: &Facts) -> Vec<Branch> {
    let group = |name: &str, branches: Vec<Branch>| {
        (!branches.is_empty()).then(|| Branch::new("group", name).holding(branches))
    };
    let groups = [
        group("links", links(facts)),
        group("networks", facts.networks.iter().map(|network| of_network(network, facts)).collect()),
        group("pools", facts.pools.iter().map(|pool| of_pool(pool, facts)).collect()),
        group("guests", facts.guests.iter().map(of_guest).collect()),
    ];
    groups.into_iter().flatten().collect()
}

/// What is in no bond and no bridge, bridges first: that is what guests are joined to.
fn links(facts: &Facts) -> Vec<Branch> {
    let alone = facts.look.links.iter().filter(|link| link.medium != "loopback");
    // A master that is not in the list is in another namespace.
    let alone =
        alone.filter(|link| link.master.as_deref().is_none_or(|master| facts.look.link(master).is_none()));
    let mut alone: Vec<&LinkState> = alone.collect();
    alone.sort_by_key(|link| match link.kind.as_str() {
        "bridge" => 0,
        "bond" => 1,
        _ => 2,
    });
    alone.into_iter().map(|link| of_link(link, facts, 0)).collect()
}

fn of_link(link: &LinkState, facts: &Facts, depth: usize) -> Branch {
    let owner = facts.guests.iter().find_map(|guest| {
        let nic = guest.hardware.nics.iter().find(|nic| nic.device == link.name)?;
        Some((guest, nic))
    });
    if let Some((guest, nic)) = owner {
        return on_wire(guest, nic);
    }
    let kind = if link.kind.is_empty() { "card" } else { &link.kind };
    let state = match (link.up, link.carrier) {
        (true, true) => Cell::State("up".into(), Tone::Good),
        (true, false) => Cell::State("no link".into(), Tone::Warn),
        (false, _) => Cell::State("down".into(), Tone::Idle),
    };
    let addresses: Vec<String> =
        facts.look.addresses_of(&link.name).map(|address| address.net.to_string()).collect();
    let gateways = facts.look.gateways.iter().filter(|(name, _)| *name == link.name);
    let gateways: Vec<String> = gateways.map(|(_, gateway): &(_, IpAddr)| gateway.to_string()).collect();
    let text = |text: Option<&str>| text.map_or(Cell::Nothing, |text| Cell::Text(text.to_owned()));
    // A port that waits is as it should be, and yet worth seeing.
    let port = link.port_state.as_deref().map(str::to_lowercase);
    let mut branch = Branch::new(kind, link.name.clone())
        .fact("state", state)
        .fact("port", text(port.as_deref()))
        .fact("mode", text(link.bond_mode.as_deref()))
        .fact("on", link.parent.as_ref().map_or(Cell::Nothing, |on| Cell::Text(format!("on {on}"))))
        .fact("addresses", Cell::Text(addresses.join(" ")));
    if !gateways.is_empty() {
        branch = branch.fact("gateways", Cell::Text(format!("via {}", gateways.join(" "))));
    }
    if !matches!(link.mtu, 0 | 1500) {
        branch = branch.fact("mtu", Cell::Number(link.mtu.into()));
    }
    // Links cannot hang on themselves, but what a host says is not to be trusted with our stack.
    if depth < 8 {
        let ports = facts.look.ports_of(&link.name);
        branch = branch.holding(ports.map(|port| of_link(port, facts, depth + 1)));
    }
    let waits = |nic: &&Nic| nic.kind == "bridge" && nic.source == link.name && nic.device.is_empty();
    let off = facts.guests.iter().filter(|guest| !guest.state.is_active());
    branch.holding(
        off.filter_map(|guest| guest.hardware.nics.iter().find(waits).map(|nic| on_wire(guest, nic))),
    )
}

/// A guest where one of its cards is plugged in.
fn on_wire(guest: &Guest, nic: &Nic) -> Branch {
    Branch::new("guest", guest.name.clone())
        .fact("state", state(guest))
        .fact("device", Cell::Text(nic.device.clone()))
        .fact("mac", Cell::Text(nic.mac.clone()))
}

fn state(guest: &Guest) -> Cell {
    Cell::State(guest.state.word().into(), guest.state.tone())
}

fn of_network(network: &Network, facts: &Facts) -> Branch {
    let state = if network.active {
        Cell::State("active".into(), Tone::Good)
    } else {
        Cell::State("inactive".into(), Tone::Idle)
    };
    let bridge =
        if network.bridge.is_empty() { Cell::Nothing } else { Cell::Text(format!("on {}", network.bridge)) };
    let joined = facts.guests.iter().flat_map(|guest| {
        let nics = guest.hardware.nics.iter();
        nics.filter(|nic| nic.kind == "network" && nic.source == network.name).map(|nic| on_wire(guest, nic))
    });
    Branch::new("network", network.name.clone()).fact("state", state).fact("bridge", bridge).holding(joined)
}

fn of_pool(pool: &Pool, facts: &Facts) -> Branch {
    let info = pool.info.as_ref();
    let tone = |state: &str| match state {
        "running" => Tone::Good,
        "inactive" => Tone::Idle,
        "building" => Tone::Warn,
        _ => Tone::Bad,
    };
    // An inactive pool has no sizes, and libvirt says 0.
    let sizes = info.filter(|info| info.state != "inactive");
    let inside = format!("{}/", pool.path.trim_end_matches('/'));
    let disks = facts.guests.iter().flat_map(|guest| {
        let here = |source: &str| !pool.path.is_empty() && source.starts_with(&inside);
        let disks = guest.hardware.disks.iter();
        disks.filter(move |disk| disk.pool == pool.name || here(&disk.source)).map(|disk| {
            Branch::new("disk", disk.source.strip_prefix(&inside).unwrap_or(&disk.source))
                .fact("guest", Cell::Text(format!("{} of {}", disk.target, guest.name)))
                .fact("format", Cell::Text(disk.format.clone()))
        })
    });
    Branch::new("pool", pool.name.clone())
        .fact("state", info.map_or(Cell::Nothing, |info| Cell::State(info.state.into(), tone(info.state))))
        .fact("type", Cell::Text(pool.kind.clone()))
        .fact("available", sizes.map_or(Cell::Nothing, |info| Cell::Bytes(info.available)))
        .fact("capacity", sizes.map_or(Cell::Nothing, |info| Cell::Bytes(info.capacity)))
        .fact("path", Cell::Text(pool.path.clone()))
        .holding(disks)
}

fn of_guest(guest: &Guest) -> Branch {
    let disks = guest.hardware.disks.iter().map(|disk| {
        let source = if disk.source.is_empty() { "(empty)" } else { &disk.source };
        Branch::new(&disk.device, disk.target.clone())
            .fact("source", Cell::Text(source.to_owned()))
            .fact("format", Cell::Text(disk.format.clone()))
    });
    let nics = guest.hardware.nics.iter().map(|nic| {
        Branch::new("nic", nic.mac.clone())
            .fact("source", Cell::Text(format!("{} {}", nic.kind, nic.source).trim_end().to_owned()))
            .fact("model", Cell::Text(nic.model.clone()))
    });
    let count = |number: u64| Cell::Number(i64::try_from(number).unwrap_or(i64::MAX));
    Branch::new("guest", guest.name.clone())
        .fact("state", state(guest))
        .fact("memory", guest.memory.map_or(Cell::Nothing, Cell::Bytes))
        .fact("vcpus", guest.vcpus.map_or(Cell::Nothing, count))
        .holding(disks)
        .holding(nics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Disk;

    fn link(name: &str, kind: &str, master: Option<&str>) -> LinkState {
        LinkState {
            name: name.into(),
            kind: kind.into(),
            medium: "ether".into(),
            up: true,
            carrier: true,
            mtu: 1500,
            master: master.map(ToOwned::to_owned),
            ..LinkState::default()
        }
    }

    fn guest(name: &str, state: DomainState, nic: Nic, disk: Disk) -> Guest {
        let hardware = Hardware { nics: vec![nic], disks: vec![disk], ..Hardware::default() };
        Guest { name: name.into(), state, memory: Some(Bytes::from_mib(512)), vcpus: Some(1), hardware }
    }

    fn facts() -> Facts {
        let nic = |kind: &str, source: &str, device: &str| Nic {
            kind: kind.into(),
            source: source.into(),
            device: device.into(),
            mac: "52:54:00:00:00:01".into(),
            ..Nic::default()
        };
        let disk = |source: &str| Disk { target: "vda".into(), source: source.into(), ..Disk::default() };
        let links = vec![
            LinkState { medium: "loopback".into(), ..link("lo", "", None) },
            link("enp2s0", "", Some("bond0")),
            link("enp3s0", "", Some("bond0")),
            LinkState { parent: Some("bond0".into()), ..link("bond0.20", "vlan", Some("br20")) },
            link("bond0", "bond", Some("br0")),
            link("vnet0", "tun", Some("br0")),
            link("br20", "bridge", None),
            link("br0", "bridge", None),
            link("veth1", "veth", Some("not-here")),
        ];
        Facts {
            look: Look { links, ..Look::default() },
            networks: vec![Network { name: "lan".into(), active: true, bridge: "br0".into() }],
            pools: vec![Pool {
                name: "shared".into(),
                kind: "dir".into(),
                path: "/srv/vm/".into(),
                info: None,
            }],
            guests: vec![
                guest("web", DomainState::Running, nic("network", "lan", "vnet0"), disk("/srv/vm/web.qcow2")),
                guest("old", DomainState::ShutOff, nic("bridge", "br20", ""), disk("/srv/vm2/old.img")),
            ],
        }
    }

    fn names(branches: &[Branch]) -> Vec<&str> {
        branches.iter().map(|branch| branch.name.as_str()).collect()
    }

    fn under<'a>(branches: &'a [Branch], path: &[&str]) -> Vec<&'a str> {
        let Some((first, rest)) = path.split_first() else { return names(branches) };
        let branch = branches.iter().find(|branch| branch.name == *first);
        under(&branch.unwrap_or_else(|| panic!("no {first} in {:?}", names(branches))).branches, rest)
    }

    #[test]
    fn every_link_hangs_on_what_it_is_in_and_guests_where_they_are_plugged_in() {
        let tree = tree(&facts());
        assert_eq!(names(&tree), ["links", "networks", "pools", "guests"]);
        assert_eq!(under(&tree, &["links"]), ["br20", "br0", "veth1"]);
        assert_eq!(under(&tree, &["links", "br0"]), ["bond0", "web"]);
        assert_eq!(under(&tree, &["links", "br0", "bond0"]), ["enp2s0", "enp3s0"]);
        assert_eq!(under(&tree, &["links", "br20"]), ["bond0.20", "old"]);
        assert_eq!(under(&tree, &["networks", "lan"]), ["web"]);
        assert_eq!(under(&tree, &["pools", "shared"]), ["web.qcow2"]);
        assert_eq!(under(&tree, &["guests", "old"]), ["vda", "52:54:00:00:00:01"]);
    }

    #[test]
    fn links_that_claim_to_hang_on_each_other_come_to_an_end() {
        let links = vec![link("top", "bridge", None), link("a", "bridge", Some("top"))];
        let mut facts = Facts { look: Look { links, ..Look::default() }, ..Facts::default() };
        facts.look.links.push(link("b", "bridge", Some("b")));
        facts.look.links[0].master = None;
        assert_eq!(under(&tree(&facts), &["links", "top"]), ["a"]);
    }
}
