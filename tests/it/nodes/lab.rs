//! The lab of real nodes is what its README says, and does to nodes what its name says.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::lab::vm::{Node, VmLab};
use crate::lab::wait_until;

/// How long one command may take. An idle node needs 2 s for the first one over SSH.
const COMMAND: Duration = Duration::from_secs(60);

fn pair() -> VmLab {
    VmLab::up(&[Node::new("h2-a"), Node::new("h2-b").netplan()])
}

fn single() -> VmLab {
    VmLab::up(&[Node::new("h2-a")])
}

/// What a command prints that runs on `node` by kvmsh, over SSH. A node among busy neighbours may take longer to open a
/// session than kvmsh waits for it.
fn over_ssh(lab: &VmLab, node: &str, command: &str) -> String {
    let mut printed = String::new();
    wait_until(Duration::from_secs(240), &format!("kvmsh to run {command} on {node}"), || {
        let mut kvmsh = lab.kvmsh();
        kvmsh.args(["-c", &format!("print(host({node:?}).run({command:?}).stdout)")]);
        let output = lab.run(kvmsh, COMMAND);
        eprint!("{}", output.stderr);
        printed = output.stdout;
        output.status.success()
    });
    printed
}

/// The addresses of a node's devices, as "enp2s0 10.88.0.11/24".
fn addresses(lab: &VmLab, node: &str) -> Vec<String> {
    let shown = lab.exec(node, &["ip", "-br", "-4", "addr"]);
    let mut lines: Vec<_> = shown
        .lines()
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            format!("{} {}", words[0], words.get(2).unwrap_or(&"-"))
        })
        .collect();
    lines.sort();
    lines
}

fn carrier(lab: &VmLab, node: &str, device: &str) -> bool {
    lab.exec(node, &["cat", &format!("/sys/class/net/{device}/carrier")]).trim() == "1"
}

#[test]
fn nodes_come_up_as_different_machines_that_kvmsh_reaches() {
    let lab = pair();
    for (node, address) in [("h2-a", "10.88.0.11"), ("h2-b", "10.88.0.12")] {
        assert_eq!(over_ssh(&lab, node, "hostname").trim(), node);
        assert_eq!(addresses(&lab, node), [&format!("enp2s0 {address}/24"), "lo 127.0.0.1/8"]);
        assert_eq!(lab.exec(node, &["cat", "/sys/class/net/enp3s0/operstate"]).trim(), "down");
        let route = lab.exec(node, &["ip", "route", "show", "default"]);
        assert!(route.starts_with("default via 10.88.0.1 dev enp2s0"), "{route}");
        lab.exec(node, &["ping", "-c", "1", "-W", "5", "10.88.0.1"]);
        // The guest for tests inside a node.
        lab.exec(node, &["test", "-s", "/srv/guest/vmlinuz", "-a", "-s", "/srv/guest/initrd"]);
    }
    for identity in [
        "/etc/machine-id",
        "/sys/class/dmi/id/product_uuid",
        "/etc/ssh/ssh_host_ed25519_key.pub",
        "/sys/class/net/enp2s0/address",
    ] {
        let [a, b] = ["h2-a", "h2-b"].map(|node| lab.exec(node, &["cat", identity]));
        assert_ne!(a, b, "{identity}");
    }
    let owner =
        |node| lab.shell(node, "networkctl --no-legend list enp2s0 2>/dev/null | grep -c configured || :");
    assert_eq!(["h2-a", "h2-b"].map(|node| owner(node).trim().to_owned()), ["0", "1"]);
    // Unlike the machine under this lab, a node has the drivers that the article needs.
    lab.shell(
        "h2-a",
        "modprobe -a bonding bridge 8021q nfs nfsd; ip link add bond0 type bond mode active-backup miimon 100; \
         ip link set enp3s0 master bond0; ip link set bond0 up; sleep 1; \
         grep -q 'Slave Interface: enp3s0' /proc/net/bonding/bond0",
    );
}

#[test]
fn a_command_on_a_node_returns_its_output_and_exit_status_also_without_a_network() {
    let lab = single();
    lab.exec("h2-a", &["systemctl", "stop", "ssh"]);
    lab.exec("h2-a", &["ip", "link", "set", "enp2s0", "down"]);
    let mut command = lab.on_node("h2-a", "sh");
    command.args(["-c", "echo \"$1\"; echo bad >&2; exit 7", "sh", "two  words, 'quotes' and \u{e4}"]);
    let output = lab.run(command, COMMAND);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("two  words, 'quotes' and \u{e4}\n", "bad\n")
    );
    let mut command = lab.on_node("h2-a", "sh");
    command.args(["-c", "kill -9 $$"]);
    assert_eq!(lab.run(command, COMMAND).status.code(), Some(128 + 9));
    let long = lab.shell("h2-a", "seq 100000");
    assert_eq!((long.lines().count(), long.lines().last()), (100_000, Some("100000")));
}

#[test]
fn a_pulled_cable_is_no_carrier_in_the_node_and_cuts_it_off() {
    let lab = single();
    assert!(carrier(&lab, "h2-a", "enp2s0"));
    lab.cable_down("h2-a", 1);
    wait_until(Duration::from_secs(30), "the carrier to go", || !carrier(&lab, "h2-a", "enp2s0"));
    let mut ping = lab.controller("ping");
    ping.args(["-c", "2", "-W", "2", "10.88.0.11"]);
    assert!(!lab.run(ping, COMMAND).status.success());
    lab.exec("h2-a", &["ip", "link", "set", "enp3s0", "up"]);
    wait_until(Duration::from_secs(30), "the other cable's carrier", || carrier(&lab, "h2-a", "enp3s0"));
    lab.cable_up("h2-a", 1);
    wait_until(Duration::from_secs(30), "the carrier to return", || carrier(&lab, "h2-a", "enp2s0"));
    over_ssh(&lab, "h2-a", "true");
    // The same address on the other NIC: it is on the same network, over the other switch.
    lab.cable_down("h2-a", 1);
    lab.shell("h2-a", "ip addr flush dev enp2s0; ip addr add 10.88.0.11/24 dev enp3s0");
    over_ssh(&lab, "h2-a", "true");
}

#[test]
fn a_power_cut_loses_what_was_not_flushed_and_the_node_boots_again() {
    let lab = single();
    lab.shell("h2-a", "echo kept >/root/kept; sync; echo lost >/root/lost");
    lab.kill("h2-a");
    let refused = lab.run(lab.on_node("h2-a", "true"), COMMAND);
    assert!(refused.stderr.contains("h2-a is not running"), "{}", refused.stderr);
    lab.boot("h2-a");
    assert_eq!(lab.shell("h2-a", "cd /root; cat kept; ls lost 2>/dev/null || :"), "kept\n");
    lab.wait_ssh("h2-a");
    let boot_id = || lab.exec("h2-a", &["cat", "/proc/sys/kernel/random/boot_id"]);
    let before = boot_id();
    lab.shell("h2-a", "echo kept >/root/written");
    lab.reboot("h2-a");
    assert_ne!(boot_id(), before);
    assert_eq!(lab.exec("h2-a", &["cat", "/root/written"]), "kept\n");
    lab.wait_ssh("h2-a");
    over_ssh(&lab, "h2-a", "true");
    assert!(lab.console("h2-a").contains("reboot: Restarting system"));
}

#[test]
fn a_snapshot_takes_a_node_back_with_its_network_but_not_its_clock() {
    let lab = single();
    lab.snapshot("h2-a", "clean");
    lab.shell("h2-a", "touch /root/file; ip addr flush dev enp2s0; systemctl stop ssh");
    lab.cable_down("h2-a", 1);
    lab.restore("h2-a", "clean");
    assert_eq!(addresses(&lab, "h2-a")[0], "enp2s0 10.88.0.11/24");
    assert!(carrier(&lab, "h2-a", "enp2s0"));
    lab.exec("h2-a", &["test", "!", "-e", "/root/file"]);
    over_ssh(&lab, "h2-a", "true");
    let there: u64 = lab.exec("h2-a", &["date", "+%s"]).trim().parse().unwrap();
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(here.abs_diff(there) <= 10, "{there} on the node, {here} here");
    // Any number of times.
    lab.exec("h2-a", &["touch", "/root/file"]);
    lab.restore("h2-a", "clean");
    lab.exec("h2-a", &["test", "!", "-e", "/root/file"]);
}

#[test]
fn a_bare_node_installs_packages_without_a_network_and_takes_a_password() {
    let lab = VmLab::up(&[Node::new("fresh").bare().password()]);
    lab.shell(
        "fresh",
        "! command -v virsh && ! command -v brctl && ! ls /etc/network/if-pre-up.d/ifenslave 2>/dev/null && ! dpkg -s nfs-common 2>/dev/null",
    );
    lab.exec("fresh", &["apt-get", "-q", "update"]);
    lab.shell(
        "fresh",
        "DEBIAN_FRONTEND=noninteractive apt-get -qy install ifenslave; ls /etc/network/if-pre-up.d/ifenslave",
    );
    lab.exec(
        "fresh",
        &["apt-get", "-sq", "install", "libvirt-daemon-system", "qemu-utils", "nfs-common", "bridge-utils"],
    );
    // The key is refused, the password offered. Whether it is the right one shows the hash.
    let mut ssh = lab.controller("ssh");
    ssh.arg("-o").arg(format!("UserKnownHostsFile={}", lab.dir().join("known_hosts").display()));
    ssh.arg("-i").arg(lab.dir().join("id_ed25519")).args(["-o", "BatchMode=yes", "root@10.88.0.11", "true"]);
    let refused = lab.run(ssh, COMMAND);
    assert!(refused.stderr.contains("Permission denied (publickey,password)"), "{}", refused.stderr);
    let check = "my ($hash) = (getpwnam 'root')[1]; exit(crypt($ARGV[0], $hash) eq $hash ? 0 : 1)";
    lab.exec("fresh", &["perl", "-e", check, &lab.root_password()]);
}

/// A process that does nothing; killed when dropped.
struct Owner(Child);

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_is_left_of_a_lab_whose_owner_was_killed() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/vm");
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("lab");
    let mut owner = Owner(Command::new("sleep").arg("1000").spawn().unwrap());
    let mut up = Command::new(&program);
    up.arg("up").arg(&dir).args(["--node", "h2-a", "--owner", &owner.0.id().to_string()]);
    assert!(up.status().unwrap().success());
    let processes: Vec<_> = ["hosts/h2-a/pid", "pid", "watch", "controller/pid"]
        .iter()
        .map(|record| {
            let record = fs::read_to_string(dir.join(record)).unwrap();
            let pid = record.split(' ').next().unwrap().to_owned();
            Path::new("/proc").join(pid)
        })
        .collect();
    assert!(processes.iter().all(|process| process.exists()), "{processes:?}");
    let links = fs::read_to_string("/proc/net/dev").unwrap();
    assert!(!links.contains("nic11-1") && !links.contains("switch"), "{links}");
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
    wait_until(Duration::from_secs(20), "the lab to end", || {
        processes.iter().all(|process| !process.exists())
    });
    let down = Command::new(&program).arg("down").arg(&dir).status().unwrap();
    assert!(down.success() && !dir.exists());
}
