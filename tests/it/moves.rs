//! Ctrl-C in a migration that was begun at the prompt: once aborts it, twice leaves it behind.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::lab::{Guest, Lab, wait_until};
use crate::repl::Prompt;
use crate::scene::{LONG, pair, wait_settled};

/// How long kvmsh may take to be back at the prompt.
const BACK: Duration = Duration::from_secs(15);

const MOVE: &str = r#"host("h2-a").domain("web1").migrate("h2-b")"#;

/// A prompt on the lab's controller.
fn prompt(lab: &Lab) -> Prompt {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab"));
    command.arg("enter").arg(lab.dir()).arg(env!("CARGO_BIN_EXE_kvmsh"));
    command
        .env("HOME", lab.scratch())
        .env("XDG_CONFIG_HOME", lab.scratch().join("config"))
        .env("XDG_STATE_HOME", lab.scratch().join("state"))
        .env("LANG", "C.UTF-8")
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    let mut prompt = Prompt::spawn(command);
    prompt.shows("kvmsh> ");
    prompt
}

/// A guest that writes more than its cable takes away.
fn endless(lab: &Lab) -> [Guest<'_>; 1] {
    let guest = lab.guest("h2-a", "web1").dirty(48).start();
    guest.wait_boot();
    lab.shape("h2-a", "100mbit");
    [guest]
}

/// Begins to move it, and waits until it is under way.
fn begin(lab: &Lab, prompt: &mut Prompt) {
    prompt.line(MOVE);
    wait_until(LONG, "the migration of web1 to send", || {
        let mut virsh = lab.on_host("h2-a", "timeout");
        virsh.args(["5", "virsh", "-c", "qemu:///system", "domjobinfo", "web1"]);
        let info = lab.run(virsh, Duration::from_secs(10)).stdout;
        info.lines().any(|line| line.starts_with("Memory processed:") && !line.ends_with(" 0.000 B"))
    });
}

#[test]
fn ctrl_c_at_the_prompt_aborts_a_migration_and_a_second_one_leaves_it_behind() {
    let lab = pair();
    let mut prompt = prompt(&lab);
    let guests = endless(&lab);
    begin(&lab, &mut prompt);
    let began = Instant::now();
    prompt.control('c').shows("web1 runs on h2-a, as before");
    prompt.shows("kvmsh> ");
    assert!(began.elapsed() < BACK, "{:?}", began.elapsed());
    wait_settled(&lab, &guests, &[]);
    prompt.line("host(\"h2-a\").domain(\"web1\").state").shows("\nrunning");
    prompt.shows("kvmsh> ");

    begin(&lab, &mut prompt);
    // Frozen daemons: no abort can end now.
    lab.stop("h2-b", "libvirtd", "STOP");
    lab.stop("h2-a", "libvirtd", "STOP");
    let began = Instant::now();
    prompt.control('c');
    std::thread::sleep(Duration::from_millis(500));
    prompt.control('c').shows("web1 was left on its way from h2-a to h2-b");
    prompt.shows(r#"host("h2-a").domain("web1").job"#);
    prompt.shows("kvmsh> ");
    assert!(began.elapsed() < BACK, "{:?}", began.elapsed());
    lab.start("h2-a", "libvirtd");
    lab.start("h2-b", "libvirtd");
    wait_settled(&lab, &guests, &[]);
    // The prompt is of use again.
    prompt.line("40 + 2").shows("\n42");
    prompt.control('d').ends_with(0);
}
