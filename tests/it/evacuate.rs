//! The main job: `kvmsh scripts/evacuate.rhai h2-a` where nothing breaks.

use std::fs;

use crate::lab::Lab;
use crate::scene::{
    HOSTS, active, assert_no_file_left, defined, edit_inventory, evacuate, journal, pair, run_code,
    wait_settled,
};

/// The autostart mark of a guest, as virsh says it.
fn autostarts(lab: &Lab, host: &str, guest: &str) -> bool {
    lab.virsh(host, &["dominfo", guest])
        .lines()
        .any(|line| line.starts_with("Autostart:") && line.ends_with("enable"))
}

/// Leaves `mib` MiB for guests on h2-b.
fn leave_room(lab: &Lab, mib: u64) {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.strip_suffix("kB"));
    let total: u64 = total.unwrap().trim().parse().unwrap();
    let reserve = format!("[hosts.h2-b]\nreserve = \"{}KiB\"", total - mib * 1024);
    edit_inventory(lab, "[hosts.h2-b]", &reserve);
}

#[test]
fn evacuate_leaves_no_guest_behind_and_has_nothing_to_do_the_second_time() {
    let lab = pair();
    let guests = ["web1", "web2", "web3"].map(|name| lab.guest("h2-a", name).start());
    lab.guest("h2-a", "old").off().start();
    lab.virsh("h2-a", &["autostart", "web1"]);
    lab.virsh("h2-a", &["autostart", "old"]);
    guests.iter().for_each(|guest| guest.wait_boot());
    let before = guests.each_ref().map(|guest| guest.ticks().tick);

    let first = evacuate(&lab, &[], &[]);
    first.ends(0);
    let summary = "h2-a is empty: 3 moved live, 1 definition moved, 0 left behind (";
    assert!(first.stdout.starts_with(summary) && first.stdout.lines().count() == 1, "{first}");
    for name in ["web1: ", "web2: ", "web3: ", "old: "] {
        first.says(&[name]);
    }
    assert!(!first.stdout.contains('\x1b') && !first.stderr.contains('\x1b'), "{first}");
    wait_settled(&lab, &[], &guests);
    for (guest, before) in guests.iter().zip(before) {
        assert!(guest.ticks().tick > before, "{} has not counted on", guest.name());
    }
    assert!(defined(&lab, "h2-a").is_empty());
    assert_eq!(defined(&lab, "h2-b"), ["old", "web1", "web2", "web3"]);
    let marks = ["old", "web1", "web2", "web3"].map(|guest| autostarts(&lab, "h2-b", guest));
    assert_eq!(marks, [true, true, false, false]);
    assert_no_file_left(&lab);

    let (state, changes) = (lab.state(), journal(&lab));
    assert_eq!(changes.matches(r#""action":"migrate""#).count(), 2 * 3, "{changes}");
    let second = evacuate(&lab, &[], &[]);
    second.ends(0).says(&["nothing to do"]);
    assert_eq!(second.stdout, "");
    assert_eq!((lab.state(), journal(&lab)), (state, changes));
}

#[test]
fn a_plan_names_every_move_and_its_reason_and_touches_nothing() {
    let lab = pair();
    let guests = ["web1", "web2"].map(|name| lab.guest("h2-a", name).start());
    lab.guest("h2-a", "old").off().start();
    guests.iter().for_each(|guest| guest.wait_boot());
    let before = lab.state();
    let plan = evacuate(&lab, &["--plan"], &[]);
    plan.ends(6).prints(&[
        "migrate domain web1 on h2-a (→ h2-b: ",
        "migrate domain web2 on h2-a (→ h2-b: ",
        " free there, ",
        "move definition of domain old on h2-a (→ h2-b: ",
        // One proof of sharing serves both guests.
        "4 changes would be made. Nothing was changed.",
    ]);
    assert!(!plan.stdout.contains('\x1b') && !plan.stderr.contains('\x1b'), "{plan}");
    assert_eq!(lab.state(), before);
    assert_eq!(journal(&lab), "");
    assert_no_file_left(&lab);
    wait_settled(&lab, &guests, &[]);
}

#[test]
fn where_room_is_lacking_nobody_moves_unless_what_fits_is_asked_for() {
    let lab = pair();
    leave_room(&lab, 250);
    let guests = ["web1", "web2"].map(|name| lab.guest("h2-a", name).start());
    guests.iter().for_each(|guest| guest.wait_boot());
    let before = lab.state();
    let refused = evacuate(&lab, &[], &[]);
    refused.ends(4).says(&["error[no_room]", "web2 needs 192 MiB", "h2-b", "too little", "--partial"]);
    assert_eq!(refused.stdout, "");
    assert_eq!((lab.state(), journal(&lab)), (before, String::new()));

    let partial = evacuate(&lab, &[], &["--partial"]);
    partial.ends(5).prints(&["h2-a is NOT empty: 1 moved live, 1 left behind"]);
    partial.says(&["web2 stays on h2-a: web2 needs 192 MiB, h2-b has "]);
    assert_eq!(
        (active(&lab, "h2-a"), active(&lab, "h2-b")),
        (vec!["web2".to_owned()], vec!["web1".to_owned()])
    );
}

#[test]
fn a_guest_whose_disk_is_missing_on_the_target_stays_and_holds_up_nobody() {
    let lab = pair();
    let moves = ["web1", "web2"].map(|name| lab.guest("h2-a", name).start());
    let stays = lab.guest("h2-a", "local").local_disk().start();
    moves.iter().chain([&stays]).for_each(|guest| guest.wait_boot());
    let report = evacuate(&lab, &[], &[]);
    report.ends(5).prints(&["h2-a is NOT empty: 2 moved live, 1 left behind"]);
    report.says(&["local stays on h2-a: /var/lib/libvirt/images/local.qcow2 does not exist on h2-b"]);
    assert_eq!(active(&lab, "h2-a"), ["local"]);
    assert_eq!(active(&lab, "h2-b"), ["web1", "web2"]);
    stays.wait_tick();
    assert_eq!(stays.ticks().boots, 1);
}

#[test]
fn when_nobody_can_move_every_reason_is_named_and_nothing_is_changed() {
    let lab = pair();
    lab.bridge("h2-a", "br0");
    fs::write(lab.scratch().join("net.xml"), NETWORK).unwrap();
    let net = lab.scratch().join("net.xml");
    let define = format!(
        r#"let n = host("h2-a").define_network(host("test:///default").read("{}")); n.start()"#,
        net.display()
    );
    run_code(&lab, &define).ends(0);
    let changes = journal(&lab);
    let guests = [
        lab.guest("h2-a", "on-bridge").bridge("br0").start(),
        lab.guest("h2-a", "on-disk").local_disk().start(),
        lab.guest("h2-a", "on-net").network("lan").start(),
    ];
    guests.iter().for_each(|guest| guest.wait_boot());
    let before = lab.state();
    let refused = evacuate(&lab, &[], &[]);
    refused.ends(4).says(&[
        "on-bridge stays on h2-a: h2-b has no bridge br0",
        "on-disk stays on h2-a: /var/lib/libvirt/images/on-disk.qcow2 does not exist on h2-b",
        "on-net stays on h2-a: h2-b has no network lan",
        "nothing was moved",
    ]);
    assert_eq!((lab.state(), journal(&lab)), (before, changes));
    wait_settled(&lab, &guests, &[]);
}

/// A network without addresses: the lab has no dnsmasq to need.
const NETWORK: &str = "<network><name>lan</name><bridge name='virbr7'/></network>";

#[test]
fn a_directory_that_only_pretends_to_be_shared_is_found_out_before_a_guest_moves() {
    let lab = pair();
    edit_inventory(&lab, r#"["/srv/shared"]"#, r#"["/srv/shared", "/var/lib/libvirt/images"]"#);
    let guest = lab.guest("h2-a", "web1").local_disk().start();
    // The same path, another file.
    let mut other = lab.on_host("h2-b", "qemu-img");
    other.args(["create", "-q", "-f", "qcow2", "/var/lib/libvirt/images/web1.qcow2", "64M"]);
    lab.run(other, crate::scene::LONG).ends(0);
    guest.wait_boot();
    let code = r#"try { host("h2-a").domain("web1").migrate("h2-b") } catch (e) { print(e.code); throw e }"#;
    let refused = run_code(&lab, code);
    refused.ends(4).prints(&["not_shared"]);
    refused.says(&["/var/lib/libvirt/images is not the same storage on h2-a and h2-b", "[storage] shared"]);
    evacuate(&lab, &[], &[])
        .ends(4)
        .says(&["error[not_shared]", "nothing was moved, no guest of h2-a can be: "]);
    for host in HOSTS {
        let mut list = lab.on_host(host, "ls");
        list.args(["-A", "/var/lib/libvirt/images"]);
        assert_eq!(lab.run(list, crate::scene::LONG).stdout, "web1.qcow2\n", "{host}");
    }
    wait_settled(&lab, &[guest], &[]);
}
