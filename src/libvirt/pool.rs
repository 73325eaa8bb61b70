//! Storage pools.

use virt::storage_pool::StoragePool;
use virt::sys;

use super::{Connection, Error};
use crate::gate::Permit;
use crate::model::{Bytes, PoolInfo};

/// A storage pool of one connection; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    pub(super) connection: Connection,
    pub(super) pool: StoragePool,
}

/// States by `virStoragePoolState`.
const STATES: [&str; 5] = ["inactive", "building", "running", "degraded", "inaccessible"];

impl Connection {
    /// The pool of this name.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn pool(&self, name: &str) -> Result<Pool, Error> {
        let name = name.to_owned();
        let pool = self.call(move |c| c.lookup_storage_pool_by_name(&name))?;
        Ok(Pool { connection: self.clone(), pool })
    }

    /// All pools, running or not.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn pools(&self) -> Result<Vec<Pool>, Error> {
        let pools = self.call(|c| c.list_all_storage_pools(0))?;
        Ok(pools.into_iter().map(|pool| Pool { connection: self.clone(), pool }).collect())
    }

    /// Defines a pool; does not start it.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn define_pool(&self, _: &Permit, xml: &str) -> Result<Pool, Error> {
        let xml = xml.to_owned();
        let pool = self.tell(move |c| c.define_storage_pool_xml(&xml, 0))?;
        Ok(Pool { connection: self.clone(), pool })
    }
}

impl Pool {
    pub(super) fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&StoragePool) -> Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let pool = self.pool.clone();
        self.connection.call(move |_| call(&pool))
    }

    pub(super) fn tell<T: Send + 'static>(
        &self,
        call: impl FnOnce(&StoragePool) -> Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let pool = self.pool.clone();
        self.connection.tell(move |_| call(&pool))
    }

    /// Name.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn name(&self) -> Result<String, Error> {
        self.ask(StoragePool::name)
    }

    /// UUID.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn uuid(&self) -> Result<String, Error> {
        self.ask(StoragePool::uuid_string)
    }

    /// State and sizes.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn info(&self) -> Result<PoolInfo, Error> {
        let info = self.ask(StoragePool::info)?;
        Ok(PoolInfo {
            state: STATES.get(info.state as usize).copied().unwrap_or("unknown"),
            capacity: Bytes(info.capacity),
            allocation: Bytes(info.allocation),
            available: Bytes(info.available),
        })
    }

    /// The XML; with `inactive`, the definition.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn xml(&self, inactive: bool) -> Result<String, Error> {
        self.ask(move |p| p.xml_desc(if inactive { sys::VIR_STORAGE_XML_INACTIVE } else { 0 }))
    }

    /// Whether it is started.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn is_active(&self) -> Result<bool, Error> {
        self.ask(StoragePool::is_active)
    }

    /// Whether it has a definition.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn is_persistent(&self) -> Result<bool, Error> {
        self.ask(StoragePool::is_persistent)
    }

    /// Whether it starts with the host.
    ///
    /// # Errors
    /// `no_storage_pool`.
    pub fn autostart(&self) -> Result<bool, Error> {
        self.ask(StoragePool::autostart)
    }

    /// Makes what the pool stands on: its directory, its volume group.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn build(&self, _: &Permit) -> Result<(), Error> {
        self.tell(move |p| p.build(sys::VIR_STORAGE_POOL_BUILD_NEW))
    }

    /// Starts it.
    ///
    /// # Errors
    /// `operation_invalid` when it runs already.
    pub fn start(&self, _: &Permit) -> Result<(), Error> {
        self.tell(move |p| p.create(sys::VIR_STORAGE_POOL_CREATE_NORMAL))
    }

    /// Stops it; its volumes stay.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn stop(&self, _: &Permit) -> Result<(), Error> {
        self.tell(StoragePool::destroy)
    }

    /// Looks again which volumes there are.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run.
    pub fn refresh(&self, _: &Permit) -> Result<(), Error> {
        self.tell(move |p| p.refresh(0))
    }

    /// Destroys what the pool stands on. It must be stopped.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn delete(&self, _: &Permit) -> Result<(), Error> {
        self.tell(move |p| p.delete(sys::VIR_STORAGE_POOL_DELETE_NORMAL))
    }

    /// Removes its definition; what it stands on stays.
    ///
    /// # Errors
    /// `operation_invalid` when it runs.
    pub fn undefine(&self, _: &Permit) -> Result<(), Error> {
        self.tell(StoragePool::undefine)
    }

    /// Whether it shall start with the host.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn set_autostart(&self, _: &Permit, on: bool) -> Result<(), Error> {
        self.tell(move |p| p.set_autostart(on))
    }
}
