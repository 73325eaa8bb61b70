//! A machine's description under another identity: what must differ differs, every other byte stays.

use super::edit::{Edit, EditError};

/// What a clone has of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// What Windows takes for "this is another machine now", where the original has one.
    pub genid: String,
    /// Hardware addresses, in the order of the network cards.
    pub macs: Vec<String>,
    /// Disks that are its own.
    pub disks: Vec<OwnDisk>,
    /// The file with the UEFI variables.
    pub nvram: Option<String>,
}

/// A disk of a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDisk {
    /// Where it is in the guest's eyes: `vda`.
    pub target: String,
    /// Path, or name of the volume.
    pub source: String,
    /// The format, if it is another.
    pub format: Option<String>,
}

/// A disk of the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerDisk {
    /// As [`OwnDisk::target`].
    pub target: String,
    /// `file`, `block`, `volume`, ….
    pub kind: String,
    /// The pool of a `volume`.
    pub pool: String,
    /// Path, or name of the volume; of other kinds empty.
    pub source: String,
    /// `raw`, `qcow2`, ….
    pub format: String,
}

fn at(index: usize, rest: &str) -> String {
    format!("devices/disk[{}]/{rest}", index + 1)
}

/// The disks that a clone must have of its own: those that are written and belong to this machine alone.
///
/// # Errors
/// Text that is no XML.
pub fn own_disks(xml: &str) -> Result<Vec<FormerDisk>, EditError> {
    let edit = Edit::parse(xml)?;
    let mut disks = Vec::new();
    for index in 0..edit.count("devices/disk")? {
        let get = |rest: &str| Ok::<_, EditError>(edit.get(&at(index, rest))?.unwrap_or_default());
        let has = |rest: &str| Ok::<_, EditError>(edit.count(&at(index, rest))? > 0);
        let device = get("@device")?;
        let common = has("readonly")? || has("shareable")? || !has("source")?;
        if common || !(device.is_empty() || device == "disk" || device == "lun") {
            continue;
        }
        let kind = get("@type")?;
        let source = match kind.as_str() {
            "file" => get("source/@file")?,
            "block" => get("source/@dev")?,
            "volume" => get("source/@volume")?,
            _ => String::new(),
        };
        let (pool, target, format) = (get("source/@pool")?, get("target/@dev")?, get("driver/@type")?);
        disks.push(FormerDisk { target, kind, pool, source, format });
    }
    Ok(disks)
}

/// How many network cards it has, and how the address of the first begins.
///
/// # Errors
/// Text that is no XML.
pub fn macs(xml: &str) -> Result<Vec<String>, EditError> {
    Edit::parse(xml)?.all("devices/interface/mac/@address")
}

/// A path with the one name in place of the other; one that the old name is not in gets the new one at its end.
pub fn renamed(path: &str, old: &str, new: &str) -> String {
    let word = |c: char| c.is_alphanumeric();
    let mut text = String::new();
    let mut rest = path;
    let mut before = None;
    let mut found = false;
    while let Some(at) = rest.find(old).filter(|_| !old.is_empty()) {
        let head = &rest[..at];
        let left = head.chars().next_back().or(before);
        let after = &rest[at + old.len()..];
        let whole = !left.is_some_and(word) && !after.chars().next().is_some_and(word);
        text.push_str(head);
        text.push_str(if whole { new } else { old });
        found |= whole;
        before = old.chars().next_back();
        rest = after;
    }
    text.push_str(rest);
    if found { text } else { format!("{path}-{new}") }
}

/// The description of the clone.
///
/// # Errors
/// Text that is no XML.
pub fn clone(xml: &str, id: &Identity) -> Result<String, EditError> {
    let mut edit = Edit::parse(xml)?;
    let old = edit.get("name")?.unwrap_or_default();
    edit.set("name", &id.name)?;
    if edit.count("uuid")? > 0 {
        edit.set("uuid", &id.uuid)?;
    }
    if edit.get("genid")?.is_some_and(|genid| !genid.is_empty()) {
        edit.set("genid", &id.genid)?;
    }
    // SMBIOS must say the same UUID as the machine has; libvirt refuses it otherwise.
    let system = "sysinfo/system/entry[@name='uuid']";
    if edit.count(system)? > 0 {
        edit.set(system, &id.uuid)?;
    }
    let mut macs = id.macs.iter();
    for index in 0..edit.count("devices/interface")? {
        let path = format!("devices/interface[{}]/mac/@address", index + 1);
        if edit.count(&path)? > 0
            && let Some(mac) = macs.next()
        {
            edit.set(&path, mac)?;
        }
    }
    for index in 0..edit.count("devices/disk")? {
        let target = edit.get(&at(index, "target/@dev"))?.unwrap_or_default();
        let Some(own) = id.disks.iter().find(|own| own.target == target) else { continue };
        let attribute = match edit.get(&at(index, "@type"))?.unwrap_or_default().as_str() {
            "block" => "source/@dev",
            "volume" => "source/@volume",
            _ => "source/@file",
        };
        edit.set(&at(index, attribute), &own.source)?;
        if let Some(format) = &own.format {
            edit.set(&at(index, "driver/@type"), format)?;
        }
        // What was below the original's is found out anew.
        if edit.count(&at(index, "backingStore"))? > 0 {
            edit.remove(&at(index, "backingStore"))?;
        }
    }
    if let Some(nvram) = &id.nvram {
        edit.set("os/nvram", nvram)?;
    }
    for kind in ["serial", "parallel", "console", "channel"] {
        for index in 0..edit.count(&format!("devices/{kind}"))? {
            let device = format!("devices/{kind}[{}]", index + 1);
            let is = edit.get(&format!("{device}/@type"))?.unwrap_or_default();
            let of_file = if is == "file" || is == "unix" { "source/@path" } else { "" };
            for attribute in [of_file, "log/@file"] {
                let path = format!("{device}/{attribute}");
                if attribute.is_empty() || edit.count(&path)? == 0 {
                    continue;
                }
                let file = edit.get(&path)?.unwrap_or_default();
                edit.set(&path, &renamed(&file, &old, &id.name))?;
            }
        }
    }
    Ok(edit.text().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comments, CDATA, processing instructions, a name space of QEMU's, odd quotes, entities, tabs, CRLF.
    const ODD: &str = "<?xml version='1.0'?>\r\n<!-- web1 -->\n<domain type='kvm' xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\">\n\
        \t<name>web1</name><uuid>11111111-1111-1111-1111-111111111111</uuid>\n\
        <metadata><a:x xmlns:a='urn:a'><![CDATA[ web1 <&> ]]></a:x></metadata><?keep web1?>\n\
        <description>web1 &amp; &lt;its&gt; friends &#x20ac;</description>\n\
        <os><type arch = \"x86_64\"  machine='pc-q35-7.2' >hvm</type><nvram template='/t'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram></os>\n\
        <genid>22222222-2222-2222-2222-222222222222</genid>\n\
        <devices><disk device='disk' type=\"file\"><driver name='qemu' type='qcow2'/><source file = '/srv/web1.qcow2'/><target dev='vda'/></disk>\n\
        <disk type='file' device='cdrom'><source file='/iso/web1.iso'/><target dev='sda'/><readonly/></disk>\n\
        <interface type='bridge'><mac address=\"52:54:00:00:00:01\"/><source bridge='br0'/></interface><interface type='bridge'>\n\
        <mac   address='52:54:00:00:00:02' /></interface>\
        <serial type='file'><source path='/log/web1.log'/><log file='/log/web1/x' append='on'/></serial>\
        <channel type='unix'><source mode='bind' path='/run/web1.sock'/></channel><serial type='pty'/></devices>\n\
        <qemu:commandline><qemu:arg value='-name'/><qemu:arg value='web1'/></qemu:commandline></domain>\n<!-- end -->";

    fn identity(name: &str, digit: u8) -> Identity {
        let uuid = |of: &str| {
            let four = of.repeat(4);
            format!("{four}{four}-{four}-{four}-{four}-{four}{four}{four}")
        };
        Identity {
            name: name.into(),
            uuid: uuid(if digit == 0 { "1" } else { "3" }),
            genid: uuid(if digit == 0 { "2" } else { "4" }),
            macs: vec![format!("52:54:00:00:0{digit}:01"), format!("52:54:00:00:0{digit}:02")],
            disks: vec![OwnDisk { target: "vda".into(), source: format!("/srv/{name}.qcow2"), format: None }],
            nvram: Some(format!("/var/lib/libvirt/qemu/nvram/{name}_VARS.fd")),
        }
    }

    #[test]
    fn all_but_the_identity_stays_byte_for_byte() {
        let copy = clone(ODD, &identity("copy", 7)).unwrap();
        // What must differ, and no more: put in by hand where it stands.
        let mut by_hand = ODD.to_owned();
        for (old, new) in [
            ("<name>web1", "<name>copy"),
            ("11111111-1111-1111-1111-111111111111", "33333333-3333-3333-3333-333333333333"),
            ("22222222-2222-2222-2222-222222222222", "44444444-4444-4444-4444-444444444444"),
            ("nvram/web1_VARS", "nvram/copy_VARS"),
            ("/srv/web1.qcow2", "/srv/copy.qcow2"),
            ("52:54:00:00:00:01", "52:54:00:00:07:01"),
            ("52:54:00:00:00:02", "52:54:00:00:07:02"),
            ("/log/web1.log", "/log/copy.log"),
            ("/log/web1/x", "/log/copy/x"),
            ("/run/web1.sock", "/run/copy.sock"),
        ] {
            assert_eq!(by_hand.matches(old).count(), 1, "{old}");
            by_hand = by_hand.replace(old, new);
        }
        assert_eq!(copy, by_hand);
        // And back.
        assert_eq!(clone(&copy, &identity("web1", 0)).unwrap(), ODD);
    }

    #[test]
    fn disks_that_all_may_share_are_not_its_own() {
        let own = own_disks(ODD).unwrap();
        assert_eq!(own.len(), 1);
        assert_eq!((own[0].target.as_str(), own[0].source.as_str()), ("vda", "/srv/web1.qcow2"));
    }

    #[test]
    fn a_name_within_another_word_is_not_the_name() {
        assert_eq!(renamed("/log/web1.log", "web1", "x"), "/log/x.log");
        assert_eq!(renamed("/log/web10.log", "web1", "x"), "/log/web10.log-x");
        assert_eq!(renamed("/web1/web1-a", "web1", "x"), "/x/x-a");
        assert_eq!(renamed("/web1web1", "web1", "x"), "/web1web1-x");
    }
}
