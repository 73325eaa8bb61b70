//! Guests on the bridge keep their network when a cable is pulled.

use std::thread::sleep;

use super::*;
use crate::lab::wait_until;

/// The longest time without an answer in the output of `ping -D`, in seconds, and how many answers came.
fn longest_gap(ping: &str) -> (f64, usize) {
    let times: Vec<f64> = ping
        .lines()
        .filter(|line| line.contains("icmp_seq"))
        .filter_map(|line| line.strip_prefix('[')?.split(']').next()?.parse().ok())
        .collect();
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    (gap, times.len())
}

#[test]
fn the_gap_is_the_longest_time_without_an_answer() {
    let ping = "PING\n[100.5] 64 bytes: icmp_seq=1\n[100.75] 64 bytes: icmp_seq=2\n[102.0] 64 bytes: icmp_seq=5\n--- statistics\n";
    assert_eq!(longest_gap(ping), (1.25, 3));
}

/// A guest on the libvirt network br0 that answers pings at 10.88.0.50 and says nothing by itself.
const GUEST: &str = "<domain type='qemu'><name>web</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>\
    <os><type arch='x86_64' machine='pc'>hvm</type><kernel>/srv/guest/vmlinuz</kernel><initrd>/srv/guest/initrd</initrd>\
    <cmdline>console=ttyS1 quiet panic=1 guest=web address=10.88.0.50/24</cmdline></os><features><acpi/></features>\
    <devices><interface type='network'><source network='br0'/><model type='virtio'/></interface>\
    <serial type='pty'><target port='0'/></serial><serial type='null'><target port='1'/></serial></devices></domain>";

/// Pings the guest for some seconds while `deed` is done after two of them.
fn gap_while(lab: &VmLab, deed: impl FnOnce()) -> f64 {
    let mut ping = lab.controller("ping");
    ping.args(["-D", "-n", "-i", "0.1", "-w", "14", "10.88.0.50"]);
    let ping = lab.spawn(ping);
    sleep(Duration::from_secs(3));
    deed();
    let output = ping.wait(Duration::from_secs(60));
    let (gap, answers) = longest_gap(&output.stdout);
    assert!(answers > 20, "{output}");
    // Silence up to the end is a gap as well.
    let mut last = output
        .stdout
        .lines()
        .filter_map(|line| line.split_once("icmp_seq=")?.1.split(' ').next()?.parse::<u32>().ok());
    let missing = 140_u32.saturating_sub(last.next_back().unwrap_or(0));
    gap.max(f64::from(missing) / 10.0 - 4.0)
}

#[test]
fn a_guest_keeps_its_network_when_a_cable_is_pulled_and_put_back_on_ifupdown() {
    a_cable_is_pulled(&VmLab::up(&[Node::new(NODE).memory(1024)]));
}

#[test]
fn a_guest_keeps_its_network_when_a_cable_is_pulled_and_put_back_on_netplan() {
    a_cable_is_pulled(&VmLab::up(&[Node::new(NODE).memory(1024).netplan()]));
}

fn a_cable_is_pulled(lab: &VmLab) {
    let mut offered = kvmsh(lab, &[]);
    offered.arg(script("setup-network.rhai")).arg(NODE).args(CARDS).args(["--primary", "enp2s0"]);
    lab.run(offered, LONG).ends(0);
    code(lab, &format!("h.define(`{GUEST}`).start()")).ends(0);
    wait_until(LONG, "the guest to answer", || {
        let mut ping = lab.controller("ping");
        ping.args(["-c", "1", "-W", "1", "10.88.0.50"]);
        lab.run(ping, LONG).status.success()
    });
    code(lab, r#"bridge::remove(h, "br0")"#).ends(4).says(&["a guest is on br0"]);

    // The guest runs in QEMU in QEMU: on a busy machine an answer is late for other reasons than the cable, so the best of
    // three rounds counts.
    let (mut pulled, mut back) = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        pulled = pulled.min(gap_while(lab, || lab.cable_down(NODE, 1)));
        let bond = lab.exec(NODE, &["cat", "/proc/net/bonding/bond0"]);
        assert!(bond.contains("Currently Active Slave: enp3s0"), "{bond}");
        back = back.min(gap_while(lab, || lab.cable_up(NODE, 1)));
        if pulled <= 1.0 && back <= 1.0 {
            break;
        }
    }
    eprintln!("longest gap: {pulled:.2} s when the cable was pulled, {back:.2} s when it was put back");
    assert!(pulled <= 1.0 && back <= 1.0, "{pulled} s, {back} s");
    reachable(lab);
}

#[test]
fn other_modes_of_a_bond_do_what_their_documentation_says_on_ifupdown() {
    let lab = node();
    lacp(&lab);
    modes_that_do_not_go_with_guests(&lab);
}

/// 802.3ad beside the network we come in by. The lab's switches speak no LACP, which is told, and the bond works with one
/// card. The other card answers ARP for the new address as well, which is nobody else.
fn lacp(lab: &VmLab) {
    let lacp = r#"bond::setup(h, #{ name: "bond1", slaves: ["enp3s0"], mode: "802.3ad", xmit_hash_policy: "layer3+4",
                                  address: "10.77.0.11/24" })"#;
    let said = code(lab, &format!("print({lacp}.notes); print({lacp}.changed);"));
    said.ends(0).prints(&["false\n"]);
    assert!(said.stdout.contains("LACP"), "{said}");
    let bond = lab.exec(NODE, &["cat", "/proc/net/bonding/bond1"]);
    for word in [
        "IEEE 802.3ad Dynamic link aggregation",
        "LACP rate: fast",
        "Transmit Hash Policy: layer3+4",
        "MII Polling Interval (ms): 100",
    ] {
        assert!(bond.contains(word), "{word}: {bond}");
    }
    assert!(live(lab).contains("bond1 10.77.0.11/24"), "{}", live(lab));
    code(lab, r#"bond::remove(h, "bond1"); ()"#).ends(0);
}

fn modes_that_do_not_go_with_guests(lab: &VmLab) {
    // balance-rr: one stream leaves on both cards in turn.
    code(lab, r#"bond::setup(h, #{ slaves: ["enp2s0", "enp3s0"], mode: "balance-rr", force: true }); ()"#)
        .ends(0);
    let sent = || -> Vec<u64> {
        let counters = lab.shell(
            NODE,
            "cat /sys/class/net/enp2s0/statistics/tx_packets /sys/class/net/enp3s0/statistics/tx_packets",
        );
        counters.lines().map(|line| line.parse().unwrap()).collect()
    };
    let before = sent();
    lab.exec(NODE, &["ping", "-q", "-c", "40", "-i", "0.05", "-W", "2", "10.88.0.1"]);
    let after = sent();
    let each: Vec<u64> = before.iter().zip(&after).map(|(b, a)| a - b).collect();
    assert!(each.iter().all(|packets| *packets >= 15), "{each:?}");
    code(lab, r#"bond::remove(h, "bond0"); ()"#).ends(0);

    // balance-alb: what is bridged over it leaves with the cards' hardware addresses: that is the kernel's own account of it, here it is shown that it fails over.
    code(
        lab,
        r#"bond::setup(h, #{ slaves: ["enp2s0", "enp3s0"], mode: "balance-alb", force: true });
           bridge::setup(h, #{ ports: ["bond0"] }); ()"#,
    )
    .ends(0);
    let bond = lab.exec(NODE, &["cat", "/proc/net/bonding/bond0"]);
    assert!(
        bond.contains("Bonding Mode: adaptive load balancing")
            && bond.contains("MII Polling Interval (ms): 100"),
        "{bond}"
    );
    lab.cable_down(NODE, 1);
    wait_until(Duration::from_secs(60), "the other card to take over", || {
        let mut ping = lab.controller("ping");
        ping.args(["-c", "1", "-W", "1", "10.88.0.11"]);
        lab.run(ping, LONG).status.success()
    });
    lab.cable_up(NODE, 1);
}
