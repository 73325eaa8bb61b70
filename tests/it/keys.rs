//! `std/keys` on real hosts: our key gets there once, hosts trust each other, and nothing is weakened or lost.

use std::fs;
use std::time::Duration;

use crate::lab::{Lab, Output};
use crate::scene::{LONG, edit_inventory, journal, kvmsh, pair};

const PASSWORD: &str = "open-sesame-4711";

/// Runs a line of sh on a host, which must succeed.
#[track_caller]
fn sh(lab: &Lab, host: &str, line: &str) -> String {
    let mut command = lab.on_host(host, "sh");
    command.args(["-ec", line]);
    let output = lab.run(command, LONG);
    output.ends(0);
    output.stdout
}

/// h2-a takes root's password; nobody's key is there.
fn by_password(lab: &Lab) {
    let line = format!(
        "rm -rf /root/.ssh; echo 'root:{PASSWORD}' | chpasswd -c SHA512
         sed -i 's/^PasswordAuthentication.*/PasswordAuthentication yes/; s/^PermitRootLogin.*/PermitRootLogin yes/' \
             /etc/ssh/sshd_config"
    );
    sh(lab, "h2-a", &line);
    restart_sshd(lab);
}

fn restart_sshd(lab: &Lab) {
    lab.stop("h2-a", "sshd", "TERM");
    lab.start("h2-a", "sshd");
}

/// `keys::CALL` with the password in the environment.
fn keys(lab: &Lab, options: &[&str], call: &str) -> Output {
    let code = format!("import \"std/keys\" as keys; keys::{call}");
    let mut command = kvmsh(lab, options);
    command.args(["-c", &code]).env("ROOT_PASSWORD", PASSWORD);
    lab.run(command, LONG)
}

const COPY: &str = r#"copy_id(host("h2-a"), #{password: env("ROOT_PASSWORD")})"#;

fn own_key(lab: &Lab) -> String {
    fs::read_to_string(lab.dir().join("id_ed25519.pub")).unwrap()
}

/// Everything below root's home that matters, with owner, mode and contents.
fn home(lab: &Lab) -> String {
    sh(
        lab,
        "h2-a",
        "cd /root; find . -printf '%p %u %m %l\\n' | sort; [ ! -d .ssh ] || cat .ssh/* 2>/dev/null || :",
    )
}

#[test]
fn a_password_lets_the_key_in_once_and_is_seen_nowhere() {
    let lab = pair();
    by_password(&lab);
    let before = home(&lab);
    keys(&lab, &[], r#"copy_id(host("h2-a"))"#).ends(4).says(&[
        "error[password_needed]",
        "nobody is here to be asked",
        "#{ password: env(\"ROOT_PASSWORD\") }",
    ]);
    keys(&lab, &[], r#"copy_id(host("h2-a"), #{password: "wrong"})"#)
        .ends(3)
        .says(&["error[auth_failed]", "the password (not accepted)"]);
    let plan = keys(&lab, &["--plan"], COPY);
    plan.ends(6).prints(&[
        "make directory file /root/.ssh on h2-a (mode 0700)",
        "write file /root/.ssh/authorized_keys on h2-a",
        &format!("+ {}", own_key(&lab).trim()),
        "2 changes would be made",
    ]);
    assert_eq!((home(&lab), journal(&lab)), (before, String::new()));

    let first = keys(&lab, &[], COPY);
    first.ends(0).says(&["your key is in /root/.ssh/authorized_keys on h2-a"]);
    let modes = sh(&lab, "h2-a", "stat -c '%U %a %n' /root/.ssh /root/.ssh/*; cat /root/.ssh/*");
    assert_eq!(modes, format!("root 700 /root/.ssh\nroot 600 /root/.ssh/authorized_keys\n{}", own_key(&lab)));

    let (state, changes) = (home(&lab), journal(&lab));
    keys(&lab, &[], r#"copy_id(host("h2-a"))"#).ends(0).says(&["h2-a lets your key in already"]);
    keys(&lab, &["--plan"], COPY).ends(0);
    assert_eq!((home(&lab), journal(&lab)), (state, changes.clone()));
    assert_eq!(changes.lines().count(), 4, "{changes}");
    assert!(!changes.contains(PASSWORD) && !first.stderr.contains(PASSWORD), "{changes}{first}");
}

#[test]
fn what_stands_in_the_file_stays_byte_for_byte_and_keys_are_compared_without_their_comments() {
    let lab = pair();
    by_password(&lab);
    let other = sh(&lab, "h2-b", "cat /etc/ssh/ssh_host_ed25519_key.pub");
    let other = other.trim();
    let old = format!("# mine\\r\\n\\nfrom=\"10.1.2.3\",no-pty {other} old  key\\nno newline");
    let write = format!(
        "mkdir -m 750 /root/.ssh; printf '{old}' >/root/.ssh/authorized_keys; chmod 640 /root/.ssh/*"
    );
    sh(&lab, "h2-a", &write);
    let before = sh(&lab, "h2-a", "cat /root/.ssh/authorized_keys");
    keys(&lab, &[], COPY).ends(0);
    let after = sh(&lab, "h2-a", "cat /root/.ssh/authorized_keys");
    assert_eq!(after, format!("{before}\n{}", own_key(&lab)));
    assert_eq!(sh(&lab, "h2-a", "stat -c %a /root/.ssh /root/.ssh/*"), "750\n640\n");
    // The same key under another comment, limited: it is there, and no second line undoes the limit.
    let (kind_and_key, _) =
        own_key(&lab).trim().rsplit_once(' ').map(|(k, c)| (k.to_owned(), c.to_owned())).unwrap();
    let limited = format!("echo 'from=\"192.0.2.1\" {kind_and_key} other' >/root/.ssh/authorized_keys");
    sh(&lab, "h2-a", &limited);
    let before = home(&lab);
    let refused = keys(&lab, &[], COPY);
    refused.ends(1).says(&["error[key_refused]", "authorized_keys:1 (from=\"192.0.2.1\")"]);
    assert_eq!(home(&lab), before);
}

#[test]
fn a_file_that_sshd_would_ignore_is_not_touched_and_its_reason_is_told() {
    let lab = pair();
    by_password(&lab);
    let config = |line: &str| {
        sh(
            &lab,
            "h2-a",
            &format!(
                "sed -i '/^AuthorizedKeys\\|^Pubkey/d' /etc/ssh/sshd_config; echo '{line}' >>/etc/ssh/sshd_config"
            ),
        );
        restart_sshd(&lab);
    };
    for (setup, undo, code, words) in [
        (
            "chmod 777 /root",
            "chmod 700 /root",
            "authorized_keys",
            &["may write to /root (mode 0777)", "chmod go-w /root"][..],
        ),
        (
            "mkdir -m 700 /root/.ssh; touch /root/.ssh/authorized_keys; chown 1234 /root/.ssh/authorized_keys",
            "rm -r /root/.ssh",
            "authorized_keys",
            &["belongs to the user number 1234"],
        ),
        (
            "mkdir -p /root/.ssh/authorized_keys",
            "rm -r /root/.ssh",
            "authorized_keys",
            &["not a regular file"],
        ),
    ] {
        sh(&lab, "h2-a", setup);
        let before = home(&lab);
        let refused = keys(&lab, &[], COPY);
        refused.ends(4).says(&[&format!("error[{code}]"), "sshd on h2-a would ignore"]).says(words);
        assert_eq!(home(&lab), before);
        sh(&lab, "h2-a", undo);
    }
    for (line, code, words) in [
        ("AuthorizedKeysFile none", "keys_not_taken", "reads no authorized_keys file"),
        ("PubkeyAuthentication no", "keys_not_taken", "PubkeyAuthentication no"),
        ("AuthorizedKeysFile /etc/ssh/keys/%u", "authorized_keys", "that directory is not there"),
    ] {
        config(line);
        let before = home(&lab);
        keys(&lab, &[], COPY).ends(4).says(&[&format!("error[{code}]"), words]);
        assert_eq!(home(&lab), before);
    }
    // Only a path of the system's: root may write there, so it is used.
    sh(&lab, "h2-a", "mkdir /etc/ssh/keys");
    keys(&lab, &[], COPY).ends(0).says(&["your key is in /etc/ssh/keys/root on h2-a"]);
    assert_eq!(sh(&lab, "h2-a", "cat /etc/ssh/keys/root"), own_key(&lab));
}

#[test]
fn a_key_is_made_where_there_is_none_and_the_hosts_own_key_is_pinned() {
    let lab = pair();
    by_password(&lab);
    let dir = lab.dir().display().to_string();
    edit_inventory(
        &lab,
        &format!(
            "address = \"10.88.0.11\"\nidentity = \"{dir}/id_ed25519\"\nknown_hosts = \"{dir}/known_hosts\""
        ),
        "address = \"10.88.0.11\"",
    );
    let ssh = lab.dir().join("controller/ssh");
    keys(&lab, &[], COPY).ends(4).says(&[
        "error[host_key_unknown]",
        "nobody can be asked",
        "the option `fingerprint`",
    ]);
    let pinned = |fingerprint: &str| {
        format!(
            "copy_id(host(\"h2-a\"), #{{password: env(\"ROOT_PASSWORD\"), fingerprint: \"{fingerprint}\"}})"
        )
    };
    keys(&lab, &[], &pinned("SHA256:AAAA"))
        .ends(4)
        .says(&["is not the one that the option `fingerprint` names"]);
    assert_eq!(fs::read_dir(&ssh).unwrap().count(), 0);
    let listed = sh(&lab, "h2-a", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
    let right = pinned(listed.split(' ').nth(1).unwrap());
    let plan = keys(&lab, &["--plan"], &right);
    plan.ends(6).prints(&[
        "trust host h2-a on h2-a (host key SHA256:",
        "make key ",
        "on this machine (ed25519, without a passphrase)",
    ]);
    assert_eq!(fs::read_dir(&ssh).unwrap().count(), 0);
    let done = keys(&lab, &[], &right);
    done.ends(0).says(&[
        "recorded the host key of h2-a",
        "made the key",
        "your key is in /root/.ssh/authorized_keys",
    ]);
    assert_eq!(
        sh(&lab, "h2-a", "cat /root/.ssh/authorized_keys"),
        fs::read_to_string(ssh.join("id_ed25519.pub")).unwrap()
    );
    assert!(journal(&lab).contains(r#""host":"this machine","kind":"key""#), "{}", journal(&lab));
    keys(&lab, &["--plan"], &right).ends(0);
}

#[test]
fn the_password_is_asked_for_at_a_terminal_unseen() {
    let lab = pair();
    by_password(&lab);
    let mut command = std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/lab"));
    command.arg("enter").arg(lab.dir()).arg(env!("CARGO_BIN_EXE_kvmsh"));
    command.args(["-c", r#"import "std/keys" as keys; keys::copy_id(host("h2-a"))"#]);
    command.env("XDG_STATE_HOME", lab.scratch().join("state")).env_remove("SSH_AUTH_SOCK");
    let mut terminal = rexpect::session::spawn_command(command, Some(30_000)).unwrap();
    terminal.exp_string("password on h2-a: ").unwrap();
    terminal.send_line("not this one").unwrap();
    terminal.exp_string("password (not accepted)").unwrap();
    terminal.exp_string("password on h2-a: ").unwrap();
    terminal.send_line(PASSWORD).unwrap();
    let shown = terminal.exp_eof().unwrap();
    assert!(shown.contains("your key is in /root/.ssh/authorized_keys on h2-a"), "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert_eq!(sh(&lab, "h2-a", "cat /root/.ssh/authorized_keys"), own_key(&lab));
}

#[test]
fn hosts_trust_each_other_so_that_libvirt_gets_from_one_to_the_other() {
    let lab = pair();
    const TRUST: &str = r#"trust(hosts("h2-*"))"#;
    let files = |host: &str| sh(&lab, host, "cd /root/.ssh; for f in *; do echo \"== $f\"; cat $f; done");
    let before = ["h2-a", "h2-b"].map(files);
    let plan = keys(&lab, &["--plan"], TRUST);
    plan.ends(6).prints(&[
        "ssh-keygen -q -t ed25519",
        "(the key that h2-b would have)",
        "+ h2-b,10.88.0.12 ssh-ed25519 ",
    ]);
    assert_eq!(["h2-a", "h2-b"].map(files), before);

    // A stale host key on the second node: nothing at all is changed, on neither.
    let stale = format!("h2-a {}", sh(&lab, "h2-b", "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub"));
    sh(&lab, "h2-b", &format!("echo '{}' >/root/.ssh/known_hosts", stale.trim()));
    let refused = keys(&lab, &[], TRUST);
    refused.ends(4).says(&["error[known_hosts]", "another key for h2-a, in line 1", "ssh-keygen -R 'h2-a'"]);
    assert_eq!((files("h2-a"), journal(&lab)), (before[0].clone(), String::new()));
    sh(&lab, "h2-b", "echo '# kept' >/root/.ssh/known_hosts; echo '# kept' >>/root/.ssh/authorized_keys");

    keys(&lab, &[], TRUST).ends(0);
    for (from, to) in [("h2-a", "h2-b"), ("h2-b", "h2-a")] {
        for address in [to, if to == "h2-a" { "10.88.0.11" } else { "10.88.0.12" }] {
            let list = format!("timeout 20 virsh -c 'qemu+ssh://root@{address}/system?no_tty=1' hostname");
            assert_eq!(sh(&lab, from, &list).trim(), to);
        }
    }
    let kept = files("h2-b");
    assert!(kept.contains("== known_hosts\n# kept\nh2-a,10.88.0.11 ssh-ed25519 "), "{kept}");
    assert_eq!(kept.matches("# kept").count(), 2, "{kept}");
    let after = ["h2-a", "h2-b"].map(files);
    let changes = journal(&lab);
    keys(&lab, &[], TRUST).ends(0).within(Duration::from_secs(30));
    keys(&lab, &["--plan"], TRUST).ends(0).prints(&["Nothing to change."]);
    assert_eq!((["h2-a", "h2-b"].map(files), journal(&lab)), (after, changes));
    let table = keys(&lab, &["--read-only", "-o", "csv"], r#"status(hosts("h2-*"))"#);
    table.ends(0).prints(&["h2-a,known,yes,h2-b,", "h2-b,known,yes,h2-a,"]);
}
