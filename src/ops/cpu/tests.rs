use std::collections::BTreeMap;

use proptest::prelude::*;

use super::decide::{Features, Fit, Offer, baseline, common, fit, needs};
use super::*;
use crate::xml::cpu::{CpuMap, MapModel};

fn set(words: &str) -> Features {
    words.split_whitespace().map(str::to_owned).collect()
}

/// Five generations, each with more than the one before, and one of another maker.
fn map() -> CpuMap {
    let model = |vendor: &str, features: &str| MapModel { vendor: vendor.into(), features: set(features) };
    let models = BTreeMap::from(
        [
            ("base64", model("", "fpu sse")),
            ("Old", model("Intel", "fpu sse sse4")),
            ("Sandy", model("Intel", "fpu sse sse4 avx aes")),
            ("Sandy-IBRS", model("Intel", "fpu sse sse4 avx aes spec-ctrl")),
            ("Well", model("Intel", "fpu sse sse4 avx aes avx2 pcid rtm")),
            ("Lake", model("Intel", "fpu sse sse4 avx aes avx2 pcid spec-ctrl ssbd")),
            ("Zen", model("AMD", "fpu sse sse4 avx aes ibpb")),
        ]
        .map(|(name, model)| (name.to_owned(), model)),
    );
    let features = models.values().flat_map(|model| model.features.clone()).collect();
    CpuMap { models, features, ..CpuMap::default() }
}

fn offer(host: &str, vendor: &str, features: &str) -> Offer {
    let map = map();
    let features = set(features);
    let models = map.models.iter().map(|(name, model)| UsableModel {
        name: name.clone(),
        usable: Some(model.features.is_subset(&features)),
        deprecated: false,
        vendor: model.vendor.clone(),
    });
    Offer {
        host: host.into(),
        virt_type: "kvm".into(),
        vendor: vendor.into(),
        models: models.collect(),
        features,
        map,
        vulnerabilities: BTreeMap::from([("mds".into(), "Not affected".into())]),
    }
}

fn required(fit: &Fit) -> Vec<&str> {
    fit.require.iter().map(|given| given.feature.as_str()).collect()
}

const FULL: &str = "fpu sse sse4 avx aes avx2 pcid rtm spec-ctrl ssbd stibp hypervisor";

#[test]
fn a_model_is_fitted_by_what_hosts_lack_and_no_feature_more() {
    let offers =
        [offer("a", "Intel", FULL), offer("b", "Intel", "fpu sse sse4 aes pcid spec-ctrl hypervisor stibp")];
    let fit = fit(&offers, "Well").unwrap();
    let expected = ["avx", "avx2", "rtm"].map(|feature| (feature.to_owned(), vec!["b".to_owned()]));
    assert_eq!(fit.disable, BTreeMap::from(expected));
    assert_eq!((fit.kept(), fit.content.len()), (5, 8));
    // What both have and the model has not; pcid is in the model, ssbd only on a.
    assert_eq!(required(&fit), ["spec-ctrl", "stibp", "hypervisor"]);
}

#[test]
fn the_baseline_is_the_newest_model_that_all_run_as_it_is() {
    let a = offer("a", "Intel", FULL);
    assert_eq!(baseline(std::slice::from_ref(&a)).unwrap().model, "Lake");
    let b = offer("b", "Intel", "fpu sse sse4 avx aes hypervisor pcid stibp");
    let both = baseline(&[a.clone(), b.clone()]).unwrap();
    assert_eq!((both.model.as_str(), required(&both)), ("Sandy", vec!["pcid", "stibp", "hypervisor"]));
    let c = offer("c", "Intel", "fpu sse");
    assert_eq!(baseline(&[a.clone(), b, c]).unwrap().model, "base64");
    let nothing = baseline(&[a, offer("d", "Intel", "fpu")]).unwrap_err();
    assert_eq!((nothing.code.as_str(), nothing.class), ("no_common_model", Class::Refused));
}

#[test]
fn flags_that_switch_protection_off_need_the_systems_word_and_are_never_given_twice() {
    let mut a = offer("a", "Intel", &[FULL, "mds-no taa-no tsx-ctrl arch-capabilities"].join(" "));
    let fitted = fit(&[a.clone()], "Well").unwrap();
    // taa-no: the system says nothing of tsx_async_abort. tsx-ctrl: the model has rtm. arch-capabilities holds both.
    assert_eq!(
        required(&fitted),
        ["spec-ctrl", "stibp", "ssbd", "mds-no", "tsx-ctrl", "arch-capabilities", "hypervisor"]
    );
    assert!(!required(&fit(&[a.clone()], "Lake").unwrap()).contains(&"tsx-ctrl"));
    a.vulnerabilities.insert("mds".into(), "Vulnerable".into());
    assert!(!required(&fit(&[a.clone()], "Well").unwrap()).contains(&"mds-no"));
    a.features.remove("arch-capabilities");
    assert!(!required(&fit(&[a], "Well").unwrap()).contains(&"tsx-ctrl"), "nobody could read it");

    let zen =
        |more: &str| offer("z", "AMD", &["fpu sse sse4 avx aes ibpb amd-ssbd virt-ssbd", more].join(" "));
    assert_eq!(required(&fit(&[zen("")], "Zen").unwrap()), ["amd-ssbd", "virt-ssbd"]);
    let mut fixed = zen("amd-no-ssb");
    fixed.vulnerabilities.insert("spec_store_bypass".into(), "Not affected".into());
    assert_eq!(required(&fit(&[fixed], "Zen").unwrap()), ["amd-no-ssb"]);
}

#[test]
fn makers_are_not_mixed_and_unknown_names_are_told_with_the_nearest() {
    let mixed = [offer("i", "Intel", FULL), offer("z", "AMD", FULL)];
    for fault in [baseline(&mixed).unwrap_err(), fit(&mixed, "Old").unwrap_err()] {
        assert_eq!(fault.code, "mixed_vendors");
        assert!(fault.message.contains("AMD: z; Intel: i"), "{fault}");
    }
    let fault = fit(&mixed[..1], "Sandi").unwrap_err();
    assert_eq!(fault.code, "unknown_cpu_model");
    assert!(fault.hint.unwrap().contains("Sandy"));
    let fault = mixed[0].know(&["avx3".to_owned()]).unwrap_err();
    assert_eq!(fault.code, "unknown_cpu_feature");
    assert!(fault.hint.unwrap().contains("avx2"));
    assert_eq!(baseline(&[]).unwrap_err().code, "no_hosts");
}

#[test]
fn only_x86_is_computed() {
    assert!(is_x86("x86_64") && is_x86("i686"));
    assert!(!is_x86("aarch64") && !is_x86("ppc64le") && !is_x86(""));
}

#[test]
fn every_flag_has_one_sentence_and_is_listed_once() {
    let mut seen = Features::new();
    for flag in flags::FLAGS {
        assert!(seen.insert(flag.name.to_owned()), "{} twice", flag.name);
        let sentences = flag.why.matches(". ").count();
        assert!(
            flag.why.ends_with('.') && sentences == 0 && flag.why.len() < 130,
            "{}: {}",
            flag.name,
            flag.why
        );
    }
}

#[test]
fn guests_that_could_not_start_or_move_are_named_with_what_is_missing() {
    let guest = |name: &str, running: bool, cpu: GuestCpu| Demand {
        guest: name.into(),
        host: "a".into(),
        running,
        virt_type: "kvm".into(),
        cpu,
    };
    let no_features: [String; 0] = [];
    let well = GuestCpu::named("Well", &["rtm".to_owned()], &no_features);
    let through = GuestCpu { mode: "host-passthrough".into(), ..GuestCpu::default() };
    let demands = [
        guest("live", true, well.clone()),
        guest("off", false, well),
        guest("old", true, GuestCpu::named("Old", &no_features, &no_features)),
        guest("bare", true, through),
        guest("odd", false, GuestCpu::named("Odd", &no_features, &no_features)),
    ];
    let offers = [offer("a", "Intel", FULL), offer("b", "Intel", "fpu sse sse4 aes pcid")];
    let verdicts = judge(&demands, &offers);
    let short: Vec<_> =
        verdicts.iter().map(|v| (v.guest.as_str(), v.to.as_str(), v.cannot, v.missing.join(" "))).collect();
    assert_eq!(
        short,
        [
            ("live", "b", "migrate", "avx avx2".to_owned()),
            ("off", "b", "start", "avx avx2".to_owned()),
            ("bare", "b", "migrate", String::new()),
            ("odd", "a", "start", String::new()),
            ("odd", "b", "start", String::new()),
        ]
    );
    assert_eq!(verdicts[0].why, "b lacks avx, avx2");
}

const ALL: &str =
    "fpu sse sse4 avx aes avx2 pcid rtm spec-ctrl ssbd stibp hypervisor mds-no taa-no arch-capabilities ibpb";

fn any_offer() -> impl Strategy<Value = Offer> {
    let features: Vec<String> = set(ALL).into_iter().collect();
    let most = features.len();
    (prop::sample::subsequence(features, 0..=most), any::<bool>()).prop_map(|(features, affected)| {
        let mut made = offer("h", "Intel", &features.join(" "));
        let state = if affected { "Vulnerable" } else { "Not affected" };
        made.vulnerabilities =
            ["mds", "tsx_async_abort"].map(|what| (what.to_owned(), state.to_owned())).into();
        made
    })
}

fn some_offers() -> impl Strategy<Value = Vec<Offer>> {
    prop::collection::vec(any_offer(), 1..6).prop_map(|mut offers| {
        for (at, offer) in offers.iter_mut().enumerate() {
            offer.host = format!("h{at}");
        }
        offers
    })
}

proptest! {
    #[test]
    fn a_baseline_runs_on_every_host(offers in some_offers()) {
        if let Ok(found) = baseline(&offers) {
            prop_assert!(found.disable.is_empty());
            for offer in &offers {
                prop_assert!(found.features().is_subset(&offer.features), "{found:?} on {offer:?}");
                prop_assert_ne!(offer.usable(&found.model), Some(false));
            }
        }
    }

    #[test]
    fn one_host_more_never_enlarges_the_baseline(offers in some_offers(), more in any_offer()) {
        let before = baseline(&offers);
        let after = baseline(&[offers.clone(), vec![more.clone()]].concat());
        match (&before, &after) {
            (Ok(before), Ok(after)) => prop_assert!(after.content.len() <= before.content.len()),
            (Err(_), after) => prop_assert!(after.is_err()),
            _ => {}
        }
        let all = common(&[offers.clone(), vec![more]].concat());
        prop_assert!(all.is_subset(&common(&offers)));
    }

    #[test]
    fn what_is_disabled_and_what_is_offered_cover_the_model(offers in some_offers(), model in 0_usize..7) {
        let name = map().models.keys().nth(model).cloned().unwrap();
        let fit = fit(&offers, &name).unwrap();
        let common = common(&offers);
        let disabled: Features = fit.disable.keys().cloned().collect();
        prop_assert!(fit.content.is_subset(&disabled.union(&common).cloned().collect()));
        // No feature more than needed, none twice.
        prop_assert!(disabled.is_disjoint(&common) && disabled.is_subset(&fit.content));
        prop_assert!(fit.features().is_subset(&common));
        let given: Vec<_> = required(&fit);
        prop_assert!(given.iter().all(|feature| !fit.content.contains(*feature)));
        prop_assert_eq!(given.iter().collect::<std::collections::BTreeSet<_>>().len(), given.len());
        // The guest so made needs just that.
        let require: Vec<String> = given.iter().map(|feature| (*feature).to_owned()).collect();
        let cpu = GuestCpu::named(&name, fit.disable.keys(), &require);
        prop_assert_eq!(needs(&cpu, &offers[0]).unwrap(), Some(fit.features()));
    }
}
