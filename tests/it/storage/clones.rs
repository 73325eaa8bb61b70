//! New machines from old ones.

use crate::lab::Lab;
use crate::scene::{LONG, pair, run_code};

/// What is on the hosts: volumes, domains, files of the pool and of UEFI variables.
fn state(lab: &Lab) -> String {
    let look = "for d in $(virsh -q -c qemu:///system list --all --name | sort); do virsh -c qemu:///system dumpxml --inactive --security-info $d; done; \
                ls -lA /srv/shared /var/lib/libvirt/qemu/nvram /var/lib/libvirt/own 2>/dev/null; true";
    ["h2-a", "h2-b"]
        .map(|host| {
            let mut command = lab.on_host(host, "sh");
            command.args(["-c", look]);
            lab.run(command, LONG).stdout
        })
        .concat()
}

/// Everything that a clone must adapt, and much that it must not.
const PREPARE: &str = r#"
    let a = host("h2-a"); let b = host("h2-b"); let p = a.pool("shared");
    p.refresh();
    a.run("mkdir -p /var/lib/libvirt/qemu/nvram && echo variables >/var/lib/libvirt/qemu/nvram/web1_VARS.fd");
    let x = a.domain("web1").inactive_xml;
    x.replace("<on_poweroff>", "<metadata><k:note xmlns:k='urn:k'>web1 &amp; more</k:note></metadata><on_poweroff>");
    x.replace("</devices>", "<interface type='user'><mac address='52:54:00:aa:bb:cc'/><model type='virtio'/></interface><graphics type='vnc' passwd='geheim'/></devices>");
    a.domain("web1").undefine(); a.define(x);"#;

#[test]
fn a_clone_differs_in_its_identity_alone_and_runs() {
    let lab = pair();
    lab.guest("h2-a", "web1").off().start();
    let code = format!(
        r#"{PREPARE}
        let d = a.domain("web1");
        let full = d.clone_to("web2", #{{start: true}});
        print([full.state, full.host.name, full.uuid != d.uuid]);
        let linked = d.clone_to("web3", #{{disks: "linked", on: b}});
        print([linked.host.name, linked.disks[0].format]);
        let macs = [d, full, linked].map(|one| one.nics.map(|nic| nic.mac));
        let all = []; for some in macs {{ for mac in some {{ if all.contains(mac) {{ throw mac; }} all.push(mac); }} }}
        for one in [d, full, linked] {{ for disk in one.disks {{ print(disk.source); }} }}
        // All else is as it was: the one text becomes the other when its identity is put in.
        let was = d.inactive_xml; let now = full.inactive_xml;
        was.replace(d.uuid, full.uuid); was.replace("web1.qcow2", "web2.qcow2"); was.replace("console/web1.log", "console/web2.log");
        was.replace("<name>web1<", "<name>web2<");
        for at in 0..macs[0].len() {{ was.replace(macs[0][at], macs[1][at]); }}
        print(was == now);
        full.destroy();"#
    );
    let said = run_code(&lab, &code);
    said.ends(0);
    assert_eq!(
        said.stdout,
        "[\"running\", \"h2-a\", true]\n[\"h2-b\", \"qcow2\"]\n\
         /srv/shared/web1.qcow2\n/srv/shared/web2.qcow2\n/srv/shared/web3.qcow2\ntrue\n"
    );
    assert!(state(&lab).matches("passwd='geheim'").count() == 3, "{}", state(&lab));
}

#[test]
fn what_cannot_be_cloned_is_refused_and_a_failure_leaves_nothing() {
    let lab = pair();
    lab.guest("h2-a", "web1").off().start();
    run_code(&lab, PREPARE).ends(0);
    run_code(
        &lab,
        r#"host("h2-a").domain("web1").clone_to("taken"); host("h2-b").run("rm -f /srv/shared/x")"#,
    )
    .ends(0);
    let before = state(&lab);
    let code = r#"
        let a = host("h2-a"); let d = a.domain("web1");
        for wrong in ["a/b", "taken", ""] { try { d.clone_to(wrong) } catch (e) { print(`${e.code}: ${e.message}`) } }
        try { d.clone_to("x", #{disks: "thin"}) } catch (e) { print(e.code) }
        d.start();
        try { d.clone_to("x") } catch (e) { print(`${e.code}: ${e.message}`) }
        d.destroy();
        // A host that has no such pool.
        host("h2-b").pool("shared").stop();
        try { d.clone_to("x", #{on: "h2-b"}) } catch (e) { print(e.code) }
        host("h2-b").pool("shared").start();
        // A raw disk that looks like an image of another format.
        let was = d.definition; let raw = was; raw.replace("type='qcow2'", "type='raw'");
        a.define(raw);
        try { d.clone_to("x") } catch (e) { print(e.code) }
        a.define(was);"#;
    let said = run_code(&lab, code);
    said.ends(0).prints(&[
        "invalid_name: the name of a domain cannot be \"a/b\": it has a slash in it\n\
         domain_exists: h2-a has a domain taken already\n\
         invalid_name: the name of a domain cannot be \"\": it is empty\n",
        "domain_active: web1 is running: its disks change while they are copied\n",
        "\nother_format\n",
    ]);
    assert_eq!(state(&lab), before);
    // Started on a host where its network is not: what was made is taken back.
    let failing = r#"
        let a = host("h2-a"); let x = a.domain("web1").inactive_xml;
        x.replace("<interface type='user'>", "<interface type='network'><source network='nowhere'/>");
        a.define(x);"#;
    run_code(&lab, failing).ends(0);
    let before = state(&lab);
    run_code(&lab, r#"host("h2-a").domain("web1").clone_to("x", #{start: true})"#).ends(1).says(&["nowhere"]);
    assert_eq!(state(&lab), before);
    let plan = lab.run(
        crate::scene::kvmsh(&lab, &["--plan", "-c", r#"host("h2-a").domain("web1").clone_to("x"); ()"#]),
        LONG,
    );
    plan.ends(6).prints(&["copy volume shared/x.qcow2 on h2-a", "define domain x on h2-a"]);
    assert_eq!(state(&lab), before);
}
