//! What a change of the network consists of: files, commands before and after them, and the way back.

use std::collections::BTreeMap;

use super::expect::Expect;
use super::look::Look;
use super::owner::Owner;
use crate::model::{Addressing, Class, Fault};
use crate::netconf::revert::Record;
use crate::netconf::{Files, Flaw, Link, ifupdown, netplan};

/// A file that is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where it is.
    pub path: String,
    /// What is there now; `None` is no file.
    pub before: Option<Vec<u8>>,
    /// What will be there; `None` is no file.
    pub after: Option<Vec<u8>>,
    /// Permission bits, in octal digits, where there is no file yet.
    pub mode: String,
}

/// What an interface has by itself (RFC 894).
const ETHERNET_MTU: u32 = 1500;

/// A program and its arguments.
pub(super) type Argv = Vec<String>;

/// All that one transaction does on a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// What it is about, in a few words: `bond0, br0`.
    pub title: String,
    /// Files, by path.
    pub edits: Vec<Edit>,
    /// Run with the old files in place.
    pub pre: Vec<Argv>,
    /// Run with the new files in place.
    pub post: Vec<Argv>,
    /// Run when it is undone, with the new files still in place.
    pub undo_pre: Vec<Argv>,
    /// Run when it is undone, with the old files back.
    pub undo_post: Vec<Argv>,
    /// Links to delete when it is undone.
    pub links: Vec<String>,
    /// Links that it makes.
    pub new_links: Vec<String>,
    /// The links it is about; of all others nothing is brought back by hand. None: all.
    pub touched: Vec<String>,
    /// Whether netplan has files that networkd reads.
    pub netplan: bool,
    /// What is kept on the host so that it can be taken back later, by the link's name.
    pub keep: BTreeMap<String, Record>,
    /// What need not be kept any longer.
    pub drop: Vec<String>,
    /// What must be true before it is confirmed.
    pub expect: Expect,
}

impl Work {
    /// Whether there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.pre.is_empty() && self.post.is_empty()
    }
}

fn files_of(look: &Look, owner: Owner) -> &Files {
    match owner {
        Owner::Ifupdown => &look.interfaces,
        Owner::Netplan => &look.netplan,
    }
}

fn flaw(flaw: Flaw) -> Fault {
    Fault::new("network_file", format!("cannot change {}: {}", flaw.path, flaw.why))
        .class(Class::Refused)
        .hint(flaw.advice.unwrap_or_else(|| "change it by hand, or write it in plain stanzas".to_owned()))
}

/// The hardware address that a new link gets, so that it never changes and no other host has the same: systemd would
/// make one of name and machine-id, which clones share.
fn mac_of(look: &Look, links: &[Link], link: &Link) -> Option<String> {
    let first = match link {
        Link::Bond(bond) => bond.primary.as_ref().or(bond.slaves.first())?,
        Link::Bridge(bridge) => bridge.ports.first()?,
    };
    if let Some(below) = links.iter().find(|below| below.name() == first) {
        return mac_of(look, links, below);
    }
    let state = look.link(first.as_str())?;
    Some(state.permanent_mac.clone().unwrap_or_else(|| state.mac.clone()))
}

/// The links, bonds with the largest packet of the card whose address they take over: else a slave with jumbo frames
/// would come down to the bond's 1500 bytes.
pub(super) fn with_mtu(look: &Look, links: &[Link]) -> Vec<Link> {
    let mut links = links.to_vec();
    for bond in links.iter_mut().filter_map(|link| match link {
        Link::Bond(bond) if bond.mtu.is_none() => Some(bond),
        _ => None,
    }) {
        let slaves = || bond.slaves.iter().filter_map(|slave| look.link(slave.as_str()));
        let heir = slaves().find(|slave| look.addresses_of(&slave.name).next().is_some());
        let own = || slaves().find(|slave| slave.master.as_deref() == Some(bond.name.as_str()));
        bond.mtu = heir.or_else(own).map(|slave| slave.mtu).filter(|mtu| *mtu != ETHERNET_MTU);
    }
    links
}

/// What it takes to have these links. Those that are as wanted already take nothing.
///
/// # Errors
/// `network_file`: files that kvmsh cannot edit for certain.
pub(super) fn put(look: &Look, owner: Owner, links: &[Link]) -> Result<Work, Fault> {
    let base = files_of(look, owner);
    let mut files = base.clone();
    let mut records = look.records.clone();
    let mut changed: Vec<&Link> = Vec::new();
    for link in links {
        let mac = mac_of(look, links, link);
        let put = |files: &Files| {
            match owner {
                Owner::Ifupdown => ifupdown::put(files, link, mac.as_deref()),
                Owner::Netplan => netplan::put(files, link, mac.as_deref()),
            }
            .map_err(flaw)
        };
        let before = std::mem::take(&mut files);
        files = put(&before)?;
        let name = link.name().as_str();
        if files == before && look.link(name).is_some() {
            continue;
        }
        changed.push(link);
        records.extend(records_of(look, &records, name, &before, &files, put));
    }
    let keep = records.into_iter().filter(|(name, record)| look.records.get(name) != Some(record)).collect();
    if changed.is_empty() {
        return Ok(Work::default());
    }
    let mut touched: Vec<String> = Vec::new();
    for link in &changed {
        // Below a VLAN the port itself stays as it is, with all that lies on it.
        let goes_in = |port: &String| link.vlan().is_none() || !is_configured(owner, base, port);
        touched.extend(link.ports().iter().map(ToString::to_string).filter(goes_in));
        touched.extend(link.members().into_iter().chain([link.name().to_string()]));
    }
    let title: Vec<&str> = changed.iter().map(|link| link.name().as_str()).collect();
    let mut work = compose(look, owner, base, &files, &touched)?;
    work.title = title.join(", ");
    work.keep = keep;
    work.expect = Expect::of_links(look, links, &changed);
    work.expect.keep_masters(look, &work.touched);
    Ok(work)
}

/// What is kept of a change of `name` from `before` to `after`, so that it can be taken back.
///
/// Taken back, it must be what it was before kvmsh came, not before kvmsh changed it once more. What kvmsh has put on it is
/// taken back before it, so that is kept anew as well: as if it had come to a link that was like this already. Nothing where
/// somebody has changed the lines by hand.
fn records_of(
    look: &Look,
    records: &BTreeMap<String, Record>,
    name: &str,
    before: &Files,
    after: &Files,
    put: impl Fn(&Files) -> Result<Files, Fault>,
) -> BTreeMap<String, Record> {
    let own = records.get(name);
    let uppers = with_uppers(look, &[name.to_owned()]).into_iter().skip(1).rev();
    let mut kept = BTreeMap::new();
    let (mut before, mut after) = (before.clone(), after.clone());
    for (upper, record) in uppers.filter_map(|upper| records.get(&upper).map(|record| (upper, record))) {
        let Ok(below) = record.take_back(&before) else { return kept };
        let Ok(changed) = put(&below) else { return kept };
        kept.insert(upper, Record::between(&changed, &after));
        (before, after) = (below, changed);
    }
    let origin = match own {
        Some(record) => record.take_back(&before).ok(),
        None => Some(before),
    };
    kept.extend(origin.map(|origin| (name.to_owned(), Record::between(&origin, &after))));
    kept
}

/// What it takes to take these links back, each of which kvmsh has set up. Those that are not there take nothing.
///
/// # Errors
/// `network_refused` when something lies on one of them, or kvmsh has not set it up; `network_file` when its lines have
/// been changed since.
pub(super) fn take_back(look: &Look, owner: Owner, names: &[String]) -> Result<Work, Fault> {
    let base = files_of(look, owner);
    let refuse = |message: String, hint: &str| {
        Fault::new("network_refused", message).class(Class::Refused).hint(hint.to_owned())
    };
    let mut files = base.clone();
    let mut touched = Vec::new();
    let mut drop: Vec<String> = Vec::new();
    for name in names {
        let Some(record) = look.records.get(name) else {
            if look.link(name).is_none() {
                continue;
            }
            return Err(refuse(
                format!("{name} was not set up with kvmsh, so what was there before is not known"),
                "change the files by hand; net::transaction undoes what goes wrong",
            ));
        };
        let over = look.links.iter().find(|link| {
            let lies_on = link.parent.as_deref() == Some(name)
                || look.link(name).and_then(|l| l.master.as_deref()) == Some(&link.name);
            lies_on && !drop.contains(&link.name) && !record_makes(record, &link.name)
        });
        if let Some(over) = over {
            return Err(refuse(format!("{} lies on {name}", over.name), "remove that first"));
        }
        files = record.take_back(&files).map_err(flaw)?;
        drop.push(name.clone());
    }
    // The names are given from the top down.
    for name in drop.iter().rev() {
        // VLANs that were made with it lie on ports of their own.
        touched.extend(look.ports_of(name).filter_map(|port| port.parent.clone()));
        touched.extend(look.ports_of(name).map(|port| port.name.clone()));
        touched.push(name.clone());
    }
    if drop.is_empty() {
        return Ok(Work::default());
    }
    let mut work = compose(look, owner, base, &files, &touched)?;
    if owner == Owner::Netplan {
        // networkd leaves a link alone that is not in its files any more.
        let there = drop.iter().filter(|name| look.link(name).is_some());
        let deletions = there.map(|name| argv(["ip", "link", "delete", name]));
        work.post.splice(1..1, deletions);
    }
    work.title = format!("removal of {}", drop.join(", "));
    work.expect = Expect::without(look, &drop);
    // A card that nobody configures any more is switched off.
    work.expect.carriers.retain(|link| !touched.contains(link) || is_configured(owner, &files, link));
    work.expect.keep_masters(look, &work.touched);
    work.drop = drop;
    Ok(work)
}

fn is_configured(owner: Owner, files: &Files, name: &str) -> bool {
    match owner {
        Owner::Ifupdown => ifupdown::configured(files).iter().any(|(iface, _, _)| iface == name),
        Owner::Netplan => {
            netplan::configured(files).is_ok_and(|all| all.iter().any(|(iface, _)| iface == name))
        }
    }
}

fn record_makes(record: &Record, name: &str) -> bool {
    let word = |text: &str| text.split(|c: char| c.is_whitespace() || c == ':').any(|word| word == name);
    record
        .files
        .values()
        .any(|edit| edit.after.as_deref().is_some_and(word) && !edit.before.as_deref().is_some_and(word))
}

fn argv<'a>(words: impl IntoIterator<Item = &'a str>) -> Argv {
    words.into_iter().map(str::to_owned).collect()
}

/// Files and commands that lead from one state of the files to another.
///
/// # Errors
/// `network_refused` when a guest is on one of the links: its tap would lose the bridge for good.
fn compose(
    look: &Look,
    owner: Owner,
    base: &Files,
    files: &Files,
    touched: &[String],
) -> Result<Work, Fault> {
    let bottom_up = with_uppers(look, touched);
    for name in &bottom_up {
        // A tap is in the bridge, a macvtap lies on the link itself.
        let guest = look.links.iter().find(|link| {
            let on = |below: &Option<String>| below.as_deref() == Some(name.as_str());
            (link.kind == "tun" && on(&link.master)) || (link.kind == "macvtap" && on(&link.parent))
        });
        if let Some(guest) = guest {
            return Err(Fault::new(
                "network_refused",
                format!("a guest is on {name} ({}), which would lose it", guest.name),
            )
            .class(Class::Refused)
            .hint("shut it down, or move it to another host, first"));
        }
    }
    let record = Record::between(base, files);
    let edits = record.files.into_iter().map(|(path, edit)| Edit {
        // netplan(5): its files may hold secrets, and it complains when others can read them.
        mode: look.modes.get(&path).cloned().unwrap_or_else(|| match owner {
            Owner::Ifupdown => "644".to_owned(),
            Owner::Netplan => "600".to_owned(),
        }),
        path,
        before: edit.before.map(String::into_bytes),
        after: edit.after.map(String::into_bytes),
    });
    let is_new = |name: &&String| look.link(name).is_none();
    let mut work = Work {
        edits: edits.collect(),
        netplan: owner == Owner::Netplan,
        new_links: bottom_up.iter().filter(is_new).cloned().collect(),
        touched: bottom_up.clone(),
        ..Work::default()
    };
    match owner {
        Owner::Ifupdown => {
            let has = |files: &Files, name: &str| is_configured(owner, files, name);
            let ifup = |name: &String| argv(["timeout", "60", "ifup", name]);
            for name in bottom_up.iter().rev() {
                if look.ifstate.contains(name) {
                    work.pre.push(argv(["timeout", "60", "ifdown", name]));
                } else if look.addresses_of(name).next().is_some() {
                    work.pre.push(argv(["ip", "addr", "flush", "dev", name, "scope", "global"]));
                }
                if has(files, name) {
                    work.undo_pre.push(argv(["timeout", "60", "ifdown", "--force", name]));
                }
            }
            work.post = bottom_up.iter().filter(|name| has(files, name)).map(ifup).collect();
            let was_up = |name: &&String| has(base, name) && look.ifstate.contains(name);
            let again = |name: &String| argv(["timeout", "60", "ifup", "--force", name]);
            work.undo_post = bottom_up.iter().filter(was_up).map(again).collect();
            work.links = bottom_up.iter().rev().filter(is_new).cloned().collect();
        }
        Owner::Netplan => {
            let generate = argv(["netplan", "generate"]);
            let apply = argv(["timeout", "90", "netplan", "apply"]);
            // systemd-networkd does not change an existing bond (systemd#36406): it is made anew.
            let made = |name: &&String| {
                look.link(name).is_some_and(|link| matches!(link.kind.as_str(), "bond" | "bridge" | "vlan"))
            };
            let stay = |name: &&String| is_configured(owner, files, name);
            let anew: Vec<Argv> = bottom_up
                .iter()
                .rev()
                .filter(made)
                .filter(stay)
                .map(|name| argv(["ip", "link", "delete", name]))
                .collect();
            work.post = [vec![generate.clone()], anew, vec![apply.clone()]].concat();
            work.undo_post = vec![generate, apply];
            work.links = bottom_up.iter().rev().filter(|name| made(name) || is_new(name)).cloned().collect();
        }
    }
    Ok(work)
}

/// The interfaces in the order in which they are brought up, with what lies on them.
fn with_uppers(look: &Look, touched: &[String]) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for name in touched {
        if !order.contains(name) {
            order.push(name.clone());
        }
    }
    let mut at = 0;
    while at < order.len() {
        let uppers: Vec<String> = look
            .links
            .iter()
            .filter(|upper| {
                let master = look.link(&order[at]).and_then(|link| link.master.as_deref());
                master == Some(upper.name.as_str()) || upper.parent.as_deref() == Some(order[at].as_str())
            })
            .map(|upper| upper.name.clone())
            .collect();
        for upper in uppers {
            if !order.contains(&upper) {
                order.push(upper);
            }
        }
        at += 1;
    }
    order
}

/// The addresses of new links that must be free on the wire: those that this host does not have yet.
pub(super) fn addresses_to_probe(look: &Look, links: &[Link]) -> Vec<(String, String)> {
    let mut probes = Vec::new();
    for link in links {
        let Addressing::Set(set) = link.address() else { continue };
        for net in set.addresses.iter().filter(|net| net.addr().is_ipv4()) {
            // On the wire it is the port that asks; what is not there yet cannot.
            let port = [link.name()].into_iter().chain(link.ports()).map(ToString::to_string);
            let below = links.iter().filter(|below| link.ports().contains(below.name()));
            let mut candidates =
                port.chain(below.flat_map(|below| below.ports().iter().map(ToString::to_string)));
            let free =
                |name: &String| look.link(name).is_some_and(|state| state.carrier && state.master.is_none());
            // Where none of them is up, the interface we came in by is on the same wire more often than not.
            let near = look.addresses_of(&look.main).any(|address| address.net.contains(&net.addr()));
            if let Some(port) = candidates.find(free).or_else(|| near.then(|| look.main.clone())) {
                probes.push((port, net.addr().to_string()));
            }
        }
    }
    probes
}

#[cfg(test)]
mod tests;
