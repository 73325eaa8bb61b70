//! The same commands on this machine, without SSH.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::command::{Command, Exit, Output};
use super::error::Kind;
use super::flow::{Collect, Feed, Flow, Sink, Stream};
use super::limit::{Limit, Stall};

/// How long a stopped command has to end by itself, and to clean up, before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the words and passes their input and output on.
///
/// As over SSH the command has ended when it has exited and closed its outputs.
/// When it is stopped, its whole process group is.
pub(super) fn run(words: &[String], flow: &mut Flow<'_>, limit: &Limit) -> Result<Exit, Stall> {
    limit.check()?;
    let mut running = Running::spawn(words)?;
    let exit = running.attend(flow, limit);
    if exit.is_err() {
        running.kill();
    }
    exit
}

/// Runs a command of our own on this machine and keeps its output.
pub(super) fn output(command: &Command, limit: &Limit) -> Result<Output, Kind> {
    let words = command.words()?;
    let mut collect = Collect::new(command.output_limit, command.display());
    let mut input = command.stdin.as_slice();
    let mut sink = |stream, bytes: &[u8]| collect.take(stream, bytes);
    let exit = run(&words, &mut Flow { input: Feed::new(&mut input), output: &mut sink }, limit)
        .map_err(|stall| stall.kind(&command.display(), command.timeout, false))?;
    Ok(collect.output(exit))
}

struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Running {
    fn spawn(words: &[String]) -> Result<Self, Stall> {
        let (program, args) = words.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        let mut child = std::process::Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C at the terminal reaches us alone, and we can end all of it.
            .process_group(0)
            .spawn()
            .map_err(|e| Stall::Own(Kind::NoProgram { program: program.to_owned(), cause: e.to_string() }))?;
        let stdin = child.stdin.take();
        let running = Self { child, stdin };
        for fd in [
            running.stdin.as_ref().map(AsFd::as_fd),
            running.child.stdout.as_ref().map(AsFd::as_fd),
            running.child.stderr.as_ref().map(AsFd::as_fd),
        ]
        .into_iter()
        .flatten()
        {
            let flags = fcntl(fd, FcntlArg::F_GETFL).map(OFlag::from_bits_truncate);
            flags
                .and_then(|flags| fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)))
                .map_err(|e| Stall::Lost(format!("cannot prepare the pipe: {e}")))?;
        }
        Ok(running)
    }

    fn attend(&mut self, flow: &mut Flow<'_>, limit: &Limit) -> Result<Exit, Stall> {
        let mut stdout = self.child.stdout.take();
        let mut stderr = self.child.stderr.take();
        let mut buffer = vec![0; 64 << 10];
        let mut pause = Duration::from_micros(200);
        loop {
            limit.check()?;
            let out = drain(&mut stdout, Stream::Out, &mut buffer, flow.output)?;
            let err = drain(&mut stderr, Stream::Err, &mut buffer, flow.output)?;
            let fed = self.feed(&mut flow.input)?;
            if out || err || fed {
                continue;
            }
            let silent = stdout.is_none() && stderr.is_none();
            if silent && let Some(status) = self.child.try_wait().map_err(|e| Stall::Lost(e.to_string()))? {
                return Ok(exit(status));
            }
            if silent && self.stdin.is_none() {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(20));
                continue;
            }
            let mut fds = Vec::with_capacity(3);
            fds.extend(stdout.as_ref().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
            fds.extend(stderr.as_ref().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
            fds.extend(self.stdin.as_ref().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLOUT)));
            limit.poll(&mut fds)?;
        }
    }

    /// Writes what fits; `true` when something was written or the end was reached.
    fn feed(&mut self, input: &mut Feed<'_>) -> Result<bool, Stall> {
        let Some(stdin) = &mut self.stdin else { return Ok(false) };
        let Some(piece) = input.next()? else {
            self.stdin = None;
            return Ok(true);
        };
        match stdin.write(piece) {
            Ok(wrote) => {
                input.wrote(wrote);
                Ok(true)
            }
            Err(e) if would_block(&e) => Ok(false),
            // It has closed its input: that is its right, `head` does so.
            Err(_) => {
                input.give_up();
                self.stdin = None;
                Ok(true)
            }
        }
    }

    /// Ends the whole process group: asks first, then kills.
    fn kill(&mut self) {
        let Ok(pid) = i32::try_from(self.child.id()) else { return };
        let group = Pid::from_raw(pid);
        let _ = killpg(group, Signal::SIGTERM);
        // Not before: at the end of its input the command would begin to clean
        // up, and the signal would hit what it has started for that.
        self.stdin = None;
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // Also when the leader has ended: its children may have not.
        let _ = killpg(group, Signal::SIGKILL);
        // A process of another user (sudo) cannot be killed, and must not hold us up.
        for _ in 0..20 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Reads what is there; `true` when something was, and `None` in `pipe` at its end.
fn drain(
    pipe: &mut Option<impl Read>,
    stream: Stream,
    buffer: &mut [u8],
    sink: &mut Sink<'_>,
) -> Result<bool, Stall> {
    let Some(source) = pipe else { return Ok(false) };
    match source.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(read) => sink(stream, &buffer[..read]).map_err(Stall::Own)?,
        Err(e) if would_block(&e) => return Ok(false),
        Err(e) => return Err(Stall::Lost(e.to_string())),
    }
    Ok(true)
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(status), _) => Exit { status, signal: None },
        (None, number) => {
            let number = number.unwrap_or(0);
            let name =
                Signal::try_from(number).map_or_else(|_| number.to_string(), |s| s.as_str().to_owned());
            let name = name.strip_prefix("SIG").unwrap_or(&name).to_owned();
            Exit { status: 128 + number, signal: Some(name) }
        }
    }
}
