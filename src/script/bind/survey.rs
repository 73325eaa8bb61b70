//! What hosts bring for running guests; `std/hostprep` makes recipes of it.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};

use super::super::error::Outcome;
use super::super::options::texts;
use super::array;
use crate::ops::Host;

#[export_module(manifest)]
pub(super) mod functions {
    /// What the host brings for running guests, in one round trip.
    ///
    /// `#{arch, flags, driver, loaded, nested, disabled_in_firmware, kvm, kvm_usable, qemu, qemu_version, qemu_said, daemons,
    /// libvirt_version, sockets, systemd, active, enabled, uid, groups, ifupdown, image, product_uuid}`. Needs no libvirt.
    ///
    /// Errors: faults of the connection.
    ///
    /// Example: `host("test:///default").survey.arch`
    #[rhai_fn(get = "survey", return_raw, pure)]
    pub fn survey(host: &mut Host) -> Outcome<Map> {
        let survey = host.survey()?;
        Ok(Map::from([
            ("arch".into(), survey.arch.into()),
            ("flags".into(), array(survey.flags).into()),
            ("driver".into(), survey.driver.into()),
            ("loaded".into(), array(survey.loaded).into()),
            ("nested".into(), survey.nested.into()),
            ("disabled_in_firmware".into(), survey.disabled_in_firmware.into()),
            ("kvm".into(), survey.kvm.into()),
            ("kvm_usable".into(), survey.kvm_usable.into()),
            ("qemu".into(), survey.qemu.into()),
            ("qemu_version".into(), survey.qemu_version.into()),
            ("qemu_said".into(), survey.qemu_said.into()),
            ("daemons".into(), array(survey.daemons).into()),
            ("libvirt_version".into(), survey.libvirt_version.into()),
            ("sockets".into(), array(survey.sockets).into()),
            ("systemd".into(), survey.systemd.into()),
            ("active".into(), array(survey.active).into()),
            ("enabled".into(), array(survey.enabled).into()),
            ("uid".into(), survey.uid.into()),
            ("groups".into(), array(survey.groups).into()),
            ("ifupdown".into(), survey.ifupdown.into()),
            ("image".into(), survey.image.into()),
            ("product_uuid".into(), survey.product_uuid.into()),
        ]))
    }

    /// Which of these packages are installed: their versions by name.
    ///
    /// Errors: `probe_failed` on hosts with neither dpkg, rpm nor pacman; faults of the connection.
    ///
    /// Example: `host("test:///default").packages(["coreutils"])`
    #[rhai_fn(name = "packages", return_raw, pure)]
    pub fn packages(host: &mut Host, names: Dynamic) -> Outcome<Map> {
        let names = texts("packages", &names)?;
        let found = host.packages(&names)?;
        Ok(found.into_iter().map(|(name, version)| (name.into(), version.into())).collect())
    }

    /// The machine types that guests of the host's own architecture can have there.
    ///
    /// Example: `host("test:///default").machine_types`
    #[rhai_fn(get = "machine_types", return_raw, pure)]
    pub fn machine_types(host: &mut Host) -> Outcome<Array> {
        let capabilities = host.capabilities()?;
        let own = capabilities.guests.iter().filter(|guest| guest.name == capabilities.cpu.arch);
        let mut names: Vec<String> = own.flat_map(|guest| guest.machines.clone()).collect();
        names.sort();
        names.dedup();
        Ok(array(names))
    }
}
