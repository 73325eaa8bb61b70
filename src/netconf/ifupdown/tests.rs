use insta::assert_snapshot;

use super::*;
use crate::model::{Bond, BondMode, Bridge};

const PLAIN: &str = "# This file describes the network interfaces available on your system
source /etc/network/interfaces.d/*

# The loopback network interface
auto lo
iface lo inet loopback

# The primary network interface
allow-hotplug enp2s0
iface enp2s0 inet static
\taddress 10.88.0.11/24
\tgateway 10.88.0.1
\t# name servers of the house
\tdns-nameservers 10.88.0.1
\tethernet-wol g
iface enp2s0 inet6 auto
";

fn files(text: &str) -> Files {
    Files::from([(ROOT.to_owned(), text.to_owned())])
}

fn bond(address: Addressing) -> Link {
    Link::Bond(Bond {
        name: "bond0".parse().unwrap(),
        slaves: vec!["enp2s0".parse().unwrap(), "enp3s0".parse().unwrap()],
        mode: BondMode::ActiveBackup,
        miimon: 100,
        primary: Some("enp2s0".parse().unwrap()),
        lacp_rate: None,
        xmit_hash_policy: None,
        mtu: None,
        address,
    })
}

fn bridge(port: &str, vlan: Option<u16>, address: Addressing) -> Link {
    Link::Bridge(Bridge {
        name: "br0".parse().unwrap(),
        ports: vec![port.parse().unwrap()],
        vlan,
        stp: false,
        forward_delay: 0,
        mtu: None,
        address,
    })
}

fn set(address: &str, gateway: &str) -> Addressing {
    Addressing::Set(Addresses {
        addresses: vec![address.parse().unwrap()],
        gateways: vec![gateway.parse().unwrap()],
        ..Addresses::default()
    })
}

const MAC: &str = "52:54:00:00:00:01";

#[test]
fn a_bond_takes_over_what_its_slave_had_and_the_rest_of_the_file_stays() {
    let after = put(&files(PLAIN), &bond(Addressing::Inherit), Some(MAC)).unwrap();
    assert_snapshot!(after[ROOT], @r"
    # This file describes the network interfaces available on your system
    source /etc/network/interfaces.d/*

    # The loopback network interface
    auto lo
    iface lo inet loopback

    # The primary network interface
    allow-hotplug enp2s0
    iface enp2s0 inet manual
    	# name servers of the house
    	ethernet-wol g
    iface enp2s0 inet6 manual

    auto enp3s0
    iface enp3s0 inet manual

    auto bond0
    iface bond0 inet static
    	address 10.88.0.11/24
    	gateway 10.88.0.1
    	dns-nameservers 10.88.0.1
        bond-slaves enp2s0 enp3s0
        bond-mode active-backup
        bond-miimon 100
        bond-primary enp2s0
        hwaddress 52:54:00:00:00:01

    iface bond0 inet6 auto
    ");
}

#[test]
fn a_bridge_on_the_bond_takes_the_address_and_leaves_the_bond_what_makes_it_one() {
    let bonded = put(&files(PLAIN), &bond(Addressing::Inherit), Some(MAC)).unwrap();
    let after = put(&bonded, &bridge("bond0", None, set("10.88.0.11/24", "10.88.0.1")), Some(MAC)).unwrap();
    let tail = after[ROOT].split_once("auto bond0").unwrap().1;
    assert_snapshot!(tail, @r"
    iface bond0 inet manual
        bond-slaves enp2s0 enp3s0
        bond-mode active-backup
        bond-miimon 100
        bond-primary enp2s0
        hwaddress 52:54:00:00:00:01

    iface bond0 inet6 manual

    auto br0
    iface br0 inet static
        address 10.88.0.11/24
        gateway 10.88.0.1
    	dns-nameservers 10.88.0.1
        bridge-ports bond0
        bridge-stp off
        bridge-fd 0
        bridge-hw 52:54:00:00:00:01
    ");
}

#[test]
fn what_is_as_wanted_is_not_touched_however_it_is_written() {
    for link in [bond(Addressing::Inherit), bond(set("10.88.0.11/24", "10.88.0.1"))] {
        let once = put(&files(PLAIN), &link, Some(MAC)).unwrap();
        assert_eq!(put(&once, &link, Some("52:54:00:ff:ff:ff")).unwrap(), once);
    }
    let by_hand =
        files("auto br0\niface br0 inet manual\n  bridge_ports enp2s0\n  bridge_fd 0\n  bridge_stp off\n");
    assert_eq!(put(&by_hand, &bridge("enp2s0", None, Addressing::Inherit), None).unwrap(), by_hand);
}

#[test]
fn a_link_that_is_there_is_changed_where_it_differs() {
    let before = files(
        "auto br0\niface br0 inet static\n  # ours\n  address 10.88.0.11/24\n  bridge_ports enp2s0\n  bridge_stp on\n  up touch /run/up\n",
    );
    let after = put(&before, &bridge("enp2s0", None, set("10.88.0.12/24", "10.88.0.1")), None).unwrap();
    assert_snapshot!(after[ROOT], @r"
    auto br0
    iface br0 inet static
        address 10.88.0.12/24
        gateway 10.88.0.1
      up touch /run/up
        bridge-ports enp2s0
        bridge-stp off
        bridge-fd 0
      # ours
    ");
}

#[test]
fn a_vlan_lies_between_bridge_and_port_and_the_port_keeps_its_address() {
    let after = put(&files(PLAIN), &bridge("enp2s0", Some(20), Addressing::Inherit), Some(MAC)).unwrap();
    assert!(after[ROOT].starts_with(PLAIN));
    assert_snapshot!(&after[ROOT][PLAIN.len()..], @r"

    auto enp2s0.20
    iface enp2s0.20 inet manual
        pre-up ip link show $IFACE >/dev/null 2>&1 || ip link add link enp2s0 name $IFACE type vlan id 20
        post-down ip link delete $IFACE

    auto br0
    iface br0 inet manual
        bridge-ports enp2s0.20
        bridge-stp off
        bridge-fd 0
        bridge-hw 52:54:00:00:00:01
    ");
}

#[test]
fn the_stanza_is_found_in_the_file_that_holds_it() {
    let mut files = files("source interfaces.d/*\nauto lo\niface lo inet loopback");
    let dropin = "/etc/network/interfaces.d/enp2s0".to_owned();
    files.insert(dropin.clone(), "auto enp2s0\niface enp2s0 inet dhcp\n".into());
    let after = put(&files, &bridge("enp2s0", None, Addressing::Inherit), None).unwrap();
    assert_eq!(after[ROOT], files[ROOT]);
    assert!(after[&dropin].contains("iface br0 inet dhcp\n    bridge-ports enp2s0\n"), "{}", after[&dropin]);
}

#[test]
fn what_needs_a_persons_judgement_is_refused() {
    for (text, word) in [
        ("iface enp2s0 inet static inherits base\n", "more than name"),
        ("auto /enp*\n", "pattern"),
        ("mapping enp2s0\n  script /bin/x\n", "mapping"),
        (
            "iface enp2s0 inet static\n address 10.0.0.2/24\n up ip route add 10.1.0.0/16 dev enp2s0\n",
            "$IFACE",
        ),
    ] {
        let flaw = put(&files(text), &bridge("enp2s0", None, Addressing::Inherit), None).unwrap_err();
        assert!(flaw.to_string().contains(word), "{flaw}");
    }
}
