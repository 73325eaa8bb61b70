//! The policy in stdlib/, where no guest is needed to see it.

use std::process::{Command, Output};

fn kvmsh(inventory: &str, args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let hosts = home.path().join("hosts.toml");
    std::fs::write(&hosts, inventory).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
    command.arg("--inventory").arg(hosts).args(args).env_clear().env("HOME", home.path());
    command.output().unwrap()
}

#[test]
fn the_summary_of_an_evacuation_says_what_is_still_there() {
    let all = r#"#{ moved: 3, definitions: 1, left: 0, off: 0, seconds: 1.25 }"#;
    for (change, says) in [
        ("", "h2-a is empty: 3 moved live, 1 definition moved, 0 left behind ("),
        (
            "r.definitions = 0; r.off = 2;",
            "no guest runs on h2-a any more: 3 moved live, 2 definitions left (",
        ),
        (
            "r.off = 1; r.left = 1;",
            "h2-a is NOT empty: 3 moved live, 1 definition moved, 1 left behind, 1 definition left (",
        ),
    ] {
        let code = format!(
            "import \"std/evacuate\" as evacuate; let r = {all}; {change} evacuate::summary(#{{ name: `h2-a` }}, r)"
        );
        let output = kvmsh("", &["-c", &code]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.starts_with(says), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn where_no_target_can_be_reached_that_is_the_error() {
    let inventory = "[hosts.a]\nuri = 'test:///default'\n\
                     [hosts.b]\naddress = '127.0.0.1'\nport = 1\n[hosts.c]\naddress = '127.0.0.1'\nport = 1\n";
    let code = "import `std/evacuate` as evacuate; evacuate::run(host(`a`), #{})";
    let output = kvmsh(inventory, &["-c", code]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("nothing was moved, no guest of a can be: "), "{said}");
}

#[test]
fn what_is_put_into_xml_stays_what_it_is() {
    let code = r#"import "std/backup" as b; let odd = "/srv/a<b>&amp;'c\"/d"; let x = xml(`<a b='${b::escaped(odd)}'>${b::escaped(odd)}</a>`);
        [x.get("@b") == odd, b::escaped("<>&'\"")]"#;
    let output = kvmsh("", &["-c", code]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("yes\n") && said.contains("&lt;&gt;&amp;&apos;&quot;"), "{output:?}");
}

#[test]
fn only_guests_of_the_systems_libvirt_are_copied_and_have_snapshots() {
    for code in [
        r#"import "std/backup" as b; b::guest(host("a").domain("test"), #{ to: "/srv/backup" })"#,
        r#"import "std/backup" as b; b::verify(host("a"), "/srv/backup", 1)"#,
        r#"import "std/snapshots" as s; s::rotate(host("a").domain("test"), #{})"#,
    ] {
        let output = kvmsh("[hosts.a]\nuri = 'test:///default'\n", &["-c", code]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(4) && said.contains("error[no_support]"), "{said}");
    }
}
