//! Bonds and bridges in netplan's YAML.
//!
//! What kvmsh adds is in a file of its own, `60-kvmsh-NAME.yaml`; a port's entry stays where it is and gives up what
//! goes with the address. Keys are those of netplan(5); netplan merges all files by the order of their names.

use std::str::FromStr;

use serde_json::{Map, Value, json};
use yaml_edit::{Document, Mapping};

use super::{Files, Flaw, Link};
use crate::model::{Addresses, Addressing};

/// Where files are that a person writes; those in /run and /lib are other programs'.
pub const DIR: &str = "/etc/netplan";

/// What goes with the address.
const MOVES: &[&str] = &[
    "addresses",
    "accept-ra",
    "dhcp4",
    "dhcp4-overrides",
    "dhcp6",
    "dhcp6-overrides",
    "dhcp-identifier",
    "gateway4",
    "gateway6",
    "ipv6-address-generation",
    "ipv6-privacy",
    "nameservers",
    "routes",
    "routing-policy",
];

/// What tells an address itself; the other keys of [`MOVES`] stay when new addresses are given.
const ADDRESS: &[&str] = &[
    "addresses",
    "dhcp4",
    "dhcp4-overrides",
    "dhcp6",
    "dhcp6-overrides",
    "dhcp-identifier",
    "gateway4",
    "gateway6",
];

/// The kinds of links that can be ports.
const SECTIONS: [&str; 4] = ["ethernets", "bonds", "bridges", "vlans"];

/// An entry in one of the files.
struct Found {
    path: String,
    section: &'static str,
    /// The key: the interface's name, or what `set-name` gives that name to.
    id: String,
    value: Value,
}

/// Writes a link into the files, or changes it there; files that say it already come back unchanged.
///
/// `mac` fixes its hardware address; one that the files have stays.
///
/// # Errors
/// YAML that cannot be read, anchors and aliases in an entry that must be changed, an entry in two files.
pub fn put(files: &Files, link: &Link, mac: Option<&str>) -> Result<Files, Flaw> {
    let name = link.name().as_str();
    let mut files = files.clone();
    let known = find(&files, name)?;
    let known_mac = known.as_ref().and_then(|found| found.value["macaddress"].as_str().map(str::to_owned));
    if let Some(found) = known {
        // One that is there keeps the hardware address it has.
        change(&mut files, link, &found, own_keys(link, known_mac.as_deref()))?;
        return Ok(files);
    }
    let own = own_keys(link, mac);

    let mut inherited = Map::new();
    let mut renderer = None;
    let mut ethernets = Map::new();
    let mut vlans = Map::new();
    for port in link.ports() {
        match find(&files, port.as_str())? {
            Some(found) if link.vlan().is_none() => {
                // Whoever renders the port renders what it is in, whatever is the rule for all.
                renderer = renderer.or_else(|| found.value.get("renderer").cloned());
                for (key, value) in demote(&mut files, &found)? {
                    join(&mut inherited, key, value);
                }
            }
            Some(_) => {}
            None => drop(ethernets.insert(port.to_string(), json!({ "dhcp4": false }))),
        }
        if let Some(id) = link.vlan() {
            vlans.insert(format!("{port}.{id}"), json!({ "id": id, "link": port.as_str() }));
        }
    }
    let mut entry = own;
    entry.extend(renderer.map(|renderer| ("renderer".to_owned(), renderer)));
    entry.extend(match link.address() {
        Addressing::Inherit => inherited,
        Addressing::None => Map::new(),
        Addressing::Set(addresses) => written(addresses, &inherited),
    });
    let mut network = Map::from_iter([("version".to_owned(), json!(2))]);
    for (section, entries) in [("ethernets", ethernets), ("vlans", vlans)] {
        if !entries.is_empty() {
            network.insert(section.to_owned(), entries.into());
        }
    }
    network.insert(section(link).to_owned(), json!({ name: entry }));
    let path = format!("{DIR}/60-kvmsh-{name}.yaml");
    let text = yaml(&path, &json!({ "network": network }))?;
    files.insert(path, format!("# The {} {name}, set up with kvmsh.\n{text}", link.kind()));
    Ok(files)
}

/// The hardware address that an interface has in the files.
pub fn hardware_address(files: &Files, name: &str) -> Option<String> {
    let found = find(files, name).ok()??;
    found.value["macaddress"].as_str().map(str::to_owned)
}

/// Which interfaces the files configure, with the section each is in.
///
/// # Errors
/// YAML that cannot be read.
pub fn configured(files: &Files) -> Result<Vec<(String, &'static str)>, Flaw> {
    let mut all = Vec::new();
    for (path, text) in files {
        let tree = read(path, text)?;
        for section in SECTIONS {
            let entries = tree["network"][section].as_object();
            for (id, value) in entries.into_iter().flatten() {
                let name = value["set-name"].as_str().unwrap_or(id).to_owned();
                if !all.contains(&(name.clone(), section)) {
                    all.push((name, section));
                }
            }
        }
    }
    Ok(all)
}

const fn section(link: &Link) -> &'static str {
    match link {
        Link::Bond(_) => "bonds",
        Link::Bridge(_) => "bridges",
    }
}

fn read(path: &str, text: &str) -> Result<Value, Flaw> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text)
        .map_err(|error| Flaw::new(path, format!("it is no YAML that can be read: {error}")))
}

fn yaml(path: &str, value: &Value) -> Result<String, Flaw> {
    serde_saphyr::to_string(value).map_err(|error| Flaw::new(path, format!("it cannot be written: {error}")))
}

fn find(files: &Files, name: &str) -> Result<Option<Found>, Flaw> {
    let mut found: Option<Found> = None;
    for (path, text) in files {
        let tree = read(path, text)?;
        for section in SECTIONS {
            for (id, value) in tree["network"][section].as_object().into_iter().flatten() {
                let renamed = value["set-name"].as_str();
                let matched = value["match"]["name"].as_str();
                if renamed.is_none() && matched.is_none() && value["match"].is_object() {
                    return Err(Flaw::new(
                        path,
                        format!("the entry `{id}` is matched by something else than a name"),
                    )
                    .with_advice("add `set-name` to it, or replace `match` by the interface's name"));
                }
                if matched.is_some_and(|pattern| pattern.contains(['*', '?', '['])) && renamed.is_none() {
                    return Err(Flaw::new(
                        path,
                        format!("the entry `{id}` is for every name that matches a pattern"),
                    ));
                }
                if renamed.or(matched).unwrap_or(id) != name {
                    continue;
                }
                if let Some(other) = &found {
                    return Err(Flaw::new(path, format!("{name} is configured here and in {}", other.path)));
                }
                found = Some(Found { path: path.clone(), section, id: id.clone(), value: value.clone() });
            }
        }
    }
    Ok(found)
}

/// Addresses of several ports are one list; of everything else the first counts.
fn join(into: &mut Map<String, Value>, key: String, value: Value) {
    match (into.get_mut(&key), value) {
        (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
        (Some(_), _) => {}
        (None, value) => drop(into.insert(key, value)),
    }
}

fn own_keys(link: &Link, mac: Option<&str>) -> Map<String, Value> {
    let mut keys = Map::new();
    keys.insert("interfaces".to_owned(), link.members().into());
    let mut parameters = Map::new();
    let mut set = |key: &str, value: Value| drop(parameters.insert(key.to_owned(), value));
    match link {
        Link::Bond(bond) => {
            set("mode", bond.mode.word().into());
            set("mii-monitor-interval", bond.miimon.into());
            if let Some(primary) = &bond.primary {
                set("primary", primary.as_str().into());
            }
            if let Some(rate) = &bond.lacp_rate {
                set("lacp-rate", rate.as_str().into());
            }
            if let Some(policy) = &bond.xmit_hash_policy {
                set("transmit-hash-policy", policy.as_str().into());
            }
        }
        Link::Bridge(bridge) => {
            // netplan's own default is STP on: a port would wait for 30 s.
            set("stp", bridge.stp.into());
            set("forward-delay", bridge.forward_delay.into());
        }
    }
    keys.insert("parameters".to_owned(), parameters.into());
    if let Some(mac) = mac {
        keys.insert("macaddress".to_owned(), mac.into());
    }
    if let Some(mtu) = link.mtu() {
        keys.insert("mtu".to_owned(), mtu.into());
    }
    keys
}

/// The wanted addresses; name servers and routes of the ports that are no default route go on.
fn written(addresses: &Addresses, inherited: &Map<String, Value>) -> Map<String, Value> {
    let mut keys = inherited.clone();
    keys.retain(|key, _| !ADDRESS.contains(&key.as_str()));
    if addresses.dhcp4 {
        keys.insert("dhcp4".to_owned(), true.into());
        // networkd would identify itself by the interface's name, and get another address than before.
        keys.insert("dhcp-identifier".to_owned(), "mac".into());
    }
    if addresses.auto6 {
        keys.insert("accept-ra".to_owned(), true.into());
    }
    if !addresses.addresses.is_empty() {
        let nets: Vec<String> = addresses.addresses.iter().map(ToString::to_string).collect();
        keys.insert("addresses".to_owned(), nets.into());
    }
    let is_default =
        |route: &Value| matches!(route["to"].as_str(), Some("default" | "0.0.0.0/0" | "::/0" | "0/0"));
    let kept = keys.get("routes").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut routes: Vec<Value> = kept.into_iter().filter(|route| !is_default(route)).collect();
    routes.extend(
        addresses.gateways.iter().map(|gateway| json!({ "to": "default", "via": gateway.to_string() })),
    );
    keys.remove("routes");
    if !routes.is_empty() {
        keys.insert("routes".to_owned(), routes.into());
    }
    if !addresses.nameservers.is_empty() {
        let servers: Vec<String> = addresses.nameservers.iter().map(ToString::to_string).collect();
        keys.insert("nameservers".to_owned(), json!({ "addresses": servers }));
    }
    keys
}

/// Takes out of a port's entry what goes with the address.
fn demote(files: &mut Files, found: &Found) -> Result<Map<String, Value>, Flaw> {
    let moved: Map<String, Value> = found
        .value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| MOVES.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    // `dhcp4: false` is what is left in the end.
    let settled = moved.len() == 1 && moved.get("dhcp4") == Some(&Value::Bool(false));
    if moved.is_empty() || settled {
        return Ok(Map::new());
    }
    let tree = read(&found.path, files.get(&found.path).map_or("", String::as_str))?;
    let mut expected = found.value.clone();
    edit(files, found, |entry| {
        entry.set("dhcp4", false);
        for key in moved.keys().filter(|key| *key != "dhcp4") {
            let _ = entry.remove(key.as_str());
        }
    })?;
    if let Some(entry) = expected.as_object_mut() {
        entry.retain(|key, _| !moved.contains_key(key));
        entry.insert("dhcp4".to_owned(), false.into());
    }
    verify(files, &tree, found, &expected)?;
    // Addresses of a port that had DHCP switched off say nothing.
    Ok(moved.into_iter().filter(|(key, value)| !(key.starts_with("dhcp") && *value == false)).collect())
}

fn change(files: &mut Files, link: &Link, found: &Found, own: Map<String, Value>) -> Result<(), Flaw> {
    if found.section != section(link) {
        return Err(Flaw::new(&found.path, format!("{} is one of the {}", link.name(), found.section)));
    }
    let mut expected = found.value.as_object().cloned().unwrap_or_default();
    let addressing: Map<String, Value> = expected
        .iter()
        .filter(|(key, _)| MOVES.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let wanted = match link.address() {
        Addressing::Inherit => addressing.clone(),
        Addressing::None => Map::new(),
        Addressing::Set(addresses) => written(addresses, &addressing),
    };
    let mut parameters = expected.get("parameters").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Link::Bond(_) = link {
        parameters.retain(|key, _| !["primary", "lacp-rate", "transmit-hash-policy"].contains(&key.as_str()));
    }
    for (key, value) in own["parameters"].as_object().into_iter().flatten() {
        parameters.insert(key.clone(), value.clone());
    }
    expected.retain(|key, _| !MOVES.contains(&key.as_str()));
    expected.extend(own);
    expected.insert("parameters".to_owned(), parameters.into());
    expected.extend(wanted);
    if Value::from(expected.clone()) == found.value {
        return Ok(());
    }
    let before = found.value.as_object().cloned().unwrap_or_default();
    let tree = read(&found.path, files.get(&found.path).map_or("", String::as_str))?;
    let mut broken = None;
    edit(files, found, |entry| {
        for key in before.keys().filter(|key| !expected.contains_key(*key)) {
            let _ = entry.remove(key.as_str());
        }
        for (key, value) in expected.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
            if let Err(flaw) = set(entry, &found.path, key, value) {
                broken = Some(flaw);
            }
        }
    })?;
    match broken {
        Some(flaw) => Err(flaw),
        None => verify(files, &tree, found, &Value::from(expected)),
    }
}

fn set(entry: &Mapping, path: &str, key: &str, value: &Value) -> Result<(), Flaw> {
    match value {
        Value::Bool(flag) => entry.set(key, *flag),
        Value::Number(number) => entry.set(key, number.as_i64().unwrap_or_default()),
        Value::String(text) => entry.set(key, text.as_str()),
        value => {
            let text = yaml(path, value)?;
            let document = Document::from_str(&text).map_err(|error| Flaw::new(path, error.to_string()))?;
            match (document.as_mapping(), document.as_sequence()) {
                (Some(mapping), _) => entry.set(key, mapping),
                (_, Some(sequence)) => entry.set(key, sequence),
                _ => return Err(Flaw::new(path, format!("cannot write `{key}`"))),
            }
        }
    };
    Ok(())
}

fn edit(files: &mut Files, found: &Found, deed: impl FnOnce(&Mapping)) -> Result<(), Flaw> {
    let text = files.get(&found.path).cloned().unwrap_or_default();
    let fail = |why: String| Flaw::new(&found.path, why);
    let document =
        Document::from_str(&text).map_err(|error| fail(format!("it cannot be edited: {error}")))?;
    let entry = document
        .get_mapping("network")
        .and_then(|network| network.get_mapping(found.section))
        .and_then(|section| section.get_mapping(found.id.as_str()))
        .ok_or_else(|| fail(format!("the entry `{}` cannot be edited where it is", found.id)))?;
    deed(&entry);
    files.insert(found.path.clone(), document.to_string());
    Ok(())
}

/// An edit must mean what it was meant to mean, and nothing else may mean anything else.
fn verify(files: &Files, before: &Value, found: &Found, expected: &Value) -> Result<(), Flaw> {
    let text = files.get(&found.path).map_or("", String::as_str);
    let mut wanted = before.clone();
    wanted["network"][found.section][&found.id] = expected.clone();
    if read(&found.path, text)? == wanted {
        return Ok(());
    }
    Err(Flaw::new(&found.path, format!("the entry `{}` is written in a way that cannot be edited", found.id))
        .with_advice("anchors, aliases and flow style are in the way: write it in plain block style"))
}

#[cfg(test)]
mod tests;
