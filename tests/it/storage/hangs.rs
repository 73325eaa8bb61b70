//! Storage that hangs: a deadline and a Ctrl-C are kept all the same.

use std::fs;
use std::time::Duration;

use crate::lab::{Lab, wait_until};
use crate::scene::{LONG, kvmsh, run_code};

#[test]
fn storage_that_hangs_holds_up_neither_a_deadline_nor_a_ctrl_c() {
    let lab = Lab::up(&["h2-a"]);
    let files = || fs::read_dir(lab.shared()).unwrap().count();
    run_code(&lab, r#"host("h2-a").pool("shared").create_volume("old.qcow2", "1MiB"); ()"#).ends(0);
    // The daemon lives, and what it has started does not get on.
    let mut hang = lab.on_host("h2-a", "sh");
    hang.args([
        "-ec",
        "mv /usr/bin/qemu-img /usr/bin/qemu-img.real; printf '#!/bin/sh\\n: >/tmp/begun\\nsleep 300\\n' >/usr/bin/qemu-img; chmod 755 /usr/bin/qemu-img; rm -f /tmp/begun",
    ]);
    lab.run(hang, LONG).ends(0);
    let create = r#"host("h2-a").pool("shared").create_volume("x.qcow2", "1MiB")"#;
    let ended = lab.run(kvmsh(&lab, &["--timeout", "3s", "-c", create]), LONG);
    ended.ends(124).within(Duration::from_secs(70));
    let begun = || {
        let mut look = lab.on_host("h2-a", "sh");
        look.args(["-c", "test -e /tmp/begun && rm /tmp/begun"]);
        lab.run(look, LONG).code() == 0
    };
    assert!(begun());
    let copy = r#"host("h2-a").pool("shared").volume("old.qcow2").clone_to("y.qcow2")"#;
    let child = lab.spawn(kvmsh(&lab, &["-c", copy]));
    wait_until(LONG, "the copy to begin", begun);
    child.signal("INT");
    child.wait(LONG).ends(130).within(Duration::from_secs(100));

    // A daemon that does not even answer: in the middle of an upload.
    let image = lab.scratch().join("image");
    fs::write(&image, vec![7; 32 << 20]).unwrap();
    let before = files();
    let upload =
        format!(r#"host("h2-a").pool("shared").upload("{}", "image", #{{rate: "1MiB"}})"#, image.display());
    let child = lab.spawn(kvmsh(&lab, &["-c", &upload]));
    wait_until(LONG, "the upload to begin", || files() > before);
    lab.stop("h2-a", "libvirtd", "STOP");
    child.signal("INT");
    let ended = child.wait(LONG);
    lab.start("h2-a", "libvirtd");
    ended.ends(130).within(Duration::from_secs(100));
    assert!(!lab.shared().join("image").exists());
}
