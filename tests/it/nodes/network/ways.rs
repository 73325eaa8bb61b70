//! Other networks than the article's: addresses by DHCP, IPv6, jumbo frames, and a login that is not root's.

use super::*;
use crate::lab::{Child, wait_until};

/// A DHCP server on the controller that gives the node the address it has, for as long as the value lives.
fn dhcp(lab: &VmLab) -> Child {
    let mut server = lab.controller("dnsmasq");
    server.args(["--no-daemon", "--port=0", "--conf-file=/dev/null", "--user=root", "--pid-file="]);
    server.args(["--interface=eth0", "--bind-interfaces", "--dhcp-authoritative"]);
    server
        .args(["--dhcp-range=10.88.0.0,static,255.255.255.0,1h", "--dhcp-host=52:54:00:88:0b:01,10.88.0.11"]);
    server.args(["--dhcp-option=option:router,10.88.0.1"]);
    server.arg(format!("--dhcp-leasefile={}", lab.scratch().join("leases").display()));
    lab.spawn(server)
}

/// The node's first card has its address by DHCP from now on.
fn by_dhcp(lab: &VmLab, configure: &str) {
    lab.shell(NODE, configure);
    wait_until(LONG, "the node to have its address by DHCP", || {
        lab.shell(NODE, "ip -o -4 addr show dynamic dev enp2s0").contains("10.88.0.11")
    });
    lab.wait_ssh(NODE);
}

/// Bond and bridge take the lease over and give it back, with jumbo frames and IPv6 beside it. An IPv6 address that somebody
/// has is undone.
fn the_lease_moves(lab: &VmLab) {
    let clean = state(lab);
    let mut taken = lab.controller("ip");
    taken.args(["addr", "add", "fd00:88::1/64", "dev", "eth0", "nodad"]);
    lab.run(taken, LONG).ends(0);
    let with = |six| [&CARDS[..], &["--mtu", "9000", "--address", "dhcp", "--address", six]].concat();
    let refused = setup(lab, &[], &with("fd00:88::1/64"));
    // The kernel finds it out by duplicate address detection, and ifup waits for that.
    let why = ["fd00:88::1/64 is not there", "Waiting for DAD"];
    assert!(why.iter().any(|why| refused.stderr.contains(why)), "{refused}");
    refused.ends(1).says(&["everything is as before"]);
    assert_eq!(files(lab), clean.0);
    wait_until(LONG, "the lease to be back on its card", || state(lab) == clean);

    let right = with("fd00:88::11/64");
    setup(lab, &[], &right).ends(0).prints(&["confirmed after"]);
    assert!(lab.shell(NODE, "ip -o -4 addr show dynamic dev br0").contains("10.88.0.11/24"), "{}", live(lab));
    assert!(lab.shell(NODE, "ip route show default").contains("via 10.88.0.1 dev br0"));
    let shown =
        lab.shell(NODE, "cd /sys/class/net; cat {enp2s0,enp3s0,bond0,br0}/mtu; ip -br -6 addr show br0");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[..4] == ["9000"; 4], "{shown}");
    assert!(lines[4].contains("fd00:88::11/64"), "{shown}");
    let mut ping = lab.controller("ping");
    ping.args(["-6", "-n", "-q", "-c", "2", "-W", "20", "fd00:88::11"]);
    lab.run(ping, LONG).ends(0);
    setup(lab, &["--plan"], &right).ends(0);
    setup(lab, &[], &["--remove"]).ends(0).prints(&["confirmed after"]);
    assert_eq!(files(lab), clean.0);
    wait_until(LONG, "the lease to be back on its card", || state(lab) == clean);
    reachable(lab);
}

#[test]
fn by_dhcp_with_jumbo_frames_and_ipv6_on_ifupdown() {
    let lab = node();
    let _server = dhcp(&lab);
    by_dhcp(
        &lab,
        "ifdown enp2s0; sed -i '/enp2s0 inet/s/static/dhcp/; /^\\taddress\\|^\\tgateway/d' /etc/network/interfaces; ifup enp2s0",
    );
    the_lease_moves(&lab);
}

#[test]
fn by_dhcp_with_jumbo_frames_and_ipv6_on_netplan_and_by_sudo() {
    let lab = netplan_node();
    let _server = dhcp(&lab);
    lab.shell(
        NODE,
        "useradd -m -s /bin/sh -p '*' admin; install -d -m 700 -o admin -g admin /home/admin/.ssh; \
         install -m 600 -o admin -g admin /root/.ssh/authorized_keys /home/admin/.ssh/; \
         echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin; chmod 440 /etc/sudoers.d/admin",
    );
    let hosts = lab.dir().join("hosts.toml");
    let inventory = std::fs::read_to_string(&hosts).unwrap();
    std::fs::write(&hosts, inventory.replace("\nidentity", "\nuser = \"admin\"\nidentity")).unwrap();
    by_dhcp(
        &lab,
        "printf 'network:\\n  version: 2\\n  renderer: networkd\\n  ethernets:\\n    enp2s0:\\n      dhcp4: true\\n      dhcp-identifier: mac\\n' \
         >/etc/netplan/01-lab.yaml; netplan apply",
    );
    the_lease_moves(&lab);
    // Its file cannot be read without sudo; the new text has to start from it.
    let custom = "print(net::transaction(h, #{}, |t| {
            t.write(`/etc/netplan/90-storage.yaml`, `network: {ethernets: {enp3s0: {addresses: [10.77.0.11/24]}}}`);
            t.run([`netplan`, `apply`]); t.undo([`netplan`, `apply`]);
            t.expect(#{ address: `10.77.0.11/24` });
        }).changed);";
    code(&lab, &format!("{custom} {custom}")).ends(0).prints(&["true\nfalse\n"]);
    assert_eq!(lab.shell(NODE, "stat -c '%a %U' /etc/netplan/90-storage.yaml"), "600 root\n");
}
