//! Looking up and defining what is on a host.

use super::{Domain, Host, Network, Pool, Volume};
use crate::gate::{Change, Outcome};
use crate::libvirt::{self, Connection};
use crate::model::suggest::did_you_mean;
use crate::model::{DomainRow, Fault};
use crate::xml;

impl Host {
    /// A domain by name.
    ///
    /// # Errors
    /// `no_domain` with a suggestion.
    pub fn domain(&self, name: &str) -> Result<Domain, Fault> {
        match self.ask(|c| c.domain_by_name(name)) {
            Ok(handle) => Ok(Domain::of(self, handle, name.to_owned())),
            Err(fault) if fault.code == "no_domain" => {
                let known = self.domain_names().unwrap_or_default();
                Err(suggest(fault.on_object("domain", name), name, &known))
            }
            Err(fault) => Err(fault.on_object("domain", name)),
        }
    }

    fn domain_names(&self) -> Result<Vec<String>, Fault> {
        Ok(self.domains()?.iter().map(|domain| domain.name().to_owned()).collect())
    }

    /// All domains, running or not, by name.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn domains(&self) -> Result<Vec<Domain>, Fault> {
        let mut domains = Vec::new();
        for handle in self.ask(Connection::domains)? {
            let name = handle.name().map_err(|error| Fault::from(error).on_host(self.name()))?;
            domains.push(Domain::of(self, handle, name));
        }
        domains.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(domains)
    }

    /// What a list shows of all domains, in one round trip, by name.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn domain_rows(&self) -> Result<Vec<DomainRow>, Fault> {
        let mut rows = self.ask(Connection::rows)?;
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    }

    /// Defines a domain, or changes the definition of the one with its name and UUID. Without `force`, a new one must
    /// not run on another known host, nor a machine there that writes to one of its disks.
    ///
    /// # Errors
    /// `runs_elsewhere`, `disk_in_use`; what libvirt said of the XML.
    pub fn define(&self, xml_text: &str, force: bool) -> Result<Domain, Fault> {
        let name = xml::domain::name(xml_text)?;
        let before = self.ask(|c| match c.domain_by_name(&name) {
            Ok(domain) => domain.xml(libvirt::XmlKind::Inactive).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        })?;
        if before.is_none() && !force {
            super::twice::refuse(self, &name, None, xml_text)?;
        }
        let mut change =
            Change::new(self.name(), "domain", &name, "define").after(xml::secret::hidden(xml_text));
        change.before = before.as_deref().map(xml::secret::hidden);
        let connection = self.connection()?;
        let defined = self.change(change, |permit| connection.define_domain(permit, xml_text))?;
        Ok(match defined {
            Outcome::Done(handle) => Domain::of(self, handle, name),
            Outcome::Planned => Domain::planned(self, name),
        })
    }

    /// Starts a transient domain, which must not run on another known host, nor a machine there that writes to one of
    /// its disks.
    ///
    /// # Errors
    /// `runs_elsewhere`, `disk_in_use`; what libvirt said of the XML.
    pub fn create(&self, xml_text: &str) -> Result<Domain, Fault> {
        let name = xml::domain::name(xml_text)?;
        super::twice::refuse(self, &name, None, xml_text)?;
        let change = Change::new(self.name(), "domain", &name, "create").after(xml::secret::hidden(xml_text));
        let connection = self.connection()?;
        let created = self.change(change, |permit| connection.create_domain(permit, xml_text))?;
        Ok(match created {
            Outcome::Done(handle) => Domain::of(self, handle, name),
            Outcome::Planned => Domain::planned(self, name),
        })
    }

    /// A pool by name.
    ///
    /// # Errors
    /// `no_storage_pool` with a suggestion.
    pub fn pool(&self, name: &str) -> Result<Pool, Fault> {
        match self.ask(|c| c.pool(name)) {
            Ok(_) => Ok(Pool::new(self, name)),
            Err(fault) => {
                let known: Vec<_> = self.pools()?.iter().map(|pool| pool.name().to_owned()).collect();
                Err(suggest(fault.on_object("pool", name), name, &known))
            }
        }
    }

    /// All pools by name.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn pools(&self) -> Result<Vec<Pool>, Fault> {
        let names =
            self.ask(|c| c.pools()?.iter().map(libvirt::Pool::name).collect::<Result<Vec<_>, _>>())?;
        Ok(sorted(names).iter().map(|name| Pool::new(self, name)).collect())
    }

    /// Defines a pool; does not start it.
    ///
    /// # Errors
    /// What libvirt said of the XML.
    pub fn define_pool(&self, xml_text: &str) -> Result<Pool, Fault> {
        let name = xml::pool::name("pool", xml_text)?;
        let change = Change::new(self.name(), "pool", &name, "define").after(xml::secret::hidden(xml_text));
        let connection = self.connection()?;
        self.change(change, |permit| connection.define_pool(permit, xml_text))?;
        Ok(Pool::new(self, &name))
    }

    /// A network by name.
    ///
    /// # Errors
    /// `no_network` with a suggestion.
    pub fn network(&self, name: &str) -> Result<Network, Fault> {
        match self.ask(|c| c.network(name)) {
            Ok(_) => Ok(Network::new(self, name)),
            Err(fault) => {
                let known: Vec<_> =
                    self.networks()?.iter().map(|network| network.name().to_owned()).collect();
                Err(suggest(fault.on_object("network", name), name, &known))
            }
        }
    }

    /// All networks by name.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn networks(&self) -> Result<Vec<Network>, Fault> {
        let names =
            self.ask(|c| c.networks()?.iter().map(libvirt::Network::name).collect::<Result<Vec<_>, _>>())?;
        Ok(sorted(names).iter().map(|name| Network::new(self, name)).collect())
    }

    /// Defines a network; does not start it.
    ///
    /// # Errors
    /// What libvirt said of the XML.
    pub fn define_network(&self, xml_text: &str) -> Result<Network, Fault> {
        let name = xml::pool::name("network", xml_text)?;
        let change =
            Change::new(self.name(), "network", &name, "define").after(xml::secret::hidden(xml_text));
        let connection = self.connection()?;
        self.change(change, |permit| connection.define_network(permit, xml_text))?;
        Ok(Network::new(self, &name))
    }

    /// The volume at a path, in whichever running pool.
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn volume(&self, path: &str) -> Result<Volume, Fault> {
        let (pool, name) = self
            .ask(|c| {
                let volume = c.volume_by_path(path)?;
                Ok((volume.pool_name()?, volume.name()?))
            })
            .map_err(|fault| fault.on_object("volume", path))?;
        Ok(Volume::new(Pool::new(self, &pool), &name))
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Adds "did you mean" to a fault about a name that is not there.
pub(super) fn suggest(fault: Fault, name: &str, known: &[String]) -> Fault {
    match did_you_mean(name, known.iter().map(String::as_str)) {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}
