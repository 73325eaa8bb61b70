//! `kvmsh::ssh` against a real sshd.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use kvmsh::gate::{Gate, Journal, Mode, Outcome, Permit};
use kvmsh::model::{Cancel, Class, Fault, Stop, Target};
use kvmsh::ssh::{
    Command, Error, FileKind, KeyState, Output, Passphrases, Probe, Settings, Shell, Trust, WriteOptions,
};

use crate::sshd::{Keys, PASSPHRASE, Sshd, free_port, keygen};

/// Runs a test and fails it when it does not end in time.
fn within<T: Send + 'static>(seconds: u64, test: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(test()));
    match receiver.recv_timeout(Duration::from_secs(seconds)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not done within {seconds} s"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("the test sent its value"),
        },
    }
}

/// Does something with a permit, which only the gate gives.
fn permitted<T>(deed: impl FnOnce(&Permit) -> Result<T, Error>) -> Result<T, Error> {
    let gate = Gate::new(Mode::Apply, Journal::off());
    let mut error = None;
    let change = kvmsh::gate::Change::new("h2-a", "host", "h2-a", "test");
    let outcome = gate.apply(change, |permit| {
        deed(permit).map_err(|e| {
            error = Some(e.clone());
            Fault::from(e)
        })
    });
    match outcome {
        Ok(Outcome::Done(value)) => Ok(value),
        _ => Err(error.expect("only the deed can fail")),
    }
}

fn run(shell: &Shell, command: &Command) -> Result<Output, Error> {
    permitted(|permit| shell.run(permit, command))
}

fn sh(shell: &Shell, line: &str) -> Output {
    run(shell, &Command::line(line)).unwrap()
}

fn code(error: &Error) -> &'static str {
    error.kind.code()
}

#[test]
fn a_command_gives_back_what_it_wrote_and_how_it_ended() {
    within(20, || {
        let sshd = Sshd::start();
        for shell in [sshd.shell(), Shell::new(Target::local("here", "qemu:///system"), Settings::default())]
        {
            let output = sh(&shell, "echo out; echo err >&2; exit 7");
            assert_eq!((output.text().as_str(), output.error_text().as_str()), ("out", "err"));
            assert_eq!((output.status, output.signal.clone()), (7, None));
            let odd = ["printf", "%s|", "a b", "$HOME", "it's", "\"", "\n", "", "*", "é"];
            let output = run(&shell, &Command::argv(odd)).unwrap();
            assert_eq!(output.text(), "a b|$HOME|it's|\"|\n||*|é|");
            let output = shell.probe(&Probe::script("printf '%s-%s' \"$1\" \"$2\"", ["$(id)", "'"])).unwrap();
            assert_eq!(output.text(), "$(id)-'");
            let output = run(&shell, &Command::argv(["no-such-program"])).unwrap();
            assert_eq!((output.status, output.stderr.is_empty()), (127, false));
        }
    });
}

#[test]
fn a_signal_is_not_an_exit_status() {
    within(20, || {
        let sshd = Sshd::start();
        for shell in [sshd.shell(), local()] {
            let output = sh(&shell, "kill -KILL $$");
            assert_eq!((output.status, output.signal.as_deref()), (137, Some("KILL")));
            assert!(!output.ok());
            let output = sh(&shell, "exit 137");
            assert_eq!((output.status, output.signal), (137, None));
        }
    });
}

fn local() -> Shell {
    Shell::new(Target::local("here", "qemu:///system"), Settings::default())
}

#[test]
fn eight_megabytes_on_both_outputs_and_on_the_input_do_not_block() {
    within(40, || {
        let sshd = Sshd::start();
        const SIZE: usize = 8 << 20;
        for shell in [sshd.shell(), local()] {
            // stderr first and alone: stdout must not wait for it.
            let line = format!(
                "head -c {SIZE} /dev/zero >&2 & head -c {SIZE} /dev/zero; wait; head -c {SIZE} /dev/zero >&2"
            );
            let output = sh(&shell, &line);
            assert_eq!((output.stdout.len(), output.stderr.len()), (SIZE, 2 * SIZE));
            let bytes: Vec<u8> = (0..SIZE).map(|i| (i % 251) as u8).collect();
            let output = run(&shell, &Command::argv(["tee", "/dev/stderr"]).stdin(bytes.clone())).unwrap();
            assert!(output.stdout == bytes && output.stderr == bytes);
            // A command that does not read its input ends all the same.
            let output = run(&shell, &Command::line("head -c 3; exit 4").stdin(bytes)).unwrap();
            assert_eq!((output.status, output.stdout.len()), (4, 3));
        }
    });
}

#[test]
fn more_output_than_fits_is_an_error_and_not_all_memory() {
    within(20, || {
        let sshd = Sshd::start();
        for shell in [sshd.shell(), local()] {
            let error = run(&shell, &Command::line("yes").output_limit(1 << 20)).unwrap_err();
            assert_eq!(code(&error), "output_too_large");
            assert_eq!(sh(&shell, "echo next").text(), "next");
        }
    });
}

#[test]
fn a_command_ends_at_its_time_limit() {
    within(20, || {
        let sshd = Sshd::start();
        for (shell, remote) in [(sshd.shell(), true), (local(), false)] {
            shell.connect().unwrap();
            for line in ["sleep 30", "yes >/dev/null", "yes"] {
                let began = Instant::now();
                let command =
                    Command::line(line).timeout(Some(Duration::from_millis(300))).output_limit(u64::MAX);
                let error = run(&shell, &command).unwrap_err();
                assert_eq!(code(&error), "command_timeout", "{line}");
                assert!(began.elapsed() < Duration::from_secs(1), "{line}: {:?}", began.elapsed());
                let hint = error.kind.hint().unwrap();
                assert_eq!(hint.contains("may still be running"), remote, "{hint}");
            }
        }
    });
}

#[test]
fn cancel_returns_within_200_ms_and_another_token_may_still_clean_up() {
    within(20, || {
        let sshd = Sshd::start();
        for target in [sshd.target("ed25519"), Target::local("here", "qemu:///system")] {
            let cancel = Cancel::new();
            let shell = Shell::new(target, Settings { cancel: cancel.clone(), ..sshd.settings() });
            shell.connect().unwrap();
            let stopper = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                cancel.stop(Stop::Interrupted);
                Instant::now()
            });
            let error = run(&shell, &Command::line("sleep 30")).unwrap_err();
            let took = stopper.join().unwrap().elapsed();
            assert!(took < Duration::from_millis(200), "{took:?}");
            let fault = Fault::from(error);
            assert_eq!((fault.code.as_str(), fault.class), ("interrupted", Class::Interrupted));
            let again = run(&shell, &Command::line("true")).unwrap_err();
            assert_eq!(code(&again), "interrupted");
            assert_eq!(sh(&shell.with_cancel(Cancel::new()), "echo clean").text(), "clean");
        }
    });
}

#[test]
fn cancel_on_this_machine_ends_the_children_too() {
    within(20, || {
        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pids");
        let line = format!("(trap '' TERM; sleep 31 & echo $! >{0}; wait) & wait", pids.display());
        let error =
            run(&local(), &Command::line(line).timeout(Some(Duration::from_millis(400)))).unwrap_err();
        assert_eq!(code(&error), "command_timeout");
        let pid = fs::read_to_string(&pids).unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    });
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
        let extra = target.extra_config(&(block("gate", &gate) + &block("inner", &inner)));
        let known = |sshd: &Sshd| fs::read_to_string(sshd.path("known_hosts")).unwrap();
        let own = known(&target);
        let all = known(&gate) + &known(&inner) + &own;
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
        let text = text + &format!("Host *\n UserKnownHostsFile {}\n", sshd.path("known_hosts").display());
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
fn writing_replaces_a_file_atomically_and_keeps_owner_and_mode() {
    within(30, || {
        let sshd = Sshd::start();
        let dir = sshd.path("files");
        fs::create_dir(&dir).unwrap();
        let path = |name: &str| dir.join(name).display().to_string();
        let names = || {
            let mut names: Vec<String> =
                fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        for shell in [sshd.shell(), local()] {
            let write = |name: &str, bytes: &[u8], how: &WriteOptions| {
                permitted(|permit| shell.write(permit, &path(name), bytes, how))
            };
            let plain = WriteOptions::default();
            let name = "with space 'and' \"quotes\" $x";
            assert!(write(name, b"one\0two\n", &plain).unwrap().changed);
            assert_eq!(shell.read(&path(name), 100).unwrap(), b"one\0two\n");
            assert_eq!(shell.exists(&path(name)).unwrap().unwrap().mode, 0o644);
            assert!(!write(name, b"one\0two\n", &plain).unwrap().changed, "the second time changes nothing");
            let mode = WriteOptions { mode: Some(0o600), owner: Some("nobody:daemon".into()), backup: false };
            assert!(write(name, b"one\0two\n", &mode).unwrap().changed);
            let inode = fs::metadata(path(name)).unwrap().ino();
            let backup = WriteOptions { backup: true, ..plain.clone() };
            let written = write(name, b"", &backup).unwrap();
            let meta = shell.exists(&path(name)).unwrap().unwrap();
            assert_eq!((meta.kind, meta.size, meta.mode), (FileKind::File, 0, 0o600));
            assert_eq!((meta.owner.as_str(), meta.group.as_str()), ("nobody", "daemon"));
            assert_ne!(fs::metadata(path(name)).unwrap().ino(), inode);
            let kept = written.backup.unwrap();
            assert_eq!(fs::read(&kept).unwrap(), b"one\0two\n");
            assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
            std::os::unix::fs::symlink(name, path("link")).unwrap();
            write("link", b"through", &plain).unwrap();
            assert!(fs::symlink_metadata(path("link")).unwrap().is_symlink());
            assert_eq!(fs::read(path(name)).unwrap(), b"through");
            assert_eq!(names().len(), 3, "{:?}", names());
            for name in names() {
                fs::remove_file(dir.join(name)).unwrap();
            }
            for (name, wanted) in [("no/such/dir", "no_such_file"), ("", "not_a_file"), ("a\nb", "bad_path")]
            {
                assert_eq!(code(&write(name, b"x", &plain).unwrap_err()), wanted, "{name}");
            }
            assert!(names().is_empty());
        }
    });
}

#[test]
fn reading_and_looking_tell_what_is_wrong() {
    within(20, || {
        let sshd = Sshd::start();
        for shell in [sshd.shell(), local()] {
            assert_eq!(code(&shell.read("/no/such", 10).unwrap_err()), "no_such_file");
            assert_eq!(code(&shell.read("/etc", 10).unwrap_err()), "not_a_file");
            assert_eq!(code(&shell.read("/etc/passwd", 3).unwrap_err()), "file_too_large");
            assert_eq!(code(&shell.read("relative", 3).unwrap_err()), "bad_path");
            assert!(shell.read("/proc/self/status", 1 << 20).unwrap().starts_with(b"Name:"));
            assert_eq!(shell.exists("/no/such").unwrap(), None);
            assert_eq!(shell.exists("/etc/passwd/x").unwrap(), None);
            assert_eq!(shell.exists("/etc").unwrap().unwrap().kind, FileKind::Directory);
            assert_eq!(shell.exists("/dev/null").unwrap().unwrap().kind, FileKind::Other);
        }
    });
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    within(20, || {
        let full = tempfile::tempdir().unwrap();
        let mount = format!("mount -t tmpfs -o size=256k tmpfs '{}' && exec \"$@\"", full.path().display());
        let sshd = Sshd::with(&["ed25519"], "", &["unshare", "-m", "sh", "-c", &mount, "sh"]);
        let shell = sshd.shell();
        let path = full.path().join("file").display().to_string();
        let plain = WriteOptions::default();
        let write = |bytes: &[u8], how: &WriteOptions| permitted(|p| shell.write(p, &path, bytes, how));
        write(&[1; 100_000], &plain).unwrap();
        assert!(!Path::new(&path).exists(), "the disk is the host's alone");
        let error = write(&[2; 1_000_000], &plain).unwrap_err();
        assert_eq!(code(&error), "no_space");
        // Room for the new file, but not for the backup as well.
        let backup = WriteOptions { backup: true, ..plain.clone() };
        assert_eq!(code(&write(&[3; 100_000], &backup).unwrap_err()), "no_space");
        assert_eq!(shell.read(&path, 1 << 20).unwrap(), [1; 100_000]);
        assert_eq!(sh(&shell, &format!("ls -A '{}'", full.path().display())).text(), "file");
    });
}

#[test]
fn twenty_megabytes_go_up_and_down_with_progress() {
    within(50, || {
        let sshd = Sshd::start();
        const SIZE: u64 = 20 << 20;
        let source = sshd.path("source");
        let bytes: Vec<u8> = (0..SIZE).map(|i| (i * 31 % 257) as u8).collect();
        fs::write(&source, &bytes).unwrap();
        for shell in [sshd.shell(), local()] {
            let remote = sshd.path("remote").display().to_string();
            let mut seen = Vec::new();
            let mut meter = |done, total| seen.push((done, total));
            let how = WriteOptions { mode: Some(0o640), ..WriteOptions::default() };
            permitted(|p| shell.upload(p, &source, &remote, &how, &mut meter)).unwrap();
            assert_eq!(seen.last(), Some(&(SIZE, SIZE)));
            assert!(seen.len() > 100 && seen.windows(2).all(|w| w[0].0 <= w[1].0));
            let back = sshd.path("back");
            let mut seen = Vec::new();
            assert_eq!(shell.download(&remote, &back, &mut |d, t| seen.push((d, t))).unwrap(), SIZE);
            assert_eq!(seen.last(), Some(&(SIZE, SIZE)));
            assert!(fs::read(&back).unwrap() == bytes);
            assert_eq!(fs::metadata(&back).unwrap().mode() & 0o777, 0o640);
            assert_eq!(code(&shell.download("/no/such", &back, &mut |_, _| {}).unwrap_err()), "no_such_file");
            assert_eq!(code(&shell.download("/etc", &back, &mut |_, _| {}).unwrap_err()), "not_a_file");
            assert!(fs::read(&back).unwrap() == bytes, "a failed download leaves the file alone");
            fs::remove_file(&back).unwrap();
            fs::remove_file(sshd.path("remote")).unwrap();
        }
        let left = fs::read_dir(sshd.dir.path()).unwrap();
        assert!(left.flatten().all(|e| !e.file_name().to_string_lossy().starts_with(".kvmsh")));
    });
}

#[test]
fn an_upload_that_is_cancelled_leaves_nothing_behind() {
    within(20, || {
        let sshd = Sshd::start();
        let dir = sshd.path("files");
        fs::create_dir(&dir).unwrap();
        let source = sshd.path("source");
        fs::File::create(&source).unwrap().set_len(8 << 30).unwrap();
        for target in [sshd.target("ed25519"), Target::local("here", "qemu:///system")] {
            let cancel = Cancel::new();
            let shell = Shell::new(target, Settings { cancel: cancel.clone(), ..sshd.settings() });
            let remote = dir.join("big").display().to_string();
            let mut meter = |done, _| {
                if done > 2 << 20 {
                    cancel.stop(Stop::Interrupted);
                }
            };
            let how = WriteOptions::default();
            let error = permitted(|p| shell.upload(p, &source, &remote, &how, &mut meter)).unwrap_err();
            assert_eq!(code(&error), "interrupted");
            let until = Instant::now() + Duration::from_secs(5);
            while fs::read_dir(&dir).unwrap().count() > 0 {
                assert!(Instant::now() < until, "{:?}", fs::read_dir(&dir).unwrap().flatten().next());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
}

#[test]
fn eight_commands_run_at_the_same_time_on_one_host() {
    within(30, || {
        let sshd = Sshd::start();
        let shell = sshd.shell();
        sh(&shell, "true");
        let round = || {
            let began = Instant::now();
            std::thread::scope(|s| {
                for i in 0..8 {
                    let shell = &shell;
                    s.spawn(move || {
                        assert_eq!(sh(shell, &format!("sleep 1; echo {i}")).text(), i.to_string())
                    });
                }
            });
            began.elapsed()
        };
        let (first, second) = (round(), round());
        assert!(second < Duration::from_secs(3), "first {first:?}, second {second:?}");
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
fn a_connection_that_breaks_in_mid_command_is_an_error_and_never_status_0() {
    within(30, || {
        let sshd = Sshd::start();
        let shell = sshd.shell();
        for line in ["sleep 20", "echo some; exec sleep 20"] {
            let began = Instant::now();
            let error = std::thread::scope(|s| {
                let running = s.spawn(|| run(&shell, &Command::line(line)));
                std::thread::sleep(Duration::from_millis(1500));
                sshd.signal_sessions("KILL");
                running.join().unwrap().unwrap_err()
            });
            assert_eq!(code(&error), "connection_lost", "{error}");
            assert!(began.elapsed() < Duration::from_secs(10));
            assert_eq!(sh(&shell, "echo again").text(), "again");
        }
    });
}

#[test]
fn a_peer_that_falls_silent_is_noticed_within_30_s() {
    within(40, || {
        let sshd = Sshd::start();
        let shell = sshd.shell();
        let began = Instant::now();
        let error = std::thread::scope(|s| {
            let running = s.spawn(|| run(&shell, &Command::line("sleep 60")));
            std::thread::sleep(Duration::from_millis(1500));
            sshd.signal_sessions("STOP");
            running.join().unwrap().unwrap_err()
        });
        let took = began.elapsed();
        sshd.signal_sessions("CONT");
        assert_eq!(code(&error), "connection_lost", "{error}");
        assert!(took < Duration::from_secs(31), "{took:?}");
    });
}

#[test]
fn a_session_that_died_while_it_was_idle_is_replaced() {
    within(20, || {
        let mut sshd = Sshd::start();
        let shell = sshd.shell();
        for signal in ["KILL", "TERM"] {
            sh(&shell, "true");
            sshd.signal_sessions(signal);
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(sh(&shell, "echo again").text(), "again");
        }
        sshd.stop();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(code(&run(&shell, &Command::line("true")).unwrap_err()), "connection_refused");
    });
}

#[test]
fn facts_come_in_one_round_trip() {
    within(20, || {
        let sshd = Sshd::start();
        for shell in [sshd.shell(), local()] {
            let facts = shell.facts().unwrap();
            assert_eq!(facts.kernel, sh(&local(), "uname -r").text());
            assert!(!facts.os_id.is_empty() && !facts.os_name.is_empty() && !facts.arch.is_empty());
            assert_eq!((facts.user.as_str(), facts.uid), ("root", Some(0)));
            assert!(facts.uptime > Duration::from_secs(1));
            assert!(facts.time_offset_ms.unwrap().abs() <= facts.time_error_ms + 5, "{facts:?}");
        }
    });
}

#[test]
fn a_thousand_commands_leak_no_descriptor() {
    // In a process of its own, where no other test opens any.
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ssh::thousand_commands", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "run by a_thousand_commands_leak_no_descriptor"]
fn thousand_commands() {
    within(50, || {
        let sshd = Sshd::start();
        let open = || fs::read_dir("/proc/self/fd").unwrap().count();
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        let (shell, here) = (sshd.shell(), local());
        let round = |times: usize| {
            for i in 0..times {
                assert_eq!(run(&shell, &Command::argv(["true"])).unwrap().status, 0);
                if i % 4 == 0 {
                    assert_eq!(run(&here, &Command::argv(["true"])).unwrap().status, 0);
                }
                if i % 100 == 0 {
                    let short = Command::argv(["sleep", "9"]).timeout(Some(Duration::from_millis(20)));
                    run(&shell, &short).unwrap_err();
                    shell.disconnect();
                    sh(&shell, "true");
                }
            }
        };
        round(5);
        let before = (open(), threads());
        round(1000);
        assert_eq!((open(), threads()), before);
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
#[ignore = "timing"]
fn timing() {
    let sshd = Sshd::start();
    let shell = sshd.shell();
    sh(&shell, "true");
    for (name, command) in [("true", Command::argv(["true"])), ("sh", Command::line("true"))] {
        let began = Instant::now();
        for _ in 0..50 {
            run(&shell, &command).unwrap();
        }
        eprintln!("{name}: {:?} each", began.elapsed() / 50);
    }
    let began = Instant::now();
    for _ in 0..20 {
        shell.disconnect();
        shell.connect().unwrap();
    }
    eprintln!("connect: {:?} each", began.elapsed() / 20);
}
