//! What a command gives back, and how it is stopped.

use std::fs;
use std::time::{Duration, Instant};

use kvmsh::model::{Cancel, Class, Fault, Stop, Target};
use kvmsh::ssh::{Command, Probe, Settings, Shell};

use super::{code, local, run, sh, within};
use crate::sshd::Sshd;

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
            for line in ["sleep 9", "timeout 3 yes >/dev/null", "yes"] {
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
            let error = run(&shell, &Command::line("sleep 9")).unwrap_err();
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
        // SIGKILL has been sent when the call returns; the kernel may take a moment.
        let until = Instant::now() + Duration::from_secs(3);
        loop {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            assert!(Instant::now() < until, "{stat}");
            std::thread::sleep(Duration::from_millis(10));
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
fn a_command_that_closes_its_outputs_is_waited_for_and_still_fed() {
    within(20, || {
        let sshd = Sshd::start();
        let file = sshd.path("fed");
        for shell in [sshd.shell(), local()] {
            let line = format!("exec >&- 2>&-; sleep 0.5; cat >'{}'; exit 3", file.display());
            let bytes = vec![7; 4 << 20];
            let output = run(&shell, &Command::line(line).stdin(bytes.clone())).unwrap();
            assert_eq!((output.status, output.signal), (3, None));
            assert!(std::fs::read(&file).unwrap() == bytes);
            let output = run(&shell, &Command::line("exec >&- 2>&-; exit 5").stdin(bytes)).unwrap();
            assert_eq!(output.status, 5);
        }
    });
}
