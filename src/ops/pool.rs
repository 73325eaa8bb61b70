//! A storage pool on a host.

use super::{Host, Volume};
use crate::gate::{Change, Permit};
use crate::libvirt;
use crate::model::{Fault, PoolInfo, PoolSpec, VolumeSpec};
use crate::xml;

/// A pool: a name on a host.
#[derive(Debug, Clone)]
pub struct Pool {
    host: Host,
    name: String,
}

impl Pool {
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

    pub(super) fn ask<T>(
        &self,
        ask: impl Fn(&libvirt::Pool) -> Result<T, libvirt::Error>,
    ) -> Result<T, Fault> {
        self.host.ask(|c| ask(&c.pool(&self.name)?)).map_err(|fault| fault.on_object("pool", &self.name))
    }

    fn change(
        &self,
        action: &str,
        deed: impl FnOnce(&libvirt::Pool, &Permit) -> Result<(), libvirt::Error>,
    ) -> Result<(), Fault> {
        let change = Change::new(self.host.name(), "pool", &self.name, action);
        self.host
            .change(change, |permit| {
                let pool = self.host.connection()?.pool(&self.name)?;
                deed(&pool, permit).map_err(Fault::from)
            })
            .map(drop)
    }

    /// Whether it runs; one that a plan would define does not.
    fn active_now(&self) -> Result<bool, Fault> {
        match self.is_active() {
            Err(fault) if fault.code == "no_storage_pool" => Ok(false),
            active => active,
        }
    }

    /// UUID.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn uuid(&self) -> Result<String, Fault> {
        self.ask(libvirt::Pool::uuid)
    }

    /// State and sizes.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn info(&self) -> Result<PoolInfo, Fault> {
        self.ask(libvirt::Pool::info)
    }

    /// The XML.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn xml(&self) -> Result<String, Fault> {
        self.ask(|p| p.xml(false))
    }

    /// Type (`dir`, `netfs`, …) and path of its target.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn type_and_path(&self) -> Result<(String, String), Fault> {
        Ok(xml::pool::type_and_path(&self.xml()?)?)
    }

    /// What it was defined as.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn definition(&self) -> Result<PoolSpec, Fault> {
        // The test driver knows the one description only.
        let text = self.ask(|p| p.xml(true)).or_else(|_| self.xml())?;
        Ok(xml::pool::spec(&text)?)
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn is_active(&self) -> Result<bool, Fault> {
        self.ask(libvirt::Pool::is_active)
    }

    /// Whether it starts with the host.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn autostart(&self) -> Result<bool, Fault> {
        self.ask(libvirt::Pool::autostart)
    }

    /// Makes what it stands on.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn build(&self) -> Result<(), Fault> {
        self.change("build", libvirt::Pool::build)
    }

    /// Starts it; one that runs is left alone.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn start(&self) -> Result<(), Fault> {
        if self.active_now()? { Ok(()) } else { self.change("start", libvirt::Pool::start) }
    }

    /// Stops it; one that is stopped is left alone.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn stop(&self) -> Result<(), Fault> {
        if self.is_active()? { self.change("stop", libvirt::Pool::stop) } else { Ok(()) }
    }

    /// Looks again which volumes there are.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn refresh(&self) -> Result<(), Fault> {
        self.change("refresh", libvirt::Pool::refresh)
    }

    /// Destroys what it stands on.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn delete(&self) -> Result<(), Fault> {
        self.change("delete", libvirt::Pool::delete)
    }

    /// Removes its definition.
    ///
    /// # Errors
    /// `operation_invalid` when it runs.
    pub fn undefine(&self) -> Result<(), Fault> {
        self.change("undefine", libvirt::Pool::undefine)
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
        self.change(action, |p, permit| p.set_autostart(permit, on))
    }

    /// A volume by name.
    ///
    /// # Errors
    /// `no_storage_volume` with a suggestion.
    pub fn volume(&self, name: &str) -> Result<Volume, Fault> {
        match self.ask(|p| p.volume(name)) {
            Ok(_) => Ok(Volume::new(self.clone(), name)),
            Err(fault) => {
                let known = self.volume_names().unwrap_or_default();
                Err(super::objects::suggest(fault.on_object("volume", name), name, &known))
            }
        }
    }

    fn volume_names(&self) -> Result<Vec<String>, Fault> {
        let mut names =
            self.ask(|p| p.volumes()?.iter().map(libvirt::Volume::name).collect::<Result<Vec<_>, _>>())?;
        names.sort();
        Ok(names)
    }

    /// All volumes by name.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn volumes(&self) -> Result<Vec<Volume>, Fault> {
        Ok(self.volume_names()?.iter().map(|name| Volume::new(self.clone(), name)).collect())
    }

    /// Creates a volume. Where nothing is said of its owner, it is the pool's.
    ///
    /// # Errors
    /// `invalid_name`, `invalid_volume`, `storage_vol_exist`, …
    pub fn create_volume(&self, spec: &VolumeSpec) -> Result<Volume, Fault> {
        spec.check()?;
        let spec = self.owned(spec.clone());
        let text = xml::build::volume(&spec)?;
        let mut detail = format!("{}, {}", spec.capacity, spec.format);
        if let Some((path, _)) = &spec.backing {
            detail = format!("{}, on top of {path}", spec.format);
        }
        let change =
            Change::new(self.host.name(), "volume", &format!("{}/{}", self.name, spec.name), "create")
                .detail(detail);
        self.host.change(change, |permit| {
            let pool = self.host.connection()?.pool(&self.name)?;
            pool.create_volume(permit, &text, spec.metadata).map_err(Fault::from)
        })?;
        Ok(Volume::new(self.clone(), &spec.name))
    }

    /// Where root of the host is nobody to the server, a volume must be born with its owner.
    pub(super) fn owned(&self, mut spec: VolumeSpec) -> VolumeSpec {
        // A pool that is only planned says nothing.
        if let Ok(pool) = self.definition() {
            spec.owner = spec.owner.or(pool.owner);
            spec.group = spec.group.or(pool.group);
        }
        spec
    }
}
