//! Reading `<domain>`.

use serde::Deserialize;

use super::{Error, read};
use crate::model::{Disk, Hardware, Nic};

#[derive(Deserialize)]
struct Domain {
    #[serde(rename = "@type", default)]
    virt_type: String,
    #[serde(default)]
    os: Os,
    #[serde(default)]
    devices: Devices,
    #[serde(rename = "memoryBacking", default)]
    memory_backing: MemoryBacking,
}

#[derive(Deserialize, Default)]
struct MemoryBacking {
    hugepages: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
struct Os {
    #[serde(rename = "type", default)]
    kind: OsType,
    kernel: Option<Text>,
    initrd: Option<Text>,
    dtb: Option<Text>,
    loader: Option<Text>,
    nvram: Option<Text>,
}

#[derive(Deserialize, Default)]
struct OsType {
    #[serde(rename = "@arch", default)]
    arch: String,
    #[serde(rename = "@machine", default)]
    machine: String,
}

#[derive(Deserialize)]
struct Text {
    #[serde(rename = "$text", default)]
    text: String,
}

#[derive(Deserialize, Default)]
struct Devices {
    emulator: Option<Text>,
    #[serde(rename = "disk", default)]
    disks: Vec<XmlDisk>,
    #[serde(rename = "interface", default)]
    nics: Vec<XmlNic>,
    #[serde(rename = "hostdev", default)]
    host_devices: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "@type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct XmlDisk {
    #[serde(rename = "@type", default)]
    kind: String,
    #[serde(rename = "@device", default)]
    device: String,
    driver: Option<Driver>,
    source: Option<Source>,
    target: Option<Dev>,
    readonly: Option<serde::de::IgnoredAny>,
    shareable: Option<serde::de::IgnoredAny>,
    transient: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Driver {
    #[serde(rename = "@type", default)]
    format: String,
    #[serde(rename = "@cache", default)]
    cache: String,
}

#[derive(Deserialize, Default)]
struct Source {
    #[serde(rename = "@file")]
    file: Option<String>,
    #[serde(rename = "@dev")]
    dev: Option<String>,
    #[serde(rename = "@dir")]
    dir: Option<String>,
    #[serde(rename = "@protocol")]
    protocol: Option<String>,
    #[serde(rename = "@name")]
    name: Option<String>,
    #[serde(rename = "@pool")]
    pool: Option<String>,
    #[serde(rename = "@volume")]
    volume: Option<String>,
    #[serde(rename = "@network")]
    network: Option<String>,
    #[serde(rename = "@bridge")]
    bridge: Option<String>,
}

#[derive(Deserialize)]
struct Dev {
    #[serde(rename = "@dev", default)]
    dev: String,
}

#[derive(Deserialize)]
struct XmlNic {
    #[serde(rename = "@type", default)]
    kind: String,
    mac: Option<Address>,
    source: Option<Source>,
    target: Option<Dev>,
    model: Option<Kind>,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "@address", default)]
    address: String,
}

impl From<XmlDisk> for Disk {
    fn from(disk: XmlDisk) -> Self {
        let source = disk.source.unwrap_or_default();
        let (format, cache) = disk.driver.map(|d| (d.format, d.cache)).unwrap_or_default();
        let named = match (source.protocol, source.pool) {
            (Some(protocol), _) => Some(format!("{protocol}:{}", source.name.unwrap_or_default())),
            (None, Some(pool)) => Some(format!("{pool}/{}", source.volume.unwrap_or_default())),
            (None, None) => None,
        };
        Self {
            target: disk.target.map(|target| target.dev).unwrap_or_default(),
            device: if disk.device.is_empty() { "disk".into() } else { disk.device },
            kind: disk.kind,
            source: source.file.or(source.dev).or(source.dir).or(named).unwrap_or_default(),
            pool: String::new(),
            format,
            cache,
            read_only: disk.readonly.is_some(),
            shareable: disk.shareable.is_some(),
            transient: disk.transient.is_some(),
        }
    }
}

impl From<XmlNic> for Nic {
    fn from(nic: XmlNic) -> Self {
        let source = nic.source.unwrap_or_default();
        Self {
            mac: nic.mac.map(|mac| mac.address).unwrap_or_default(),
            source: source.network.or(source.bridge).or(source.dev).unwrap_or_default(),
            model: nic.model.map(|model| model.kind).unwrap_or_default(),
            device: nic.target.map(|target| target.dev).unwrap_or_default(),
            kind: nic.kind,
        }
    }
}

/// Reads what a move or a list needs to know of a domain.
///
/// # Errors
/// Text that is no domain's XML.
pub fn hardware(xml: &str) -> Result<Hardware, Error> {
    let domain: Domain = read("domain", xml)?;
    let tree = roxmltree::Document::parse(xml).map_err(|error| Error::new("domain", error))?;
    let cpu = tree.root_element().children().find(|node| node.has_tag_name("cpu"));
    let os = domain.os;
    let path = |file: Option<Text>| file.map(|file| file.text.trim().to_owned()).unwrap_or_default();
    let boot_files = [os.kernel, os.initrd, os.dtb, os.loader].map(path);
    Ok(Hardware {
        virt_type: domain.virt_type,
        arch: os.kind.arch,
        machine: os.kind.machine,
        emulator: domain.devices.emulator.map(|e| e.text.trim().to_owned()).unwrap_or_default(),
        cpu_xml: cpu.map(|node| xml[node.range()].to_owned()).unwrap_or_default(),
        host_passthrough: cpu.is_some_and(|node| node.attribute("mode") == Some("host-passthrough")),
        disks: domain.devices.disks.into_iter().map(Disk::from).collect(),
        nics: domain.devices.nics.into_iter().map(Nic::from).collect(),
        host_devices: domain.devices.host_devices.into_iter().map(|device| device.kind).collect(),
        boot_files: boot_files.into_iter().filter(|path| path.starts_with('/')).collect(),
        nvram: path(os.nvram),
        hugepages: domain.memory_backing.hugepages.is_some(),
    })
}

/// The domain's name, for what a plan says of a definition.
///
/// # Errors
/// Text that is no domain's XML, or one without a name.
pub fn name(xml: &str) -> Result<String, Error> {
    let tree = roxmltree::Document::parse(xml).map_err(|error| Error::new("domain", error))?;
    let name = tree.root_element().children().find(|node| node.has_tag_name("name"));
    name.and_then(|node| node.text())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Error::new("domain", "it has no <name>"))
}

/// The domain's UUID, if the description has one.
///
/// # Errors
/// Text that is no domain's XML.
pub fn uuid(xml: &str) -> Result<Option<String>, Error> {
    let tree = roxmltree::Document::parse(xml).map_err(|error| Error::new("domain", error))?;
    let uuid = tree.root_element().children().find(|node| node.has_tag_name("uuid"));
    Ok(uuid.and_then(|node| node.text()).map(|uuid| uuid.trim().to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: &str = r#"<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>win10</name>
  <memoryBacking><hugepages/></memoryBacking>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>
    <nvram template='x'>/var/lib/libvirt/qemu/nvram/win10_VARS.fd</nvram></os>
  <cpu mode='custom' match='exact'><model>Westmere</model><!-- kept --></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
      <source file='/srv/nfs/win10.qcow2' index='1'/><target dev='vda' bus='virtio'/></disk>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/><model type='virtio'/></interface>
    <disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>
    <disk type='network' device='disk'><source protocol='rbd' name='pool/img'/><target dev='vdb'/></disk>
    <hostdev mode='subsystem' type='pci'/>
  </devices>
</domain>"#;

    #[test]
    fn what_a_move_depends_on_is_read() {
        let hardware = hardware(GUEST).unwrap();
        assert_eq!(hardware.virt_type, "kvm");
        assert_eq!((hardware.arch.as_str(), hardware.machine.as_str()), ("x86_64", "pc-q35-7.2"));
        assert_eq!(
            hardware.cpu_xml,
            "<cpu mode='custom' match='exact'><model>Westmere</model><!-- kept --></cpu>"
        );
        assert_eq!(hardware.disks[0].source, "/srv/nfs/win10.qcow2");
        assert_eq!(hardware.disks[0].cache, "none");
        assert!(hardware.disks[1].read_only && hardware.disks[1].source.is_empty());
        assert_eq!(hardware.disks[2].source, "rbd:pool/img");
        assert_eq!((hardware.nics[0].kind.as_str(), hardware.nics[0].source.as_str()), ("bridge", "br0"));
        assert_eq!(hardware.host_devices, ["pci"]);
        assert_eq!(hardware.boot_files, ["/usr/share/OVMF/OVMF_CODE.fd"]);
        assert_eq!(hardware.nvram, "/var/lib/libvirt/qemu/nvram/win10_VARS.fd");
        assert!(hardware.hugepages && !hardware.host_passthrough);
        assert_eq!(name(GUEST).unwrap(), "win10");
    }

    #[test]
    fn what_is_no_domain_is_an_error() {
        for text in ["", "<domain", "not xml", "<domain></network>"] {
            assert!(hardware(text).is_err(), "{text}");
            assert!(name(text).is_err(), "{text}");
        }
    }
}
