use std::sync::Arc;

use crate::gate::{Journal, Mode};
use crate::model::{Cancel, HostEntry, Inventory, Silent, Target};
use crate::ops::{Session, Settings};
use crate::script::{Runner, Source};

fn session(hosts: &[&str]) -> Session {
    let mut inventory = Inventory::default();
    for name in hosts {
        let target = Target { name: (*name).to_owned(), ..Target::local(name, "test:///default") };
        let entry = HostEntry { target, tags: vec!["lab".into()], reserve: None, migration_address: None };
        inventory.hosts.insert((*name).to_owned(), entry);
    }
    Session::new(Settings {
        inventory,
        select: Vec::new(),
        mode: Mode::Apply,
        journal: Journal::off(),
        assume_yes: false,
        progress: Arc::new(Silent),
        cancel: Cancel::new(),
        prompt: None,
    })
}

/// Each finding as `line:column code hint`.
fn found(text: &str) -> Vec<String> {
    let session = session(&["h2-a", "h2-b"]);
    let runner = Runner::checker(&session);
    let source = Source { name: "s.rhai".into(), text: text.into() };
    let told = runner.check(&source, Some(&session)).into_iter().map(|diagnosis| {
        let place = diagnosis.places.first().map_or((0, 0), |place| (place.line, place.column));
        let fault = diagnosis.fault;
        format!(
            "{}:{} {}: {} ({})",
            place.0,
            place.1,
            fault.code,
            fault.message,
            fault.hint.unwrap_or_default()
        )
    });
    told.collect()
}

#[test]
fn each_kind_of_slip_is_found_where_it_is_with_what_was_meant() {
    let mut wrong = Vec::new();
    for (text, place, parts) in [
        // Functions.
        ("let a = 1;\nslep(1);", "2:1", vec!["no_function", "`sleep`"]),
        ("fn evacuate_all(x) { x }\nevacuate_al(1);", "2:1", vec!["no_function", "`evacuate_all`"]),
        ("fn f(a, b) { a + b }\nf(1);", "2:1", vec!["with 1 argument", "f(a, b)"]),
        ("fn f() { hoost(\"h2-a\") }", "1:10", vec!["no_function", "`host`"]),
        ("sleep(1, 2);", "1:1", vec!["no_function", "sleep("]),
        ("sleep(\"a\", 2);", "1:1", vec!["no_function"]),
        ("if false { let f = |x| nope(x); }", "1:24", vec!["no_function"]),
        ("print(`a ${nope(1)} b`);", "1:12", vec!["no_function"]),
        // Methods and properties of values whose type is known.
        (
            "let d = host(\"h2-a\").domain(\"web\");\nd.strat();",
            "2:3",
            vec!["a Domain has no function", "`start`"],
        ),
        ("host(\"h2-a\").domain(\"web\").sate;", "1:28", vec!["a Domain has no property", "`state`"]),
        ("host(\"h2-a\").domain();", "1:14", vec!["no_function", "host.domain(name: string)"]),
        ("host(\"h2-a\").domain(5);", "1:14", vec!["no_function"]),
        ("for h in hosts() { h.domians(); }", "1:22", vec!["a Host has no function", "`domains`"]),
        ("for h in hosts() { for d in h.domains() { d.nmae } }", "1:45", vec!["`name`"]),
        ("hosts().map(|h| h.nmae);", "1:19", vec!["a Host has no property", "`name`"]),
        ("par(hosts(), |h| h.nmae);", "1:20", vec!["a Host has no property"]),
        ("hosts()[0].nmae", "1:12", vec!["a Host has no property"]),
        ("hosts().filter(|h| h.name == \"x\")[0].nmae", "1:38", vec!["a Host has no property"]),
        ("let t = \"abc\"; t.to_uper();", "1:18", vec!["no_function", "`to_upper`"]),
        ("let h = host(\"h2-a\"); h.name = \"x\";", "1:25", vec!["cannot be set"]),
        (
            "let d = host(\"h2-a\").domain(\"w\"); d.autostart = \"yes\";",
            "1:37",
            vec!["cannot be set to this"],
        ),
        ("fn f(x) { let h = host(\"h2-a\"); h.nmae }", "1:35", vec!["a Host has no property"]),
        ("host(\"h2-a\").domain(\"w\").start", "1:26", vec!["`start` is a function"]),
        ("host(\"h2-a\").domain(\"w\").state()", "1:26", vec!["`state` is a property"]),
        // Options.
        ("host(\"h2-a\").domain(\"w\").start(#{pasued: true})", "1:34", vec!["unknown_option", "`paused`"]),
        ("host(\"h2-a\").domains(#{state: \"runing\"})", "1:31", vec!["invalid_arg", "`running`"]),
        ("placement([], hosts(), #{copy_storge: true})", "1:26", vec!["unknown_option", "`copy_storage`"]),
        // Variables, modules, hosts.
        ("let count = 1;\nprint(cuont); print(nothere);", "2:7", vec!["no_variable", "`count`"]),
        ("let count = 1;\nprint(count); print(nothere);", "2:21", vec!["no_variable"]),
        ("let f = || [1].map(|x| x + nothere);", "1:28", vec!["no_variable"]),
        ("fn f() { let x = 1; xx }", "1:21", vec!["no_variable"]),
        (
            "evacuate::run(host(\"h2-a\"), #{});",
            "1:1",
            vec!["no_module", "import \"std/evacuate\" as evacuate;"],
        ),
        ("import \"std/evacute\" as e;", "1:8", vec!["no_module", "`std/evacuate`"]),
        ("import \"not/there\" as e;", "1:8", vec!["no_module"]),
        ("import \"std/evacuate\" as e; e::rnu(1, 2);", "1:32", vec!["no_function", "`run`"]),
        (
            "import \"std/evacuate\" as e; e::run(host(\"h2-a\"));",
            "1:32",
            vec!["with 1 argument", "e::run(source, options)"],
        ),
        ("host(\"h2-c\")", "1:6", vec!["unknown_host"]),
        ("hosts(\"h3-*\")", "1:7", vec!["unknown_host"]),
        ("hosts([\"h2-a\", \"h2-bb\"])", "1:16", vec!["unknown_host", "h2-b"]),
        ("let x = [#{ a: print(host(\"h2-c\").name) }];", "1:27", vec!["unknown_host"]),
        (
            "fn f() { let n = \"h2-c\"; [1].map(|x| host(n)) } let n = \"h2-c\"; host(n);",
            "1:57",
            vec!["unknown_host"],
        ),
        ("for n in [\"h2-a\", \"h2-c\"] { host(n).name }", "1:19", vec!["unknown_host"]),
        ("par([\"h2-a\", \"h2-c\"], |n| host(n).name);", "1:14", vec!["unknown_host"]),
        // Functions that are given to others.
        ("par([1], || 1);", "1:10", vec!["no_function", "calls this function with 1 argument", "|x|"]),
        ("fn f() { par([1], 2, |a, b| a + b) }", "1:22", vec!["with 1 argument", "2 parameters"]),
        ("let h = 1; try_par([1], || h);", "1:25", vec!["with 1 argument", "no parameters"]),
        ("fn two(a, b) { a + b } par([1], two);", "1:33", vec!["with 1 argument"]),
        ("let f = |a, b| a + b; retry(2, 1, f);", "1:35", vec!["with no argument"]),
        ("finally(|| 1, |x| x);", "1:15", vec!["with no argument", "1 parameter:"]),
        ("[1].map(|a, b, c| a);", "1:9", vec!["no_function"]),
        ("[2, 1].sort(|a| a);", "1:13", vec!["with 2 arguments"]),
        ("let f = |a| a; f.call(1, 2);", "1:18", vec!["with 2 arguments", "takes 1 argument"]),
        ("fn g() { let f = |a| a; call(f) }", "1:25", vec!["with no argument"]),
        ("fn f(a, b) { a + b } fn g() { [1].map(|x| f(x)) }", "1:43", vec!["f(a, b)"]),
        ("fn g() { if true { while false { g(1); } } }", "1:34", vec!["g()"]),
        // What the parser finds.
        ("let x = ;", "1:9", vec!["syntax"]),
    ] {
        let found = found(text);
        let there = found.iter().find(|one| one.starts_with(&format!("{place} ")));
        if !there.is_some_and(|one| parts.iter().all(|part| one.contains(part))) {
            wrong.push(format!("{text}: {found:?}, and not {place} {parts:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn all_slips_of_a_script_are_told_at_once() {
    let text = "let d = host(\"h2-a\").domain(\"w\");\nd.strat();\nprint(nope);\nd.start(#{pasued: true});\nslep(1);\nmigrate::to(d);";
    let found = found(text);
    let lines: Vec<&str> = found.iter().map(|one| one.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["2", "3", "4", "5", "6"], "{found:?}");
}

#[test]
fn odd_scripts_that_are_sound_pass() {
    let mut wrong = Vec::new();
    for text in [
        "",
        "#!/usr/bin/env kvmsh\n1",
        "let x = host(\"h2-a\"); x = 5; x.nope;",
        "let x = (); if true { x = host(\"h2-a\"); } x.name;",
        "let x = host(\"h2-a\"); { let x = #{a: 1}; x.a; } x.name;",
        "let m = #{act: |x| x + 1}; m.act(1); m.act.call(2); m[\"no\" + 1];",
        "let m = #{}; m.a = 1; m.b = #{}; m.b.c = 2; m.a + m.b.c;",
        "let a = [1]; a.push(host(\"h2-a\")); a[1].name; a[0].nope;",
        "let a = [host(\"h2-a\")]; a[0] = 1; a[0] + 1;",
        "let a = []; a += host(\"h2-a\"); a[0].name;",
        "let f = |x| x * 2; f.call(3); let g = f.curry(1); g.call();",
        "fn each(x) { x.whatever + x.at(1).all() } each(#{});",
        "fn late() { early() } fn early() { 1 } late();",
        "fn twice(f) { f.call(1) + f.call(2) } twice(|x| x);",
        "fn check(h) { h.name } par(hosts(), check);",
        "fn check(h) { h.name } fn check() { 1 } par(hosts(), check); retry(1, 1, check);",
        "let y = 1; par([1], |x| x + y); try_par([1], 2, |x| y); [1].map(|x, i| i); [1].filter(|| this > 1);",
        "let f = |x| x; f = || 1; f.call(); let g = |x, y| x + y; let g = g.curry(1); par([1], g);",
        "let n = \"nobody\"; n = \"h2-a\"; host(n); let t = \"x\"; t.replace(\"x\", \"h2-a\"); host(t);",
        "let f = || 1; fn h(f) { f.call(1, 2) } h(|a, b| a); f.call();",
        "fn shout() { this.to_upper() } let s = \"a\"; s.shout();",
        "fn grow(n) { this += n; } let x = 1; x.grow(2);",
        "let a = [1, 2]; a.for_each(|| this = #{ mine: this }); a[0].mine;",
        "for (x, i) in [1, 2] { print(x + i); }",
        "for i in 0..10 { print(i); } for i in range(0, 10, 2) { print(i); }",
        "for c in \"abc\" { print(c.to_upper()); }",
        "let i = 0; while i < 3 { i += 1; if i == 2 { continue; } break; }",
        "let i = 0; do { i += 1; } until i > 3; loop { break; }",
        "let v = switch 3 { 1 | 2 => \"a\", 3..5 if true => { let y = 1; y }, _ => \"c\" }; v.anything;",
        "try { throw \"x\"; } catch (e) { e.code; e.anything(); } try { 1 } catch {}",
        "let e = try_par([1], |x| x); e[0];",
        "const LIMIT = 5; fn f() { global::LIMIT + args.len() } f();",
        "print(args[0]); args.len(); for a in args { a.to_upper(); }",
        "let x = if true { host(\"h2-a\") } else { \"x\" }; x.anything;",
        "let x = { let y = 2; y * 2 }; x.anything;",
        "let s = `a ${1 + 2} ${`inner ${3}`}`; s.len(); s.len;",
        "let t = \"x\"; t.replace(\"x\", \"y\"); t.trim(); t.pad(5, ' '); t[0]; t += 1; t.len;",
        "let b = blob(3, 1); b.len(); b[0];",
        "let n = 5; n.to_string(); n.abs(); (n + 0.5).floor(); n in [1, 2]; -n; !true;",
        "let a = [3, 1]; a.sort(); a.sort(|x, y| x - y); a.reduce(|s, x| s + x, 0); a.index_of(1); a.dedup();",
        "let m = #{\"odd key\": 1, x: ()}; m?.x?.y; m.keys().len(); m.values(); \"x\" in m; m.x ?? 4;",
        "eval(\"fn made() { 1 }\"); let y = 1; made_later(y);",
        "import \"std/cli\" as cli; let o = cli::parse(args, #{usage: \"\", about: \"\", operands: [], options: #{}}); o.any;",
        "if planning() { return; } exit(3);",
        "host(\"test:///default\").domain(\"test\").state; host(\"qemu+ssh://root@x/system\");",
        "hosts(\"h2-*\"); hosts(\"tag:lab\"); hosts([\"h2-a\", \"h2-b\"]).len();",
        "let name = \"h2-\" + \"zzz\"; host(name).name; fn host_of(x) { host(x) } host_of(\"nobody\");",
        "host(\"h2-a\").domain(\"w\").start(#{paused: true}); let o = #{pasued: 1}; o.pasued;",
        "let k = \"state\"; let o = #{}; o[k] = \"running\"; host(\"h2-a\").domains(o);",
        "type_of(5) == \"i64\"; is_def_fn(\"x\", 1); is_def_var(\"y\"); let p = Fn(\"print\"); p.call(1);",
        "let d = host(\"h2-a\").domain(\"w\"); d.autostart = true; d.autostart == false; d == d; d != ();",
        "let outer = 1; let f = |x| { let inner = |y| outer + x + y; inner.call(1) }; f.call(2);",
        "let all = hosts().map(|h| h.domains()); all[0][0].whatever;",
        "log(\"info\", \"x\"); fail(\"refused\", #{code: \"x\", message: \"y\"});",
        "throw #{code: \"a\", message: \"b\"};",
        "let x = 1; let x = \"now a text\"; x.to_upper(); let x = [x]; x.len();",
        "let s = \"日本\"; print(s); s.len(); `é ${s}`;",
        "/* a /* nested */ comment */ // and\n/// doc\nfn documented() { 1 }",
    ] {
        wrong.extend(found(text).into_iter().map(|one| format!("{text}: {one}")));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_example_of_the_documentation_passes() {
    let session = session(&["h2-a", "h2-b", "h2-c", "web1", "h1", "h2"]);
    let runner = Runner::checker(&session);
    let index = runner.index();
    let mut count = 0;
    for entry in index.own() {
        for example in entry.examples() {
            count += 1;
            let source = Source { name: "example".into(), text: example.to_owned() };
            let found: Vec<String> =
                runner.check(&source, None).into_iter().map(|diagnosis| diagnosis.fault.message).collect();
            assert_eq!(found, Vec::<String>::new(), "{}: {example}", entry.usage());
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn every_script_of_ours_passes() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let session = session(&[]);
    let runner = Runner::checker(&session);
    let mut count = 0;
    for directory in ["scripts", "stdlib"] {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let source = Source { name: path.display().to_string(), text };
            let found: Vec<String> = (runner.check(&source, Some(&session)).into_iter())
                .map(|diagnosis| {
                    format!(
                        "{:?} {:?}",
                        diagnosis.fault.message,
                        diagnosis.places.first().map(|place| (place.line, place.column))
                    )
                })
                .collect();
            assert_eq!(found, Vec::<String>::new(), "{}", path.display());
            count += 1;
        }
    }
    assert!(count > 8, "{count}");
}
