//! CPUs of guests that KVM runs, on nodes with different CPUs.
//!
//! QEMU emulates AMD's SVM for the nodes, so that each has a KVM of its own: what guests can have there is what the node's
//! CPU has, as on real hosts.

use std::time::Duration;

use crate::lab::vm::{Node, VmLab};
use crate::lab::{Output, wait_until};
use crate::scene::script;

/// How long one command may take: a guest of an emulated KVM starts in 15 s on an idle node.
const LONG: Duration = Duration::from_secs(400);

const NEWER: &str = "EPYC,+svm,+npt";
const OLDER: &str = "EPYC,+svm,+npt,-avx,-avx2";

/// What QEMU's emulation of an EPYC lacks of one.
const LACKING: [&str; 8] =
    ["3dnowprefetch", "fxsr_opt", "misalignsse", "osvw", "rdseed", "sha-ni", "vme", "xsavec"];

/// A guest without disks that starts only with exactly the CPU that is asked for. It counts on a file of the host. QEMU's
/// SVM does not keep what XSAVE needs.
const GUEST: &str = "<domain type='kvm'><name>web</name><memory unit='MiB'>96</memory><vcpu>1</vcpu>\
    <os><type arch='x86_64' machine='q35'>hvm</type><kernel>/srv/guest/vmlinuz</kernel><initrd>/srv/guest/initrd</initrd>\
    <cmdline>console=ttyS1 quiet panic=1 noxsave guest=web</cmdline></os><features><acpi/></features>\
    <cpu mode='custom' match='exact' check='full'><model fallback='forbid'>EPYC</model></cpu>\
    <devices><serial type='pty'><target port='0'/></serial>\
    <serial type='file'><source path='/var/log/web.log' append='on'/><target port='1'/></serial></devices></domain>";

/// Brings up both, each with its KVM.
fn nodes() -> VmLab {
    let node = |name: &str, cpu: &str| Node::new(name).memory(1024).cpu(cpu);
    let lab = VmLab::up(&[node("h2-a", NEWER), node("h2-b", OLDER)]);
    for node in ["h2-a", "h2-b"] {
        lab.shell(node, "modprobe kvm-amd; test -c /dev/kvm; systemctl restart libvirtd; timeout 300 virsh -q domcapabilities --virttype kvm");
    }
    lab
}

fn run(lab: &VmLab, name: &str, args: &[&str]) -> Output {
    let mut command = lab.kvmsh();
    command.arg(script(name)).args(args);
    lab.run(command, LONG)
}

fn code(lab: &VmLab, code: &str) -> Output {
    // A daemon that was idle needs a while to answer on a slow node.
    let head = r#"let a = host("h2-a"); let b = host("h2-b"); retry(10, 3, || b.hostname);"#;
    let mut command = lab.kvmsh();
    command.args(["-c", &format!("{head} {code}")]);
    lab.run(command, LONG)
}

fn tune(lab: &VmLab, args: &[&str]) -> Output {
    run(lab, "tune-cpu.rhai", &[&["web"], args].concat())
}

/// The features that the definition switches off, sorted.
fn off(lab: &VmLab, node: &str) -> Vec<String> {
    let xml = lab.shell(node, "virsh dumpxml --inactive web");
    let parts = xml.split("<feature policy='disable' name='").skip(1);
    let mut names: Vec<_> = parts.filter_map(|part| part.split('\'').next()).map(str::to_owned).collect();
    names.sort();
    names
}

/// Waits until the guest counts on `node`, and goes on.
fn counts(lab: &VmLab, node: &str) {
    let ticks = || lab.shell(node, "grep -c tick /var/log/web.log || :").trim().parse::<u32>().unwrap_or(0);
    let before = ticks();
    wait_until(LONG, "the guest to count", || ticks() > before + 2);
}

#[test]
fn guests_of_kvm_are_fitted_to_two_generations_and_the_baseline_moves_both_ways() {
    let lab = nodes();
    code(&lab, &format!("a.define(`{GUEST}`)")).ends(0);

    // Not as it is: what the host lacks, and what makes it fit.
    let strict = code(&lab, r#"a.domain("web").start()"#);
    strict.ends(4).says(&[
        &format!("web cannot start on h2-a: its CPU EPYC needs {}, which h2-a lacks", LACKING.join(", ")),
        "tune-cpu.rhai web --hosts h2-a --verify",
    ]);
    tune(&lab, &["--model", "EPYC", "--hosts", "h2-a", "--check", "partial"]).ends(0);
    assert_eq!(off(&lab, "h2-a"), LACKING, "neither more nor less");
    // It starts as libvirt compares by itself, and not with each of these back.
    code(&lab, r#"a.domain("web").start(#{paused: true}); a.domain("web").destroy()"#).ends(0);
    let less = r#"let g = a.domain("web"); let whole = g.definition;
        for name in ["3dnowprefetch", "fxsr_opt", "misalignsse", "osvw", "rdseed", "sha-ni", "vme", "xsavec"] {
            g.edit(|x| x.remove("cpu/feature[@name='" + name + "']"));
            try { g.start(#{paused: true}); g.destroy(); print(name + " was not needed"); }
            catch (e) { print(e.code + " " + e.message.contains(name)); }
            a.define(whole);
        }"#;
    assert_eq!(code(&lab, less).ends(0).stdout, "cpu_incompatible true\n".repeat(LACKING.len()));

    // For a full check the first start finds out what QEMU adds and leaves out; the second time nothing changes.
    let full = ["--model", "EPYC", "--hosts", "h2-a", "--check", "full", "--verify"];
    tune(&lab, &full).ends(0).prints(&["  - svm: this QEMU's EPYC has none"]);
    tune(&lab, &full).ends(0).says(&["nothing to do"]);
    code(&lab, r#"a.domain("web").start()"#).ends(0);

    // The older node lacks AVX: known before it has to move, from either side.
    code(&lab, r#"print(a.cpu.compare(b.cpu)); print(b.cpu.compare(a.cpu));"#)
        .ends(0)
        .prints(&["superset\nincompatible\n"]);
    run(&lab, "cpu-report.rhai", &["h2-a", "h2-b"])
        .ends(5)
        .prints(&["web on h2-a cannot migrate to h2-b: h2-b lacks avx, avx2"]);
    code(&lab, r#"a.domain("web").migrate("h2-b")"#).ends(4).says(&[
        "the CPU of h2-b cannot run web",
        "required features: avx, avx2",
        "tune-cpu.rhai web --hosts h2-a --hosts h2-b",
    ]);
    code(&lab, r#"a.domain("web").destroy()"#).ends(0);

    // Fitted for both it starts on both.
    tune(&lab, &["--model", "EPYC", "--check", "partial"]).ends(0).prints(&["  - avx2 (not on h2-b): "]);
    let both: Vec<&str> = [&["3dnowprefetch", "avx", "avx2"], &LACKING[1..]].concat();
    assert_eq!(
        off(&lab, "h2-a").iter().filter(|name| *name != "svm" && *name != "monitor").collect::<Vec<_>>(),
        both
    );
    let starts = r#"a.domain("web").start(#{paused: true}); a.domain("web").destroy(); a.domain("web").migrate("h2-b");
        b.domain("web").start(#{paused: true}); b.domain("web").destroy(); b.domain("web").migrate("h2-a");"#;
    code(&lab, starts).ends(0);

    // The newest model that both have moves live, both ways, and goes on.
    tune(&lab, &["--verify"]).ends(0).prints(&["web: qemu64, 27 of its 27 features"]);
    code(&lab, r#"a.domain("web").start()"#).ends(0);
    counts(&lab, "h2-a");
    code(&lab, r#"a.domain("web").migrate("h2-b")"#).ends(0);
    counts(&lab, "h2-b");
    code(&lab, r#"b.domain("web").migrate("h2-a")"#).ends(0);
    counts(&lab, "h2-a");
}
