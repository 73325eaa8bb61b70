//! Memory does not grow with the number of calls.

use std::time::Duration;

use crate::lab::Lab;

/// How much resident memory may grow over 100,000 calls.
const GROWTH: i64 = 2 << 20;

/// 2,000 rounds of fifty calls each, after a warm-up of 200; what it prints is the growth in bytes. The process reads
/// its own size. Figures come from QEMU itself and take 40 times as long as the rest, so there is one call for them.
const ROUNDS: &str = r#"
    let h = host("qemu:///system");
    let d = h.domain("web1");
    let rounds = |count| {
        for round in 0..count {
            h.stats();
            h.domains();
            for n in 0..12 { d.state; d.info; d.job; d.xml; }
        }
    };
    let resident = || {
        let line = h.read("/proc/" + args[0] + "/status").split("\n").filter(|l| l.starts_with("VmRSS:"))[0];
        parse_int(line.split(" ").filter(|word| word != "")[1]) * 1024
    };
    rounds.call(200);
    let before = resident.call();
    rounds.call(2000);
    print(resident.call() - before);
"#;

#[test]
fn a_hundred_thousand_questions_leave_memory_as_it_was() {
    let lab = Lab::up(&["h2-a"]);
    lab.guest("h2-a", "web1").start();
    // The shell's own pid is that of the kvmsh it becomes.
    let mut inside = lab.on_host("h2-a", "sh");
    let become_kvmsh = "cat >/root/kvmsh && chmod 755 /root/kvmsh";
    inside.args(["-c", become_kvmsh]);
    inside.stdin(std::fs::File::open(env!("CARGO_BIN_EXE_kvmsh")).unwrap());
    lab.run(inside, Duration::from_secs(60)).ends(0);
    let mut asking = lab.on_host("h2-a", "sh");
    asking.args(["-c", r#"exec /root/kvmsh -c "$0" $$"#, ROUNDS]);
    let output = lab.run(asking, Duration::from_secs(600));
    let growth: i64 = output.ends(0).stdout.trim().parse().unwrap();
    eprintln!("resident memory grew by {growth} bytes");
    assert!(growth < GROWTH, "resident memory grew by {growth} bytes");
}
