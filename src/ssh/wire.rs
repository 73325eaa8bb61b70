//! One SSH connection, driven without ever blocking inside libssh2.
//!
//! A blocking libssh2 call cannot be stopped by the cancel token, so every call
//! is made in non-blocking mode and repeated when the socket is ready.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};
use ssh2::{BlockDirections, ErrorCode};

use super::limit::{Limit, Stall, readable_now};
use super::proxy::Helper;

/// libssh2's `LIBSSH2_ERROR_EAGAIN`.
pub(super) const EAGAIN: i32 = -37;

/// How often a sign of life is asked for (as `ServerAliveInterval`).
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// libssh2 sends no sign of life within so many seconds of the last one, by the wall clock; 2 is its least.
const LEAST_INTERVAL: u32 = 2;

/// A peer that has not said anything for this long, though asked, is taken for dead.
const SILENCE: Duration = Duration::from_secs(22);

/// So many questions without an answer (as `ServerAliveCountMax`): whoever was stopped for a
/// minute has not asked, and must not take the others' silence for death.
const UNANSWERED: u32 = 4;

/// See the module's description.
pub(super) struct Wire {
    ssh: ssh2::Session,
    socket: Arc<OwnedFd>,
    /// What carries the connection when it is not a plain TCP socket.
    helper: Option<Helper>,
    heard: Instant,
    /// When the peer was last asked for a sign of life, and how often since it was heard.
    asked: Instant,
    unanswered: u32,
    /// Waits in a row that returned at once.
    hasty: u32,
}

impl Wire {
    /// Puts libssh2 on a connected socket.
    pub(super) fn new(socket: OwnedFd, helper: Option<Helper>) -> Result<Self, String> {
        let mut ssh = ssh2::Session::new().map_err(|e| e.to_string())?;
        let socket = Arc::new(socket);
        ssh.set_tcp_stream(Arc::clone(&socket));
        ssh.set_blocking(false);
        let now = Instant::now();
        Ok(Self { ssh, socket, helper, heard: now, asked: now, unanswered: 0, hasty: 0 })
    }

    /// libssh2's session, in non-blocking mode.
    pub(super) const fn ssh(&self) -> &ssh2::Session {
        &self.ssh
    }

    /// The descriptor to wait for.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Repeats a call of libssh2 until it does not ask to wait.
    pub(super) fn drive<T>(
        &mut self,
        limit: &Limit,
        mut call: impl FnMut(&mut ssh2::Session) -> Result<T, ssh2::Error>,
    ) -> Result<Result<T, ssh2::Error>, Stall> {
        loop {
            match call(&mut self.ssh) {
                Err(e) if e.code() == ErrorCode::Session(EAGAIN) => self.pause(limit)?,
                result => return Ok(result),
            }
        }
    }

    /// Has libssh2 ask the peer for a sign of life every few seconds.
    pub(super) fn keep_alive(&mut self) {
        self.ssh.set_keepalive(true, LEAST_INTERVAL);
        self.wake();
    }

    /// The connection has been idle: silence until now means nothing.
    pub(super) fn wake(&mut self) {
        self.heard = Instant::now();
        self.unanswered = 0;
    }

    /// Waits until libssh2 can go on, or for a moment.
    pub(super) fn pause(&mut self, limit: &Limit) -> Result<(), Stall> {
        self.pause_for(limit, true, None)
    }

    /// The same, also for another descriptor; `read` says whether what comes in is wanted now.
    pub(super) fn pause_for(
        &mut self,
        limit: &Limit,
        read: bool,
        other: Option<(BorrowedFd<'_>, PollFlags)>,
    ) -> Result<(), Stall> {
        if self.heard.elapsed() > SILENCE && self.unanswered >= UNANSWERED {
            return Err(Stall::Lost(format!("nothing heard for {} s", SILENCE.as_secs())));
        }
        let outbound =
            matches!(self.ssh.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, read);
        flags.set(PollFlags::POLLOUT, outbound);
        let began = Instant::now();
        let mut fds = vec![PollFd::new(self.socket.as_fd(), flags)];
        fds.extend(other.map(|(fd, flags)| PollFd::new(fd, flags)));
        let ready = limit.poll(&mut fds)?;
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        // Not reading is not the peer's silence.
        if events.contains(PollFlags::POLLIN) || !read {
            self.wake();
        }
        // libssh2 cannot read while a packet of its own is half sent: then the
        // readable socket would have us run in circles.
        self.hasty =
            if ready > 0 && began.elapsed() < Duration::from_micros(100) { self.hasty + 1 } else { 0 };
        if self.hasty > 200 {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.asked.elapsed() >= ALIVE_INTERVAL {
            self.asked = Instant::now();
            // What does not even take data is asked by that.
            self.unanswered += u32::from(outbound || self.ask_for_life()?);
        }
        Ok(())
    }

    /// Sends a keepalive; false when libssh2 did not, because the wall clock has been set back.
    ///
    /// Only while the socket takes data: libssh2 never completes a keepalive
    /// that was sent by half, and after it nothing else can be sent.
    fn ask_for_life(&mut self) -> Result<bool, Stall> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
        let writable = nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).is_ok_and(|n| n > 0);
        if !writable {
            return Ok(true);
        }
        let next = self.ssh.keepalive_send().map_err(|e| Stall::Lost(e.message().to_owned()))?;
        Ok(next == LEAST_INTERVAL)
    }

    /// Whether the peer has closed the connection, as far as this side knows.
    pub(super) fn is_closed(&self) -> bool {
        if !readable_now(self.fd()) {
            return false;
        }
        let mut byte = [0];
        matches!(
            recv(self.socket.as_raw_fd(), &mut byte, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT),
            Ok(0) | Err(nix::errno::Errno::ECONNRESET | nix::errno::Errno::EPIPE)
        )
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // A polite goodbye if it fits into the socket's buffer. After the shutdown
        // libssh2 can free itself without waiting for anybody.
        let _ = self.ssh.disconnect(None, "done", None);
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        drop(self.helper.take());
    }
}
