//! `kvmsh::ssh` against a real sshd.

mod commands;
mod endurance;
mod files;
mod keys;
mod password;
mod ways;

use std::sync::mpsc;
use std::time::Duration;

use kvmsh::gate::{Change, Gate, Journal, Mode, Outcome, Permit};
use kvmsh::model::{Fault, Target};
use kvmsh::ssh::{Command, Error, Output, Settings, Shell};

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
    let change = Change::new("h2-a", "host", "h2-a", "test");
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

/// This machine, without SSH.
fn local() -> Shell {
    Shell::new(Target::local("here", "qemu:///system"), Settings::default())
}
