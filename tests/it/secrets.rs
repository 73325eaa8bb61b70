//! Secrets that go through kvmsh are written down nowhere.

use std::process::Command;

const CODE: &str = r#"let test = host("test:///default");
test.write("/DIR/file", "secret-one");
test.write("/DIR/file", "secret-two");
test.define(`<domain type='test'><name>d</name><memory>1024</memory><os><type>hvm</type></os><devices>
  <graphics type='vnc' port='-1' passwd='secret-vnc'/></devices></domain>`).undefine();
print(test.read("/DIR/file"));
"#;

#[test]
fn a_secret_that_is_written_or_defined_is_not_in_the_journal() {
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        let code = CODE.replace("/DIR", home.path().to_str().unwrap());
        command.args(args).args(["--journal", "journal", "-c", &code]).current_dir(home.path()).env_clear();
        let output = command.env("HOME", home.path()).env("PATH", "/usr/bin:/bin").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = run(&["-q"]);
    assert_eq!((code, said.as_str()), (Some(0), "secret-two\n"));
    let journal = std::fs::read_to_string(home.path().join("journal")).unwrap();
    assert!(!journal.contains("secret-"), "{journal}");
    assert_eq!(journal.matches("\"after_digest\":{\"bytes\":10,\"sha256\":").count(), 2, "{journal}");
    assert_eq!(journal.lines().count(), 8, "{journal}");
    // A plan shows a file's text, but no password of a guest.
    let (_, plan) = run(&["--plan", "-o", "json"]);
    assert!(
        plan.contains("passwd='***'") && plan.contains("secret-one") && !plan.contains("secret-vnc"),
        "{plan}"
    );
}

#[test]
fn a_password_in_a_script_is_not_shown_beside_an_error() {
    let output = crate::scene::Alone::new().script("host(\"nope\").with_password(\"secret-three\");\n");
    output.ends(3).says(&["with_password(\"************\")"]);
    assert!(!output.stderr.contains("secret-three"), "{output}");
}
