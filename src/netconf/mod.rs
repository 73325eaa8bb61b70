//! Network configuration files, edited losslessly: what is not touched stays as it is, byte for byte. No I/O.
//!
//! `Files` in, `Files` out: [`ifupdown`] for interfaces(5), [`netplan`] for netplan's YAML, and [`revert`] to take an
//! edit back from files that have been changed since.

pub mod ifupdown;
mod interfaces;
pub mod netplan;
pub mod revert;

use std::collections::BTreeMap;

use crate::model::{Addressing, Bond, Bridge, IfName};

/// Texts of files by path.
pub type Files = BTreeMap<String, String>;

/// Why files cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}{}", .advice.as_ref().map(|advice| format!(" ({advice})")).unwrap_or_default())]
pub struct Flaw {
    /// Which file.
    pub path: String,
    /// What is in the way, with the line where there is one.
    pub why: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Flaw {
    fn new(path: &str, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), why: why.into(), advice: None }
    }

    fn with_advice(self, advice: &str) -> Self {
        Self { advice: Some(advice.to_owned()), ..self }
    }
}

/// A bond or a bridge that is wanted, with what its files must say beside that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// A bond.
    Bond(Bond),
    /// A bridge.
    Bridge(Bridge),
}

impl Link {
    /// Its name.
    pub const fn name(&self) -> &IfName {
        match self {
            Self::Bond(bond) => &bond.name,
            Self::Bridge(bridge) => &bridge.name,
        }
    }

    /// `bond` or `bridge`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Bond(_) => "bond",
            Self::Bridge(_) => "bridge",
        }
    }

    /// What it is made of, as the admin named it: a bridge's VLAN not counted.
    pub fn ports(&self) -> &[IfName] {
        match self {
            Self::Bond(bond) => &bond.slaves,
            Self::Bridge(bridge) => &bridge.ports,
        }
    }

    /// The VLAN between a bridge and its ports.
    pub const fn vlan(&self) -> Option<u16> {
        match self {
            Self::Bond(_) => None,
            Self::Bridge(bridge) => bridge.vlan,
        }
    }

    /// The interfaces that are put into it: its ports, or their VLANs.
    pub fn members(&self) -> Vec<String> {
        let vlan = self.vlan();
        let member = |port: &IfName| vlan.map_or_else(|| port.to_string(), |id| format!("{port}.{id}"));
        self.ports().iter().map(member).collect()
    }

    /// Largest packet.
    pub const fn mtu(&self) -> Option<u32> {
        match self {
            Self::Bond(bond) => bond.mtu,
            Self::Bridge(bridge) => bridge.mtu,
        }
    }

    /// Where its address comes from. With a VLAN nothing is inherited: the port keeps what it has.
    pub const fn address(&self) -> &Addressing {
        let address = match self {
            Self::Bond(bond) => &bond.address,
            Self::Bridge(bridge) => &bridge.address,
        };
        match address {
            Addressing::Inherit if self.vlan().is_some() => &Addressing::None,
            address => address,
        }
    }
}
