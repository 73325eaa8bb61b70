//! How a script ends when somebody stops it, or nobody reads it.

use std::process::{Command, Stdio};

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn kvmsh(args: &[&str]) -> (tempfile::TempDir, Command) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
    command.args(args).env_clear().env("HOME", home.path()).env("LANG", "C.UTF-8").stdin(Stdio::null());
    (home, command)
}

fn run(args: &[&str]) -> Ran {
    let (_home, mut command) = kvmsh(args);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Takes its time in one call that does not look at the clock.
const SLOW: &str = "let all = []; all.pad(1000000, 1); let text = json(all);";

#[test]
fn a_script_that_ends_before_it_sees_its_stop_was_stopped_all_the_same() {
    for (end, shown) in [("7", "7\n"), ("print(`told`); exit(5)", "told\n")] {
        let ran = run(&["--timeout", "50ms", "-c", &format!("{SLOW} {end}")]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(124), shown), "{end}: {}", ran.stderr);
        assert!(ran.stderr.contains("error[timed_out]"), "{}", ran.stderr);
    }
    let ran = run(&["--plan", "--timeout", "50ms", "-c", SLOW]);
    assert_eq!(ran.code, Some(124), "{}", ran.stderr);
}

#[test]
fn a_stopped_script_changes_nothing_more() {
    let code = format!("let test = host(`test:///default`).domain(`test`); {SLOW} test.suspend(); print(1)");
    let ran = run(&["--timeout", "50ms", "--journal", "/dev/stderr", "-c", &code]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(124), ""), "{}", ran.stderr);
    assert!(!ran.stderr.contains("\"phase\""), "{}", ran.stderr);
}

#[test]
fn a_reader_that_has_gone_does_not_change_how_a_script_ends() {
    for (end, code) in [("exit(5)", 5), ("throw `x`", 1), ("help(`migrate`); 7", 0)] {
        let (_home, mut command) = kvmsh(&["-c", &format!("sleep(0.3); print(1); print(2); {end}")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{end}");
    }
}

#[test]
fn output_that_is_lost_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (_home, mut command) = kvmsh(&["-c", "print(1); exit(0)"]);
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[stdout]"));
}

#[test]
fn nested_values_stay_values_for_programs_and_are_readable_in_tables() {
    let rows = "[#{a: #{b: 1}, c: [2, #{d: `e`}]}]";
    let json = "[{\"a\":{\"b\":1},\"c\":[2,{\"d\":\"e\"}]}]";
    let tight = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(tight(&run(&["-c", &format!("print(json({rows}))")]).stdout), json);
    assert_eq!(tight(&run(&["-o", "json", "-c", rows]).stdout), json);
    assert_eq!(run(&["-c", rows]).stdout, "a     c\nb: 1  2, {d: e}\n");
    assert_eq!(run(&["-c", &format!("print(yaml({rows}))")]).stdout.lines().next(), Some("- a:"));
}

#[test]
fn tables_become_csv_and_work_of_a_script_shows_its_progress() {
    assert_eq!(run(&["-c", "print(csv([#{a: 1, b: `x,y`}]))"]).stdout, "a,b\n1,\"x,y\"\n\n");
    let ran = run(&["-c", "let line = progress(`disks`, 3); line.set(2, `sda`); line.finish(`copied`)"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "disks: copied\n"));
}

/// As `nohup` and a terminal that is closed do it.
#[test]
fn who_is_told_to_ignore_a_hang_up_does() {
    let hang_up = |prefix: &str| {
        let home = tempfile::tempdir().unwrap();
        let line = format!("{prefix} exec \"$0\" -c 'print(1); sleep(3); print(2)' >out");
        // Whoever runs the tests may ignore it, too.
        let mut sh = Command::new("env");
        sh.args([
            "-i",
            "--default-signal=HUP",
            "PATH=/usr/bin:/bin",
            &format!("HOME={}", home.path().display()),
        ]);
        sh.args(["sh", "-c", &line, env!("CARGO_BIN_EXE_kvmsh")]).current_dir(home.path());
        let mut child = sh.stdin(Stdio::null()).spawn().unwrap();
        let out = || std::fs::read_to_string(home.path().join("out")).unwrap_or_default();
        crate::lab::wait_until(std::time::Duration::from_secs(30), "kvmsh to begin", || out() == "1\n");
        assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
        (child.wait().unwrap().code(), out())
    };
    assert_eq!(hang_up("trap '' HUP;"), (Some(0), "1\n2\n".to_owned()));
    assert_eq!(hang_up(""), (Some(130), "1\n".to_owned()));
}
