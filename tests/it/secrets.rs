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

/// Neither SSH nor libvirt takes a password from a URI: it is refused, and shown nowhere.
#[test]
fn a_password_in_a_uri_is_refused_and_masked() {
    let alone = crate::scene::Alone::new();
    let uri = "qemu+ssh://eva:q-uri-1@127.0.0.1:1/system";
    let inventory = alone.dir().join("hosts.toml");
    std::fs::write(&inventory, format!("[hosts.x]\nuri = \"{uri}\"\n")).unwrap();
    alone.write("uri.rhai", &format!("let h = host(\"{uri}\");\nh.run(\"true\");\n"));
    let inventory = inventory.display().to_string();
    for words in [
        &["uri.rhai"][..],
        &["--log-format", "json", "uri.rhai"],
        &["-c", "try { host(args[0]) } catch (e) { print(e) } host(args[0])", uri],
        &["-H", uri, "-c", "hosts()"],
        &["hosts", "add", "x", uri],
        &["--inventory", &inventory, "hosts"],
        &["--inventory", &inventory, "-o", "json", "hosts", "test"],
    ] {
        let ended = alone.run(words);
        assert!([1, 2].contains(&ended.code()), "{words:?}: {ended}");
        ended.says(&["***"]);
        assert!(!ended.stderr.contains("q-uri") && !ended.stdout.contains("q-uri"), "{words:?}: {ended}");
    }
    let journal = alone.dir().join(".local/state/kvmsh/journal.ndjson");
    let journal = std::fs::read_to_string(journal).unwrap_or_default();
    assert!(!journal.contains("q-uri"), "{journal}");
}

/// What `once` keeps for the next run is in a file that nobody else reads, and in nothing else that is written down.
#[test]
fn what_a_step_returns_is_kept_where_nobody_else_looks() {
    use std::os::unix::fs::PermissionsExt;
    let alone = crate::scene::Alone::new();
    alone.write(
        "steps.rhai",
        r#"let told = once("login", || #{ db_pass: "q-once-1", auth: "q-once-2", n: 7 });
           host("test:///default").run(`true DB_PASS=${told.db_pass} --auth ${told.auth}`);
           fail("failed", #{ message: `went wrong with --pwd=${told.db_pass} and auth: ${told.auth}` });"#,
    );
    let first = alone.run(&["steps.rhai", "--key=q-once-3", "--auth", "q-once-4"]);
    let second = alone.run(&["steps.rhai", "--key=q-once-3", "--auth", "q-once-4"]);
    second.ends(1).says(&["login: done by an earlier run"]);
    let steps = alone.dir().join(".local/state/kvmsh/steps");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files: Vec<_> = std::fs::read_dir(&steps).unwrap().map(|one| one.unwrap().path()).collect();
    assert_eq!((mode(&steps), files.len(), mode(&files[0])), (0o700, 1, 0o600));
    let journal = std::fs::read_to_string(alone.dir().join(".local/state/kvmsh/journal.ndjson")).unwrap();
    assert!(journal.contains("DB_PASS=***") && !journal.contains("q-once"), "{journal}");
    for ended in [&first, &second] {
        assert!(ended.code() == 1, "{ended}");
    }
}
