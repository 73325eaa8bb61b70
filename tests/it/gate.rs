//! Every change passes the gate, and the gate is asked in few places. That only the gate makes permits, and that
//! whatever changes a host takes one, is tested in layers.rs.

use std::fs;
use std::path::{Path, PathBuf};

/// Who asks the gate: the work on a host, commands on it, and the inventory.
const ASKED: [&str; 4] = ["ops/host.rs", "ops/shell.rs", "cli/hosts.rs", "cli/hosts/add.rs"];

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn the_gate_is_asked_in_few_places() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut found = Vec::new();
    for file in &files {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let text = fs::read_to_string(file).unwrap();
        let code: String = text.split("#[cfg(test)]\nmod tests").next().unwrap().split_whitespace().collect();
        let asks =
            code.contains("gate().apply(") || code.contains("gate.apply(") || code.contains("Gate::apply(");
        let observes = code.contains(".observe(") || code.contains("Gate::observe(");
        let permits = code.contains("Permit{");
        if path == "gate/mod.rs" {
            assert!(permits, "the scan does not see what it looks for");
            continue;
        }
        assert!(!permits, "{path} makes a Permit");
        let marks = code.contains("gate::mark(") || code.contains("mark(|permit|");
        assert!(!marks || path == "ops/lease/mod.rs", "{path} marks hosts");
        assert!(!observes || path == "ops/shell.rs", "{path} observes");
        assert!(!asks || ASKED.contains(&path), "{path} asks the gate itself");
        if asks || observes {
            found.push(path.to_owned());
        }
    }
    found.sort();
    let mut asked = ASKED;
    asked.sort_unstable();
    assert_eq!(found, asked);
}

#[test]
fn a_read_only_session_takes_nobodys_word_that_a_command_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let code = "host(`test:///default`).run(`touch made`, #{changes: false})";
    let run = |mode: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kvmsh"));
        command.args([mode, "-c", code]).current_dir(home.path()).env_clear().env("HOME", home.path());
        command.env("PATH", "/usr/bin:/bin").output().unwrap()
    };
    let refused = run("--read-only");
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("error[read_only]"));
    assert!(!home.path().join("made").exists());
    assert_eq!(run("--plan").status.code(), Some(0));
    assert!(home.path().join("made").exists());
}
