//! The house rules that the compiler does not check, read off the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file without its comments, texts and unit tests.
struct Source {
    /// From `src` on.
    path: String,
    code: String,
}

fn sources() -> Vec<Source> {
    fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => collect(&path, into),
                false if path.extension().is_some_and(|e| e == "rs") => into.push(path),
                false => {}
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let read = |path: &PathBuf| Source {
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
        code: code_of(&fs::read_to_string(path).unwrap()),
    };
    let sources: Vec<_> = paths.iter().map(read).collect();
    assert!(sources.len() > 80, "only {} files found", sources.len());
    sources
}

/// Rust without comments, the contents of texts, and what comes after `#[cfg(test)]`.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    while let Some(first) = rest.chars().next() {
        let raw_hashes = rest.strip_prefix('r').map(|r| r.len() - r.trim_start_matches('#').len());
        let raw = raw_hashes.filter(|n| rest[1 + n..].starts_with('"') && !code.ends_with(is_word));
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(hashes) = raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = 2 + hashes;
            from + rest[from..].find(&end).unwrap() + end.len()
        } else if first == '"' {
            let mut escaped = false;
            let closes = |c: char| {
                let quote = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                quote
            };
            rest[1..].find(closes).unwrap() + 2
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find('\'').unwrap() + 2
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skip..];
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words of some code, one by one.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !is_word(c)).filter(|word| !word.is_empty())
}

/// The functions of a file: signature and body.
fn functions(code: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let Some(open) = code[at..].find(['{', ';']).map(|open| at + open) else { continue };
        if code[..at].ends_with(is_word) || code[open..].starts_with(';') {
            continue;
        }
        let mut depth = 0;
        let closes = |c: char| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        };
        let close = open + code[open..].find(closes).unwrap_or(code.len() - open - 1);
        let line = code[..at].rfind(['\n', '{', '}', ';']).map_or(0, |line| line + 1);
        found.push((&code[line..open], &code[open..=close]));
    }
    found
}

/// The files in whose code a word stands.
fn files_with(word: &str) -> BTreeSet<String> {
    let has = |source: &Source| words(&source.code).any(|w| w == word);
    sources().iter().filter(|source| has(source)).map(|source| source.path.clone()).collect()
}

#[track_caller]
fn only_in(word: &str, places: &[&str]) {
    let files = files_with(word);
    assert!(!files.is_empty(), "`{word}` is nowhere: is it looked for in the right way?");
    let stray: Vec<_> = files.iter().filter(|f| !places.iter().any(|place| f.starts_with(place))).collect();
    assert!(stray.is_empty(), "`{word}` belongs to {places:?}, and is also in {stray:?}");
}

#[test]
fn each_library_is_named_in_its_own_layer_alone() {
    only_in("rhai", &["script/", "repl/"]);
    only_in("virt", &["libvirt/"]);
    only_in("ssh2", &["ssh/"]);
    only_in("rustyline", &["repl/"]);
    only_in("clap", &["cli/"]);
}

#[test]
fn what_the_compiler_cannot_check_is_in_one_file_and_says_why_it_is_right() {
    only_in("unsafe", &["libvirt/raw.rs"]);
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/libvirt/raw.rs")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let mut blocks = 0;
    for (at, line) in lines.iter().enumerate() {
        if code_of(line).contains("unsafe {") {
            blocks += 1;
            let before = lines[at.saturating_sub(4)..=at].join("\n");
            assert!(before.contains("SAFETY:"), "line {}: {line}", at + 1);
        }
    }
    assert!(blocks > 20, "only {blocks} blocks found");
}

/// Which layers each layer may name; main.rs and lib.rs tie them together.
const BELOW: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("xml", &["model"]),
    ("netconf", &["model"]),
    ("gate", &["model"]),
    ("ui", &["model"]),
    ("inventory", &["model"]),
    ("libvirt", &["gate", "model", "xml"]),
    ("ssh", &["gate", "model"]),
    ("ops", &["gate", "inventory", "libvirt", "model", "netconf", "ssh", "xml"]),
    ("script", &["gate", "inventory", "libvirt", "model", "netconf", "ops", "ssh", "xml"]),
    ("repl", &["gate", "inventory", "model", "ops", "script", "ui"]),
    ("cli", &["gate", "inventory", "model", "ops", "repl", "script", "ui"]),
];

#[test]
fn arrows_between_the_layers_only_point_down() {
    for Source { path, code } in sources() {
        let layer = path.split(['/', '.']).next().unwrap();
        if matches!(layer, "main" | "lib") || path.ends_with("tests.rs") {
            continue;
        }
        let below = BELOW.iter().find(|(name, _)| *name == layer);
        let below = below.unwrap_or_else(|| panic!("{path} is in no known layer")).1;
        for (at, _) in code.match_indices("crate::") {
            let tail = code[at + "crate::".len()..].trim_start_matches('{');
            let named = words(tail).next().unwrap_or_default();
            assert!(named == layer || below.contains(&named), "{path} names crate::{named}");
        }
    }
}

#[test]
fn only_the_gate_makes_permits() {
    only_in("_only_the_gate", &["gate/mod.rs"]);
    for Source { path, code } in sources().iter().filter(|source| source.path != "gate/mod.rs") {
        let tight: String = code.split_whitespace().collect();
        assert!(!tight.contains("Permit{") && !tight.contains("->Permit"), "{path} makes a Permit");
    }
}

/// How the calls begin that change something, as `virt` and raw.rs spell them.
const CHANGES: &[&str] = &[
    "abort",
    "attach",
    "block_",
    "build",
    "create",
    "define",
    "delete",
    "destroy",
    "detach",
    "dump",
    "inject",
    "managed_save",
    "migrate",
    "pm_",
    "reboot",
    "refresh",
    "rename",
    "reset",
    "resize",
    "restore",
    "resume",
    "revert",
    "save",
    "send",
    "set_",
    "shutdown",
    "snapshot_create",
    "start",
    "suspend",
    "undefine",
    "update",
    "upload",
    "wipe",
];

/// What only concerns kvmsh's own side of a connection or a channel.
const OWN: &[&str] = &["set_keep_alive", "send", "starts_with", "start", "set", "create_domain_snapshot"];

/// The calls of methods and functions in a body that change something.
fn changes(body: &str) -> Vec<&str> {
    let after = |mark: &'static str| body.match_indices(mark).map(move |(at, _)| &body[at + mark.len()..]);
    let names = after(".").chain(after("::")).filter_map(|tail| {
        let name = words(tail).next().filter(|name| tail.starts_with(*name))?;
        tail[name.len()..].starts_with(['(', ')']).then_some(name)
    });
    names.filter(|name| !OWN.contains(name) && CHANGES.iter().any(|verb| name.starts_with(verb))).collect()
}

/// The signature of a public function.
fn signature(file: &str, name: &str) -> String {
    let sources = sources();
    let source = sources.iter().find(|source| source.path == file).unwrap();
    let named = format!("pub fn {name}(");
    let functions = functions(&source.code);
    functions.iter().find(|(signature, _)| signature.contains(&named)).unwrap().0.to_owned()
}

#[test]
fn whatever_changes_a_host_takes_a_permit() {
    let mut seen = 0;
    for Source { path, code } in sources().iter().filter(|source| source.path.starts_with("libvirt/")) {
        // The raw calls are seen by their own layer alone.
        if path == "libvirt/raw.rs" {
            continue;
        }
        for (signature, body) in functions(code) {
            let changes = changes(body);
            seen += usize::from(!changes.is_empty());
            let permitted = changes.is_empty() || signature.contains("Permit");
            assert!(permitted, "{path}: `{}` calls {changes:?}", signature.trim());
        }
    }
    assert!(seen >= 30, "only {seen} functions that change something were found");
    let module =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/libvirt/mod.rs")).unwrap();
    assert!(module.contains("\nmod raw;"));
    for (file, name) in [("ssh/mod.rs", "run"), ("ssh/files.rs", "write"), ("ssh/transfer.rs", "upload")] {
        assert!(signature(file, name).contains("Permit"), "{file}: {name}");
    }
}

#[test]
fn the_scanner_sees_what_it_looks_for() {
    let sample = "/// rhai\npub fn a(&self) -> Result<(), E> { let s = \"unsafe\"; self.call(|d| d.suspend()) }\nfn b();";
    let code = code_of(sample);
    assert!(!words(&code).any(|word| word == "rhai" || word == "unsafe"));
    let [(signature, body)] = functions(&code)[..] else { panic!("{code}") };
    assert!(signature.contains("pub fn a(") && !signature.contains("Permit"));
    assert_eq!(changes(body), ["suspend"]);
}
