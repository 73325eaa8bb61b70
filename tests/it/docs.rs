//! Documentation: everything that can be called has some, and its examples run.

use std::sync::Arc;

use kvmsh::gate::{Journal, Mode};
use kvmsh::model::{Cancel, Inventory, Silent};
use kvmsh::ops::{Session, Settings};
use kvmsh::script::{Entry, Index, Kind, Origin, Runner, Source};

fn runner() -> Runner {
    Runner::new(&Session::new(Settings {
        inventory: Inventory::default(),
        select: Vec::new(),
        mode: Mode::Apply,
        journal: Journal::off(),
        assume_yes: false,
        progress: Arc::new(Silent),
        cancel: Cancel::new(),
        prompt: None,
    }))
}

/// The lines of `found`, or nothing.
fn none(what: &str, found: impl Iterator<Item = String>) {
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn own(index: &Index) -> impl Iterator<Item = &Entry> {
    index.own().filter(|entry| entry.origin == Origin::Kvmsh)
}

#[test]
fn everything_public_opens_with_one_short_sentence() {
    let index = runner().index();
    assert!(own(&index).count() > 120, "the index is empty");
    let is_sentence = |doc: &str| {
        let first = doc.lines().next().unwrap_or_default();
        first.ends_with('.') && !first.contains(". ") && first.chars().count() <= 120
    };
    none(
        "no sentence in the first line",
        own(&index)
            .filter(|entry| !is_sentence(&entry.doc))
            .map(|entry| format!("{}: {:?}", entry.signature(), entry.doc.lines().next())),
    );
    none(
        "no sentence in the first line",
        index
            .objects
            .iter()
            .chain(&index.modules)
            .filter(|topic| !is_sentence(&topic.doc))
            .map(|topic| format!("{}: {:?}", topic.name, topic.doc)),
    );
}

#[test]
fn every_option_is_known_and_explained() {
    let index = runner().index();
    let mut count = 0;
    for entry in own(&index) {
        let takes = entry.parameters.iter().any(|(name, kind)| {
            matches!(name.as_str(), "options" | "filter" | "details" | "wanted")
                && matches!(kind.as_str(), "map" | "")
        });
        let options = index.options(entry);
        assert!(!takes || !options.is_empty(), "nobody says which options {} takes", entry.call());
        count += options.len();
        let bare = options.iter().filter(|one| entry.module.is_none() && one.doc.len() < 8);
        none("options without an explanation", bare.map(|one| format!("{}: {}", entry.call(), one.name)));
    }
    assert!(count > 60, "only {count} options");
}

/// The words in back quotes outside of parentheses.
fn keys_named(paragraph: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let mut found = Vec::new();
    for (at, part) in paragraph.split('`').enumerate() {
        let is_word = !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        if at % 2 == 1 && depth == 0 && is_word {
            found.push(part.to_owned());
        } else if at % 2 == 0 {
            let count = |bracket: char| i32::try_from(part.matches(bracket).count()).unwrap();
            depth += count('(') - count(')');
        }
    }
    found
}

#[test]
fn the_keys_that_a_module_documents_are_offered() {
    let index = runner().index();
    let mut count = 0;
    let words = |entry: &Entry, name: &str| {
        index.options(entry).into_iter().find(|one| one.name == name).map(|one| one.words).unwrap_or_default()
    };
    for entry in own(&index).filter(|entry| entry.parameters.iter().any(|(name, _)| name == "wanted")) {
        let options = index.options(entry);
        let paragraphs = entry.doc.split("\n\n").filter(|paragraph| paragraph.starts_with("`wanted`:"));
        for paragraph in paragraphs {
            let told = paragraph.split(" They hold ").next().unwrap_or_default();
            for key in keys_named(told).iter().skip(1) {
                count += 1;
                let offered = options.iter().any(|option| option.name == *key);
                assert!(offered, "{} does not offer {key}", entry.call());
            }
        }
        match (entry.module.as_deref(), entry.name.as_str()) {
            (Some("bond"), _) => assert_eq!(words(entry, "mode").len(), 7, "{}", entry.call()),
            (Some("nfs"), "serve") => assert_eq!(words(entry, "squash"), ["none", "root"]),
            (Some("pool"), "share") => {
                for key in ["name", "type", "initiator", "mount", "loopback"] {
                    assert!(options.iter().any(|option| option.name == key), "{key}");
                }
            }
            _ => {}
        }
    }
    assert!(count > 25, "only {count} keys");
}

#[test]
fn examples_are_code_on_one_line_and_run() {
    let index = runner().index();
    let mut runner = runner();
    let mut failed = Vec::new();
    let mut count = 0;
    for entry in own(&index) {
        for line in entry.doc.lines().filter(|line| line.starts_with("Example:")) {
            assert!(line.starts_with("Example: `") && line.ends_with('`'), "{}: {line}", entry.usage());
        }
        for example in entry.examples() {
            count += 1;
            let source = Source { name: entry.usage(), text: example.to_owned() };
            if let Err(diagnosis) = runner.run(&source, &[]) {
                failed.push(format!("{}: {example}: {}", entry.usage(), diagnosis.fault));
            }
        }
    }
    let missing = own(&index).filter(|entry| entry.examples().next().is_none());
    none("no example", missing.map(Entry::call));
    assert!(count > 60, "only {count} examples");
    none("examples that fail", failed.into_iter());
}

/// Whether a function whose types are all exact would be preferred to this one.
fn loses_against(own: &Entry, rhai: &Entry) -> bool {
    let free = |entry: &Entry| {
        entry.parameters.iter().filter(|(_, kind)| matches!(kind.as_str(), "any" | "")).count()
    };
    let fits = own
        .parameters
        .iter()
        .zip(&rhai.parameters)
        .all(|((_, own), (_, rhai))| own == rhai || matches!(own.as_str(), "any" | ""));
    own.kind == Kind::Function
        && own.object.is_none()
        && own.module.is_none()
        && rhai.object.is_none()
        && own.parameters.len() == rhai.parameters.len()
        && fits
        && free(own) > free(rhai)
}

#[test]
fn no_function_loses_against_one_of_rhais() {
    let index = runner().index();
    let rhais: Vec<&Entry> = index.entries.iter().filter(|entry| entry.origin == Origin::Rhai).collect();
    none(
        "Rhai would call its own",
        own(&index)
            .filter(|own| rhais.iter().any(|rhai| rhai.name == own.name && loses_against(own, rhai)))
            .map(Entry::call),
    );
}

#[test]
fn help_finds_functions_objects_modules_and_parts_of_names() {
    let index = runner().index();
    let page = |topic| index.page(topic).unwrap();
    assert!(page("migrate").contains("domain.migrate(target, options: map)"));
    assert!(page("domain.migrate(x)").starts_with("domain.migrate(target)"));
    assert!(page("Domain").contains("Properties\n") && page("domain").contains("host.domain(name: string)"));
    assert!(page("std/evacuate").contains("evacuate::run(source, options)"));
    assert!(page("evacuate::run").starts_with("evacuate::run("));
    assert!(page("autosta").contains("domain.autostart = bool"));
    assert!(page("pad").contains("array.pad("));
    let fault = index.page("migrtae").unwrap_err();
    assert_eq!((fault.code.as_str(), fault.hint.as_deref()), ("no_help", Some("did you mean `migrate`?")));
    let fault = index.page("domain.stat").unwrap_err();
    assert_eq!(fault.hint.as_deref(), Some("did you mean `start` or `state` or `stats`?"));
    let overview = index.overview();
    for name in own(&index).filter(|e| e.object.is_none() && e.module.is_none()).map(|e| &e.name) {
        assert!(overview.contains(&format!("  {name}(")), "{name}");
    }
    assert!(overview.lines().count() < 130 && overview.lines().all(|line| line.chars().count() <= 80));
}
