use super::*;
use crate::model::{Addresses, Bond, BondMode, Bridge};
use crate::ops::net::look::{Address, Standing};

fn card(name: &str) -> LinkState {
    LinkState {
        name: name.into(),
        medium: "ether".into(),
        up: true,
        carrier: true,
        max_mtu: Some(9000),
        ..LinkState::default()
    }
}

fn look() -> Look {
    let other = LinkState { kind: "bridge".into(), ..card("virbr0") };
    let taken = LinkState { master: Some("virbr0".into()), ..card("enp4s0") };
    Look {
        main: "enp2s0".into(),
        main_address: Some("10.88.0.11".parse().unwrap()),
        links: vec![
            card("enp2s0"),
            card("enp3s0"),
            taken,
            other,
            LinkState { medium: "loopback".into(), ..card("lo") },
        ],
        addresses: vec![Address {
            link: "enp2s0".into(),
            net: "10.88.0.11/24".parse().unwrap(),
            dynamic: false,
        }],
        systemd: true,
        tools: ["systemd-run", "flock", "ifenslave", "bridge", "arping"].map(str::to_owned).into(),
        ..Look::default()
    }
}

fn bond(slaves: &[&str], address: Addressing) -> Link {
    Link::Bond(Bond {
        name: "bond0".parse().unwrap(),
        slaves: slaves.iter().map(|slave| slave.parse().unwrap()).collect(),
        mode: BondMode::ActiveBackup,
        miimon: 100,
        primary: None,
        lacp_rate: None,
        xmit_hash_policy: None,
        mtu: None,
        address,
    })
}

fn bridge(name: &str, ports: &[&str], address: Addressing) -> Bridge {
    Bridge {
        name: name.parse().unwrap(),
        ports: ports.iter().map(|port| port.parse().unwrap()).collect(),
        vlan: None,
        stp: false,
        forward_delay: 0,
        mtu: None,
        address,
    }
}

fn set(address: &str) -> Addressing {
    Addressing::Set(Addresses { addresses: vec![address.parse().unwrap()], ..Addresses::default() })
}

fn texts(links: &[Link]) -> Vec<String> {
    of_links(&look(), links).into_iter().map(|problem| problem.text).collect()
}

#[test]
fn what_an_admin_means_is_let_through() {
    for links in [
        vec![bond(&["enp2s0", "enp3s0"], Addressing::Inherit)],
        vec![Link::Bridge(bridge("br0", &["enp2s0"], set("10.88.0.11/24")))],
        vec![
            bond(&["enp2s0", "enp3s0"], Addressing::None),
            Link::Bridge(bridge("br0", &["bond0"], set("10.88.0.11/24"))),
        ],
        vec![
            bond(&["enp2s0", "enp3s0"], Addressing::Inherit),
            Link::Bridge(bridge("br0", &["bond0"], Addressing::Inherit)),
        ],
        vec![Link::Bridge(Bridge { vlan: Some(20), ..bridge("br20", &["enp2s0"], Addressing::Inherit) })],
        vec![Link::Bridge(bridge("br1", &["enp3s0"], Addressing::None))],
        vec![Link::Bridge(bridge("br1", &[], Addressing::None))],
    ] {
        assert_eq!(texts(&links), Vec::<String>::new(), "{links:?}");
    }
}

#[test]
fn what_cannot_work_is_named_for_what_it_is() {
    let br = |ports: &[&str], address| vec![Link::Bridge(bridge("br0", ports, address))];
    for (links, word) in [
        (vec![bond(&[], Addressing::Inherit)], "no slaves"),
        (vec![bond(&["enp2s0", "enp9s0"], Addressing::Inherit)], "no interface enp9s0"),
        (vec![bond(&["enp2s0", "enp4s0"], Addressing::Inherit)], "already in virbr0"),
        (vec![bond(&["enp2s0", "virbr0"], Addressing::Inherit)], "cannot be a slave"),
        (br(&["virbr0"], Addressing::None), "cannot be a port"),
        (vec![Link::Bridge(bridge("enp3s0", &["enp2s0"], Addressing::Inherit))], "the name enp3s0 is taken"),
        (
            vec![Link::Bridge(bridge("virbr0", &["enp3s0"], Addressing::None))],
            "the name virbr0 is taken: there is such a bridge",
        ),
        (br(&["enp2s0"], Addressing::None), "would have no address"),
        (br(&["enp2s0"], set("10.99.0.11/24")), "how this host is reached"),
        (br(&["enp3s0"], set("10.88.0.11/24")), "is on enp2s0 already"),
        (br(&["enp2s0"], set("10.88.0.255/24")), "broadcast"),
        (
            vec![Link::Bridge(Bridge { mtu: Some(9500), ..bridge("br0", &["enp3s0"], Addressing::None) })],
            "9000 at most",
        ),
        (
            vec![Link::Bridge(Bridge { vlan: Some(4095), ..bridge("br0", &["enp3s0"], Addressing::None) })],
            "no VLAN 4095",
        ),
        (
            vec![
                bond(&["enp2s0"], Addressing::Inherit),
                Link::Bridge(bridge("br0", &["enp2s0"], Addressing::Inherit)),
            ],
            "at once",
        ),
    ] {
        let texts = texts(&links);
        assert!(texts.iter().any(|text| text.contains(word)), "{links:?}: {texts:?}");
    }
}

#[test]
fn a_link_of_the_hosts_own_files_may_be_changed() {
    let links = [Link::Bridge(bridge("virbr0", &["enp3s0"], Addressing::None))];
    for look in [
        Look {
            interfaces: [("/etc/network/interfaces".to_owned(), "iface virbr0 inet manual\n".to_owned())]
                .into(),
            ..look()
        },
        Look {
            netplan: [("/etc/netplan/a.yaml".to_owned(), "network: {bridges: {virbr0: {}}}\n".to_owned())]
                .into(),
            ..look()
        },
    ] {
        assert_eq!(of_links(&look, &links), []);
    }
}

#[test]
fn a_route_that_a_router_advertises_is_not_lost() {
    let gateway = "fe80::1".parse().unwrap();
    let links = [Link::Bridge(bridge("br0", &["enp2s0"], set("10.88.0.11/24")))];
    let look = Look { gateways: vec![("enp2s0".into(), gateway)], ..look() };
    assert!(of_links(&look, &links)[0].text.contains("default route to fe80::1"));
    assert_eq!(of_links(&Look { advertised: [gateway].into(), ..look }, &links), []);
}

#[test]
fn dead_ports_are_refused_unless_forced() {
    let mut look = look();
    for link in &mut look.links {
        link.carrier = false;
    }
    let problems = of_links(&look, &[Link::Bridge(bridge("br1", &["enp3s0"], Addressing::None))]);
    assert!(problems[0].text.contains("has a link"), "{problems:?}");
    let fault = refuse(&problems, false).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.class), ("network_refused", Class::Refused));
    assert!(fault.hint.unwrap().contains("force"));
    refuse(&problems, true).unwrap();
}

#[test]
fn what_the_host_lacks_is_named_with_its_package() {
    let pending = Standing { state: "pending".into(), id: "1".into(), applied: false };
    let bare = Look { tools: Default::default(), systemd: false, change: Some(pending), ..look() };
    let links = [
        bond(&["enp2s0"], Addressing::Inherit),
        Link::Bridge(bridge("br0", &["bond0"], set("10.88.0.11/24"))),
    ];
    let all: Vec<String> =
        of_host(&bare, Owner::Ifupdown, &links).into_iter().map(|problem| problem.text).collect();
    for word in ["systemd", "not confirmed", "ifenslave", "bridge-utils", "iputils-arping", "util-linux"] {
        assert!(all.iter().any(|text| text.contains(word)), "{word}: {all:?}");
    }
    assert_eq!(of_host(&look(), Owner::Netplan, &links), []);
}

#[test]
fn netplan_files_of_other_programs_are_not_overruled_in_silence() {
    let text = "network:\n  ethernets:\n    enp2s0: {dhcp4: true}\n";
    let mut look = look();
    look.netplan_elsewhere.insert("/run/netplan/enp2s0.yaml".into(), text.into());
    let problems = |look: &Look, link: &str| of_files_elsewhere(look, &[link.to_owned()]);
    assert_eq!(problems(&look, "enp3s0"), []);
    let found = problems(&look, "enp2s0");
    assert!(found[0].text.contains("/run/netplan/enp2s0.yaml configures enp2s0 as well"), "{found:?}");
    assert!(!found[0].forcible);
    // The same name in /etc takes its place.
    look.netplan.insert("/etc/netplan/enp2s0.yaml".into(), text.into());
    assert_eq!(problems(&look, "enp2s0"), []);
}
