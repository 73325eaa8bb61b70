//! One command over one session.

use std::io::{self, ErrorKind, Read, Write};

use ssh2::{Channel, ErrorCode};

use super::command::Exit;
use super::flow::{Flow, Sink, Stream};
use super::limit::{Limit, Stall};
use super::wire::{EAGAIN, Wire};

/// libssh2's codes for what the server refuses: `CHANNEL_FAILURE`, `CHANNEL_REQUEST_DENIED`, `REQUEST_DENIED`.
const REFUSED: [i32; 3] = [-21, -22, -32];

/// How many pieces are taken from one output before the other has its turn.
const TURN: usize = 16;

fn stall(error: &ssh2::Error) -> Stall {
    let cause = error.message().to_owned();
    match error.code() {
        ErrorCode::Session(code) if REFUSED.contains(&code) => Stall::Refused(cause),
        _ => Stall::Lost(cause),
    }
}

/// Opens the channel. Nothing of the command has been sent when this fails.
pub(super) fn open(wire: &mut Wire, limit: &Limit) -> Result<Channel, Stall> {
    wire.wake();
    wire.drive(limit, |ssh| ssh.channel_session())?.map_err(|e| stall(&e))
}

/// Runs the line in the channel and passes its input and output on.
///
/// stdout and stderr are drained together: 4 MB of undrained stderr would hold
/// stdout up for ever.
pub(super) fn run(
    wire: &mut Wire,
    mut channel: Channel,
    line: &str,
    flow: &mut Flow<'_>,
    limit: &Limit,
) -> Result<Exit, Stall> {
    wire.drive(limit, |_| channel.exec(line))?.map_err(|e| stall(&e))?;
    let mut stderr = channel.stderr();
    let mut buffer = vec![0; 64 << 10];
    let mut feeding = true;
    loop {
        limit.check()?;
        let out = drain(&mut channel, Stream::Out, &mut buffer, flow.output)?;
        let err = drain(&mut stderr, Stream::Err, &mut buffer, flow.output)?;
        // The end of both outputs is not the end of the command: only the server's
        // own "close" is, and says that it has told us all, the status included
        // (libssh2 reports status 0 also when none has come).
        if !out && !err && channel.eof() {
            match channel.wait_close() {
                Ok(()) => break,
                Err(e) if again(&e) => {}
                Err(e) => return Err(stall(&e)),
            }
        }
        let fed = feeding && feed(&mut channel, flow, &mut feeding)?;
        if !out && !err && !fed {
            wire.pause(limit)?;
        }
    }
    wire.drive(limit, |_| channel.close())?.map_err(|e| stall(&e))?;
    let signal = channel.exit_signal().map_err(|e| stall(&e))?.exit_signal;
    let status = channel.exit_status().map_err(|e| stall(&e))?;
    Ok(match signal {
        Some(signal) => Exit { status: 128 + number(&signal), signal: Some(signal) },
        None => Exit { status, signal: None },
    })
}

/// Takes what is there, for one turn; `true` when there was something.
fn drain(
    source: &mut impl Read,
    stream: Stream,
    buffer: &mut [u8],
    sink: &mut Sink<'_>,
) -> Result<bool, Stall> {
    let mut any = false;
    for _ in 0..TURN {
        match source.read(buffer) {
            Ok(0) => break,
            Ok(read) => {
                any = true;
                sink(stream, &buffer[..read]).map_err(Stall::Own)?;
            }
            Err(e) if would_block(&e) => break,
            Err(e) => return Err(Stall::Lost(e.to_string())),
        }
    }
    Ok(any)
}

/// Writes a piece of the input, or its end; `true` when something went.
fn feed(channel: &mut Channel, flow: &mut Flow<'_>, feeding: &mut bool) -> Result<bool, Stall> {
    let Some(piece) = flow.input.next()? else {
        return match channel.send_eof() {
            Ok(()) => {
                *feeding = false;
                Ok(true)
            }
            Err(e) if again(&e) => Ok(false),
            Err(e) => Err(stall(&e)),
        };
    };
    match channel.write(piece) {
        Ok(wrote) => {
            flow.input.wrote(wrote);
            Ok(wrote > 0)
        }
        Err(e) if would_block(&e) => Ok(false),
        Err(e) => Err(Stall::Lost(e.to_string())),
    }
}

fn again(error: &ssh2::Error) -> bool {
    error.code() == ErrorCode::Session(EAGAIN)
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The signal's number on Linux, as a shell adds it to 128; 127 when it is not known.
fn number(name: &str) -> i32 {
    format!("SIG{name}").parse::<nix::sys::signal::Signal>().map_or(127, |signal| signal as i32)
}
