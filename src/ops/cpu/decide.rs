//! What is decided of CPUs: pure functions from what hosts offer to models and features.

use std::collections::{BTreeMap, BTreeSet};

use super::flags::{ARCH_CAPABILITIES_WHY, FLAGS, GIVEN_BY_QEMU, HYPERVISOR_WHY, IN_ARCH_CAPABILITIES, When};
use crate::model::suggest::did_you_mean;
use crate::model::{Class, Fault};
use crate::xml::cpu::{CpuMap, GuestCpu};
use crate::xml::host::UsableModel;

/// Features by libvirt's names.
pub type Features = BTreeSet<String>;

/// What one host's hypervisor can offer to guests of one kind.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// The host's name.
    pub host: String,
    /// `kvm` or `qemu`.
    pub virt_type: String,
    /// Whose CPU it is, for KVM; emulation serves any model, so there it is empty.
    pub vendor: String,
    /// Every feature that a guest can have there and still migrate.
    pub features: Features,
    /// The named models that QEMU has there.
    pub models: Vec<UsableModel>,
    /// What libvirt there takes models for.
    pub map: CpuMap,
    /// What sysfs says of each vulnerability.
    pub vulnerabilities: BTreeMap<String, String>,
}

impl Offer {
    /// What a model contains, as libvirt there sees it.
    ///
    /// # Errors
    /// `unknown_cpu_model` with a suggestion.
    pub fn content(&self, model: &str) -> Result<&Features, Fault> {
        if let Some(known) = self.map.models.get(model) {
            return Ok(&known.features);
        }
        let near = did_you_mean(model, self.map.models.keys().map(String::as_str));
        let message = format!("libvirt on {} knows no CPU model {model}", self.host);
        let fault = Fault::new("unknown_cpu_model", message).class(Class::Refused).on_host(&self.host);
        Err(fault.hint(near.unwrap_or_else(|| "`host.cpu.models` lists them".into())))
    }

    /// What of a model a guest would not get there.
    ///
    /// # Errors
    /// `unknown_cpu_model`.
    pub fn missing(&self, model: &str) -> Result<Features, Fault> {
        Ok(self.content(model)?.difference(&self.features).cloned().collect())
    }

    /// QEMU's own word on a model; `None` where it has none.
    pub fn usable(&self, model: &str) -> Option<bool> {
        self.models.iter().find(|known| known.name == model).and_then(|known| known.usable)
    }

    /// Refuses names that libvirt there does not know.
    ///
    /// # Errors
    /// `unknown_cpu_feature` with a suggestion.
    pub fn know(&self, features: &[String]) -> Result<(), Fault> {
        for feature in features {
            if self.map.features.is_empty() || self.map.features.contains(feature) {
                continue;
            }
            let near = did_you_mean(feature, self.map.features.iter().map(String::as_str));
            let message = format!("libvirt on {} knows no CPU feature {feature}", self.host);
            let fault = Fault::new("unknown_cpu_feature", message).class(Class::Refused).on_host(&self.host);
            return Err(fault.hint(near.unwrap_or_else(|| {
                "libvirt's names are in /usr/share/libvirt/cpu_map/x86_features.xml".into()
            })));
        }
        Ok(())
    }
}

/// A feature that is given to a guest, and the sentence why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// libvirt's name.
    pub feature: String,
    /// Why, in one sentence.
    pub why: &'static str,
}

/// A model, and what has to be switched off and on in it for a set of hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fit {
    /// The model.
    pub model: String,
    /// What it contains.
    pub content: Features,
    /// What is switched off, and the hosts that lack it.
    pub disable: BTreeMap<String, Vec<String>>,
    /// What is switched on beside it: what tells the guest what is fixed.
    pub require: Vec<Given>,
    /// What every host offers, in the model or not.
    pub offered: Features,
}

impl Fit {
    /// What the guest gets.
    pub fn features(&self) -> Features {
        let own = self.content.iter().filter(|feature| !self.disable.contains_key(*feature));
        own.cloned().chain(self.require.iter().map(|given| given.feature.clone())).collect()
    }

    /// How many of the model's features are left.
    pub fn kept(&self) -> usize {
        self.content.iter().filter(|feature| !self.disable.contains_key(*feature)).count()
    }
}

/// What every host offers.
pub fn common(offers: &[Offer]) -> Features {
    let mut offers = offers.iter();
    let first = offers.next().map(|offer| offer.features.clone()).unwrap_or_default();
    offers.fold(first, |common, offer| common.intersection(&offer.features).cloned().collect())
}

/// Refuses no hosts, and hosts with CPUs of several makers: guests do not migrate between them.
fn one_vendor(offers: &[Offer]) -> Result<String, Fault> {
    let mut by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for offer in offers.iter().filter(|offer| !offer.vendor.is_empty()) {
        by.entry(&offer.vendor).or_default().push(&offer.host);
    }
    if offers.is_empty() {
        let fault = Fault::new("no_hosts", "a CPU for no hosts cannot be computed").class(Class::Refused);
        return Err(fault.hint("give it one host or more"));
    }
    if by.len() > 1 {
        let groups: Vec<_> =
            by.iter().map(|(vendor, hosts)| format!("{vendor}: {}", hosts.join(", "))).collect();
        let message = format!("these hosts have CPUs of different makers ({})", groups.join("; "));
        return Err(Fault::new("mixed_vendors", message)
            .class(Class::Refused)
            .hint("guests do not migrate live between makers: compute one CPU for each group"));
    }
    Ok(by.keys().next().map(|vendor| (*vendor).to_owned()).unwrap_or_default())
}

/// What has to be switched off in a model so that it starts on every one of these hosts, no feature more.
///
/// # Errors
/// `unknown_cpu_model`; `mixed_vendors`.
pub fn fit(offers: &[Offer], model: &str) -> Result<Fit, Fault> {
    let vendor = one_vendor(offers)?;
    let mut fit = Fit { model: model.to_owned(), offered: common(offers), ..Fit::default() };
    for offer in offers {
        // Versions of libvirt differ in what a model contains.
        fit.content.extend(offer.content(model)?.iter().cloned());
    }
    for offer in offers {
        for feature in fit.content.difference(&offer.features) {
            fit.disable.entry(feature.clone()).or_default().push(offer.host.clone());
        }
    }
    let vendor = if vendor.is_empty() { model_vendor(offers, model) } else { vendor };
    fit.require = given(offers, &fit, &vendor);
    Ok(fit)
}

fn model_vendor(offers: &[Offer], model: &str) -> String {
    let known = offers.iter().find_map(|offer| offer.map.models.get(model));
    known.map(|model| model.vendor.clone()).unwrap_or_default()
}

/// The newest named model that every host runs as it is, with what tells the guest what is fixed. Newest is the one
/// with the most features; the alphabet decides between equals.
///
/// # Errors
/// `no_common_model`; `mixed_vendors`.
pub fn baseline(offers: &[Offer]) -> Result<Fit, Fault> {
    let vendor = one_vendor(offers)?;
    let first = offers.first().map(|offer| offer.models.as_slice()).unwrap_or_default();
    let fits = first.iter().filter_map(|model| {
        let everywhere = offers.iter().all(|offer| {
            let known = offer.models.iter().find(|known| known.name == model.name);
            known.is_some_and(|known| !known.deprecated && known.usable != Some(false))
        });
        let maker = model_vendor(offers, &model.name);
        let suits = vendor.is_empty() || maker.is_empty() || maker == vendor;
        (everywhere && suits).then(|| fit(offers, &model.name).ok()).flatten()
    });
    let best = fits
        .filter(|fit| fit.disable.is_empty())
        .max_by_key(|fit| (fit.content.len(), std::cmp::Reverse(fit.model.clone())));
    best.ok_or_else(|| {
        let hosts: Vec<_> = offers.iter().map(|offer| offer.host.as_str()).collect();
        Fault::new(
            "no_common_model",
            format!("no named CPU model runs as it is on all of {}", hosts.join(", ")),
        )
        .class(Class::Refused)
        .hint("name one to be fitted: `cpu.fit(\"Westmere\")`, or `model` in the options")
    })
}

/// What is switched on beside a model: never what it has already, only what every host offers.
fn given(offers: &[Offer], fit: &Fit, vendor: &str) -> Vec<Given> {
    let common = &fit.offered;
    let has = |feature: &str| fit.content.contains(feature) && !fit.disable.contains_key(feature);
    let mut given: Vec<Given> = Vec::new();
    for flag in FLAGS {
        let fits = flag.vendor.is_empty() || flag.vendor == vendor;
        let allowed = match flag.when {
            When::Always => true,
            When::NotAffected(what) => offers.iter().all(|offer| {
                offer.vulnerabilities.get(what).is_some_and(|state| state.starts_with("Not affected"))
            }),
            When::With(other) => has(other),
            When::Without(other) => !has(other) && !given.iter().any(|known| known.feature == other),
        };
        let new = common.contains(flag.name) && !fit.content.contains(flag.name);
        if fits && allowed && new {
            given.push(Given { feature: flag.name.to_owned(), why: flag.why });
        }
    }
    let needs = given.iter().any(|known| IN_ARCH_CAPABILITIES.contains(&known.feature.as_str()));
    if needs && !has("arch-capabilities") {
        if common.contains("arch-capabilities") {
            given.push(Given { feature: "arch-capabilities".into(), why: ARCH_CAPABILITIES_WHY });
        } else {
            given.retain(|known| !IN_ARCH_CAPABILITIES.contains(&known.feature.as_str()));
        }
    }
    if common.contains("hypervisor") && !fit.content.contains("hypervisor") {
        given.push(Given { feature: "hypervisor".into(), why: HYPERVISOR_WHY });
    }
    given
}

/// What a guest with this `<cpu>` needs of a host, by this host's map; `None` for one that takes the host's own CPU.
///
/// # Errors
/// `unknown_cpu_model`.
pub fn needs(cpu: &GuestCpu, offer: &Offer) -> Result<Option<Features>, Fault> {
    if cpu.model.is_empty() {
        return Ok(None);
    }
    let mut features = offer.content(&cpu.model)?.clone();
    for (feature, policy) in &cpu.features {
        if GIVEN_BY_QEMU.contains(&feature.as_str()) {
            continue;
        }
        match policy.as_str() {
            // Forced ones are given whether the host has them or not; optional ones may be left out.
            "disable" | "forbid" | "optional" | "force" => drop(features.remove(feature)),
            _ => drop(features.insert(feature.clone())),
        }
    }
    Ok(Some(features))
}
