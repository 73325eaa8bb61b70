use insta::assert_snapshot;

use super::*;
use crate::model::{Bond, BondMode, Bridge};

const PLAIN: &str = "# the installer's
network:
  version: 2   # always
  renderer: networkd
  ethernets:
    enp2s0:
      # the house's network
      addresses: [10.88.0.11/24]
      mtu: 1500
      nameservers:
          addresses:
              - 10.88.0.1
      routes:
        - to: default
          via: 10.88.0.1
    # not used yet
    enp9s0: {dhcp4: true, optional: true}
";
const PATH: &str = "/etc/netplan/01-lab.yaml";
const MAC: &str = "52:54:00:00:00:01";

fn files(text: &str) -> Files {
    Files::from([(PATH.to_owned(), text.to_owned())])
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

#[test]
fn the_port_gives_up_its_address_and_every_other_line_stays() {
    let after = put(&files(PLAIN), &bond(Addressing::Inherit), Some(MAC)).unwrap();
    assert_snapshot!(after[PATH], @r"
    # the installer's
    network:
      version: 2   # always
      renderer: networkd
      ethernets:
        enp2s0:
          # the house's network
          mtu: 1500
          dhcp4: false
        # not used yet
        enp9s0: {dhcp4: true, optional: true}
    ");
    assert_snapshot!(after["/etc/netplan/60-kvmsh-bond0.yaml"], @r#"
    # The bond bond0, set up with kvmsh.
    network:
      version: 2
      ethernets:
        enp3s0:
          dhcp4: false
      bonds:
        bond0:
          interfaces:
          - enp2s0
          - enp3s0
          parameters:
            mode: active-backup
            mii-monitor-interval: 100
            primary: enp2s0
          macaddress: "52:54:00:00:00:01"
          addresses:
          - 10.88.0.11/24
          nameservers:
            addresses:
            - "10.88.0.1"
          routes:
          - to: default
            via: "10.88.0.1"
    "#);
}

#[test]
fn a_bridge_takes_the_address_from_the_bond_and_twice_is_once() {
    let bonded = put(&files(PLAIN), &bond(Addressing::Inherit), Some(MAC)).unwrap();
    let wanted = Addressing::Set(Addresses {
        addresses: vec!["10.88.0.11/24".parse().unwrap()],
        gateways: vec!["10.88.0.1".parse().unwrap()],
        ..Addresses::default()
    });
    let after = put(&bonded, &bridge("bond0", None, wanted.clone()), Some(MAC)).unwrap();
    let own = &after["/etc/netplan/60-kvmsh-bond0.yaml"];
    assert!(own.contains("dhcp4: false\n") && !own.contains("10.88.0.11"), "{own}");
    assert_snapshot!(after["/etc/netplan/60-kvmsh-br0.yaml"], @r#"
    # The bridge br0, set up with kvmsh.
    network:
      version: 2
      bridges:
        br0:
          interfaces:
          - bond0
          parameters:
            stp: false
            forward-delay: 0
          macaddress: "52:54:00:00:00:01"
          nameservers:
            addresses:
            - "10.88.0.1"
          addresses:
          - 10.88.0.11/24
          routes:
          - to: default
            via: "10.88.0.1"
    "#);
    for link in
        [bond(Addressing::Inherit), bridge("bond0", None, wanted), bridge("bond0", None, Addressing::Inherit)]
    {
        assert_eq!(put(&after, &link, Some("52:54:00:ff:ff:ff")).unwrap(), after, "{link:?}");
    }
}

#[test]
fn a_link_that_is_there_is_changed_where_it_differs() {
    let before = files(
        "network:\n  bridges:\n    br0: # ours\n      interfaces: [enp2s0]\n      dhcp4: true\n      parameters:\n        stp: true # oops\n        priority: 7\n",
    );
    let after = put(&before, &bridge("enp2s0", None, Addressing::Inherit), None).unwrap();
    let tree = read(PATH, &after[PATH]).unwrap();
    let br0 = &tree["network"]["bridges"]["br0"];
    assert_eq!(br0["parameters"], json!({"stp": false, "priority": 7, "forward-delay": 0}));
    assert_eq!((&br0["dhcp4"], &br0["interfaces"]), (&json!(true), &json!(["enp2s0"])));
    assert!(after[PATH].contains("br0: # ours\n"), "{}", after[PATH]);
}

#[test]
fn an_interface_is_found_by_the_name_it_is_given() {
    let cloud = "network:\n  version: 2\n  ethernets:\n    id0:\n      match:\n        macaddress: 52:54:00:00:00:01\n      set-name: enp2s0\n      dhcp4: true\n";
    let after = put(&files(cloud), &bridge("enp2s0", None, Addressing::Inherit), None).unwrap();
    assert_eq!(after[PATH], cloud.replace("dhcp4: true", "dhcp4: false"));
    assert!(after["/etc/netplan/60-kvmsh-br0.yaml"].contains("dhcp4: true"));
}

#[test]
fn a_vlan_lies_between_bridge_and_port() {
    let after = put(&files(PLAIN), &bridge("enp2s0", Some(20), Addressing::Inherit), Some(MAC)).unwrap();
    assert_eq!(after[PATH], PLAIN);
    let tree = read("", &after["/etc/netplan/60-kvmsh-br0.yaml"]).unwrap();
    assert_eq!(tree["network"]["vlans"], json!({"enp2s0.20": {"id": 20, "link": "enp2s0"}}));
    assert_eq!(tree["network"]["bridges"]["br0"]["interfaces"], json!(["enp2s0.20"]));
}

#[test]
fn what_cannot_be_edited_for_certain_is_refused() {
    for (text, word) in [
        ("network: [", "no YAML"),
        ("network:\n  ethernets:\n    a:\n      match: {macaddress: 00:11:22:33:44:55}\n", "set-name"),
        ("network:\n  ethernets:\n    all:\n      match: {name: \"en*\"}\n      dhcp4: true\n", "pattern"),
        (
            "network:\n  ethernets:\n    x: &base\n      dhcp4: true\n      addresses: [10.0.0.1/8]\n    enp2s0: *base\n",
            "cannot be edited",
        ),
    ] {
        let flaw = put(&files(text), &bridge("enp2s0", None, Addressing::Inherit), None).unwrap_err();
        assert!(flaw.to_string().contains(word), "{flaw}");
    }
    let mut twice = files(PLAIN);
    twice.insert(
        "/etc/netplan/99-x.yaml".into(),
        "network:\n  ethernets:\n    enp2s0: {dhcp4: true}\n".into(),
    );
    let flaw = put(&twice, &bridge("enp2s0", None, Addressing::Inherit), None).unwrap_err();
    assert!(flaw.to_string().contains("and in /etc/netplan/01-lab.yaml"), "{flaw}");
}

#[test]
fn whoever_renders_the_port_renders_what_it_is_in() {
    let text = "network:\n  renderer: NetworkManager\n  ethernets:\n    enp2s0:\n      renderer: networkd\n      dhcp4: true\n";
    let after = put(&files(text), &bridge("enp2s0", None, Addressing::None), None).unwrap();
    let tree = read("", &after["/etc/netplan/60-kvmsh-br0.yaml"]).unwrap();
    assert_eq!(tree["network"]["bridges"]["br0"]["renderer"], "networkd");
}
