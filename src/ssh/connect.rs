//! From a host name to a connected socket, within a time limit.

use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};

use super::config::SshConfig;
use super::error::Kind;
use super::limit::{Limit, Stall};
use crate::model::Cancel;

/// Connects to the first address that answers.
pub(super) fn tcp(config: &SshConfig, time: Duration, cancel: &Cancel) -> Result<OwnedFd, Kind> {
    let limit = Limit::new(cancel, Some(time));
    let timeout = || Kind::ConnectTimeout { address: config.endpoint(), after: time };
    let addresses = resolve(config, &limit, time)?;
    let mut failure = None;
    for (i, address) in addresses.iter().enumerate() {
        let left = limit.left().unwrap_or_default();
        if left.is_zero() {
            break;
        }
        // One dead address (often IPv6) must not use up the time of the others.
        let share = left / u32::try_from(addresses.len() - i).unwrap_or(1);
        match one(*address, &Limit::new(cancel, Some(share))) {
            Ok(socket) => return Ok(socket),
            Err(Attempt::Errno(errno)) => {
                let refused = matches!(errno, Errno::ECONNREFUSED | Errno::ECONNRESET);
                let address = address.to_string();
                failure = Some(match errno {
                    _ if refused => Kind::Refused { address },
                    Errno::ETIMEDOUT => Kind::ConnectTimeout { address, after: time },
                    errno => Kind::Unreachable { address, cause: errno.desc().to_owned() },
                });
            }
            Err(Attempt::Stall(Stall::Deadline)) => failure = Some(timeout()),
            Err(Attempt::Stall(stall)) => return Err(stall.kind(&what(config), Some(time), false)),
        }
    }
    Err(failure.unwrap_or_else(timeout))
}

fn what(config: &SshConfig) -> String {
    format!("connecting to {}", config.endpoint())
}

/// Resolves the name in a thread of its own: the system's resolver can neither
/// be stopped nor given a time limit.
fn resolve(config: &SshConfig, limit: &Limit, time: Duration) -> Result<Vec<SocketAddr>, Kind> {
    let fail = |cause: String| Kind::Unresolvable { name: config.hostname.clone(), cause };
    let (sender, receiver) = mpsc::channel();
    let (name, port) = (config.hostname.clone(), config.port);
    std::thread::Builder::new()
        .name("resolve".to_owned())
        .spawn(move || {
            let _ = sender.send((name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>));
        })
        .map_err(|e| fail(e.to_string()))?;
    let found = loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(found) => break found.map_err(|e| fail(e.to_string()))?,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(fail("the resolver failed".to_owned())),
            Err(mpsc::RecvTimeoutError::Timeout) => match limit.check() {
                Ok(()) => {}
                Err(Stall::Deadline) => {
                    return Err(fail(format!("the resolver did not answer within {} s", time.as_secs())));
                }
                Err(stall) => return Err(stall.kind(&what(config), Some(time), false)),
            },
        }
    };
    let wanted: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| match config.address_family.as_str() {
            "inet" => address.is_ipv4(),
            "inet6" => address.is_ipv6(),
            _ => true,
        })
        .collect();
    if wanted.is_empty() {
        Err(fail("it has no address of the wanted family".to_owned()))
    } else {
        Ok(wanted)
    }
}

enum Attempt {
    Errno(Errno),
    Stall(Stall),
}

impl From<Errno> for Attempt {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

fn one(address: SocketAddr, limit: &Limit) -> Result<OwnedFd, Attempt> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    keep_alive(&socket)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) => return Ok(socket),
        Err(Errno::EINPROGRESS | Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    loop {
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        if limit.poll(&mut fds).map_err(Attempt::Stall)? > 0 {
            break;
        }
    }
    match nix::sys::socket::getsockopt(&socket, sockopt::SocketError)? {
        0 => Ok(socket),
        errno => Err(Errno::from_raw(errno).into()),
    }
}

/// A dead peer shows within 20 s: probes after 5 s of silence, and data that is
/// not acknowledged counts as well. SSH's own keepalive (see `wire`) comes on top,
/// because it also sees through jump hosts.
fn keep_alive(socket: &OwnedFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &5)?;
    setsockopt(socket, sockopt::TcpKeepInterval, &5)?;
    setsockopt(socket, sockopt::TcpKeepCount, &3)?;
    // Milliseconds.
    setsockopt(socket, sockopt::TcpUserTimeout, &20_000)
}
