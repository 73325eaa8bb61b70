//! What fails is undone, whoever dies.

use std::thread::sleep;
use std::time::Instant;

use super::*;
use crate::lab::{Child, wait_until};

/// How long a node may take to undo a change, beyond the time that it waits for the confirmation: an idle one needs less
/// than 15 s, but this one shares its processors, and starting a program takes it 30 ms without KVM; netplan starts many.
const UNDO: u64 = 150;

/// kvmsh itself looks at the node before and after.
const LOOKS: u64 = 90;

#[test]
fn what_does_not_work_is_undone_by_itself_and_told_on_ifupdown() {
    what_does_not_work_is_undone(&node(), 40);
}

#[test]
fn what_does_not_work_is_undone_by_itself_and_told_on_netplan() {
    // `netplan apply` alone takes most of the shorter time on a slow node.
    what_does_not_work_is_undone(&netplan_node(), 60);
}

fn what_does_not_work_is_undone(lab: &VmLab, seconds: u64) {
    let clean = state(lab);
    let limit = Duration::from_secs(seconds + UNDO + LOOKS);
    let undone = |output: Output, why: &str| {
        output.ends(1).says(&["error[network_undone]", "everything is as before", why]).within(limit);
        is_as_before(lab, &clean);
    };
    let within = ["--confirm-within", &seconds.to_string()];
    let cards = |args: &[&str]| setup(lab, &[], &[&CARDS[..], args, &within].concat());
    undone(
        cards(&["--address", "10.88.0.11/24", "--gateway", "10.88.0.77"]),
        "the gateway 10.88.0.77 does not answer",
    );
    undone(cards(&["--address", "10.99.0.11/24", "--force"]), "no new connection");
    undone(
        setup(lab, &[], &[&["--slave", "enp2s0", "--slave", "enp9s0", "--force"], &within[..]].concat()),
        "enp9s0",
    );
    lab.cable_down(NODE, 2);
    undone(
        code(
            lab,
            &format!(
                r#"bridge::setup(h, #{{ name: "br1", ports: ["enp3s0"], address: "none", force: true, confirm_within: {seconds} }})"#
            ),
        ),
        "br1 has no link",
    );
    lab.cable_up(NODE, 2);
    undone(
        code(
            lab,
            &format!(
                "net::transaction(h, #{{ confirm_within: {seconds} }}, |t| {{
                t.write(`/etc/ssh/sshd_config`, `Port 2222\n`);
                t.run([`systemctl`, `restart`, `ssh`]);
                t.undo([`systemctl`, `restart`, `ssh`]);
            }})"
            ),
        ),
        "no new connection",
    );
}

/// What marks how far a change has come, as the node sees it.
const MARKS: [(&str, &str); 5] = [
    ("handed over", "compgen -G '/var/lib/kvmsh/network/staging-*'"),
    ("armed", "test -d /var/lib/kvmsh/network/pending"),
    ("under way", "test -e /var/lib/kvmsh/network/pending/applying"),
    ("applied", "test -e /var/lib/kvmsh/network/pending/applied"),
    ("confirmed", "test -e /var/lib/kvmsh/network/last-confirmed -o -d /var/lib/kvmsh/network/undone"),
];

/// Those between which the network itself is changed: before and after them it does not matter who looks after it.
const TOUCHED: [(&str, &str); 3] = [MARKS[1], MARKS[2], MARKS[3]];

/// Waits, on the node itself, until `test` succeeds. Starts no program meanwhile: on a node without KVM that would take the time
/// of what is waited for.
fn await_on_node(lab: &VmLab, test: &str) {
    lab.shell(
        NODE,
        &format!(
            "exec {{quiet}}<> <(:); i=0; until {test} || ((i++ > 4000)); do read -rt 0.05 -u $quiet || :; done"
        ),
    );
}

/// Starts a change and comes back when it has come as far as `mark`, or further.
fn begin(lab: &VmLab, mark: &str) -> Child {
    let child =
        lab.spawn(setup_command(lab, &[], &[&CARDS[..], &["--confirm-within", &FAIL.to_string()]].concat()));
    let deadline = Instant::now() + LONG;
    // The mark may pass between two looks; any later one will do.
    let from = MARKS.iter().position(|(_, test)| *test == mark).unwrap();
    let tests: Vec<String> =
        MARKS[from..].iter().map(|(_, test)| format!("{test} >/dev/null 2>&1")).collect();
    await_on_node(lab, &tests.join(" || "));
    assert!(Instant::now() < deadline, "the change never came as far as {mark}");
    child
}

/// Either the old network or the new one, nothing pending.
#[track_caller]
fn settled(lab: &VmLab, clean: &(String, String), when: &str) -> bool {
    let confirmed =
        lab.shell(NODE, "test -e /var/lib/kvmsh/network/last-confirmed && echo yes || echo no").trim()
            == "yes";
    if confirmed {
        assert!(live(lab).contains("br0 10.88.0.11/24"), "{when}: {}", live(lab));
        let left = lab.shell(
            NODE,
            "ls /var/lib/kvmsh/network /etc/systemd/system | grep -E '^(pending|undoing|staging)' || :",
        );
        assert_eq!(left, "", "{when}");
        reachable(lab);
    } else {
        is_as_before(lab, clean);
    }
    confirmed
}

#[test]
fn a_controller_that_is_killed_leaves_the_old_network_or_the_new_one_on_ifupdown() {
    controllers_are_killed(&node(), &MARKS);
}

#[test]
fn a_controller_that_is_killed_leaves_the_old_network_or_the_new_one_on_netplan() {
    controllers_are_killed(&netplan_node(), &TOUCHED);
}

fn controllers_are_killed(lab: &VmLab, marks: &[(&str, &str)]) {
    let clean = state(lab);
    lab.snapshot(NODE, "clean");
    for (name, mark) in marks {
        let child = begin(lab, mark);
        child.signal("KILL");
        child.wait(LONG);
        let killed = Instant::now();
        let limit = Duration::from_secs(CONFIRM + UNDO + LOOKS);
        wait_until(limit, &format!("the node to settle after kvmsh was killed when {name}"), || {
            sleep(Duration::from_secs(3));
            lab.shell(NODE, "cd /var/lib/kvmsh/network; ls -d pending undoing 2>/dev/null || :").is_empty()
                && !lab
                    .shell(NODE, "systemctl list-units --all --plain --no-legend 'kvmsh-network-timeout-*'")
                    .contains(" active ")
        });
        // By the node's own clock, from the arming to the end.
        let took = lab.shell(
            NODE,
            "cd /var/lib/kvmsh/network/undone 2>/dev/null && echo $(($(stat -c %Y differences) - $(stat -c %Y armed))) || echo 0",
        );
        let took: u64 = took.trim().parse().unwrap();
        assert!(took <= FAIL + UNDO, "{name}: undone {took} s after it was armed");
        let confirmed = settled(lab, &clean, name);
        eprintln!(
            "killed when {name}: {}, undone after {took} s, settled after {:?}",
            if confirmed { "new" } else { "old" },
            killed.elapsed()
        );
        lab.restore(NODE, "clean");
    }
}

#[test]
fn a_power_cut_leaves_the_old_network_or_the_new_one_on_ifupdown() {
    power_is_cut(&node(), &MARKS[1..]);
}

#[test]
fn a_power_cut_leaves_the_old_network_or_the_new_one_on_netplan() {
    power_is_cut(&netplan_node(), &TOUCHED[1..]);
}

fn power_is_cut(lab: &VmLab, marks: &[(&str, &str)]) {
    let clean = state(lab);
    let cut = |child: Child| {
        lab.kill(NODE);
        child.signal("KILL");
        child.wait(LONG);
        lab.boot(NODE);
        lab.wait_ssh(NODE);
    };
    for (name, mark) in marks {
        cut(begin(lab, mark));
        let confirmed = settled(lab, &clean, name);
        eprintln!("power cut when {name}: {}", if confirmed { "new" } else { "old" });
        // What an earlier cut has left is cleared away by the next change.
        if confirmed {
            setup(lab, &[], &["--remove"]).ends(0);
            lab.exec(NODE, &["rm", "/var/lib/kvmsh/network/last-confirmed"]);
        }
        is_as_before(lab, &clean);
    }
    // And while a change that did not work is undone.
    let wrong = [&CARDS[..], &["--address", "10.88.0.11/24", "--gateway", "10.88.0.77"]].concat();
    let child = lab.spawn(setup_command(lab, &[], &wrong));
    let mark = "test -d /var/lib/kvmsh/network/undoing";
    await_on_node(lab, mark);
    cut(child);
    assert!(!settled(lab, &clean, "undoing"));
}

#[test]
fn a_stop_undoes_the_change_at_once_and_a_second_kvmsh_is_refused_meanwhile() {
    let lab = node();
    let clean = state(&lab);
    // Long enough for both: the gateway does not answer.
    let args =
        [&CARDS[..], &["--address", "10.88.0.11/24", "--gateway", "10.88.0.77", "--confirm-within", "200"]]
            .concat();
    let child = lab.spawn(setup_command(&lab, &[], &args));
    await_on_node(&lab, MARKS[3].1);
    // Nobody can renew a lease on a host that is cut off: it outlasts the change.
    let lease = lab.shell(NODE, "cat /run/kvmsh/lease");
    let ttl = lease.lines().find_map(|line| line.strip_prefix("ttl=")?.parse::<u64>().ok());
    assert!(ttl > Some(200), "{lease}");
    setup(&lab, &[], &[&CARDS[..], &["--mtu", "1400"]].concat()).ends(4).says(&["not confirmed yet"]);
    child.signal("INT");
    let output = child.wait(LONG);
    output.ends(130).says(&["everything is as before", "it was stopped"]);
    assert_eq!(lab.shell(NODE, "ls /run/kvmsh/lease 2>/dev/null || :"), "");
    is_as_before(&lab, &clean);
}
