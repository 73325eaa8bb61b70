//! Ways to lose a guest that look harmless.

use crate::lab::Lab;
use crate::scene::{LONG, active, defined, edit_inventory, kvmsh, pair, run_code, wait_settled};
use std::time::Duration;

/// A blank image at a path that is private to each host.
fn blank_image(lab: &Lab, host: &str, path: &str) {
    let mut create = lab.on_host(host, "qemu-img");
    create.args(["create", "-q", "-f", "qcow2", path, "64M"]);
    lab.run(create, LONG).ends(0);
}

#[test]
fn a_plan_is_no_proof_that_storage_is_shared() {
    let lab = pair();
    edit_inventory(&lab, r#"["/srv/shared"]"#, r#"["/srv/shared", "/var/lib/libvirt/images"]"#);
    let guest = lab.guest("h2-a", "web1").local_disk().start();
    blank_image(&lab, "h2-b", "/var/lib/libvirt/images/web1.qcow2");
    guest.wait_boot();
    let code = r#"let d = host("h2-a").domain("web1"); plan(|| d.migrate("h2-b")); d.migrate("h2-b")"#;
    run_code(&lab, code).ends(4).says(&["error[not_shared]"]);
    wait_settled(&lab, &[guest], &[]);
}

#[test]
fn a_link_out_of_the_shared_directory_does_not_pass_for_shared() {
    let lab = pair();
    for host in ["h2-a", "h2-b"] {
        blank_image(&lab, host, "/var/lib/libvirt/images/linked.qcow2");
    }
    let link = lab.shared().join("linked.qcow2");
    std::os::unix::fs::symlink("/var/lib/libvirt/images/linked.qcow2", link).expect("a link");
    let guest = lab.guest("h2-a", "web1").no_disk().off().start();
    let disk = ["attach-disk", "web1", "/srv/shared/linked.qcow2", "vda", "--subdriver", "qcow2", "--config"];
    lab.virsh("h2-a", &disk);
    lab.virsh("h2-a", &["start", "web1"]);
    guest.wait_boot();
    let refused = run_code(&lab, r#"host("h2-a").domain("web1").migrate("h2-b")"#);
    refused.ends(4).says(&["error[not_shared]", "/var/lib/libvirt/images is not the same storage"]);
    wait_settled(&lab, &[guest], &[]);
}

#[test]
fn a_transient_move_leaves_the_only_definition_where_it_was() {
    let lab = pair();
    let guest = lab.guest("h2-a", "web1").start();
    guest.wait_boot();
    run_code(&lab, r#"host("h2-a").domain("web1").migrate("h2-b", #{ transient: true })"#).ends(0);
    wait_settled(&lab, &[], &[guest]);
    assert_eq!(defined(&lab, "h2-a"), ["web1"]);
    assert!(active(&lab, "h2-a").is_empty());
    assert!(lab.virsh("h2-b", &["dominfo", "web1"]).contains("Persistent:     no"));
}

#[test]
fn a_frozen_qemu_holds_nobody() {
    let lab = pair();
    let guest = lab.guest("h2-a", "web1").start();
    guest.wait_boot();
    let signal = |signal: &str| {
        let mut kill = lab.on_host("h2-a", "sh");
        let qemu = "$(pgrep -f '^/usr/bin/qemu-system-x86_64 -name guest=web1,')";
        kill.args(["-c", &format!("kill -{signal} {qemu}")]);
        lab.run(kill, LONG).ends(0);
    };
    signal("STOP");
    let stats = lab.run(kvmsh(&lab, &["--timeout", "5s", "-c", r#"host("h2-a").stats()"#]), LONG);
    // The daemon still waits for the first one's sake; the others are told what is known without QEMU.
    let others = lab.run(kvmsh(&lab, &["-c", r#"host("h2-a").stats().len()"#]), LONG);
    signal("CONT");
    stats.ends(124).within(Duration::from_secs(20));
    others.ends(0).prints(&["1"]).within(Duration::from_secs(40));
    wait_settled(&lab, &[guest], &[]);
}
