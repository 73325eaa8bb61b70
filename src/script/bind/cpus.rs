//! CPUs of several hosts, and what guests can have of them everywhere.

use std::collections::BTreeSet;

use rhai::plugin::*;
use rhai::{Dynamic, Map};

use super::super::error::Outcome;
use super::super::options::{Keys, Options, keys};
use super::views::hosts_of;
use super::{ArrayOf, array, int};
use crate::libvirt::Hypervisor;
use crate::ops::Domain;
use crate::ops::cpu::decide::{self, Fit};
use crate::ops::cpu::{self, cost_of};

/// The kind of guest that a question is about.
pub(super) fn kind_of(known: &'static Keys, options: Map) -> Outcome<Hypervisor> {
    let options = Options::new(known, options)?;
    Ok(Hypervisor {
        emulator: options.text("emulator")?.unwrap_or_default(),
        arch: options.text("arch")?.unwrap_or_default(),
        machine: options.text("machine")?.unwrap_or_default(),
        virt_type: options.word("type")?.unwrap_or_default(),
    })
}

/// A fitted model for scripts.
pub(super) fn fit_map(fit: &Fit) -> Map {
    let lost = fit.disable.iter().map(|(feature, hosts)| {
        Map::from([
            ("feature".into(), feature.clone().into()),
            ("hosts".into(), array(hosts.clone()).into()),
            ("cost".into(), cost_of(feature).into()),
        ])
    });
    let require = fit.require.iter().map(|given| {
        Map::from([("feature".into(), given.feature.clone().into()), ("why".into(), given.why.into())])
    });
    Map::from([
        ("model".into(), fit.model.clone().into()),
        ("disable".into(), array(fit.disable.keys().cloned()).into()),
        ("lost".into(), array(lost).into()),
        ("require".into(), array(require).into()),
        ("kept".into(), int(fit.kept() as u64).into()),
        ("of".into(), int(fit.content.len() as u64).into()),
    ])
}

/// The same with what it was computed from, for scripts that go on with it.
fn whole_fit_map(fit: &Fit) -> Map {
    let mut map = fit_map(fit);
    map.insert("content".into(), array(fit.content.iter().cloned()).into());
    map.insert("offered".into(), array(fit.offered.iter().cloned()).into());
    map
}

#[export_module(manifest)]
pub(super) mod functions {
    /// Fits a model to several hosts, as `cpu.fit(model)`.
    ///
    /// `hosts`: Hosts or their names. Returns what `cpu.fit(model)` returns with `content`, what the model contains,
    /// and `offered`, what every host can give; libvirt on every host has agreed then.
    ///
    /// Errors: `unknown_cpu_model`; `mixed_vendors`; `cpu_arch`; `cpu_disagrees`; faults of the connections.
    ///
    /// Example: `try { fit_cpu(["test:///default"], "Westmere", #{}).disable } catch (e) { e.code }`
    #[rhai_fn(name = "fit_cpu", return_raw)]
    pub fn fit_cpu(ctx: NativeCallContext<'_>, hosts: Dynamic, model: &str, options: Map) -> Outcome<Map> {
        let of = kind_of(&keys::FIT_CPU, options)?;
        let hosts = hosts_of(&ctx, "fit_cpu", &hosts)?;
        let fit = decide::fit(&cpu::offers(&hosts, &of)?, model)?;
        cpu::confirm(&hosts, &of, &fit)?;
        Ok(whole_fit_map(&fit))
    }

    /// The newest model that several hosts run as it is.
    ///
    /// With what tells the guest which leaks are fixed: only flags that every host has.
    ///
    /// `hosts`: Hosts or their names. Returns what `cpu.fit(model)` returns with `content`, what the model contains,
    /// and `offered`, what every host can give; libvirt on every host has agreed then.
    ///
    /// Errors: `no_common_model`; `mixed_vendors`; `cpu_arch`; `cpu_disagrees`; faults of the connections.
    ///
    /// Example: `try { baseline_cpu(["test:///default"], #{}).model } catch (e) { e.code }`
    #[rhai_fn(name = "baseline_cpu", return_raw)]
    pub fn baseline_cpu(ctx: NativeCallContext<'_>, hosts: Dynamic, options: Map) -> Outcome<Map> {
        let of = kind_of(&keys::BASELINE_CPU, options)?;
        let hosts = hosts_of(&ctx, "baseline_cpu", &hosts)?;
        let fit = decide::baseline(&cpu::offers(&hosts, &of)?)?;
        cpu::confirm(&hosts, &of, &fit)?;
        Ok(whole_fit_map(&fit))
    }

    /// Guests whose CPU does not fit all of these hosts.
    ///
    /// Those that are off could not start there, those that run could not move there.
    ///
    /// `hosts`: Hosts or their names. An array of `#{guest, from, to, cannot, missing, why}`; `cannot` is `"start"` or
    /// `"migrate"`.
    ///
    /// Errors: `cpu_arch`; faults of the connections.
    ///
    /// Example: `try { check_cpus(["test:///default"]) } catch (e) { e.code }`
    #[rhai_fn(name = "check_cpus", return_raw)]
    pub fn check_cpus(ctx: NativeCallContext<'_>, hosts: Dynamic) -> Outcome<ArrayOf<Map>> {
        let hosts = hosts_of(&ctx, "check_cpus", &hosts)?;
        let mut demands = Vec::new();
        for host in &hosts {
            demands.extend(cpu::demands(host)?);
        }
        let kinds: BTreeSet<String> = demands.iter().map(|demand| demand.virt_type.clone()).collect();
        let mut found = Vec::new();
        for virt_type in kinds {
            let of = Hypervisor { virt_type, ..Hypervisor::default() };
            found.extend(cpu::judge(&demands, &cpu::offers(&hosts, &of)?));
        }
        Ok(array(found.into_iter().map(|verdict| {
            Map::from([
                ("guest".into(), verdict.guest.into()),
                ("from".into(), verdict.from.into()),
                ("to".into(), verdict.to.into()),
                ("cannot".into(), verdict.cannot.into()),
                ("missing".into(), array(verdict.missing).into()),
                ("why".into(), verdict.why.into()),
            ])
        })))
    }

    /// What runs it: `#{type, arch, machine, emulator}`, fit as options for questions about CPUs.
    ///
    /// Errors: `no_domain` when it has gone.
    ///
    /// Example: `host("test:///default").domain("test").hypervisor.arch`
    #[rhai_fn(get = "hypervisor", return_raw, pure)]
    pub fn hypervisor(domain: &mut Domain) -> Outcome<Map> {
        let of = domain.hypervisor()?;
        Ok(Map::from([
            ("type".into(), of.virt_type.into()),
            ("arch".into(), of.arch.into()),
            ("machine".into(), of.machine.into()),
            ("emulator".into(), of.emulator.into()),
        ]))
    }
}
