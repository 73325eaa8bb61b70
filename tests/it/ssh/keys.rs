//! Who lets whom in: user keys, agents and host keys.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kvmsh::model::{Class, Fault, Target};
use kvmsh::ssh::{KeyState, Passphrases, Settings, Shell, Trust};

use super::{code, sh, within};
use crate::sshd::{Keys, PASSPHRASE, Sshd};

/// An ssh-agent that ends with the test.
struct Agent(Child, PathBuf);

impl Agent {
    fn with(dir: &Path, keys: &[&str]) -> Self {
        let socket = dir.join("agent");
        let child = std::process::Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self(child, socket);
        while !agent.1.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        for key in keys {
            let added = std::process::Command::new("ssh-add")
                .arg(Keys::get().path(key))
                .env("SSH_AUTH_SOCK", &agent.1)
                .output()
                .unwrap();
            assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        }
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_kind_of_key_lets_us_in() {
    within(50, || {
        let sshd = Sshd::with(&["ed25519"], "MaxAuthTries 2", &[]);
        for key in ["ed25519", "rsa", "ecdsa", "rsa-pem", "ecdsa-pem", "certified"] {
            let shell = Shell::new(sshd.target(key), sshd.settings());
            shell.connect().unwrap_or_else(|e| panic!("{key}: {e}"));
        }
        for key in ["ed25519-locked", "rsa-locked", "rsa-pem-locked", "ecdsa-locked"] {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&asked);
            let passphrases = Passphrases::ask(move |path, again| {
                assert!(path.ends_with(key));
                assert_eq!(again, count.fetch_add(1, Ordering::SeqCst) > 0);
                Some(if again { PASSPHRASE.to_owned() } else { "wrong".to_owned() })
            });
            let settings = Settings { passphrases, ..sshd.settings() };
            for _ in 0..2 {
                let shell = Shell::new(sshd.target(key), settings.clone());
                shell.connect().unwrap_or_else(|e| panic!("{key}: {e}"));
            }
            assert_eq!(asked.load(Ordering::SeqCst), 2, "{key}: once wrong, once right, then remembered");
        }
    });
}

#[test]
fn a_key_that_is_not_accepted_is_named_with_what_to_do() {
    within(20, || {
        let sshd = Sshd::start();
        let connect = |key: &str| {
            let shell = Shell::new(sshd.target(key), sshd.settings());
            let error = shell.connect().unwrap_err();
            assert_eq!(code(&error), "auth_failed", "{error}");
            Fault::from(error)
        };
        let fault = connect("stranger");
        assert_eq!(fault.class, Class::Connect);
        assert!(fault.message.contains("stranger (not accepted)"), "{}", fault.message);
        assert!(fault.hint.unwrap().contains("ssh-copy-id root@"));
        let fault = connect("rsa-locked");
        assert!(fault.hint.unwrap().contains("ssh-add"), "{}", fault.message);
        assert!(connect("missing").message.contains("missing (no such file)"));

        let open = sshd.path("open");
        fs::copy(Keys::get().path("ed25519"), &open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        let target = Target { identity: Some(open), ..sshd.target("ed25519") };
        let error = Shell::new(target, sshd.settings()).connect().unwrap_err();
        assert!(error.to_string().contains("permissions 0644 are too open"), "{error}");
        // Nobody is asked for the passphrase of a key that the host does not want.
        let passphrases = Passphrases::ask(|_, _| panic!("asked in vain"));
        let settings = Settings { passphrases, ..sshd.settings() };
        let error = Shell::new(sshd.target("stranger-locked"), settings).connect().unwrap_err();
        assert_eq!(code(&error), "auth_failed");
    });
}

#[test]
fn the_agent_is_used_and_identities_only_is_honoured() {
    within(20, || {
        let sshd = Sshd::with(&["ed25519"], "MaxAuthTries 2", &[]);
        let agent = Agent::with(sshd.dir.path(), &["stranger", "rsa", "ed25519"]);
        let extra = sshd.extra_config(&format!("IdentityAgent {}\n", agent.1.display()));
        let settings = Settings { extra_config: Some(extra), ..sshd.settings() };
        let without = Target { identity: None, ..sshd.target("ed25519") };
        Shell::new(without, settings.clone()).connect().unwrap();
        // A key that only the agent can use: its file is locked, nobody is there to ask.
        let locked = Agent::with(&sshd.path("run"), &["ed25519"]);
        let target = sshd.target("ed25519");
        let key = sshd.path("only-public");
        fs::copy(Keys::get().path("ed25519-locked"), &key).unwrap();
        fs::write(sshd.path("only-public.pub"), Keys::get().public("ed25519")).unwrap();
        let extra = sshd.extra_config(&format!("IdentityAgent {}\n", locked.1.display()));
        let settings = Settings { extra_config: Some(extra), ..settings };
        Shell::new(Target { identity: Some(key), ..target }, settings.clone()).connect().unwrap();
        // The agent holds a good key, but another one was named.
        let error = Shell::new(sshd.target("stranger"), settings).connect().unwrap_err();
        assert!(error.to_string().contains("stranger") && !error.to_string().contains("agent's"), "{error}");
    });
}

#[test]
fn an_agent_that_never_answers_is_passed_over() {
    within(20, || {
        let sshd = Sshd::start();
        let socket = sshd.path("deaf");
        let _deaf = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let extra = sshd.extra_config(&format!("IdentityAgent {}\n", socket.display()));
        let settings = Settings { extra_config: Some(extra), ..sshd.settings() };
        let began = Instant::now();
        Shell::new(sshd.target("ed25519"), settings).connect().unwrap();
        assert!(began.elapsed() < Duration::from_secs(6));
    });
}

#[test]
fn an_unknown_host_key_is_refused_shown_and_can_be_trusted() {
    within(20, || {
        let sshd = Sshd::start();
        let file = sshd.path("fresh/known_hosts");
        let target = Target { known_hosts: Some(file.clone()), ..sshd.target("ed25519") };
        let shell = Shell::new(target.clone(), sshd.settings());
        let fault = Fault::from(shell.connect().unwrap_err());
        assert_eq!((fault.code.as_str(), fault.class), ("host_key_unknown", Class::Connect));
        assert!(fault.hint.unwrap().contains("kvmsh hosts add"));
        let key = shell.host_key().unwrap();
        assert_eq!(key.state, KeyState::Unknown { only_authority: false });
        let listed = std::process::Command::new("ssh-keygen")
            .arg("-lf")
            .arg(sshd.path("host_ed25519.pub"))
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains(&key.fingerprint) && fault.message.contains(&key.fingerprint), "{listed}");
        shell.trust_host_key(&key).unwrap();
        shell.trust_host_key(&key).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        shell.connect().unwrap();
        assert!(matches!(shell.host_key().unwrap().state, KeyState::Known { .. }));
        let hashed = std::process::Command::new("ssh-keygen").arg("-Hf").arg(&file).output().unwrap();
        assert!(hashed.status.success());
        Shell::new(target, sshd.settings()).connect().unwrap();
    });
}

#[test]
fn a_person_is_asked_about_an_unknown_key_once_for_many_sessions() {
    within(20, || {
        let sshd = Sshd::start();
        let target = |name: &str| Target { known_hosts: Some(sshd.path(name)), ..sshd.target("ed25519") };
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let trust = Trust::Ask(Arc::new(move |key| {
            count.fetch_add(1, Ordering::SeqCst);
            key.name.starts_with("[127.0.0.1]:")
        }));
        let shell = Shell::new(target("asked"), Settings { trust, ..sshd.settings() });
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| sh(&shell, "true"));
            }
        });
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let no = Trust::Ask(Arc::new(|_| false));
        let shell = Shell::new(target("refused"), Settings { trust: no, ..sshd.settings() });
        assert_eq!(code(&shell.connect().unwrap_err()), "host_key_unknown");
        assert!(!sshd.path("refused").exists());
    });
}

#[test]
fn a_changed_or_revoked_host_key_is_refused_even_when_somebody_would_say_yes() {
    within(20, || {
        let sshd = Sshd::start();
        let name = format!("[127.0.0.1]:{}", sshd.port);
        let own = fs::read_to_string(sshd.path("host_ed25519.pub")).unwrap();
        let connect = |known: String| {
            fs::write(sshd.path("known_hosts"), known).unwrap();
            let yes = Trust::Ask(Arc::new(|_| true));
            let shell = Shell::new(sshd.target("ed25519"), Settings { trust: yes, ..sshd.settings() });
            let key = shell.host_key().unwrap();
            assert!(shell.trust_host_key(&key).is_err());
            Fault::from(shell.connect().unwrap_err())
        };
        let stranger = Keys::get().public("stranger");
        let fault = connect(format!("other ssh-ed25519 AAAA\n{name} {stranger}"));
        assert_eq!((fault.code.as_str(), fault.class), ("host_key_changed", Class::Connect));
        assert_eq!(fault.message.matches("SHA256:").count(), 2, "{}", fault.message);
        assert!(fault.message.contains("known_hosts:2"), "{}", fault.message);
        assert!(fault.hint.unwrap().contains("intercept"));
        // Another type of key is no way around it.
        let fault = connect(format!("{name} {}", Keys::get().public("rsa")));
        assert_eq!(fault.code, "host_key_changed");
        let fault = connect(format!("{name} {own}@revoked * {own}"));
        assert_eq!(fault.code, "host_key_revoked");
    });
}

#[test]
fn a_host_known_by_its_rsa_key_alone_is_asked_for_that_key() {
    within(20, || {
        let sshd = Sshd::with(&["ed25519", "rsa", "ecdsa"], "", &[]);
        let all = fs::read_to_string(sshd.path("known_hosts")).unwrap();
        for kind in ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"] {
            let only: String = all.lines().filter(|l| l.contains(kind)).map(|l| format!("{l}\n")).collect();
            fs::write(sshd.path("known_hosts"), only).unwrap();
            let shell = sshd.shell();
            assert_eq!(shell.host_key().unwrap().kind, kind);
            shell.connect().unwrap_or_else(|e| panic!("{kind}: {e}"));
        }
    });
}
