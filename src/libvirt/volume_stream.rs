//! The contents of volumes, as streams that know of holes.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use virt::storage_vol::StorageVol;
use virt::stream::Stream;
use virt::sys;

use super::{Connection, Error, Pool, Volume, event_loop, raw};
use crate::gate::Permit;

/// The most that goes into one of libvirt's messages (`VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX`); virsh sends as much.
pub const CHUNK: usize = 262_120;

/// What a volume has next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// So many bytes of data; 0 at the end.
    Data(usize),
    /// So many zeros that nobody has to read.
    Hole(u64),
}

/// How many pieces are under way between the two threads: reading and sending go on at the same time.
const DEPTH: usize = 4;

/// How often a wait looks at the cancel token.
const TICK: Duration = Duration::from_millis(50);

/// Storage that has not moved for so long hangs.
const STALL: Duration = Duration::from_secs(120);

/// How long the daemon has to hear that a stream is given up.
const ABORT: Duration = Duration::from_secs(5);

/// What the thread of a stream is told to do.
enum Order {
    Send(Vec<u8>),
    /// How a hole is made comes from whoever has a permit.
    Hole(u64, fn(&Stream, u64) -> Result<(), Error>),
    Receive(Vec<u8>),
    Finish,
    Abort,
}

/// What came of it; the buffer comes back.
type Reply = Result<(Part, Vec<u8>), Error>;

/// Data on their way into a volume, or out of it; given up when dropped. libvirt's calls of a stream wait for the daemon's
/// storage and cannot be interrupted, so they are made by a thread of their own, which is left behind if it hangs.
pub struct VolumeStream {
    orders: Sender<Order>,
    replies: Receiver<Reply>,
    outstanding: usize,
    spare: Vec<Vec<u8>>,
    ended: bool,
    connection: Connection,
}

impl std::fmt::Debug for VolumeStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VolumeStream").field("open", &!self.ended).finish()
    }
}

/// Does what it is told until nobody tells it anything any more.
fn work(stream: Stream, orders: &Receiver<Order>, replies: &Sender<Reply>) {
    let mut stream = Some(stream);
    let mut at_end = false;
    while let Ok(order) = orders.recv() {
        let Some(open) = stream.as_ref() else { break };
        let reply = match order {
            Order::Send(bytes) => send_all(open, &bytes).map(|()| (Part::Data(0), bytes)),
            Order::Hole(length, hole) => hole(open, length).map(|()| (Part::Data(0), Vec::new())),
            Order::Receive(buffer) if at_end => Ok((Part::Data(0), buffer)),
            Order::Receive(mut buffer) => raw::receive(open, &mut buffer).map(|part| match part {
                raw::Part::Data(bytes) => {
                    at_end = bytes == 0;
                    (Part::Data(bytes), buffer)
                }
                raw::Part::Hole(bytes) => (Part::Hole(bytes), buffer),
            }),
            Order::Finish => match stream.take() {
                Some(stream) => stream.finish().map(|()| (Part::Data(0), Vec::new())).map_err(Error::from),
                None => break,
            },
            Order::Abort => {
                let _ = stream.take().map(Stream::abort);
                Ok((Part::Data(0), Vec::new()))
            }
        };
        if replies.send(reply).is_err() {
            break;
        }
    }
}

fn send_all(stream: &Stream, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        let sent = stream.send(bytes)?;
        bytes = &bytes[usize::try_from(sent).unwrap_or(0).min(bytes.len())..];
    }
    Ok(())
}

impl Volume {
    fn open(
        &self,
        open: impl FnOnce(&StorageVol, &Stream) -> Result<(), virt::error::Error> + Send + 'static,
    ) -> Result<VolumeStream, Error> {
        // What the daemon sends is read by the event loop.
        event_loop::start()?;
        let volume = self.volume.clone();
        let stream = self.connection.tell(move |c| -> Result<Stream, virt::error::Error> {
            let stream = Stream::new(c, 0)?;
            open(&volume, &stream)?;
            Ok(stream)
        })?;
        let (orders, told) = mpsc::channel();
        let (answers, replies) = mpsc::channel();
        // Until its thread ends, the stream's connection must not be closed.
        let connection = self.connection.clone();
        std::thread::Builder::new()
            .name("libvirt stream".to_owned())
            .spawn(move || {
                work(stream, &told, &answers);
                drop(connection);
            })
            .map_err(|error| Error::Lost { message: format!("cannot start a thread: {error}") })?;
        let connection = self.connection.clone();
        Ok(VolumeStream { orders, replies, outstanding: 0, spare: Vec::new(), ended: false, connection })
    }

    /// Begins to fill it from `offset` on with `length` bytes. Holes are allowed in a volume that has no data yet: what is below them stays.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn upload(&self, _: &Permit, offset: u64, length: u64, holes: bool) -> Result<VolumeStream, Error> {
        let flags = if holes { sys::VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM } else { 0 };
        self.open(move |volume, stream| volume.upload(stream, offset, length, flags))
    }

    /// Begins to read all of it.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn download(&self) -> Result<VolumeStream, Error> {
        let flags = sys::VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM;
        self.open(move |volume, stream| volume.download(stream, 0, 0, flags))
    }

    /// Overwrites all of it with zeros.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn wipe(&self, _: &Permit) -> Result<(), Error> {
        self.tell(move |v| v.wipe(0))
    }
}

impl Pool {
    /// Creates a volume with the contents of another one of the same host, in another format if the description says so.
    ///
    /// # Errors
    /// `storage_vol_exist`, …; `no_support` for a reflink where the file system has none.
    pub fn copy_volume(&self, _: &Permit, xml: &str, from: &Volume, reflink: bool) -> Result<(), Error> {
        let (xml, from) = (xml.to_owned(), from.volume.clone());
        let flags = if reflink { sys::VIR_STORAGE_VOL_CREATE_REFLINK } else { 0 };
        self.tell(move |p| StorageVol::create_xml_from(p, &xml, &from, flags).map(drop))
    }
}

impl VolumeStream {
    fn order(&mut self, order: Order) -> Result<(), Error> {
        let gone = |_| Error::Lost { message: "the thread of the stream has ended".into() };
        self.orders.send(order).map_err(gone)?;
        self.outstanding += 1;
        Ok(())
    }

    /// The next reply; a stop ends the wait, and so does storage that hangs.
    fn reply(&mut self, limit: Option<Duration>) -> Result<(Part, Vec<u8>), Error> {
        let began = Instant::now();
        loop {
            match self.replies.recv_timeout(TICK) {
                Ok(reply) => {
                    self.outstanding -= 1;
                    return self.connection.judge(reply);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Lost { message: "the thread of the stream has ended".into() });
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(stop) = self.connection.cancel().stopped() {
                        return Err(Error::Stopped(stop));
                    }
                    if let Some(limit) = limit.filter(|limit| began.elapsed() >= *limit) {
                        return Err(Error::NoAnswer { seconds: limit.as_secs() });
                    }
                }
            }
        }
    }

    /// Waits until no more than this is under way.
    fn settle(&mut self, most: usize) -> Result<(), Error> {
        while self.outstanding > most {
            let (_, buffer) = self.reply(Some(STALL))?;
            self.spare.push(buffer);
        }
        Ok(())
    }

    /// Sends all of these bytes. That they could not be sent may be said by a later call.
    ///
    /// # Errors
    /// What libvirt said: no space, a lost connection; `no_answer` of storage that hangs; a stop.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.settle(DEPTH - 1)?;
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        self.order(Order::Send(buffer))
    }

    /// Leaves so many bytes out.
    ///
    /// # Errors
    /// As [`VolumeStream::send`].
    pub fn send_hole(&mut self, _: &Permit, length: u64) -> Result<(), Error> {
        self.settle(DEPTH - 1)?;
        self.order(Order::Hole(length, raw::send_hole))
    }

    /// What comes next.
    ///
    /// # Errors
    /// As [`VolumeStream::send`].
    pub fn receive(&mut self, into: &mut [u8]) -> Result<Part, Error> {
        while self.outstanding < DEPTH {
            let kept = self.spare.pop().filter(|kept| kept.len() == into.len());
            let buffer = kept.unwrap_or_else(|| vec![0; into.len()]);
            self.order(Order::Receive(buffer))?;
        }
        let (part, buffer) = self.reply(Some(STALL))?;
        if let Part::Data(bytes) = part {
            into[..bytes].copy_from_slice(&buffer[..bytes]);
        }
        self.spare.push(buffer);
        Ok(part)
    }

    /// Ends it in order: only now the daemon says whether all is well.
    ///
    /// # Errors
    /// As [`VolumeStream::send`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.settle(0)?;
        self.order(Order::Finish)?;
        // What was sent goes to the disk now, which may take a while.
        let finished = self.reply(None);
        self.ended = !matches!(finished, Err(Error::Stopped(_)));
        finished.map(drop)
    }
}

impl Drop for VolumeStream {
    fn drop(&mut self) {
        // A daemon that is gone would hold up the end.
        if self.ended || !self.connection.is_alive() || self.orders.send(Order::Abort).is_err() {
            return;
        }
        // The volume is in use until the daemon has heard of it.
        let until = Instant::now() + ABORT;
        for _ in 0..=self.outstanding {
            if self.replies.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
                return;
            }
        }
    }
}
