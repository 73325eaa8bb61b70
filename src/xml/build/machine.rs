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
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<Clock>,
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
    #[serde(rename = "firmware", skip_serializing_if = "Option::is_none")]
    secure: Option<Firmware>,
    boot: Vec<Boot<'a>>,
}

#[derive(Serialize)]
struct Firmware {
    feature: Vec<Enabled>,
}

#[derive(Serialize)]
struct Enabled {
    #[serde(rename = "@enabled")]
    enabled: &'static str,
    #[serde(rename = "@name")]
    name: &'static str,
}

#[derive(Serialize)]
struct Clock {
    #[serde(rename = "@offset")]
    offset: &'static str,
    timer: Vec<Timer>,
}

#[derive(Serialize)]
struct Timer {
    #[serde(rename = "@name")]
    name: &'static str,
    #[serde(rename = "@tickpolicy", skip_serializing_if = "Option::is_none")]
    policy: Option<&'static str>,
    #[serde(rename = "@present", skip_serializing_if = "Option::is_none")]
    present: Option<&'static str>,
}

#[derive(Serialize)]
struct State {
    #[serde(rename = "@state")]
    state: &'static str,
    #[serde(rename = "@retries", skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
}

#[derive(Serialize)]
struct HyperV {
    relaxed: State,
    vapic: State,
    spinlocks: State,
}

#[derive(Serialize)]
struct Tpm {
    #[serde(rename = "@model")]
    model: &'static str,
    backend: TpmBackend,
}

#[derive(Serialize)]
struct TpmBackend {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "@version")]
    version: &'static str,
}

#[derive(Serialize)]
struct CpuFeature<'a> {
    #[serde(rename = "@policy")]
    policy: &'static str,
    #[serde(rename = "@name")]
    name: &'a str,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    hyperv: Option<HyperV>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smm: Option<State>,
}

#[derive(Serialize)]
struct Cpu<'a> {
    #[serde(rename = "@mode")]
    mode: &'a str,
    #[serde(rename = "@match", skip_serializing_if = "Option::is_none")]
    exact: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    feature: Vec<CpuFeature<'a>>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<Tpm>,
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

fn on_state(retries: Option<u32>) -> State {
    State { state: "on", retries }
}

/// What Windows reckons time by.
fn timers(hyperv: bool) -> Vec<Timer> {
    let mut timers = vec![
        Timer { name: "rtc", policy: Some("catchup"), present: None },
        Timer { name: "pit", policy: Some("delay"), present: None },
        Timer { name: "hpet", policy: None, present: Some("no") },
    ];
    if hyperv {
        timers.push(Timer { name: "hypervclock", policy: None, present: Some("yes") });
    }
    timers
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
        target: match spec.plain {
            true => Target { device: device("sd", index), bus: "sata" },
            false => Target { device: device("vd", index), bus: "virtio" },
        },
        readonly: disk.read_only.then_some(()),
    });
    let drives = spec.cdroms.iter().enumerate().map(|(index, path)| Disk {
        kind: "file",
        device: "cdrom",
        driver: Driver { name: "qemu", kind: "raw", cache: None, discard: None },
        source: File { file: path },
        target: Target {
            device: device("sd", index + if spec.plain { spec.disks.len() } else { 0 }),
            bus: if spec.arch == "x86_64" { "sata" } else { "scsi" },
        },
        readonly: Some(()),
    });
    let nics = spec.nics.iter().map(|nic| {
        let (kind, network, bridge) = match nic {
            MachineNic::Network(name) => ("network", Some(name.as_str()), None),
            MachineNic::Bridge(name) => ("bridge", None, Some(name.as_str())),
        };
        Nic {
            kind,
            source: NicSource { network, bridge },
            model: Type { kind: if spec.plain { "e1000e" } else { "virtio" } },
        }
    });
    let (off, on) = &spec.cpu_features;
    fn of<'a>(names: &'a [String], policy: &'static str) -> impl Iterator<Item = CpuFeature<'a>> {
        names.iter().map(move |name| CpuFeature { policy, name })
    }
    let cpu = spec.cpu.as_deref().map(|cpu| match cpu {
        "host-model" | "host-passthrough" => Cpu { mode: cpu, exact: None, model: None, feature: Vec::new() },
        model => Cpu {
            mode: "custom",
            exact: (!off.is_empty() || !on.is_empty()).then_some("exact"),
            model: Some(model),
            feature: of(off, "disable").chain(of(on, "require")).collect(),
        },
    });
    let machine = match spec.arch.as_str() {
        "x86_64" => Some("q35"),
        "aarch64" => Some("virt"),
        _ => None,
    };
    let hyperv = spec.hyperv && spec.virt_type == "kvm" && spec.arch == "x86_64";
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
            secure: spec.tpm.then(|| Firmware {
                feature: ["secure-boot", "enrolled-keys"].map(|name| Enabled { enabled: "yes", name }).into(),
            }),
            boot: spec.boot.iter().map(|device| Boot { device }).collect(),
        },
        features: Features {
            acpi: (),
            apic: (spec.arch == "x86_64").then_some(()),
            // libvirt's own advice for Windows under KVM; emulation has none of it.
            hyperv: hyperv.then(|| HyperV {
                relaxed: on_state(None),
                vapic: on_state(None),
                spinlocks: on_state(Some(8191)),
            }),
            smm: spec.tpm.then(|| on_state(None)),
        },
        cpu,
        clock: spec.localtime.then(|| Clock { offset: "localtime", timer: timers(hyperv) }),
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
            tpm: spec.tpm.then_some(Tpm {
                model: "tpm-crb",
                backend: TpmBackend { kind: "emulator", version: "2.0" },
            }),
            rng: Some(Rng { model: "virtio", backend: Backend { model: "random", file: "/dev/urandom" } }),
        },
    };
    super::write("domain", "domain", &domain)
}

#[cfg(test)]
mod tests {
    use super::{device, machine};
    use crate::model::machine::{MachineDisk, MachineSpec};

    #[test]
    fn windows_11_has_what_its_installer_asks_for() {
        let spec = MachineSpec {
            name: "w".into(),
            virt_type: "kvm".into(),
            arch: "x86_64".into(),
            disks: vec![MachineDisk {
                path: "/w.qcow2".into(),
                format: "qcow2".into(),
                ..Default::default()
            }],
            cdroms: vec!["/w.iso".into()],
            cpu: Some("Westmere".into()),
            cpu_features: (vec!["avx".into()], vec!["md-clear".into()]),
            uefi: true,
            tpm: true,
            plain: true,
            localtime: true,
            hyperv: true,
            ..MachineSpec::default()
        };
        let text = machine(&spec).unwrap();
        for part in [
            r#"<os firmware="efi">"#,
            r#"<feature enabled="yes" name="secure-boot"/>"#,
            r#"<tpm model="tpm-crb"><backend type="emulator" version="2.0"/></tpm>"#,
            r#"<smm state="on"/>"#,
            r#"<spinlocks state="on" retries="8191"/>"#,
            r#"<timer name="hypervclock" present="yes"/>"#,
            r#"<target dev="sda" bus="sata"/>"#,
            r#"<target dev="sdb" bus="sata"/>"#,
            r#"<feature policy="disable" name="avx"/><feature policy="require" name="md-clear"/>"#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let emulated = machine(&MachineSpec { virt_type: "qemu".into(), ..spec }).unwrap();
        assert!(!emulated.contains("hyperv") && emulated.contains("localtime"), "{emulated}");
    }

    #[test]
    fn disks_are_named_as_the_kernel_names_them() {
        assert_eq!(
            [0, 1, 25, 26, 27, 52].map(|index| device("vd", index)),
            ["vda", "vdb", "vdz", "vdaa", "vdab", "vdba"]
        );
    }
}
