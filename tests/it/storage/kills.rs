//! kvmsh is killed while it makes something: there is all of it or nothing, and the next run makes it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::lab::{Child, Lab, Output};
use crate::scene::{LONG, defined, journal, kvmsh, pair, run_code};

/// Kills kvmsh as soon as it has begun its `step`th change.
fn kill_at(lab: &Lab, mut child: Child, begun_before: usize, step: usize) -> Output {
    let began = Instant::now();
    while began_in(lab) < begun_before + step {
        if child.has_ended() || began.elapsed() > LONG {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if !child.has_ended() {
        child.signal("KILL");
    }
    child.wait(LONG)
}

fn began_in(lab: &Lab) -> usize {
    journal(lab).matches(r#""phase":"begin""#).count()
}

fn on(lab: &Lab, host: &str, script: &str) -> String {
    let mut sh = lab.on_host(host, "sh");
    sh.args(["-c", script]);
    lab.run(sh, LONG).ends(0).stdout.clone()
}

/// Disks and UEFI variables of all machines on a host that are not there.
const LACKING: &str = "for d in $(virsh -q -c qemu:///system list --all --name); do \
    virsh -c qemu:///system dumpxml $d | sed -n \"s/.*source file='\\([^']*\\)'.*/\\1/p\"; done | \
    while read -r f; do test -e $f || echo $f; done";

#[test]
fn a_clone_that_is_killed_at_any_step_is_made_by_the_next_run() {
    let lab = pair();
    let _shared = lab.guest("h2-a", "web1").off().start();
    let _local = lab.guest("h2-a", "own1").off().local_disk().start();
    run_code(
        &lab,
        r#"let a = host("h2-a"); let b = host("h2-b");
        a.run("mkdir -p /var/lib/libvirt/qemu/nvram; echo variables >/var/lib/libvirt/qemu/nvram/web1_VARS.fd");
        let x = a.domain("web1").inactive_xml;
        x.replace("</os>", "<loader readonly='yes' type='pflash'>/usr/share/x.fd</loader><nvram>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram></os>");
        a.define(x); a.pool("shared").refresh();
        for h in [a, b] { let p = h.define_pool(#{name: "local", path: "/var/lib/libvirt/images"}); h.run("mkdir -p /var/lib/libvirt/images"); p.start(); }"#,
    )
    .ends(0);
    for (from, options, there) in [("web1", "#{}", "h2-a"), ("own1", r#"#{on: "h2-b"}"#, "h2-b")] {
        let clone = format!(r#"host("h2-a").domain("{from}").clone_to("new1", {options}); ()"#);
        let mut step = 1;
        loop {
            let begun = began_in(&lab);
            let child = lab.spawn(kvmsh(&lab, &["-c", &clone]));
            let ended = kill_at(&lab, child, begun, step);
            let killed = ended.code() == 137;
            assert!(step < 12, "it never ends");
            for host in ["h2-a", "h2-b"] {
                assert_eq!(on(&lab, host, LACKING), "", "after step {step} of {clone}");
            }
            let known = defined(&lab, there).contains(&"new1".to_owned());
            assert!(known || killed, "{clone} made no machine: {ended}");
            if killed {
                run_code(&lab, &clone).ends(if known { 4 } else { 0 });
            }
            // It has all that the original has, and nothing is left beside it.
            let check = format!(
                r#"let old = host("h2-a").domain("{from}"); let h = host("{there}"); let made = h.domain("new1");
                let sum = |h, path| h.run(["sh", "-ec", "qemu-img convert -O raw $1 /root/x; sha256sum /root/x", "x", path], #{{changes: false}}).stdout;
                let disks = made.disks;
                for at in 0..disks.len() {{
                    if sum.call(host("h2-a"), old.disks[at].source) != sum.call(h, disks[at].source) {{ throw "another content" }}
                }}
                made.undefine(#{{nvram: true}});
                for disk in disks {{ h.volume(disk.source).delete(); }}"#
            );
            run_code(&lab, &check).ends(0);
            let look = "ls -A /srv/shared /var/lib/libvirt/images /var/lib/libvirt/qemu/nvram /var/lib/kvmsh/making 2>/dev/null | \
                        grep -e new1 -e kvmsh- || :";
            let left = on(&lab, there, look);
            assert_eq!(left, "", "after step {step} of {clone}");
            if !killed {
                break;
            }
            step += 1;
        }
        assert!(step > 3, "only {step} steps were seen");
    }
}

#[test]
fn an_import_that_is_killed_at_any_moment_leaves_all_of_the_volume_or_nothing_by_its_name() {
    let lab = Lab::up(&["h2-a"]);
    let image: PathBuf = lab.scratch().join("image");
    let noise: Vec<u8> = (0u32..6 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(&image, noise).unwrap();
    fs::copy(&image, lab.shared().join("source")).unwrap();
    for (at, millis) in [200, 400, 700, 1100].into_iter().enumerate() {
        let import = format!(
            r#"host("h2-a").pool("shared").upload("{}", "image{at}", #{{convert: "qcow2", rate: "12MiB"}}); ()"#,
            image.display()
        );
        let child = lab.spawn(kvmsh(&lab, &["-c", &import]));
        std::thread::sleep(Duration::from_millis(millis));
        child.signal("KILL");
        child.wait(LONG);
        // The daemon brings to its end what it was told to copy.
        let whole = format!(
            r#"let p = host("h2-a").pool("shared"); retry(20, 1, || p.refresh());
            if p.volumes().filter(|v| v.name == "image{at}").is_empty() {{ p.upload("{}", "image{at}", #{{convert: "qcow2"}}); }}
            host("h2-a").run("qemu-img compare -f qcow2 -F raw /srv/shared/image{at} /srv/shared/source", #{{changes: false}}); ()"#,
            image.display()
        );
        run_code(&lab, &whole).ends(0);
    }
}
