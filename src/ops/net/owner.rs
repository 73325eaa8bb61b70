//! Who looks after a host's network. A file that nobody reads changes nothing, and one that two read changes too much.

use super::look::Look;
use crate::model::{Class, Fault};
use crate::netconf::{ifupdown, netplan};

/// What the network's files are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Debian's ifupdown: /etc/network/interfaces.
    Ifupdown,
    /// netplan over systemd-networkd: /etc/netplan.
    Netplan,
}

impl Owner {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ifupdown => "ifupdown",
            Self::Netplan => "netplan",
        }
    }
}

/// One that says it looks after the main interface.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    owner: Option<Owner>,
    /// In words, with what shows it.
    who: String,
}

fn claims(look: &Look) -> Vec<Claim> {
    let main = look.main.as_str();
    let mut claims = Vec::new();
    let mut claim = |owner, who: String| claims.push(Claim { owner, who });
    // NetworkManager's states: 10 is unmanaged, 20 unavailable, 30 disconnected (nm-dbus-interface.h).
    let nm = look.nm_state.as_deref().and_then(|state| state.split(' ').next()?.parse::<u32>().ok());
    if look.active_units.contains("NetworkManager") && nm.is_some_and(|state| state > 30) {
        claim(
            None,
            format!("NetworkManager (device {main} is `{}`)", look.nm_state.as_deref().unwrap_or_default()),
        );
    }
    if look.active_units.contains("systemd-networkd")
        && let Some(file) = &look.networkd_file
    {
        if file.starts_with("/run/systemd/network/") && file.contains("-netplan-") {
            claim(Some(Owner::Netplan), format!("netplan ({file})"));
        } else {
            claim(None, format!("systemd-networkd by itself ({file})"));
        }
    }
    let stanza = ifupdown::configured(&look.interfaces).into_iter().find(|(name, _, _)| name == main);
    if let (Some((_, family, method)), Some(package)) = (stanza, &look.ifup) {
        let package = if package.is_empty() { "an ifup of an unknown package" } else { package };
        let owner = (package == "ifupdown").then_some(Owner::Ifupdown);
        let up = if look.ifstate.iter().any(|name| name == main) { ", and brought up by it" } else { "" };
        claim(owner, format!("{package} (`iface {main} {family} {method}` in /etc/network/interfaces{up})"));
    }
    claims
}

/// Who looks after the interface we came in by.
///
/// # Errors
/// `network_owner`, class `Refused`: nobody known, more than one, or one that kvmsh does not write files for.
pub fn owner(look: &Look) -> Result<Owner, Fault> {
    let refuse = |message: String| Fault::new("network_owner", message).class(Class::Refused);
    if look.main.is_empty() {
        return Err(refuse("it is not clear which interface leads to this host".to_owned())
            .hint("reach it by an address that one of its interfaces has"));
    }
    let main = &look.main;
    let claims = claims(look);
    match claims.as_slice() {
        [Claim { owner: Some(owner), .. }] => Ok(*owner),
        [Claim { owner: None, who }] => Err(refuse(format!("{main} is looked after by {who}"))
            .hint("kvmsh changes networks of ifupdown and of netplan over networkd; change this one with its own tools")),
        [] => {
            let mut found = Vec::new();
            if !look.interfaces.is_empty() {
                found.push("/etc/network/interfaces does not name it");
            }
            let in_netplan = netplan::configured(&look.netplan).is_ok_and(|all| all.iter().any(|(name, _)| name == main));
            if in_netplan {
                found.push("/etc/netplan names it, but networkd does not configure it by that");
            }
            let found = if found.is_empty() { String::new() } else { format!(": {}", found.join("; ")) };
            Err(refuse(format!("nobody is known to look after {main}{found}"))
                .hint("whatever configured it would undo or fight the change; find out what it was (DHCP by hand? cloud-init? a script?)"))
        }
        several => {
            let all: Vec<&str> = several.iter().map(|claim| claim.who.as_str()).collect();
            Err(refuse(format!("{main} is looked after by more than one: {}", all.join(", and ")))
                .hint("leave it to one of them first"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netconf::Files;

    fn look(main: &str) -> Look {
        Look { main: main.to_owned(), ..Look::default() }
    }

    fn ifupdown_look() -> Look {
        let text = "auto enp2s0\niface enp2s0 inet static\n address 10.0.0.2/24\n".to_owned();
        Look {
            interfaces: Files::from([(ifupdown::ROOT.to_owned(), text)]),
            ifup: Some("ifupdown".into()),
            ..look("enp2s0")
        }
    }

    fn networkd(file: &str) -> Look {
        Look {
            networkd_file: Some(file.into()),
            active_units: ["systemd-networkd".to_owned()].into(),
            ..look("enp2s0")
        }
    }

    #[test]
    fn one_owner_that_is_known_is_found() {
        assert_eq!(owner(&ifupdown_look()), Ok(Owner::Ifupdown));
        assert_eq!(owner(&networkd("/run/systemd/network/10-netplan-enp2s0.network")), Ok(Owner::Netplan));
        // networkd runs on many hosts and touches nothing.
        let idle = Look { networkd_file: None, ..networkd("") };
        assert_eq!(
            owner(&Look { interfaces: ifupdown_look().interfaces, ifup: Some("ifupdown".into()), ..idle }),
            Ok(Owner::Ifupdown)
        );
    }

    #[test]
    fn everybody_else_nobody_and_two_at_once_are_refused_with_what_was_found() {
        let nm = Look {
            nm_state: Some("100 (connected)".into()),
            active_units: ["NetworkManager".to_owned()].into(),
            ..look("enp2s0")
        };
        let both =
            Look { nm_state: nm.nm_state.clone(), active_units: nm.active_units.clone(), ..ifupdown_look() };
        for (look, word) in [
            (nm, "NetworkManager"),
            (networkd("/etc/systemd/network/lan.network"), "by itself"),
            (Look { ifup: Some("ifupdown2".into()), ..ifupdown_look() }, "ifupdown2"),
            (both, "more than one"),
            (look("enp2s0"), "nobody"),
            (look(""), "not clear"),
        ] {
            let fault = owner(&look).unwrap_err();
            assert_eq!((fault.code.as_str(), fault.class), ("network_owner", Class::Refused));
            assert!(fault.message.contains(word), "{}", fault.message);
        }
    }
}
