//! Guests and the CPUs they need: who could not start or move where, and why a start failed.

use super::decide::{Features, Offer, needs};
use super::flags::GIVEN_BY_QEMU;
use crate::libvirt::XmlKind;
use crate::model::{Class, Fault};
use crate::ops::{Domain, Host};
use crate::xml::cpu::GuestCpu;

/// A guest, and the CPU it has.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Its name.
    pub guest: String,
    /// The host it is on.
    pub host: String,
    /// Whether it runs: then it can only move, else it has to start.
    pub running: bool,
    /// `kvm` or `qemu`.
    pub virt_type: String,
    /// Its `<cpu>`; of a guest that runs what it really got.
    pub cpu: GuestCpu,
}

/// Why a guest cannot go to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The guest.
    pub guest: String,
    /// Where it is.
    pub from: String,
    /// Where it could not go.
    pub to: String,
    /// `start` or `migrate`.
    pub cannot: &'static str,
    /// What its CPU needs and that host lacks.
    pub missing: Vec<String>,
    /// In a sentence.
    pub why: String,
}

impl Demand {
    fn of(domain: &Domain) -> Result<Self, Fault> {
        let hardware = domain.hardware()?;
        let cpu = if hardware.cpu_xml.is_empty() {
            GuestCpu::default()
        } else {
            GuestCpu::read(&hardware.cpu_xml)?
        };
        Ok(Self {
            guest: domain.name().to_owned(),
            host: domain.host().name().to_owned(),
            running: domain.state()?.is_active(),
            virt_type: hardware.virt_type,
            cpu,
        })
    }
}

/// The guests of a host, and what CPUs they have.
///
/// # Errors
/// What libvirt said; a guest that has gone meanwhile is left out.
pub fn demands(host: &Host) -> Result<Vec<Demand>, Fault> {
    let mut found = Vec::new();
    for row in host.domain_rows()? {
        let demand = host.domain(&row.name).and_then(|domain| Demand::of(&domain));
        match demand {
            Ok(demand) => found.push(demand),
            Err(fault) if fault.code == "no_domain" => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// What stands in the way of these guests on hosts that are not theirs. Pure.
pub fn judge(demands: &[Demand], offers: &[Offer]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for demand in demands {
        for offer in offers.iter().filter(|offer| offer.virt_type == demand.virt_type) {
            let own = offer.host == demand.host;
            if own && demand.running {
                continue;
            }
            if let Some((missing, why)) = obstacle(demand, offer, own) {
                verdicts.push(Verdict {
                    guest: demand.guest.clone(),
                    from: demand.host.clone(),
                    to: offer.host.clone(),
                    cannot: if demand.running { "migrate" } else { "start" },
                    missing: missing.into_iter().collect(),
                    why,
                });
            }
        }
    }
    verdicts
}

fn obstacle(demand: &Demand, offer: &Offer, own: bool) -> Option<(Features, String)> {
    match needs(&demand.cpu, offer) {
        Ok(Some(needed)) => {
            let missing: Features = needed.difference(&offer.features).cloned().collect();
            let why = format!("{} lacks {}", offer.host, list(&missing));
            (!missing.is_empty()).then_some((missing, why))
        }
        // Without a model it takes what the host has: nothing stops its start, but it cannot be moved for certain.
        Ok(None) if demand.running && !own && demand.cpu.mode == "host-passthrough" => {
            let why = format!("it sees the CPU of {} itself (host-passthrough)", demand.host);
            Some((Features::new(), why))
        }
        Ok(None) => None,
        Err(fault) => Some((Features::new(), fault.message)),
    }
}

fn list(features: &Features) -> String {
    features.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The command that makes a guest's CPU fit the hosts.
pub(crate) fn remedy(guest: &str, hosts: &str) -> String {
    format!("`kvmsh scripts/tune-cpu.rhai {guest} --hosts {hosts}` computes a CPU that fits")
}

/// The same for a guest that does not start: only a start shows what a full check will compare with.
fn remedy_of_start(guest: &str, host: &str, cpu: &GuestCpu) -> String {
    let verify = if cpu.check == "full" { " --verify" } else { "" };
    format!("`kvmsh scripts/tune-cpu.rhai {guest} --hosts {host}{verify}` computes a CPU that fits")
}

/// Adds to the fault of a start which features were missing, on which host, and what fixes it; a fault that has other
/// reasons stays as it is.
pub(crate) fn explain_start(domain: &Domain, fault: Fault) -> Fault {
    if !matches!(
        fault.code.as_str(),
        "cpu_incompatible" | "operation_failed" | "config_unsupported" | "internal_error"
    ) {
        return fault;
    }
    let found = || -> Result<Option<(GuestCpu, Offer)>, Fault> {
        let hardware = crate::xml::domain::hardware(&domain.xml(XmlKind::Inactive)?)?;
        if hardware.cpu_xml.is_empty() || hardware.host_passthrough {
            return Ok(None);
        }
        let of = domain.hypervisor()?;
        Ok(Some((GuestCpu::read(&hardware.cpu_xml)?, domain.host().cpu().offer(&of)?)))
    };
    // Whatever cannot be found out now must not hide why the start failed.
    let Ok(Some((cpu, offer))) = found() else { return fault };
    let host = domain.host().name();
    let guest = domain.name();
    let asked: Vec<String> = cpu.features.keys().cloned().collect();
    match needs(&cpu, &offer).and_then(|needed| offer.know(&asked).map(|()| needed)) {
        Err(unknown) => Fault { causes: [vec![fault.to_string()], unknown.causes].concat(), ..unknown }
            .on_object("domain", guest),
        Ok(Some(needed)) => {
            let missing: Features = needed.difference(&offer.features).cloned().collect();
            if missing.is_empty() {
                return if cpu.check == "full" { full_check(fault, guest, host, &cpu) } else { fault };
            }
            let message = format!(
                "{guest} cannot start on {host}: its CPU {} needs {}, which {host} lacks",
                cpu.model,
                list(&missing)
            );
            Fault::new("cpu_incompatible", message)
                .class(Class::Refused)
                .because(fault.to_string())
                .hint(remedy_of_start(guest, host, &cpu))
                .on_host(host)
                .on_object("domain", guest)
        }
        Ok(None) => fault,
    }
}

/// A guest's `<cpu>` as hosts can be asked for it.
///
/// # Errors
/// Text that is no CPU.
pub(crate) fn question(cpu_xml: &str) -> Result<String, Fault> {
    let mut cpu = GuestCpu::read(cpu_xml)?;
    let named = cpu.features.len();
    cpu.features.retain(|feature, _| !GIVEN_BY_QEMU.contains(&feature.as_str()));
    Ok(if cpu.features.len() == named { cpu_xml.to_owned() } else { cpu.write()? })
}

/// The host has all that the CPU needs, but a full check also refuses what QEMU adds to its model or leaves out of it: KVM
/// guests get x2apic and lose svm and vmx, whatever the host has.
fn full_check(fault: Fault, guest: &str, host: &str, cpu: &GuestCpu) -> Fault {
    // libvirt's code for a CPU that is not as the definition says; other reasons of a start have others.
    if fault.code != "operation_failed" || fault.hint.is_some() {
        return fault;
    }
    let hint = format!(
        "{host} has all that {} needs; its check='full' also refuses what QEMU adds or leaves out: {}",
        cpu.model,
        remedy_of_start(guest, host, cpu)
    );
    fault.hint(hint).on_object("domain", guest)
}
