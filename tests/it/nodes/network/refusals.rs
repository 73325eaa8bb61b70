//! What is refused before anything is touched.

use super::*;

#[test]
fn hostile_and_odd_input_is_refused_with_its_reason_and_nothing_is_touched() {
    let lab = node();
    let clean = state(&lab);
    let cases = [
        (r#"bond::setup(h, #{ slaves: ["enp2s0; reboot"] })"#, "no name of a network interface"),
        (r#"bond::setup(h, #{ slaves: ["$(reboot)"] })"#, "no name of a network interface"),
        (r#"bond::setup(h, #{ name: "bond 0", slaves: ["enp2s0"] })"#, "no name of a network interface"),
        (r#"bond::setup(h, #{ name: "../bond0", slaves: ["enp2s0"] })"#, "no name of a network interface"),
        (r#"bond::setup(h, #{ name: "a-name-that-is-too-long", slaves: ["enp2s0"] })"#, "more than 15"),
        (r#"bond::setup(h, #{ slaves: ["enp2s0"], mode: "fast" })"#, "no mode of a bond"),
        (r#"bond::setup(h, #{ slaves: ["enp2s0"], modus: "active-backup" })"#, "no option `modus`"),
        (
            r#"bond::setup(h, #{ slaves: ["enp2s0", "enp3s0"], mode: "balance-alb" })"#,
            "does not go with a bridge",
        ),
        (r#"bond::setup(h, #{ slaves: ["enp2s0", "enp3s0"], mode: "balance-rr" })"#, "reorders packets"),
        (r#"bond::setup(h, #{ slaves: ["enp2s0", "enp9s0"] })"#, "no interface enp9s0"),
        (r#"bond::setup(h, #{ slaves: ["enp2s0"], primary: "enp3s0" })"#, "not one of its slaves"),
        (r#"bond::setup(h, #{ name: "enp3s0", slaves: ["enp2s0"] })"#, "the name enp3s0 is taken"),
        (r#"bridge::setup(h, #{ ports: ["lo"] })"#, "no name of a network interface"),
        (r#"bridge::setup(h, #{ ports: ["enp2s0"], address: "10.88.0.11" })"#, "no address with its prefix"),
        (
            r#"bridge::setup(h, #{ ports: ["enp2s0"], address: "10.88.0.11/33" })"#,
            "no address with its prefix",
        ),
        (
            r#"bridge::setup(h, #{ ports: ["enp2s0"], address: "10.88.0.0/24" })"#,
            "the address of the network",
        ),
        (
            r#"bridge::setup(h, #{ ports: ["enp2s0"], address: "10.88.0.11/24", gateway: "10.99.0.1" })"#,
            "outside",
        ),
        (
            r#"bridge::setup(h, #{ ports: ["enp2s0"], address: "10.88.0.11/24", gateway: "a.b" })"#,
            "no IP address",
        ),
        (r#"bridge::setup(h, #{ ports: ["enp2s0"], address: "none" })"#, "would have no address"),
        (r#"bridge::setup(h, #{ ports: ["enp2s0"], vlan: 5000, address: "none" })"#, "no VLAN 5000"),
        (r#"bridge::setup(h, #{ ports: ["enp2s0"], mtu: 70000 })"#, "is none"),
        (r#"bridge::setup(h, #{ ports: ["enp2s0"], address: "10.88.0.1/24" })"#, "br0 would have none"),
        (
            r#"bridge::setup(h, #{ ports: ["enp2s0"], address: "10.88.0.1/24", gateway: "10.88.0.254" })"#,
            "how this host is reached",
        ),
        (
            r#"bridge::setup(h, #{ ports: ["enp3s0"], address: "10.88.0.1/24" })"#,
            "another machine has the address 10.88.0.1",
        ),
        (r#"bridge::setup(h, #{ ports: ["enp2s0"], confirm_within: 1 })"#, "10 to 900 seconds"),
        (r#"bridge::remove(h, "nothing")"#, "CHANGED NOTHING"),
    ];
    lab.shell(NODE, "ip link set enp3s0 up");
    // One run for all of them: each is caught and told.
    let tries: String = cases
        .iter()
        .map(|(call, _)| format!("try {{ let r = {call}; print(if r.changed {{ `CHANGED` }} else {{ `CHANGED NOTHING` }}); }} catch(e) {{ print(`${{e.code}}: ${{e.message}}`); }}\n"))
        .collect();
    let output = code(&lab, &tries);
    output.ends(0);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), cases.len(), "{output}");
    for ((call, word), line) in cases.iter().zip(lines) {
        assert!(line.contains(word), "{call}: {line}");
    }
    lab.shell(NODE, "ip link set enp3s0 down");
    is_as_before(&lab, &clean);

    // A slave that is in use, a name that is taken, and who comes second.
    lab.shell(NODE, "ip link add br9 type bridge; ip link set enp3s0 master br9");
    code(&lab, r#"bond::setup(h, #{ slaves: ["enp2s0", "enp3s0"] })"#)
        .ends(4)
        .says(&["enp3s0 is already in br9"]);
    code(&lab, r#"bond::setup(h, #{ name: "br9", slaves: ["enp2s0"] })"#)
        .ends(4)
        .says(&["the name br9 is taken"]);
    code(&lab, r#"bridge::remove(h, "br9")"#).ends(4).says(&["br9 was not set up with kvmsh"]);
    lab.shell(NODE, "ip link del br9; ip link set enp3s0 down");
    is_as_before(&lab, &clean);
}

#[test]
fn a_network_that_belongs_to_another_or_to_two_is_left_alone() {
    let lab = VmLab::up(&[Node::new(NODE).network_manager()]);
    let clean = state(&lab);
    setup(&lab, &[], &CARDS).ends(4).says(&["enp2s0 is looked after by NetworkManager"]);
    is_as_before(&lab, &clean);
    drop(lab);

    let lab = node();
    lab.shell(
        NODE,
        "printf '[Match]\\nName=enp2s0\\n[Network]\\nKeepConfiguration=yes\\nAddress=10.88.0.11/24\\n' \
         >/etc/systemd/network/lan.network; systemctl start systemd-networkd; \
         for i in $(seq 100); do networkctl status enp2s0 | grep -q lan.network && break; sleep 0.3; done",
    );
    let mixed = files(&lab);
    let output = setup(&lab, &[], &CARDS);
    output.ends(4).says(&[
        "more than one",
        "systemd-networkd by itself",
        "ifupdown (`iface enp2s0 inet static`",
    ]);
    assert_eq!(files(&lab), mixed);
}
