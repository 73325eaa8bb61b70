//! What there is of a host's network, in one round trip.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::model::base64;
use crate::netconf::revert::Record;
use crate::netconf::{Files, netplan};

/// What a host's network is now, and what its files say.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// machine-id(5).
    pub machine_id: String,
    /// The number of the user we are there.
    pub uid: u32,
    /// Whether systemd is what was booted.
    pub systemd: bool,
    /// The interface we came in by; on this machine the one that leads out. Empty when there is none.
    pub main: String,
    /// The address we came in by.
    pub main_address: Option<IpAddr>,
    /// All links.
    pub links: Vec<LinkState>,
    /// All global addresses.
    pub addresses: Vec<Address>,
    /// Default routes: interface and gateway.
    pub gateways: Vec<(String, IpAddr)>,
    /// Those of them that routers advertise (RFC 4861).
    pub advertised: BTreeSet<IpAddr>,
    /// Gateways that answer.
    pub answering: Vec<IpAddr>,
    /// Programs that are there.
    pub tools: BTreeSet<String>,
    /// The package that `ifup` is of: `ifupdown`, `ifupdown2`, …
    pub ifup: Option<String>,
    /// Interfaces that ifupdown has brought up.
    pub ifstate: Vec<String>,
    /// netplan's version.
    pub netplan_version: Option<String>,
    /// systemd units of network managers that are active.
    pub active_units: BTreeSet<String>,
    /// The file that networkd configures the main interface by.
    pub networkd_file: Option<String>,
    /// NetworkManager's state of the main interface: `100 (connected)`, `10 (unmanaged)`.
    pub nm_state: Option<String>,
    /// Interfaces that NetworkManager has connected, or is about to.
    pub managed: BTreeSet<String>,
    /// Whether cloud-init writes network files.
    pub cloud_init: bool,
    /// The files that ifupdown reads.
    pub interfaces: Files,
    /// The files in /etc/netplan.
    pub netplan: Files,
    /// Permission bits of those files.
    pub modes: BTreeMap<String, String>,
    /// What was set up with kvmsh, by the link's name.
    pub records: BTreeMap<String, Record>,
    /// netplan's files that other programs have written, in /run and /lib: read by netplan, and never changed by us.
    pub netplan_elsewhere: Files,
    /// Files that are no text, or too large.
    pub unreadable: Vec<String>,
    /// Where the last change that undoes itself stands.
    pub change: Option<Standing>,
    /// The ID of the change that was confirmed last.
    pub confirmed: String,
}

/// Where a change that undoes itself stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// `pending`, `undoing` or `undone`.
    pub state: String,
    /// Its ID.
    pub id: String,
    /// Whether all its commands have run.
    pub applied: bool,
}

/// One link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Its name.
    pub name: String,
    /// `bond`, `bridge`, `vlan`, `veth`, `tun`, …; empty for a network card.
    pub kind: String,
    /// `ether`, `loopback`, …
    pub medium: String,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether there is a link: a cable, or a port with one.
    pub carrier: bool,
    /// Hardware address.
    pub mac: String,
    /// The hardware address that is burned in, where it differs.
    pub permanent_mac: Option<String>,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// The most that can be set there; `None` where the driver does not say.
    pub max_mtu: Option<u32>,
    /// The bond or bridge it is in.
    pub master: Option<String>,
    /// What it lies on: a VLAN's port.
    pub parent: Option<String>,
    /// As a bridge's port: `forwarding`, …; as a bond's slave: `ACTIVE`, `BACKUP`.
    pub port_state: Option<String>,
    /// As a bond: its mode.
    pub bond_mode: Option<String>,
    /// As a bond of the mode 802.3ad: the hardware address of whoever speaks LACP at the other end; zeros for nobody.
    pub lacp_partner: Option<String>,
    /// As a bond: the slave that works.
    pub active_slave: Option<String>,
}

impl LinkState {
    /// Whether it is a network card.
    pub fn is_card(&self) -> bool {
        self.kind.is_empty() && self.medium == "ether"
    }

    /// The hardware address that is its own, whatever bond it is in.
    pub fn own_mac(&self) -> &str {
        self.permanent_mac.as_deref().unwrap_or(&self.mac)
    }
}

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub link: String,
    /// Address and prefix.
    pub net: IpNet,
    /// Whether DHCP or a router gave it.
    pub dynamic: bool,
}

impl Look {
    /// Whether an earlier change waits for its confirmation.
    pub fn is_pending(&self) -> bool {
        self.change.as_ref().is_some_and(|change| matches!(change.state.as_str(), "pending" | "undoing"))
    }

    /// A link by name.
    pub fn link(&self, name: &str) -> Option<&LinkState> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Whether a hardware address is the host's own: Linux answers ARP for all of its addresses on each of its cards.
    pub fn is_own_mac(&self, mac: &str) -> bool {
        self.links
            .iter()
            .any(|link| link.mac.eq_ignore_ascii_case(mac) || link.own_mac().eq_ignore_ascii_case(mac))
    }

    /// The links in a bond or a bridge.
    pub fn ports_of<'a>(&'a self, master: &'a str) -> impl Iterator<Item = &'a LinkState> {
        self.links.iter().filter(move |link| link.master.as_deref() == Some(master))
    }

    /// The global addresses of an interface.
    pub fn addresses_of<'a>(&'a self, link: &'a str) -> impl Iterator<Item = &'a Address> {
        self.addresses.iter().filter(move |address| address.link == link)
    }

    /// Reads what `look.sh` has printed.
    pub fn parse(text: &str) -> Self {
        let mut look = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            look.take(key, value.trim());
        }
        look
    }

    fn take(&mut self, key: &str, value: &str) {
        let some = || Some(value.to_owned()).filter(|value| !value.is_empty());
        match key {
            "machine_id" => self.machine_id = value.to_owned(),
            "uid" => self.uid = value.parse().unwrap_or(u32::MAX),
            "systemd" => self.systemd = true,
            "change" => {
                let mut words = value.split(' ').map(str::to_owned);
                if let (Some(state), Some(id)) = (words.next(), words.next()) {
                    self.change = Some(Standing { state, id, applied: words.next().is_some() });
                }
            }
            "confirmed" => self.confirmed = value.to_owned(),
            "main" => self.main = value.to_owned(),
            "ssh" => self.main_address = value.split(' ').nth(2).and_then(plain_address),
            "links" => self.links = json::<Vec<RawLink>>(value).into_iter().map(LinkState::from).collect(),
            "addresses" => self.take_addresses(json(value)),
            "routes" | "routes6" => self.take_routes(json(value)),
            "answers" => self.answering.extend(value.parse::<IpAddr>()),
            "tool" => drop(self.tools.insert(value.to_owned())),
            "ifup" => self.ifup = Some(value.to_owned()),
            "ifstate" => self.ifstate = value.split(' ').map(str::to_owned).collect(),
            "netplan" => self.netplan_version = some(),
            "networkd" => self.networkd_file = some().filter(|file| file != "n/a"),
            "nm" => self.nm_state = some(),
            "managed" => drop(self.managed.insert(value.to_owned())),
            "cloud_init" => self.cloud_init = true,
            "unit" => {
                if let Some(unit) = value.strip_suffix(" active") {
                    self.active_units.insert(unit.to_owned());
                }
            }
            "large" => self.unreadable.push(value.to_owned()),
            "file" => self.take_file(value),
            _ => {}
        }
    }

    fn take_addresses(&mut self, links: Vec<RawAddresses>) {
        for link in links {
            // One that is tentative may still turn out to be somebody else's (RFC 4862).
            let usable = |info: &RawAddress| info.scope == "global" && !info.dadfailed && !info.tentative;
            for info in link.addr_info.into_iter().filter(usable) {
                if let Ok(net) = format!("{}/{}", info.local, info.prefixlen).parse() {
                    self.addresses.push(Address { link: link.ifname.clone(), net, dynamic: info.dynamic });
                }
            }
        }
    }

    fn take_routes(&mut self, routes: Vec<RawRoute>) {
        for route in routes.into_iter().filter(|route| route.dst == "default") {
            if let (Some(dev), Some(gateway)) =
                (route.dev, route.gateway.and_then(|gateway| gateway.parse().ok()))
            {
                if route.protocol.as_deref() == Some("ra") {
                    self.advertised.insert(gateway);
                }
                self.gateways.push((dev, gateway));
            }
        }
    }

    /// `PATH MODE =BASE64`, the path may hold blanks.
    fn take_file(&mut self, value: &str) {
        let mut parts = value.rsplitn(3, ' ');
        let (Some(coded), Some(mode), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            return;
        };
        let coded = coded.strip_prefix('=').unwrap_or(coded);
        match base64::decode(coded).and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(text) => self.keep_file(path, mode, text),
            None => self.unreadable.push(path.to_owned()),
        }
    }

    fn keep_file(&mut self, path: &str, mode: &str, text: String) {
        if let Some(name) = path.strip_prefix("/var/lib/kvmsh/network/records/") {
            match serde_json::from_str(&text) {
                Ok(record) => drop(self.records.insert(name.to_owned(), record)),
                Err(_) => self.unreadable.push(path.to_owned()),
            }
            return;
        }
        self.modes.insert(path.to_owned(), mode.to_owned());
        let files = match path.rsplit_once('/') {
            Some((netplan::DIR, _)) => &mut self.netplan,
            Some(("/run/netplan" | "/lib/netplan", _)) => &mut self.netplan_elsewhere,
            _ => &mut self.interfaces,
        };
        files.insert(path.to_owned(), text);
    }
}

/// An address as `$SSH_CONNECTION` has it: IPv4 may be written as IPv6.
fn plain_address(text: &str) -> Option<IpAddr> {
    let text = text.split('%').next().unwrap_or(text);
    match text.parse().ok()? {
        IpAddr::V6(v6) => Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)),
        v4 => Some(v4),
    }
}

/// JSON in base64; nothing where it is neither.
fn json<T: for<'de> Deserialize<'de> + Default>(coded: &str) -> T {
    base64::decode(coded).and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawLink {
    ifname: String,
    link: Option<String>,
    flags: Vec<String>,
    mtu: u32,
    max_mtu: Option<u32>,
    master: Option<String>,
    link_type: String,
    address: String,
    permaddr: Option<String>,
    linkinfo: RawInfo,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawInfo {
    info_kind: String,
    info_data: RawData,
    info_slave_data: RawSlave,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawData {
    mode: Option<serde_json::Value>,
    active_slave: Option<String>,
    ad_info: Option<RawAd>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAd {
    partner_mac: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawSlave {
    state: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAddresses {
    ifname: String,
    addr_info: Vec<RawAddress>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAddress {
    local: String,
    prefixlen: u8,
    scope: String,
    dynamic: bool,
    dadfailed: bool,
    tentative: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRoute {
    dst: String,
    dev: Option<String>,
    gateway: Option<String>,
    protocol: Option<String>,
}

impl From<RawLink> for LinkState {
    fn from(raw: RawLink) -> Self {
        let has = |flag: &str| raw.flags.iter().any(|f| f == flag);
        let (up, carrier) = (has("UP"), has("LOWER_UP"));
        let kind = raw.linkinfo.info_kind;
        let mode = raw.linkinfo.info_data.mode.and_then(|mode| mode.as_str().map(str::to_owned));
        Self {
            name: raw.ifname,
            bond_mode: mode.filter(|_| kind == "bond"),
            lacp_partner: raw.linkinfo.info_data.ad_info.and_then(|info| info.partner_mac),
            active_slave: raw.linkinfo.info_data.active_slave,
            kind,
            medium: raw.link_type,
            up,
            carrier,
            mac: raw.address,
            permanent_mac: raw.permaddr,
            mtu: raw.mtu,
            // 0 is what a driver says that has no limit.
            max_mtu: raw.max_mtu.filter(|mtu| *mtu > 0),
            master: raw.master,
            parent: raw.link,
            port_state: raw.linkinfo.info_slave_data.state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_host_printed_becomes_a_look() {
        let code = |text: &str| base64::encode(text.as_bytes(), true);
        let links = code(
            r#"[{"ifname":"enp2s0","flags":["UP","LOWER_UP"],"mtu":1500,"max_mtu":9000,"master":"bond0","link_type":"ether",
            "address":"02:00:00:00:00:01","permaddr":"02:00:00:00:00:02",
            "linkinfo":{"info_slave_kind":"bond","info_slave_data":{"state":"BACKUP","mii_status":"UP"}}},
            {"ifname":"bond0","flags":["UP"],"link_type":"ether","linkinfo":{"info_kind":"bond","info_data":{"mode":"active-backup","active_slave":"enp2s0","ad_info":{"partner_mac":"00:00:00:00:00:00"}}}}]"#,
        );
        let addresses = code(
            r#"[{"ifname":"bond0","addr_info":[{"local":"10.88.0.11","prefixlen":24,"scope":"global"},{"local":"fe80::1","prefixlen":64,"scope":"link"}]}]"#,
        );
        let routes = code(
            r#"[{"dst":"default","gateway":"10.88.0.1","dev":"bond0","protocol":"static"},{"dst":"10.88.0.0/24","dev":"bond0"}]"#,
        );
        let text = format!(
            "uid=0\nmachine_id=abc\nssh=10.88.0.1 50000 ::ffff:10.88.0.11 22\nlinks={links}\naddresses={addresses}\nroutes={routes}\nmain=bond0\nunit=networking active\nunit=NetworkManager inactive\nanswers=10.88.0.1\nfile=/etc/network/interfaces 644 ={}\nfile=/etc/netplan/a b.yaml 600 =\nifup=ifupdown\n",
            code("auto lo\n")
        );
        let look = Look::parse(&text);
        assert_eq!(look.main_address, Some("10.88.0.11".parse().unwrap()));
        let enp2s0 = look.link("enp2s0").unwrap();
        assert!(enp2s0.up && enp2s0.carrier && enp2s0.port_state.as_deref() == Some("BACKUP"));
        assert_eq!(look.ports_of("bond0").count(), 1);
        assert_eq!(look.link("bond0").unwrap().bond_mode.as_deref(), Some("active-backup"));
        assert_eq!(look.link("bond0").unwrap().lacp_partner.as_deref(), Some("00:00:00:00:00:00"));
        assert_eq!(look.addresses.len(), 1);
        assert_eq!(look.gateways, [("bond0".to_owned(), "10.88.0.1".parse().unwrap())]);
        assert_eq!(look.interfaces["/etc/network/interfaces"], "auto lo\n");
        assert_eq!(look.netplan["/etc/netplan/a b.yaml"], "");
        assert_eq!(look.active_units.iter().collect::<Vec<_>>(), ["networking"]);
    }

    proptest! {
        #[test]
        fn garbage_is_no_panic(text in "(?s)(links|file|ssh|routes|addresses|main|unit)=.{0,60}") {
            let _ = Look::parse(&text);
        }
    }
}
