//! What carries a connection that is not a plain TCP socket: a channel through
//! a jump host, or a `ProxyCommand`.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use nix::poll::PollFlags;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::config::{SshConfig, expand};
use super::error::Kind;
use super::limit::{Limit, Stall};
use super::wire::Wire;
use crate::model::Cancel;

/// Ends with the connection it carries; dropping it waits for that.
pub(super) enum Helper {
    /// A thread that pumps through a jump host.
    Pump(Option<JoinHandle<()>>),
    /// A `ProxyCommand`.
    Process(Child),
}

impl Drop for Helper {
    fn drop(&mut self) {
        match self {
            // Its other end has been shut down, so it ends at once.
            Self::Pump(thread) => {
                if let Some(thread) = thread.take() {
                    let _ = thread.join();
                }
            }
            Self::Process(child) => {
                if let Ok(pid) = i32::try_from(child.id()) {
                    let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
                }
                let _ = child.wait();
            }
        }
    }
}

/// Opens a channel through an authenticated jump host to this host and port.
pub(super) fn through(mut jump: Wire, config: &SshConfig, limit: &Limit) -> Result<(OwnedFd, Helper), Kind> {
    let open = |ssh: &mut ssh2::Session| ssh.channel_direct_tcpip(&config.hostname, config.port, None);
    let channel = match jump.drive(limit, open) {
        Ok(Ok(channel)) => channel,
        Ok(Err(e)) => {
            return Err(Kind::Unreachable { address: config.endpoint(), cause: e.message().to_owned() });
        }
        Err(Stall::Deadline) => {
            return Err(Kind::Unreachable {
                address: config.endpoint(),
                cause: "the jump host got no answer in time".to_owned(),
            });
        }
        Err(stall) => return Err(stall.kind(&format!("connecting to {}", config.endpoint()), None, false)),
    };
    let fail = |e: std::io::Error| Kind::Unreachable { address: config.endpoint(), cause: e.to_string() };
    let (ours, theirs) = UnixStream::pair().map_err(fail)?;
    for end in [&ours, &theirs] {
        end.set_nonblocking(true).map_err(fail)?;
    }
    let thread = std::thread::Builder::new()
        .name("jump".to_owned())
        .spawn(move || {
            // Whatever ends the pump closes its end, which the session over it notices.
            let _ = pump(&mut jump, channel, theirs);
        })
        .map_err(fail)?;
    Ok((ours.into(), Helper::Pump(Some(thread))))
}

/// Bytes on their way in one direction.
#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
    at: usize,
}

impl Pipe {
    fn pending(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Reads into the empty pipe; `Some(0)` is the end, `None` is nothing there.
    fn fill(&mut self, source: &mut impl Read) -> std::io::Result<Option<usize>> {
        self.bytes.resize(32_000, 0);
        self.at = 0;
        let result = source.read(&mut self.bytes);
        self.bytes.truncate(*result.as_ref().unwrap_or(&0));
        match result {
            Ok(read) => Ok(Some(read)),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes what is pending; `true` when something went.
    fn drain(&mut self, target: &mut impl Write) -> std::io::Result<bool> {
        match target.write(&self.bytes[self.at..]) {
            Ok(wrote) => {
                self.at += wrote;
                Ok(wrote > 0)
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// Carries bytes both ways until either side ends.
fn pump(jump: &mut Wire, mut channel: ssh2::Channel, mut stream: UnixStream) -> Result<(), Stall> {
    // The session that is carried has its own limits; this thread ends with it.
    let limit = Limit::new(&Cancel::new(), None);
    let lost = |e: std::io::Error| Stall::Lost(e.to_string());
    let (mut inward, mut outward) = (Pipe::default(), Pipe::default());
    jump.keep_alive();
    loop {
        let mut moved = false;
        if inward.pending().is_empty() {
            match inward.fill(&mut channel).map_err(lost)? {
                Some(0) if channel.eof() => return Ok(()),
                Some(read) => moved |= read > 0,
                None => {}
            }
        }
        if !inward.pending().is_empty() {
            moved |= inward.drain(&mut stream).map_err(lost)?;
        }
        if outward.pending().is_empty() {
            match outward.fill(&mut stream).map_err(lost)? {
                Some(0) => return Ok(()),
                Some(_) => moved = true,
                None => {}
            }
        }
        if !outward.pending().is_empty() {
            moved |= outward.drain(&mut channel).map_err(lost)?;
        }
        if !moved {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, outward.pending().is_empty());
            flags.set(PollFlags::POLLOUT, !inward.pending().is_empty());
            jump.pause_for(&limit, inward.pending().is_empty(), Some((stream.as_fd(), flags)))?;
        }
    }
}

/// Starts the user's `ProxyCommand` with its tokens expanded.
pub(super) fn command(template: &str, config: &SshConfig) -> Result<(OwnedFd, Helper), Kind> {
    let line = format!("exec {}", expand(template, config));
    let fail = |e: std::io::Error| Kind::NoProgram { program: template.to_owned(), cause: e.to_string() };
    let (ours, theirs) = UnixStream::pair().map_err(fail)?;
    ours.set_nonblocking(true).map_err(fail)?;
    let input = theirs.try_clone().map_err(fail)?;
    let child = std::process::Command::new("sh")
        .args(["-c", &line])
        .stdin(Stdio::from(OwnedFd::from(input)))
        .stdout(Stdio::from(OwnedFd::from(theirs)))
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(fail)?;
    Ok((ours.into(), Helper::Process(child)))
}
