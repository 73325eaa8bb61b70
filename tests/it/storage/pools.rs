//! Pools of every type from maps.

use crate::lab::Lab;
use crate::scene::{Alone, run_code};

/// One of each type, with everything that can be said about it.
const ALL: &str = r#"[
    #{name: "a", type: "dir", path: "/srv/a", mode: 0o711, owner: 64055, group: 107},
    #{name: "b", type: "fs", source: "/dev/sdb1", format: "ext4", path: "/srv/b&c"},
    #{name: "c", type: "netfs", server: "nas", source: "/srv/nfs", path: "/srv/c", format: "nfs", version: "4.2"},
    #{name: "c2", type: "netfs", server: "nas", source: "share", path: "/srv/c2", format: "cifs"},
    #{name: "d", type: "logical", source: "vg0", devices: ["/dev/sda", "/dev/sdb"], format: "lvm2", path: "/dev/vg0"},
    #{name: "e", type: "disk", source: "/dev/sdc", format: "gpt", path: "/dev"},
    #{name: "f", type: "iscsi", server: "san:3260", source: "iqn.2013-06.com.example:t", path: "/dev/disk/by-path",
        auth: #{user: "u", secret: "chap"}, initiator: "iqn.2013-06.com.example:i"},
    #{name: "g", type: "iscsi-direct", server: "san2", source: "iqn.2013-06.com.example:t", initiator: "iqn.2013-06.com.example:i"},
    #{name: "h", type: "scsi", source: "scsi_host1", path: "/dev/disk/by-path"},
    #{name: "h2", type: "scsi", fc_host: #{wwnn: "20000000c9831b4b", wwpn: "10000000c9831b4b"}, path: "/dev/disk/by-id"},
    #{name: "i", type: "mpath", path: "/dev/mapper"},
    #{name: "j", type: "rbd", server: ["c1:6789", "[2001:db8::1]:6789"], source: "images", auth: #{user: "admin", secret: "ceph"}},
    #{name: "k", type: "gluster", server: "g1", source: "vol0", dir: "/x"},
    #{name: "l", type: "zfs", source: "tank", devices: ["/dev/sdd"]},
    #{name: "m", type: "vstorage", source: "vz", path: "/mnt/vz"},
]"#;

const COMPARE: &str = r#"
    let differ = [];
    for wanted in all {
        let pool = h.define_pool(wanted);
        let there = pool.definition;
        for key in wanted.keys() { if there.get(key) != wanted[key] { differ.push(`${wanted.name} ${key}: ${there.get(key)} not ${wanted[key]}`); } }
        // As it is, it can be defined again elsewhere.
        if there.type != wanted.type { differ.push(wanted.name); }
        pool.undefine();
    }
    print(differ); print(all.len());"#;

#[test]
fn every_type_of_pool_defines_from_a_map_and_reads_back_equal() {
    let text = format!(r#"let h = host("test:///default"); let all = {ALL}; {COMPARE}"#);
    let output = Alone::new().script(&text);
    output.ends(0);
    assert_eq!(output.stdout, "[]\n15\n");
}

#[test]
fn a_real_daemon_reads_back_what_it_was_told_and_bad_input_makes_nothing() {
    let lab = Lab::up(&["h2-a"]);
    // Some types are packages of their own in Debian.
    let code = format!(
        r#"let h = host("h2-a"); let all = {ALL};
        all = all.filter(|one| !["rbd", "gluster", "zfs", "iscsi-direct", "vstorage"].contains(one.type)); {COMPARE}"#
    );
    assert_eq!(run_code(&lab, &code).ends(0).stdout, "[]\n10\n");

    let code = r#"
        let h = host("h2-a");
        let before = h.pools().map(|p| p.name);
        for wrong in [
            #{name: "x", type: "nfs", server: "nas", source: "/srv", path: "/srv/x"},
            #{name: "x", type: "netfs", source: "/srv", path: "/srv/x"},
            #{name: "a/b", path: "/srv/x"},
            #{name: "x", path: "srv/x"},
            #{name: "x", path: "/srv/../etc"},
            #{name: "x", type: "netfs", server: "nas", source: "/srv", path: "/srv/x", version: "v4.2"},
            #{name: "x", path: "/srv/x", sorce: "/srv"},
            #{name: "shared", type: "fs", source: "/dev/sdz1", path: "/srv/x"},
        ] { try { h.define_pool(wrong) } catch (e) { print(`${e.code}: ${e.message}`) } }
        let p = h.pool("shared");
        let volumes = p.volumes().map(|v| v.name);
        for wrong in [["../x", "1MiB"], ["a/b", "1MiB"], ["x", "4 potatoes"], ["x", 0], ["x", -1],
            ["x", #{size: "1MiB", format: "qcow3"}], ["x", #{size: "1MiB", format: "raw", backing: "/srv/y"}],
            ["x", #{size: "1MiB", backing: "y.qcow2"}], ["x", #{size: "1MiB", format: "raw", preallocation: "metadata"}]] {
            try { p.create_volume(wrong[0], wrong[1]) } catch (e) { print(`${e.code}: ${e.message}`) }
        }
        print(h.pools().map(|p| p.name) == before && p.volumes().map(|v| v.name) == volumes);"#;
    let said = run_code(&lab, code);
    said.ends(0).prints(&[
        "invalid_pool: there is no pool type \"nfs\"\n\
         invalid_pool: a pool of type netfs needs `server`\n\
         invalid_name: the name of a pool cannot be \"a/b\": it has a slash in it\n\
         invalid_pool: a pool of type dir: `path` is a path from the root without `..`, not \"srv/x\"\n\
         invalid_pool: a pool of type dir: `path` is a path from the root without `..`, not \"/srv/../etc\"\n\
         invalid_pool: \"v4.2\" is no version of NFS\n\
         unknown_option: define_pool has no option `sorce`\n",
        "invalid_name: the name of a volume cannot be \"../x\": it has a slash in it\n\
         invalid_name: the name of a volume cannot be \"a/b\": it has a slash in it\n",
        "4 potatoes",
        "invalid_volume: the volume x has no size\n",
        "invalid_volume: the volume x: a raw volume has no backing file, a qcow2 one may\n\
         invalid_volume: the volume x: the backing file is a path on the host, not \"y.qcow2\"\n\
         invalid_volume: the volume x: only qcow2 has metadata to preallocate, raw has none\n",
    ]);
    assert!(said.stdout.ends_with("true\n"), "{said}");
}

#[test]
fn a_pool_that_is_there_with_another_meaning_is_refused_and_a_false_one_is_found_out() {
    let lab = Lab::up(&["h2-a", "h2-b"]);
    let code = |text: &str| {
        run_code(&lab, &format!("import \"std/pool\" as pool; let all = hosts(\"h2-*\"); {text}"))
    };
    // Of a directory that the hosts really share, and of one that only has the same name.
    code(r#"print(pool::prove(all, "shared").map(|one| one.writes_as))"#)
        .ends(0)
        .prints(&["[\"root\", \"root\"]\n"]);
    code(r#"pool::share(all, #{ name: "mine", type: "dir", path: "/var/lib/libvirt/mine" })"#)
        .ends(5)
        .says(&["error[not_shared]: the pool mine is not the same storage on h2-a and h2-b"]);
    code(r#"pool::share(all, #{ name: "mine", type: "dir", path: "/srv/shared" })"#).ends(4).says(&[
        "error[other_pool]: ",
        " has a pool mine already, with path /var/lib/libvirt/mine and not /srv/shared",
    ]);
    code(r#"pool::share(all, #{ name: "n", server: "h2-a", source: "/srv", mount: #{ soft: true } })"#)
        .ends(4)
        .says(&["error[soft_mount]"]);
    code(r#"print(pool::remove(all, "mine")); print(pool::remove(all, "mine")); pool::prove(all, "mine")"#)
        .ends(5)
        .prints(&["[\"h2-a\", \"h2-b\"]\n[]\n"])
        .says(&["error[no_storage_pool]: h2-a has no pool mine"]);
    // Who would let everybody in, and whose directory it is not.
    let served = r#"import "std/nfs" as nfs; let a = host("h2-a"); a.run("touch /srv/shared/x");
        for client in ["", "a b", "a(rw)", "a\nb"] {
            try { nfs::serve(a, #{ path: "/srv/shared", clients: [client] }) } catch (e) { print(e.code) } }
        try { nfs::serve(a, #{ path: "/srv/shared", clients: ["192.0.2.9"] }) } catch (e) { print(e.code) }"#;
    code(served).ends(0).prints(&["invalid_arg\ninvalid_arg\ninvalid_arg\ninvalid_arg\ndirectory_in_use\n"]);
    for host in ["h2-a", "h2-b"] {
        let mut left = lab.on_host(host, "sh");
        left.args(["-c", "ls -A /srv/shared /var/lib/libvirt/mine | grep kvmsh || :"]);
        assert_eq!(lab.run(left, crate::scene::LONG).ends(0).stdout, "");
    }
}
