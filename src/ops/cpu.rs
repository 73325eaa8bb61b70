//! A host's CPU, and what guests can have of it.

pub mod decide;
mod explain;
mod flags;
mod look;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use explain::{Demand, Verdict, demands, judge};
pub(super) use explain::{explain_start, question, remedy};
pub use flags::cost_of;
pub use look::Look;

use self::decide::{Features, Offer};
use super::Host;
use crate::gate::Scope;
use crate::libvirt::Hypervisor;
use crate::model::{Class, Fault};
use crate::xml::cpu::{GuestCpu, host_model};
use crate::xml::host::{HostCpu, UsableModel, cpu_models};

/// The CPU of a host.
#[derive(Debug, Clone)]
pub struct Cpu {
    host: Host,
}

/// How a CPU stands to what a host can offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// It lacks something.
    Incompatible,
    /// Just this.
    Identical,
    /// This and more.
    Superset,
}

impl Compared {
    /// libvirt's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Incompatible => "incompatible",
            Self::Identical => "identical",
            Self::Superset => "superset",
        }
    }
}

impl Cpu {
    pub(super) const fn new(host: Host) -> Self {
        Self { host }
    }

    /// Its host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Model, vendor, topology, features, as libvirt sees them.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn info(&self) -> Result<&HostCpu, Fault> {
        Ok(&self.host.capabilities()?.cpu)
    }

    /// What the operating system says: name, microcode, flags, vulnerabilities.
    ///
    /// # Errors
    /// Faults of the shell.
    pub fn look(&self) -> Result<Look, Fault> {
        Ok(look::look(&self.host, false)?.0)
    }

    /// The question filled in: guests of the host's own architecture, KVM where it has it, else emulation.
    fn of(&self, of: &Hypervisor) -> Result<Hypervisor, Fault> {
        let capabilities = self.host.capabilities()?;
        let mut of = of.clone();
        if of.arch.is_empty() {
            of.arch.clone_from(&capabilities.cpu.arch);
        }
        if of.virt_type.is_empty() {
            let native = capabilities.guests.iter().find(|guest| guest.name == of.arch);
            let has_kvm = native.is_some_and(|guest| guest.virt_types.iter().any(|kind| kind == "kvm"));
            of.virt_type = if has_kvm { "kvm".into() } else { "qemu".into() };
        }
        Ok(of)
    }

    /// The named models that guests can ask for, each usable or not.
    ///
    /// # Errors
    /// `no_support` for drivers without domain capabilities.
    pub fn models(&self, of: &Hypervisor) -> Result<Vec<UsableModel>, Fault> {
        Ok(cpu_models(&self.host.domain_capabilities_xml(&self.of(of)?)?)?)
    }

    /// All that decisions about guests' CPUs need of this host: libvirt and the shell are asked at the same time.
    ///
    /// # Errors
    /// `cpu_arch` for other architectures than x86; `no_host_model`; `no_cpu_map`; faults of the connection.
    pub fn offer(&self, of: &Hypervisor) -> Result<Offer, Fault> {
        let of = self.of(of)?;
        let refuse = |code: &str, message: String, hint: &str| {
            Err(Fault::new(code, message).class(Class::Refused).hint(hint).on_host(self.host.name()))
        };
        if !is_x86(&of.arch) {
            let message =
                format!("CPU models are computed for x86 only, and {} is {}", self.host.name(), of.arch);
            return refuse("cpu_arch", message, "its guests best use host-passthrough, on hosts of one kind");
        }
        let scope = Scope::current();
        let (libvirt, shell) = std::thread::scope(|threads| {
            let shell = threads.spawn(move || scope.enter(|| look::look(&self.host, true)));
            let libvirt = self.host_offer(&of);
            let broken = || Err(Fault::new("defect", "a thread of kvmsh ended badly"));
            (libvirt, shell.join().unwrap_or_else(|_| broken()))
        });
        let (models, features) = libvirt?;
        let (look, map) = shell?;
        let Some(features) = features else {
            let message =
                format!("libvirt on {} offers no host model for {} guests", self.host.name(), of.virt_type);
            return refuse("no_host_model", message, "what guests can have there cannot be computed");
        };
        if map.models.is_empty() {
            let message = format!("libvirt's map of CPU models is not on {}", self.host.name());
            return refuse(
                "no_cpu_map",
                message,
                "it belongs in /usr/share/libvirt/cpu_map (Debian: libvirt0)",
            );
        }
        let kvm = of.virt_type == "kvm";
        Ok(Offer {
            host: self.host.name().to_owned(),
            vendor: if kvm { self.info()?.vendor.clone() } else { String::new() },
            virt_type: of.virt_type,
            features: features.difference(&map.unmovable).cloned().collect(),
            models,
            map,
            vulnerabilities: look.vulnerabilities,
        })
    }

    /// Models, and every feature of the host model: libvirt spells them out and leaves out what cannot migrate.
    fn host_offer(&self, of: &Hypervisor) -> Result<(Vec<UsableModel>, Option<Features>), Fault> {
        let capabilities = self.host.domain_capabilities_xml(of)?;
        let models = cpu_models(&capabilities)?;
        let Some(host_model) = host_model(&capabilities)? else { return Ok((models, None)) };
        let question = [host_model.write()?];
        let expanded = GuestCpu::read(&self.host.ask(|c| c.baseline_cpu(of, &question))?)?;
        Ok((models, Some(expanded.with(&["require", "force"]).cloned().collect())))
    }

    /// How a `<cpu>` stands to what guests can have here, by libvirt's own word.
    ///
    /// # Errors
    /// What libvirt said of the CPU.
    pub fn compare(&self, of: &Hypervisor, cpu: &str) -> Result<Compared, Fault> {
        let of = self.of(of)?;
        match self.host.ask(|c| c.compare_cpu(&of, cpu, false))? {
            0 => Ok(Compared::Incompatible),
            // libvirt leaves out of its comparison whatever the `<cpu>` names, also what it switches off.
            1 if self.has_disabled(&of, cpu)? => Ok(Compared::Superset),
            1 => Ok(Compared::Identical),
            _ => Ok(Compared::Superset),
        }
    }

    /// Whether guests can have something here that a `<cpu>` switches off.
    fn has_disabled(&self, of: &Hypervisor, cpu: &str) -> Result<bool, Fault> {
        let cpu = GuestCpu::read(cpu)?;
        let features = self.host_offer(of)?.1.unwrap_or_default();
        Ok(cpu.with(&["disable", "forbid"]).any(|feature| features.contains(feature)))
    }

    /// The host model here, as a `<cpu>` to compare another host with.
    ///
    /// # Errors
    /// `no_host_model`; faults of the connection.
    pub fn host_model_xml(&self, of: &Hypervisor) -> Result<String, Fault> {
        let of = self.of(of)?;
        match host_model(&self.host.domain_capabilities_xml(&of)?)? {
            Some(cpu) => Ok(cpu.write()?),
            None => {
                let message = format!("libvirt on {} offers no host model", self.host.name());
                Err(Fault::new("no_host_model", message).on_host(self.host.name()))
            }
        }
    }
}

fn is_x86(arch: &str) -> bool {
    matches!(arch, "x86_64" | "i686" | "i386" | "i586" | "i486")
}

/// The offers of several hosts, asked at the same time.
///
/// # Errors
/// The first fault among them, by the order of the hosts.
pub fn offers(hosts: &[Host], of: &Hypervisor) -> Result<Vec<Offer>, Fault> {
    let scope = Scope::current();
    let mut unique: BTreeMap<&str, &Host> = BTreeMap::new();
    unique.extend(hosts.iter().map(|host| (host.name(), host)));
    std::thread::scope(|threads| {
        let asked: Vec<_> = unique
            .into_values()
            .map(|host| {
                let scope = scope.clone();
                threads.spawn(move || scope.enter(|| host.cpu().offer(of)))
            })
            .collect();
        let broken = || Err(Fault::new("defect", "a thread of kvmsh ended badly"));
        asked.into_iter().map(|thread| thread.join().unwrap_or_else(|_| broken())).collect()
    })
}

/// Asks libvirt on every host whether it agrees that a fitted model runs there.
///
/// # Errors
/// `cpu_disagrees`, with libvirt's words: nothing should be built on the computation then.
pub fn confirm(hosts: &[Host], of: &Hypervisor, fit: &decide::Fit) -> Result<(), Fault> {
    let require: Vec<String> = fit.require.iter().map(|given| given.feature.clone()).collect();
    let cpu = GuestCpu::named(&fit.model, fit.disable.keys(), &require).write()?;
    for host in hosts {
        let of = host.cpu().of(of)?;
        let said = host.ask(|c| match c.compare_cpu(&of, &cpu, true) {
            Err(error) if error.is_cpu_incompatible() => Ok(Some(error.to_string())),
            other => other.map(|_| None),
        })?;
        if let Some(said) = said {
            let message = format!("libvirt on {} does not take {} as it was fitted", host.name(), fit.model);
            return Err(Fault::new("cpu_disagrees", message)
                .because(said)
                .hint("nothing was changed; please report this with the output of `virsh domcapabilities`")
                .on_host(host.name()));
        }
    }
    Ok(())
}
