//! No machine runs on two hosts at a time.

use crate::scene::{LONG, defined, kvmsh, pair, run_code};

/// The machine with another name and UUID, and the same disk.
const OTHER: &str = r#"
    let a = host("h2-a"); let b = host("h2-b");
    let same = a.domain("web1").inactive_xml;
    let other = same; other.replace(a.domain("web1").uuid, "6d1a7b1c-1111-4222-8333-944455556666");
    other.replace("<name>web1<", "<name>web2<"); other.replace("console/web1.log", "console/web2.log");"#;

#[test]
fn what_runs_on_one_host_is_neither_defined_nor_started_on_another() {
    let lab = pair();
    let _guest = lab.guest("h2-a", "web1").start();
    let code = |text: &str| run_code(&lab, &format!("{OTHER} {text}"));
    code("b.define(same)").ends(4).says(&[
        "error[runs_elsewhere]: web1 is not to run on h2-b: it runs on h2-a (UUID ",
        "shut web1 down on h2-a first",
    ]);
    let in_use =
        "error[disk_in_use]: disk vda of web2, /srv/shared/web1.qcow2, is in use by web1, which runs on h2-a";
    code("b.define(other)").ends(4).says(&[in_use]);
    code("b.create(other)").ends(4).says(&[in_use]);
    lab.run(kvmsh(&lab, &["--plan", "-c", &format!("{OTHER} b.define(same)")]), LONG).ends(4);
    assert_eq!(defined(&lab, "h2-b"), [""; 0]);

    // What is only read, or meant for several, is no conflict.
    code(
        r#"for word in ["<readonly/>", "<shareable/>"] {
            let common = other; common.replace("type='qcow2'", "type='raw'"); common.replace("<target dev='vda'", word + "<target dev='vda'");
            b.define(common).undefine(); }"#,
    )
    .ends(0);
    // Another file of the same name is not the same disk.
    code(r#"b.run("mkdir -p /var/lib/own && touch /var/lib/own/web1.qcow2");
            let apart = other; apart.replace("/srv/shared/web1.qcow2", "/var/lib/own/web1.qcow2"); b.define(apart).undefine();"#)
    .ends(0);

    // The admin's word counts for the definition, and the start asks again.
    code("b.define(other, #{force: true}); b.define(same, #{force: true}); ()").ends(0);
    code(r#"b.domain("web1").start()"#).ends(4).says(&["error[runs_elsewhere]: web1 is not to run on h2-b"]);
    code(r#"b.domain("web2").start(#{paused: true})"#).ends(4).says(&[in_use]);
    // Once it is off there, it may run here; the other host being away holds up nothing.
    code(r#"a.domain("web1").destroy(); b.domain("web1").start(); print(b.domain("web1").state); b.domain("web1").destroy()"#)
        .ends(0)
        .prints(&["running"]);
    lab.stop("h2-a", "sshd", "KILL");
    run_code(&lab, r#"host("h2-b").domain("web1").start(); print(host("h2-b").domain("web1").state)"#)
        .ends(0)
        .prints(&["running"])
        .says(&["h2-a does not answer: what runs there is not known"]);
}
