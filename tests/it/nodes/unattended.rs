//! kvmsh as cron and systemd start it, on a real node: with next to no environment, nobody watching, shut in.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::lab::vm::{Node, VmLab};

/// How long anything may take on a node that shares its processors; cron alone begins a job only once a minute.
const LONG: Duration = Duration::from_secs(400);

/// A guest without disks, so that it can run anywhere. It does nothing.
const GUEST: &str = "<domain type='qemu'><name>web</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='pc'>hvm</type><kernel>/srv/guest/vmlinuz</kernel><initrd>/srv/guest/initrd</initrd>
    <cmdline>console=ttyS1 quiet panic=1 guest=web</cmdline></os><features><acpi/></features><devices>
    <serial type='null'/><serial type='null'/></devices></domain>";

/// A file of this repository.
fn ours(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Copies a file to a node, not over its network.
fn send(lab: &VmLab, node: &str, from: &Path, to: &str) {
    let mut send = Command::new(ours("tests/lab/vm"));
    send.args(["exec", "--stdin"]).arg(lab.dir()).args([node, "sh", "-c", "cat >\"$0\"", to]);
    send.stdin(File::open(from).unwrap());
    assert!(send.status().unwrap().success(), "{to} could not be written on {node}");
}

/// Writes a text to a file on a node.
fn write(lab: &VmLab, node: &str, to: &str, text: &str) {
    let file = lab.scratch().join("text");
    std::fs::write(&file, text).unwrap();
    send(lab, node, &file, to);
}

/// kvmsh and its scripts where the examples have them, a user for them, and a guest.
fn install(lab: &VmLab, node: &str) {
    let lean = lab.scratch().join("kvmsh");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&lean).arg(env!("CARGO_BIN_EXE_kvmsh"));
    assert!(strip.status().unwrap().success(), "strip");
    lab.shell(
        node,
        "mkdir -p /usr/local/share/kvmsh/scripts /etc/kvmsh; useradd --create-home --groups libvirt kvmsh",
    );
    send(lab, node, &lean, "/usr/local/bin/kvmsh");
    send(lab, node, &ours("scripts/health.rhai"), "/usr/local/share/kvmsh/scripts/health.rhai");
    write(lab, node, "/root/web.xml", GUEST);
    lab.shell(node, "chmod 755 /usr/local/bin/kvmsh; virsh -q define /root/web.xml");
}

/// Waits until a command of the node's says `word`; returns all it said.
fn wait_for(lab: &VmLab, node: &str, command: &str, word: &str) -> String {
    let began = Instant::now();
    loop {
        let said = lab.shell(node, &format!("{{ {command}; }} 2>&1 || true"));
        if said.contains(word) {
            return said;
        }
        assert!(began.elapsed() < LONG, "{command} does not say {word:?}: {said}");
        sleep(Duration::from_secs(2));
    }
}

#[test]
fn cron_runs_scripts_as_root_and_as_a_user_of_libvirts_group_and_mails_only_failures() {
    let lab = VmLab::up(&[Node::new("h2-a").memory(768)]);
    let node = "h2-a";
    install(&lab, node);
    write(&lab, node, "/etc/kvmsh/hosts.toml", "[hosts.here]\nuri = \"qemu:///system\"\n");
    // Two of them in the same second, and the same guest: one waits for the other's lease.
    let night = "let web = host(`here`).domain(`web`);\n\
                 if args[0] == `root` { web.autostart = true; } else { web.start(); }\nprint(`${args[0]} did it`);\n";
    write(&lab, node, "/usr/local/share/kvmsh/night.rhai", night);
    let job = |user: &str| {
        format!(
            "* * * * * {user} cd /; /usr/local/bin/kvmsh --lock night --wait 50s /usr/local/share/kvmsh/night.rhai {user} \
             >>/var/tmp/{user} 2>&1; echo \"ended $?\" >>/var/tmp/{user}\n"
        )
    };
    let jobs = format!("KVMSH_INVENTORY=/etc/kvmsh/hosts.toml\n{}{}", job("root"), job("kvmsh"));
    write(&lab, node, "/etc/cron.d/night", &jobs);
    lab.shell(node, "systemctl restart cron");
    for user in ["root", "kvmsh"] {
        let said = wait_for(&lab, node, &format!("cat /var/tmp/{user}"), "ended");
        assert!(said.contains(&format!("{user} did it\n")) && said.contains("ended 0\n"), "{said}");
    }
    lab.shell(node, "rm /etc/cron.d/night");
    assert!(lab.shell(node, "virsh dominfo web | tr -s ' '").contains("Autostart: enable\n"));
    assert_eq!(lab.shell(node, "virsh domstate web").trim(), "running");
    let journal = |user: &str, options: &str| {
        format!(
            "runuser -u {user} -- env -i HOME=$(getent passwd {user} | cut -d: -f6) /usr/local/bin/kvmsh journal {options}"
        )
    };
    for (user, done) in [("root", "autostart"), ("kvmsh", "start")] {
        let told = lab.shell(node, &journal(user, "--tree"));
        assert!(told.contains(user) && told.contains(done) && told.contains("night.rhai"), "{told}");
    }

    let health = "runuser -u kvmsh -- env -i HOME=/home/kvmsh KVMSH_INVENTORY=/etc/kvmsh/hosts.toml \
                  /usr/local/bin/kvmsh -q /usr/local/share/kvmsh/scripts/health.rhai 2>&1 || true";
    assert_eq!(lab.shell(node, health), "");
    // The example as it is, but every minute. What a job writes cron would mail; here it only says that there was something.
    let text = std::fs::read_to_string(ours("docs/examples/crontab")).unwrap();
    assert!(text.contains("\n*/10 "), "{text}");
    write(&lab, node, "/etc/cron.d/kvmsh", &text.replace("\n*/10 ", "\n* "));
    lab.shell(node, "systemctl restart cron");
    let runs = journal("kvmsh", "--runs -o json");
    let log = "journalctl -q -t cron -t CRON";
    wait_for(&lab, node, &runs, "health.rhai");
    let told = lab.shell(node, log);
    assert!(!told.contains("discarding output"), "{told}");
    // It is to start with its host, and does not run.
    lab.shell(node, "virsh -q destroy web");
    wait_for(&lab, node, log, "No MTA installed, discarding output");
    let runs: serde_json::Value = serde_json::from_str(&lab.shell(node, &runs)).unwrap();
    let exits: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["exit"].as_u64()).collect();
    assert!(exits.contains(&Some(0)) && exits.contains(&Some(5)), "{runs}");
    lab.shell(node, "rm /etc/cron.d/kvmsh; systemctl restart cron");
    units_of_systemd(&lab, node);
}

/// The units of the documentation with all that shuts them in, for a smaller piece of work than an evacuation: as a user of
/// libvirt's group by the timer, in its window and outside of it; as root, stopped in the middle.
fn units_of_systemd(lab: &VmLab, node: &str) {
    for home in ["/home/kvmsh", "/root"] {
        lab.shell(node, &format!("mkdir -p {home}/.config/kvmsh"));
        for file in ["id_ed25519", "known_hosts"] {
            send(lab, node, &lab.dir().join(file), &format!("{home}/.config/kvmsh/{file}"));
        }
        let inventory = "[hosts.h2-a]\naddress = \"10.88.0.11\"\nuser = \"root\"\nidentity = \"id_ed25519\"\n\
                         known_hosts = \"known_hosts\"\n";
        write(lab, node, &format!("{home}/.config/kvmsh/hosts.toml"), inventory);
        lab.shell(node, &format!("chmod 600 {home}/.config/kvmsh/id_ed25519"));
    }
    lab.shell(node, "chown -R kvmsh: /home/kvmsh");
    let script = "let web = host(`h2-a`).domain(`web`);\n\
                  finally(|| { web.start(); log(`info`, `it runs`); if args[0] == `long` { sleep(250); } },\n\
                      || if args[0] == `long` { web.destroy(); });\n";
    write(lab, node, "/usr/local/share/kvmsh/timed.rhai", script);
    let example = std::fs::read_to_string(ours("docs/examples/kvmsh-nightly.service")).unwrap();
    let unit = |user: &str, how: &str| {
        let text = example.replace("scripts/evacuate.rhai h2-a", &format!("timed.rhai {how}"));
        let text = text.replace("User=kvmsh", &format!("User={user}"));
        assert!(text.contains(&format!("User={user}")) && text.contains("timed.rhai"), "{text}");
        write(lab, node, "/etc/systemd/system/kvmsh-nightly.service", &text);
        lab.shell(node, "systemctl daemon-reload; systemctl reset-failed");
    };
    send(lab, node, &ours("docs/examples/kvmsh-nightly.timer"), "/etc/systemd/system/kvmsh-nightly.timer");
    let result = "systemctl show -p Result -p ExecMainStatus kvmsh-nightly | xargs";
    let log = "journalctl -q -u kvmsh-nightly";
    let said = || lab.shell(node, log);
    let web = || lab.shell(node, "virsh domstate web").trim().to_owned();
    unit("kvmsh", "short");

    // At noon nothing may be done.
    lab.shell(
        node,
        "date -s '2027-01-02 12:00' >/dev/null; systemctl start kvmsh-nightly 2>/dev/null || true",
    );
    assert_eq!(lab.shell(node, result), "Result=exit-code ExecMainStatus=4\n", "{}", said());
    assert!(said().contains("22:00-05:00") && web() == "shut off", "{}", said());

    // That Saturday at night the timer does it, here without its random delay.
    let now = "mkdir -p /etc/systemd/system/kvmsh-nightly.timer.d; \
               printf '[Timer]\\nRandomizedDelaySec=0\\n' >/etc/systemd/system/kvmsh-nightly.timer.d/now.conf; \
               systemctl daemon-reload; systemctl reset-failed; date -s '2027-01-02 22:29:55' >/dev/null; \
               systemctl restart kvmsh-nightly.timer";
    lab.shell(node, now);
    wait_for(lab, node, log, "it runs");
    wait_for(lab, node, result, "Result=success ExecMainStatus=0");
    assert_eq!(web(), "running", "{}", said());
    // systemd's journal has each step's fields, kvmsh's own, in the unit's directory, each change.
    let fields = lab.shell(node, &format!("{log} -o json | grep -c KVMSH_RUN || true"));
    assert_ne!(fields.trim(), "0", "{}", said());
    let own = lab.shell(node, "cat /var/lib/kvmsh-nightly/kvmsh/journal.ndjson");
    assert!(own.contains("\"action\":\"start\"") && own.contains("\"user\":\"kvmsh\""), "{own}");
    lab.shell(node, "systemctl stop kvmsh-nightly.timer; virsh -q destroy web");

    // As root, and stopped in the middle: what clears away runs, the lease is given back, and nobody had to kill it.
    unit("root", "long");
    lab.shell(node, "date -s '2027-01-02 23:00' >/dev/null; systemctl start --no-block kvmsh-nightly");
    let running = format!("{log} --since '2027-01-02 22:59'");
    wait_for(lab, node, &running, "it runs");
    assert!(lab.shell(node, "cat /run/kvmsh/lease").contains("timed.rhai"), "{}", said());
    lab.shell(node, "systemctl stop kvmsh-nightly || true");
    assert_eq!(web(), "shut off", "{}", said());
    // What libvirt's ssh still does then is nobody's loss.
    assert!(
        !said().contains("(kvmsh) with signal SIGKILL") && !said().contains("timed out. Killing"),
        "{}",
        said()
    );
    assert!(lab.shell(node, result).contains("ExecMainStatus=130"), "{}", said());
    assert_eq!(lab.shell(node, "cat /run/kvmsh/lease 2>/dev/null || true"), "", "the lease is given back");
}
