//! Host CPUs.

use rhai::plugin::*;
use rhai::{Array, Dynamic, ImmutableString, Map};

use super::super::error::{Outcome, misuse};
use super::super::options::{keys, type_word};
use super::array;
use super::cpus::{fit_map, kind_of};
use crate::libvirt::Hypervisor;
use crate::model::Fault;
use crate::ops::cpu::decide;
use crate::ops::{Cpu as OpsCpu, Host};
use crate::xml::cpu::GuestCpu;

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
        Ok(cpu.models(&Hypervisor::default())?.into_iter().map(row).collect())
    }

    /// What the operating system says of it: `#{name, microcode, flags, vulnerabilities}`.
    ///
    /// `flags` are the kernel's names, `vulnerabilities` what sysfs says of each. Over SSH, needs no libvirt.
    ///
    /// Errors: faults of the connection.
    ///
    /// Example: `host("test:///default").cpu.facts.flags.len() >= 0`
    #[rhai_fn(get = "facts", return_raw, pure)]
    pub fn facts(cpu: &mut Cpu) -> Outcome<Map> {
        let look = cpu.look()?;
        let states = look.vulnerabilities.into_iter().map(|(what, state)| (what.into(), state.into()));
        Ok(Map::from([
            ("name".into(), look.name.into()),
            ("microcode".into(), look.microcode.into()),
            ("flags".into(), array(look.flags).into()),
            ("vulnerabilities".into(), states.collect::<Map>().into()),
        ]))
    }

    /// All that guests of one kind can have here: `#{type, vendor, features, models}`.
    ///
    /// `features` are those with which a guest still migrates; `models` is an array of
    /// `#{name, vendor, usable, deprecated, missing}`, those that both QEMU and libvirt know.
    ///
    /// Errors: `cpu_arch` for other architectures than x86; `no_host_model`; `no_support`.
    ///
    /// Example: `try { host("test:///default").cpu.offer(#{type: "qemu"}).features } catch (e) { e.code }`
    #[rhai_fn(name = "offer", return_raw, pure)]
    pub fn offer(cpu: &mut Cpu, options: Map) -> Outcome<Map> {
        let offer = cpu.offer(&kind_of(&keys::CPU_OFFER, options)?)?;
        let models = offer.models.iter().filter_map(|model| {
            let missing = offer.missing(&model.name).ok()?;
            Some(Map::from([
                ("name".into(), model.name.clone().into()),
                ("vendor".into(), model.vendor.clone().into()),
                ("usable".into(), (model.usable != Some(false) && missing.is_empty()).into()),
                ("deprecated".into(), model.deprecated.into()),
                ("missing".into(), array(missing).into()),
            ]))
        });
        Ok(Map::from([
            ("type".into(), offer.virt_type.clone().into()),
            ("vendor".into(), offer.vendor.clone().into()),
            ("models".into(), array(models).into()),
            ("features".into(), array(offer.features.iter().cloned()).into()),
        ]))
    }

    /// Whether guests can have this model here, and what of it they would not get.
    ///
    /// `#{usable, missing}`: usable if neither QEMU nor libvirt knows a reason against it; `missing` are features that
    /// the hypervisor lacks.
    ///
    /// Errors: `unknown_cpu_model`; `cpu_arch` for other architectures than x86; `no_support`.
    ///
    /// Example: `try { host("test:///default").cpu.usable("Westmere") } catch (e) { e.code }`
    #[rhai_fn(name = "usable", return_raw, pure)]
    pub fn usable(cpu: &mut Cpu, model: &str) -> Outcome<Map> {
        usable_with(cpu, model, Map::new())
    }

    /// As `usable(model)`, for guests of another kind.
    ///
    /// Errors: as `usable(model)`; `unknown_option`.
    ///
    /// Example: `try { host("test:///default").cpu.usable("Westmere", #{type: "qemu"}) } catch (e) { e.code }`
    #[rhai_fn(name = "usable", return_raw, pure)]
    pub fn usable_with(cpu: &mut Cpu, model: &str, options: Map) -> Outcome<Map> {
        let offer = cpu.offer(&kind_of(&keys::CPU_USABLE, options)?)?;
        let missing = offer.missing(model)?;
        let usable = offer.usable(model) != Some(false) && missing.is_empty();
        Ok(Map::from([("usable".into(), usable.into()), ("missing".into(), array(missing).into())]))
    }

    /// What has to be switched off in a model so that it starts here, no feature more.
    ///
    /// `#{model, disable, require, kept, of, lost}`: `disable` are features, `lost` is an array of
    /// `#{feature, hosts, cost}`, `require` one of `#{feature, why}`; `kept` of `of` features are left.
    ///
    /// Errors: `unknown_cpu_model`; `cpu_arch` for other architectures than x86; `no_support`.
    ///
    /// Example: `try { host("test:///default").cpu.fit("Skylake-Client-IBRS").disable } catch (e) { e.code }`
    #[rhai_fn(name = "fit", return_raw, pure)]
    pub fn fit(cpu: &mut Cpu, model: &str) -> Outcome<Map> {
        fit_with(cpu, model, Map::new())
    }

    /// As `fit(model)`, for guests of another kind.
    ///
    /// Errors: as `fit(model)`; `unknown_option`.
    ///
    /// Example: `try { host("test:///default").cpu.fit("Westmere", #{type: "qemu"}) } catch (e) { e.code }`
    #[rhai_fn(name = "fit", return_raw, pure)]
    pub fn fit_with(cpu: &mut Cpu, model: &str, options: Map) -> Outcome<Map> {
        let of = kind_of(&keys::CPU_FIT, options)?;
        Ok(fit_map(&decide::fit(&[cpu.offer(&of)?], model)?))
    }

    /// How a CPU stands to what guests can have here: `"identical"`, `"superset"` or `"incompatible"`.
    ///
    /// `other`: a Cpu of another host, a model, or a `<cpu>`. `superset`: this host offers all of it and more.
    ///
    /// Errors: what libvirt says of the CPU; `no_support`.
    ///
    /// Example: `try { host("test:///default").cpu.compare("Westmere") } catch (e) { e.code }`
    #[rhai_fn(name = "compare", return_raw, pure)]
    pub fn compare(cpu: &mut Cpu, other: Dynamic) -> Outcome<String> {
        compare_with(cpu, other, Map::new())
    }

    /// As `compare(other)`, for guests of another kind.
    ///
    /// Errors: as `compare(other)`; `unknown_option`.
    ///
    /// Example: `try { host("test:///default").cpu.compare("Westmere", #{type: "qemu"}) } catch (e) { e.code }`
    #[rhai_fn(name = "compare", return_raw, pure)]
    pub fn compare_with(cpu: &mut Cpu, other: Dynamic, options: Map) -> Outcome<String> {
        let of = kind_of(&keys::CPU_COMPARE, options)?;
        let xml = if let Some(other) = other.read_lock::<Cpu>() {
            other.host_model_xml(&of)?
        } else {
            match other.read_lock::<ImmutableString>() {
                Some(text) if text.trim_start().starts_with('<') => text.to_string(),
                Some(model) => GuestCpu::named(&model, [], []).write().map_err(Fault::from)?,
                None => {
                    let message =
                        format!("compare takes a Cpu, a model or a <cpu>, not {}", type_word(&other));
                    return Err(misuse(message));
                }
            }
        };
        Ok(cpu.compare(&of, &xml)?.word().to_owned())
    }
}
