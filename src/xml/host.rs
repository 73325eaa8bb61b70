//! Reading `<capabilities>` and `<domainCapabilities>`.

use serde::Deserialize;

use super::{Error, read};

#[derive(Deserialize)]
struct Capabilities {
    host: Host,
    #[serde(rename = "guest", default)]
    guests: Vec<Guest>,
}

#[derive(Deserialize)]
struct Host {
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    cpu: Cpu,
}

#[derive(Deserialize, Default)]
struct Cpu {
    #[serde(default)]
    arch: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    vendor: String,
    microcode: Option<Microcode>,
    topology: Option<Topology>,
    #[serde(rename = "feature", default)]
    features: Vec<Named>,
}

#[derive(Deserialize)]
struct Microcode {
    #[serde(rename = "@version", default)]
    version: String,
}

#[derive(Deserialize)]
struct Topology {
    #[serde(rename = "@sockets", default)]
    sockets: u32,
    #[serde(rename = "@dies", default)]
    dies: u32,
    #[serde(rename = "@cores", default)]
    cores: u32,
    #[serde(rename = "@threads", default)]
    threads: u32,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "@name", default)]
    name: String,
}

#[derive(Deserialize)]
struct Guest {
    arch: Arch,
}

#[derive(Deserialize)]
struct Arch {
    #[serde(rename = "@name", default)]
    name: String,
    #[serde(rename = "domain", default)]
    domains: Vec<GuestType>,
    #[serde(rename = "machine", default)]
    machines: Vec<Machine>,
}

#[derive(Deserialize)]
struct GuestType {
    #[serde(rename = "@type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct Machine {
    #[serde(rename = "@canonical")]
    canonical: Option<String>,
    #[serde(rename = "$text", default)]
    name: String,
}

/// What the host is and what guests it takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostCapabilities {
    /// The host's UUID; empty where the driver has none.
    pub uuid: String,
    /// The CPU.
    pub cpu: HostCpu,
    /// Per guest architecture: its name, virtualisation types and machine types (aliases too).
    pub guests: Vec<GuestArch>,
}

/// The host's CPU as libvirt sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostCpu {
    /// Architecture.
    pub arch: String,
    /// The nearest model of libvirt's map.
    pub model: String,
    /// `Intel`, `AMD`, …
    pub vendor: String,
    /// Microcode revision; empty when not known.
    pub microcode: String,
    /// Sockets, dies, cores, threads, each per the one before.
    pub topology: [u32; 4],
    /// Features beyond the model.
    pub features: Vec<String>,
}

/// One guest architecture of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuestArch {
    /// Name, for instance `x86_64`.
    pub name: String,
    /// `kvm`, `qemu`, `test`, …
    pub virt_types: Vec<String>,
    /// Machine types and their canonical names.
    pub machines: Vec<String>,
}

/// Reads the capabilities.
///
/// # Errors
/// Text that is no such XML.
pub fn capabilities(xml: &str) -> Result<HostCapabilities, Error> {
    let read: Capabilities = read("capabilities", xml)?;
    let cpu = read.host.cpu;
    let topology = cpu.topology.map_or([0; 4], |t| [t.sockets, t.dies.max(1), t.cores, t.threads]);
    let guests = read.guests.into_iter().map(|guest| {
        let named = guest.arch.machines.into_iter();
        GuestArch {
            name: guest.arch.name,
            virt_types: guest.arch.domains.into_iter().map(|domain| domain.kind).collect(),
            machines: named.flat_map(|machine| machine.canonical.into_iter().chain([machine.name])).collect(),
        }
    });
    Ok(HostCapabilities {
        uuid: read.host.uuid,
        guests: guests.collect(),
        cpu: HostCpu {
            arch: cpu.arch,
            model: cpu.model,
            vendor: cpu.vendor,
            microcode: cpu.microcode.map(|microcode| microcode.version).unwrap_or_default(),
            topology,
            features: cpu.features.into_iter().map(|feature| feature.name).collect(),
        },
    })
}

#[derive(Deserialize)]
struct DomainCapabilities {
    cpu: Option<GuestCpu>,
}

#[derive(Deserialize)]
struct GuestCpu {
    #[serde(rename = "mode", default)]
    modes: Vec<CpuMode>,
}

#[derive(Deserialize)]
struct CpuMode {
    #[serde(rename = "@name", default)]
    name: String,
    #[serde(rename = "model", default)]
    models: Vec<CpuModel>,
}

#[derive(Deserialize)]
struct CpuModel {
    #[serde(rename = "@usable")]
    usable: Option<String>,
    #[serde(rename = "@deprecated")]
    deprecated: Option<String>,
    #[serde(rename = "@vendor", default)]
    vendor: String,
    #[serde(rename = "$text", default)]
    name: String,
}

/// A named CPU model and whether guests of this kind can use it on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsableModel {
    /// Name.
    pub name: String,
    /// `None` where libvirt does not know.
    pub usable: Option<bool>,
    /// Whether QEMU is about to drop it.
    pub deprecated: bool,
    /// Whose CPUs it is like: `Intel`, `AMD`, `unknown`; empty where libvirt is too old to say.
    pub vendor: String,
}

/// The named CPU models in domain capabilities.
///
/// # Errors
/// Text that is no such XML.
pub fn cpu_models(xml: &str) -> Result<Vec<UsableModel>, Error> {
    let read: DomainCapabilities = read("domain capabilities", xml)?;
    let modes = read.cpu.map(|cpu| cpu.modes).unwrap_or_default();
    let custom = modes.into_iter().filter(|mode| mode.name == "custom");
    Ok(custom
        .flat_map(|mode| mode.models)
        .map(|model| UsableModel {
            usable: match model.usable.as_deref() {
                Some("yes") => Some(true),
                Some("no") => Some(false),
                _ => None,
            },
            deprecated: model.deprecated.as_deref() == Some("yes"),
            vendor: model.vendor,
            name: model.name,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_tell_the_host_and_its_machine_types() {
        let read = capabilities(
            "<capabilities><host><uuid>u-1</uuid><cpu><arch>x86_64</arch><model>Haswell</model>\
             <vendor>Intel</vendor><microcode version='7'/><topology sockets='1' dies='1' cores='4' threads='2'/>\
             <feature name='vme'/></cpu></host><guest><os_type>hvm</os_type><arch name='x86_64'>\
             <wordsize>64</wordsize><machine maxCpus='255'>pc-i440fx-7.2</machine>\
             <machine canonical='pc-q35-7.2' maxCpus='288'>q35</machine><domain type='qemu'/><domain type='kvm'/>\
             </arch></guest></capabilities>",
        )
        .unwrap();
        assert_eq!((read.uuid.as_str(), read.cpu.model.as_str()), ("u-1", "Haswell"));
        assert_eq!(read.cpu.topology, [1, 1, 4, 2]);
        assert_eq!(read.guests[0].virt_types, ["qemu", "kvm"]);
        assert_eq!(read.guests[0].machines, ["pc-i440fx-7.2", "pc-q35-7.2", "q35"]);
    }

    #[test]
    fn models_are_usable_or_not_or_unknown() {
        let models = cpu_models(
            "<domainCapabilities><cpu><mode name='host-model' supported='yes'><model>X</model></mode>\
             <mode name='custom' supported='yes'><model usable='yes'>Penryn</model>\
             <model usable='no' deprecated='yes'>Icelake</model><model>odd</model></mode></cpu></domainCapabilities>",
        )
        .unwrap();
        let short: Vec<_> = models.iter().map(|m| (m.name.as_str(), m.usable, m.deprecated)).collect();
        assert_eq!(
            short,
            [("Penryn", Some(true), false), ("Icelake", Some(false), true), ("odd", None, false)]
        );
    }
}
