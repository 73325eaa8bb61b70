//! What a host brings for running guests, and which packages it has.

use std::collections::BTreeMap;

use super::command::{Output, Probe};
use super::error::{Error, Kind};
use super::{PROBE_TIMEOUT, Shell};

/// What a host brings. Text that the host does not tell is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// The machine, as `uname -m` has it.
    pub arch: String,
    /// Of the processor: `vmx`, `svm`, `hypervisor`; elsewhere than on x86 the architecture.
    pub flags: Vec<String>,
    /// The kernel module that drives it: `kvm_intel`, `kvm_amd`, `kvm`.
    pub driver: String,
    /// Those of KVM's modules that are there, built in or loaded.
    pub loaded: Vec<String>,
    /// Whether guests may have guests: `Y`, `1`, `N`, `0`, or empty.
    pub nested: String,
    /// Whether the kernel says that the firmware has switched virtualisation off.
    pub disabled_in_firmware: bool,
    /// Whether /dev/kvm is there.
    pub kvm: bool,
    /// Whether the account may use it.
    pub kvm_usable: bool,
    /// QEMU's program for this architecture.
    pub qemu: String,
    /// Its version; empty when it does not run.
    pub qemu_version: String,
    /// What it said instead.
    pub qemu_said: String,
    /// libvirt's daemons for QEMU that are installed: `libvirtd`, `virtqemud`.
    pub daemons: Vec<String>,
    /// libvirt's version.
    pub libvirt_version: String,
    /// Their sockets that are there.
    pub sockets: Vec<String>,
    /// Whether systemd runs the host.
    pub systemd: bool,
    /// libvirt's units that are active.
    pub active: Vec<String>,
    /// libvirt's units that start at boot.
    pub enabled: Vec<String>,
    /// The account's number; 0 is root.
    pub uid: i64,
    /// The groups of the account.
    pub groups: Vec<String>,
    /// Whether ifupdown configures the network.
    pub ifupdown: bool,
    /// How packages get onto a read-only system: `ostree`, `transactional-update`, or empty.
    pub image: String,
    /// The hardware's UUID, for root alone.
    pub product_uuid: String,
}

impl Survey {
    fn parse(text: &str) -> Self {
        let mut survey = Self { uid: -1, ..Self::default() };
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let value = value.to_owned();
            match key {
                "arch" => survey.arch = value,
                "flag" => survey.flags.push(value),
                "driver" => survey.driver = value,
                "loaded" => survey.loaded.push(value),
                "nested" => survey.nested = value,
                "firmware" => survey.disabled_in_firmware = true,
                "kvm" => survey.kvm = true,
                "kvm_usable" => survey.kvm_usable = true,
                "qemu" => survey.qemu = value,
                "qemu_version" => survey.qemu_version = value,
                "qemu_said" => survey.qemu_said = value,
                "daemon" => survey.daemons.push(value),
                "libvirt_version" => survey.libvirt_version = value,
                "socket" => survey.sockets.push(value),
                "systemd" => survey.systemd = true,
                "active" => survey.active.push(value),
                "enabled" => survey.enabled.push(value),
                "uid" => survey.uid = value.parse().unwrap_or(-1),
                "groups" => survey.groups = value.split_whitespace().map(str::to_owned).collect(),
                "ifupdown" => survey.ifupdown = true,
                "image" => survey.image = value,
                "product_uuid" => survey.product_uuid = value.to_lowercase(),
                _ => {}
            }
        }
        survey
    }
}

impl Shell {
    /// Asks what the host brings for running guests, in one round trip.
    ///
    /// # Errors
    /// `probe_failed`, and as [`Shell::run`].
    pub fn survey(&self) -> Result<Survey, Error> {
        let probe = Probe::script(include_str!("scripts/survey.sh"), [""; 0]).timeout(PROBE_TIMEOUT);
        let output = self.told("looking at what the host brings", &probe)?;
        Ok(Survey::parse(&output.text()))
    }

    /// Which of these packages the package database has as installed, and their versions.
    ///
    /// # Errors
    /// `probe_failed` where there is no package manager that we know, and as [`Shell::run`].
    pub fn packages(&self, names: &[String]) -> Result<BTreeMap<String, String>, Error> {
        let probe = Probe::script(include_str!("scripts/packages.sh"), names.iter().cloned());
        let output = self.told("asking the package database", &probe)?;
        let pairs = output.text();
        let pairs = pairs.lines().filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect())
    }

    fn told(&self, action: &'static str, probe: &Probe) -> Result<Output, Error> {
        let output = self.probe(probe)?;
        if output.ok() {
            return Ok(output);
        }
        let said = if output.status == 70 {
            "it has none of dpkg, rpm and pacman".to_owned()
        } else {
            output.error_text()
        };
        Err(self.error(Kind::Probe { action, status: output.status, said }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_tells_is_understood() {
        let survey = Survey::parse(
            "arch=x86_64\nflag=vmx\nflag=hypervisor\ndriver=kvm_intel\nloaded=kvm\nnested=Y\nkvm=yes\n\
             qemu=/usr/bin/qemu-system-x86_64\nqemu_version=7.2.22\ndaemon=libvirtd\nlibvirt_version=9.0.0\n\
             socket=libvirt-sock\nactive=libvirtd.socket\nuid=0\ngroups=root kvm\nproduct_uuid=AB-1\n",
        );
        assert_eq!(survey.flags, ["vmx", "hypervisor"]);
        assert!(survey.kvm && !survey.kvm_usable && !survey.systemd && !survey.ifupdown);
        assert_eq!((survey.uid, survey.groups.len(), survey.product_uuid.as_str()), (0, 2, "ab-1"));
        assert_eq!(Survey::parse("").uid, -1);
    }
}
