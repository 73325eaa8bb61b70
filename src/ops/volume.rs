//! A volume of a pool.

use super::Pool;
use crate::gate::{Change, Permit};
use crate::libvirt;
use crate::model::{Bytes, Fault, VolumeInfo};
use crate::xml;

/// A volume: a name in a pool.
#[derive(Debug, Clone)]
pub struct Volume {
    pool: Pool,
    name: String,
}

impl Volume {
    pub(super) fn new(pool: Pool, name: &str) -> Self {
        Self { pool, name: name.to_owned() }
    }

    /// Its pool.
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn ask<T>(&self, ask: impl Fn(&libvirt::Volume) -> Result<T, libvirt::Error>) -> Result<T, Fault> {
        self.pool.ask(|p| ask(&p.volume(&self.name)?))
    }

    fn change(
        &self,
        action: &str,
        detail: Option<String>,
        deed: impl FnOnce(&libvirt::Volume, &Permit) -> Result<(), libvirt::Error>,
    ) -> Result<(), Fault> {
        let host = self.pool.host();
        let object = format!("{}/{}", self.pool.name(), self.name);
        let mut change = Change::new(host.name(), "volume", &object, action);
        change.detail = detail;
        host.change(change, |permit| {
            let volume = host.connection()?.pool(self.pool.name())?.volume(&self.name)?;
            deed(&volume, permit).map_err(Fault::from)
        })
        .map(drop)
    }

    /// Path on the host.
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn path(&self) -> Result<String, Fault> {
        self.ask(libvirt::Volume::path)
    }

    /// Kind and sizes.
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn info(&self) -> Result<VolumeInfo, Fault> {
        self.ask(libvirt::Volume::info)
    }

    /// The XML.
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn xml(&self) -> Result<String, Fault> {
        self.ask(libvirt::Volume::xml)
    }

    /// `raw`, `qcow2`, …
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn format(&self) -> Result<String, Fault> {
        Ok(xml::pool::volume_format(&self.xml()?)?)
    }

    /// Deletes it and its data.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn delete(&self) -> Result<(), Fault> {
        self.change("delete", None, libvirt::Volume::delete)
    }

    /// Makes it larger.
    ///
    /// # Errors
    /// `invalid_arg` for a smaller size.
    pub fn resize(&self, capacity: Bytes) -> Result<(), Fault> {
        self.change("resize", Some(capacity.to_string()), |v, permit| v.resize(permit, capacity))
    }
}
