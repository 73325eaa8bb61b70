//! Secrets of pools: libvirt's own, and nobody else's.

use crate::lab::Lab;
use crate::scene::{Alone, LONG, kvmsh, run_code};

#[test]
fn the_secret_of_a_pool_is_libvirts_alone() {
    let lab = Lab::up(&["h2-a"]);
    // "chap-value-77" and a key whose text is "ceph-value-88".
    let code = r#"
        let h = host("h2-a");
        let wanted = #{name: "san", type: "iscsi", server: "192.0.2.1", source: "iqn.2013-06.com.example:t",
            auth: #{user: "u", secret: "chap-of-san", value: env("CHAP_VALUE")}};
        let pool = h.define_pool(wanted);
        print(pool.definition.auth == #{user: "u", secret: "chap-of-san"});
        h.define_secret(#{usage: "ceph-of-x", type: "ceph", value: env("CEPH_VALUE")});
        h.define_secret(#{usage: "ceph-of-x", type: "ceph", value: env("CEPH_VALUE")});
        print(h.secrets().map(|one| `${one.type} ${one.usage}`));
        try { h.define_secret(#{usage: "x", type: "ceph", value: "no base64!"}) } catch (e) { print(e) }
        try { h.define_secret(#{usage: "x", type: "tls", value: env("CHAP_VALUE")}) } catch (e) { print(e.code) }
        log("info", `talk of ${env("CHAP_VALUE")}`);
        print(h.remove_secret("nobodys"));"#;
    let mut run = kvmsh(&lab, &["-v", "-c", code]);
    run.env("CHAP_VALUE", "chap-value-77").env("CEPH_VALUE", "Y2VwaC12YWx1ZS04OA==");
    let said = lab.run(run, LONG);
    said.ends(0).prints(&["true\n", "[\"ceph ceph-of-x\", \"iscsi chap-of-san\"]\n", "false\n"]);
    // libvirt has the bytes, and gives them to nobody.
    let look = "for f in /etc/libvirt/secrets/*.base64; do cat \"$f\"; echo; done; \
        for u in $(virsh -q -c qemu:///system secret-list | awk '{print $1}'); do \
        virsh -c qemu:///system secret-dumpxml $u | grep -c \"ephemeral='no' private='yes'\"; \
        virsh -c qemu:///system secret-get-value $u >/dev/null 2>&1 || echo private; done";
    let mut sh = lab.on_host("h2-a", "sh");
    sh.args(["-c", look]);
    let there = lab.run(sh, LONG).stdout;
    assert!(there.contains("Y2VwaC12YWx1ZS04OA==") && there.contains("Y2hhcC12YWx1ZS03Nw=="), "{there}");
    assert_eq!((there.matches("1\n").count(), there.matches("private\n").count()), (2, 2), "{there}");
    let written = std::fs::read_to_string(lab.scratch().join("state/kvmsh/journal.ndjson")).unwrap();
    for text in [&said.stdout, &said.stderr, &written] {
        assert!(
            !text.contains("chap-value") && !text.contains("Y2Vwa") && !text.contains("ceph-value"),
            "{text}"
        );
    }
    assert!(written.contains("chap-of-san"), "{written}");
    run_code(
        &lab,
        r#"let h = host("h2-a"); h.pool("san").undefine(); print(h.remove_secret("chap-of-san"))"#,
    )
    .ends(0)
    .prints(&["true"]);
}

#[test]
fn a_driver_without_secrets_says_so_and_a_plan_shows_no_value() {
    let alone = Alone::new();
    let wanted =
        r#"host("test:///default").define_secret(#{usage: "x", type: "iscsi", value: "chap-value-77"}); ()"#;
    let planned = alone.run(&["--plan", "-c", wanted]);
    planned.ends(6).prints(&["keep secret x on"]);
    assert!(!planned.stdout.contains("chap-value") && !planned.stderr.contains("chap-value"), "{planned}");
    alone.run(&["-c", wanted]).ends(1).says(&["error[no_support]"]);
}
