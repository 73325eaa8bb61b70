//! Hosts that cannot be reached, or do not let us in: each its own code and message, exit 3, and soon.

use std::fs;
use std::time::Duration;

use crate::lab::Lab;
use crate::scene::{LONG, kvmsh, run_code};

/// How long it may take to say why a host cannot be reached.
const SOON: Duration = Duration::from_secs(15);

/// A way in which `host` cannot be reached, shown by a script and by `hosts test`.
#[track_caller]
fn unreachable(lab: &Lab, host: &str, code: &str, words: &[&str]) {
    let script = format!("host({host:?}).version");
    let error = format!("error[{code}]: ");
    let said = lab.run(kvmsh(lab, &["-c", &script]), LONG);
    said.ends(3).within(SOON).says(words).says(&[&error, " --> -c:1:", "= help: "]);
    assert_eq!(said.stdout, "");
    let tested = lab.run(kvmsh(lab, &["hosts", "test", host]), LONG);
    tested.ends(3).within(SOON).says(words).says(&[&error]);
    if code != "unknown_host" {
        tested.prints(&[host, code]);
    }
}

/// Adds lines to the lab's inventory.
fn add_host(lab: &Lab, lines: &str) {
    let path = lab.dir().join("hosts.toml");
    fs::write(&path, format!("{lines}\n{}", fs::read_to_string(&path).unwrap())).unwrap();
}

/// Replaces the lab's known_hosts.
fn known_hosts(lab: &Lab, text: &str) {
    fs::write(lab.dir().join("known_hosts"), text).unwrap();
}

#[test]
fn a_host_that_is_not_in_the_inventory_brings_a_suggestion() {
    let lab = Lab::up(&["h2-a"]);
    unreachable(&lab, "h2-q", "unknown_host", &["h2-q", "did you mean `h2-a`?"]);
}

#[test]
fn a_name_that_nobody_can_resolve_is_told_apart() {
    let lab = Lab::up(&["h2-a"]);
    add_host(&lab, "[hosts.ghost]\naddress = \"ghost.invalid\"\n");
    unreachable(&lab, "ghost", "unresolvable", &["ghost.invalid"]);
}

#[test]
fn a_port_where_nobody_listens_is_told_apart() {
    let lab = Lab::up(&["h2-a"]);
    lab.stop("h2-a", "sshd", "TERM");
    unreachable(&lab, "h2-a", "connection_refused", &["10.88.0.11", "22"]);
}

#[test]
fn an_address_that_does_not_answer_is_told_apart() {
    let lab = Lab::up(&["h2-a"]);
    lab.link_down("h2-a");
    unreachable(&lab, "h2-a", "unreachable", &["10.88.0.11"]);
}

#[test]
fn an_address_that_swallows_everything_is_given_up_in_time() {
    let lab = Lab::up(&["h2-a"]);
    let mut neighbour = lab.controller("sh");
    let wrong = "dev=$(ip -o route get 10.88.0.11 | sed 's/.* dev \\([^ ]*\\).*/\\1/'); \
                 ip neigh replace 10.88.0.11 lladdr 02:00:00:00:00:99 dev $dev";
    neighbour.args(["-c", wrong]);
    lab.run(neighbour, LONG).ends(0);
    unreachable(&lab, "h2-a", "connect_timeout", &["10.88.0.11"]);
}

#[test]
fn a_key_that_the_host_does_not_accept_is_told_apart() {
    let lab = Lab::up(&["h2-a"]);
    let mut keys = lab.on_host("h2-a", "rm");
    keys.arg("/root/.ssh/authorized_keys");
    lab.run(keys, LONG).ends(0);
    unreachable(&lab, "h2-a", "auth_failed", &["root", "id_ed25519"]);
}

#[test]
fn a_host_key_that_nobody_has_seen_is_refused_with_its_fingerprint() {
    let lab = Lab::up(&["h2-a"]);
    known_hosts(&lab, "");
    unreachable(&lab, "h2-a", "host_key_unknown", &["SHA256:", "kvmsh hosts add"]);
}

#[test]
fn a_host_key_that_has_changed_is_refused_with_both_fingerprints() {
    let lab = Lab::up(&["h2-a"]);
    let key = fs::read_to_string(lab.dir().join("id_ed25519.pub")).unwrap();
    known_hosts(&lab, &format!("10.88.0.11 {key}"));
    unreachable(&lab, "h2-a", "host_key_changed", &["SHA256:"]);
}

#[test]
fn a_host_without_libvirt_is_told_apart() {
    let lab = Lab::up_with_bare(&["h2-a"], &["bare"]);
    unreachable(&lab, "bare", "libvirt_missing", &["libvirt is not installed on bare"]);
}

#[test]
fn a_libvirt_daemon_that_does_not_run_or_hangs_is_told_apart() {
    let lab = Lab::up(&["h2-a", "h2-b"]);
    lab.stop("h2-a", "libvirtd", "TERM");
    unreachable(&lab, "h2-a", "libvirt_unreachable", &["the libvirt daemon on h2-a does not answer"]);
    lab.stop("h2-b", "libvirtd", "STOP");
    unreachable(&lab, "h2-b", "libvirt_timeout", &["did not answer within"]);
}

#[test]
fn one_host_that_is_away_does_not_hide_the_others() {
    let lab = Lab::up(&["h2-a", "h2-b"]);
    lab.stop("h2-a", "sshd", "TERM");
    let tested = lab.run(kvmsh(&lab, &["hosts", "test"]), LONG);
    tested.ends(3).within(SOON).prints(&["h2-a", "connection_refused", "h2-b", "ok"]);
    let alive = run_code(&lab, r#"print(hosts().map(|h| h.alive))"#);
    assert_eq!(alive.ends(0).stdout, "[false, true]\n");
}
