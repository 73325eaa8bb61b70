//! What happens when connections break, or are used a thousand times.

use std::fs;
use std::time::{Duration, Instant};

use kvmsh::model::Target;
use kvmsh::ssh::{Command, Settings, Shell};

use super::{code, local, run, sh, within};
use crate::sshd::{Keys, Sshd};

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
fn a_silent_peer_is_given_up_within_30_s_and_a_silent_command_is_not() {
    within(40, || {
        let (gate, sshd) = (Sshd::start(), Sshd::start());
        let extra = sshd.extra_config(&format!(
            "Host gate\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n",
            gate.port,
            Keys::get().path("rsa").display()
        ));
        let known = |sshd: &Sshd| fs::read_to_string(sshd.path("known_hosts")).unwrap();
        fs::write(sshd.path("known_hosts"), [known(&sshd), known(&gate)].concat()).unwrap();
        let settings = Settings { extra_config: Some(extra), ..sshd.settings() };
        let jump = Target { jump: Some("gate".into()), ..sshd.target("ed25519") };
        let dead = Sshd::start();
        std::thread::scope(|s| {
            s.spawn(|| {
                let shell = dead.shell();
                shell.connect().unwrap();
                let began = Instant::now();
                let running = s.spawn(move || run(&shell, &Command::line("sleep 60")));
                std::thread::sleep(Duration::from_millis(1500));
                dead.signal_sessions("STOP");
                let error = running.join().unwrap().unwrap_err();
                let took = began.elapsed();
                dead.signal_sessions("CONT");
                assert_eq!(code(&error), "connection_lost", "{error}");
                assert!(took < Duration::from_secs(30), "{took:?}");
            });
            for target in [sshd.target("ed25519"), jump] {
                let shell = Shell::new(target, settings.clone());
                // Longer than the time after which a silent peer counts as dead.
                s.spawn(move || assert_eq!(sh(&shell, "sleep 25; echo done").text(), "done"));
            }
        });
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
fn a_thousand_commands_leak_no_descriptor() {
    // In a process of its own, where no other test opens any.
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ssh::endurance::thousand_commands", "--ignored", "--nocapture"])
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
