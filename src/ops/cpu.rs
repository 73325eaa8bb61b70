//! A host's CPU, and what guests can have of it.

use super::Host;
use crate::libvirt::Hypervisor;
use crate::model::Fault;
use crate::xml::host::{HostCpu, UsableModel, cpu_models};

/// The CPU of a host.
#[derive(Debug, Clone)]
pub struct Cpu {
    host: Host,
}

impl Cpu {
    pub(super) const fn new(host: Host) -> Self {
        Self { host }
    }

    /// Its host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Model, vendor, topology, features, as libvirt sees them.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn info(&self) -> Result<&HostCpu, Fault> {
        Ok(&self.host.capabilities()?.cpu)
    }

    /// The named models that guests can ask for, each usable or not, for KVM
    /// where the host has it, else for emulation.
    ///
    /// # Errors
    /// `no_support` for drivers without domain capabilities.
    pub fn models(&self) -> Result<Vec<UsableModel>, Fault> {
        let capabilities = self.host.capabilities()?;
        let native = capabilities.guests.iter().find(|guest| guest.name == capabilities.cpu.arch);
        let has_kvm = native.is_some_and(|guest| guest.virt_types.iter().any(|kind| kind == "kvm"));
        let of = Hypervisor {
            arch: capabilities.cpu.arch.clone(),
            virt_type: if has_kvm { "kvm".into() } else { "qemu".into() },
            ..Hypervisor::default()
        };
        Ok(cpu_models(&self.host.domain_capabilities_xml(&of)?)?)
    }
}
