//! What people meet at the prompt every day: long pages, lists of names, hosts that are silent, files with mistakes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::repl::{Prompt, command, home};

/// Ctrl-U: kills the line.
const CLEAR: &str = "\x15";

/// A prompt at a terminal of this size, with these programs of its own besides the system's.
fn at_terminal(home: &TempDir, rows: u16, columns: u16, set: &[(&str, &str)]) -> Prompt {
    let path = format!("{}:/usr/bin:/bin", home.path().join("bin").display());
    let mut command = command(home.path(), &[]);
    command.env("PATH", path).envs(set.iter().copied());
    let mut prompt = Prompt::spawn(command);
    prompt.shows("kvmsh> ");
    prompt.line(&format!("!stty rows {rows} cols {columns}; echo s''et")).shows("\nset");
    prompt.shows("kvmsh> ");
    prompt
}

fn program(home: &TempDir, name: &str) {
    let path = home.path().join("bin").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn inventory(home: &TempDir, text: &str) {
    fs::write(home.path().join("config/kvmsh/hosts.toml"), text).unwrap();
}

/// What is printed for these lines.
fn printed(prompt: &mut Prompt, lines: &str) -> String {
    prompt.line(lines).line("print(\"en\" + \"d\")").shows("\nend")
}

#[test]
fn help_that_is_taller_than_the_screen_goes_through_the_pager() {
    let home = home();
    fs::write(home.path().join("pager.sh"), "echo \"[pager]\"; sed -n '1p;$p'\n").unwrap();
    let pager = format!("sh {}", home.path().join("pager.sh").display());
    let set = [("KVMSH_PAGER", pager.as_str())];
    let mut prompt = at_terminal(&home, 24, 80, &set);
    let text = printed(&mut prompt, "help");
    assert!(text.contains("[pager]") && !text.contains("Objects"), "{text}");
    let text = printed(&mut prompt, "help(\"host.memory\")");
    assert!(text.contains("Memory now") && !text.contains("[pager]"), "{text}");
    prompt.line("exit").ends_with(0);
    // Not what was asked for with -c, though it is the same terminal.
    let mut command = command(home.path(), &["-c", "help()"]);
    command.env("PATH", "/usr/bin:/bin").envs(set);
    let mut once = Prompt::spawn(command);
    assert!(!once.ends_with(0).contains("[pager]"));
}

#[test]
fn behind_an_exclamation_mark_tab_knows_programs_and_paths() {
    let home = home();
    program(&home, "frobnicate");
    fs::create_dir(home.path().join("place")).unwrap();
    fs::write(home.path().join("place/two words.txt"), "").unwrap();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    for (typed, whole) in [
        ("!frob\t", "!frobnicate "),
        ("!sudo frob\t", "!sudo frobnicate "),
        ("!cat pl\t", "!cat place/"),
        ("!cat place/t\t", "!cat place/two\\ words.txt"),
        ("!cat \"place/t\t", "!cat \"place/two words.txt"),
    ] {
        prompt.types(typed).shows(whole);
        prompt.types(CLEAR);
    }
    // Nothing of Rhai.
    for typed in ["!cat hos\t#", "!cat it\t#", "!hos\t#"] {
        let painted = prompt.types(typed).shows("#");
        assert!(!painted.contains("hosts") && !painted.contains("item"), "{painted}");
        prompt.types(CLEAR);
    }
    prompt.line("exit").ends_with(0);
}

#[test]
fn a_long_list_is_cut_to_the_screen_and_nothing_has_to_be_answered() {
    let home = home();
    (0..300).for_each(|n| program(&home, &format!("tool-{n:03}")));
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    prompt.types("!too\t");
    let list = prompt.shows("more: type on");
    assert!(list.contains("tool-000") && !list.contains("possibilities") && !list.contains("More"), "{list}");
    assert!(list.matches('\n').count() <= 24, "{list}");
    // What is common to all was added, and the line can be gone on with at once, or left.
    prompt.shows("kvmsh> !tool-");
    prompt.types("042\t").shows("!tool-042 ");
    prompt.control('c').shows("kvmsh> ");
    prompt.line("40 + 2").shows("\n42");
    prompt.line("exit").ends_with(0);
}

#[test]
fn without_an_inventory_views_say_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let mut prompt = Prompt::open(&home);
    for view in ["top", "events"] {
        prompt.line(&format!("{view}()")).shows("error[no_hosts]");
        prompt.shows("kvmsh hosts add");
        prompt.shows(&format!("{view}(\"test:///default\")"));
    }
    prompt.line("exit").ends_with(0);
}

#[test]
fn keys_and_values_of_what_modules_take_are_completed() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    prompt.line("import \"std/bond\" as bond; import \"std/nfs\" as nfs; import \"std/pool\" as pool;");
    for (typed, whole) in [
        ("bond::setup(host(\"lab\"), #{confi\t", "#{confirm_within: "),
        ("bond::setup(host(\"lab\"), #{mode: \"act\t", "mode: \"active-backup\""),
        ("bond::setup(host(\"lab\"), #{lacp_rate: \"fa\t", "lacp_rate: \"fast\""),
        ("nfs::serve(host(\"lab\"), #{read\t", "#{read_only: "),
        ("nfs::serve(host(\"lab\"), #{squash: \"ro\t", "squash: \"root\""),
        ("pool::share(hosts(), #{loop\t", "#{loopback: "),
        ("pool::share(hosts(), #{initi\t", "#{initiator: "),
    ] {
        prompt.types(typed).shows(whole);
        prompt.types(CLEAR);
    }
    prompt.line("exit").ends_with(0);
}

#[test]
fn sizes_in_maps_have_units_for_people_and_none_for_programs() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    prompt.line("let m = host(\"lab\").memory;");
    assert!(printed(&mut prompt, "m").contains("total:     3 GiB"));
    assert!(printed(&mut prompt, "[#{name: \"lab\", has: m.total}]").contains("3 GiB"));
    assert!(printed(&mut prompt, "#{inner: [#{of: m}]}").contains("3 GiB"));
    let text = printed(&mut prompt, "m.total /= 1024; m");
    assert!(text.contains("total:     3145728\r\n"), "{text}");
    prompt.line(":format json");
    assert!(printed(&mut prompt, "host(\"lab\").memory").contains("\"total\": 3221225472"));
    prompt.line("exit").ends_with(0);
}

#[test]
fn a_silent_host_does_not_keep_the_table_of_hosts_waiting() {
    let home = home();
    // It accepts and says nothing: SSH waits for its greeting.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    inventory(
        &home,
        &format!(
            "[hosts.lab]\naddress = \"localhost\"\nuri = \"test:///default\"\n\
             [hosts.slow]\naddress = \"127.0.0.1\"\nport = {port}\n"
        ),
    );
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    for line in ["hosts", "host(\"slow\")"] {
        let began = Instant::now();
        prompt.line(line).shows("no answer");
        prompt.shows("kvmsh> ");
        // SSH gives up after 10 s.
        assert!(began.elapsed() < Duration::from_secs(8), "{line}: {:?}", began.elapsed());
    }
    let text = printed(&mut prompt, "hosts");
    assert!(text.contains("lab ") && text.contains(" up ") && text.contains("no answer"), "{text}");
    prompt.line("exit").ends_with(0);
}

#[test]
fn a_broken_inventory_is_told_of_and_the_prompt_opens() {
    let home = home();
    inventory(&home, "[hosts.lab\n");
    let mut prompt = Prompt::spawn(command(home.path(), &[]));
    prompt.shows("error[inventory]");
    prompt.shows("hosts.toml");
    prompt.shows(":reload");
    prompt.shows("kvmsh> ");
    prompt.line("demo.uri").shows("\ntest:///default");
    prompt.line(":reload").shows("error[inventory]");
    inventory(&home, "[hosts.lab]\nuri = \"test:///default\"\n");
    prompt.line(":reload").shows("1 host in the inventory");
    prompt.line("host(\"lab\").uri").shows("\ntest:///default");
    prompt.line("exit").ends_with(0);
    // Who names a file that is not there has mistyped it; scripts do without no inventory.
    let code = |args: &[&str]| command(home.path(), args).output().unwrap().status.code();
    let mut named = Prompt::spawn(command(home.path(), &["--inventory", "nowhere.toml"]));
    named.shows("error[inventory]");
    named.ends_with(2);
    inventory(&home, "[hosts.lab\n");
    assert_eq!(code(&["-c", "1"]), Some(2));
}

#[test]
fn a_history_with_bytes_that_are_no_text_is_read_all_the_same() {
    let home = home();
    let file = home.path().join("state/kvmsh/history");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, b"#V2\n\"be\" + \"fore\"\n\xff\xfe\n\"be\" + \"hind\"\n").unwrap();
    let mut prompt = Prompt::spawn(command(home.path(), &[]));
    prompt.shows("1 line was no text");
    prompt.shows("kvmsh> ");
    prompt.types("\x1b[A\r").shows("\nbehind");
    prompt.types("\x1b[A\x1b[A\r").shows("\nbefore");
    prompt.line("\"ne\" + \"w\"").shows("\nnew");
    prompt.line("exit").ends_with(0);
    assert!(fs::read_to_string(&file).unwrap().contains("\"ne\" + \"w\""));
}

#[test]
fn a_host_is_added_from_the_prompt_by_its_uri() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    prompt.line("!kvmsh hosts add play test:///default").shows("added play to");
    prompt.line(":reload").shows("2 hosts in the inventory");
    prompt.line("host(\"play\").uri").shows("\ntest:///default");
    prompt.line("exit").ends_with(0);
    let text = fs::read_to_string(home.path().join("config/kvmsh/hosts.toml")).unwrap();
    assert!(text.contains("[hosts.play]\nuri = \"test:///default\"\n"), "{text}");
}

#[test]
fn errors_are_shown_whole_and_suggest_nothing_far_fetched() {
    let home = home();
    let mut prompt = at_terminal(&home, 40, 80, &[]);
    prompt.line("host(\"bal\")").shows("error[unknown_host]");
    let text = printed(&mut prompt, "last_error");
    assert!(text.contains("hint") && text.contains("lab"), "{text}");
    prompt.line("let a = 1;");
    for (line, code) in [("b", "error[no_variable]"), ("(1..100).collect()", "error[no_function]")] {
        let text = printed(&mut prompt, line);
        assert!(
            text.contains(code) && !text.contains("did you mean") && !text.contains("report::"),
            "{text}"
        );
    }
    prompt.line("let answer = 1;").line("anwser").shows("did you mean `answer`?");
    prompt.line("ask_secret(\"pw: \")").shows("pw: ");
    let rest = printed(&mut prompt, "sec");
    assert!(!rest.contains("pw: :") && !rest.starts_with(':'), "{rest}");
    prompt.line("exit").ends_with(0);
}

#[test]
fn a_narrow_view_of_several_hosts_says_which_guest_is_where() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 40, &[]);
    prompt.line("top([\"lab\", \"test:///default\"])").shows("name ");
    let head = prompt.shows("cpu %");
    assert!(head.contains("host") && head.contains("state"), "{head}");
    prompt.types("q").shows("kvmsh> ");
    prompt.line("exit").ends_with(0);
}

#[test]
fn help_takes_the_bare_name_of_a_function() {
    let home = home();
    let mut prompt = at_terminal(&home, 40, 80, &[("KVMSH_PAGER", "cat")]);
    assert!(printed(&mut prompt, "help(human)").contains("human(bytes"));
    assert!(printed(&mut prompt, "help(domain.migrate)").contains("domain.migrate(target"));
    // What is in a variable is explained as what it is.
    prompt.line("let human = host(\"lab\");");
    assert!(printed(&mut prompt, "help(human)").contains("A KVM host."));
    prompt.line("exit").ends_with(0);
}

#[test]
fn a_command_that_does_not_end_its_line_keeps_it() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    let text = prompt.line("!printf un''ended").shows("unended");
    assert!(!text.contains("unended"));
    // The mark, and as many columns as make the prompt begin below.
    let rest = prompt.shows("kvmsh> ");
    assert!(rest.contains(&format!("{}\r", " ".repeat(79))), "{rest:?}");
    prompt.line("exit").ends_with(0);
}

#[test]
fn one_object_is_one_object_for_programs_and_numbers_have_units_for_people() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    assert!(
        printed(&mut prompt, "host(\"lab\").pool(\"default-pool\").capacity")
            .contains("100 GiB (107374182400)")
    );
    assert!(printed(&mut prompt, "host(\"lab\").memory.total").contains("3 GiB (3221225472)"));
    prompt.line(":format json");
    let text = printed(&mut prompt, "host(\"lab\").domain(\"test\")");
    assert!(text.contains("\"name\": \"test\"") && !text.contains("property"), "{text}");
    assert!(
        printed(&mut prompt, "host(\"lab\").pool(\"default-pool\").capacity").contains("\n107374182400\r")
    );
    prompt.line(":format csv");
    let text = printed(&mut prompt, "[\"x\", \"y\"]");
    assert!(text.contains("value\r\nx\r\ny\r\n"), "{text}");
    prompt.line("exit").ends_with(0);
    let output =
        command(home.path(), &["-c", "host(\"lab\").pool(\"default-pool\").capacity"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "107374182400\n");
}

#[test]
fn a_host_that_is_down_says_why() {
    let home = home();
    inventory(&home, "[hosts.dead]\naddress = \"127.0.0.1\"\nport = 1\n");
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    let text = printed(&mut prompt, "host(\"dead\")");
    assert!(text.contains("down") && text.contains("why ") && !text.contains("running"), "{text}");
    prompt.line("exit").ends_with(0);
}

#[test]
fn small_slips_are_told_and_plain_values_shown_whole() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    for (line, told) in [
        ("let a = 'text';", "a text stands in double quotes"),
        ("let a = null;", "no value is written `()`"),
        ("let match = 1;", "`match` cannot be a name"),
        ("help(42)", "this is a value: number"),
        ("1.0 / 3", "\n0.3333333333333333\r"),
        ("try_par([1], |n| n)", "ok   value  error"),
    ] {
        let text = printed(&mut prompt, line);
        assert!(text.contains(told), "{line}: {text}");
    }
    prompt.line("exit").ends_with(0);
}

#[test]
fn what_is_cleaned_up_after_a_stop_has_a_line_of_its_own() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    prompt
        .line("finally(|| { print(\"g\" + \"o\"); sleep(60) }, || print(\"clea\" + \"ned\"))")
        .shows("\ngo");
    std::thread::sleep(Duration::from_millis(100));
    let text = prompt.control('c').shows("interrupted");
    assert!(text.contains("\ncleaned\r") && !text.contains("^C"), "{text:?}");
    prompt.line("exit").ends_with(0);
}

#[test]
fn a_locale_without_utf8_gets_nothing_but_ascii() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[("LC_ALL", "C"), ("KVMSH_PAGER", "cat")]);
    for line in [
        "hosts",
        "host(\"lab\").domains()",
        "host(\"lab\").topology()",
        "[#{a: \"1 × 2\"}]",
        "help",
        "help(\"domain.migrate\")",
        "help(Host)",
        "help(\"std/nfs\")",
        "host(\"lab\").pool(\"default-pol\")",
        "bytes(\"x\")",
        "!printf x",
    ] {
        let text = printed(&mut prompt, line);
        // What is typed is painted as it is.
        let mut own = text.lines().filter(|shown| !shown.contains("kvmsh> "));
        let other = own.find(|shown| !shown.is_ascii());
        assert_eq!(other, None, "{line}: {text}");
    }
    prompt.line("exit").ends_with(0);
}

#[test]
fn at_forty_columns_nothing_is_wider() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 40, &[("KVMSH_PAGER", "cat")]);
    prompt.line(
        "let disk = #{target: \"vda\", device: \"disk\", type: \"file\", cache: \"\", format: \"qcow2\"};",
    );
    prompt.line("disk.source = \"/var/lib/libvirt/images/x.qcow2\"; disk.read_only = true;");
    for line in ["help(\"domain.migrate\")", "help(\"host.define_pool\")", "help(\"ev::run\")", "[disk]"] {
        let text = printed(&mut prompt, line).replace('\r', "");
        // The library takes each byte for a character.
        let bytes: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c).ok()).collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // The line that is being typed is painted over and over; one word that is wider stands alone.
        let mut own = text.lines().filter(|shown| !shown.contains("kvmsh> "));
        let wide = own.find(|shown| shown.trim().contains(' ') && shown.trim_end().chars().count() > 40);
        assert_eq!(wide, None, "{line}: {text}");
        if line == "[disk]" {
            assert!(text.contains("source") && text.contains("more column"), "{text}");
        }
    }
    prompt.line("exit").ends_with(0);
}

#[test]
fn wide_names_keep_their_columns() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    let xml =
        "<domain type='test'><name>日本語</name><memory>1024</memory><os><type>hvm</type></os></domain>";
    let text = printed(&mut prompt, &format!("host(\"lab\").define(\"{xml}\"); host(\"lab\").domains()"));
    let bytes: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c).ok()).collect();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // Each of the three takes two columns.
    assert!(text.contains("\n日本語  shut off") && text.contains("\ntest    running"), "{text}");
    prompt.line("exit").ends_with(0);
}

#[test]
fn tab_changes_nothing_and_prints_nothing() {
    let home = home();
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    prompt.line("let ran = 0; fn loud() { print(\"lo\" + \"ud\"); 1 }");
    prompt.line("let d = host(\"lab\").domain(\"test\");");
    for typed in [
        "loud().\t#",
        "d.suspend().\t#",
        "(|| { ran += 1; d })().\t#",
        "[loud()].map(|x| x.\t#",
        "d[loud()].na\t#",
    ] {
        let text = prompt.types(typed).shows("#");
        assert!(!text.contains("loud\r\n"), "{typed}: {text}");
        prompt.types(CLEAR);
    }
    assert!(printed(&mut prompt, "`${ran} ${d.state}`").contains("\n0 running\r"));
    prompt.line("exit").ends_with(0);
}

#[test]
fn tab_knows_targets_groups_and_tags() {
    let home = home();
    inventory(
        &home,
        "[hosts.lab]\naddress = \"localhost\"\nuri = \"test:///default\"\ntags = [\"rack7\"]\n\
         [hosts.next]\naddress = \"localhost\"\nuri = \"test:///default\"\n[groups]\nboth = [\"lab\", \"next\"]\n",
    );
    let mut prompt = at_terminal(&home, 24, 80, &[]);
    prompt.line("import \"std/evacuate\" as ev; let d = host(\"lab\").domain(\"test\");");
    for (typed, whole) in [
        ("d.migrate(\"ne\t", "d.migrate(\"next\""),
        ("d.clone_to(\"copy\", #{on: \"ne\t", "#{on: \"next\""),
        ("ev::run(\"ne\t", "ev::run(host(\"next\")"),
        ("hosts(\"@bo\t", "hosts(\"@both\")"),
        ("hosts(\"tag:ra\t", "hosts(\"tag:rack7\")"),
        ("log(\"wa\t", "log(\"warn\""),
    ] {
        prompt.types(typed).shows(whole);
        prompt.types(CLEAR);
    }
    // What the last line has made is there at the first Tab.
    let xml =
        "<domain type='test'><name>made-now</name><memory>1024</memory><os><type>hvm</type></os></domain>";
    prompt.line(&format!("host(\"lab\").define(\"{xml}\").name")).shows("\nmade-now");
    prompt.types("host(\"lab\").domain(\"ma\t").shows("domain(\"made-now\")");
    prompt.types(CLEAR);
    prompt.line("exit").ends_with(0);
}
