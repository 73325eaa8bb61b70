//! One pool on two hosts from a real NFS server: set up, proven, lived on, and broken in every way.

use std::time::Duration;

use crate::lab::Output;
use crate::lab::vm::{Node, VmLab};
use crate::lab::wait_until;
use crate::scene::script;

/// How long one command may take on nodes that share their processors with other nodes.
const LONG: Duration = Duration::from_secs(400);

const POOL: &str = "/var/lib/libvirt/shared-pool";

fn code(lab: &VmLab, options: &[&str], code: &str) -> Output {
    let imports = r#"import "std/nfs" as nfs; import "std/pool" as pool; let a = host("h2-a"); let b = host("h2-b"); let nas = host("nas");"#;
    let mut kvmsh = lab.kvmsh();
    kvmsh.args(options).args(["-c", &format!("{imports} {code}")]);
    lab.run(kvmsh, LONG)
}

fn setup(lab: &VmLab, options: &[&str]) -> Output {
    let mut kvmsh = lab.kvmsh();
    kvmsh.args(options).arg(script("setup-storage.rhai")).args(["h2-a", "h2-b", "--server", "nas"]);
    lab.run(kvmsh, LONG)
}

/// Daemons need a while to answer for the first time on a slow node.
fn wake(lab: &VmLab) {
    code(lab, &[], r#"par([a, b], |node| retry(10, 3, || node.hostname)); ()"#).ends(0);
}

/// All that the setup could have changed.
fn state(lab: &VmLab) -> String {
    let look = "set +e; cat /etc/exports.d/* /etc/nfsmount.conf.d/kvmsh* /etc/systemd/system/*.d/kvmsh* 2>/dev/null; \
                exportfs -s; stat -c '%A %u:%g %n' /srv/nfs /var/lib/libvirt/*; findmnt -n -t nfs4; \
                virsh -q -c qemu:///system pool-list --all --details 2>/dev/null | tr -s ' ' | cut -d' ' -f1-4; true";
    ["h2-a", "h2-b", "nas"].map(|node| lab.shell(node, look)).concat()
}

/// A guest whose disk is in the pool. It says "tick" on a file of the host five times a second.
const GUEST: &str = r#"
    let v = a.pool("shared-pool").create_volume("web.img", #{size: "64MiB", format: "raw"});
    a.define(`<domain type='qemu'><name>web</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
        <os><type arch='x86_64' machine='pc'>hvm</type><kernel>/srv/guest/vmlinuz</kernel><initrd>/srv/guest/initrd</initrd>
        <cmdline>console=ttyS1 quiet panic=1 guest=web</cmdline></os><features><acpi/></features><devices>
        <disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='${v.path}'/>
        <target dev='vda' bus='virtio'/></disk>
        <serial type='pty'><target port='0'/></serial><serial type='null'><target port='1'/></serial></devices></domain>`);
    a.domain("web").start();"#;

/// What QEMU itself says when it writes to the guest's disk, or reads from it.
fn qemu_io(lab: &VmLab, node: &str, command: &str) -> std::process::Command {
    let line = format!(
        "virsh -c qemu:///system qemu-monitor-command web --hmp 'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend \"{command}\"' </dev/null"
    );
    let mut virsh = lab.on_node(node, "timeout");
    virsh.args(["300", "bash", "-euc", &line]);
    virsh
}

#[test]
fn two_hosts_share_a_pool_of_a_server_and_a_guest_on_it_migrates_and_outlives_the_server() {
    let lab = VmLab::up_with_nas(
        &[Node::new("h2-a").memory(1536), Node::new("h2-b").memory(1536)],
        &Node::new("nas"),
    );
    wake(&lab);
    let before = state(&lab);
    setup(&lab, &["--plan"]).ends(6).prints(&[
        "+ \"/srv/nfs\" 10.88.0.11(rw,sync,no_subtree_check,no_root_squash) 10.88.0.12(",
        "build pool shared-pool on h2-b",
    ]);
    assert_eq!(state(&lab), before);
    setup(&lab, &[]).ends(0).prints(&[
        &format!("h2-b: {POOL} is 10.88.0.13:/srv/nfs (nfs), written to as root"),
        "shared-pool is shared by 2 hosts\n",
    ]);
    let after = state(&lab);
    assert!(after.contains("vers=4.2") && after.contains("drwx--x--x"), "{after}");
    setup(&lab, &["--plan"]).ends(0);
    setup(&lab, &[]).ends(0).prints(&["shared-pool is shared by 2 hosts already: nothing to do"]);
    assert_eq!(state(&lab), after);

    // kvmsh uses libvirt's unsafe flag for what the inventory vouches for alone: here libvirt itself sees that it is shared.
    code(&lab, &[], &format!("{GUEST} retry(5, 3, || b.hostname);")).ends(0);
    let moved =
        code(&lab, &[], r#"print(a.domain("web").migrate("h2-b").verdict); print(b.domain("web").state)"#);
    assert_eq!(moved.ends(0).stdout, "moved\nrunning\n");

    // The server is gone while the guest writes: it waits, and goes on.
    lab.kill("nas");
    let waiting = lab.spawn(qemu_io(&lab, "h2-b", "write -P 0x5a 0 64k"));
    lab.boot("nas");
    waiting.wait(LONG).ends(0);
    assert_eq!(lab.shell("h2-b", "virsh -c qemu:///system domblkerror web").trim(), "No errors found");
    assert_eq!(lab.shell("h2-b", "virsh -c qemu:///system domstate web").trim(), "running");
    let written = format!("head -c 65536 {POOL}/web.img | tr -d Z | wc -c");
    wait_until(LONG, "the other host to see what was written", || lab.shell("h2-a", &written).trim() == "0");

    // A directory that only looks shared, and an export that has become read-only.
    let prove = r#"pool::prove([a, b], "shared-pool"); ()"#;
    code(&lab, &[], r#"b.domain("web").destroy(); b.domain("web").undefine();"#).ends(0);
    lab.shell("h2-b", &format!("umount {POOL}"));
    code(&lab, &[], prove)
        .ends(4)
        .says(&[&format!("error[not_mounted]: h2-b: {POOL} is a local directory (ext2/ext3 on /dev/vda)")]);
    code(&lab, &[], r#"let p = b.pool("shared-pool"); try { p.stop() } catch { } p.start();"#).ends(0);
    lab.shell("nas", "sed -i 's/(rw,/(ro,/g' /etc/exports.d/kvmsh-srv-nfs.exports; exportfs -ra");
    code(&lab, &[], prove).ends(4).says(&["error[read_only_export]: h2-a may only read "]);
    // The server that is a hypervisor itself.
    code(&lab, &[], r#"pool::share([nas], #{ name: "x", server: nas, source: "/srv/nfs" })"#)
        .ends(4)
        .says(&["error[server_is_host]: nas is the server itself", "loopback: true"]);
    // Converges: the export is as it was, and the proof holds again.
    setup(&lab, &[]).ends(0).prints(&["shared-pool is shared by 2 hosts\n"]);
    assert_eq!(lab.shell("h2-a", &format!("ls -A {POOL}")).trim(), "web.img");
}

#[test]
fn a_full_export_and_squashed_root_are_named_and_nothing_is_corrupted() {
    let lab = VmLab::up_with_nas(&[Node::new("h2-a"), Node::new("h2-b")], &Node::new("nas"));
    wake(&lab);
    // A file system of its own, which is soon full; and another one's export, which stays as it is.
    lab.shell(
        "nas",
        "truncate -s 24M /root/small; mke2fs -q -t ext4 /root/small; mkdir -p /srv/small /srv/other; \
         mount -o loop /root/small /srv/small; \
         echo '/srv/other 10.88.0.99(ro,no_subtree_check)' >/etc/exports; exportfs -ra",
    );
    let shared = r#"
        nfs::serve(nas, #{ path: "/srv/small", clients: [a, b] });
        pool::share([a, b], #{ name: "small", server: nas, source: "/srv/small" });"#;
    let full = format!(
        r#"{shared} let p = a.pool("small");
        p.create_volume("kept", #{{size: "4MiB", format: "raw", allocation: "4MiB"}});
        a.run("head -c 4194304 /dev/urandom >/var/lib/libvirt/small/kept; sha256sum </var/lib/libvirt/small/kept >/root/sum");
        try {{ p.create_volume("large", #{{size: "64MiB", format: "raw", allocation: "64MiB"}}) }} catch (e) {{ print(e.code) }}
        p.refresh(); print(p.volumes().map(|v| v.name).filter(|name| name != "lost+found"));
        a.run("dd if=/dev/zero of=/var/lib/libvirt/small/fill bs=64k conv=fsync", #{{check: false}});
        try {{ pool::prove([a, b], "small") }} catch (e) {{ print(e.code) }}
        a.run("sha256sum </var/lib/libvirt/small/kept | cmp - /root/sum"); ()"#
    );
    let said = code(&lab, &[], &full);
    said.ends(0).prints(&["[\"kept\"]\nno_space\n"]);
    assert!(lab.shell("nas", "exportfs -s").contains("/srv/other  10.88.0.99("));
    // Once there is room again, all goes on.
    lab.shell("nas", "rm /srv/small/fill");
    code(&lab, &[], r#"pool::prove([a, b], "small"); ()"#).ends(0);

    // Root of the hosts is nobody there: QEMU's account writes, and new volumes are its.
    let squashed = r#"
        let served = nfs::serve(nas, #{ path: "/srv/squashed", clients: [a, b], squash: "root" });
        let ids = nfs::common_ids([a, b]);
        let done = pool::share([a, b], #{ name: "squashed", server: nas, source: "/srv/squashed", owner: ids.uid, group: ids.gid });
        print(done.proof.map(|one| one.writes_as));
        a.pool("squashed").create_volume("disk", #{size: "1MiB", format: "raw"});
        b.pool("squashed").create_volume("disk2", "1MiB");
        print(a.run("stat -c '%U %a %n' /var/lib/libvirt/squashed/*", #{changes: false}).stdout);
        print(nfs::serve(nas, #{ path: "/srv/squashed", clients: [a, b], squash: "root" }).changed);"#;
    let said = code(&lab, &[], squashed);
    said.ends(0);
    assert_eq!(
        said.stdout,
        "[\"libvirt-qemu\", \"libvirt-qemu\"]\n\
         libvirt-qemu 600 /var/lib/libvirt/squashed/disk\nlibvirt-qemu 600 /var/lib/libvirt/squashed/disk2\n\nfalse\n"
    );
    // Taken back: what is in it stays, and so does what others export.
    let removed = r#"
        print(pool::remove([a, b], "squashed")); print(pool::remove([a, b], "squashed"));
        print(nfs::remove(nas, "/srv/squashed")); print(nfs::remove(nas, "/srv/squashed"));"#;
    assert_eq!(code(&lab, &[], removed).ends(0).stdout, "[\"h2-a\", \"h2-b\"]\n[]\ntrue\nfalse\n");
    let there = lab.shell("nas", "ls /srv/squashed; exportfs -s");
    assert!(
        there.starts_with("disk\ndisk2\n")
            && there.contains("/srv/other ")
            && !there.contains("/srv/squashed "),
        "{there}"
    );

    // The server has another directory under that name now.
    lab.shell("nas", "systemctl stop nfs-server; umount /srv/small; systemctl start nfs-server");
    let stale = code(&lab, &[], r#"pool::prove([a, b], "small"); ()"#);
    stale.ends(4).says(&["error[stale_mount]: h2-a: the mount on /var/lib/libvirt/small is stale"]);
}
