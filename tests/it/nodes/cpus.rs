//! CPUs of guests that KVM runs, on nodes with different CPUs.
//!
//! QEMU emulates AMD's SVM for the nodes, so that each has a KVM of its own: what their guests can have is what the node's
//! CPU has, as on real hosts.

use std::time::Duration;

use crate::lab::vm::{Node, VmLab};
use crate::lab::{Output, wait_until};
use crate::scene::script;

/// How long one command may take: a guest of an emulated KVM starts in 10 s on an idle node.
const LONG: Duration = Duration::from_secs(400);

/// What the nodes have in common, and the newer of them.
const OLDER: &str = "EPYC,+svm,+npt,-avx,-avx2";
const NEWER: &str = "EPYC,+svm,+npt";

/// A guest without disks whose console is a file. QEMU's SVM does not keep what XSAVE needs.
const GUEST: &str = "<domain type='kvm'><name>web</name><memory unit='MiB'>96</memory><vcpu>1</vcpu>\
    <os><type arch='x86_64' machine='q35'>hvm</type><kernel>/srv/guest/vmlinuz</kernel><initrd>/srv/guest/initrd</initrd>\
    <cmdline>console=ttyS1 quiet panic=1 noxsave guest=web</cmdline></os><features><acpi/></features>\
    <cpu mode='custom' match='exact' check='full'><model fallback='forbid'>EPYC</model></cpu>\
    <devices><serial type='pty'><target port='0'/></serial>\
    <serial type='file'><source path='/var/log/web.log'/><target port='1'/></serial></devices></domain>";

fn kvmsh(lab: &VmLab, args: &[&str]) -> Output {
    let mut command = lab.kvmsh();
    command.args(args);
    lab.run(command, LONG)
}

fn code(lab: &VmLab, code: &str) -> Output {
    let head = r#"import "std/cpu" as cpu; let a = host("h2-a"); let b = host("h2-b");"#;
    kvmsh(lab, &["-c", &format!("{head} {code}")])
}

/// Waits until the guest runs its own programs on `node`.
fn lives(lab: &VmLab, node: &str) {
    wait_until(LONG, "the guest to live", || {
        let state = "virsh domstate web; grep -c . /var/log/web.log || true";
        lab.shell(node, state).starts_with("running")
    });
    let pid = lab.shell(node, "pgrep -f 'guest=web'");
    assert!(!pid.trim().is_empty());
}

#[test]
fn guests_of_kvm_are_fitted_to_two_generations_and_move_both_ways() {
    let lab =
        VmLab::up(&[Node::new("h2-a").memory(1024).cpu(NEWER), Node::new("h2-b").memory(1024).cpu(OLDER)]);
    for node in ["h2-a", "h2-b"] {
        lab.shell(node, "modprobe kvm-amd && test -e /dev/kvm && systemctl restart libvirtd && virsh -q domcapabilities >/dev/null");
    }
    let offers = "print(a.cpu.offer(#{type: `kvm`}).features.contains(`avx2`)); print(b.cpu.offer(#{type: `kvm`}).features.contains(`avx2`));";
    code(&lab, offers).ends(0).prints(&["true\nfalse\n"]);
    lives(&lab, "h2-a");
}
