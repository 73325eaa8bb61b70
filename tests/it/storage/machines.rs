//! New machines from a map.

use crate::scene::{LONG, kvmsh, pair, run_code};

#[test]
fn a_machine_from_a_few_lines_runs_with_its_disks_and_seed_or_leaves_nothing() {
    let lab = pair();
    let state = || {
        let mut look = lab.on_host("h2-a", "sh");
        look.args(["-c", "ls -A /srv/shared; virsh -q -c qemu:///system list --all --name"]);
        lab.run(look, LONG).stdout
    };
    run_code(&lab, r#"host("h2-a").pool("shared").create_volume("debian.qcow2", "64MiB"); ()"#).ends(0);
    let before = state();
    let plan = r#"host("h2-a").create(#{ name: "web1", pool: "shared", disks: ["1GiB"], type: "qemu" }); ()"#;
    let planned = lab.run(kvmsh(&lab, &["--plan", "-c", plan]), LONG);
    planned.ends(6).prints(&[
        "create volume shared/web1.qcow2 on h2-a",
        "define domain web1 on h2-a",
        "start domain web1",
    ]);
    // Each of these fails at another step, the last when it starts: nothing stays of any.
    let wrong = r#"
        let h = host("h2-a");
        for more in [#{name: "a/b"}, #{disks: ["4 potatoes"]}, #{disks: [#{image: "none"}]}, #{disks: [#{image: "debian.qcow2", size: "1MiB"}]},
            #{memry: 1}, #{disks: ["1MiB", #{volume: "none"}]}, #{nics: [#{bridge: "nowhere"}], cloud_init: #{}}] {
            let wanted = #{ name: "web1", pool: "shared", type: "qemu", memory: "128MiB", disks: ["1MiB"] } + more;
            try { h.create(wanted); print("made") } catch (e) { print(e.code) }
        }"#;
    let said = run_code(&lab, wrong);
    let codes: Vec<&str> = said.ends(0).stdout.lines().collect();
    assert_eq!(codes[0], "invalid_name", "{said}");
    assert_eq!(
        codes[2..6],
        ["no_storage_volume", "too_small", "unknown_option", "no_storage_volume"],
        "{said}"
    );
    assert!(codes.len() == 7 && !codes.contains(&"made"), "{said}");
    assert_eq!(state(), before);

    let code = r#"
        let h = host("h2-a");
        let d = h.create(#{ name: "web1", pool: "shared", type: "qemu", memory: "128MiB", vcpus: 1,
            disks: [#{image: "debian.qcow2", size: "256MiB"}, "16MiB"], cloud_init: #{ hostname: "web1", users: ["default"] } });
        print([d.state, d.info.vcpus, d.info.max_memory == size("128MiB"), d.disks.map(|disk| disk.target)]);
        print(h.pool("shared").volume("web1.qcow2").capacity == size("256MiB"));
        print(h.run("blkid -p -s LABEL -o value /srv/shared/web1-seed.img; grep -ac '#cloud-config' /srv/shared/web1-seed.img", #{changes: false}).stdout);
        try { h.create(#{ name: "web1", disks: ["1MiB"] }) } catch (e) { print(`${e.code}: ${e.message}`) }
        d.destroy();"#;
    assert_eq!(
        run_code(&lab, code).ends(0).stdout,
        "[\"running\", 1, true, [\"vda\", \"vdb\", \"vdc\"]]\ntrue\nCIDATA\n1\n\ndomain_exists: h2-a has a domain web1 already\n"
    );
}

#[test]
fn the_system_decides_the_devices_and_the_group_the_cpu() {
    let lab = pair();
    let code = r#"
        let h = host("h2-a");
        let wanted = #{ pool: "shared", type: "qemu", memory: "128MiB", disks: ["1MiB"], nics: [#{bridge: "br0"}], start: false };
        let made = |name, more| { let d = h.create(wanted + #{name: name} + more);
            let x = d.inactive_xml; print(`${name}: ${d.disks[0].target} ${d.nics[0].model} ${x.contains("offset='localtime'")} ${d.disks.len()}`); d };
        made.call("deb", #{os: "debian12"});
        made.call("win", #{os: "win10", iso: "/srv/shared/win.iso"});
        made.call("winv", #{os: "win10", iso: "/srv/shared/win.iso", drivers: "/srv/shared/virtio-win.iso"});
        let cpu = xml(made.call("both", #{os: "debian12", among: ["h2-a", "h2-b"]}).inactive_xml);
        print(cpu.get("cpu/@mode") + " " + (cpu.get("cpu/model") == baseline_cpu(["h2-a", "h2-b"], #{type: "qemu"}).model));
        print(h.create(wanted + #{name: "big", os: "win10", memory: ()}).info.max_memory == size("4GiB"));
        for id in ["debain12", "beos"] { try { h.create(wanted + #{name: "x", os: id}) } catch (e) { print(`${e.code}: ${e.hint}`) } }"#;
    let said = run_code(&lab, code);
    assert_eq!(
        said.ends(0).stdout,
        "deb: vda virtio false 1\nwin: sda e1000e true 2\nwinv: vda virtio true 3\nboth: vda virtio false 1\n\
         custom true\ntrue\n\
         unknown_os: did you mean `debian12`?\n\
         unknown_os: its short id, as `osinfo-query os` lists them: \"debian12\", \"win11\"; \"linux\" for any other Linux\n"
    );
}
