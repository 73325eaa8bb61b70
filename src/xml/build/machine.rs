//! A machine's description: q35 and virtio, a serial console, a screen on the host itself, an agent's channel.

use serde::Serialize;

use super::{InBytes, Type};
use crate::model::machine::{MachineNic, MachineSpec};
use crate::xml::Error;

#[derive(Serialize)]
struct Domain<'a> {
    #[serde(rename = "@type")]
    kind: &'a str,
    name: &'a str,
    uuid: &'a str,
    memory: InBytes,
    vcpu: u32,
    os: Os<'a>,
    features: Features,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu<'a>>,
    on_poweroff: &'static str,
    on_reboot: &'static str,
    on_crash: &'static str,
    devices: Devices<'a>,
}

#[derive(Serialize)]
struct Os<'a> {
    #[serde(rename = "@firmware", skip_serializing_if = "Option::is_none")]
    firmware: Option<&'static str>,
    #[serde(rename = "type")]
    kind: OsType<'a>,
    boot: Vec<Boot<'a>>,
}

#[derive(Serialize)]
struct OsType<'a> {
    #[serde(rename = "@arch")]
    arch: &'a str,
    #[serde(rename = "@machine", skip_serializing_if = "Option::is_none")]
    machine: Option<&'static str>,
    #[serde(rename = "$text")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Boot<'a> {
    #[serde(rename = "@dev")]
    device: &'a str,
}

#[derive(Serialize)]
struct Features {
    acpi: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    apic: Option<()>,
}

#[derive(Serialize)]
struct Cpu<'a> {
    #[serde(rename = "@mode")]
    mode: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
}

#[derive(Serialize)]
struct Devices<'a> {
    disk: Vec<Disk<'a>>,
    interface: Vec<Nic<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Type<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<Channel<'a>>,
    graphics: Graphics,
    #[serde(skip_serializing_if = "Option::is_none")]
    rng: Option<Rng>,
}

#[derive(Serialize)]
struct Disk<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "@device")]
    device: &'static str,
    driver: Driver<'a>,
    source: File<'a>,
    target: Target,
    #[serde(skip_serializing_if = "Option::is_none")]
    readonly: Option<()>,
}

#[derive(Serialize)]
struct Driver<'a> {
    #[serde(rename = "@name")]
    name: &'static str,
    #[serde(rename = "@type")]
    kind: &'a str,
    #[serde(rename = "@cache", skip_serializing_if = "Option::is_none")]
    cache: Option<&'a str>,
    #[serde(rename = "@discard", skip_serializing_if = "Option::is_none")]
    discard: Option<&'static str>,
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "@file")]
    file: &'a str,
}

#[derive(Serialize)]
struct Target {
    #[serde(rename = "@dev")]
    device: String,
    #[serde(rename = "@bus")]
    bus: &'static str,
}

#[derive(Serialize)]
struct Nic<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    source: NicSource<'a>,
    model: Type<'a>,
}

#[derive(Serialize)]
struct NicSource<'a> {
    #[serde(rename = "@network", skip_serializing_if = "Option::is_none")]
    network: Option<&'a str>,
    #[serde(rename = "@bridge", skip_serializing_if = "Option::is_none")]
    bridge: Option<&'a str>,
}

#[derive(Serialize)]
struct Channel<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    target: ChannelTarget<'a>,
}

#[derive(Serialize)]
struct ChannelTarget<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "@name")]
    name: &'a str,
}

#[derive(Serialize)]
struct Graphics {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "@autoport")]
    autoport: &'static str,
    #[serde(rename = "@listen")]
    listen: &'static str,
}

#[derive(Serialize)]
struct Rng {
    #[serde(rename = "@model")]
    model: &'static str,
    backend: Backend,
}

#[derive(Serialize)]
struct Backend {
    #[serde(rename = "@model")]
    model: &'static str,
    #[serde(rename = "$text")]
    file: &'static str,
}

/// `vda`, `vdb`, … `vdaa`.
fn device(prefix: &str, mut index: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'a' + u8::try_from(index % 26).unwrap_or(0)));
        if index < 26 {
            break;
        }
        index = index / 26 - 1;
    }
    prefix.chars().chain(letters.into_iter().rev()).collect()
}

/// The machine's description.
///
/// # Errors
/// A text that XML cannot hold.
pub fn machine(spec: &MachineSpec) -> Result<String, Error> {
    let disks = spec.disks.iter().enumerate().map(|(index, disk)| Disk {
        kind: "file",
        device: "disk",
        driver: Driver {
            name: "qemu",
            kind: &disk.format,
            cache: disk.cache.as_deref(),
            // What the guest deletes is free again.
            discard: Some("unmap"),
        },
        source: File { file: &disk.path },
        target: Target { device: device("vd", index), bus: "virtio" },
        readonly: disk.read_only.then_some(()),
    });
    let drives = spec.cdroms.iter().enumerate().map(|(index, path)| Disk {
        kind: "file",
        device: "cdrom",
        driver: Driver { name: "qemu", kind: "raw", cache: None, discard: None },
        source: File { file: path },
        target: Target {
            device: device("sd", index),
            bus: if spec.arch == "x86_64" { "sata" } else { "scsi" },
        },
        readonly: Some(()),
    });
    let nics = spec.nics.iter().map(|nic| {
        let (kind, network, bridge) = match nic {
            MachineNic::Network(name) => ("network", Some(name.as_str()), None),
            MachineNic::Bridge(name) => ("bridge", None, Some(name.as_str())),
        };
        Nic { kind, source: NicSource { network, bridge }, model: Type { kind: "virtio" } }
    });
    let cpu = spec.cpu.as_deref().map(|cpu| match cpu {
        "host-model" | "host-passthrough" => Cpu { mode: cpu, model: None },
        model => Cpu { mode: "custom", model: Some(model) },
    });
    let machine = match spec.arch.as_str() {
        "x86_64" => Some("q35"),
        "aarch64" => Some("virt"),
        _ => None,
    };
    let domain = Domain {
        kind: &spec.virt_type,
        name: &spec.name,
        uuid: &spec.uuid,
        memory: spec.memory.into(),
        vcpu: spec.vcpus,
        os: Os {
            firmware: spec.uefi.then_some("efi"),
            kind: OsType {
                arch: &spec.arch,
                machine: machine.filter(|_| spec.virt_type != "test"),
                kind: "hvm",
            },
            boot: spec.boot.iter().map(|device| Boot { device }).collect(),
        },
        features: Features { acpi: (), apic: (spec.arch == "x86_64").then_some(()) },
        cpu,
        on_poweroff: "destroy",
        on_reboot: "restart",
        on_crash: "restart",
        devices: Devices {
            disk: disks.chain(drives).collect(),
            interface: nics.collect(),
            serial: Some(Type { kind: "pty" }),
            channel: Some(Channel {
                kind: "unix",
                target: ChannelTarget { kind: "virtio", name: "org.qemu.guest_agent.0" },
            }),
            graphics: Graphics { kind: "vnc", autoport: "yes", listen: "127.0.0.1" },
            rng: Some(Rng { model: "virtio", backend: Backend { model: "random", file: "/dev/urandom" } }),
        },
    };
    super::write("domain", "domain", &domain)
}

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn disks_are_named_as_the_kernel_names_them() {
        assert_eq!(
            [0, 1, 25, 26, 27, 52].map(|index| device("vd", index)),
            ["vda", "vdb", "vdz", "vdaa", "vdab", "vdba"]
        );
    }
}
