//! What breaks in mid-migration: kvmsh is stopped or killed, a daemon dies or hangs, a cable is cut. Whatever it is, no
//! guest may be lost or run twice, kvmsh ends in bounded time, and what it reports is true.

use std::time::Duration;

use crate::lab::{Child, Guest, Lab, Output};
use crate::scene::{assert_no_job, evacuate, evacuation, journal, pair, wait_migrating, wait_settled};

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

/// After the fault is mended: evacuating works.
fn evacuate_after_all(lab: &Lab, guests: &[Guest<'_>]) {
    lab.shape("h2-a", "off");
    // As fast as the cable now is, an endless guest needs to be slowed down all the same.
    evacuate(lab, &[], &["--auto-converge"]).ends(0).prints(&["h2-a is empty: "]);
    wait_settled(lab, guests, "h2-b");
}

/// Everything that a stop must leave behind as it was.
fn assert_stopped_clean(lab: &Lab, guest: Guest<'_>, report: &Output) {
    report.within(Duration::from_secs(60)).says(&["web1 runs on h2-a, as before"]);
    let guests = [guest];
    wait_settled(lab, &guests, "h2-a");
    assert_no_job(lab, "h2-a", "web1");
    assert!(journal(lab).contains(r#""result":"#), "the change has no end in the journal");
    evacuate_after_all(lab, &guests);
}

#[test]
fn ctrl_c_aborts_the_migration_and_the_guest_goes_on_where_it_was() {
    let lab = pair();
    let guest = endless(&lab, "web1");
    let child = begin(&lab, &guest, &[]);
    child.signal("INT");
    let report = child.wait(STOP);
    report.ends(130);
    assert_stopped_clean(&lab, guest, &report);
}

#[test]
fn a_termination_signal_aborts_the_migration_and_the_guest_goes_on_where_it_was() {
    let lab = pair();
    let guest = endless(&lab, "web1");
    let child = begin(&lab, &guest, &[]);
    child.signal("TERM");
    let report = child.wait(STOP);
    report.ends(130);
    assert_stopped_clean(&lab, guest, &report);
}

#[test]
fn a_run_that_exceeds_its_time_aborts_the_migration_and_the_guest_goes_on_where_it_was() {
    let lab = pair();
    let guest = endless(&lab, "web1");
    let child = begin(&lab, &guest, &["--timeout", "15s"]);
    let report = child.wait(Duration::from_secs(15) + STOP);
    report.ends(124);
    assert_stopped_clean(&lab, guest, &report);
}
