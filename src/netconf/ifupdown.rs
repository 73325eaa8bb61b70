//! Bonds and bridges in the files of interfaces(5).
//!
//! A port keeps its stanza, which becomes `manual` and gives up its address, its gateway, its name servers and its
//! hooks; the bond or bridge takes them over as they were written. Option names are those of interfaces-bond(5)
//! (ifenslave) and bridge-utils-interfaces(5).

use std::ops::Range;

use super::interfaces::{Iface, Line, parse, splice, word_range};
use super::{Files, Flaw, Link};
use crate::model::{Addresses, Addressing, BondMode};

/// The file that ifupdown reads first.
pub const ROOT: &str = "/etc/network/interfaces";

/// What says which address an interface has.
const ADDRESS_KEYS: &[&str] =
    &["address", "netmask", "broadcast", "network", "gateway", "pointopoint", "peer", "scope"];

/// What DHCP alone understands.
const DHCP_KEYS: &[&str] = &["hostname", "leasehours", "leasetime", "vendor", "client", "request-prefix"];

/// What belongs to the wire and not to the address: these options stay with the port.
const STAYS: &[&str] = &[
    "bond-",
    "bridge-",
    "driver-",
    "ethernet-",
    "hardware-",
    "hwaddress",
    "link-",
    "mtu",
    "offload-",
    "ovs-",
    "vlan-",
    "wireless-",
    "wpa-",
];

const HOOKS: &[&str] = &["pre-up", "up", "post-up", "down", "pre-down", "post-down"];

/// Which interfaces the files configure, in their order: name, family and method of each stanza.
pub fn configured(files: &Files) -> Vec<(String, String, String)> {
    let all = files.values().flat_map(|text| parse(text).ifaces);
    all.map(|iface| (iface.name().to_owned(), iface.family().to_owned(), iface.method().to_owned())).collect()
}

/// Which interfaces are brought up at boot or when they appear.
pub fn automatic(files: &Files) -> Vec<String> {
    files.values().flat_map(|text| parse(text).auto).collect()
}

/// The fixed hardware address that an interface has in the files.
pub fn hardware_address(files: &Files, name: &str) -> Option<String> {
    let mut all = files.values().flat_map(|text| parse(text).ifaces).filter(|iface| iface.name() == name);
    all.find_map(|iface| {
        let value = iface.option("bridge-hw").or_else(|| iface.option("hwaddress"))?;
        Some(value.trim_start_matches("ether ").to_owned())
    })
}

/// Writes a link into the files, or changes it there; files that say it already come back unchanged.
///
/// `mac` fixes its hardware address; one that the files have stays.
///
/// # Errors
/// What the files use that cannot be handed on without a person's judgement: `inherits`, patterns, hooks that name the
/// port.
pub fn put(files: &Files, link: &Link, mac: Option<&str>) -> Result<Files, Flaw> {
    let name = link.name().as_str();
    let mut files = files.clone();
    for (path, text) in &files {
        refuse_patterns(path, text)?;
    }
    if configured(&files).iter().any(|(iface, _, _)| iface == name) {
        // One that is there keeps the hardware address it has.
        let known = hardware_address(&files, name);
        return change(files, link, &own_options(link, known.as_deref()));
    }
    let own = own_options(link, mac);

    for (path, text) in &files {
        let ports = || link.ports().iter().map(|port| format!("{port}:"));
        let alias =
            parse(text).ifaces.into_iter().find(|iface| ports().any(|port| iface.name().starts_with(&port)));
        if let Some(alias) = alias {
            return Err(Flaw::new(path, format!("`iface {}` is an alias of a port", alias.name()))
                .with_advice("write its address as a second stanza of the port"));
        }
    }
    let mut moved = Vec::new();
    let mut home = None;
    let mut block = String::new();
    for port in link.ports() {
        let known =
            files.iter().find(|(_, text)| parse(text).ifaces.iter().any(|i| i.name() == port.as_str()));
        match known.map(|(path, _)| path.clone()) {
            Some(path) => {
                home.get_or_insert(path);
                if link.vlan().is_none() {
                    moved.extend(demote(&mut files, port.as_str())?);
                }
            }
            None => block += &stanza(port.as_str(), &[Part::manual()], &[], true),
        }
        if let Some(id) = link.vlan() {
            block += &vlan(port.as_str(), id);
        }
    }
    let parts = match link.address() {
        Addressing::Inherit => inherited(&moved),
        Addressing::None => Vec::new(),
        Addressing::Set(addresses) => written(addresses, &moved),
    };
    block += &stanza(name, &parts, &own, !automatic(&files).iter().any(|auto| auto == name));
    let text = files.entry(home.unwrap_or_else(|| ROOT.to_owned())).or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&block);
    Ok(files)
}

fn refuse_patterns(path: &str, text: &str) -> Result<(), Flaw> {
    let parsed = parse(text);
    let names = parsed.ifaces.iter().map(Iface::name).chain(parsed.auto.iter().map(String::as_str));
    let mut pattern = names.filter(|name| name.contains(['*', '?', '[', '/', '=']));
    if let Some(pattern) = pattern.next() {
        return Err(Flaw::new(path, format!("it configures interfaces by the pattern `{pattern}`")));
    }
    match parsed.mappings.first() {
        Some(mapping) => Err(Flaw::new(path, format!("it has a `mapping {mapping}`"))),
        None => Ok(()),
    }
}

/// Options that a port's stanza hands on.
struct Moved {
    family: String,
    method: String,
    /// The key and the text of each line.
    options: Vec<(String, String)>,
}

/// Makes a port's stanzas `manual` and takes out of them what goes with the address.
fn demote(files: &mut Files, port: &str) -> Result<Vec<Moved>, Flaw> {
    let mut moved = Vec::new();
    for (path, text) in files.iter_mut() {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        for iface in parse(text).ifaces.iter().filter(|iface| iface.name() == port) {
            if !iface.is_plain() {
                let header = iface.header.words.join(" ");
                return Err(Flaw::new(path, format!("`{header}` is more than name, family and method")));
            }
            let goes: Vec<&Line> = iface.options.iter().filter(|line| !stays(line)).collect();
            if let Some(hook) =
                goes.iter().find(|line| HOOKS.contains(&line.key().as_str()) && names(line, port))
            {
                let hook = hook.words.join(" ");
                return Err(Flaw::new(
                    path,
                    format!("`{hook}` names {port}, and would run for another interface"),
                )
                .with_advice("write $IFACE there"));
            }
            if iface.method() != "manual" {
                edits.push((word_range(text, &iface.header, 3), "manual".to_owned()));
            }
            edits.extend(goes.iter().map(|line| (line.range.clone(), String::new())));
            moved.push(Moved {
                family: iface.family().to_owned(),
                method: iface.method().to_owned(),
                options: goes.iter().map(|line| (line.key(), whole(text, line))).collect(),
            });
        }
        *text = splice(text, edits);
    }
    Ok(moved)
}

fn stays(line: &Line) -> bool {
    let key = line.key();
    STAYS.iter().any(|prefix| key.starts_with(prefix))
}

fn names(line: &Line, port: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    line.words[1..].iter().any(|word| word.split(|c| !part(c)).any(|name| name == port))
}

/// A line as it stands in the file, with its newline.
fn whole(text: &str, line: &Line) -> String {
    let mut whole = text.get(line.range.clone()).unwrap_or_default().to_owned();
    if !whole.ends_with('\n') {
        whole.push('\n');
    }
    whole
}

/// One stanza's family, method and lines that say the address.
struct Part {
    family: String,
    method: String,
    lines: String,
}

impl Part {
    fn new(family: &str, method: &str, lines: String) -> Self {
        Self { family: family.to_owned(), method: method.to_owned(), lines }
    }

    fn manual() -> Self {
        Self::new("inet", "manual", String::new())
    }
}

fn line(key: &str, value: &str) -> String {
    format!("    {key} {value}\n")
}

/// What the ports said, for the new link.
fn inherited(moved: &[Moved]) -> Vec<Part> {
    let said = moved.iter().filter(|moved| moved.method != "manual" || !moved.options.is_empty());
    said.map(|moved| {
        let lines = moved.options.iter().map(|(_, text)| text.as_str()).collect();
        Part::new(&moved.family, &moved.method, lines)
    })
    .collect()
}

/// The wanted addresses; name servers and hooks of the ports go on to the first stanza of their family.
fn written(addresses: &Addresses, moved: &[Moved]) -> Vec<Part> {
    let mut parts = Vec::new();
    if addresses.dhcp4 {
        parts.push(Part::new("inet", "dhcp", String::new()));
    }
    let mut has_gateway = Vec::new();
    for net in &addresses.addresses {
        let family = if net.addr().is_ipv4() { "inet" } else { "inet6" };
        let mut lines = line("address", &net.to_string());
        if let Some(gateway) = addresses.gateway_for(net).filter(|_| !has_gateway.contains(&family)) {
            has_gateway.push(family);
            lines += &line("gateway", &gateway.to_string());
        }
        parts.push(Part::new(family, "static", lines));
    }
    if addresses.auto6 {
        parts.push(Part::new("inet6", "auto", String::new()));
    }
    let told_anew = !addresses.nameservers.is_empty();
    if let Some(first) = parts.first_mut().filter(|_| told_anew) {
        let servers: Vec<String> = addresses.nameservers.iter().map(ToString::to_string).collect();
        first.lines += &line("dns-nameservers", &servers.join(" "));
    }
    for moved in moved {
        let Some(heir) = parts.iter_mut().find(|part| part.family == moved.family) else { continue };
        for (key, text) in &moved.options {
            let key = key.as_str();
            let replaced = ADDRESS_KEYS.contains(&key)
                || DHCP_KEYS.contains(&key)
                || (told_anew && key == "dns-nameservers");
            if !replaced {
                heir.lines += text;
            }
        }
    }
    parts
}

/// What the wanted link's stanza says beside the address.
fn own_options(link: &Link, mac: Option<&str>) -> Vec<(&'static str, String)> {
    let mut options = Vec::new();
    match link {
        Link::Bond(bond) => {
            options.push(("bond-slaves", link.members().join(" ")));
            options.push(("bond-mode", bond.mode.word().to_owned()));
            options.push(("bond-miimon", bond.miimon.to_string()));
            options.extend(bond.primary.as_ref().map(|primary| ("bond-primary", primary.to_string())));
            options.extend(bond.lacp_rate.clone().map(|rate| ("bond-lacp-rate", rate)));
            options.extend(bond.xmit_hash_policy.clone().map(|policy| ("bond-xmit-hash-policy", policy)));
            options.extend(mac.map(|mac| ("hwaddress", mac.to_owned())));
        }
        Link::Bridge(bridge) => {
            let ports = link.members().join(" ");
            options.push(("bridge-ports", if ports.is_empty() { "none".to_owned() } else { ports }));
            options.push(("bridge-stp", if bridge.stp { "on" } else { "off" }.to_owned()));
            options.push(("bridge-fd", bridge.forward_delay.to_string()));
            options.extend(mac.map(|mac| ("bridge-hw", mac.to_owned())));
        }
    }
    options.extend(link.mtu().map(|mtu| ("mtu", mtu.to_string())));
    options
}

/// Whether an option in the files is one that [`own_options`] decides on; others, such as `bond-updelay`, stay.
fn is_own(key: &str) -> bool {
    matches!(
        key,
        "bond-slaves"
            | "slaves"
            | "bond-mode"
            | "bond-miimon"
            | "bond-primary"
            | "bond-lacp-rate"
            | "bond-xmit-hash-policy"
    ) || matches!(key, "bridge-ports" | "bridge-stp" | "bridge-fd" | "bridge-hw" | "hwaddress" | "mtu")
}

/// An option's value in one spelling.
fn plain(key: &str, value: &str) -> String {
    match key {
        "bond-mode" => {
            value.parse::<BondMode>().map_or_else(|_| value.to_owned(), |mode| mode.word().to_owned())
        }
        "hwaddress" => value.trim_start_matches("ether ").to_lowercase(),
        "bridge-stp" => if matches!(value, "on" | "yes") { "on" } else { "off" }.to_owned(),
        _ => value.to_owned(),
    }
}

/// A VLAN made and removed with ip(8): needs no package, and no module that parses names.
fn vlan(port: &str, id: u16) -> String {
    let options = [
        (
            "pre-up",
            format!(
                "ip link show $IFACE >/dev/null 2>&1 || ip link add link {port} name $IFACE type vlan id {id}"
            ),
        ),
        ("post-down", "ip link delete $IFACE".to_owned()),
    ];
    stanza(&format!("{port}.{id}"), &[Part::manual()], &options, true)
}

/// A whole new stanza for each part; the first also says what the link is.
fn stanza(name: &str, parts: &[Part], own: &[(&str, String)], auto: bool) -> String {
    let manual = [Part::manual()];
    let parts = if parts.is_empty() { &manual } else { parts };
    let mut text = if auto { format!("\nauto {name}\n") } else { "\n".to_owned() };
    for (nth, part) in parts.iter().enumerate() {
        if nth > 0 {
            text.push('\n');
        }
        text += &format!("iface {name} {} {}\n{}", part.family, part.method, part.lines);
        if nth == 0 {
            text.extend(own.iter().map(|(key, value)| line(key, value)));
        }
    }
    text
}

/// Changes the stanzas of a link that is there.
fn change(mut files: Files, link: &Link, own: &[(&'static str, String)]) -> Result<Files, Flaw> {
    let name = link.name().as_str();
    let mut kept = Vec::new();
    for (path, text) in &files {
        for iface in parse(text).ifaces.into_iter().filter(|iface| iface.name() == name) {
            if !iface.is_plain() {
                let header = iface.header.words.join(" ");
                return Err(Flaw::new(path, format!("`{header}` is more than name, family and method")));
            }
            // A size that nobody asks for stays what it is.
            let stays = |key: &str| !is_own(key) || (key == "mtu" && link.mtu().is_none());
            let options = iface.options.iter().filter(|line| stays(&line.key()));
            kept.push(Moved {
                family: iface.family().to_owned(),
                method: iface.method().to_owned(),
                options: options.map(|line| (line.key(), whole(text, line))).collect(),
            });
        }
    }
    let parts = match link.address() {
        Addressing::Inherit => kept
            .iter()
            .map(|part| {
                Part::new(
                    &part.family,
                    &part.method,
                    part.options.iter().map(|(_, text)| text.as_str()).collect(),
                )
            })
            .collect(),
        Addressing::None => vec![Part::manual()],
        Addressing::Set(addresses) => written(addresses, &kept),
    };
    let mut block = stanza(name, &parts, own, false);
    block.remove(0);
    let before = meaning(&files, name);
    let mut wanted = Files::new();
    wanted.insert(ROOT.to_owned(), block.clone());
    if before == meaning(&wanted, name) {
        return Ok(files);
    }
    for text in files.values_mut() {
        let mut edits = Vec::new();
        for iface in parse(text).ifaces.iter().filter(|iface| iface.name() == name) {
            edits.push((iface.header.range.clone(), std::mem::take(&mut block)));
            edits.extend(iface.options.iter().map(|line| (line.range.clone(), String::new())));
        }
        *text = splice(text, edits);
    }
    Ok(files)
}

/// A stanza's family, method, and options by key and value.
type Meaning = (String, String, Vec<(String, String)>);

/// What the stanzas of an interface say, whatever their order and spelling.
fn meaning(files: &Files, name: &str) -> Vec<Meaning> {
    let ifaces = files.values().flat_map(|text| parse(text).ifaces).filter(|iface| iface.name() == name);
    let mut all: Vec<_> = ifaces
        .map(|iface| {
            let mut options: Vec<_> =
                iface.options.iter().map(|line| (line.key(), plain(&line.key(), &line.value()))).collect();
            options.sort();
            (iface.family().to_owned(), iface.method().to_owned(), options)
        })
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests;
