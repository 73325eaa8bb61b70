//! What is known of a guest.

use std::fmt;

use super::Bytes;
use super::data::Tone;

/// A domain's state, in the words that virsh uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DomainState {
    /// libvirt does not know.
    NoState,
    /// Running.
    Running,
    /// Blocked on a resource; virsh says `idle`.
    Blocked,
    /// Paused by a user, an I/O error or a migration.
    Paused,
    /// Being shut down.
    Shutdown,
    /// Not running.
    ShutOff,
    /// Crashed.
    Crashed,
    /// Suspended by the guest's power management.
    PmSuspended,
}

impl DomainState {
    /// From libvirt's `virDomainState`.
    pub const fn from_libvirt(number: i32) -> Self {
        match number {
            1 => Self::Running,
            2 => Self::Blocked,
            3 => Self::Paused,
            4 => Self::Shutdown,
            5 => Self::ShutOff,
            6 => Self::Crashed,
            7 => Self::PmSuspended,
            _ => Self::NoState,
        }
    }

    /// virsh's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoState => "no state",
            Self::Running => "running",
            Self::Blocked => "idle",
            Self::Paused => "paused",
            Self::Shutdown => "in shutdown",
            Self::ShutOff => "shut off",
            Self::Crashed => "crashed",
            Self::PmSuspended => "pmsuspended",
        }
    }

    /// Whether the guest holds memory on its host. One that has crashed does: its
    /// QEMU is kept for a look (`on_crash` preserve), else it would be shut off.
    pub const fn is_active(self) -> bool {
        !matches!(self, Self::ShutOff)
    }

    /// Whether the guest's processors run.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::Blocked)
    }

    /// How it is coloured.
    pub const fn tone(self) -> Tone {
        match self {
            Self::Running | Self::Blocked => Tone::Good,
            Self::Paused | Self::PmSuspended | Self::Shutdown | Self::NoState => Tone::Warn,
            Self::ShutOff => Tone::Idle,
            Self::Crashed => Tone::Bad,
        }
    }
}

impl fmt::Display for DomainState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// `virDomainInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainInfo {
    /// The state.
    pub state: DomainState,
    /// The most memory the guest may have.
    pub max_memory: Bytes,
    /// The memory it has now.
    pub memory: Bytes,
    /// Virtual processors.
    pub vcpus: u32,
    /// Processor time used since its start, in nanoseconds.
    pub cpu_time: u64,
}

/// One domain of a bulk listing.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainRow {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// State.
    pub state: DomainState,
    /// The most memory it may have.
    pub max_memory: Option<Bytes>,
    /// The memory it has now.
    pub memory: Option<Bytes>,
    /// The memory its QEMU has really taken from the host.
    pub resident: Option<Bytes>,
    /// Virtual processors.
    pub vcpus: Option<u64>,
    /// Processor time, in nanoseconds.
    pub cpu_time: Option<u64>,
}

/// A disk as the domain's XML describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disk {
    /// Name in the guest's eyes: `vda`.
    pub target: String,
    /// `disk`, `cdrom`, `floppy`, `lun`.
    pub device: String,
    /// `file`, `block`, `network`, `volume`, `dir`, …
    pub kind: String,
    /// The path, device or `protocol:name`; empty for an empty drive.
    pub source: String,
    /// The pool of a disk of the kind `volume`, once its path is known.
    pub pool: String,
    /// `qcow2`, `raw`, …
    pub format: String,
    /// The cache mode as written; empty when libvirt decides.
    pub cache: String,
    /// Whether the guest may only read.
    pub read_only: bool,
    /// Whether several guests may write to it at a time.
    pub shareable: bool,
    /// Whether changes are thrown away at shutdown.
    pub transient: bool,
}

/// A network card as the domain's XML describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nic {
    /// MAC address.
    pub mac: String,
    /// `network`, `bridge`, `direct`, `user`, …
    pub kind: String,
    /// The network's, bridge's or device's name.
    pub source: String,
    /// `virtio`, `e1000`, …
    pub model: String,
    /// The tap device on the host, of a running guest.
    pub device: String,
}

/// What a move of the guest depends on, read from its XML.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hardware {
    /// `kvm` or `qemu`.
    pub virt_type: String,
    /// Guest architecture.
    pub arch: String,
    /// Machine type.
    pub machine: String,
    /// Path of the emulator.
    pub emulator: String,
    /// The `<cpu>` element as it stands in the XML; empty when there is none.
    pub cpu_xml: String,
    /// Disks.
    pub disks: Vec<Disk>,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// Host devices passed through, by type (`pci`, `usb`, …).
    pub host_devices: Vec<String>,
    /// Kernel, initrd, firmware and the like: files that QEMU opens when it starts.
    pub boot_files: Vec<String>,
    /// The file with the UEFI variables; empty when there is none. A live
    /// migration carries its contents, a move of the definition does not.
    pub nvram: String,
    /// Whether memory is backed by hugepages.
    pub hugepages: bool,
    /// Whether the XML asks for the CPU as it is on the host.
    pub host_passthrough: bool,
}
