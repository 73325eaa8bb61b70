//! `std/hostprep`: what a host lacks, and whether hosts fit together. Installing is tested on real nodes.

use crate::lab::{Lab, Output};
use crate::scene::{Alone, LONG, journal, kvmsh, pair, script};

fn hostprep(lab: &Lab, options: &[&str], call: &str) -> Output {
    let code = format!("import \"std/hostprep\" as hostprep; hostprep::{call}");
    let mut command = kvmsh(lab, options);
    command.args(["-c", &code]);
    lab.run(command, LONG)
}

fn sh(lab: &Lab, host: &str, line: &str) {
    let mut command = lab.on_host(host, "sh");
    command.args(["-ec", line]);
    lab.run(command, LONG).ends(0);
}

#[test]
fn a_host_without_repositories_is_told_exactly_what_it_lacks() {
    let lab = Lab::up_with_bare(&[], &["h2-c"]);
    let plan = hostprep(&lab, &["--plan"], r#"kvm(host("h2-c"))"#);
    plan.ends(6)
        .prints(&["(read the package lists)", "(install libvirt-daemon-system libvirt-daemon-driver-qemu "]);
    assert_eq!(journal(&lab), "");
    let failed = hostprep(&lab, &[], r#"kvm(host("h2-c"), #{lock_wait: 5})"#);
    failed.ends(1).says(&[
        "error[packages_missing]: h2-c lacks libvirt-daemon-system ",
        "qemu-system-x86",
        "and apt-get could not install it: E: ",
        "by hand: apt-get install libvirt-daemon-system ",
    ]);
    // ifupdown does not own this host's network, so its tools are not asked for.
    assert!(!failed.stderr.contains("ifenslave"), "{failed}");
    sh(&lab, "h2-c", "touch /run/ostree-booted");
    let refused = hostprep(&lab, &[], r#"kvm(host("h2-c"))"#);
    refused.ends(4).says(&["error[read_only_system]", "rpm-ostree install libvirt-daemon-system "]);
}

#[test]
fn clones_are_refused_with_the_remedy() {
    let lab = pair();
    hostprep(&lab, &["--read-only"], r#"identity(hosts("h2-*"))"#).ends(0).prints(&["h2-a", "h2-b"]);
    sh(&lab, "h2-b", "echo 0123456789abcdef0123456789abcdef >/etc/machine-id");
    sh(&lab, "h2-a", "echo 0123456789abcdef0123456789abcdef >/etc/machine-id");
    let refused = hostprep(&lab, &[], r#"identity(hosts("h2-*"))"#);
    refused.ends(4).says(&[
        "error[same_identity]: h2-a and h2-b have the same machine-id 0123456789abcdef0123456789abcdef",
        "rm -f /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup; reboot",
    ]);
    assert!(!refused.stderr.contains("host_uuid"), "{refused}");
    let mut network = kvmsh(&lab, &["--plan"]);
    network.arg(script("setup-network.rhai")).args(["h2-b", "--slave", "eth0"]);
    lab.run(network, LONG).ends(4).says(&["error[same_identity]: h2-b and h2-a have the same machine-id"]);
    sh(
        &lab,
        "h2-b",
        "sed -i \"s/^host_uuid.*/$(grep ^host_uuid /etc/libvirt/libvirtd.conf)/\" /etc/libvirt/libvirtd.conf",
    );
    sh(&lab, "h2-b", "hostname h2-a");
    hostprep(&lab, &[], r#"identity(hosts("h2-*"))"#)
        .ends(4)
        .says(&["same host name h2-a", "hostnamectl set-hostname"]);
}

#[test]
fn a_report_needs_no_libvirt_and_changes_nothing() {
    let lab = Lab::up_with_bare(&["h2-a", "h2-b"], &["h2-c"]);
    let report = hostprep(&lab, &["--read-only"], r#"report(hosts())"#);
    report.ends(0).prints(&[
        "h2-a",
        "h2-b",
        "h2-c",
        "Debian",
        "9.0.0",
        "7.2",
        "pc-q35-7.2",
        "libvirt is not installed on h2-c",
    ]);
    assert_eq!(journal(&lab), "");
}

#[test]
fn newer_to_older_is_told_with_the_guests_it_keeps() {
    let text = r#"
        import "std/hostprep" as hostprep;
        let old = #{host: "a", arch: "x86_64", qemu: "7.2.22", libvirt: "9.0.0", machines: ["pc-q35-7.2"], guests: #{}};
        let recent = #{host: "b", arch: "x86_64", qemu: "10.0.2", libvirt: "9.0.0",
            machines: ["pc-q35-10.0", "pc-q35-7.2"], guests: #{web1: "pc-q35-10.0", web2: "pc-q35-7.2"}};
        print(hostprep::hindrances(old, recent));
        for line in hostprep::hindrances(recent, old) { print(line); }
        old.arch = "aarch64";
        print(hostprep::hindrances(recent, old)[0]);
    "#;
    let output = Alone::new().script(text);
    output.ends(0);
    assert_eq!(
        output.stdout,
        "[]\n\
         b → a: not with the machine types pc-q35-10.0: QEMU 7.2.22 there is older than 10.0.2\n\
         b → a: so these guests stay: web1\n\
         b → a: nothing migrates, x86_64 is not aarch64\n"
    );
}

#[test]
fn bond_and_bridge_tools_are_for_ifupdown_alone() {
    let text = r#"
        import "std/hostprep" as hostprep;
        for owner in [true, false] { print(hostprep::needed("apt-get", "x86_64", owner).contains("ifenslave")); }
        print(hostprep::needed("apt-get", "aarch64", false).contains("qemu-system-arm"));
        for manager in ["dnf", "zypper", "pacman"] { print(hostprep::needed(manager, "x86_64", true).len() > 4); }
        try { hostprep::needed("apk", "x86_64", false) } catch (error) { print(error.code + " " + error.kind) }
    "#;
    let output = Alone::new().script(text);
    output.ends(0);
    assert_eq!(output.stdout, "true\nfalse\ntrue\ntrue\ntrue\ntrue\nunknown_system refused\n");
}
