//! The objects of scripts against a real libvirtd, a real QEMU and a real sshd.

use std::fs;

use crate::lab::Lab;
use crate::scene::{LONG, active, journal, kvmsh, pair, run_code, wait_migrating};

/// Runs a script on the controller; `CHECK` is at hand in it.
#[track_caller]
fn script(lab: &Lab, options: &[&str], text: &str, code: i32) -> crate::lab::Output {
    let path = lab.scratch().join("objects.rhai");
    fs::write(&path, format!("{CHECK}{text}")).unwrap();
    let mut command = kvmsh(lab, options);
    command.arg(&path).arg(lab.scratch());
    let output = lab.run(command, LONG);
    output.ends(code);
    output
}

/// On the first line, so that the script's own lines keep their numbers but one.
const CHECK: &str = "fn same(a, b) { if a != b { throw `${a} instead of ${b}`; } }\n";

#[test]
fn a_domain_goes_through_its_whole_life() {
    let lab = Lab::up(&["h2-a"]);
    lab.guest("h2-a", "seed").off().start();
    let text = r#"
        let h = host("h2-a");
        let xml = h.domain("seed").xml;
        h.domain("seed").undefine();
        same(h.domains().len(), 0);
        let d = h.define(xml);
        same(d.state, "shut off");
        same(d.active, false);
        same(d.id, ());
        d.autostart = true;
        same(h.domain("seed").autostart, true);
        d.start();
        d.start();
        same(d.state, "running");
        same(h.domains(#{state: "running", name: "s*"}).len(), 1);
        let log = "/srv/shared/console/seed.log";
        let boots = |n| h.exists(log) && h.read(log).split("obeys its power button").len() == n + 1;
        wait_until(60, || boots.call(1));
        d.suspend();
        same(d.state, "paused");
        d.resume();
        same(d.state, "running");
        same(d.info.max_memory, size("128MiB"));
        same(d.info.vcpus, 1);
        same(d.disks[0].source, "/srv/shared/seed.qcow2");
        let row = h.stats()[0];
        same(row.name, "seed");
        same(row["state.state"], 1);
        if row["cpu.time"] <= 0 { throw "no CPU time"; }
        d.reboot();
        wait_until(60, || boots.call(2));
        d.shutdown(60);
        same(d.state, "shut off");
        d.start();
        d.destroy();
        d.destroy();
        same(d.state, "shut off");
        d.undefine();
        same(h.domains().len(), 0);
        try { d.state } catch (err) { print(`${err.code} ${err.host}`) }
    "#;
    let output = script(&lab, &[], text, 0);
    assert_eq!(output.stdout, "no_domain h2-a\n");
}

#[test]
fn pools_volumes_and_networks_are_made_used_and_removed() {
    let lab = Lab::up(&["h2-a"]);
    let text = r#"
        let h = host("h2-a");
        let p = h.define_pool(#{name: "extra", path: "/var/lib/libvirt/extra"});
        same(p.state, "inactive");
        p.build();
        p.start();
        p.autostart = true;
        same([p.state, p.type, p.autostart], ["running", "dir", true]);
        same(p.volumes().len(), 0);
        let v = p.create_volume("disk1", "64MiB");
        same(v.capacity, size("64MiB"));
        same(v.format, "qcow2");
        same(v.path, "/var/lib/libvirt/extra/disk1");
        v.resize("96MiB");
        same(p.volume("disk1").capacity, size("96MiB"));
        p.create_volume("raw1", #{size: "1MiB", format: "raw", allocation: "1MiB"});
        same(h.volume("/var/lib/libvirt/extra/raw1").name, "raw1");
        h.write("/var/lib/libvirt/extra/late", "x");
        same(p.volumes().len(), 2);
        p.refresh();
        same(p.volumes().map(|v| v.name), ["disk1", "late", "raw1"]);
        for v in p.volumes() { v.delete(); }
        same(p.volumes().len(), 0);
        p.stop();
        p.delete();
        same(h.exists("/var/lib/libvirt/extra"), false);
        p.undefine();
        same(h.pools().filter(|p| p.name == "extra").len(), 0);

        let n = h.define_network("<network><name>lan</name><bridge name='virbr7'/></network>");
        same([n.active, n.autostart, n.bridge], [false, false, "virbr7"]);
        n.start();
        n.autostart = true;
        same([n.active, n.autostart], [true, true]);
        same(h.network("lan").uuid.len(), 36);
        n.stop();
        n.undefine();
        same(h.networks().len(), 0);
        try { h.network("lna") } catch (err) { print(err.code) }
    "#;
    assert_eq!(script(&lab, &[], text, 0).stdout, "no_network\n");
}

#[test]
fn a_host_tells_of_itself_and_of_what_happens_on_it() {
    let lab = Lab::up(&["h2-a"]);
    lab.guest("h2-a", "web1").off().start();
    let text = r#"
        let h = host("h2-a");
        same(h.hostname, "h2-a");
        same(h.alive, true);
        same(h.uuid.len(), 36);
        same(h.version.driver, "QEMU");
        same(h.info.arch, "x86_64");
        if h.memory.available <= 0 || h.memory.total < h.memory.available { throw h.memory; }
        same(h.capabilities.contains("<capabilities>"), true);
        same(h.domain_capabilities(#{type: "qemu", arch: "x86_64"}).contains("<domainCapabilities>"), true);
        same(h.cpu.arch, "x86_64");
        same(h.cpu.model.len() > 0, true);
        same(h.cpu.models.filter(|m| m.name == "qemu64").len(), 1);
        let seen = par([true, false], |listens| {
            if listens { return h.events(#{domain: "web*", event: "started", timeout: 30}, |e| { print(e.domain); false }); }
            sleep(2);
            h.domain("web1").start();
        });
        same(seen[0], 1);
        h.domain("web1").destroy();
    "#;
    assert_eq!(script(&lab, &[], text, 0).stdout, "web1\n");
}

#[test]
fn commands_and_files_reach_a_host_over_ssh() {
    let lab = Lab::up(&["h2-a"]);
    let text = r#"
        let h = host("h2-a");
        let dir = args[0];
        same(h.run("hostname").stdout.contains("h2-a"), true);
        same(h.run(["printf", "%s|", "a b", "$HOME", "*"]).stdout, "a b|$HOME|*|");
        same(h.run("cat; exit 3", #{stdin: "in", check: false}), #{status: 3, signal: (), stdout: "in", stderr: ""});
        try { h.run("echo no >&2; exit 4") } catch (err) { print(err.code + " " + err.causes[0]) }
        try { h.run("sleep 60", #{timeout: 1}) } catch (err) { print(err.code) }
        same(h.exists("/root/x"), false);
        same(h.write("/root/x", "one\n", #{mode: 0o600}), true);
        same(h.write("/root/x", "one\n", #{mode: 0o600}), false);
        same(h.read("/root/x"), "one\n");
        same(h.run("stat -c %a /root/x").stdout.contains("600"), true);
        h.download("/root/x", dir + "/here");
        h.upload(dir + "/here", "/root/y");
        same(h.read("/root/y"), "one\n");
        try { h.read("/root/none") } catch (err) { print(err.code) }
        same(h.facts.hostname, "h2-a");
        same(h.facts.user, "root");
    "#;
    let output = script(&lab, &[], text, 0);
    assert_eq!(output.stdout, "command_failed no\ncommand_timeout\nno_such_file\n");
}

#[test]
fn read_only_looks_and_changes_nothing() {
    let lab = Lab::up(&["h2-a"]);
    lab.guest("h2-a", "web1").off().start();
    let before = lab.state();
    let deeds = [
        r#"h.domain("web1").start()"#,
        r#"let web1 = h.domain("web1"); web1.autostart = true"#,
        r#"h.domain("web1").undefine()"#,
        r#"h.run("touch /root/touched")"#,
        r#"h.write("/root/touched", "x")"#,
        r#"h.upload("/etc/hostname", "/root/touched")"#,
        r#"h.define_network("<network><name>lan</name></network>")"#,
    ];
    for deed in deeds {
        let text = format!("let h = host(\"h2-a\"); let d = h.domain(\"web1\").state; {deed};");
        let refused = lab.run(kvmsh(&lab, &["--read-only", "-c", &text]), LONG);
        refused.ends(4).says(&["error[read_only]", "without --read-only"]);
        let planned = lab.run(kvmsh(&lab, &["--plan", "-c", &text]), LONG);
        planned.ends(6).prints(&["Nothing was changed."]);
    }
    let looks = r#"let h = host("h2-a"); print([h.read("/etc/hostname"), h.exists("/root"), h.domain("web1").state])"#;
    let looked = lab.run(kvmsh(&lab, &["--read-only", "-c", looks]), LONG);
    looked.ends(0).prints(&["true, \"shut off\"]"]);
    assert!(!lab.dir().join("hosts/h2-a/root/touched").exists());
    assert_eq!(lab.state(), before);
}

#[test]
fn a_plan_of_a_part_lists_its_changes_and_makes_none() {
    let lab = Lab::up(&["h2-a"]);
    lab.guest("h2-a", "web1").off().start();
    let code = r#"
        let d = host("h2-a").domain("web1");
        let changes = plan(|| { d.start(); d.autostart = true; });
        print(changes.map(|c| c.action + " " + c.object));
        print(d.state);
    "#;
    let output = run_code(&lab, code);
    assert_eq!(output.ends(0).stdout, "[\"start web1\", \"autostart web1\"]\nshut off\n");
}

#[test]
fn a_migration_obeys_its_options_shows_its_figures_and_is_aborted_from_elsewhere() {
    let lab = pair();
    let guest = lab.guest("h2-a", "web1").dirty(48).start();
    guest.wait_boot();
    let code = r#"host("h2-a").domain("web1").migrate("h2-b", #{bandwidth: "8MiB", max_downtime_ms: 100})"#;
    let child = lab.spawn(kvmsh(&lab, &["-c", code]));
    wait_migrating(&lab, "web1", &child);
    let figures = r#"
        let d = host("h2-a").domain("web1");
        wait_until(30, || d.job.processed > 0);
        let job = d.job;
        if job.rate > size("12MiB") { throw `${human(job.rate)} per second`; }
        print([job.kind, job.operation, job.elapsed > 0.0, job.total > job.left]);
        d.abort_job();
    "#;
    let output = run_code(&lab, figures);
    assert_eq!(output.ends(0).stdout, "[\"unbounded\", \"migration_out\", true, true]\n");
    child.wait(LONG).ends(1).says(&["web1 runs on h2-a, as before", "--> -c:1:29"]);

    let code = r#"
        let d = host("h2-a").domain("web1");
        try { d.migrate("h2-b", #{bandwidth: "8MiB", timeout: 4}) } catch (err) { print(err.code) }
        print(d.preflight("h2-b"));
        let report = d.migrate("h2-b", #{auto_converge: true, rename: "web2"});
        print([report.verdict, report.live, report.bytes > 0, report.downtime_ms > 0]);
        let moved = host("h2-b").domain("web2");
        print([moved.state, moved.last_job.kind]);
    "#;
    let output = run_code(&lab, code);
    let lines = "migration_timeout\n[]\n[\"moved\", true, true, true]\n[\"running\", \"completed\"]\n";
    assert_eq!(output.ends(0).stdout, lines);
    guest.wait_tick();
    assert_eq!(guest.ticks().boots, 1);
}

#[test]
fn a_guest_goes_back_to_a_snapshot_running_or_not_and_names_are_looked_at_first() {
    let lab = pair();
    lab.guest("h2-a", "old1").off().start();
    let code = r#"let d = host("h2-a").domain("old1");
        d.snapshot("one", #{description: "a <first> & more"});
        try { d.snapshot("one"); } catch (e) { print(e.code); }
        try { d.snapshot("a/b"); } catch (e) { print(e.code); }
        try { d.revert("onee"); } catch (e) { print(`${e.code}: ${e.hint}`); }
        d.start(); d.snapshot("live"); print(d.snapshots.len());
        d.revert("one"); print(d.state); d.revert("live"); print(d.state);
        d.delete_snapshot("one", #{children: true}); print(d.snapshots.len());"#;
    lab.run(kvmsh(&lab, &["-c", code]), LONG).ends(0).prints(&[
        "snapshot_exists\nbad_name\nno_domain_snapshot: did you mean `one`?\n2\nshut off\nrunning\n0\n",
    ]);
    assert_eq!(active(&lab, "h2-a"), ["old1"]);
    let told = journal(&lab);
    for action in ["snapshot", "revert to snapshot", "delete snapshot"] {
        assert!(told.contains(action), "{told}");
    }
}
