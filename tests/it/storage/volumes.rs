//! What is in volumes: in, out, from one to another; all of it or nothing.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Lab, wait_until};
use crate::scene::{LONG, kvmsh, pair, run_code};

/// Noise that no compression and no search for zeros makes smaller.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

/// A file of this size with noise at some places, the last of them at its very end unless it shall end in a hole.
fn sparse(path: &Path, size: u64, hole_at_end: bool) {
    let mut file = fs::File::create(path).unwrap();
    let end = if hole_at_end { size / 2 } else { size - 70_001 };
    for (at, length) in [(4096, 1 << 20), (size / 3 + 1, 300_000), (end, 70_001)] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&noise(length, at)).unwrap();
    }
    file.set_len(size).unwrap();
}

fn same(a: &Path, b: &Path) {
    let status = Command::new("cmp").arg(a).arg(b).status().unwrap();
    assert!(status.success(), "{} differs from {}", b.display(), a.display());
}

fn taken(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

/// All that is in the pool's directory, with what it takes hidden from the daemon.
fn files(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.dir().join("shared")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn five_gib_with_holes_go_up_and_down_bit_by_bit_and_stay_small() {
    let lab = pair();
    for (name, hole_at_end) in [("one", false), ("two", true)] {
        let here = lab.scratch().join(name);
        sparse(&here, 5 << 30, hole_at_end);
        let back = lab.scratch().join("back");
        let code = format!(
            r#"let p = host("h2-a").pool("shared");
            let up = p.upload("{here}", "{name}"); let down = p.volume("{name}").download("{back}");
            print(up.bytes == down.bytes && up.bytes == size("5GiB") && up.data < size("3MiB"));
            print(p.volume("{name}").capacity == size("5GiB"));"#,
            here = here.display(),
            back = back.display()
        );
        assert_eq!(run_code(&lab, &code).ends(0).stdout, "true\ntrue\n");
        let there = lab.dir().join("shared").join(name);
        same(&here, &there);
        same(&here, &back);
        for path in [&there, &back] {
            assert!(taken(path) < 8 << 20, "{} takes {}", path.display(), taken(path));
        }
    }
    assert!(files(&lab).iter().all(|name| !name.contains("kvmsh")));
}

#[test]
fn volumes_are_copied_converted_wiped_and_checked() {
    let lab = pair();
    let here = lab.scratch().join("image");
    sparse(&here, 8 << 20, false);
    let short = lab.scratch().join("short");
    fs::write(&short, "short").unwrap();
    let code = format!(
        r#"let a = host("h2-a"); let b = host("h2-b"); let p = a.pool("shared");
        let q = b.define_pool(#{{name: "own", path: "/var/lib/libvirt/own"}}); q.build(); q.start();
        let up = p.upload("{here}", "raw", #{{checksum: true}});
        print(up.sha256.len());
        // Out of one host's pool into another's.
        let copy = p.volume("raw").clone_to("copied", #{{pool: q}});
        print([copy.pool.host.name, copy.format, copy.capacity]);
        print(copy.download("{here}.b", #{{checksum: true}}).sha256 == up.sha256);
        // Another format, there and back.
        p.upload("{here}", "image.qcow2", #{{convert: "qcow2"}});
        print(p.volume("image.qcow2").format);
        p.volume("image.qcow2").clone_to("again", #{{format: "raw"}});
        print(p.volume("again").download("{here}.c", #{{checksum: true}}).sha256 == up.sha256);
        let below = p.volume("image.qcow2");
        p.create_volume("top.qcow2", #{{backing: below.path}});
        print(p.volume("top.qcow2").capacity);
        p.create_volume("solid", #{{size: "2MiB", format: "raw", preallocation: "full"}});
        print(p.volume("solid").allocation);
        p.create_volume("airy", #{{size: "2MiB", format: "raw"}});
        print(p.volume("airy").allocation);
        p.volume("airy").resize("3MiB");
        print(p.volume("airy").capacity);
        p.volume("again").upload("{short}");
        print(a.run("printf short >/root/x; truncate -s 8M /root/x; cmp /root/x /srv/shared/again", #{{check: false, changes: false}}).status);
        p.volume("raw").wipe();
        for name in ["raw", "../raw", ""] {{ try {{ p.upload("{here}", name) }} catch (e) {{ print(`${{e.code}}: ${{e.message}}`) }} }}
        try {{ p.upload("/nonexistent", "x") }} catch (e) {{ print(`${{e.code}}: ${{e.message}}`) }}
        try {{ p.volume("image.qcow2").clone_to("x", #{{pool: q, format: "raw"}}) }} catch (e) {{ print(e.code) }}
        try {{ p.volume("top.qcow2").clone_to("x", #{{pool: q}}) }} catch (e) {{ print(e.code) }}"#,
        here = here.display(),
        short = short.display()
    );
    let said = run_code(&lab, &code);
    said.ends(0);
    assert_eq!(
        said.stdout,
        "64\n[\"h2-b\", \"raw\", 8388608]\ntrue\nqcow2\ntrue\n8388608\n2097152\n0\n3145728\n0\n\
         storage_vol_exist: shared has a volume raw already\n\
         invalid_name: the name of a volume cannot be \"../raw\": it has a slash in it\n\
         invalid_name: the name of a volume cannot be \"\": it is empty\n\
         local_file: /nonexistent: No such file or directory (os error 2)\nother_format\nhas_backing\n"
    );
    same(&here, &lab.scratch().join("image.b"));
    let wiped = fs::read(lab.dir().join("shared/raw")).unwrap();
    assert!(wiped.len() == 8 << 20 && wiped.iter().all(|byte| *byte == 0));
    let left: Vec<String> = files(&lab).into_iter().filter(|name| name.contains("kvmsh")).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn an_interrupted_upload_leaves_nothing_and_one_that_was_killed_nothing_by_its_name() {
    let lab = Lab::up(&["h2-a"]);
    let here = lab.scratch().join("image");
    fs::write(&here, noise(32 << 20, 7)).unwrap();
    let before = files(&lab);
    let slow =
        format!(r#"host("h2-a").pool("shared").upload("{}", "image", #{{rate: "1MiB"}})"#, here.display());
    let under_way = || wait_until(Duration::from_secs(60), "the upload to begin", || files(&lab) != before);
    for signal in ["INT", "KILL"] {
        let child = lab.spawn(kvmsh(&lab, &["-c", &slow]));
        under_way();
        child.signal(signal);
        let output = child.wait(LONG);
        output.ends(if signal == "INT" { 130 } else { 137 });
        if signal == "INT" {
            assert_eq!(files(&lab), before);
        }
        let known = run_code(
            &lab,
            r#"let p = host("h2-a").pool("shared"); p.refresh(); p.volumes().map(|v| v.name)"#,
        );
        assert!(!known.ends(0).stdout.lines().any(|name| name == "image"), "{known}");
    }
    // What was left when it was killed goes with the next upload an hour later; what is younger may be somebody's.
    let mut old = lab.on_host("h2-a", "sh");
    old.args([
        "-c",
        "cd /srv/shared && touch -d '2 hours ago' .image.*.kvmsh-part && touch .image.young.kvmsh-part",
    ]);
    lab.run(old, LONG).ends(0);
    let again = format!(
        r#"host("h2-a").pool("shared").upload("{}", "image", #{{checksum: true}}); ()"#,
        here.display()
    );
    run_code(&lab, &again).ends(0);
    let mut expected = before;
    expected.extend(["image", ".image.young.kvmsh-part"].map(str::to_owned));
    expected.sort();
    assert_eq!(files(&lab), expected);
    same(&here, &lab.dir().join("shared/image"));
}
