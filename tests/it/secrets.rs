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
    assert_eq!(journal.lines().count(), 10, "{journal}");
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

/// Everything that is known to be a secret, by whatever way it came, and every place that kvmsh writes to.
#[test]
fn known_secrets_are_in_no_journal_no_plan_no_error_and_no_log() {
    let home = tempfile::tempdir().unwrap();
    let code = r#"let h = host("test:///default");
        let told = secret("q-told-1");
        let named = env("BACKUP_TOKEN");
        log("info", `talk of ${told} and ${named}`);
        progress(`copying ${told}`, 1).finish(`done ${named}`);
        h.run(`true ${told} ${named}`);
        h.run(["true", told, named], #{note: `for ${told}`});
        h.run("cat >/dev/null", #{stdin: "q-input-1"});
        h.run("true --password=q-line-1; curl -V >/dev/null http://u:q-url-1@x/ || true", #{check: false});
        h.with_password("q-login-1");
        try { h.run(`exit 3 # ${told}`) } catch (e) { log("warn", e.message) }
        fail("failed", #{message: `no ${told} ${named} q-login-1`, hint: told, object: named});
    "#;
    std::fs::write(home.path().join("night.rhai"), code).unwrap();
    let run = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        command.args(options).args(["night.rhai", "--password", "q-word-1", "--token=q-word-2"]);
        command.current_dir(home.path()).env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin");
        let output = command.env("BACKUP_TOKEN", "q-env-1").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let mut seen = vec![
        run(&[]),
        run(&["--plan"]),
        run(&["--plan", "-o", "json"]),
        run(&["-v"]),
        run(&["--color=always"]),
    ];
    let journal = home.path().join(".local/state/kvmsh/journal.ndjson");
    seen.push(std::fs::read_to_string(journal).unwrap());
    assert!(seen[0].contains("talk of *** and ***") && seen[5].matches("***").count() > 10, "{seen:?}");
    for text in seen {
        // The line of a script that is shown beside an error is the script's own text.
        let text: String = text.lines().filter(|line| !line.contains(" | ")).collect();
        assert!(!text.contains("q-"), "{text}");
    }
}
