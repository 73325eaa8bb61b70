//! Leases and cordons on real hosts: who changes a host is told to others, and ends with its holder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::lab::{Lab, wait_until};
use crate::scene::{LONG, active, evacuate, journal, kvmsh, pair, run_code};

/// Changes h2-a, and goes on for as long as it is let.
const HOLD: &str = r#"host("h2-a").run("true"); print("holds"); sleep(100)"#;

fn change(lab: &Lab, options: &[&str], host: &str) -> crate::lab::Output {
    let code = format!(r#"host("{host}").run("date >/root/mark")"#);
    lab.run(kvmsh(lab, &[options, &["-c", &code]].concat()), LONG)
}

/// The lease file as the host has it; empty where there is none.
fn lease(lab: &Lab, host: &str) -> String {
    let mut cat = lab.on_host(host, "sh");
    cat.args(["-c", "cat /run/kvmsh/lease 2>/dev/null; true"]);
    lab.run(cat, LONG).stdout
}

fn on(lab: &Lab, host: &str, line: &str) {
    let mut sh = lab.on_host(host, "sh");
    sh.args(["-c", line]);
    lab.run(sh, LONG).ends(0);
}

#[test]
fn the_second_operator_is_told_who_and_since_when_and_a_dead_holder_holds_nothing() {
    let lab = pair();
    let holder = lab.spawn(kvmsh(&lab, &["-c", HOLD]));
    wait_until(LONG, "the first run to hold", || holder.stdout().contains("holds"));
    assert!(lease(&lab, "h2-a").contains("purpose=-c\n"), "{}", lease(&lab, "h2-a"));

    let before = journal(&lab);
    let refused = change(&lab, &[], "h2-a");
    refused.ends(4).says(&[
        "error[lease_held]: h2-a is being changed by ",
        "@controller since ",
        " since ",
        " s ago): -c",
        "--wait",
    ]);
    assert_eq!(journal(&lab), before, "nothing is begun without the lease");
    // Other hosts, plans and looks are nobody's business.
    change(&lab, &[], "h2-b").ends(0);
    change(&lab, &["--plan"], "h2-a").ends(6);
    let seen = run_code(&lab, r#"host("h2-a").marks.lease.purpose"#);
    seen.ends(0).prints(&["-c"]);
    lab.run(kvmsh(&lab, &["hosts"]), LONG).ends(0).prints(&["@controller since "]);

    // Killed without a word: whoever can see that it is dead need not wait.
    holder.signal("KILL");
    let ended = holder.wait(LONG);
    assert_eq!(ended.code(), 137);
    change(&lab, &[], "h2-a").ends(0).says(&["took over the lease on h2-a of "]);
    assert_eq!(lease(&lab, "h2-a"), "", "a lease is given back at the end");

    // From another controller a lease of a dead holder is seen to end by the host's own time.
    let foreign = "run=feed ttl=3 taken=$now renewed=$now boot=$(cat /proc/sys/kernel/random/boot_id) holder=night@other \
                   purpose=night.rhai process=elsewhere";
    let write = format!(
        "now=$(cut -d. -f1 /proc/uptime); for pair in {foreign}; do echo \"$pair\"; done >/run/kvmsh/lease"
    );
    on(&lab, "h2-a", &write);
    change(&lab, &[], "h2-a").ends(4).says(&["night@other", "night.rhai"]);
    change(&lab, &["--wait", "60s"], "h2-a").ends(0).says(&["took over the lease on h2-a of night@other"]);
    // One that was written before the host was booted counts no more.
    on(&lab, "h2-a", &write.replace("boot=$(cat /proc/sys/kernel/random/boot_id)", "boot=another"));
    change(&lab, &[], "h2-a").ends(0);
    // Garbage in its place is no lease.
    on(&lab, "h2-a", "head -c 300 /dev/urandom >/run/kvmsh/lease");
    change(&lab, &[], "h2-a").ends(0);
}

#[test]
fn of_many_that_begin_at_once_one_changes_the_host_at_a_time() {
    let lab = Lab::up(&["h2-a"]);
    let code = r#"let h = host("h2-a");
        h.run("set -C; echo x >/root/only");
        h.run("sleep 0.2; rm /root/only")"#;
    let all: Vec<_> = (0..6).map(|_| lab.spawn(kvmsh(&lab, &["--wait", "100s", "-c", code]))).collect();
    for one in all {
        one.wait(LONG).ends(0);
    }
    let all: Vec<_> = (0..4).map(|_| lab.spawn(kvmsh(&lab, &["-c", HOLD]))).collect();
    wait_until(LONG, "one to hold, and the others to be refused", || {
        let (holding, refused) = (
            all.iter().filter(|one| one.stdout().contains("holds")).count(),
            all.iter().filter(|one| one.stderr().contains("lease_held")).count(),
        );
        assert!(holding <= 1, "{holding} hold the lease");
        (holding, refused) == (1, 3)
    });
    for one in all {
        one.signal("TERM");
        let ended = one.wait(LONG);
        assert!(matches!(ended.code(), 4 | 130 | 143), "{ended}");
        ended.within(Duration::from_secs(100));
    }
    assert_eq!(lease(&lab, "h2-a"), "");
}

#[test]
fn nobody_is_placed_on_a_cordoned_host() {
    let lab = Lab::up(&["h2-a", "h2-b", "h2-c"]);
    let web = lab.guest("h2-a", "web1").start();
    lab.guest("h2-a", "old").off().start();
    web.wait_boot();
    let code = r#"let h = host("h2-b"); print(h.cordon("new disks")); print(h.cordon("new disks")); print(h.cordoned)"#;
    run_code(&lab, code).ends(0).prints(&["true\nfalse\ntrue\n"]);
    assert_eq!(journal(&lab).matches(r#""action":"cordon""#).count(), 2);
    lab.run(kvmsh(&lab, &["hosts"]), LONG).ends(0).prints(&["new disks; by "]);
    let refused = run_code(&lab, r#"host("h2-a").domain("web1").migrate("h2-b")"#);
    refused.ends(4).says(&["h2-b is cordoned: new disks; by ", r#"host("h2-b").uncordon()"#]);
    // Nor is one made there, whichever way; a plan says so as well.
    for code in [
        r#"host("h2-b").create(#{ name: "new", disks: [], start: false })"#,
        r#"host("h2-a").domain("old").clone_to("new", #{ on: "h2-b" })"#,
    ] {
        run_code(&lab, code).ends(4).says(&["error[cordoned]", "h2-b is cordoned: new disks; by "]);
        lab.run(kvmsh(&lab, &["--plan", "-c", code]), LONG).ends(4).says(&["error[cordoned]"]);
    }
    evacuate(&lab, &[], &[]).ends(0);
    assert_eq!((active(&lab, "h2-b").len(), active(&lab, "h2-c")), (0, vec!["web1".to_owned()]));
    // It is in no plan once it is there.
    lab.run(kvmsh(&lab, &["--plan", "-c", r#"host("h2-b").cordon("new disks")"#]), LONG).ends(0);
    lab.run(kvmsh(&lab, &["--plan", "-c", r#"host("h2-b").uncordon()"#]), LONG).ends(6);
    run_code(&lab, r#"let h = host("h2-b"); print(h.uncordon()); print(h.uncordon()); print(h.cordoned)"#)
        .ends(0)
        .prints(&["true\nfalse\nfalse\n"]);
    for host in ["h2-a", "h2-b", "h2-c"] {
        assert_eq!(lease(&lab, host), "", "{host}");
    }
}

/// `kvmsh -c CODE` by a clock of its own, which `hands` moves.
fn by_another_clock(lab: &Lab, hands: &Path, code: &str) -> Command {
    let library = glob("/usr/lib", "faketime/libfaketimeMT.so.1");
    let mut kvmsh = lab.controller("env");
    kvmsh
        .arg(format!("LD_PRELOAD={}", library.display()))
        .arg(format!("FAKETIME_TIMESTAMP_FILE={}", hands.display()))
        .arg("KVMSH_LEASE_TTL=20")
        .args(["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", env!("CARGO_BIN_EXE_kvmsh")])
        .args(["--timeout", "150s", "-c", code]);
    kvmsh
}

/// The one `DIRECTORY/*/NAME` there is.
pub fn glob(directory: &str, name: &str) -> PathBuf {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path().join(name));
    entries.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no {directory}/*/{name}"))
}

#[test]
fn a_clock_that_jumps_neither_ends_a_run_nor_its_lease() {
    let lab = pair();
    let runs = [("h2-a", "+3d"), ("h2-b", "-3d")].map(|(host, jump)| {
        let hands = lab.scratch().join(host);
        std::fs::write(&hands, "+0\n").unwrap();
        // Longer than a connection may be silent, and in all than a lease lasts that nobody renews.
        let code = format!(
            r#"let h = host("{host}"); h.run("true"); print("holds");
               print(h.run("sleep 27; echo heard").stdout); sleep(30); h.run("true"); print(retry(2, 0.1, || "well"))"#
        );
        (host, jump, hands.clone(), lab.spawn(by_another_clock(&lab, &hands, &code)))
    });
    for (_, jump, hands, run) in &runs {
        wait_until(LONG, "the lease", || run.stdout().contains("holds"));
        std::fs::write(hands, format!("{jump}\n")).unwrap();
    }
    for (host, ..) in &runs {
        change(&lab, &[], host).ends(4).says(&["error[lease_held]"]);
    }
    // Later than the lease would end that its holder does not renew.
    sleep(Duration::from_secs(28));
    for (host, _, _, run) in &runs {
        let refused = change(&lab, &[], host);
        assert_eq!(refused.code(), 4, "{refused}\nwhile the holder said {}{}", run.stdout(), run.stderr());
        refused.says(&["error[lease_held]"]);
    }
    for (host, _, _, run) in runs {
        run.wait(LONG).ends(0).prints(&["holds\nheard\n\nwell\n"]);
        assert_eq!(lease(&lab, host), "");
    }
    // Each change is in the journal once, and complete, though the times are out of order.
    let listed = lab.run(kvmsh(&lab, &["journal", "-o", "json"]), LONG);
    let changes: serde_json::Value = serde_json::from_str(&listed.ends(0).stdout).unwrap();
    let ended = |one: &&serde_json::Value| one["result"] == "ok";
    let changes = changes.as_array().unwrap();
    assert_eq!(changes.iter().filter(ended).count(), changes.len(), "{listed}");
    lab.run(kvmsh(&lab, &["journal", "--runs"]), LONG).ends(0);
}

#[test]
fn who_was_stopped_for_a_while_has_heard_nothing_and_knows_why() {
    let lab = Lab::up(&["h2-a"]);
    let code = r#"print("begins"); print(host("h2-a").run("sleep 27; echo heard").stdout)"#;
    let run = lab.spawn(kvmsh(&lab, &["-c", code]));
    wait_until(LONG, "the command", || !lease(&lab, "h2-a").is_empty());
    sleep(Duration::from_secs(1));
    run.signal("STOP");
    sleep(Duration::from_secs(24));
    run.signal("CONT");
    run.wait(LONG).ends(0).prints(&["begins\nheard\n\n"]);
}

/// As an operator on a controller of their own: with their own home and their own journal.
fn from_elsewhere(lab: &Lab, operator: &str, args: &[&str]) -> Command {
    let home = lab.scratch().join(operator);
    std::fs::create_dir_all(&home).unwrap();
    let mut kvmsh = kvmsh(lab, args);
    kvmsh.env("HOME", &home).env("XDG_STATE_HOME", home.join("state"));
    kvmsh
}

/// What an operator's journal says was changed.
fn changes_of(lab: &Lab, operator: &str) -> Vec<String> {
    let path = lab.scratch().join(operator).join("state/kvmsh/journal.ndjson");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| line.contains(r#""change":"#)).map(str::to_owned).collect()
}

#[test]
fn of_two_controllers_that_begin_the_same_work_one_does_it_and_the_other_changes_nothing() {
    let lab = pair();
    let guests = ["web1", "web2"].map(|name| lab.guest("h2-a", name).start());
    let _off = lab.guest("h2-a", "old").off().start();
    guests.iter().for_each(crate::lab::Guest::wait_boot);
    // Slow enough for both to be at it at the same time; who has begun goes on until the other has heard.
    let works = [
        r#"import "std/evacuate" as evacuate; evacuate::run(host("h2-a"), #{ bandwidth: "16MiB" });"#,
        r#"host("h2-b").domain("web1").migrate("h2-a", #{ bandwidth: "16MiB" });"#,
        r#"import "std/cpu" as cpu; cpu::tune(host("h2-b").domain("old"), #{ model: MODEL, hosts: hosts() });"#,
    ];
    for (round, work) in works.iter().enumerate() {
        let mut both: Vec<_> = [("ann", "qemu64"), ("ben", "kvm64")]
            .into_iter()
            .map(|(name, model)| {
                let work = work.replace("MODEL", &format!("{model:?}"));
                let code = format!(
                    r#"print("ready"); wait_until(100, || host("h2-b").exists("/root/begin{round}"));
                       {work} print("done"); wait_until(100, || host("h2-b").exists("/root/go{round}"));"#
                );
                let operator = format!("{name}{round}");
                let run = lab.spawn(from_elsewhere(&lab, &operator, &["-c", &code]));
                (operator, run)
            })
            .collect();
        wait_until(LONG, "both", || both.iter().all(|(_, run)| run.stdout().contains("ready")));
        on(&lab, "h2-b", &format!("touch /root/begin{round}"));
        wait_until(LONG, "one to be refused, and the other to be done", || {
            let done = both.iter().filter(|(_, run)| run.stdout().contains("done")).count();
            let told = both.iter().filter(|(_, run)| run.stderr().contains("lease_held")).count();
            let said = || format!("{work}: {}{}", both[0].1.stderr(), both[1].1.stderr());
            assert!(done < 2 && told < 2, "{}", said());
            (done, told) == (1, 1)
        });
        on(&lab, "h2-b", &format!("touch /root/go{round}"));
        both.sort_by_key(|(_, run)| run.stderr().contains("lease_held"));
        let (loser, refused) = both.pop().unwrap();
        let (winner, worked) = both.pop().unwrap();
        refused.wait(LONG).ends(4).says(&["is being changed by ", "@controller since ", " s ago): -c"]);
        worked.wait(LONG).ends(0);
        assert_eq!(changes_of(&lab, &loser), Vec::<String>::new(), "{work}");
        assert!(!changes_of(&lab, &winner).is_empty(), "{work}");
    }
    crate::scene::wait_settled(&lab, &guests[..1], &guests[1..]);
    crate::scene::assert_no_file_left(&lab);
    let old = lab.virsh("h2-b", &["dumpxml", "old"]);
    assert!(old.contains(">qemu64<") != old.contains(">kvm64<"), "{old}");
    assert_eq!((lease(&lab, "h2-a"), lease(&lab, "h2-b")), (String::new(), String::new()));
}

/// As after a suspend of the controller: a lease that somebody else had meanwhile is no lease any more.
#[test]
fn who_has_lost_a_lease_changes_nothing_more() {
    let lab = pair();
    let brief = |operator: &str, code: &str| {
        let mut kvmsh = from_elsewhere(&lab, operator, &["-c", code]);
        kvmsh.env("KVMSH_LEASE_TTL", "5");
        kvmsh
    };
    let first = |host: &str| {
        let code = format!(
            r#"let h = host("{host}"); h.run("true"); print("holds"); wait_until(100, || h.exists("/root/go"));
               try {{ h.run("touch /root/more") }} catch (e) {{ print(e.code) }} h.run("touch /root/more"); print("went on")"#
        );
        let run = lab.spawn(brief("ann", &code));
        wait_until(LONG, "the lease", || run.stdout().contains("holds"));
        run.signal("STOP");
        run
    };
    let (lost, kept) = (first("h2-a"), first("h2-b"));
    sleep(Duration::from_secs(7));
    // One of them is taken, and held on to.
    let second = lab.spawn(brief("ben", HOLD));
    wait_until(LONG, "the second run to hold", || second.stdout().contains("holds"));
    on(&lab, "h2-a", "touch /root/go");
    on(&lab, "h2-b", "touch /root/go");
    lost.signal("CONT");
    kept.signal("CONT");
    let ended = lost.wait(LONG);
    ended.ends(5).prints(&["lease_lost\n"]).says(&[
        "error[lease_lost]: the lease on h2-a ended while this run could not renew it, and was taken by ",
        "@controller since ",
    ]);
    on(&lab, "h2-a", "test ! -e /root/more");
    // What nobody else had is held again.
    kept.wait(LONG).ends(0).prints(&["went on"]);
    on(&lab, "h2-a", "rm /root/go");
    second.signal("TERM");
    second.wait(LONG).ends(130);

    // The other is through already: what it has changed is not known here.
    let lost = first("h2-a");
    sleep(Duration::from_secs(7));
    lab.run(brief("ben", r#"host("h2-a").run("true")"#), LONG).ends(0).says(&["took over the lease on h2-a"]);
    on(&lab, "h2-a", "touch /root/go");
    lost.signal("CONT");
    lost.wait(LONG).ends(5).says(&["error[lease_lost]", "somebody else had it meanwhile"]);
    on(&lab, "h2-a", "test ! -e /root/more");
    assert_eq!((lease(&lab, "h2-a"), lease(&lab, "h2-b")), (String::new(), String::new()));
}
