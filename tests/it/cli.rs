//! The command line: stdout, stderr and exit codes of the built binary.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use tempfile::TempDir;

/// A place with its own home, and nothing else in the environment.
struct Place(TempDir);

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(name: &str, text: &str) -> Self {
        let place = Self::new();
        place.write(name, text);
        place
    }

    fn with_hosts(text: &str) -> Self {
        Self::with("config/kvmsh/hosts.toml", text)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        command
            .args(shlex::split(line).unwrap())
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Ran {
        self.finish(self.command(line), "")
    }

    fn feed(&self, line: &str, stdin: &str) -> Ran {
        let mut command = self.command(line);
        command.stdin(Stdio::piped());
        self.finish(command, stdin)
    }

    /// Runs it; the place's own path reads `DIR`.
    fn finish(&self, mut command: Command, stdin: &str) -> Ran {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(stdin.as_bytes()).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(self.path().to_str().unwrap(), "DIR");
        Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    #[track_caller]
    fn prints(self, stdout: &str) {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (0, stdout, ""));
    }

    #[track_caller]
    fn fails(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
        self.stderr
    }
}

const HOSTS: &str = r#"# Our two.
[hosts.h2-a]
address = "192.0.2.11"
tags = ["rack1", "ssd"]

[hosts.h2-b]
address = "2001:db8::12"
user = "admin"
port = 2222

[hosts.here]
uri = "test:///default"

[groups]
pair = ["h2-*"]
"#;

mod general {
    use super::*;

    #[test]
    fn help_and_version_are_data() {
        let help = Place::new().run("--help");
        assert_eq!((help.code, help.stderr.as_str()), (0, ""));
        for word in ["--plan", "--read-only", "--inventory", "-c <CODE>", "hosts", "journal", "124"] {
            assert!(help.stdout.contains(word), "{word}");
        }
        assert!(help.stdout.lines().all(|line| line.len() <= 100));
        Place::new().run("--version").prints(&format!("kvmsh {}\n", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn an_unknown_option_is_usage_with_a_tip() {
        let stderr = Place::new().run("--tiemout 5 x.rhai").fails(2);
        assert!(stderr.contains("--tiemout") && stderr.contains("'--timeout'"), "{stderr}");
        Place::new().run("--plan --read-only -c 1").fails(2);
        Place::new().run("--output xml -c 1").fails(2);
    }

    #[test]
    fn a_time_that_is_none_says_how_to_write_one() {
        let stderr = Place::new().run("--timeout soon -c 1").fails(2);
        assert!(stderr.contains("`soon` is no time: write 90s, 5m, 1h30m"), "{stderr}");
    }

    #[test]
    fn what_is_neither_script_nor_command_is_told_with_what_may_be_meant() {
        assert_snapshot!(Place::new().run("jornal").fails(2), @"
        error[usage]: jornal is neither a script nor a command
          help: did you mean `journal`?
        ");
        assert_snapshot!(Place::new().run("frobnicate").fails(2), @"
        error[usage]: frobnicate is neither a script nor a command
          help: commands are: hosts, journal, check, new, completions, man, definitions; see kvmsh --help
        ");
        assert_snapshot!(Place::with("evacuate.rhai", "").run("evacute.rhai").fails(2), @"
        error[usage]: there is no script evacute.rhai
          help: did you mean `evacuate.rhai`?
        ");
    }

    #[test]
    fn completions_know_the_options_and_commands() {
        for shell in ["bash", "zsh", "fish"] {
            let completions = Place::new().run(&format!("completions {shell}"));
            assert_eq!((completions.code, completions.stderr.as_str()), (0, ""));
            for word in ["read-only", "inventory", "hosts", "journal", "accept-fingerprint"] {
                assert!(completions.stdout.contains(word), "{shell}: {word}");
            }
        }
        Place::new().run("completions cmd").fails(2);
    }

    #[test]
    fn the_manual_page_has_its_sections() {
        let man = Place::new().run("man");
        assert_eq!((man.code, man.stderr.as_str()), (0, ""));
        for word in [
            ".SH SYNOPSIS",
            ".SH OPTIONS",
            ".SH COMMANDS",
            ".SH \"EXIT STATUS\"",
            "KVMSH_INVENTORY",
            "hosts add",
            "130",
        ] {
            assert!(man.stdout.contains(word), "{word}");
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let place = Place::new();
        let line =
            format!("{} completions bash | true; test ${{PIPESTATUS[0]}} = 0", env!("CARGO_BIN_EXE_kvmsh"));
        let mut command = Command::new("bash");
        command.args(["-c", &line]).current_dir(place.path()).stdin(Stdio::null());
        let ran = place.finish(command, "");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    }
}

mod scripts {
    use super::*;

    #[test]
    fn a_line_prints_its_value_and_a_file_does_not() {
        Place::new().run("-c '1 + 1'").prints("2\n");
        Place::new().run("-c 'let x = 1;'").prints("");
        Place::new()
            .run("-c '#{a: 1, b: [true]}' --output json")
            .prints("{\n  \"a\": 1,\n  \"b\": [\n    true\n  ]\n}\n");
        Place::with("x.rhai", "1 + 1").run("x.rhai").prints("");
    }

    #[test]
    fn what_follows_the_file_belongs_to_the_script() {
        let place = Place::with("x.rhai", "for a in args { print(a); }");
        place
            .run("x.rhai --plan -v --output nonsense -- -H")
            .prints("--plan\n-v\n--output\nnonsense\n--\n-H\n");
        place.run("-c 'args.len()' -- --plan x").prints("2\n");
        place.feed("- --yes", "print(args[0]);").prints("--yes\n");
    }

    #[test]
    fn an_existing_file_is_a_script_even_when_it_is_called_like_a_command() {
        for name in ["hosts", "journal", "check", "man"] {
            Place::with(name, "print(args)").run(&format!("{name} list")).prints("[\"list\"]\n");
        }
        // A directory is no script.
        let place = Place::with("hosts/x", "");
        assert_eq!(place.run("hosts list").code, 0);
    }

    #[test]
    fn a_first_line_for_the_kernel_is_no_part_of_the_script() {
        Place::with("x", "#!/usr/bin/env kvmsh\nprint(1);").run("x").prints("1\n");
    }

    #[test]
    fn without_arguments_and_terminal_the_script_comes_from_stdin() {
        Place::new().feed("", "print(6 * 7);").prints("42\n");
    }

    #[test]
    fn exit_decides_the_code_and_an_error_is_one() {
        assert_eq!(Place::new().run("-c 'exit(7)'").code, 7);
        let stderr = Place::with("x.rhai", "let a = 1;\nthrow \"no\";").run("x.rhai").fails(1);
        assert!(stderr.contains("x.rhai:2:1") && stderr.contains("^"), "{stderr}");
    }

    #[test]
    fn a_plan_without_changes_ends_with_zero_and_keeps_a_failure() {
        Place::new().run("--plan -c '1'").prints("Nothing to change.\n");
        Place::new().run("--plan --output json -c '1'").prints("[]\n");
        assert_eq!(Place::new().run("--plan -c 'exit(3)'").code, 3);
        Place::new().run("--plan -c 'throw 1'").fails(1);
    }

    #[test]
    fn check_finds_what_is_wrong_and_runs_nothing() {
        let place = Place::with("good.rhai", "print(1);");
        place.run("check good.rhai").prints("");
        place.write("bad.rhai", "print(");
        let stderr = place.run("check good.rhai bad.rhai").fails(1);
        assert!(stderr.contains("bad.rhai:1:"), "{stderr}");
    }

    #[test]
    fn a_table_is_no_csv_unless_it_is_one() {
        let stderr = Place::new().run("--output csv -c '#{a: 1}'").fails(2);
        assert!(stderr.contains("this result is no table"), "{stderr}");
        Place::new().run("--output csv -c '[#{a: 1}, #{a: 2}]'").prints("a\n1\n2\n");
    }
}

mod colour {
    use super::*;

    fn coloured(line: &str, vars: &[(&str, &str)]) -> bool {
        let place = Place::new();
        let mut command = place.command(line);
        command.envs(vars.iter().copied());
        place.finish(command, "").stderr.contains("\x1b[")
    }

    #[test]
    fn colour_is_for_terminals_unless_it_is_asked_for() {
        assert!(!coloured("-c 'throw 1'", &[]));
        assert!(coloured("--color always -c 'throw 1'", &[]));
        assert!(coloured("--color always -c 'throw 1'", &[("NO_COLOR", "1")]));
        assert!(coloured("-c 'throw 1'", &[("CLICOLOR_FORCE", "1")]));
        assert!(!coloured("-c 'throw 1'", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        assert!(!coloured("--color never -c 'throw 1'", &[("CLICOLOR_FORCE", "1")]));
    }

    #[test]
    fn usage_errors_follow_the_same_option() {
        assert!(!coloured("--nonsense", &[]));
        assert!(coloured("--color=always --nonsense", &[]));
        assert!(!coloured("--color never --nonsense", &[("CLICOLOR_FORCE", "1")]));
    }
}

mod inventory {
    use super::*;

    #[test]
    fn hosts_are_listed_in_every_format() {
        let place = Place::with_hosts(HOSTS);
        assert_snapshot!(place.run("hosts list").stdout, @"
        name  address              user   uri                                          tags
        h2-a  192.0.2.11                  qemu+ssh://192.0.2.11/system                 rack1 ssd
        h2-b  [2001:db8::12]:2222  admin  qemu+ssh://admin@[2001:db8::12]:2222/system
        here                              test:///default
        ");
        assert_snapshot!(place.run("-H h2-b hosts list -o json").stdout, @r#"
        [
          {
            "name": "h2-b",
            "address": "[2001:db8::12]:2222",
            "user": "admin",
            "uri": "qemu+ssh://admin@[2001:db8::12]:2222/system",
            "tags": []
          }
        ]
        "#);
        assert_snapshot!(place.run("-H tag:ssd hosts list --output yaml").stdout, @r#"
        - name: h2-a
          address: "192.0.2.11"
          user: null
          uri: qemu+ssh://192.0.2.11/system
          tags:
          - rack1
          - ssd
        "#);
        assert_snapshot!(place.run("hosts list --output csv").stdout, @"
        name,address,user,uri,tags
        h2-a,192.0.2.11,,qemu+ssh://192.0.2.11/system,rack1 ssd
        h2-b,[2001:db8::12]:2222,admin,qemu+ssh://admin@[2001:db8::12]:2222/system,
        here,,,test:///default,
        ");
    }

    #[test]
    fn without_an_inventory_the_list_is_empty_and_says_what_to_do() {
        let ran = Place::new().run("hosts list");
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
        assert_snapshot!(ran.stderr, @"no hosts yet: add one with kvmsh hosts add NAME [user@]ADDRESS");
        Place::new().run("hosts list -o json").prints("[]\n");
    }

    #[test]
    fn a_mistake_is_shown_with_its_place() {
        let place = Place::with_hosts("[hosts.h2-a]\nadress = \"h2-a\"\n");
        assert_snapshot!(place.run("hosts list").fails(2), @r#"
        error[inventory]: unknown key `adress` in [hosts.h2-a]
         --> DIR/config/kvmsh/hosts.toml:2:1
          |
        2 | adress = "h2-a"
          | ^^^^^^
          = help: did you mean `address`?
        "#);
        assert_snapshot!(place.run("-c 1").fails(2), @r#"
        error[inventory]: unknown key `adress` in [hosts.h2-a]
         --> DIR/config/kvmsh/hosts.toml:2:1
          |
        2 | adress = "h2-a"
          | ^^^^^^
          = help: did you mean `address`?
        "#);
        assert_snapshot!(place.run("--inventory nowhere.toml hosts list").fails(2), @"
        error[inventory]: no inventory at nowhere.toml
          help: check --inventory and $KVMSH_INVENTORY, or create it with: kvmsh hosts add NAME ADDRESS
        ");
    }

    #[test]
    fn the_option_is_stronger_than_the_variable_and_that_than_the_usual_place() {
        let place = Place::with_hosts("[hosts.usual]\naddress='a'\n");
        place.write("env.toml", "[hosts.env]\naddress='a'\n");
        place.write("option.toml", "[hosts.option]\naddress='a'\n");
        let first = |line: &str, set: bool| {
            let mut command = place.command(line);
            if set {
                command.env("KVMSH_INVENTORY", "env.toml");
            }
            place.finish(command, "").stdout.lines().nth(1).unwrap().split(',').next().unwrap().to_owned()
        };
        assert_eq!(first("hosts list -o csv", false), "usual");
        assert_eq!(first("hosts list -o csv", true), "env");
        assert_eq!(first("hosts list -o csv --inventory option.toml", true), "option");
    }

    #[test]
    fn an_unknown_host_is_a_connection_error_before_anything_runs() {
        let place = Place::with_hosts(HOSTS);
        let stderr = place.run("-H h2-c -c 'print(1)'").fails(3);
        assert_snapshot!(stderr, @"
        error[unknown_host]: unknown host h2-c: not in DIR/config/kvmsh/hosts.toml
          help: did you mean `h2-a` or `h2-b`?
        ");
    }

    #[test]
    fn a_host_is_added_without_connecting_and_removed_with_its_groups() {
        let place = Place::with_hosts(HOSTS);
        let ran = place.run("hosts add h2-c root@h2-c.example.org:2200 --no-test");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(place.read("config/kvmsh/hosts.toml").starts_with(&HOSTS[..HOSTS.find("[groups]").unwrap()]));
        let list = place.run("-H h2-c hosts list -o csv").stdout;
        assert_eq!(
            list.lines().nth(1),
            Some("h2-c,h2-c.example.org:2200,root,qemu+ssh://root@h2-c.example.org:2200/system,")
        );
        assert_snapshot!(place.run("hosts add h2-c elsewhere --no-test").fails(2), @"
        error[host_exists]: h2-c is already in DIR/config/kvmsh/hosts.toml
          help: choose another name, or first: kvmsh hosts remove h2-c
        ");
        let ran = place.run("hosts remove h2-c");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, "removed h2-c from the inventory\n"));
        assert_eq!(place.read("config/kvmsh/hosts.toml"), HOSTS);
        assert_eq!(place.run("journal -o csv").stdout.lines().count(), 3);
    }

    #[test]
    fn a_plan_and_a_read_only_run_leave_the_inventory_alone() {
        let place = Place::with_hosts(HOSTS);
        let ran = place.run("--plan hosts remove h2-a");
        assert_eq!(ran.code, 6);
        assert_snapshot!(ran.stdout, @"
        1. remove host h2-a on h2-a (from the inventory)
        1 change would be made. Nothing was changed.
        ");
        place.run("--read-only hosts remove h2-a").fails(4);
        assert_eq!(place.read("config/kvmsh/hosts.toml"), HOSTS);
    }

    #[test]
    fn a_host_that_cannot_be_reached_is_not_added() {
        let place = Place::new();
        // Port 1 of this machine: nothing listens there.
        place.run("hosts add x 127.0.0.1:1").fails(3);
        assert!(!place.path().join("config/kvmsh/hosts.toml").exists());
    }

    #[test]
    fn testing_a_host_that_cannot_be_reached_is_a_connection_error_and_still_a_table() {
        let place = Place::with_hosts("[hosts.x]\naddress = '127.0.0.1'\nport = 1\n");
        let ran = place.run("hosts test");
        assert_eq!(ran.code, 3);
        assert!(ran.stdout.starts_with("host  ssh"), "{}", ran.stdout);
        assert!(ran.stderr.contains("host x"), "{}", ran.stderr);
    }
}

mod journal {
    use super::*;

    #[test]
    fn an_empty_journal_says_so_and_is_an_empty_table_for_programs() {
        let ran = Place::new().run("journal");
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
        assert_eq!(ran.stderr, "no changes in DIR/state/kvmsh/journal.ndjson\n");
        Place::new().run("journal -o json").prints("[]\n");
    }

    #[test]
    fn a_torn_line_is_told_and_the_rest_is_shown() {
        let line = r#"{"time":"2026-03-10T12:00:00Z","run":"cafe0123","change":1,"phase":"begin","user":"root","host":"h2-a","kind":"domain","object":"web1","action":"start","origin":{"script":"x.rhai","line":3}}"#;
        let place = Place::with("my.ndjson", &format!("{line}\n{{\"torn\n"));
        let ran = place.run("journal --journal my.ndjson -o csv");
        assert_eq!(ran.stderr, "1 line is not readable in my.ndjson: left out\n");
        assert_snapshot!(ran.stdout, @"
        time,run,host,action,object,result,detail,script
        2026-03-10T12:00:00Z,cafe0123,h2-a,start,domain web1,unfinished,,x.rhai:3
        ");
        let none = place.run("journal --journal my.ndjson --run beef -o csv");
        assert_eq!(none.stdout.lines().count(), 1);
        place.run("journal --since someday").fails(2);
    }
}
