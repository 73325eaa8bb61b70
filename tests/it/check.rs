//! `kvmsh check` as people, hooks and editors call it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::repl::{command, home};

const BAD: &str = "let d = host(\"lab\").domain(\"web\");\nd.strat();\nhost(\"lba\");\nprint(nope);\n";

fn run(home: &Path, args: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut kvmsh = command(home, args);
    let mut kvmsh =
        kvmsh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    kvmsh.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = kvmsh.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn all_that_is_wrong_is_told_with_its_place_and_what_was_meant() {
    let home = home();
    fs::write(home.path().join("bad.rhai"), BAD).unwrap();
    let (code, stdout, stderr) = run(home.path(), &["check", "bad.rhai"], "");
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    for part in [
        "bad.rhai:2:3",
        "did you mean `start`?",
        "bad.rhai:3:6",
        "`lba`",
        "did you mean `lab`?",
        "bad.rhai:4:7",
        "no variable `nope`",
    ] {
        assert!(stderr.contains(part), "no {part:?} in\n{stderr}");
    }
    // Another inventory has other hosts; without any nobody knows.
    fs::write(home.path().join("other.toml"), "[hosts.lba]\naddress = \"localhost\"\n").unwrap();
    let (_, _, stderr) = run(home.path(), &["check", "--inventory", "other.toml", "bad.rhai"], "");
    assert!(stderr.contains("bad.rhai:1:14") && !stderr.contains("bad.rhai:3:6"), "{stderr}");
    fs::remove_file(home.path().join("config/kvmsh/hosts.toml")).unwrap();
    let (_, _, stderr) = run(home.path(), &["check", "bad.rhai"], "");
    assert!(stderr.contains("bad.rhai:2:3") && !stderr.contains("bad.rhai:3"), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_parsed_keeps_none_of_the_others_from_being_read() {
    let home = home();
    for (name, text) in [("one.rhai", "let x = ;\nslep(1);"), ("two.rhai", "slep(1);"), ("four.rhai", "fn (")]
    {
        fs::write(home.path().join(name), text).unwrap();
    }
    let (code, _, stderr) =
        run(home.path(), &["check", "one.rhai", "two.rhai", "three.rhai", "four.rhai"], "");
    assert_eq!(code, Some(2), "{stderr}");
    for part in ["one.rhai:1:9", "two.rhai:1:1", "no script three.rhai", "four.rhai:1:4"] {
        assert!(stderr.contains(part), "no {part:?} in\n{stderr}");
    }
}

#[test]
fn programs_get_records_and_editors_ask_over_stdin() {
    let home = home();
    let (code, stdout, stderr) = run(home.path(), &["check", "--output", "json", "-"], BAD);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 3, "{stdout}");
    assert_eq!(found[0]["line"], 2);
    assert_eq!(found[0]["column"], 3);
    assert_eq!(found[0]["length"], 5);
    assert_eq!(found[0]["code"], "no_function");
    assert_eq!(found[0]["hint"], "did you mean `start`?");
    let (code, stdout, _) = run(home.path(), &["check", "--output", "json", "-"], "print(1)");
    assert_eq!((code, stdout.trim()), (Some(0), "[]"));
}

#[test]
fn the_hook_of_the_documentation_refuses_a_commit() {
    let documentation = include_str!("../../docs/scripts.md");
    let hook: String = (documentation.lines())
        .skip_while(|line| *line != "    #!/bin/sh")
        .take_while(|line| line.starts_with("    "))
        .map(|line| line[4..].to_owned() + "\n")
        .collect();
    assert!(hook.contains("kvmsh check"), "{hook}");
    let home = home();
    let bin = Path::new(env!("CARGO_BIN_EXE_kvmsh")).parent().unwrap();
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).args(args).current_dir(home.path());
        git.env("HOME", home.path()).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        git.env("XDG_CONFIG_HOME", home.path().join("config")).output().unwrap()
    };
    assert!(git(&["init", "-q", "."]).status.success());
    let file = home.path().join(".git/hooks/pre-commit");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, hook).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (text, accepted) in [(BAD, false), ("print(1);\n", true)] {
        fs::write(home.path().join("a script.rhai"), text).unwrap();
        git(&["add", "a script.rhai"]);
        let output = git(&["commit", "-q", "-m", "x"]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), accepted, "{stderr}");
        assert_eq!(stderr.contains("a script.rhai:2:3"), !accepted, "{stderr}");
    }
}
