//! From cards to bond and bridge and back.

use super::*;
use crate::lab::wait_until;

/// What makes it a bond and a bridge, seen from inside.
#[track_caller]
fn is_set_up(lab: &VmLab) {
    let bond = lab.exec(NODE, &["cat", "/proc/net/bonding/bond0"]);
    for word in [
        "active-backup",
        "MII Polling Interval (ms): 100",
        "Slave Interface: enp2s0",
        "Slave Interface: enp3s0",
    ] {
        assert!(bond.contains(word), "{word}: {bond}");
    }
    let shown = lab.shell(
        NODE,
        "cat /sys/class/net/br0/bridge/stp_state /sys/class/net/bond0/brport/state /sys/class/net/br0/address; \
         ip -br -4 addr show br0 | awk '{print $3}'; ip route show default | cut -d ' ' -f 1-5; \
         cat /sys/class/net/enp2s0/address",
    );
    let lines: Vec<&str> = shown.lines().collect();
    // No spanning tree, forwarding, and the card's own hardware address.
    assert_eq!(lines[..2], ["0", "3"], "{shown}");
    assert_eq!(lines[2], lines[5], "{shown}");
    assert_eq!(lines[3..5], ["10.88.0.11/24", "default via 10.88.0.1 dev br0"], "{shown}");
}

fn whole_way(lab: &VmLab, last_line_of_plan: &str) {
    let clean = state(lab);
    let args = [&CARDS[..], &["--primary", "enp2s0"]].concat();

    let plan = setup(lab, &["--plan"], &args);
    plan.ends(6).prints(&[
        "change network bond0, br0",
        "undone by the host itself",
        "confirm network bond0, br0",
        last_line_of_plan,
    ]);
    assert!(plan.stdout.contains("+ ") && plan.stdout.contains("- "), "a plan shows what differs: {plan}");
    assert_eq!(state(lab), clean);

    setup(lab, &[], &args).ends(0).prints(&["h2-a: br0: confirmed after"]);
    is_set_up(lab);
    reachable(lab);
    let done = files(lab);
    // The file as a person finds it.
    setup(lab, &["--plan"], &args).ends(0).prints(&["Nothing to change."]);
    setup(lab, &[], &args).ends(0).prints(&["nothing to change"]);
    assert_eq!(files(lab), done);

    lab.reboot(NODE);
    lab.wait_ssh(NODE);
    wait_until(LONG, "bond and bridge after a reboot", || {
        lab.shell(NODE, "ip -br -4 addr show br0 2>/dev/null || :").contains("10.88.0.11")
    });
    is_set_up(lab);
    assert_eq!(files(lab), done);

    // The bond cannot go while the bridge is on it.
    code(lab, "bond::remove(h, `bond0`)").ends(4).says(&["br0 lies on bond0"]);
    setup(lab, &["--plan"], &["--remove"]).ends(6);
    assert_eq!(files(lab), done);
    setup(lab, &[], &["--remove"]).ends(0).prints(&["confirmed after"]);
    is_as_before(lab, &clean);
    setup(lab, &[], &["--remove"]).ends(0).prints(&["nothing to change"]);
}

#[test]
fn from_one_card_to_bond_and_bridge_and_back_with_ifupdown() {
    whole_way(&node(), "br0 has a link");
}

#[test]
fn from_one_card_to_bond_and_bridge_and_back_with_netplan() {
    whole_way(&netplan_node(), "br0 has a link");
}

#[test]
fn one_after_the_other_from_the_prompt_and_taken_back_in_the_other_order() {
    let lab = node();
    let clean = state(&lab);
    // What others write meanwhile stays.
    code(
        &lab,
        r#"print(bond::setup(h, #{ slaves: ["enp2s0", "enp3s0"], primary: "enp2s0" }).changed);
           print(bridge::setup(h, #{ ports: ["bond0"], address: "10.88.0.11/24", gateway: "10.88.0.1", mtu: 1400 }).changed);
           print(bridge::setup(h, #{ name: "br20", ports: ["bond0"], vlan: 20, address: "none" }).changed);
           print(bridge::setup(h, #{ name: "br20", ports: ["bond0"], vlan: 20, address: "none" }).changed);
           let network = bridge::offer(h, "br0"); bridge::offer(h, "br0");
           print(`${network.name} ${network.bridge} ${network.active} ${network.autostart}`);
           print(plan(|| bridge::offer(h, "br0")).len());"#,
    )
    .ends(0)
    .prints(&["true\ntrue\ntrue\nfalse\nbr0 br0 true true\n0\n"]);
    is_set_up(&lab);
    let vlan =
        lab.shell(NODE, "ip -d link show bond0.20; cat /sys/class/net/br0/mtu; ls /sys/class/net/br20/brif");
    assert!(vlan.contains("vlan protocol 802.1Q id 20") && vlan.ends_with("1400\nbond0.20\n"), "{vlan}");
    lab.shell(NODE, "echo '# a note of ours' >>/etc/network/interfaces");
    code(&lab, r#"bridge::remove(h, "br20"); bridge::remove(h, "br0"); bond::remove(h, "bond0"); ()"#)
        .ends(0);
    lab.shell(NODE, "[ \"$(tail -n 1 /etc/network/interfaces)\" = '# a note of ours' ] && sed -i '$d' /etc/network/interfaces");
    is_as_before(&lab, &clean);
}

#[test]
fn a_script_of_ones_own_has_the_same_way_back() {
    let lab = node();
    let clean = state(&lab);
    let storage = "t.write(`/etc/network/interfaces.d/storage`, `auto enp3s0\niface enp3s0 inet static\n  address 10.77.0.11/24\n`);
        t.run([`ifup`, `enp3s0`]); t.undo_first([`ifdown`, `--force`, `enp3s0`]);";
    let wrong = code(
        &lab,
        &format!(
            "net::transaction(h, #{{ confirm_within: 30 }}, |t| {{ {storage} t.expect(#{{ address: `10.77.0.12/24` }}); }})"
        ),
    );
    wrong.ends(1).says(&["everything is as before", "the address 10.77.0.12/24 is not there"]);
    is_as_before(&lab, &clean);
    let right = format!(
        "print(net::transaction(h, #{{}}, |t| {{ {storage} t.expect(#{{ address: `10.77.0.11/24` }}); }}).changed);"
    );
    code(&lab, &format!("{right} {right}")).ends(0).prints(&["true\nfalse\n"]);
    assert!(live(&lab).contains("enp3s0 10.77.0.11/24"));
}
