//! Host CPUs.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};

use super::super::error::Outcome;
use crate::ops::{Cpu as OpsCpu, Host};

#[export_module(manifest)]
pub(super) mod functions {
    /// The CPU of a host.
    pub type Cpu = OpsCpu;

    /// Its host.
    ///
    /// Example: `host("test:///default").cpu.host.name`
    #[rhai_fn(get = "host", pure)]
    pub fn cpu_host(cpu: &mut Cpu) -> Host {
        cpu.host().clone()
    }

    /// The nearest model of libvirt's map; empty where libvirt knows none.
    ///
    /// Example: `host("test:///default").cpu.model`
    #[rhai_fn(get = "model", return_raw, pure)]
    pub fn model(cpu: &mut Cpu) -> Outcome<String> {
        Ok(cpu.info()?.model.clone())
    }

    /// Who made it: `Intel`, `AMD`, ….
    ///
    /// Example: `host("test:///default").cpu.vendor`
    #[rhai_fn(get = "vendor", return_raw, pure)]
    pub fn vendor(cpu: &mut Cpu) -> Outcome<String> {
        Ok(cpu.info()?.vendor.clone())
    }

    /// Architecture.
    ///
    /// Example: `host("test:///default").cpu.arch`
    #[rhai_fn(get = "arch", return_raw, pure)]
    pub fn arch(cpu: &mut Cpu) -> Outcome<String> {
        Ok(cpu.info()?.arch.clone())
    }

    /// `#{sockets, dies, cores, threads}`, each per the one before.
    ///
    /// Example: `host("test:///default").cpu.topology.threads`
    #[rhai_fn(get = "topology", return_raw, pure)]
    pub fn topology(cpu: &mut Cpu) -> Outcome<Map> {
        let words = ["sockets", "dies", "cores", "threads"];
        let numbers = cpu.info()?.topology;
        Ok(words.into_iter().zip(numbers).map(|(k, n)| (k.into(), i64::from(n).into())).collect())
    }

    /// Features beyond the model, by libvirt's names.
    ///
    /// Example: `host("test:///default").cpu.features`
    #[rhai_fn(get = "features", return_raw, pure)]
    pub fn features(cpu: &mut Cpu) -> Outcome<Array> {
        Ok(cpu.info()?.features.iter().cloned().map(Dynamic::from).collect())
    }

    /// The named models that guests can ask for.
    ///
    /// An array of `#{name, usable, deprecated}`, for KVM where the host has it, else for emulation; `usable` is `()` where libvirt does not know.
    ///
    /// Errors: `no_support` for drivers without domain capabilities.
    ///
    /// Example: `try { host("test:///default").cpu.models } catch (e) { e.code }`
    #[rhai_fn(get = "models", return_raw, pure)]
    pub fn models(cpu: &mut Cpu) -> Outcome<Array> {
        let row = |model: crate::xml::host::UsableModel| {
            Dynamic::from(Map::from([
                ("name".into(), model.name.into()),
                ("usable".into(), model.usable.map_or(Dynamic::UNIT, Dynamic::from)),
                ("deprecated".into(), model.deprecated.into()),
            ]))
        };
        Ok(cpu.models()?.into_iter().map(row).collect())
    }
}
