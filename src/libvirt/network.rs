//! Virtual networks.

use virt::network as virt_network;
use virt::sys;

use super::{Connection, Error};
use crate::gate::Permit;

/// A virtual network of one connection; cheap to clone.
#[derive(Debug, Clone)]
pub struct Network {
    connection: Connection,
    network: virt_network::Network,
}

impl Connection {
    /// The network of this name.
    ///
    /// # Errors
    /// `no_network`.
    pub fn network(&self, name: &str) -> Result<Network, Error> {
        let name = name.to_owned();
        let network = self.call(move |c| c.lookup_network_by_name(&name))?;
        Ok(Network { connection: self.clone(), network })
    }

    /// All networks, running or not.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn networks(&self) -> Result<Vec<Network>, Error> {
        let networks = self.call(|c| c.list_all_networks(0))?;
        Ok(networks.into_iter().map(|network| Network { connection: self.clone(), network }).collect())
    }

    /// Defines a network; does not start it.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn define_network(&self, _: &Permit, xml: &str) -> Result<Network, Error> {
        let xml = xml.to_owned();
        let network = self.tell(move |c| c.define_network_xml(&xml))?;
        Ok(Network { connection: self.clone(), network })
    }
}

impl Network {
    fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&virt_network::Network) -> Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let network = self.network.clone();
        self.connection.call(move |_| call(&network))
    }

    fn tell<T: Send + 'static>(
        &self,
        call: impl FnOnce(&virt_network::Network) -> Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let network = self.network.clone();
        self.connection.tell(move |_| call(&network))
    }

    /// Name.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn name(&self) -> Result<String, Error> {
        self.ask(virt_network::Network::name)
    }

    /// UUID.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn uuid(&self) -> Result<String, Error> {
        self.ask(virt_network::Network::uuid_string)
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// `no_network`.
    pub fn is_active(&self) -> Result<bool, Error> {
        self.ask(virt_network::Network::is_active)
    }

    /// The bridge it uses.
    ///
    /// # Errors
    /// `internal_error` for a network without one.
    pub fn bridge(&self) -> Result<String, Error> {
        self.ask(virt_network::Network::bridge_name)
    }

    /// Whether it starts with the host.
    ///
    /// # Errors
    /// `no_network`.
    pub fn autostart(&self) -> Result<bool, Error> {
        self.ask(virt_network::Network::autostart)
    }

    /// The XML; with `inactive`, the definition.
    ///
    /// # Errors
    /// `no_network`.
    pub fn xml(&self, inactive: bool) -> Result<String, Error> {
        self.ask(move |n| n.xml_desc(if inactive { sys::VIR_NETWORK_XML_INACTIVE } else { 0 }))
    }

    /// Starts it.
    ///
    /// # Errors
    /// `operation_invalid` when it runs already.
    pub fn start(&self, _: &Permit) -> Result<(), Error> {
        self.tell(virt_network::Network::create)
    }

    /// Stops it; guests on it lose their link.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn stop(&self, _: &Permit) -> Result<(), Error> {
        self.tell(virt_network::Network::destroy)
    }

    /// Removes its definition.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn undefine(&self, _: &Permit) -> Result<(), Error> {
        self.tell(virt_network::Network::undefine)
    }

    /// Whether it shall start with the host.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn set_autostart(&self, _: &Permit, on: bool) -> Result<(), Error> {
        self.tell(move |n| n.set_autostart(on))
    }
}
