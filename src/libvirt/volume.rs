//! Volumes of storage pools.

use virt::storage_vol::StorageVol;
use virt::sys;

use super::{Connection, Error, Pool};
use crate::gate::Permit;
use crate::model::{Bytes, VolumeInfo};

/// A volume of one connection; cheap to clone.
#[derive(Debug, Clone)]
pub struct Volume {
    pub(super) connection: Connection,
    pub(super) volume: StorageVol,
}

/// Kinds by `virStorageVolType`.
const KINDS: [&str; 6] = ["file", "block", "dir", "network", "netdir", "ploop"];

impl Connection {
    /// The volume at this path, in whichever running pool.
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn volume_by_path(&self, path: &str) -> Result<Volume, Error> {
        let path = path.to_owned();
        let volume = self.call(move |c| c.lookup_storage_vol_by_path(&path))?;
        Ok(Volume { connection: self.clone(), volume })
    }
}

impl Pool {
    /// The volume of this name.
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn volume(&self, name: &str) -> Result<Volume, Error> {
        let name = name.to_owned();
        let volume = self.ask(move |p| p.lookup_storage_vol_by_name(&name))?;
        Ok(Volume { connection: self.connection.clone(), volume })
    }

    /// All volumes of a running pool.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn volumes(&self) -> Result<Vec<Volume>, Error> {
        let volumes = self.ask(|p| p.list_all_volumes(0))?;
        Ok(volumes.into_iter().map(|volume| Volume { connection: self.connection.clone(), volume }).collect())
    }

    /// Creates a volume; with `metadata`, room for the tables of a qcow2 image is taken at once.
    ///
    /// # Errors
    /// `storage_vol_exist`, …
    pub fn create_volume(&self, _: &Permit, xml: &str, metadata: bool) -> Result<Volume, Error> {
        let xml = xml.to_owned();
        let flags = if metadata { sys::VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA } else { 0 };
        let volume = self.tell(move |p| StorageVol::create_xml(p, &xml, flags))?;
        Ok(Volume { connection: self.connection.clone(), volume })
    }
}

impl Volume {
    fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&StorageVol) -> Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let volume = self.volume.clone();
        self.connection.call(move |_| call(&volume))
    }

    pub(super) fn tell<T: Send + 'static>(
        &self,
        call: impl FnOnce(&StorageVol) -> Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let volume = self.volume.clone();
        self.connection.tell(move |_| call(&volume))
    }

    /// Name.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn name(&self) -> Result<String, Error> {
        self.ask(StorageVol::name)
    }

    /// Path on the host.
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn path(&self) -> Result<String, Error> {
        self.ask(StorageVol::path)
    }

    /// The name of its pool.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn pool_name(&self) -> Result<String, Error> {
        self.ask(move |v| v.lookup_storage_pool()?.name())
    }

    /// Kind and sizes.
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn info(&self) -> Result<VolumeInfo, Error> {
        let info = self.ask(StorageVol::info)?;
        Ok(VolumeInfo {
            kind: KINDS.get(info.kind as usize).copied().unwrap_or("unknown"),
            capacity: Bytes(info.capacity),
            allocation: Bytes(info.allocation),
        })
    }

    /// The XML.
    ///
    /// # Errors
    /// `no_storage_volume`.
    pub fn xml(&self) -> Result<String, Error> {
        self.ask(move |v| v.xml_desc(0))
    }

    /// Deletes it and its data.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn delete(&self, _: &Permit) -> Result<(), Error> {
        self.tell(move |v| v.delete(0))
    }

    /// Makes it larger; the data stay.
    ///
    /// # Errors
    /// `no_support` for drivers that cannot, `invalid_arg` for a smaller size.
    pub fn resize(&self, _: &Permit, capacity: Bytes) -> Result<(), Error> {
        self.tell(move |v| v.resize(capacity.0, 0))
    }
}
