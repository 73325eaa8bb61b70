//! What cron may rely on: locks, windows, deadlines, the journal; nothing is asked, and nothing hangs.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::scene::Alone;

/// Something that changes the test driver's host.
const CHANGE: &str = "host(`test:///default`).domain(`test`).suspend()";

/// A kvmsh that works on; killed when dropped.
struct Working(std::process::Child);

impl Working {
    fn begin(alone: &Alone, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        command.args(args).current_dir(alone.dir()).env_clear().env("HOME", alone.dir());
        command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn one_run_at_a_time_under_a_lock_which_dies_with_its_holder() {
    let alone = Alone::new();
    alone.write("night.rhai", "host(`test:///default`).write(args[0], `x`); sleep(60)\n");
    let mark = alone.dir().join("mark");
    let first = Working::begin(&alone, &["--lock", "nightly", "night.rhai", mark.to_str().unwrap()]);
    wait_for("the first run to begin", || mark.exists());
    let second = alone.run(&["--lock", "nightly", "-c", "print(1)"]);
    second.ends(4).says(&[
        "error[locked]: the lock nightly is held by process ",
        ", night.rhai, since ",
        "--wait",
    ]);
    assert_eq!(second.stdout, "");
    alone.run(&["--lock", "weekly", "-c", "1"]).ends(0);
    let waited = alone.run(&["--lock", "nightly", "--wait", "1s", "-c", "1"]);
    waited.ends(4).within(Duration::from_secs(15));
    drop(first);
    alone.run(&["--lock", "nightly", "-c", "1"]).ends(0);
    alone.run(&["--lock", "../x", "-c", "1"]).ends(2);
}

#[test]
fn outside_of_its_window_a_run_does_not_begin_and_a_plan_does() {
    let now = jiff::Zoned::now();
    let hour = |hours: i64| now.saturating_add(jiff::Span::new().hours(hours)).strftime("%H:00").to_string();
    let (closed, open) = (format!("{}-{}", hour(3), hour(5)), format!("{}-{}", hour(-2), hour(3)));
    let alone = Alone::new();
    let refused = alone.run(&["--window", &closed, "-c", "print(1)"]);
    refused.ends(4).says(&["error[window_closed]", &closed]);
    assert_eq!(refused.stdout, "");
    alone.run(&["--window", &closed, "--plan", "-c", CHANGE]).ends(6);
    alone.run(&["--window", &open, "-c", CHANGE]).ends(0);
    alone.run(&["--window", "5", "-c", "1"]).ends(2).says(&["22:00-05:00"]);
}

#[test]
fn a_step_that_takes_too_long_is_aborted_and_the_script_may_go_on() {
    let alone = Alone::new();
    let slow = "host(`test:///default`).run(`sleep 50`)";
    let failed = alone.run(&["--step-timeout", "1s", "-c", slow]);
    failed.ends(1).says(&["error[step_timeout]"]).within(Duration::from_secs(15));
    let code = format!(
        "try {{ within(0.3, || {slow}) }} catch (e) {{ print(e.code) }} try {{ within(0.3, || {{ loop {{}} }}) }} catch (e) {{ print(e.code) }} print(within(5, || 7))"
    );
    let went_on = alone.run(&["-c", &code]);
    went_on.ends(0).within(Duration::from_secs(15));
    assert_eq!(went_on.stdout, "step_timeout\nstep_timeout\n7\n");
    let many = "print(try_par([1, 2], |n| within(0.2, || sleep(50))).map(|row| row.error.code)); try { within(0.3, || par([1], |n| sleep(50))) } catch (e) { print(e.code) }";
    let many = alone.run(&["-c", many]);
    many.ends(0)
        .within(Duration::from_secs(15))
        .prints(&["[\"step_timeout\", \"step_timeout\"]\nstep_timeout\n"]);
}

#[test]
fn root_runs_no_script_and_no_module_that_everybody_may_write() {
    assert!(nix::unistd::geteuid().is_root(), "make test runs as root, as the practice cluster needs it");
    let alone = Alone::new();
    alone.write("script.rhai", "import \"module\" as m; print(1)\n");
    alone.write("module.rhai", "fn f() {}\n");
    let open = |name: &str, mode: u32| {
        std::fs::set_permissions(alone.dir().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    alone.run(&["script.rhai"]).ends(0);
    open("script.rhai", 0o666);
    alone.run(&["script.rhai"]).ends(4).says(&[
        "error[world_writable]",
        "script.rhai",
        "chmod o-w script.rhai",
    ]);
    open("script.rhai", 0o644);
    open("module.rhai", 0o646);
    alone.run(&["script.rhai"]).ends(4).says(&["error[world_writable]", "module.rhai", "script.rhai:1:8"]);
    open("module.rhai", 0o644);
    open(".", 0o777);
    alone.run(&["script.rhai"]).ends(4).says(&["the directory of script.rhai"]);
    open(".", 0o1777);
    alone.run(&["script.rhai"]).ends(0);

    // Nor what somebody else owns, or could put another in the place of, however far up.
    let own = |name: &str, user: u32| {
        std::os::unix::fs::chown(alone.dir().join(name), Some(user), None).unwrap();
    };
    own("script.rhai", 12345);
    alone.run(&["script.rhai"]).ends(4).says(&["error[not_ours]", "12345", "chown root script.rhai"]);
    own("script.rhai", 0);
    own("module.rhai", 12345);
    alone.run(&["script.rhai"]).ends(4).says(&["error[not_ours]", "module.rhai", "script.rhai:1:8"]);
    own("module.rhai", 0);
    std::fs::create_dir_all(alone.dir().join("a/b")).unwrap();
    alone.write("a/b/deep.rhai", "print(1)");
    alone.write("a/b/hosts.toml", "[hosts.x]\naddress = \"localhost\"\n");
    let (script, inventory) = (["a/b/deep.rhai"], ["--inventory", "a/b/hosts.toml", "-c", "1"]);
    for words in [&script[..], &inventory] {
        alone.run(words).ends(0);
        for (mode, user, code) in [(0o777, 0, "world_writable"), (0o755, 12345, "not_ours")] {
            open("a", mode);
            own("a", user);
            alone.run(words).ends(4).says(&[&format!("error[{code}]"), "/a, above a/b/"]);
            own("a", 0);
            open("a", 0o755);
        }
    }
    own("a/b/hosts.toml", 12345);
    alone.run(&inventory).ends(4).says(&["error[not_ours]"]);
    own("a/b/hosts.toml", 0);
    open("a/b/hosts.toml", 0o666);
    alone.run(&inventory).ends(4).says(&["error[world_writable]"]);
}

/// What a library of another clock says, which `hands` move.
fn by_another_clock(alone: &Alone, hands: &std::path::Path, args: &[&str]) -> Command {
    let library = crate::leases::glob("/usr/lib", "faketime/libfaketimeMT.so.1");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
    command
        .args(["--timeout", "90s"])
        .args(args)
        .current_dir(alone.dir())
        .env_clear()
        .env("HOME", alone.dir());
    command.env("PATH", "/usr/bin:/bin").env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", hands);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").stdin(Stdio::null());
    command
}

#[test]
fn when_the_window_closes_what_is_in_flight_ends_and_nothing_more_begins() {
    let now = jiff::Zoned::now();
    let hour = |hours: i64| now.saturating_add(jiff::Span::new().hours(hours)).strftime("%H:%M").to_string();
    let window = format!("{}-{}", hour(-2), hour(2));
    let alone = Alone::new();
    let hands = alone.dir().join("hands");
    let there = |name: &str| alone.dir().join(name).exists();
    for (before, code, class) in
        [("h.run(`touch before`);", 5, "something was done"), ("", 5, "the step in flight was")]
    {
        std::fs::write(&hands, "+0\n").unwrap();
        for name in ["begun", "jumped", "ended", "more", "cleared"] {
            let _ = std::fs::remove_file(alone.dir().join(name));
        }
        alone.write(
            "night.rhai",
            &format!(
                "let h = host(`test:///default`); {before}
                finally(|| {{ h.run(`touch begun; while ! [ -e jumped ]; do sleep 0.1; done; touch ended`); h.run(`touch more`); }},
                    || h.run(`touch cleared`));"
            ),
        );
        let mut command = by_another_clock(&alone, &hands, &["--window", &window, "night.rhai"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the step to begin", || there("begun"));
        std::fs::write(&hands, "+3h\n").unwrap();
        std::fs::write(alone.dir().join("jumped"), "").unwrap();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{class}: {said}");
        assert!(
            said.contains("error[window_closed]: not begun outside of the window") && said.contains(&window),
            "{said}"
        );
        assert!(there("ended") && there("cleared") && !there("more"), "{said}");
    }
    // The journal has what began with its end, and nothing of what did not begin.
    let journal = alone.run(&["journal", "-o", "json"]);
    let changes: serde_json::Value = serde_json::from_str(&journal.stdout).unwrap();
    assert_eq!(
        changes.as_array().map(|all| all.iter().filter(|one| one["result"] == "ok").count()),
        Some(5),
        "{journal}"
    );
}

#[test]
fn the_journal_answers_what_happened() {
    let alone = Alone::new();
    alone.write(
        "night.rhai",
        &format!("{CHANGE};\nif args[0] == `bad` {{ host(`test:///default`).domain(`test`).suspend() }}\n"),
    );
    alone.run(&["night.rhai", "good", "--token=abcdef"]).ends(0);
    alone.run(&["night.rhai", "bad"]).ends(1);
    alone.write("idle.rhai", "1");
    alone.run(&["idle.rhai"]).ends(0);
    alone.run(&["-c", "1"]).ends(0);
    alone.run(&["--plan", "night.rhai", "good"]).ends(6);

    let runs = alone.run(&["journal", "--runs", "-o", "csv"]);
    let rows: Vec<Vec<&str>> = runs.stdout.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let seen: Vec<String> = rows.iter().map(|row| row[3..8].join(" ")).collect();
    assert_eq!(
        seen,
        ["night.rhai good --token=*** 0 1 0", "night.rhai bad 1 2 1", "idle.rhai  0 0 0"],
        "{runs}"
    );
    assert!(rows.iter().all(|row| !row[2].is_empty() && row[2] != "unknown"), "{runs}");

    let tree = alone.run(&["journal", "--tree"]);
    tree.ends(0).prints(&[
        "night.rhai good --token=*** by ",
        ": exit 0, 1 changes, 0 failed, ",
        "\n├─ ",
        "\n└─ ",
    ]);
    tree.prints(&["suspend domain test on test:///default: ok", ": FAILED: "]);
    let json = alone.run(&["journal", "--tree", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json[1]["records"].as_array().map(Vec::len), Some(2), "{json}");
    assert_eq!(alone.run(&["journal", "--failed", "-o", "csv"]).stdout.lines().count(), 2);
    assert_eq!(alone.run(&["journal", "--user", "nobody", "-o", "csv"]).stdout.lines().count(), 1);
    assert_eq!(alone.run(&["-H", "h2-*", "journal", "-o", "csv"]).stdout.lines().count(), 1);
    let followed = alone.run(&["--timeout", "1s", "journal", "-f"]);
    followed.ends(124).prints(&["suspend"]);
}

#[test]
fn what_is_written_while_somebody_follows_is_shown_also_after_a_new_file_was_begun() {
    let alone = Alone::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
    command.args(["--timeout", "90s", "journal", "-f"]).current_dir(alone.dir()).env_clear();
    let file = |name: &str| std::fs::File::create(alone.dir().join(name)).unwrap();
    command.env("HOME", alone.dir()).stdin(Stdio::null()).stdout(file("shown")).stderr(file("said"));
    let mut child = Working(command.spawn().unwrap());
    wait_for("it to follow", || {
        std::fs::read_to_string(alone.dir().join("said")).unwrap().contains("following")
    });
    let lines = || std::fs::read_to_string(alone.dir().join("shown")).unwrap().lines().count();
    // Each run writes its begin, the change's begin and end, and its end; after each the file is full.
    for round in 1..=2 {
        let mut run = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        run.args(["-c", CHANGE]).env_clear().env("HOME", alone.dir()).env("KVMSH_JOURNAL_SIZE", "10");
        assert!(run.status().unwrap().success());
        wait_for("four lines more", || lines() == 4 * round);
    }
    assert_eq!(alone.run(&["journal", "-o", "csv"]).stdout.lines().count(), 3);
    child.0.kill().unwrap();
}

#[test]
fn without_a_journal_nothing_is_changed_unless_told_so() {
    let alone = Alone::new();
    let full = alone.run(&["--journal", "/dev/full", "-c", &format!("{CHANGE}; print(1)")]);
    full.ends(4).says(&["error[journal]", "--no-journal"]);
    assert_eq!(full.stdout, "");
    alone.run(&["--no-journal", "-c", &format!("{CHANGE}; print(1)")]).ends(0).prints(&["1\n"]);
    assert_eq!(alone.run(&["journal", "-o", "csv"]).stdout.lines().count(), 1);
}

#[test]
fn what_clears_away_runs_however_the_script_ends() {
    let work = |body: &str| format!("finally(|| {{ {body} }}, || {{ sleep(0.1); print(`cleared`) }})");
    for (body, code) in [("7", 0), ("throw `x`", 1), ("exit(5)", 5), ("sleep(50)", 124), ("loop {}", 124)] {
        let alone = Alone::new();
        let ran = alone.run(&["--timeout", "2s", "-c", &format!("print({})", work(body))]);
        ran.ends(code).prints(&["cleared\n"]).within(Duration::from_secs(15));
    }
    // A block within another that clears away, after the stop: each has its own time, and runs to its end.
    let alone = Alone::new();
    let code = "finally(|| sleep(50), || finally(|| { print(`outer`); sleep(0.3); exit(3) }, || { sleep(0.3); finally(|| print(`inner`), || print(`innermost`)) }))";
    let ran = alone.run(&["--timeout", "1s", "-c", code]);
    ran.ends(124).prints(&["outer\ninner\ninnermost\n"]).within(Duration::from_secs(15));
    // One that is cut short takes nothing from the one within.
    let code = "finally(|| (), || try { within(0.3, || finally(|| sleep(50), || { sleep(0.6); print(`whole`) })) } catch (e) { print(e.code) })";
    let ran = alone.run(&["-c", code]);
    ran.ends(0).prints(&["whole\nstep_timeout\n"]).within(Duration::from_secs(15));
    let nested = "try { finally(|| throw `first`, || throw `second`) } catch (e) { print(e) }";
    let ran = Alone::new().run(&["-c", nested]);
    ran.ends(0).prints(&["first\n"]).says(&["clearing away failed as well: second"]);
}

#[test]
fn the_first_error_keeps_the_rest_from_beginning() {
    let code = "try { par([1, 2, 3, 4], #{parallel: 1, stop_on_error: true}, |n| { print(n); if n == 2 { throw `no` } }) } catch (e) { print(e) }
        print(par([1, 2], #{}, |n| n * 2));";
    let ran = Alone::new().run(&["-c", code]);
    ran.ends(0);
    assert_eq!(ran.stdout, "1\n2\nno\n[2, 4]\n");
    Alone::new().run(&["-c", "par([1], #{parallel: 0}, |n| n)"]).ends(1).says(&["error[invalid_arg]"]);
}

#[test]
fn a_script_takes_no_more_than_its_limits_which_can_be_set() {
    let cases = [
        ("fn f(n) { f(n + 1) } f(0)", "calls itself too deeply", None),
        ("let s = `x`; loop { s += s; }", "too large", None),
        ("let a = []; a.pad(1000001, 0); a.len()", "too large", Some("array=1000001")),
        ("let s = `x`; for n in 0..29 { s += s; } s.len()", "too large", None),
        ("let x = 0; for n in 0..2000 { x += n; } x", "", None),
    ];
    for (code, says, allowed) in cases {
        let ran = Alone::new().run(&["-c", code]);
        if says.is_empty() {
            ran.ends(0);
            Alone::new()
                .run(&["--limit", "operations=100", "-c", code])
                .ends(1)
                .says(&["error[script_limit]"]);
            continue;
        }
        ran.ends(1).says(&["error[script_limit]", says]).within(Duration::from_secs(15));
        if let Some(limit) = allowed {
            Alone::new().run(&["--limit", limit, "-c", code]).ends(0);
        }
    }
    // Maps that are only written to are looked at by nobody; nested ones neither.
    for code in [
        "let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }",
        "let m = #{ a: #{} }; let i = 0; loop { m.a[`k${i}`] = i; i += 1; }",
    ] {
        let ran = Alone::new().run_for(&["--limit", "memory=60MiB", "-c", code], Duration::from_secs(90));
        ran.ends(1)
            .says(&["error[script_limit]: the script holds more memory than it may: 60", "--limit memory="]);
    }
    let mebibytes = "let s = `x`; for n in 0..21 { s += s; } s.len()";
    Alone::new().run(&["-c", mebibytes]).ends(0);
    Alone::new().run(&["--limit", "string=1MiB", "-c", mebibytes]).ends(1).says(&["error[script_limit]"]);
    Alone::new().run(&["--timeout", "1s", "-c", "loop {}"]).ends(124);
    Alone::new().run(&["--limit", "arrays=1", "-c", "1"]).ends(2).says(&["array=N"]);
}

#[test]
fn a_new_script_is_sound_and_never_written_over_another() {
    let alone = Alone::new();
    alone.run(&["new", "night"]).ends(0).says(&["wrote night.rhai"]);
    alone.run(&["check", "night.rhai"]).ends(0);
    alone.run(&["night.rhai", "--help"]).ends(0).prints(&["usage: kvmsh night.rhai HOST"]);
    alone.run(&["night.rhai", "test:///default"]).ends(0).says(&["test is running"]);
    alone.run(&["--plan", "night.rhai", "test:///default", "--force"]).ends(6);
    alone.run(&["new", "night.rhai"]).ends(1).says(&["error[local_file]", "File exists"]);
}

#[test]
fn what_is_said_can_be_json_and_success_can_be_silent() {
    let alone = Alone::new();
    alone.write(
        "night.rhai",
        "log(`warn`, `hot`); progress(`disks`, 1).finish(`copied`); host(`test:///default`).domain(`x`)",
    );
    let said = alone.run(&["--log-format", "json", "night.rhai"]);
    said.ends(1);
    let lines: Vec<serde_json::Value> =
        said.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let field = |at: usize, name: &str| lines[at][name].as_str().unwrap_or_default().to_owned();
    assert_eq!((field(0, "level"), field(0, "message")), ("warn".into(), "hot".into()), "{said}");
    assert_eq!((lines.len(), field(1, "message")), (3, "disks: copied".into()), "{said}");
    let error = ["level", "code", "host", "object", "place"].map(|name| field(2, name));
    assert_eq!(error, ["error", "no_domain", "test:///default", "domain x", "night.rhai:1"], "{said}");
    let run = alone.run(&["journal", "--runs", "-o", "json"]);
    assert!(run.stdout.contains(&field(2, "run")) && field(2, "run").len() == 8, "{run}");
    let script = |name| crate::scene::script(name).display().to_string();
    let health = |options: &[&str]| {
        alone.run(&[options, &[&script("health.rhai"), "test:///default", "--clock", "3600"]].concat())
    };
    health(&[]).ends(0).prints(&["1 host: all is well"]);
    let quiet = health(&["-q"]);
    assert_eq!((quiet.code(), quiet.stdout.as_str(), quiet.stderr.as_str()), (0, "", ""));
    // What is asked for comes all the same.
    alone.run(&["-q", &script("inventory.rhai"), "test:///default"]).ends(0).prints(&["test:///default"]);
}

#[test]
fn a_quiet_run_says_what_is_wrong_and_nothing_else() {
    let alone = Alone::new();
    let code = "log(`info`, `begun`); log(`warn`, `hot`); log(`error`, `web1: disk gone`); exit(5)";
    let said = alone.run(&["-q", "-c", code]);
    said.ends(5);
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", "warning: hot\nerror: web1: disk gone\n"));
    // Also of a clean-up that fails after what it clears away has failed.
    let twice =
        alone.run(&["-q", "-c", "finally(|| throw `first`, || host(`test:///default`).domain(`nope`))"]);
    twice.ends(1).says(&["error: clearing away failed as well: ", "nope", "first"]);
}

#[test]
fn a_refusal_is_exit_4_only_where_nothing_was_changed() {
    let alone = Alone::new();
    let refused = "fail(`refused`, #{ message: `no` })";
    let suspend = "host(`test:///default`).domain(`test`).suspend()";
    alone.run(&["-c", refused]).ends(4);
    alone.run(&["-c", &format!("{suspend}; {refused}")]).ends(5).says(&["no"]);
    alone.run(&["-c", &format!("try {{ {suspend}; {suspend} }} catch {{}} {refused}")]).ends(5);
    alone.run(&["--plan", "-c", &format!("{suspend}; {refused}")]).ends(4);
}

#[test]
fn options_of_scripts_that_are_wrong_say_what_was_meant() {
    let alone = Alone::new();
    let spec = "import \"std/cli\" as cli; let o = cli::parse(args, #{ usage: \"o.rhai [options]\", about: \"\", operands: [], \
                options: #{ disks: #{ kind: \"text\", help: \"which\" }, to: #{ kind: \"list\", help: \"where\", required: true } } }); \
                print(o.to);";
    alone.write("o.rhai", spec);
    for (words, says) in [
        (&["--dsks", "x"][..], "did you mean `--disks`?"),
        (&["--plan"], "stand before the script"),
        (&["--disks", "x"], "it needs --to LIST"),
    ] {
        let wrong = alone.run(&[&["o.rhai"], words].concat());
        wrong.ends(2).says(&[says]);
        assert!(!wrong.stderr.contains("std/cli"), "{wrong}");
    }
    alone.run(&["o.rhai", "--to", "a", "--to", "b"]).ends(0).prints(&["[\"a\", \"b\"]"]);
    alone.run(&["o.rhai", "--help"]).ends(0).prints(&["(needed)"]);
    let spec = spec.replace(
        "disks: #{ kind: \"text\"",
        "wait: #{ kind: \"seconds\", help: \"how long\" }, disks: #{ kind: \"text\"",
    );
    alone.write("w.rhai", &spec.replace("print(o.to)", "print(o.wait)"));
    for (time, is) in [("90", "90.0"), ("5m", "300.0"), ("1h30m", "5400.0")] {
        alone.run(&["w.rhai", "--to", "a", "--wait", time]).ends(0).prints(&[is]);
    }
    alone
        .run(&["w.rhai", "--to", "a", "--wait", "soon"])
        .ends(2)
        .says(&["--wait takes a time such as 90s, 5m or 1h30m, not `soon`"]);
    alone.run(&["-H", "test:///default", "-c", "print(hosts().len())"]).ends(0).prints(&["1"]);
}

#[test]
fn who_cannot_be_reached_is_exit_3_and_a_slip_of_the_command_line_2() {
    let alone = Alone::new();
    alone.write(
        "hosts.toml",
        "[hosts.a]\naddress = \"127.0.0.1\"\nport = 1\n[hosts.b]\naddress = \"b.invalid\"\n",
    );
    let script = |name: &str| crate::scene::script(name).display().to_string();
    let (evacuate, backup) = (script("evacuate.rhai"), script("backup.rhai"));
    let cases: [(&[&str], i32, &str); 17] = [
        (&["-c", "host(`a`).version"], 3, "connection_refused"),
        (&["-c", "host(`b`).run(`true`)"], 3, "unresolvable"),
        (&["-c", "host(`nosuch`)"], 3, "unknown_host"),
        (&["-c", "hosts(`z*`)"], 3, "unknown_host"),
        (&["-H", "nosuch", "-c", "1"], 3, "unknown_host"),
        (&["-c", "par([`a`], |n| host(n).version)"], 3, "connection_refused"),
        (&["-c", "try { host(`a`).version } catch (e) { throw e }"], 3, "connection_refused"),
        (&["-c", "try { host(`a`).version } catch (e) { throw `x` }"], 1, "thrown"),
        (&["hosts", "test", "a"], 3, "connection_refused"),
        (&["hosts", "test", "nosuch"], 3, "unknown_host"),
        (&[&evacuate, "a"], 3, "connection_refused"),
        (&["--plan", &evacuate, "a"], 3, "connection_refused"),
        (&[&backup, "b", "--to", "/x"], 3, "unresolvable"),
        // Nobody was to be reached.
        (&["hosts", "remove", "nosuch"], 2, "unknown_host"),
        (&["hosts", "add", "a", "127.0.0.1"], 2, "host_exists"),
        (&["-c", "host(`qemu+ssh://h`)"], 2, "invalid_uri"),
        (&[&evacuate, "--nosuch"], 2, "usage"),
    ];
    for (words, code, error) in cases {
        let ended = alone.run(&[&["--inventory", "hosts.toml"], words].concat());
        assert_eq!(ended.code(), code, "{words:?}: {ended}");
        ended.says(&[&format!("error[{error}]")]);
    }
}
