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
            let output = run(&shell, &Command::argv(["no-such-program"]));
            assert!(output.map_or(true, |o| o.status == 127));
        }
    });
}
