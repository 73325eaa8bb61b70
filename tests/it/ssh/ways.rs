//! The way to a host: addresses, jump hosts, configuration, libvirt.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;
use std::time::{Duration, Instant};

use kvmsh::model::{Cancel, Class, Fault, Stop, Target};
use kvmsh::ssh::{Command, Settings, Shell};

use super::{code, run, sh, within};
use crate::sshd::{Keys, Sshd, free_port, keygen};

#[test]
fn what_cannot_be_reached_is_told_apart() {
    within(30, || {
        let sshd = Sshd::start();
        let connect = |address: &str, port: u16| {
            let target = Target { port: Some(port), ..sshd.target("ed25519") };
            let target = Target { address: Some(address.into()), ..target };
            let began = Instant::now();
            let fault = Fault::from(Shell::new(target, sshd.settings()).connect().unwrap_err());
            assert_eq!(fault.class, Class::Connect, "{fault}");
            assert!(fault.hint.is_some() && fault.host.as_deref() == Some("h2-a"));
            assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
            fault.code
        };
        assert_eq!(connect("127.0.0.1", free_port()), "connection_refused");
        assert_eq!(connect("no-such-host.invalid", 22), "unresolvable");
        let rude = TcpListener::bind("127.0.0.1:0").unwrap();
        let rude_port = rude.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in rude.incoming().take(8).flatten() {
                let _ = (&stream).write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
            }
        });
        assert_eq!(connect("127.0.0.1", rude_port), "handshake_failed");
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(connect("127.0.0.1", silent.local_addr().unwrap().port()), "handshake_timeout");
    });
}

#[test]
fn cancel_stops_a_handshake_too() {
    within(10, || {
        let sshd = Sshd::start();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target { port: Some(silent.local_addr().unwrap().port()), ..sshd.target("ed25519") };
        let cancel = Cancel::new();
        let shell = Shell::new(target, Settings { cancel: cancel.clone(), ..sshd.settings() });
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            cancel.stop(Stop::TimedOut);
            Instant::now()
        });
        assert_eq!(code(&shell.connect().unwrap_err()), "timed_out");
        assert!(stopper.join().unwrap().elapsed() < Duration::from_millis(200));
    });
}

#[test]
fn jump_hosts_carry_the_session_and_have_their_own_keys_checked() {
    within(40, || {
        let (gate, inner, target) = (Sshd::start(), Sshd::start(), Sshd::start());
        let block = |name: &str, sshd: &Sshd| {
            format!(
                "Host {name}\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n",
                sshd.port,
                Keys::get().path("rsa").display()
            )
        };
        let extra = target.extra_config(&[block("gate", &gate), block("inner", &inner)].concat());
        let known = |sshd: &Sshd| fs::read_to_string(sshd.path("known_hosts")).unwrap();
        let own = known(&target);
        let all = [known(&gate), known(&inner), own.clone()].concat();
        let settings = Settings { extra_config: Some(extra), ..target.settings() };
        for jump in ["gate", "gate,inner"] {
            fs::write(target.path("known_hosts"), &all).unwrap();
            let to = Target { jump: Some(jump.into()), ..target.target("ed25519") };
            let shell = Shell::new(to, settings.clone());
            let bytes: Vec<u8> = (0..4usize << 20).map(|i| (i % 253) as u8).collect();
            let output = run(&shell, &Command::argv(["cat"]).stdin(bytes.clone())).unwrap();
            assert!(output.stdout == bytes);
            assert_eq!(
                sh(&shell, "echo $SSH_CONNECTION").text().split(' ').nth(3),
                Some(&*target.port.to_string())
            );
            assert!(!gate.sessions().is_empty() && inner.sessions().is_empty() == (jump == "gate"));
            drop(shell);
        }
        let until = Instant::now() + Duration::from_secs(5);
        while !gate.sessions().is_empty() {
            assert!(Instant::now() < until, "the jump session outlives its shell");
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::write(target.path("known_hosts"), own).unwrap();
        let to = Target { jump: Some("gate".into()), ..target.target("ed25519") };
        let error = Shell::new(to.clone(), settings.clone()).connect().unwrap_err();
        assert_eq!(code(&error), "host_key_unknown");
        assert!(error.to_string().contains("through gate"), "{error}");
        fs::write(target.path("known_hosts"), &all).unwrap();
        let nowhere = Target { port: Some(free_port()), ..to.clone() };
        let error = Shell::new(nowhere, settings.clone()).connect().unwrap_err();
        assert_eq!(Fault::from(error).class, Class::Connect);
        let looped = target.extra_config("Host gate\n HostName 127.0.0.1\n ProxyJump gate\n");
        let error =
            Shell::new(to, Settings { extra_config: Some(looped), ..settings }).connect().unwrap_err();
        assert_eq!(code(&error), "jump_loop");
    });
}

#[test]
fn aliases_and_proxy_commands_of_ssh_config_are_honoured() {
    within(20, || {
        let sshd = Sshd::start();
        let text = format!(
            "Match originalhost web\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n\
             Host piped\n HostName 127.0.0.1\n Port {0}\n User root\n IdentityFile {1}\n\
             ProxyCommand ssh -F {2} -W %h:%p web\n",
            sshd.port,
            Keys::get().path("ecdsa").display(),
            sshd.path("extra").display(),
        );
        let text =
            [text, format!("Host *\n UserKnownHostsFile {}\n", sshd.path("known_hosts").display())].concat();
        let settings = Settings { extra_config: Some(sshd.extra_config(&text)), ..sshd.settings() };
        for alias in ["web", "piped"] {
            let shell = Shell::new(Target::ssh("h2-a", alias), settings.clone());
            assert_eq!(sh(&shell, "echo in").text(), "in", "{alias}");
            assert_eq!(shell.config().unwrap().port, sshd.port);
        }
    });
}

#[test]
fn libvirts_transport_logs_in_with_the_same_config() {
    within(20, || {
        let sshd = Sshd::start();
        let wrapper = sshd.shell().libvirt_transport().unwrap();
        let output = std::process::Command::new(&wrapper)
            .args(["-T", "-e", "none", "--", "127.0.0.1", "sh", "-c", "'echo in; echo $SSH_CONNECTION'"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(text.starts_with("in\n") && text.contains(&format!(" {}\n", sshd.port)), "{text}{said}");
        // The same contents, the same place.
        assert_eq!(sshd.shell().libvirt_transport().unwrap(), wrapper);
        assert_eq!(fs::metadata(&wrapper).unwrap().mode() & 0o777, 0o700);
    });
}

#[test]
fn more_sessions_than_max_startups_all_get_in() {
    within(30, || {
        let sshd = Sshd::with(&["ed25519"], "MaxStartups 5:80:6", &[]);
        let shell = sshd.shell();
        std::thread::scope(|s| {
            for _ in 0..20 {
                s.spawn(|| sh(&shell, "sleep 0.5"));
            }
        });
    });
}

#[test]
fn wrong_entries_and_missing_directories_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { runtime_dir: Some(dir.path().join("run")), ..Settings::default() };
    let evil = Target::ssh("x", "-oProxyCommand=touch /tmp/evil");
    let fault = Fault::from(Shell::new(evil, settings).connect().unwrap_err());
    assert_eq!((fault.code.as_str(), fault.class), ("bad_host_entry", Class::Usage));
    let key = dir.path().join("key");
    keygen(&["-t", "ed25519", "-N", ""], &key);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let settings = Settings { runtime_dir: Some(dir.path().to_owned()), ..Settings::default() };
    let error = Shell::new(Target::ssh("x", "h"), settings).config().unwrap_err();
    assert_eq!(code(&error), "runtime_dir");
}

#[test]
fn virsh_starts_the_transport_and_reaches_the_hosts_own_end() {
    within(20, || {
        let (gate, sshd) = (Sshd::start(), Sshd::start());
        let extra = sshd.extra_config(&format!(
            "Host gate\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n",
            gate.port,
            Keys::get().path("rsa").display()
        ));
        let known = |sshd: &Sshd| fs::read_to_string(sshd.path("known_hosts")).unwrap();
        fs::write(sshd.path("known_hosts"), [known(&sshd), known(&gate)].concat()).unwrap();
        for jump in [None, Some("gate".to_owned())] {
            let settings = Settings { extra_config: Some(extra.clone()), ..sshd.settings() };
            let shell = Shell::new(Target { jump, ..sshd.target("ed25519") }, settings);
            let wrapper = shell.libvirt_transport().unwrap();
            let uri = format!("qemu+ssh://127.0.0.1/system?command={}&no_tty=1", wrapper.display());
            let output = std::process::Command::new("virsh")
                .args(["-c", &uri, "hostname"])
                .env("LC_ALL", "C")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            // Without a libvirtd on this machine it is the far end that says so.
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() || said.contains("libvirt-sock"), "{said}");
        }
    });
}
