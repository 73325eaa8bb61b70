//! Servers become KVM hosts: keys by password, packages from a repository, trust. On real Debian nodes.

use std::time::Duration;

use crate::lab::Output;
use crate::lab::vm::{Node, VmLab};

/// Installing takes a node without KVM a while, and other tests run beside it.
const LONG: Duration = Duration::from_secs(500);

/// A CPU whose virtualisation QEMU emulates, so that the nodes have KVM.
const CPU: &str = "EPYC,+svm,+npt,-avx,-avx2,-f16c,-fma";

/// What the nodes are without at first: small enough to be installed in a minute.
const LACKING: &str = "ifenslave bridge-utils iputils-arping";

/// Two servers whose root logs in with a password alone. libvirt is there but off and not to start at boot; the rest is
/// in a local repository.
fn servers() -> VmLab {
    let lab = VmLab::up(&["h2-a", "h2-b"].map(|name| Node::new(name).password().cpu(CPU)));
    let images = std::fs::read_to_string(lab.dir().join("images")).unwrap();
    for node in ["h2-a", "h2-b"] {
        let mut pack = std::process::Command::new("sh");
        pack.args(["-ec", r#"cd "$0/base/srv" && tar -cf - debs/ifenslave_* debs/bridge-utils_* debs/iputils-arping_* debs/Packages"#]);
        pack.arg(images.trim());
        let packed = pack.output().unwrap();
        assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
        let bundle = lab.scratch().join("debs.tar");
        std::fs::write(&bundle, packed.stdout).unwrap();
        let mut send = std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/vm"));
        send.args(["exec", "--stdin"]).arg(lab.dir()).args([node, "tar", "-C", "/srv", "-xf", "-"]);
        send.stdin(std::fs::File::open(&bundle).unwrap());
        assert!(send.status().unwrap().success());
        let setup = format!(
            "dpkg --purge {LACKING} >/dev/null
             echo 'deb [trusted=yes] file:/srv/debs ./' >/etc/apt/sources.list
             systemctl disable --now libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket 2>/dev/null"
        );
        lab.shell(node, &setup);
    }
    lab
}

fn kvmsh(lab: &VmLab, options: &[&str], args: &[&str]) -> Output {
    let mut command = lab.kvmsh();
    command.args(options).args(args).env("ROOT_PASSWORD", lab.root_password());
    lab.run(command, LONG)
}

fn prepare(lab: &VmLab, options: &[&str], args: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/prepare-hosts.rhai");
    kvmsh(lab, options, &[&[script, "h2-a", "h2-b", "--password-env", "ROOT_PASSWORD"], args].concat())
}

fn code(lab: &VmLab, options: &[&str], code: &str) -> Output {
    let code = format!("import \"std/hostprep\" as hostprep; {code}");
    kvmsh(lab, options, &["-c", &code])
}

/// All that the run could have changed on a node.
fn state(lab: &VmLab, node: &str) -> String {
    lab.shell(
        node,
        "dpkg-query -W; sha256sum /root/.ssh/* 2>/dev/null || :; systemctl is-enabled libvirtd.service libvirtd.socket || :
         virsh -q -c qemu:///system net-list --all --autostart 2>/dev/null || :; cat /etc/network/interfaces",
    )
}

#[test]
fn servers_become_kvm_hosts_that_trust_each_other_and_the_second_time_nothing_happens() {
    let lab = servers();
    let before = ["h2-a", "h2-b"].map(|node| state(&lab, node));
    let plan = prepare(&lab, &["--plan"], &[]);
    plan.ends(6).prints(&[
        "write file /root/.ssh/authorized_keys on h2-a",
        "(install iputils-arping ifenslave bridge-utils)",
        "write file /root/.ssh/known_hosts on h2-b",
        "+ h2-a,10.88.0.11 ssh-ed25519 ",
    ]);
    assert_eq!(["h2-a", "h2-b"].map(|node| state(&lab, node)), before);

    let boots = lab.shell("h2-a", "cat /proc/sys/kernel/random/boot_id");
    let done = prepare(&lab, &[], &[]);
    done.ends(0).prints(&[
        "h2-a: Debian GNU/Linux 12",
        "libvirt 9.0.0, QEMU 7.2",
        "newest machine types that all have:",
    ]);
    done.says(&[
        "your key is in /root/.ssh/authorized_keys on h2-b",
        "made the key /root/.ssh/id_ed25519 on h2-a",
    ]);
    assert!(!done.stderr.contains(&lab.root_password()), "{done}");
    assert_eq!(lab.shell("h2-a", "cat /proc/sys/kernel/random/boot_id"), boots, "no reboot");
    for (from, to) in [("h2-a", "h2-b"), ("h2-b", "h2-a")] {
        lab.shell(from, &format!("dpkg -s {LACKING} >/dev/null; systemctl is-active libvirtd.socket"));
        let list = format!("timeout 60 virsh -c 'qemu+ssh://root@{to}/system?no_tty=1' hostname");
        assert_eq!(lab.shell(from, &list).trim(), to);
    }

    let after = ["h2-a", "h2-b"].map(|node| state(&lab, node));
    prepare(&lab, &["--plan"], &[]).ends(0);
    prepare(&lab, &[], &[]).ends(0).says(&["h2-a is a KVM host already: nothing to do"]);
    assert_eq!(["h2-a", "h2-b"].map(|node| state(&lab, node)), after);
    let journal = std::fs::read_to_string(lab.scratch().join("state/kvmsh/journal.ndjson")).unwrap();
    assert!(!journal.contains(&lab.root_password()));

    // Without its repository a node is told exactly what it lacks, and what the package manager said.
    lab.shell(
        "h2-a",
        "dpkg --purge ifenslave bridge-utils >/dev/null; rm -r /srv/debs; rm -rf /var/lib/apt/lists/*",
    );
    let failed = code(&lab, &[], r#"hostprep::kvm(host("h2-a"))"#);
    failed.ends(1).says(&[
        "error[packages_missing]: h2-a lacks ifenslave bridge-utils, and apt-get could not install it: ",
        "by hand: apt-get install ifenslave bridge-utils",
    ]);
    // Another package manager at work is waited for, and not for ever.
    lab.shell("h2-a", r#"setsid perl -e 'use Fcntl; open F, ">>", "/var/lib/dpkg/lock-frontend"; my $l = pack("s s l! l! i x4", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $l) or die; sleep 60' >/dev/null 2>&1 </dev/null & sleep 1"#);
    let locked = code(&lab, &[], r#"hostprep::kvm(host("h2-a"), #{lock_wait: 3})"#);
    locked.ends(1).says(&["error[packages_missing]", "lock"]);
}
