//! The scripts that people run at night, on real hosts: each where all goes well, and where something does not.

use std::time::Duration;

use crate::lab::{Lab, Output, wait_until};
use crate::scene::{HOSTS, LONG, active, defined, kvmsh, pair, run_code, script};

fn run(lab: &Lab, options: &[&str], name: &str, args: &[&str]) -> Output {
    let mut kvmsh = kvmsh(lab, options);
    kvmsh.arg(script(name)).args(args);
    lab.run(kvmsh, LONG)
}

/// Every file of the hosts that kvmsh could have written, with its contents, and the daemons' state.
fn everything(lab: &Lab) -> String {
    let mut all = lab.state();
    for host in ["h2-a", "h2-b"] {
        let mut sums = lab.on_host(host, "sh");
        sums.args(["-c", FILES]);
        let output = lab.run(sums, LONG);
        output.ends(0);
        all += &format!("{host}\n{}\n", output.stdout);
    }
    all
}

const FILES: &str = "cd / && find etc root run/kvmsh var/lib/kvmsh var/lib/libvirt/images var/lib/libvirt/qemu srv -xdev \
    \\( -name '*.log' -o -name '*.pid' -o -type s -o -path '*/console/*' \\) -prune -o -type f -print 2>/dev/null | \
    grep -v 'libvirt/qemu/\\(domain-\\|.*monitor\\|ram\\)' | sort | xargs -r sha256sum 2>/dev/null; ls -d /run/kvmsh 2>/dev/null; true";

#[test]
fn no_script_changes_anything_while_it_plans() {
    let lab = pair();
    let off = lab.guest("h2-a", "old").off().start();
    let before = everything(&lab);
    assert!(before.contains("old") && before.contains("etc/hosts"), "{before}");
    let plans: &[(&str, &[&str], i32, &str)] = &[
        ("evacuate.rhai", &["h2-a"], 6, "old"),
        ("backup.rhai", &["h2-a", "--to", "/root/backup"], 6, "/root/backup/old"),
        ("snapshot-rotate.rhai", &["h2-a"], 6, "snapshot-create-as"),
        ("clone.rhai", &["old", "copy"], 6, "define domain copy"),
        ("bench-storage.rhai", &["shared", "h2-a"], 6, "create volume shared/"),
        ("tune-cpu.rhai", &["old", "--model", "qemu64"], 6, "define domain old"),
        ("cpu-report.rhai", &["h2-a", "h2-b"], 0, "Nothing to change"),
        // The lab has no NFS yet.
        ("setup-storage.rhai", &["h2-b", "--server", "h2-a"], 6, "exportfs -ra"),
        ("health.rhai", &["--pool-warn", "101", "--pool-bad", "101"], 0, "Nothing to change"),
        ("inventory.rhai", &[], 0, "Nothing to change"),
        ("prepare-hosts.rhai", &["h2-a", "h2-b"], 6, "known_hosts on h2-b"),
        // The lab's network is no interface file's: that is refused in a plan as it is otherwise.
        ("setup-network.rhai", &["h2-a", "--port", "eth0"], 4, ""),
    ];
    for (name, args, code, lists) in plans {
        let plan = run(&lab, &["--plan"], name, args);
        plan.ends(*code).prints(&[lists]);
        if *code == 6 {
            plan.prints(&["made. Nothing was changed."]);
        }
        assert_eq!(everything(&lab), before, "{name}");
    }
    let mut known: Vec<_> = plans.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let mut there: Vec<_> = std::fs::read_dir(script(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".rhai"))
        .collect();
    known.sort();
    there.sort();
    assert_eq!(known, there, "every script is planned here");
    for name in known {
        let help = run(&lab, &[], &name, &["--help"]);
        help.ends(0).prints(&["usage: kvmsh ", "--help"]);
        run(&lab, &[], &name, &["--no-such-option"]).ends(2);
    }
    assert_eq!(off.ticks().boots, 0);
}

#[test]
fn health_tells_what_is_not_as_it_should_be() {
    let lab = pair();
    // Both hosts have the same pool, which this machine's disk may have filled.
    let well = ["--pool-warn", "101", "--pool-bad", "101"];
    run(&lab, &["-q"], "health.rhai", &well).ends(0);
    let nobody = lab.scratch().join("nobody.toml");
    std::fs::write(&nobody, "").unwrap();
    let nobody = nobody.display().to_string();
    run(&lab, &["--inventory", &nobody], "health.rhai", &[]).ends(4).says(&["error[no_hosts]"]);
    run(&lab, &["--inventory", &nobody], "health.rhai", &["--monitoring"]).ends(3).prints(&["UNKNOWN - "]);
    lab.guest("h2-b", "down").off().start();
    lab.virsh("h2-b", &["autostart", "down"]);
    run_code(&lab, r#"host("h2-a").cordon("new disks")"#).ends(0);
    let sick = run(&lab, &["-q"], "health.rhai", &well);
    sick.ends(5).prints(&[
        "guest down",
        "is shut off, and should start with the host",
        "cordon",
        "new disks",
    ]);
    let line = run(&lab, &[], "health.rhai", &[&well[..], &["--monitoring"]].concat());
    line.ends(2).prints(&["CRITICAL - 2 hosts, 1 bad, 1 warnings: h2-b guest down is shut off"]);

    // A pool that is full, a lease that nobody gave back, a guest that stands still, a clock that is wrong.
    let faults = "mkdir /srv/full && mount -t tmpfs -o size=2m none /srv/full && \
        virsh -q pool-define-as full dir --target /srv/full && virsh -q pool-start full && \
        dd if=/dev/zero of=/srv/full/disk bs=1M count=2 status=none && virsh -q pool-refresh full && \
        virsh -q pool-define-as off dir --target /srv/off && virsh -q pool-autostart off && \
        printf 'run=x\\nttl=1\\ntaken=1\\nrenewed=1\\nboot=%s\\nholder=night@other\\npurpose=x\\nprocess=x\\n' \
            \"$(cat /proc/sys/kernel/random/boot_id)\" >/run/kvmsh/lease";
    let mut sh = lab.on_host("h2-a", "sh");
    sh.args(["-ec", faults]);
    lab.run(sh, LONG).ends(0);
    let web = lab.guest("h2-b", "web1").start();
    web.wait_boot();
    lab.virsh("h2-b", &["suspend", "web1"]);
    // All hosts of the lab have this machine's clock: one is told another time.
    let shifted = "printf '#!/bin/sh\\nexec /usr/bin/date -d \"1 hour ago\" \"$@\"\\n' >/usr/local/bin/date && chmod 755 /usr/local/bin/date";
    let mut sh = lab.on_host("h2-b", "sh");
    sh.args(["-ec", shifted]);
    lab.run(sh, LONG).ends(0);
    let all = run(&lab, &["-o", "json"], "health.rhai", &["--pool-warn", "95", "--pool-bad", "99"]);
    let found: serde_json::Value = serde_json::from_str(&all.ends(5).stdout).unwrap();
    for (host, check, state, detail) in [
        ("h2-a", "pool full", "bad", "100 % full"),
        ("h2-a", "pool off", "bad", "should start with the host"),
        ("h2-a", "lease", "warn", "left behind by night@other"),
        ("h2-b", "guest web1", "warn", "is paused"),
        ("h2-b", "guest down", "bad", "is shut off"),
        ("h2-b", "clock", "warn", "s behind this machine's"),
    ] {
        let there = found.as_array().unwrap().iter().any(|row| {
            row["host"] == host
                && row["check"] == check
                && row["state"] == state
                && row["detail"].as_str().unwrap().contains(detail)
        });
        assert!(there, "{host} {check} {state} {detail}: {found:#}");
    }
    lab.stop("h2-b", "libvirtd", "KILL");
    let dead = run(&lab, &["-o", "json"], "health.rhai", &[&well[..], &["h2-b"]].concat());
    dead.ends(5).prints(&["libvirt"]);
}

#[test]
fn the_inventory_lists_everything_and_names_who_did_not_answer() {
    let lab = pair();
    lab.guest("h2-a", "web1").off().start();
    run(&lab, &[], "inventory.rhai", &[]).ends(0).prints(&["h2-a", "h2-b", "web1", "shared"]);
    let markdown = run(&lab, &[], "inventory.rhai", &["--format", "markdown"]);
    markdown.ends(0).prints(&["## Guests\n\n| host | guest |", "| h2-a | web1 | shut off |"]);
    let json = run(&lab, &[], "inventory.rhai", &["--format", "json", "h2-a"]);
    let json: serde_json::Value = serde_json::from_str(&json.ends(0).stdout).unwrap();
    assert_eq!(
        (json["hosts"].as_array().map(Vec::len), &json["guests"][0]["guest"]),
        (Some(1), &"web1".into())
    );
    run(&lab, &[], "inventory.rhai", &["--format", "pdf"]).ends(2);
    lab.stop("h2-b", "libvirtd", "KILL");
    run(&lab, &[], "inventory.rhai", &[]).ends(5).prints(&["h2-a", "libvirt_unreachable"]);
}

#[test]
fn snapshots_come_and_go_and_strangers_stay() {
    let lab = Lab::up(&["h2-a"]);
    lab.guest("h2-a", "old").off().start();
    lab.virsh("h2-a", &["snapshot-create-as", "old", "auto-mine"]);
    for round in 0..3 {
        if round > 0 {
            // Names have the second.
            std::thread::sleep(Duration::from_millis(1100));
        }
        run(&lab, &[], "snapshot-rotate.rhai", &["h2-a", "--keep", "2"]).ends(0).prints(&["old: made auto-"]);
    }
    let names = lab.virsh("h2-a", &["snapshot-list", "old", "--name"]);
    let names: Vec<_> = names.split_whitespace().collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(&"auto-mine"), "{names:?}");
    run(&lab, &[], "snapshot-rotate.rhai", &["h2-a", "--guest", "nobody"])
        .ends(4)
        .says(&["error[no_domain]"]);
    // A guest that runs would stand still: it is passed over, and where all do, nothing was done.
    let web = lab.guest("h2-a", "web1").start();
    web.wait_boot();
    let passed = run(&lab, &[], "snapshot-rotate.rhai", &["h2-a", "--guest", "web1"]);
    passed.ends(4).says(&["web1 runs, and is passed over", "error[domain_active]"]);
    assert_eq!(lab.virsh("h2-a", &["snapshot-list", "web1", "--name"]).trim(), "");
    let running = run(&lab, &[], "snapshot-rotate.rhai", &["h2-a", "--guest", "web1", "--running"]);
    running.ends(0).prints(&["web1: made auto-"]);
    // A guest whose disk is gone fails, and the others are done.
    lab.guest("h2-a", "broken").off().start();
    std::fs::remove_file(lab.shared().join("broken.qcow2")).unwrap();
    let partial = run(&lab, &[], "snapshot-rotate.rhai", &["h2-a", "--keep", "9"]);
    partial.ends(5).prints(&["old: made auto-"]).says(&["error: broken: "]);
}

#[test]
fn backups_of_guests_are_verified_kept_and_leave_nothing_half_done() {
    let lab = Lab::up(&["h2-a"]);
    let web = lab.guest("h2-a", "web1").start();
    lab.guest("h2-a", "old").off().start();
    web.wait_boot();
    let backup = |options: &[&str], args: &[&str]| {
        run(
            &lab,
            options,
            "backup.rhai",
            &[&["h2-a", "--to", "/root/backup", "--verify", "2"][..], args].concat(),
        )
    };
    let list = |pattern: &str| {
        let mut ls = lab.on_host("h2-a", "sh");
        ls.args(["-c", &format!("cd /root/backup && ls -d {pattern} 2>/dev/null; true")]);
        lab.run(ls, LONG).stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let state = lab.state();
    let first = backup(&[], &[]);
    first.ends(0).prints(&["web1: /root/backup/web1/", "old: /root/backup/old/"]);
    assert_eq!(lab.state(), state, "the test restore leaves nothing behind");
    assert_eq!(list("*/*/domain.xml").len(), 2);
    assert_eq!(list("*/*/v*").len(), 2, "{:?}", list("*/*/*"));
    std::thread::sleep(Duration::from_millis(1100));
    backup(&["-q"], &["--keep", "1", "--guest", "old"]).ends(0);
    assert_eq!(list("old/*").len(), 1);

    // A copy that does not start is no reason to delete one that does.
    let kept = list("old/*");
    let spoil =
        "for dir in /root/backup/old/*/; do sed -i 's/<memory/<memory unknown/' \"$dir/domain.xml\"; done";
    let mut sh = lab.on_host("h2-a", "sh");
    sh.args(["-c", spoil]);
    lab.run(sh, LONG).ends(0);
    let code = format!(
        r#"import "std/backup" as backup; backup::verify(host("h2-a"), "/root/backup/{}", 1)"#,
        kept[0]
    );
    run_code(&lab, &code).ends(1).says(&["error[not_restorable]", "cannot be relied on"]);
    assert_eq!(lab.state(), state);
    // However many nights go wrong, the good copy stays; of the others the newest does.
    let kernel = |from: &str, to: &str| {
        let line = format!(
            "virsh -q dumpxml old | sed 's#{from}#{to}#' >/root/old.xml && virsh -q define /root/old.xml"
        );
        let mut sh = lab.on_host("h2-a", "sh");
        sh.args(["-c", &line]);
        lab.run(sh, LONG).ends(0);
    };
    kernel("/srv/boot/vmlinuz", "/srv/boot/none");
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(1100));
        let bad = backup(&[], &["--keep", "1", "--guest", "old"]);
        bad.ends(5).says(&["error: old: ", "cannot be relied on"]);
    }
    let (there, good) = (list("old/*"), list("old/*/good"));
    assert_eq!((there.len(), &good[..]), (2, &[format!("{}/good", kept[0])][..]), "{there:?}");
    kernel("/srv/boot/none", "/srv/boot/vmlinuz");
    let kept = there;
    // A disk that cannot be read fails that guest alone, and what is not whole goes.
    std::fs::remove_file(lab.shared().join("old.qcow2")).unwrap();
    let partial = backup(&[], &[]);
    partial.ends(5).prints(&["web1: /root/backup/web1/"]).says(&["error: old: "]);
    assert_eq!(list("old/*"), kept);
    backup(&[], &["--guest", "nobody"]).ends(4);
    run(&lab, &[], "backup.rhai", &["h2-a"]).ends(2);
    no_guest_stays_frozen(&lab);
}

/// What stands in for virsh, with an agent that answers; what it is to do otherwise is named by files.
const VIRSH: &str = r#"#!/bin/sh
echo "$LC_ALL $*" >>/srv/shared/calls
case "$*" in
*domfsthaw*) [ ! -e /srv/shared/no-thaw ] || { echo "the agent is away" >&2; exit 1; } ;;
*domjobinfo*) [ ! -e /srv/shared/gone ] || { echo "domain is not running" >&2; exit 1; }; echo "Job type: Unbounded" ;;
*backup-begin*) [ ! -e /srv/shared/no-begin ] || { echo "no room for a copy" >&2; exit 1; } ;;
*domfsfreeze* | *domjobabort*) ;;
*) exec /usr/bin/virsh "$@" ;;
esac
"#;

fn no_guest_stays_frozen(lab: &Lab) {
    let shared = lab.shared();
    std::fs::write(shared.join("virsh"), VIRSH).unwrap();
    let mut install = lab.on_host("h2-a", "sh");
    install.args(["-c", "install -m 755 /srv/shared/virsh /usr/local/bin/virsh && ls /root/backup/web1"]);
    let copies = lab.run(install, LONG);
    copies.ends(0);
    let backup = |stop: bool| {
        std::fs::write(shared.join("calls"), "").unwrap();
        let calls = || std::fs::read_to_string(shared.join("calls")).unwrap();
        let mut kvmsh = kvmsh(lab, &[]);
        kvmsh.arg(script("backup.rhai")).args(["h2-a", "--to", "/root/backup", "--guest", "web1"]);
        let child = lab.spawn(kvmsh);
        if stop {
            wait_until(LONG, "the copy", || calls().contains("domjobinfo"));
            child.signal("TERM");
        }
        let ended = child.wait(LONG);
        let words = ["domfsfreeze", "backup-begin", "domfsthaw", "domjobinfo", "domjobabort"];
        let mut order: Vec<_> = (calls().lines())
            .filter_map(|line| words.into_iter().find(|word| line.starts_with("C ") && line.contains(word)))
            .collect();
        order.dedup();
        let mut ls = lab.on_host("h2-a", "ls");
        ls.arg("/root/backup/web1");
        assert_eq!(lab.run(ls, LONG).stdout, copies.stdout, "nothing half done stays: {ended}");
        (ended, order)
    };
    let whole = ["domfsfreeze", "backup-begin", "domfsthaw", "domjobinfo", "domjobabort"];
    let (ended, calls) = backup(true);
    assert!([130, 143].contains(&ended.code()), "{ended}");
    assert_eq!(calls, whole, "{ended}");
    // The copy cannot begin: nobody stays frozen, and nobody else's job is aborted.
    std::fs::write(shared.join("no-begin"), "").unwrap();
    let (ended, calls) = backup(false);
    ended.ends(5).says(&["error: web1: ", "no room for a copy"]);
    assert_eq!(calls, ["domfsfreeze", "backup-begin", "domfsthaw"], "{ended}");
    std::fs::remove_file(shared.join("no-begin")).unwrap();
    // The guest goes away, and nobody waits for it.
    std::fs::write(shared.join("gone"), "").unwrap();
    let (ended, calls) = backup(false);
    ended.ends(5).says(&["error: web1: ", "domain is not running"]);
    assert_eq!(calls, whole, "{ended}");
    // Who cannot be thawed is named.
    std::fs::write(shared.join("no-thaw"), "").unwrap();
    let (ended, calls) = backup(false);
    ended.ends(5).says(&["error: web1: ", "may still be frozen", "the agent is away"]);
    assert_eq!(calls, ["domfsfreeze", "backup-begin", "domfsthaw", "domjobabort"], "{ended}");
}

#[test]
fn a_signal_at_any_moment_leaves_a_true_exit_code_a_valid_journal_and_no_lease() {
    let rounds =
        std::env::var("KVMSH_SIGNAL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20u64);
    let lab = pair();
    let web = lab.guest("h2-a", "web1").start();
    web.wait_boot();
    // Steps that clear away, and a move to wherever the guest is not.
    let code = r#"let h = host("h2-a");
        for n in 0..2 { finally(|| h.run("echo x >/root/half; sleep 0.02"), || h.run("rm -f /root/half")); }
        let on = if h.domains().is_empty() { host("h2-b") } else { h };
        on.domain("web1").migrate(if on.name == "h2-a" { "h2-b" } else { "h2-a" });"#;
    let mut ends = std::collections::BTreeMap::<i32, u32>::new();
    // A sequence that covers the run evenly, and is the same each time.
    let whole = {
        let began = std::time::Instant::now();
        run_code(&lab, code).ends(0);
        u64::try_from(began.elapsed().as_millis()).unwrap()
    };
    let mut open = std::collections::HashMap::<String, i64>::new();
    let (mut read, mut before) = (0, String::new());
    for round in 0..rounds {
        let child = lab.spawn(kvmsh(&lab, &["-c", code]));
        std::thread::sleep(Duration::from_millis((round * 619) % 1000 * whole * 11 / 10 / 1000));
        child.signal(["TERM", "INT", "HUP"][(round % 3) as usize]);
        let ended = child.wait(LONG);
        ended.within(Duration::from_secs(60));
        let code = ended.code();
        // Ended by the signal itself only before kvmsh could listen for it: nothing was begun then.
        assert!([0, 130, 143, 129].contains(&code), "round {round}: {ended}\nafter {before}");
        before = ended.to_string();
        *ends.entry(code).or_default() += 1;
        for host in HOSTS {
            let mut look = lab.on_host(host, "sh");
            look.args(["-c", "cat /run/kvmsh/lease /root/half 2>/dev/null; true"]);
            assert_eq!(lab.run(look, LONG).stdout, "", "round {round}: {ended}");
        }
        // The guest runs once, and is defined once, and what was aborted is over: kvmsh is gone and does no more.
        wait_until(Duration::from_secs(30), &format!("one web1, round {round}: {ended}"), || {
            let ask = |ask: fn(&Lab, &str) -> Vec<String>| HOSTS.map(|host| ask(&lab, host)).concat();
            let mut job =
                lab.on_host(if active(&lab, "h2-a").is_empty() { "h2-b" } else { "h2-a" }, "timeout");
            job.args(["10", "virsh", "domjobinfo", "web1"]);
            let idle = lab.run(job, LONG).stdout.contains("None");
            idle && ask(active) == ["web1"] && ask(defined) == ["web1"]
        });
        // Every line is whole, and what began has its end.
        let text = std::fs::read_to_string(lab.scratch().join("state/kvmsh/journal.ndjson")).unwrap();
        for line in text[read..].lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            let step = match line["phase"].as_str().unwrap() {
                "begin" | "run_begin" => 1,
                _ => -1,
            };
            *open.entry(format!("{}{}", line["run"], line["change"])).or_default() += step;
        }
        read = text.len();
        assert!(open.values().all(|count| *count == 0), "round {round}: {open:?}: {ended}");
    }
    web.wait_tick();
    assert_eq!(web.ticks().boots, 1);
    assert!(ends.len() > 1, "the signals came at no moment that matters: {ends:?}");
    println!("{rounds} signals ended {ends:?}");
    run_code(&lab, code).ends(0);
}

#[test]
fn a_script_that_was_killed_goes_on_where_it_stopped() {
    let lab = Lab::up(&["h2-a"]);
    let path = lab.scratch().join("steps.rhai");
    let text = r#"let h = host("h2-a");
        let first = once("first", || { h.run("echo one >>/root/steps"); #{ n: 7 } });
        once("second", || { h.run("echo two >>/root/steps"); });
        if !h.exists("/root/go") { print("waits"); sleep(100); }
        print(`went on with ${first.n}`);"#;
    std::fs::write(&path, text).unwrap();
    let start = |options: &[&str]| {
        let mut kvmsh = kvmsh(&lab, options);
        kvmsh.arg(&path);
        kvmsh
    };
    let child = lab.spawn(start(&[]));
    wait_until(LONG, "both steps", || child.stdout().contains("waits"));
    child.signal("KILL");
    child.wait(LONG);
    let steps = || run_code(&lab, r#"host("h2-a").read("/root/steps").split("\n").len() - 1"#).stdout;
    run_code(&lab, r#"host("h2-a").run("touch /root/go")"#).ends(0);
    lab.run(start(&[]), LONG).ends(0).prints(&["went on with 7"]).says(&["first: done by an earlier run"]);
    assert_eq!(steps().trim(), "2");
    // It came to its end: the next time everything is done again.
    lab.run(start(&[]), LONG).ends(0);
    assert_eq!(steps().trim(), "4");
}
