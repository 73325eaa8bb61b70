//! Streams: a guest's console and a picture of its screen.

use virt::stream::Stream;
use virt::sys;

use super::error::no_zero_byte;
use super::{Connection, Domain, Error, event_loop};
use crate::gate::Permit;
use crate::model::screen::Heard;

/// What a stream that has nothing now answers (libvirt-stream.h: virStreamRecv).
const WOULD_BLOCK: isize = -2;

/// No picture of a screen is larger: 8192 × 8192 with three bytes a dot.
const LARGEST_PICTURE: usize = 200 << 20;

/// A guest's console; closed when dropped.
pub struct Console {
    /// `None` once it has ended.
    stream: Option<Stream>,
    connection: Connection,
}

impl Domain {
    /// Opens a console: the one of this alias (`serial0`), or the first. With `force` whoever has it open loses it.
    ///
    /// # Errors
    /// `operation_failed` when somebody has it open, `operation_invalid` when the guest does not run.
    pub fn open_console(&self, _: &Permit, device: Option<&str>, force: bool) -> Result<Console, Error> {
        // What the daemon sends is read by the event loop.
        event_loop::start()?;
        no_zero_byte("the console's name", device.unwrap_or_default())?;
        let (domain, device) = (self.domain.clone(), device.map(ToOwned::to_owned));
        let flags = if force { sys::VIR_DOMAIN_CONSOLE_FORCE } else { 0 };
        let stream = self.connection.tell(move |c| -> Result<Stream, virt::error::Error> {
            let stream = Stream::new(c, sys::VIR_STREAM_NONBLOCK)?;
            domain.open_console(device.as_deref(), &stream, flags)?;
            Ok(stream)
        })?;
        Ok(Console { stream: Some(stream), connection: self.connection.clone() })
    }

    /// A picture of its screen as the hypervisor gives it: media type and bytes.
    ///
    /// # Errors
    /// `operation_invalid` when it does not run, `invalid_arg` when it has no such screen.
    pub fn screenshot(&self, screen: u32) -> Result<(String, Vec<u8>), Error> {
        let domain = self.domain.clone();
        self.connection.call(move |c| {
            let stream = Stream::new(c, 0)?;
            let kind = domain.screenshot(&stream, screen, 0)?;
            let mut picture = Vec::new();
            let mut part = vec![0; 256 << 10];
            loop {
                match usize::try_from(stream.recv(&mut part)?).unwrap_or(0) {
                    0 => break,
                    got => picture.extend_from_slice(&part[..got]),
                }
                if picture.len() > LARGEST_PICTURE {
                    let _ = stream.abort();
                    return Err(Error::Lost { message: "the picture does not end".into() });
                }
            }
            stream.finish()?;
            Ok((kind, picture))
        })
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("open", &self.stream.is_some()).finish()
    }
}

impl Console {
    /// What the guest has written; does not wait.
    ///
    /// # Errors
    /// [`Error::Lost`] when the daemon is gone.
    pub fn read(&mut self, into: &mut [u8]) -> Result<Heard, Error> {
        let Some(stream) = &self.stream else { return Ok(Heard::End) };
        if !self.connection.is_alive() {
            return Err(Error::Lost { message: "the console's connection has ended".into() });
        }
        match stream.recv(into) {
            Ok(WOULD_BLOCK) => Ok(Heard::Nothing),
            Ok(got) if got > 0 => Ok(Heard::Bytes(usize::try_from(got).unwrap_or(0))),
            Ok(_) => {
                if let Some(stream) = self.stream.take() {
                    let _ = stream.finish();
                }
                Ok(Heard::End)
            }
            Err(error) => self.connection.judge(Err(error.into())),
        }
    }

    /// Sends what fits now; does not wait.
    ///
    /// # Errors
    /// As [`Console::read`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let Some(stream) = &self.stream else { return Ok(bytes.len()) };
        match stream.send(bytes) {
            Ok(sent) => Ok(usize::try_from(sent).unwrap_or(0)),
            Err(error) => self.connection.judge(Err(error.into())),
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // A daemon that is gone would hold up the end.
        if let Some(stream) = self.stream.take().filter(|_| self.connection.is_alive()) {
            let _ = stream.abort();
        }
    }
}
