//! Network links as an admin wants them: bonds, bridges, and where the address goes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A network interface's name: 1 to 15 bytes (the kernel's `IFNAMSIZ` less the final NUL), made of letters, digits,
/// `.`, `_` and `-`, and begun with a letter or digit. The kernel allows more; interfaces(5), netplan and shells do not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IfName(String);

impl IfName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name of an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no name of a network interface: {why}", .name.escape_debug())]
pub struct NotAName {
    name: String,
    why: &'static str,
}

impl FromStr for IfName {
    type Err = NotAName;

    fn from_str(name: &str) -> Result<Self, NotAName> {
        let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        let why = match name {
            "" => "it is empty",
            "lo" | "all" | "default" => "the word is taken by the system",
            _ if name.len() > 15 => "it has more than 15 characters",
            _ if name.contains(odd) => "it may hold letters, digits, `.`, `_` and `-`",
            _ if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
                "it must begin with a letter or a digit"
            }
            _ => return Ok(Self(name.to_owned())),
        };
        Err(NotAName { name: name.to_owned(), why })
    }
}

/// How a bond uses its slaves; the names are those of the kernel's bonding.rst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// 0: packets take turns.
    BalanceRr,
    /// 1: one slave works, the others wait.
    ActiveBackup,
    /// 2: a hash of the addresses chooses the slave.
    BalanceXor,
    /// 3: everything goes out on every slave.
    Broadcast,
    /// 4: link aggregation with the switch (LACP).
    #[serde(rename = "802.3ad")]
    Lacp,
    /// 5: by load, outgoing.
    BalanceTlb,
    /// 6: by load, both ways, by answering ARP differently.
    BalanceAlb,
}

impl BondMode {
    /// All modes, in the kernel's order.
    pub const ALL: [Self; 7] = [
        Self::BalanceRr,
        Self::ActiveBackup,
        Self::BalanceXor,
        Self::Broadcast,
        Self::Lacp,
        Self::BalanceTlb,
        Self::BalanceAlb,
    ];

    /// The kernel's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BalanceRr => "balance-rr",
            Self::ActiveBackup => "active-backup",
            Self::BalanceXor => "balance-xor",
            Self::Broadcast => "broadcast",
            Self::Lacp => "802.3ad",
            Self::BalanceTlb => "balance-tlb",
            Self::BalanceAlb => "balance-alb",
        }
    }

    /// Whether one of the slaves can be preferred: `primary` (bonding.rst: modes 1, 5 and 6).
    pub const fn has_primary(self) -> bool {
        matches!(self, Self::ActiveBackup | Self::BalanceTlb | Self::BalanceAlb)
    }

    /// Whether a hash chooses the slave: `xmit_hash_policy` (bonding.rst: modes 2, 4 and 5).
    pub const fn has_hash_policy(self) -> bool {
        matches!(self, Self::BalanceXor | Self::Lacp | Self::BalanceTlb)
    }
}

impl FromStr for BondMode {
    type Err = String;

    /// The kernel's word or number.
    fn from_str(text: &str) -> Result<Self, String> {
        let by_number = text.parse().ok().and_then(|n: usize| Self::ALL.get(n));
        let mode = Self::ALL.iter().find(|mode| mode.word() == text).or(by_number);
        mode.copied().ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|mode| mode.word()).collect();
            format!("`{text}` is no mode of a bond; the modes are {}", words.join(", "))
        })
    }
}

/// A bond that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bond {
    /// Its name.
    pub name: IfName,
    /// What it is made of, in this order.
    pub slaves: Vec<IfName>,
    /// How it uses them.
    pub mode: BondMode,
    /// How often the slaves' links are looked at, in milliseconds; 0 is never, and then nothing fails over.
    pub miimon: u32,
    /// The slave that works whenever it can.
    pub primary: Option<IfName>,
    /// `slow` or `fast`: how often LACP speaks.
    pub lacp_rate: Option<String>,
    /// `layer2`, `layer2+3`, `layer3+4`, …
    pub xmit_hash_policy: Option<String>,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// Where the address goes.
    pub address: Addressing,
}

/// A bridge that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its name.
    pub name: IfName,
    /// What hangs on it beside the guests.
    pub ports: Vec<IfName>,
    /// The VLAN of its ports: a bridge `br20` on `bond0` with VLAN 20 hangs on `bond0.20`.
    pub vlan: Option<u16>,
    /// Spanning tree.
    pub stp: bool,
    /// Seconds until a new port forwards; without STP none are needed.
    pub forward_delay: u32,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// Where the address goes.
    pub address: Addressing,
}

/// What addresses a link has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressing {
    /// Those that its ports have in the configuration.
    Inherit,
    /// None: for guests alone.
    None,
    /// These.
    Set(Addresses),
}

/// Addresses as they are written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// IPv4 by DHCP.
    pub dhcp4: bool,
    /// IPv6 by router advertisements.
    pub auto6: bool,
    /// Static addresses with their prefix.
    pub addresses: Vec<IpNet>,
    /// Default gateways, at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// Name servers.
    pub nameservers: Vec<IpAddr>,
}

impl Addresses {
    /// The gateway of the family of `net`.
    pub fn gateway_for(&self, net: &IpNet) -> Option<IpAddr> {
        self.gateways.iter().find(|gateway| gateway.is_ipv4() == net.addr().is_ipv4()).copied()
    }

    /// What is wrong with them, in words; `None` when nothing is.
    pub fn flaw(&self) -> Option<String> {
        for net in &self.addresses {
            let address = net.addr();
            let max = if address.is_ipv4() { 32 } else { 128 };
            if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
                return Some(format!("{address} is no address for a host"));
            }
            if address.is_ipv4() && net.prefix_len() < 31 {
                if address == net.network() {
                    return Some(format!("{address} is the address of the network {}", net.trunc()));
                }
                if address == net.broadcast() {
                    return Some(format!("{address} is the broadcast address of {}", net.trunc()));
                }
            }
            if net.prefix_len() == 0 || (net.prefix_len() == max && !self.gateways.is_empty()) {
                return Some(format!(
                    "the prefix of {net} is wrong: /24 is what most IPv4 networks have, /64 most IPv6 ones"
                ));
            }
        }
        for (at, gateway) in self.gateways.iter().enumerate() {
            if self.gateways[..at].iter().any(|other| other.is_ipv4() == gateway.is_ipv4()) {
                return Some("there can be only one gateway of a family".to_owned());
            }
            if self.addresses.iter().any(|net| net.addr() == *gateway) {
                return Some(format!("{gateway} cannot be the address and the gateway at once"));
            }
            let link_local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
            let same_family: Vec<_> =
                self.addresses.iter().filter(|net| net.addr().is_ipv4() == gateway.is_ipv4()).collect();
            if !link_local && !same_family.iter().any(|net| net.contains(gateway)) {
                let nets: Vec<String> = same_family.iter().map(|net| net.trunc().to_string()).collect();
                let nets =
                    if nets.is_empty() { "any address of its family".to_owned() } else { nets.join(", ") };
                return Some(format!("the gateway {gateway} is outside {nets}"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_or_a_file_would_take_apart_are_refused() {
        for good in ["eth0", "enp2s0", "bond0.20", "br-lan", "0x"] {
            assert_eq!(good.parse::<IfName>().unwrap().as_str(), good);
        }
        for bad in
            ["", "a b", "a;reboot", "$(id)", "../x", "-x", "lo", "0123456789abcdef", "é", "a/b", "a:1", "a\n"]
        {
            assert!(bad.parse::<IfName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn modes_have_the_kernels_words_and_numbers() {
        assert_eq!("802.3ad".parse(), Ok(BondMode::Lacp));
        assert_eq!("6".parse(), Ok(BondMode::BalanceAlb));
        assert!("7".parse::<BondMode>().unwrap_err().contains("active-backup"));
    }

    fn addresses(nets: &[&str], gateways: &[&str]) -> Addresses {
        Addresses {
            addresses: nets.iter().map(|net| net.parse().unwrap()).collect(),
            gateways: gateways.iter().map(|gateway| gateway.parse().unwrap()).collect(),
            ..Addresses::default()
        }
    }

    #[test]
    fn a_gateway_must_be_in_the_subnet_and_an_address_must_be_one() {
        assert_eq!(addresses(&["10.88.0.11/24"], &["10.88.0.1"]).flaw(), None);
        assert_eq!(addresses(&["10.88.0.11/24", "fd00::1/64"], &["10.88.0.1", "fe80::1"]).flaw(), None);
        for (nets, gateways, word) in [
            (vec!["10.88.0.11/24"], vec!["10.99.0.1"], "outside"),
            (vec!["10.88.0.11/24"], vec!["10.88.0.11"], "at once"),
            (vec!["10.88.0.0/24"], vec![], "address of the network"),
            (vec!["10.88.0.255/24"], vec![], "broadcast"),
            (vec!["10.88.0.11/32"], vec!["10.88.0.1"], "prefix"),
            (vec!["10.88.0.11/24"], vec!["10.88.0.1", "10.88.0.2"], "only one"),
            (vec!["fd00::1/64"], vec!["10.88.0.1"], "outside"),
            (vec!["127.0.0.1/8"], vec![], "no address for a host"),
        ] {
            let flaw = addresses(&nets, &gateways).flaw();
            assert!(flaw.as_ref().is_some_and(|flaw| flaw.contains(word)), "{nets:?} {gateways:?}: {flaw:?}");
        }
    }
}
