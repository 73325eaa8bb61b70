//! How fast a pool is.

use crate::scene::{LONG, kvmsh, pair, run_code, script};

#[test]
fn a_benchmark_gives_figures_of_each_host_and_leaves_nothing() {
    let lab = pair();
    let files = || {
        let mut ls = lab.on_host("h2-a", "ls");
        ls.args(["-lA", "/srv/shared"]);
        lab.run(ls, LONG).stdout
    };
    let before = files();
    let mut bench = kvmsh(&lab, &[]);
    bench.arg(script("bench-storage.rhai")).args([
        "shared",
        "h2-a",
        "h2-b",
        "--size",
        "16MiB",
        "--seconds",
        "5",
    ]);
    let shown = lab.run(bench, LONG);
    shown.ends(0).prints(&[
        "host  tool  write ",
        "sequential write\n  h2-a  █",
        "sequential read\n  h2-a  █",
        "  h2-b  █",
        "iB/s\n",
    ]);
    let mut bench = kvmsh(&lab, &[]);
    bench.arg(script("bench-storage.rhai")).args([
        "shared",
        "h2-b",
        "--size",
        "16MiB",
        "--seconds",
        "5",
        "--json",
    ]);
    let json = lab.run(bench, LONG);
    let rows: serde_json::Value = serde_json::from_str(&json.ends(0).stdout).unwrap();
    assert!(rows[0]["host"] == "h2-b" && rows[0]["write"].as_f64().unwrap() > 1e5, "{rows}");
    let code =
        r#"import "std/bench" as bench; bench::storage([host("h2-a")], "shared", #{ size: "9999TiB" })"#;
    run_code(&lab, code).ends(4).says(&["error[no_space]: h2-a: the pool shared has only "]);
    assert_eq!(files(), before);
}
