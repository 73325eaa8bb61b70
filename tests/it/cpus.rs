//! CPUs of guests: what is computed is what QEMU really gives.

use std::time::Duration;

use crate::lab::{Lab, Output};
use crate::scene::{HOSTS, LONG, active, kvmsh, pair, run_code, script};

/// `kvmsh OPTIONS scripts/NAME ARGS`.
fn run(lab: &Lab, options: &[&str], name: &str, args: &[&str]) -> Output {
    let mut command = kvmsh(lab, options);
    command.arg(script(name)).args(args);
    lab.run(command, LONG)
}

/// The definition of a guest without its CPU.
fn rest(lab: &Lab, guest: &str) -> String {
    let xml = lab.virsh("h2-a", &["dumpxml", "--inactive", guest]);
    let (before, cpu) = xml.split_once("<cpu ").expect("a CPU");
    [before, cpu.split_once("</cpu>").expect("the CPU's end").1].concat()
}

/// The features of a guest's live CPU with this policy, sorted.
fn live(lab: &Lab, host: &str, guest: &str, policy: &str) -> Vec<String> {
    let xml = lab.virsh(host, &["dumpxml", guest]);
    let mark = format!("<feature policy='{policy}' name='");
    let mut names: Vec<String> =
        xml.split(&mark).skip(1).filter_map(|rest| rest.split('\'').next()).map(str::to_owned).collect();
    names.sort();
    names
}

/// A guest that libvirt starts only with exactly the CPU that is asked for, beside what QEMU adds by itself.
fn strict(lab: &Lab, model: &str) -> Output {
    let code = format!(
        r#"host("h2-a").domain("web").edit(|x| x.replace("cpu", `<cpu mode='custom' match='exact' check='full'>
            <model fallback='forbid'>{model}</model> <!-- by hand -->
            <feature policy='require' name='hypervisor'/><feature policy='require' name='arat'/>
            <feature policy='require' name='xsaveopt'/></cpu>`))"#
    );
    run_code(lab, &code)
}

/// The article's case: the model lacks features on this host, and the admin finds out which by trying.
#[test]
fn a_model_that_does_not_start_is_explained_and_fitted_with_no_feature_more() {
    let lab = pair();
    lab.guest("h2-a", "web").no_disk().off().start();
    strict(&lab, "SandyBridge-IBRS").ends(0);
    let before = rest(&lab, "web");

    run_code(&lab, r#"host("h2-a").domain("web").start()"#).ends(4).says(&[
        "error[cpu_incompatible]",
        "web cannot start on h2-a: its CPU SandyBridge-IBRS needs spec-ctrl, tsc-deadline, x2apic, which h2-a lacks",
        "scripts/tune-cpu.rhai web --hosts h2-a",
    ]);

    let state = lab.state();
    let tune = ["web", "--model", "SandyBridge-IBRS", "--hosts", "h2-a", "--verify"];
    let plan = run(&lab, &["--plan"], "tune-cpu.rhai", &tune);
    plan.ends(6).prints(&["define domain web on h2-a", "+     <feature name='x2apic' policy='disable'/>"]);
    assert_eq!(lab.state(), state);

    run(&lab, &[], "tune-cpu.rhai", &tune).ends(0).prints(&[
        "- x2apic (not on h2-a)",
        "- spec-ctrl",
        "- tsc-deadline",
    ]);
    let xml = lab.virsh("h2-a", &["dumpxml", "--inactive", "web"]);
    assert_eq!(rest(&lab, "web"), before);
    assert!(active(&lab, "h2-a").is_empty());
    run(&lab, &[], "tune-cpu.rhai", &tune[..5]).ends(0).says(&["nothing to do"]);
    assert_eq!(lab.virsh("h2-a", &["dumpxml", "--inactive", "web"]), xml);

    // Exactly these: it starts with them, and with none of them less.
    run_code(&lab, r#"host("h2-a").domain("web").start()"#).ends(0);
    assert_eq!(live(&lab, "h2-a", "web", "disable"), ["spec-ctrl", "tsc-deadline", "x2apic"]);
    run_code(&lab, r#"host("h2-a").domain("web").destroy()"#).ends(0);
    let less = r#"let g = host("h2-a").domain("web"); let whole = g.definition;
        for name in ["spec-ctrl", "tsc-deadline", "x2apic"] {
            g.edit(|x| x.remove("cpu/feature[@name='" + name + "']"));
            try { g.start(); print(name + " was not needed"); } catch (e) { print(e.code + " " + e.message.contains(name)); }
            g.host.define(whole);
        }"#;
    assert_eq!(run_code(&lab, less).ends(0).stdout, "cpu_incompatible true\n".repeat(3));

    // What cannot be is refused, and changes nothing.
    let refused = |args: &[&str], words: &[&str]| {
        run(&lab, &[], "tune-cpu.rhai", &[&["web", "--hosts", "h2-a"], args].concat()).ends(4).says(words);
    };
    refused(&["--model", "SandyBridg"], &["unknown_cpu_model", "did you mean `SandyBridge`"]);
    refused(&["--model", "Penryn", "--require", "avx512f"], &["not every host offers avx512f"]);
    refused(&["--cores", "3"], &["bad_topology"]);
    assert_eq!(lab.virsh("h2-a", &["dumpxml", "--inactive", "web"]), xml);
    refused(&["--on", "h2-b"], &["there is no web on h2-b"]);

    // A start would use up what it sleeps with.
    run_code(&lab, r#"host("h2-a").domain("web").start()"#).ends(0);
    lab.virsh("h2-a", &["managedsave", "web"]);
    refused(&["--model", "SandyBridge-IBRS", "--verify"], &["error[domain_saved]"]);
    assert!(lab.virsh("h2-a", &["dominfo", "web"]).contains("Managed save:   yes"));
}

/// Gives a host a QEMU without these features: for guests, it is a host with an older CPU.
fn older(lab: &Lab, host: &str, without: &[&str]) {
    let globals: String =
        without.iter().map(|feature| format!(" -global x86_64-cpu.{feature}=off")).collect();
    let wrap = format!(
        "mv /usr/bin/qemu-system-x86_64 /usr/bin/qemu-real && \
         printf '#!/bin/sh\\nexec /usr/bin/qemu-real \"$@\"{globals}\\n' >/usr/bin/qemu-system-x86_64 && \
         chmod 755 /usr/bin/qemu-system-x86_64"
    );
    let mut shell = lab.on_host(host, "sh");
    shell.args(["-c", &wrap]);
    lab.run(shell, LONG).ends(0);
    lab.stop(host, "libvirtd", "TERM");
    lab.start(host, "libvirtd");
}

#[test]
fn on_hosts_of_two_generations_the_baseline_starts_on_both_and_moves_both_ways() {
    let lab = pair();
    older(&lab, "h2-b", &["avx", "avx2", "popcnt"]);
    let web = lab.guest("h2-a", "web").no_disk().off().start();

    // Fitted for the newer host alone it does not fit the other one, and that is known before it has to move.
    run(&lab, &[], "tune-cpu.rhai", &["web", "--model", "Westmere", "--hosts", "h2-a"]).ends(0);
    let report = run(&lab, &[], "cpu-report.rhai", &["h2-*", "--type", "qemu", "--models"]);
    report.ends(5).prints(&[
        "newest common model: Opteron_G2",
        "Westmere                    h2-a: yes   h2-b: lacks popcnt",
        "web on h2-a cannot start on h2-b: h2-b lacks popcnt",
    ]);
    run_code(&lab, r#"host("h2-a").domain("web").start()"#).ends(0);
    run_code(&lab, r#"host("h2-a").domain("web").migrate("h2-b")"#).ends(4).says(&[
        "the CPU of h2-b cannot run web",
        "popcnt",
        "tune-cpu.rhai web --hosts h2-a --hosts h2-b",
    ]);
    run(&lab, &[], "tune-cpu.rhai", &["web"])
        .ends(0)
        .says(&["takes effect at its next start"])
        .prints(&["web: Opteron_G2"]);
    run_code(&lab, r#"host("h2-a").domain("web").destroy()"#).ends(0);

    // A model that one of them lacks something of, fitted for both.
    let fit = r#"let f = fit_cpu(hosts(), "Westmere", #{type: "qemu"}); print(f.disable); print(f.lost[0].hosts);
        print(host("h2-b").cpu.compare(host("h2-a").cpu, #{type: "qemu"}));
        print(host("h2-a").cpu.compare(host("h2-b").cpu, #{type: "qemu"}));"#;
    let printed = run_code(&lab, fit).ends(0).stdout.clone();
    assert_eq!(printed, "[\"popcnt\"]\n[\"h2-b\"]\nincompatible\nsuperset\n");

    run_code(&lab, r#"host("h2-a").domain("web").start()"#).ends(0);
    web.wait_boot();
    for (from, to) in [("h2-a", "h2-b"), ("h2-b", "h2-a")] {
        run_code(&lab, &format!("host({from:?}).domain(\"web\").migrate({to:?})")).ends(0);
        assert_eq!(active(&lab, to), ["web"]);
    }
    assert_eq!(web.ticks().boots, 1);
    run_code(&lab, r#"host("h2-a").domain("web").migrate("h2-b"); host("h2-b").domain("web").destroy(); host("h2-b").domain("web").start()"#)
        .ends(0);
    assert_eq!(active(&lab, "h2-b"), ["web"]);
}

/// Models that miss nothing, a little, and most of what they are.
const SPREAD: [&str; 7] = [
    "Penryn",
    "Westmere-IBRS",
    "IvyBridge",
    "Haswell-noTSX",
    "Skylake-Client-IBRS",
    "EPYC-Rome",
    "Cooperlake",
];

#[test]
fn every_model_is_fitted_as_libvirt_confirms_and_what_is_fitted_starts() {
    let lab = Lab::up(&HOSTS[..1]);
    lab.guest("h2-a", "web").no_disk().off().start();
    let all = r#"let all = host("h2-a").cpu.offer(#{type: "qemu"}).models;
        for model in all { let f = fit_cpu(["h2-a"], model.name, #{type: "qemu"});
            if f.disable != model.missing { print(model.name); } }
        print(all.len());"#;
    let output = lab.run(kvmsh(&lab, &["-c", all]), Duration::from_secs(400));
    let count: usize = output.ends(0).stdout.trim().parse().unwrap_or_else(|_| panic!("{output}"));
    assert!(count > 50, "{output}");

    for model in SPREAD {
        // A full check starts only with exactly the CPU of the definition.
        let args = ["web", "--hosts", "h2-a", "--model", model, "--check", "full", "--verify"];
        run(&lab, &[], "tune-cpu.rhai", &args).ends(0).prints(&[&format!("web: {model}, ")]);
    }
}

/// The daemon of one of twenty hosts answers late; the nineteen others are names of one and the same.
#[test]
fn a_table_of_twenty_hosts_takes_hardly_longer_than_that_of_the_slowest() {
    let lab = pair();
    let hosts = lab.dir().join("hosts.toml");
    let inventory = std::fs::read_to_string(&hosts).unwrap();
    let entry = inventory.split("[hosts.").find(|part| part.starts_with("h2-a]")).expect("h2-a");
    let entry = entry.strip_prefix("h2-a]").unwrap_or_default();
    let others: String = (1..20).map(|n| format!("[hosts.n{n:02}]{entry}\n")).collect();
    std::fs::write(&hosts, [inventory.as_str(), "\n", &others].concat()).unwrap();
    const LATE: Duration = Duration::from_secs(6);

    let table = |hosts: &str| {
        let code = format!(r#"import "std/cpu" as cpu; show(cpu::table({hosts}))"#);
        lab.stop("h2-b", "libvirtd", "STOP");
        let asks = lab.spawn(kvmsh(&lab, &["-c", &code]));
        std::thread::sleep(LATE);
        lab.stop("h2-b", "libvirtd", "CONT");
        let shown = asks.wait(LONG);
        shown.ends(0).prints(&["Westmere", "qemu64"]);
        shown
    };
    let slowest = table(r#"hosts("h2-b")"#).took;
    assert!(slowest > LATE, "the slow host took only {slowest:?}");
    let all = table(r#"hosts(["n*", "h2-b"])"#);
    assert!(all.stdout.contains("n19") || all.stdout.contains('…'), "{all}");
    assert!(all.took < slowest.mul_f64(1.2), "{:?}, and the slowest alone {slowest:?}", all.took);
}
