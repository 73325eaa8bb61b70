use super::*;
use crate::model::{Addresses, Bond, BondMode, Bridge};
use crate::ops::net::look::{Address, LinkState};

const INTERFACES: &str = "auto lo\niface lo inet loopback\n\nauto enp2s0\niface enp2s0 inet static\n  address 10.88.0.11/24\n  gateway 10.88.0.1\n";

fn look() -> Look {
    let card = |name: &str, mac: &str| LinkState {
        name: name.into(),
        medium: "ether".into(),
        up: true,
        carrier: true,
        mac: mac.into(),
        ..LinkState::default()
    };
    Look {
        main: "enp2s0".into(),
        main_address: Some("10.88.0.11".parse().unwrap()),
        links: vec![card("enp2s0", "02:00:00:00:00:01"), card("enp3s0", "02:00:00:00:00:02")],
        addresses: vec![Address {
            link: "enp2s0".into(),
            net: "10.88.0.11/24".parse().unwrap(),
            dynamic: false,
        }],
        gateways: vec![("enp2s0".into(), "10.88.0.1".parse().unwrap())],
        answering: vec!["10.88.0.1".parse().unwrap()],
        ifstate: vec!["lo".into(), "enp2s0".into()],
        interfaces: Files::from([(ifupdown::ROOT.to_owned(), INTERFACES.to_owned())]),
        ..Look::default()
    }
}

fn links() -> Vec<Link> {
    let address = Addressing::Set(Addresses {
        addresses: vec!["10.88.0.11/24".parse().unwrap()],
        gateways: vec!["10.88.0.1".parse().unwrap()],
        ..Addresses::default()
    });
    vec![
        Link::Bond(Bond {
            name: "bond0".parse().unwrap(),
            slaves: vec!["enp2s0".parse().unwrap(), "enp3s0".parse().unwrap()],
            mode: BondMode::ActiveBackup,
            miimon: 100,
            primary: None,
            lacp_rate: None,
            xmit_hash_policy: None,
            mtu: None,
            address: Addressing::None,
        }),
        Link::Bridge(Bridge {
            name: "br0".parse().unwrap(),
            ports: vec!["bond0".parse().unwrap()],
            vlan: None,
            stp: false,
            forward_delay: 0,
            mtu: None,
            address,
        }),
    ]
}

fn lines(commands: &[Argv]) -> Vec<String> {
    commands.iter().map(|argv| argv.join(" ").replace("timeout 60 ", "")).collect()
}

#[test]
fn down_before_the_new_files_and_up_after_them_and_back_the_other_way() {
    let work = put(&look(), Owner::Ifupdown, &links()).unwrap();
    assert_eq!(work.title, "bond0, br0");
    assert_eq!(lines(&work.pre), ["ifdown enp2s0"]);
    assert_eq!(lines(&work.post), ["ifup enp2s0", "ifup enp3s0", "ifup bond0", "ifup br0"]);
    assert_eq!(
        lines(&work.undo_pre),
        ["ifdown --force br0", "ifdown --force bond0", "ifdown --force enp3s0", "ifdown --force enp2s0"]
    );
    assert_eq!(lines(&work.undo_post), ["ifup --force enp2s0"]);
    assert_eq!(work.links, ["br0", "bond0"]);
    // The bridge has the bond's hardware address, and the bond that of its first slave.
    let text = String::from_utf8(work.edits[0].after.clone().unwrap()).unwrap();
    assert_eq!(text.matches("02:00:00:00:00:01").count(), 2, "{text}");
    assert_eq!(work.keep.keys().collect::<Vec<_>>(), ["bond0", "br0"]);
}

#[test]
fn what_must_be_true_afterwards_follows_from_what_is_wanted() {
    let look = look();
    let work = put(&look, Owner::Ifupdown, &links()).unwrap();
    let failures = work.expect.failures(&look);
    for word in
        ["10.88.0.11/24 is not there on br0", "through br0", "enp2s0 is not in bond0", "no bond bond0"]
    {
        assert!(failures.iter().any(|failure| failure.contains(word)), "{word}: {failures:?}");
    }
    let mut after = look.clone();
    let made =
        |name: &str, kind: &str| LinkState { name: name.into(), kind: kind.into(), ..look.links[0].clone() };
    after.links.extend([made("bond0", "bond"), made("br0", "bridge")]);
    for (name, master) in [("enp2s0", "bond0"), ("enp3s0", "bond0"), ("bond0", "br0")] {
        after.links.iter_mut().find(|link| link.name == name).unwrap().master = Some(master.into());
    }
    after.links.iter_mut().find(|link| link.name == "bond0").unwrap().bond_mode =
        Some("active-backup".into());
    after.addresses[0].link = "br0".into();
    after.gateways[0].0 = "br0".into();
    assert_eq!(work.expect.failures(&after), Vec::<String>::new());
    after.answering.clear();
    assert_eq!(work.expect.failures(&after), ["the gateway 10.88.0.1 does not answer"]);
    after.machine_id = "other".into();
    assert!(work.expect.failures(&after)[0].contains("another host"));

    // Now that it is so, it takes nothing to have it so.
    after.interfaces = Files::from([(
        ifupdown::ROOT.to_owned(),
        String::from_utf8(work.edits[0].after.clone().unwrap()).unwrap(),
    )]);
    after.records = work.keep.clone();
    assert!(put(&after, Owner::Ifupdown, &links()).unwrap().is_empty());

    // And back: the bridge first, the bond only when nothing lies on it.
    let fault = take_back(&after, Owner::Ifupdown, &["bond0".to_owned()]).unwrap_err();
    assert!(fault.message.contains("br0 lies on bond0"), "{fault}");
    let back = take_back(&after, Owner::Ifupdown, &["br0".to_owned(), "bond0".to_owned()]).unwrap();
    assert_eq!(back.edits[0].after.as_deref(), Some(INTERFACES.as_bytes()));
    assert_eq!(back.drop, ["br0", "bond0"]);
    assert!(
        back.post.iter().any(|argv| argv.ends_with(&["ifup".into(), "enp2s0".into()])),
        "{:?}",
        back.post
    );
    assert!(take_back(&after, Owner::Ifupdown, &["br9".to_owned()]).unwrap().is_empty());
}

/// The host after `work`.
fn done(look: &Look, owner: Owner, work: &Work) -> Look {
    let mut after = look.clone();
    let files = match owner {
        Owner::Ifupdown => &mut after.interfaces,
        Owner::Netplan => &mut after.netplan,
    };
    for edit in &work.edits {
        match &edit.after {
            Some(text) => drop(files.insert(edit.path.clone(), String::from_utf8(text.clone()).unwrap())),
            None => drop(files.remove(&edit.path)),
        }
    }
    after.records.extend(work.keep.clone());
    after.records.retain(|name, _| !work.drop.contains(name));
    after
}

#[test]
fn a_bond_that_is_changed_below_its_bridge_is_taken_back_byte_for_byte() {
    let netplan = "network:\n  version: 2\n  ethernets:\n    # the way in\n    enp2s0:\n      addresses: [10.88.0.11/24]\n";
    let start = |owner| match owner {
        Owner::Ifupdown => look(),
        Owner::Netplan => {
            Look { netplan: Files::from([("/etc/netplan/01.yaml".to_owned(), netplan.to_owned())]), ..look() }
        }
    };
    let with_miimon = |miimon: u32| match &links()[0] {
        Link::Bond(bond) => Link::Bond(Bond { miimon, address: Addressing::Inherit, ..bond.clone() }),
        Link::Bridge(_) => unreachable!(),
    };
    for owner in [Owner::Ifupdown, Owner::Netplan] {
        let start = start(owner);
        let mut look =
            done(&start, owner, &put(&start, owner, &[with_miimon(100), links()[1].clone()]).unwrap());
        let card = look.links[0].clone();
        let link = |name: &str, kind: &str, master: Option<&str>| LinkState {
            name: name.into(),
            kind: kind.into(),
            master: master.map(str::to_owned),
            ..card.clone()
        };
        look.links.extend([link("bond0", "bond", Some("br0")), link("br0", "bridge", None)]);
        for miimon in [200, 300] {
            look = done(&look, owner, &put(&look, owner, &[with_miimon(miimon)]).unwrap());
        }
        let text = |look: &Look| files_of(look, owner).values().cloned().collect::<String>();
        assert!(text(&look).contains("300") && text(&look).contains("br0"), "{}", text(&look));

        look = done(&look, owner, &take_back(&look, owner, &["br0".to_owned()]).unwrap());
        look.links.retain(|link| link.name != "br0");
        assert!(text(&look).contains("300") && !text(&look).contains("br0"), "{}", text(&look));
        let alone = done(&start, owner, &put(&start, owner, &[with_miimon(300)]).unwrap());
        assert_eq!(files_of(&look, owner), files_of(&alone, owner), "as if there had never been a bridge");

        look = done(&look, owner, &take_back(&look, owner, &["bond0".to_owned()]).unwrap());
        assert_eq!(files_of(&look, owner), files_of(&start, owner));
    }
}

#[test]
fn netplan_makes_anew_what_networkd_would_not_change() {
    let netplan = "network:\n  version: 2\n  ethernets:\n    enp2s0:\n      addresses: [10.88.0.11/24]\n";
    let look =
        Look { netplan: Files::from([("/etc/netplan/01.yaml".to_owned(), netplan.to_owned())]), ..look() };
    let work = put(&look, Owner::Netplan, &links()).unwrap();
    assert!(work.netplan && work.pre.is_empty());
    assert_eq!(lines(&work.post), ["netplan generate", "timeout 90 netplan apply"]);
    assert_eq!(work.links, ["br0", "bond0"]);
    let new = work.edits.iter().filter(|edit| edit.before.is_none()).map(|edit| edit.mode.as_str());
    assert_eq!(new.collect::<Vec<_>>(), ["600", "600"]);
}

#[test]
fn a_bond_takes_over_the_jumbo_frames_of_the_card_with_the_address() {
    let mtu = |look: &Look, links: &[Link]| with_mtu(look, links)[0].mtu();
    let mut look = look();
    look.links[0].mtu = 9000;
    look.links[1].mtu = 1500;
    assert_eq!(mtu(&look, &links()), Some(9000));
    // Set up, the card has no address any more; the answer must be the same.
    look.addresses[0].link = "br0".into();
    for slave in &mut look.links {
        (slave.mtu, slave.master) = (9000, Some("bond0".into()));
    }
    assert_eq!(mtu(&look, &links()), Some(9000));
    let mut wanted = links();
    if let Link::Bond(bond) = &mut wanted[0] {
        bond.mtu = Some(1500);
    }
    assert_eq!(mtu(&look, &wanted), Some(1500));
    look.links[0].mtu = 1500;
    assert_eq!(mtu(&look, &links()), None);
}

#[test]
fn a_link_is_left_alone_that_a_guest_is_on_through_a_bridge_or_by_itself() {
    for guest in [
        LinkState { kind: "tun".into(), master: Some("bond0".into()), ..LinkState::default() },
        LinkState { kind: "macvtap".into(), parent: Some("bond0".into()), ..LinkState::default() },
    ] {
        let bond = LinkState { name: "bond0".into(), kind: "bond".into(), ..LinkState::default() };
        let look = Look { links: vec![bond, LinkState { name: "vnet0".into(), ..guest }], ..look() };
        let files = Files::default();
        let fault = compose(&look, Owner::Ifupdown, &files, &files, &["bond0".to_owned()]).unwrap_err();
        assert!(fault.message.contains("a guest is on bond0 (vnet0)"), "{fault}");
    }
}

#[test]
fn a_bond_that_nobody_speaks_lacp_with_is_told() {
    let mut look = look();
    let expect = Expect { bonds: vec![("bond0".into(), "802.3ad".into())], ..Expect::default() };
    for (partner, told) in [(None, 0), (Some("00:00:00:00:00:00"), 1), (Some("02:00:00:00:00:00"), 0)] {
        look.links[0] = LinkState {
            name: "bond0".into(),
            lacp_partner: partner.map(str::to_owned),
            ..LinkState::default()
        };
        assert_eq!(expect.notes(&look).len(), told, "{partner:?}");
    }
}
