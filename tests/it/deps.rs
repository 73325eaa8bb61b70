//! What kvmsh is built of: where the crates come from, under which licences, and that nothing is there that must not be.
//!
//! The lists say the same as deny.toml; this test is for machines without cargo-deny. Neither knows of advisories about
//! crates here: that needs the advisory database, `cargo deny check advisories` fetches it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const LICENSES: [&str; 11] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    // Copyleft by the file: kvmsh changes none of theirs.
    "MPL-2.0",
];

/// Copyleft by the library: what that means for whoever passes kvmsh on is in LICENSE.
const LGPL: [&str; 2] = ["virt", "virt-sys"];

/// What kvmsh does another way, and must not come back through a dependency.
const BANNED: [(&str, &str); 5] = [
    ("tokio", "libvirt and SSH block; threads do"),
    ("async-std", "libvirt and SSH block; threads do"),
    ("openssh", "SSH is ssh2's"),
    ("chrono", "time is jiff's"),
    ("serde_yaml", "unmaintained; YAML is serde-saphyr's"),
];

/// Two versions of one of these would be two kinds of the same type.
const ONCE: [&str; 8] = ["rhai", "virt", "virt-sys", "ssh2", "libssh2-sys", "openssl-sys", "serde", "libc"];

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let mut refused = BTreeMap::new();
    for package in packages() {
        let expression = package["license"].as_str().unwrap_or_default();
        let lgpl = LGPL.contains(&name(&package)) && expression == "LGPL-2.1";
        if !lgpl && !allowed(expression) {
            refused.insert(name(&package).to_owned(), expression.to_owned());
        }
    }
    assert!(refused.is_empty(), "licences that nobody has looked at: {refused:#?}");
}

#[test]
fn every_crate_comes_from_the_one_default_registry() {
    let sources: BTreeSet<String> = packages()
        .iter()
        .filter(|package| name(package) != "kvmsh")
        .map(|package| package["source"].as_str().unwrap_or("a path").to_owned())
        .collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("registry+")), "{sources:?}");
    let manifest = include_str!("../../Cargo.toml");
    assert!(!manifest.contains("registry"), "Cargo.toml names a registry of its own");
}

#[test]
fn no_crate_is_banned_and_key_crates_are_there_once() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let version = package["version"].as_str().unwrap_or_default().to_owned();
        versions.entry(name(&package).to_owned()).or_default().insert(version);
    }
    for (banned, instead) in BANNED {
        assert!(!versions.contains_key(banned), "{banned} is in the tree: {instead}");
    }
    for once in ONCE {
        let found = versions.get(once).map_or(0, BTreeSet::len);
        assert_eq!(found, 1, "{once} is there in {:?}", versions.get(once));
    }
}

#[test]
fn licence_expressions_are_understood() {
    for good in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR Apache-2.0) AND Unicode-3.0", "MPL-2.0+"] {
        assert!(allowed(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-2.0) AND GPL-3.0", "LGPL-2.1"] {
        assert!(!allowed(bad), "{bad}");
    }
}

/// Whether an SPDX expression can be met with what is in [`LICENSES`]; `/` is the old spelling of OR.
fn allowed(expression: &str) -> bool {
    let expression = expression.trim();
    let any = split(&expression.replace('/', " OR "), " OR ");
    if any.len() > 1 {
        return any.iter().any(|part| allowed(part));
    }
    let all = split(expression, " AND ");
    if all.len() > 1 {
        return all.iter().all(|part| allowed(part));
    }
    match expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => allowed(inner),
        None => LICENSES.contains(&expression.trim_end_matches('+')),
    }
}

/// The parts of an expression between `word`s that are in no brackets.
fn split(expression: &str, word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        match next {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 && rest.starts_with(word) {
            parts.push(String::new());
            rest = &rest[word.len()..];
            continue;
        }
        parts.last_mut().unwrap().push(next);
        rest = &rest[next.len_utf8()..];
    }
    parts
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

/// All crates of Cargo.lock that this platform builds, kvmsh itself among them.
fn packages() -> Vec<Value> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &platform])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages").clone();
    assert!(packages.len() > 100, "only {} crates", packages.len());
    packages
}
