//! What speaks against a change of the network, found before anything is touched.

use std::net::IpAddr;

use super::look::{LinkState, Look};
use super::owner::Owner;
use crate::model::{Addressing, Class, Fault, IfName};
use crate::netconf::{Link, ifupdown, netplan};

/// One reason against a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In words.
    pub text: String,
    /// What to do about it.
    pub hint: String,
    /// Whether `force` goes ahead in spite of it: the dead-man switch still undoes what does not work.
    pub forcible: bool,
}

fn never(text: String, hint: impl Into<String>) -> Problem {
    Problem { text, hint: hint.into(), forcible: false }
}

fn unless_forced(text: String, hint: impl Into<String>) -> Problem {
    Problem { text, hint: hint.into(), forcible: true }
}

/// What the host itself lacks.
pub(super) fn of_host(look: &Look, owner: Owner, links: &[Link]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !look.systemd {
        problems.push(never(
            "this host was not booted with systemd, whose timers undo what nobody confirms".into(),
            "change its network at its console",
        ));
    }
    if look.is_pending() {
        problems.push(never(
            "an earlier change of its network is not confirmed yet".into(),
            "wait until it is undone, which its timer does by itself; one that could not be undone wholly is tried again at \
             the next start, and /var/lib/kvmsh/network/undoing on the host says why",
        ));
    }
    for path in &look.unreadable {
        problems.push(never(format!("{path} is no text, or larger than 256 KiB"), "look at it there"));
    }
    let mut need = |tool: &str, package: &str, why: &str| {
        if !look.tools.contains(tool) {
            problems.push(never(
                format!("the package {package} is missing: {why}"),
                "hostprep::kvm(host) installs it",
            ));
        }
    };
    need("systemd-run", "systemd", "the dead-man switch is a timer of systemd's");
    need("flock", "util-linux", "two changes at once must not meet");
    if owner == Owner::Ifupdown {
        if links.iter().any(|link| matches!(link, Link::Bond(_))) {
            need(
                "ifenslave",
                "ifenslave",
                "without it ifupdown passes over the options of a bond in silence",
            );
        }
        if links.iter().any(|link| matches!(link, Link::Bridge(_))) {
            need(
                "bridge",
                "bridge-utils",
                "without it ifupdown passes over the options of a bridge in silence",
            );
        }
    }
    let new_addresses =
        links.iter().any(|link| matches!(link.address(), Addressing::Set(set) if !set.addresses.is_empty()));
    if new_addresses {
        need("arping", "iputils-arping", "nobody can tell otherwise whether the address is taken");
    }
    problems
}

/// What speaks against changing these files.
pub(super) fn of_files<'a>(look: &Look, paths: impl IntoIterator<Item = &'a str>) -> Vec<Problem> {
    let written = |path: &&str| look.cloud_init && path.contains("cloud-init");
    let problem = |path: &str| {
        unless_forced(
            format!("{path} is cloud-init's, which may write it anew at the next start"),
            "tell it not to: `network: {config: disabled}` in /etc/cloud/cloud.cfg.d/99-network.cfg",
        )
    };
    paths.into_iter().filter(written).map(problem).collect()
}

/// What speaks against changing these links while other programs' files are about them: netplan reads those as well.
pub(super) fn of_files_elsewhere(look: &Look, touched: &[String]) -> Vec<Problem> {
    let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
    // A file of the same name takes the place of those in /run and /lib (netplan-generate(8)).
    let shadowed = |path: &str| look.netplan.keys().any(|own| name(own) == name(path));
    let mut problems = Vec::new();
    for (path, text) in look.netplan_elsewhere.iter().filter(|(path, _)| !shadowed(path)) {
        let one = [(path.clone(), text.clone())].into();
        let about = match netplan::configured(&one) {
            Ok(all) => all.into_iter().map(|(link, _)| link).find(|link| touched.contains(link)),
            Err(_) => continue,
        };
        problems.extend(about.map(|link| {
            never(
                format!("{path} configures {link} as well, and netplan reads it beside {}", netplan::DIR),
                format!("copy it to {}: a file of the same name takes its place", netplan::DIR),
            )
        }));
    }
    problems
}

/// What is wrong with the wanted links on this host.
pub(super) fn of_links(look: &Look, links: &[Link]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut used: Vec<(&IfName, &IfName)> = Vec::new();
    for link in links {
        name_is_free(look, link, &mut problems);
        let ports = link.ports();
        if ports.is_empty() && matches!(link, Link::Bond(_)) {
            problems.push(never(format!("the bond {} has no slaves", link.name()), "name at least one"));
        }
        for port in ports {
            let other = used.iter().find(|(known, _)| *known == port);
            // A bridge may lie on a bond of the same change, and many VLANs on one port.
            if let Some((_, other)) = other.filter(|_| link.vlan().is_none()) {
                problems.push(never(
                    format!("{port} cannot be in {other} and in {} at once", link.name()),
                    "an interface has one master",
                ));
            }
            used.push((port, link.name()));
            if !links.iter().any(|made| made.name() == port) {
                port_is_usable(look, link, port, &mut problems);
            }
        }
        if let Link::Bond(bond) = link
            && let Some(primary) = bond.primary.as_ref().filter(|primary| !bond.slaves.contains(primary))
        {
            problems.push(never(
                format!("{primary} cannot be the primary of {}: it is not one of its slaves", bond.name),
                "the primary is one of the slaves",
            ));
        }
        for member in link.members().iter().filter(|member| member.len() > 15) {
            problems.push(never(
                format!("the VLAN would be called {member}, and a name has 15 characters at most"),
                "rename the card, or take a bond with a short name",
            ));
        }
        if let Link::Bridge(bridge) = link
            && let Some(id) = bridge.vlan.filter(|id| !(1..=4094).contains(id))
        {
            problems.push(never(format!("there is no VLAN {id}"), "VLANs are numbered 1 to 4094"));
        }
        mtu_fits(look, link, &mut problems);
        addresses_fit(look, links, link, &mut problems);
        keeps_the_way_out(look, links, link, &mut problems);
        has_carrier(look, links, link, &mut problems);
    }
    keeps_the_way_in(look, links, &mut problems);
    problems
}

/// Whether a link is set up by a file that we write, or has been by kvmsh.
fn is_set_up(look: &Look, name: &str) -> bool {
    let by_netplan =
        |files| netplan::configured(files).is_ok_and(|all| all.iter().any(|(link, _)| link == name));
    look.records.contains_key(name)
        || ifupdown::configured(&look.interfaces).iter().any(|(link, _, _)| link == name)
        || by_netplan(&look.netplan)
        || by_netplan(&look.netplan_elsewhere)
}

fn name_is_free(look: &Look, link: &Link, problems: &mut Vec<Problem>) {
    let name = link.name().as_str();
    let Some(taken) = look.link(name).filter(|taken| taken.kind != link.kind() || !is_set_up(look, name))
    else {
        return;
    };
    if taken.kind == link.kind() {
        // libvirt's own bridges, and what was made by hand: undoing could not make it again.
        problems.push(never(
            format!(
                "the name {name} is taken: there is such a {} that no file of this host sets up",
                taken.kind
            ),
            "choose another name",
        ));
        return;
    }
    let what = if taken.kind.is_empty() { "a network card" } else { &taken.kind };
    problems.push(never(
        format!("the name {} is taken: it is {what} of this host", link.name()),
        "choose another name",
    ));
}

fn port_is_usable(look: &Look, link: &Link, port: &IfName, problems: &mut Vec<Problem>) {
    if port == link.name() {
        problems.push(never(format!("{port} cannot be in itself"), "name other ports"));
        return;
    }
    let Some(state) = look.link(port.as_str()) else {
        let known: Vec<&str> =
            look.links.iter().filter(|link| link.medium == "ether").map(|link| link.name.as_str()).collect();
        let hint = crate::model::suggest::did_you_mean(port.as_str(), known.iter().copied());
        problems.push(unless_forced(
            format!("this host has no interface {port}"),
            hint.unwrap_or_else(|| format!("it has {}", known.join(", "))),
        ));
        return;
    };
    if state.medium != "ether" {
        problems.push(never(
            format!("{port} is no Ethernet interface"),
            "only those can be in a bond or a bridge",
        ));
    }
    if let Link::Bond(_) = link
        && !state.kind.is_empty()
        && !matches!(state.kind.as_str(), "veth" | "dummy" | "macvlan" | "vlan")
    {
        problems.push(never(
            format!("{port} is a {}, which cannot be a slave", state.kind),
            "slaves are network cards",
        ));
    }
    if state.kind == "bridge" {
        problems
            .push(never(format!("{port} is a bridge, which cannot be a port"), "name what it consists of"));
    }
    if let Some(master) =
        state.master.as_deref().filter(|master| *master != link.name().as_str() && link.vlan().is_none())
    {
        problems.push(never(
            format!("{port} is already in {master}"),
            format!("an interface has one master; put {master} there instead, or remove it first"),
        ));
    }
    let over = look.links.iter().find(|upper| {
        upper.parent.as_deref() == Some(port.as_str())
            && link.vlan().is_none()
            && upper.name != link.name().as_str()
    });
    if let Some(over) = over.filter(|_| state.master.as_deref() != Some(link.name().as_str())) {
        problems.push(never(
            format!("{} lies on {port}, and would not come up again behind {}", over.name, link.name()),
            "remove it first, and put it on the bond or the bridge afterwards",
        ));
    }
    if look.managed.contains(port.as_str()) {
        problems.push(never(
            format!("{port} belongs to NetworkManager, which would take it back"),
            "leave it to one of them: `nmcli device set … managed no`, and in its configuration",
        ));
    }
    // Its address would go nowhere: only the first port's goes on to the link.
    let heir = link.ports().iter().find(|port| look.addresses_of(port.as_str()).next().is_some());
    if link.vlan().is_none()
        && heir != Some(port)
        && let Some(lost) = look.addresses_of(port.as_str()).next()
    {
        problems.push(unless_forced(
            format!(
                "{port} has the address {}, and {} has one already",
                lost.net,
                heir.map_or("another port", IfName::as_str)
            ),
            "remove one of the addresses first",
        ));
    }
}

fn mtu_fits(look: &Look, link: &Link, problems: &mut Vec<Problem>) {
    let Some(mtu) = link.mtu() else { return };
    // 68 is the least that IPv4 works with (RFC 791), 1280 IPv6 (RFC 8200).
    if !(68..=65_535).contains(&mtu) {
        problems.push(never(
            format!("an MTU of {mtu} is none"),
            "1500 is what most networks have, 9000 those with jumbo frames",
        ));
    }
    for port in link.ports() {
        let least = look.link(port.as_str()).and_then(|state| state.max_mtu).filter(|max| mtu > *max);
        if let Some(max) = least {
            problems.push(never(
                format!("{port} can have an MTU of {max} at most, not {mtu}"),
                "choose a smaller one",
            ));
        }
    }
}

fn addresses_fit(look: &Look, links: &[Link], link: &Link, problems: &mut Vec<Problem>) {
    let Addressing::Set(set) = link.address() else { return };
    if let Some(flaw) = set.flaw() {
        problems.push(never(format!("{}: {flaw}", link.name()), "addresses are written as 192.0.2.11/24"));
    }
    for net in &set.addresses {
        let mut others = look.addresses.iter().filter(|other| other.net.addr() == net.addr());
        let moves = |holder: &LinkState| {
            holder.name == link.name().as_str()
                || link.ports().iter().any(|port| port.as_str() == holder.name)
                // The bond of the same change hands on what its slaves had.
                || links.iter().filter(|made| link.ports().contains(made.name())).any(|made| made.ports().iter().any(|port| port.as_str() == holder.name))
        };
        if let Some(other) = others.find(|other| look.link(&other.link).is_none_or(|holder| !moves(holder))) {
            problems.push(never(
                format!("{} is on {} already, which is not part of this change", net.addr(), other.link),
                "an address belongs to one interface",
            ));
        }
    }
}

/// Without a gateway, whoever is behind the old one is cut off though we are not.
fn keeps_the_way_out(look: &Look, links: &[Link], link: &Link, problems: &mut Vec<Problem>) {
    let Addressing::Set(set) = link.address() else { return };
    let below = links.iter().filter(|below| link.ports().contains(below.name())).flat_map(Link::ports);
    let takes_over: Vec<&IfName> = link.ports().iter().chain(below).chain([link.name()]).collect();
    let lost = look.gateways.iter().find(|(dev, gateway)| {
        // A router advertises itself to whatever is on its network.
        if look.advertised.contains(gateway) {
            return false;
        }
        let dynamic = if gateway.is_ipv4() { set.dhcp4 } else { set.auto6 };
        let told = set.gateways.iter().any(|new| new.is_ipv4() == gateway.is_ipv4());
        link.vlan().is_none() && !dynamic && !told && takes_over.iter().any(|name| name.as_str() == dev)
    });
    if let Some((dev, gateway)) = lost {
        problems.push(unless_forced(
            format!("the default route to {gateway} goes through {dev}, and {} would have none", link.name()),
            format!("gateway: \"{gateway}\""),
        ));
    }
}

/// A bond or bridge none of whose ports has a link is dead.
fn has_carrier(look: &Look, links: &[Link], link: &Link, problems: &mut Vec<Problem>) {
    let alive = |port: &IfName| match look.link(port.as_str()) {
        // What is switched off has no link to show.
        Some(state) => state.carrier || !state.up,
        None => links.iter().any(|made| made.name() == port),
    };
    if !link.ports().is_empty() && !link.ports().iter().any(alive) {
        let ports: Vec<&str> = link.ports().iter().map(IfName::as_str).collect();
        problems.push(unless_forced(
            format!("no port of {} has a link: {}", link.name(), ports.join(", ")),
            "plug in the cable, or switch the port on at the switch",
        ));
    }
}

/// The address we came in by must be there afterwards.
fn keeps_the_way_in(look: &Look, links: &[Link], problems: &mut Vec<Problem>) {
    let Some(address) = look.main_address else { return };
    // Follows the address upwards through what is made: NIC, bond, bridge.
    let mut holder = look.main.clone();
    loop {
        let takes = links
            .iter()
            .find(|link| link.vlan().is_none() && (link.ports().iter().any(|port| port.as_str() == holder)));
        let own = links.iter().find(|link| link.name().as_str() == holder);
        if let Some(link) = takes.or(own)
            && let Some(problem) = loses(address, link)
            // What lies on it may have it again.
            && !links.iter().any(|over| over.ports().contains(link.name()) && loses(address, over).is_none() && *over.address() != Addressing::Inherit)
        {
            problems.push(problem);
            return;
        }
        match takes {
            Some(link) => holder = link.name().to_string(),
            None => return,
        }
    }
}

fn loses(address: IpAddr, link: &Link) -> Option<Problem> {
    match link.address() {
        Addressing::Inherit => None,
        Addressing::None => Some(never(
            format!("{} would have no address, and {address} is how this host is reached", link.name()),
            "give it the address, or leave `address` out: it then takes over what its port has",
        )),
        Addressing::Set(set) if set.dhcp4 || set.addresses.iter().any(|net| net.addr() == address) => None,
        Addressing::Set(_) => Some(unless_forced(
            format!("{address}, how this host is reached, is not among the addresses of {}", link.name()),
            format!(
                "give it both for now, address: [\"{address}/…\", …]; change the inventory, then take the old one away"
            ),
        )),
    }
}

/// The first reason that counts, as an error that names all of them.
///
/// # Errors
/// `network_refused`, class `Refused`.
pub(super) fn refuse(problems: &[Problem], force: bool) -> Result<(), Fault> {
    let counts: Vec<&Problem> = problems.iter().filter(|problem| !(force && problem.forcible)).collect();
    let Some(first) = counts.first() else { return Ok(()) };
    let forced = counts.iter().all(|problem| problem.forcible);
    let hint = if forced {
        format!("{} (force: true goes ahead all the same)", first.hint)
    } else {
        first.hint.clone()
    };
    let fault = Fault::new("network_refused", first.text.clone()).class(Class::Refused).hint(hint);
    Err(counts[1..].iter().fold(fault, |fault, problem| fault.because(problem.text.clone())))
}

#[cfg(test)]
mod tests;
