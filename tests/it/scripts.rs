//! Bad scripts: each mistake has its place, its line with a caret, its code; and nothing makes kvmsh fall over.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::scene::{Alone, script};

/// A script whose second line is `line` fails with `code` at `column`, and says `words`.
#[track_caller]
fn fails(line: &str, code: &str, column: usize, words: &[&str]) {
    let text = format!("let h = host(\"test:///default\");\n{line}\n");
    let output = Alone::new().script(&text);
    let place = format!("--> script.rhai:2:{column}\n");
    output.ends(1).says(&[&format!("error[{code}]: "), &place, line]).says(words);
    let caret = format!("\n  | {}^", " ".repeat(column - 1));
    output.says(&[&caret]);
    assert_eq!(output.stdout, "");
}

#[test]
fn every_mistake_has_its_place_and_a_way_out() {
    fails("let x = ;", "syntax", 9, &["`;` has no meaning here"]);
    fails("if true { h.name", "syntax", 17, &["expecting"]);
    fails("hots(\"h2-a\")", "no_function", 1, &["`hots`", "did you mean `host"]);
    fails("h.domian(\"test\")", "no_function", 3, &["domian", "did you mean `domain`"]);
    fails("host(1).name", "no_function", 1, &["`host` cannot be called with (number)"]);
    fails("h.domain(\"test\").shutdown(\"soon\")", "no_function", 18, &["shutdown"]);
    fails("h.domains(#{nmae: 1})", "unknown_option", 13, &["`nmae`", "did you mean `name`?"]);
    fails("h.domains(#{name: 1})", "invalid_arg", 13, &["`name` must be a text, not the number 1"]);
    fails("h.nmae", "no_property", 3, &["a Host has no property `nmae`"]);
    fails("hh.name", "no_variable", 1, &["there is no variable `hh`"]);
    fails("h.domain(\"tset\")", "no_domain", 10, &["domain tset", "did you mean `test`?"]);
    fails("import \"std/evacute\" as e;", "no_module", 8, &["std/evacuate"]);
    fails("import \"mine\" as m;", "no_module", 8, &["mine.rhai", "No such file"]);
    fails("throw #{code: \"mine\", message: \"no\", hint: \"do\"};", "mine", 1, &["no", "help: do"]);
}

#[test]
fn a_mistake_inside_the_standard_library_shows_both_places() {
    let text = "import \"std/evacuate\" as e;\n\ne::run(host(\"test:///default\"), #{to: [1]});\n";
    let output = Alone::new().script(text);
    output.ends(1).says(&["error[no_property]: a number has no property `name`", "--> std/evacuate:"]);
    output.says(&["called from: script.rhai:3:4"]);
}

#[test]
fn modules_that_import_each_other_are_an_error_with_the_circle() {
    let alone = Alone::new();
    alone.write("a.rhai", "import \"b\" as b;\n");
    alone.write("b.rhai", "import \"a\" as a;\n");
    let output = alone.script("import \"a\" as a;\n");
    output.ends(1).says(&["error[circular_import]", "a.rhai → b.rhai → a.rhai", "script.rhai:1:8"]);
}

#[test]
fn check_finds_a_mistake_without_running_the_script() {
    let alone = Alone::new();
    alone.write("good.rhai", "print(\"ran\");\n");
    alone.write("bad.rhai", "print(\"ran\");\nlet = 1;\n");
    let output = alone.run(&["check", "good.rhai", "bad.rhai"]);
    output.ends(1).says(&["error[syntax]", "--> bad.rhai:2:5"]);
    assert_eq!(output.stdout, "");
}

#[test]
fn catch_sees_what_happened_and_to_whom() {
    let text = r#"
        try { host("test:///default").domain("tset") }
        catch (err) { print([err.code, err.message, err.host, err.object, err.hint]) }
        try { host("nowhere") } catch (err) { print(err.code + " " + err.kind) }
        try { throw "plain" } catch (err) { print(err) }
    "#;
    let output = Alone::new().script(text);
    output.ends(0);
    let caught =
        r#"["no_domain", "Domain not found", "test:///default", "domain tset", "did you mean `test`?"]"#;
    assert_eq!(output.stdout, format!("{caught}\nunknown_host connect\nplain\n"));
}

#[test]
fn exit_ends_at_once_and_no_catch_sees_it() {
    let text =
        "fn out() { exit(7) }\ntry { par([1], |n| out()) } catch { print(\"caught\") }\nprint(\"on\")\n";
    let output = Alone::new().script(text);
    output.ends(7);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
}

#[test]
fn a_loop_without_end_ends_with_the_time_it_was_given() {
    for text in ["loop {}", "try { loop {} } catch { loop {} }", "par(1..4, |n| loop {})", "sleep(1000)"] {
        let text = text.replace("1..4", "[1, 2, 3]");
        let alone = Alone::new();
        alone.write("script.rhai", &text);
        let output = alone.run(&["--timeout", "1s", "script.rhai"]);
        output.ends(124).says(&["error[timed_out]"]).within(Duration::from_secs(5));
    }
}

#[test]
fn too_deep_and_too_large_end_with_an_error_that_says_so() {
    fails("fn f(n) { f(n + 1) } f(0)", "script_limit", 22, &["calls itself too deeply"]);
    fails("let s = \"x\"; loop { s += s; }", "script_limit", 23, &["too large"]);
    fails("let a = [1]; loop { a = [a, a]; }", "script_limit", 29, &["too large"]);
    fails("fn f(n) { par([n], |m| f(m + 1)) } f(0)", "script_limit", 36, &["calls itself too deeply"]);
    let deep = format!("{}1{}", "(".repeat(500), ")".repeat(500));
    Alone::new().script(&deep).ends(1).says(&["error[syntax]", "script.rhai:1:"]);
}

/// Pieces that scripts are made of, right and wrong. Nothing among them changes a file or runs a program.
const PIECES: &[&str] = &[
    "let x = ",
    "x",
    "h",
    "host(\"test:///default\")",
    ".domain(\"test\")",
    ".domains()",
    ".name",
    ".state",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "#{",
    "name: \"t*\"",
    "|n|",
    "||",
    ";",
    ",",
    "\"",
    "`",
    "${",
    "'",
    "\\",
    "\n",
    " ",
    "if ",
    "else ",
    "while ",
    "for n in ",
    "fn f(n) ",
    "return ",
    "break",
    "throw ",
    "try ",
    "catch (e) ",
    "import ",
    "as m",
    "\"std/evacuate\"",
    "m::run",
    "+",
    "-",
    "/ 0",
    "% 0",
    "..",
    "?.",
    "??",
    "&&",
    "1",
    "-1",
    "9223372036854775807",
    "1e308",
    "0x",
    "()",
    "true",
    "exit(3)",
    "par([1, 2], ",
    "try_par(",
    "retry(2, 0, ",
    "wait_until(0.1, ",
    "plan(",
    "table(",
    "json(",
    "yaml(",
    "csv(",
    "size(\"4GiB\")",
    "human(",
    "sleep(0)",
    "args",
    "this",
    "eval(",
    "Fn(\"f\")",
    ".call(",
    "switch x { _ => ",
    "é",
    "\u{202e}",
    "\0",
    "//",
    "/*",
    "*/",
    "#!",
    "const ",
    "private ",
    "help(",
];

/// The script with a piece of it cut out and put in elsewhere.
fn mutated(text: &str, from: usize, length: usize, to: usize) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let from = from % letters.len();
    let until = (from + length).min(letters.len());
    let cut: Vec<char> = letters.drain(from..until).collect();
    let to = to % (letters.len() + 1);
    letters.splice(to..to, cut);
    letters.into_iter().collect()
}

#[test]
fn no_script_whatever_makes_kvmsh_fall_over() {
    let evacuate = std::fs::read_to_string(script("evacuate.rhai")).unwrap();
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 1..30).prop_map(|p| p.concat());
    let broken = (any::<usize>(), 1..40usize, any::<usize>())
        .prop_map(move |(from, length, to)| mutated(&evacuate, from, length, to));
    let config = Config { cases: 200, failure_persistence: None, max_shrink_iters: 50, ..Config::default() };
    let alone = Alone::new();
    TestRunner::new(config)
        .run(&prop_oneof![pieces, broken], |text| {
            alone.write("script.rhai", &text);
            let output = alone.run(&["--read-only", "--timeout", "3s", "script.rhai", "test:///default"]);
            let fell = output.stderr.contains("panicked") || output.stderr.contains("defect");
            prop_assert!(!fell && output.code() < 125, "{text:?}: {output}");
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_runs_in_parallel_shares_no_variable_and_waits_for_nobody() {
    let text = r#"
        let h = host("test:///default");
        let seen = #{here: [h], ask: |n| h.domain("test").name + n};
        print(par([1, 2, 3, 4, 5], |n| { h.run("sleep 1", #{changes: false}); seen.ask.call(n) + seen.here.len() }));
        print(try_par([1, 0], |n| 6 / n).map(|row| row.ok));
    "#;
    let output = Alone::new().script(text);
    output.ends(0).within(Duration::from_secs(4));
    let names = r#"["test11", "test21", "test31", "test41", "test51"]"#;
    assert_eq!(output.stdout, format!("{names}\n[true, false]\n"));
}
