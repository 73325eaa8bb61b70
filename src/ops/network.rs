//! A virtual network on a host.

use super::Host;
use crate::gate::{Change, Permit};
use crate::libvirt;
use crate::model::Fault;

/// A network: a name on a host.
#[derive(Debug, Clone)]
pub struct Network {
    host: Host,
    name: String,
}

impl Network {
    pub(super) fn new(host: &Host, name: &str) -> Self {
        Self { host: host.clone(), name: name.to_owned() }
    }

    /// Its host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn ask<T>(&self, ask: impl Fn(&libvirt::Network) -> Result<T, libvirt::Error>) -> Result<T, Fault> {
        self.host
            .ask(|c| ask(&c.network(&self.name)?))
            .map_err(|fault| fault.on_object("network", &self.name))
    }

    fn change(
        &self,
        action: &str,
        deed: impl FnOnce(&libvirt::Network, &Permit) -> Result<(), libvirt::Error>,
    ) -> Result<(), Fault> {
        let change = Change::new(self.host.name(), "network", &self.name, action);
        self.host
            .change(change, |permit| {
                let network = self.host.connection()?.network(&self.name)?;
                deed(&network, permit).map_err(Fault::from)
            })
            .map(drop)
    }

    /// UUID.
    ///
    /// # Errors
    /// `no_network`.
    pub fn uuid(&self) -> Result<String, Fault> {
        self.ask(libvirt::Network::uuid)
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// `no_network`.
    pub fn is_active(&self) -> Result<bool, Fault> {
        self.ask(libvirt::Network::is_active)
    }

    /// Whether it runs; one that a plan would define does not.
    fn active_now(&self) -> Result<bool, Fault> {
        match self.is_active() {
            Err(fault) if fault.code == "no_network" => Ok(false),
            active => active,
        }
    }

    /// The bridge it uses; empty for a network without one.
    ///
    /// # Errors
    /// `no_network`.
    pub fn bridge(&self) -> Result<String, Fault> {
        match self.ask(libvirt::Network::bridge) {
            Err(fault) if fault.code == "internal_error" => Ok(String::new()),
            bridge => bridge,
        }
    }

    /// Whether it starts with the host.
    ///
    /// # Errors
    /// `no_network`.
    pub fn autostart(&self) -> Result<bool, Fault> {
        self.ask(libvirt::Network::autostart)
    }

    /// The XML.
    ///
    /// # Errors
    /// `no_network`.
    pub fn xml(&self) -> Result<String, Fault> {
        self.ask(|n| n.xml(false))
    }

    /// Starts it; one that runs is left alone.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn start(&self) -> Result<(), Fault> {
        if self.active_now()? { Ok(()) } else { self.change("start", libvirt::Network::start) }
    }

    /// Stops it; one that is stopped is left alone.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn stop(&self) -> Result<(), Fault> {
        if self.is_active()? { self.change("stop", libvirt::Network::stop) } else { Ok(()) }
    }

    /// Removes its definition.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn undefine(&self) -> Result<(), Fault> {
        self.change("undefine", libvirt::Network::undefine)
    }

    /// Whether it shall start with the host; does nothing where it is so already.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn set_autostart(&self, on: bool) -> Result<(), Fault> {
        if self.autostart().is_ok_and(|now| now == on) {
            return Ok(());
        }
        let action = if on { "autostart" } else { "no autostart" };
        self.change(action, |n, permit| n.set_autostart(permit, on))
    }
}
