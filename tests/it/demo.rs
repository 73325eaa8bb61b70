//! The demo that the README begins with, as it is.

use std::process::{Command, Stdio};

#[test]
fn the_demo_empties_a_host_and_proves_it() {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/demo"))
        .arg(env!("CARGO_BIN_EXE_kvmsh"))
        .stdin(Stdio::null())
        .output()
        .expect("tests/lab/demo");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    for line in [
        "$ kvmsh --plan scripts/evacuate.rhai h2-a",
        "(exit code 6)",
        "(both daemons are in exactly the state they were in before)",
        "$ kvmsh scripts/evacuate.rhai h2-a",
        "h2-a is empty: 3 moved live, 1 definition moved, 0 left behind",
        "h2-a is empty: nothing to do",
        "  db1 running",
        "  old1 shut off",
        "$ kvmsh journal",
    ] {
        assert!(said.contains(line), "no `{line}` in:\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "colour without a terminal:\n{said}");
    assert_eq!(errors, "");
}
