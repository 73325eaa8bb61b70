//! What breaks in mid-migration: kvmsh is stopped or killed, a daemon dies or hangs, a cable is cut. Whatever it is, no
//! guest may be lost or run twice, kvmsh ends in bounded time, and what it reports is true.

use std::time::Duration;

use crate::lab::{Child, Guest, Lab};
use crate::scene::{evacuate, evacuation, journal, pair, wait_migrating, wait_settled};

/// How long kvmsh may take to end once something has broken: a dead peer is noticed after 25 s, an abort may have to
/// wait for it, and then both daemons are asked where the guest is.
const BROKEN: Duration = Duration::from_secs(60);

/// How long kvmsh may take to stop what it has in flight when nothing is broken.
const STOP: Duration = Duration::from_secs(15);

/// A guest that writes faster than its cable takes it away, so that its migration lasts until something ends it.
fn endless<'lab>(lab: &'lab Lab, name: &str) -> Guest<'lab> {
    lab.guest("h2-a", name).dirty(48).start()
}

/// Starts to evacuate h2-a over a slow cable and waits until `guest` is on its way.
fn begin(lab: &Lab, guest: &Guest<'_>, options: &[&str]) -> Child {
    guest.wait_boot();
    lab.shape("h2-a", "100mbit");
    let child = lab.spawn(evacuation(lab, options, &[]));
    wait_migrating(lab, guest.name(), &child);
    child
}

/// When all is well again, the host can be emptied.
fn evacuate_after_all(lab: &Lab, guests: &[Guest<'_>]) {
    lab.shape("h2-a", "off");
    // A guest that writes so much has to be slowed down even on a fast cable.
    evacuate(lab, &[], &["--auto-converge"]).ends(0).prints(&["h2-a is empty: "]);
    wait_settled(lab, &[], guests);
}

/// Stops a migration with `stop` and looks at what it leaves behind.
fn stopped(options: &[&str], stop: impl FnOnce(&Child), limit: Duration, code: i32) {
    let lab = pair();
    let guests = [endless(&lab, "web1")];
    let child = begin(&lab, &guests[0], options);
    stop(&child);
    let report = child.wait(limit);
    report.ends(code).says(&["web1 runs on h2-a, as before"]);
    wait_settled(&lab, &guests, &[]);
    assert!(journal(&lab).contains(r#""action":"migrate","#), "{}", journal(&lab));
    evacuate_after_all(&lab, &guests);
}

#[test]
fn ctrl_c_aborts_the_migration_and_the_guest_goes_on_where_it_was() {
    stopped(&[], |child| child.signal("INT"), STOP, 130);
}

#[test]
fn a_termination_signal_aborts_the_migration_and_the_guest_goes_on_where_it_was() {
    stopped(&[], |child| child.signal("TERM"), STOP, 130);
}

#[test]
fn a_run_that_exceeds_its_time_aborts_the_migration_and_the_guest_goes_on_where_it_was() {
    let time = Duration::from_secs(15);
    stopped(&["--timeout", "15s"], |_| (), time + STOP, 124);
}

#[test]
fn a_second_ctrl_c_leaves_the_migration_behind_and_says_how_to_look_again() {
    let lab = pair();
    let guests = [endless(&lab, "web1")];
    guests[0].wait_boot();
    lab.shape("h2-a", "100mbit");
    let mut kvmsh = lab.kvmsh();
    kvmsh.args(["-c", r#"host("h2-a").domain("web1").migrate("h2-b")"#]);
    let child = lab.spawn(kvmsh);
    wait_migrating(&lab, "web1", &child);
    // Frozen daemons: no abort can end now.
    lab.stop("h2-b", "libvirtd", "STOP");
    lab.stop("h2-a", "libvirtd", "STOP");
    child.signal("INT");
    std::thread::sleep(Duration::from_millis(500));
    child.signal("INT");
    let report = child.wait(STOP);
    report
        .ends(130)
        .says(&["web1 was left on its way from h2-a to h2-b", r#"host("h2-a").domain("web1").job"#]);
    assert!(report.took < STOP, "{:?}", report.took);
    lab.start("h2-a", "libvirtd");
    lab.start("h2-b", "libvirtd");
    wait_settled(&lab, &guests, &[]);
}

/// Breaks something in mid-migration, and mends it once kvmsh has ended. The guest under way writes more than can be
/// sent, so it can only stay; another one runs on the target all the time and must not notice.
fn broken(fault: impl FnOnce(&Lab), mend: impl FnOnce(&Lab), says: &str) {
    let lab = pair();
    let under_way = [endless(&lab, "web1")];
    let there = lab.guest("h2-b", "there").start();
    there.wait_boot();
    let child = begin(&lab, &under_way[0], &[]);
    fault(&lab);
    let output = child.wait(BROKEN);
    eprintln!("ended after {:?}", output.took);
    output.ends(5).prints(&["h2-a is NOT empty: 0 moved live, 1 left behind"]);
    output.says(&[says]);
    mend(&lab);
    let there = [there];
    wait_settled(&lab, &under_way, &there);
    lab.shape("h2-a", "off");
    evacuate(&lab, &[], &["--auto-converge"]).ends(0);
    let [web1] = under_way;
    let [there] = there;
    wait_settled(&lab, &[], &[web1, there]);
}

#[test]
fn the_guest_stays_when_the_daemon_of_the_target_is_killed() {
    broken(
        |lab| lab.stop("h2-b", "libvirtd", "KILL"),
        |lab| lab.start("h2-b", "libvirtd"),
        "web1 runs on h2-a, as before; h2-b could not be asked",
    );
}

#[test]
fn the_guest_stays_when_the_daemon_of_the_target_hangs() {
    broken(
        |lab| lab.stop("h2-b", "libvirtd", "STOP"),
        |lab| lab.start("h2-b", "libvirtd"),
        "web1 runs on h2-a, as before; h2-b could not be asked",
    );
}

#[test]
fn the_guest_stays_when_the_cable_of_the_target_is_cut() {
    broken(
        |lab| lab.link_down("h2-b"),
        |lab| lab.link_up("h2-b"),
        "web1 runs on h2-a, as before; h2-b could not be asked",
    );
}

#[test]
fn nothing_is_claimed_when_the_daemon_of_the_source_is_killed() {
    broken(
        |lab| lab.stop("h2-a", "libvirtd", "KILL"),
        |lab| lab.start("h2-a", "libvirtd"),
        "web1 does not run on h2-b, and h2-a could not be asked",
    );
}

#[test]
fn nothing_is_claimed_when_the_cable_of_the_source_is_cut() {
    broken(
        |lab| lab.link_down("h2-a"),
        |lab| lab.link_up("h2-a"),
        "web1 does not run on h2-b, and h2-a could not be asked",
    );
}

#[test]
fn a_killed_kvmsh_loses_and_doubles_no_guest() {
    let lab = pair();
    let guests = [endless(&lab, "web1")];
    let child = begin(&lab, &guests[0], &[]);
    child.signal("KILL");
    child.wait(STOP).ends(128 + 9);
    wait_settled(&lab, &guests, &[]);
    evacuate_after_all(&lab, &guests);
}
