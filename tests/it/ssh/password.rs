//! Logging in with a password, which nobody but the host itself gets to see.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use kvmsh::model::{Class, Fault, Target};
use kvmsh::ssh::{Accepted, OwnKey, Password, Shell};

use super::{code, sh, within};
use crate::sshd::{Keys, Sshd};

const PASSWORD: &str = "correct-horse-0815";

/// An sshd that lets root in with [`PASSWORD`] and with no key; /etc/shadow and PAM's rules are its own.
fn sshd(extra: &str) -> Sshd {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pw-{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let hash = std::process::Command::new("openssl").args(["passwd", "-6", PASSWORD]).output().unwrap();
    assert!(hash.status.success(), "openssl passwd");
    let hash = String::from_utf8(hash.stdout).unwrap();
    fs::write(dir.join("shadow"), format!("root:{}:20000:0:99999:7:::\nsshd:*:20000::::::\n", hash.trim()))
        .unwrap();
    fs::write(
        dir.join("pam"),
        "auth required pam_unix.so nodelay\naccount required pam_unix.so\nsession required pam_permit.so\n",
    )
    .unwrap();
    let setup = format!(
        "mount --bind {0}/shadow /etc/shadow && mount --bind {0}/pam /etc/pam.d/sshd && rm -r {0} && exec \"$@\"",
        dir.display()
    );
    // What sshd would take from its first mention counts, so these stand before the harness's own lines.
    let prefix = ["unshare", "-m", "sh", "-c", &setup, "sh"];
    Sshd::with_first(&["ed25519"], extra, &prefix)
}

fn with_password(sshd: &Sshd, password: &str) -> Shell {
    Shell::new(sshd.target("stranger"), sshd.settings()).with_password(Password::new(password))
}

#[test]
fn both_methods_let_us_in_and_a_wrong_password_is_told_apart() {
    within(40, || {
        for extra in [
            "PasswordAuthentication yes\nUsePAM no\n",
            "PasswordAuthentication no\nUsePAM yes\nKbdInteractiveAuthentication yes\n",
            "PasswordAuthentication yes\nUsePAM yes\nKbdInteractiveAuthentication yes\n",
        ] {
            let sshd = sshd(extra);
            assert_eq!(sh(&with_password(&sshd, PASSWORD), "id -u").text(), "0", "{extra}");
            let error = with_password(&sshd, "wrong").connect().unwrap_err();
            assert_eq!(code(&error), "auth_failed", "{extra}: {error}");
            let fault = Fault::from(error);
            assert!(fault.message.contains("the password (not accepted"), "{extra}: {}", fault.message);
            assert!(fault.hint.unwrap().contains("PasswordAuthentication") && fault.class == Class::Connect);
            assert!(!fault.message.contains("wrong"));
        }
        let error = with_password(&Sshd::start(), PASSWORD).connect().unwrap_err();
        assert!(error.to_string().contains("the host takes none, only: publickey"), "{error}");
    });
}

#[test]
fn a_password_is_in_no_debug_text_and_a_key_is_not_tried_beside_it() {
    let sshd = Sshd::start();
    let settings = sshd.settings();
    let text = format!("{:?} {:?}", Password::new(PASSWORD), with_password(&sshd, PASSWORD));
    assert!(!text.contains(PASSWORD), "{text}");
    // The key would let us in; a password alone was asked for.
    let shell = Shell::new(sshd.target("ed25519"), settings).with_password(Password::new(PASSWORD));
    assert_eq!(code(&shell.connect().unwrap_err()), "auth_failed");
}

#[test]
fn a_jump_host_never_gets_the_password() {
    within(30, || {
        let jump = Sshd::start();
        let target = sshd("PasswordAuthentication yes\nUsePAM no\n");
        let extra = target.extra_config(&format!(
            "Host jump\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n IdentitiesOnly yes\n UserKnownHostsFile {}\n",
            jump.port,
            Keys::get().path("ed25519").display(),
            jump.path("known_hosts").display()
        ));
        let mut settings = target.settings();
        settings.extra_config = Some(extra);
        // Each host has its own file of known hosts: that of the target holds both.
        let known = fs::read_to_string(target.path("known_hosts")).unwrap()
            + fs::read_to_string(jump.path("known_hosts")).unwrap().as_str();
        fs::write(target.path("known_hosts"), known).unwrap();
        let through = Target { jump: Some("jump".into()), ..target.target("stranger") };
        let shell = Shell::new(through, settings).with_password(Password::new(PASSWORD));
        assert_eq!(sh(&shell, "id -u").text(), "0");
    });
}

#[test]
fn one_key_alone_is_accepted_refused_or_locked() {
    within(20, || {
        let sshd = Sshd::start();
        let shell = Shell::new(sshd.target("ed25519"), sshd.settings());
        for (key, accepted) in
            [("rsa", Accepted::Yes), ("stranger", Accepted::No), ("ed25519-locked", Accepted::Locked)]
        {
            let path = Keys::get().path(key);
            let own = shell.own_key(Some(&path)).unwrap().unwrap();
            assert_eq!(shell.accepts(&own).unwrap(), accepted, "{key}");
            assert_eq!(Some(own.blob), OwnKey::new(None, &Keys::get().public(key)).map(|key| key.blob));
        }
        assert_eq!(code(&shell.own_key(Some(&sshd.path("none"))).unwrap_err()), "own_key");
    });
}

#[test]
fn the_sshd_we_came_through_is_asked_with_its_own_configuration() {
    within(20, || {
        let sshd = Sshd::start();
        let account = sshd.shell().account().unwrap();
        assert!(account.sshd_asked && account.takes_keys && !account.strict, "{account:?}");
        assert_eq!(account.authorized_keys, [sshd.path("authorized_keys").display().to_string()]);
        let shown = sshd.shell().host_key().unwrap();
        assert_eq!(account.host_keys, [shown.line()]);
    });
}
