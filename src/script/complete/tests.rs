//! Completion, with a world that answers at once.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::gate::{Journal, Mode};
use crate::model::{Cancel, Inventory, Silent};
use crate::ops::{Session, Settings};
use crate::script::{Runner, Source};

struct Lab;

impl World for Lab {
    fn hosts(&self) -> Vec<Named> {
        vec![Named::new("h2-a", "up"), Named::new("h2-b", "down"), Named::new("q\"t`", "")]
    }
    fn patterns(&self) -> Vec<Named> {
        vec![Named::new("@rack", "h2-*")]
    }
    fn live(&self, host: Option<&str>, what: &Live) -> Vec<Named> {
        vec![Named::new(format!("{}:{what:?}", host.unwrap_or("any")), "running")]
    }
    fn files(&self, host: Option<&str>, directory: &str) -> Vec<Named> {
        let here = [Named::new("lib/", ""), Named::new("mine.rhai", ""), Named::new(".hidden", "")];
        let there = [Named::new(format!("of-{}", directory.len()), "")];
        if host.is_some() { there.into() } else { here.into() }
    }
}

fn runner() -> Runner {
    let session = Session::new(Settings {
        inventory: Inventory::default(),
        select: Vec::new(),
        mode: Mode::Apply,
        journal: Journal::off(),
        assume_yes: false,
        progress: Arc::new(Silent),
        cancel: Cancel::new(),
        prompt: None,
    });
    let mut runner = Runner::interactive(&session);
    runner.give_host("demo", session.host("test:///default").unwrap());
    for text in [
        "let d = demo.domain(\"test\"); let ds = demo.domains(); let m = #{one: #{two: 2}, list: [\"x\"]};",
        "import \"std/evacuate\" as ev;",
        "/// Mine.\nfn mine(x) { x }",
    ] {
        runner.run_line(&Source { name: "repl[1]".into(), text: text.into() }).unwrap();
    }
    runner
}

/// What could come at `|`, or at the end.
fn texts(runner: &Runner, text: &str) -> Vec<String> {
    let at = text.find('¦').unwrap_or(text.len());
    let line = text.replace('¦', "");
    let found = runner.complete(&line, at, &Lab);
    found.candidates.into_iter().map(|one| one.text).collect()
}

#[track_caller]
fn offers(runner: &Runner, text: &str, wanted: &[&str]) {
    assert_eq!(texts(runner, text), wanted, "{text}");
}

#[test]
fn members_are_those_of_the_receivers_type() {
    let runner = runner();
    for domain in [
        "d.mig",
        "demo.domain(\"x\").mig",
        "host(\"a\").domains()[0].mig",
        "ds[0].mig",
        "ds.find(|x| x.name == \"a\").mig",
        "ds.filter(|one| one.mig",
        "for one in ds { one.mig",
        "par(demo.domains(), |one| one.mig",
        "let own = hosts()[0].domain(\"x\");\nown.mig",
        "(d).mig",
        "if d.active { d.mig",
        "`x ${d.mig",
        "[d][0].mig",
        "#{k: d}.k.mig",
        "nobody_knows.mig",
    ] {
        offers(&runner, domain, &["migrate("]);
    }
    offers(&runner, "demo.mig", &[]);
    offers(&runner, "d.host.cp", &["cpu"]);
    offers(&runner, "d.mig¦(", &["migrate"]);
    offers(&runner, "d.rebo", &["reboot()"]);
    offers(&runner, "d.start", &["start("]);
    offers(&runner, "m.o", &["one"]);
    offers(&runner, "m.one.tw", &["two"]);
    offers(&runner, "m.list[0].to_up", &["to_upper()"]);
    offers(&runner, "host(\"a\").info.num", &["numa_nodes"]);
    offers(&runner, "d.disks[0].targ", &["target"]);
    offers(&runner, "1.", &[]);
    offers(&runner, "// d.", &[]);
    offers(&runner, "\"d.", &[]);
    // Letters in order, where nothing begins so.
    offers(&runner, "d.vmsta", &[]);
    offers(&runner, "d.atost", &["autostart"]);
}

#[test]
fn names_stand_in_quotes() {
    let runner = runner();
    offers(&runner, "host(\"h2", &["h2-a\")", "h2-b\")"]);
    offers(&runner, "host(\"h2-a¦\")", &["h2-a"]);
    offers(&runner, "host(", &["\"h2-a\")", "\"h2-b\")", "\"q\\\"t\\`\")"]);
    offers(&runner, "host(`h2-b", &["h2-b`)"]);
    offers(&runner, "host(\"q", &["q\\\"t\\`\")"]);
    offers(&runner, "hosts(\"@", &["@rack\")"]);
    offers(&runner, "hosts([\"h2-a\", \"h2-b", &["h2-b\""]);
    offers(&runner, "d.migrate(\"h2-b", &["h2-b\""]);
    offers(&runner, "host(\"a\").domain(\"", &["a:Domains\")"]);
    offers(&runner, "host(\"a\").pool(\"", &["a:Pools\")"]);
    offers(&runner, "let h = host(\"b\"); h.network(\"", &["b:Networks\")"]);
    offers(&runner, "demo.pool(\"p\").volume(\"", &["test:///default:Volumes(\\\"p\\\")\")"]);
    offers(&runner, "hosts()[0].domain(\"", &["any:Domains\")"]);
    offers(&runner, "d.host.domain(\"", &["test:///default:Domains\")"]);
    offers(&runner, "demo.read(\"/etc/o", &["of-5\""]);
    offers(&runner, "demo.upload(\"mi", &["mine.rhai\""]);
    offers(&runner, "demo.upload(\"x/\", \"/o", &["of-1\""]);
    offers(&runner, "help(\"migrat", &["migrate\")"]);
    offers(&runner, "d.state == \"cra", &["crashed\""]);
}

#[test]
fn hosts_words_and_maps_within_maps_are_known() {
    let runner = runner();
    offers(&runner, "d.clone_to(\"x\", #{on: \"h2-b", &["h2-b\""]);
    offers(&runner, "d.clone_to(\"x\", #{on: ", &["\"h2-a\"", "\"h2-b\"", "\"q\\\"t\\`\""]);
    // A module's function wants the object, not its name.
    offers(&runner, "ev::run(\"h2-b", &["host(\"h2-b\")"]);
    let found = runner.complete("ev::run(\"h2-b", 13, &Lab);
    assert_eq!(found.start, "ev::run(".len());
    let offered = texts(&runner, "ev::run(");
    assert_eq!(offered[0], "host(\"h2-a\")");
    assert!(offered.contains(&"demo".to_owned()), "{offered:?}");
    offers(&runner, "log(\"", &["info\"", "warn\"", "error\""]);
    offers(&runner, "log(\"warn\", \"", &[]);
    offers(&runner, "demo.create(#{disks: [#{im", &["image: "]);
    offers(&runner, "demo.create(#{name: \"x\", nics: [#{br", &["bridge: "]);
    offers(&runner, "demo.create(#{pool: \"", &["test:///default:Pools\""]);
    offers(&runner, "demo.define_pool(#{auth: #{", &["user: ", "secret: ", "value: "]);
    offers(&runner, "demo.define_pool(#{auth: #{user: \"x\"}, na", &["name: "]);
    offers(&runner, "demo.define_network(#{", &["name: ", "bridge: "]);
}

#[test]
fn what_nobody_knows_is_offered_nothing_and_errors_are_known() {
    let runner = runner();
    let error = texts(&runner, "try { d.start() } catch (e) { e.");
    for member in ["code", "message", "hint"] {
        assert!(error.iter().any(|text| text == member), "{error:?}");
    }
    assert!(!error.iter().any(|text| text.starts_with("migrate")), "{error:?}");
    for unknown in ["nobody_knows.", "thing().map(|x| x.", "m.list.map(|a, b| b.", "|x| x."] {
        offers(&runner, unknown, &[]);
    }
    for domain in ["ds.map(|x| x.mig", "ds.sort(|a, b| b.mig", "ds.reduce(|sum, x| x.mig"] {
        offers(&runner, domain, &["migrate("]);
    }
}

#[test]
fn options_have_keys_and_values() {
    let runner = runner();
    offers(&runner, "d.migrate(\"h2-b\", #{po", &["post_copy: "]);
    offers(&runner, "d.migrate(\"h2-b\", #{post_copy: true, po", &[]);
    offers(&runner, "d.migrate(\"h2-b\", #{post_copy: t", &["true"]);
    offers(
        &runner,
        "demo.domains(#{state: ",
        &[
            "\"running\"",
            "\"idle\"",
            "\"paused\"",
            "\"in shutdown\"",
            "\"shut off\"",
            "\"crashed\"",
            "\"pmsuspended\"",
        ],
    );
    offers(&runner, "demo.domains(#{state: \"run", &["running\""]);
    offers(&runner, "demo.run(\"x\", #{che¦: false})", &["check"]);
    // A script's function says them in its documentation.
    offers(&runner, "ev::run(demo, #{par", &["parallel: ", "partial: "]);
    offers(&runner, "ev::run(demo, #{off: \"", &["move\"", "leave\""]);
    offers(&runner, "ev::run(demo, #{to: [\"h2-a", &["h2-a\""]);
    offers(&runner, "ev::run(demo, #{band", &["bandwidth: "]);
}

#[test]
fn names_modules_and_keywords() {
    let runner = runner();
    offers(&runner, "mine", &["mine("]);
    offers(&runner, "let other = 1; oth", &["other"]);
    offers(&runner, "ev::su", &["summary("]);
    offers(&runner, "import \"std/migrate\" as mg; mg::", &["best(", "to("]);
    offers(&runner, "import \"std/ev", &["std/evacuate\""]);
    offers(&runner, "import \"mi", &["std/migrate\"", "mine\""]);
    offers(&runner, "let nam", &[]);
    offers(&runner, "whil", &["while"]);
    assert!(texts(&runner, "").contains(&"hosts(".to_owned()));
    let note = |text: &str| runner.complete(text, text.len(), &Lab).candidates[0].note.clone();
    assert_eq!(note("dem"), "Host test:///default");
    assert_eq!(note("demo.domain"), "(name: string) -> Domain");
}

#[test]
fn a_call_shows_its_forms() {
    let runner = runner();
    let calling = |text: &str| runner.calling(text);
    assert_eq!(calling("demo.domain("), Some((vec!["host.domain(name: string)".into()], 0)));
    assert_eq!(calling("demo.upload(\"a\", ").unwrap().1, 1);
    assert_eq!(calling("mine("), Some((vec!["mine(x)".into()], 0)));
    assert_eq!(calling("demo"), None);
    assert_eq!(calling("nothing("), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn any_text_with_the_cursor_anywhere_is_answered(
        pieces in prop::collection::vec(prop_oneof![
            "\\PC{0,4}",
            prop::sample::select(vec![
                "d", ".", "demo", "(", ")", "[", "]", "{", "}", "#{", "\"", "`", "${", "|x|", "x", ",", ":", "::",
                "let x = ", "fn f(", "for x in ", "host", "domains()", "\n", "\r", "\t", "/*", "//", "ev", "to",
                "\\", "'", "import \"", "日本", "e\u{301}", "\u{1F469}\u{200D}\u{1F469}", "\u{0}", " ", "help ",
            ]).prop_map(ToOwned::to_owned),
        ], 0..25),
        at in 0_usize..200,
    ) {
        thread_local! { static RUNNER: Runner = runner(); }
        let text = pieces.concat();
        RUNNER.with(|runner| {
            let began = std::time::Instant::now();
            let at = at.min(text.len());
            let found = runner.complete(&text, at, &Lab);
            assert!(found.start <= text.len());
            if !found.candidates.is_empty() {
                assert!(found.start <= at && text.is_char_boundary(found.start), "{text:?} {at} {}", found.start);
            }
            runner.calling(&text);
            runner.is_incomplete(&text);
            runner.bracket_pair(&text, at);
            let mut end = 0;
            for (range, _) in runner.inks(&text) {
                assert!(range.start >= end && text.get(range.clone()).is_some());
                end = range.end;
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(5), "{text:?} took {:?}", began.elapsed());
        });
    }
}

#[test]
fn a_modules_map_has_the_keys_of_the_objects_that_it_makes() {
    use crate::script::options::keys;
    let mut runner = runner();
    let text = "import \"std/bond\" as bond; import \"std/bridge\" as bridge;";
    runner.run_line(&Source { name: "repl[2]".into(), text: text.into() }).unwrap();
    for made in [&keys::BOND, &keys::BRIDGE] {
        for function in ["setup(demo", "spec(#{}"] {
            let code = format!("{}::{}, #{{", made.object, function).replace("(#{}, #{", "(#{");
            let offered = texts(&runner, &code);
            let all = made.keys.iter().chain(keys::SET_LINKS.keys).filter(|key| key.name != "kind");
            for key in all {
                assert!(offered.contains(&format!("{}: ", key.name)), "{code} {}: {offered:?}", key.name);
            }
        }
    }
}
