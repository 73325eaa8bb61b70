//! A virtual machine as a person describes it.

use super::Bytes;

/// What a machine's description is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MachineSpec {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// `kvm`, `qemu`, `test`.
    pub virt_type: String,
    /// Architecture.
    pub arch: String,
    /// Memory.
    pub memory: Bytes,
    /// Virtual processors.
    pub vcpus: u32,
    /// `host-model`, `host-passthrough`, or the name of a model; none leaves it to QEMU.
    pub cpu: Option<String>,
    /// Features of the model that are switched off, and others that are switched on.
    pub cpu_features: (Vec<String>, Vec<String>),
    /// Whether it boots by UEFI.
    pub uefi: bool,
    /// Whether it has secure boot and a TPM.
    pub tpm: bool,
    /// Whether its system has no drivers for virtio.
    pub plain: bool,
    /// Whether its hardware clock shows local time.
    pub localtime: bool,
    /// Whether it gets Hyper-V's interfaces.
    pub hyperv: bool,
    /// Disks in their order.
    pub disks: Vec<MachineDisk>,
    /// Drives for what is only read: installer, seed.
    pub cdroms: Vec<String>,
    /// Network cards in their order.
    pub nics: Vec<MachineNic>,
    /// `hd`, `cdrom`, `network`, in the order in which they are tried.
    pub boot: Vec<String>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MachineDisk {
    /// Path on the host.
    pub path: String,
    /// `qcow2`, `raw`.
    pub format: String,
    /// The cache mode, where libvirt is not to decide.
    pub cache: Option<String>,
    /// Whether it is only read.
    pub read_only: bool,
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineNic {
    /// On one of libvirt's networks.
    Network(String),
    /// On a bridge of the host.
    Bridge(String),
}
