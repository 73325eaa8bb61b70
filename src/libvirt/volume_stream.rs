//! The contents of volumes, as streams that know of holes.

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

/// Data on their way into a volume, or out of it; given up when dropped.
pub struct VolumeStream {
    /// `None` once it has ended.
    stream: Option<Stream>,
    connection: Connection,
}

impl std::fmt::Debug for VolumeStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VolumeStream").field("open", &self.stream.is_some()).finish()
    }
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
        Ok(VolumeStream { stream: Some(stream), connection: self.connection.clone() })
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
    fn stream(&self) -> Result<&Stream, Error> {
        self.stream.as_ref().ok_or_else(|| Error::Lost { message: "the stream has ended".into() })
    }

    /// Sends all of these bytes.
    ///
    /// # Errors
    /// What libvirt said: no space, a lost connection.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let sent = self.connection.judge(self.stream()?.send(bytes).map_err(Error::from))?;
            bytes = &bytes[usize::try_from(sent).unwrap_or(0).min(bytes.len())..];
        }
        Ok(())
    }

    /// Leaves so many bytes out.
    ///
    /// # Errors
    /// As [`VolumeStream::send`].
    pub fn send_hole(&mut self, _: &Permit, length: u64) -> Result<(), Error> {
        self.connection.judge(raw::send_hole(self.stream()?, length))
    }

    /// What comes next.
    ///
    /// # Errors
    /// As [`VolumeStream::send`].
    pub fn receive(&mut self, into: &mut [u8]) -> Result<Part, Error> {
        let part = self.connection.judge(raw::receive(self.stream()?, into))?;
        Ok(match part {
            raw::Part::Data(bytes) => Part::Data(bytes),
            raw::Part::Hole(bytes) => Part::Hole(bytes),
        })
    }

    /// Ends it in order: only now the daemon says whether all is well.
    ///
    /// # Errors
    /// As [`VolumeStream::send`].
    pub fn finish(mut self) -> Result<(), Error> {
        match self.stream.take() {
            Some(stream) => self.connection.judge(stream.finish().map_err(Error::from)),
            None => Ok(()),
        }
    }
}

impl Drop for VolumeStream {
    fn drop(&mut self) {
        // A daemon that is gone would hold up the end.
        if let Some(stream) = self.stream.take().filter(|_| self.connection.is_alive()) {
            let _ = stream.abort();
        }
    }
}
