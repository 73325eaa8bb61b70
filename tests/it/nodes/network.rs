//! A host's network is changed over the link that is changed, on real nodes: confirmed, or as it was before.

mod faults;
mod guests;
mod refusals;
mod setup;
mod ways;

use std::process::Command;
use std::time::Duration;

use crate::lab::Output;
use crate::lab::vm::{Node, VmLab};
use crate::scene::script;

/// How long one command may take on a node that shares its processors with other nodes.
const LONG: Duration = Duration::from_secs(300);

/// How long a change may wait for its confirmation in these tests.
const CONFIRM: u64 = 90;

/// The same for changes that are to fail: long enough for bond and bridge to come up on a slow node.
const FAIL: u64 = 25;

const NODE: &str = "h2-a";
const CARDS: [&str; 4] = ["--slave", "enp2s0", "--slave", "enp3s0"];

/// One node of the article's kind.
fn node() -> VmLab {
    VmLab::up(&[Node::new(NODE)])
}

/// The same, its network owned by netplan.
fn netplan_node() -> VmLab {
    VmLab::up(&[Node::new(NODE).netplan()])
}

fn kvmsh(lab: &VmLab, args: &[&str]) -> Command {
    let mut kvmsh = lab.kvmsh();
    kvmsh.args(args);
    kvmsh
}

/// `kvmsh -c CODE`, with the modules that these tests use.
fn code(lab: &VmLab, code: &str) -> Output {
    let imports = r#"import "std/net" as net; import "std/bond" as bond; import "std/bridge" as bridge; let h = host("h2-a");"#;
    lab.run(kvmsh(lab, &["-c", &format!("{imports} {code}")]), LONG)
}

/// `kvmsh OPTIONS scripts/setup-network.rhai h2-a ARGS`, without libvirt's part.
fn setup_command(lab: &VmLab, options: &[&str], args: &[&str]) -> Command {
    let mut kvmsh = kvmsh(lab, options);
    let within = CONFIRM.to_string();
    kvmsh
        .arg(script("setup-network.rhai"))
        .arg(NODE)
        .args(["--no-offer", "--confirm-within", &within])
        .args(args);
    kvmsh
}

/// The same, run to its end.
fn setup(lab: &VmLab, options: &[&str], args: &[&str]) -> Output {
    lab.run(setup_command(lab, options, args), LONG)
}

/// Every file that a change of the network touches or might touch, with its hash, mode and owner.
fn files(lab: &VmLab) -> String {
    lab.shell(
        NODE,
        "cd /; find etc/network etc/netplan etc/systemd etc/ssh/sshd_config var/lib/kvmsh/network/pending \
         var/lib/kvmsh/network/undoing \\( -type f -o -type l \\) 2>/dev/null | sort | while read -r f; do \
         stat -c '%n %a %u:%g' \"$f\"; [ -L \"$f\" ] && readlink \"$f\" || sha256sum <\"$f\"; done",
    )
}

/// Addresses and routes, as far as they do not change by themselves.
fn live(lab: &VmLab) -> String {
    lab.shell(
        NODE,
        "ip -br -4 addr | awk '{print $1, $3}' | sort; ip -4 route | sed 's/ onlink//; s/ *$//' | sort; \
         ls /sys/class/net | grep -vx bonding_masters",
    )
}

/// Fails unless the node is as it was, byte for byte, and can be reached.
#[track_caller]
fn is_as_before(lab: &VmLab, before: &(String, String)) {
    assert_eq!(&(files(lab), live(lab)), before);
    reachable(lab);
}

fn state(lab: &VmLab) -> (String, String) {
    (files(lab), live(lab))
}

/// Fails unless kvmsh can run a command there.
#[track_caller]
fn reachable(lab: &VmLab) {
    let output = lab.run(kvmsh(lab, &["-c", r#"host("h2-a").run("true", #{changes: false}); ()"#]), LONG);
    output.ends(0);
}
