//! What a machine needs for the system that it is to run, by the short ids of libosinfo (`osinfo-query os`).

use super::suggest::did_you_mean;
use super::{Bytes, Class, Fault};

/// Devices and firmware for a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsProfile {
    /// Whether it has drivers for virtio by itself.
    pub virtio: bool,
    /// Whether its hardware clock shows local time.
    pub localtime: bool,
    /// Whether it knows Hyper-V's interfaces, which spare it much under KVM.
    pub hyperv: bool,
    /// Whether it wants UEFI.
    pub uefi: bool,
    /// Whether it wants secure boot and a TPM.
    pub tpm: bool,
    /// What it runs well in.
    pub memory: Bytes,
}

/// Systems with drivers for virtio: the id is the name and a version, as in `debian12` or `centos-stream9`.
const FREE: [&str; 24] = [
    "almalinux",
    "alpinelinux",
    "altlinux",
    "archlinux",
    "centos",
    "centos-stream",
    "debian",
    "debiantesting",
    "fedora",
    "flatcar",
    "freebsd",
    "gentoo",
    "linux",
    "mageia",
    "manjaro",
    "netbsd",
    "nixos",
    "ol",
    "openbsd",
    "opensuse",
    "opensusetumbleweed",
    "rhel",
    "rocky",
    "ubuntu",
];

/// SUSE's, which have versions of several parts.
const SUSE: [&str; 3] = ["sle", "sles", "slem"];

/// Windows: id, and whether it demands UEFI with secure boot and a TPM.
const WINDOWS: [(&str, bool); 13] = [
    ("win7", false),
    ("win8", false),
    ("win8.1", false),
    ("win10", false),
    ("win11", true),
    ("win2k8", false),
    ("win2k8r2", false),
    ("win2k12", false),
    ("win2k12r2", false),
    ("win2k16", false),
    ("win2k19", false),
    ("win2k22", false),
    ("win2k25", true),
];

/// A version: nothing, or digits, dots and what SUSE writes for service packs.
fn is_version(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | 's' | 'p'))
        && !text.starts_with(['.', '-', 's', 'p'])
}

impl OsProfile {
    /// For a system by its id.
    ///
    /// # Errors
    /// `unknown_os`, with a suggestion.
    pub fn of(id: &str) -> Result<Self, Fault> {
        if let Some((_, tpm)) = WINDOWS.iter().find(|(known, _)| *known == id) {
            let memory = Bytes(4 << 30);
            return Ok(Self { virtio: false, localtime: true, hyperv: true, uefi: *tpm, tpm: *tpm, memory });
        }
        let free = FREE.iter().chain(&SUSE).any(|name| id.strip_prefix(name).is_some_and(is_version));
        if free {
            let memory = Bytes(2 << 30);
            return Ok(Self {
                virtio: true,
                localtime: false,
                hyperv: false,
                uefi: false,
                tpm: false,
                memory,
            });
        }
        // Of "debain12" the version stays.
        let (name, version) = id.split_at(id.find(|c: char| c.is_ascii_digit()).unwrap_or(id.len()));
        let fault = Fault::new("unknown_os", format!("there is no system {id:?}")).class(Class::Refused);
        let windows = WINDOWS.iter().map(|(known, _)| *known);
        if let Some(hint) = did_you_mean(id, windows) {
            return Err(fault.hint(hint));
        }
        Err(fault.hint(match did_you_mean(name, FREE.iter().copied()) {
            Some(hint) => hint.replacen("`?", &format!("{version}`?"), 1),
            None => "its short id, as `osinfo-query os` lists them: \"debian12\", \"win11\"; \"linux\" for any other Linux".to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_with_their_versions_and_mistakes_are_named() {
        for id in [
            "debian12",
            "ubuntu24.04",
            "centos-stream9",
            "fedora41",
            "rhel9.4",
            "sles15sp5",
            "archlinux",
            "linux2022",
        ] {
            assert!(OsProfile::of(id).unwrap().virtio, "{id}");
        }
        let windows = OsProfile::of("win10").unwrap();
        assert!(!windows.virtio && windows.localtime && windows.hyperv && !windows.uefi);
        let newest = OsProfile::of("win11").unwrap();
        assert!(newest.uefi && newest.tpm);
        for (id, hint) in
            [("debain12", "debian"), ("win12", "win1"), ("beos", "osinfo-query"), ("debian-12", "debian")]
        {
            let fault = OsProfile::of(id).unwrap_err();
            assert_eq!(fault.code, "unknown_os");
            assert!(fault.hint.as_ref().is_some_and(|text| text.contains(hint)), "{id}: {:?}", fault.hint);
        }
    }
}
