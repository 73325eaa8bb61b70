//! Data on their way: where they come from, where they go, and what is done with them between.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::{Whence, lseek};
use sha2::Digest;

use super::{Moved, Moving};
use crate::gate::Permit;
use crate::libvirt::{CHUNK, Part, VolumeStream};
use crate::model::{Bytes, Fault, Step};
use crate::ops::Host;

/// Shorter runs of zeros are sent: a message costs more.
const GRAIN: usize = 64 << 10;

/// How often a person is told.
const TOLD: Duration = Duration::from_millis(100);
pub(super) fn local(path: &Path, error: impl std::fmt::Display) -> Fault {
    Fault::new("local_file", format!("{}: {error}", path.display()))
}

/// Where data come from.
pub(super) trait Source {
    fn next(&mut self, into: &mut [u8]) -> Result<Part, Fault>;
}

/// A local file, read by what is in it.
pub(super) struct FileSource {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) at: u64,
    pub(super) length: u64,
    /// Up to where there are data.
    pub(super) data_to: u64,
}

impl FileSource {
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(|error| local(path, error))?;
        let metadata = file.metadata().map_err(|error| local(path, error))?;
        if !metadata.is_file() {
            return Err(local(path, "it is no regular file"));
        }
        Ok(Self { file, path: path.to_owned(), at: 0, length: metadata.len(), data_to: 0 })
    }

    fn seek(&self, whence: Whence) -> Option<u64> {
        let at = i64::try_from(self.at).ok()?;
        lseek(self.file.as_fd(), at, whence).ok().and_then(|at| u64::try_from(at).ok())
    }
}

impl Source for FileSource {
    fn next(&mut self, into: &mut [u8]) -> Result<Part, Fault> {
        if self.at >= self.length {
            return Ok(Part::Data(0));
        }
        if self.at >= self.data_to {
            // No more data: a hole to the end. A file system without holes says that all is data.
            let data = self.seek(Whence::SeekData).unwrap_or(self.length).min(self.length);
            if data > self.at {
                let hole = data - self.at;
                self.at = data;
                return Ok(Part::Hole(hole));
            }
            self.data_to = self.seek(Whence::SeekHole).unwrap_or(self.length).min(self.length);
        }
        let most = usize::try_from(self.data_to - self.at).unwrap_or(usize::MAX).min(into.len());
        let mut read = |file: &mut File| {
            file.seek(SeekFrom::Start(self.at))?;
            file.read_exact(&mut into[..most])
        };
        read(&mut self.file).map_err(|error| local(&self.path, error))?;
        self.at += most as u64;
        Ok(Part::Data(most))
    }
}

/// So many zeros.
pub(super) struct Nothing(pub(super) u64);

impl Source for Nothing {
    fn next(&mut self, _: &mut [u8]) -> Result<Part, Fault> {
        // In small pieces, so that a stop and the progress get their turn.
        let some = self.0.min(CHUNK as u64);
        self.0 -= some;
        Ok(if some == 0 { Part::Data(0) } else { Part::Hole(some) })
    }
}

pub(super) struct VolumeSource {
    pub(super) stream: VolumeStream,
    pub(super) host: String,
}

impl Source for VolumeSource {
    fn next(&mut self, into: &mut [u8]) -> Result<Part, Fault> {
        self.stream.receive(into).map_err(|error| Fault::from(error).on_host(&self.host))
    }
}

/// Where data go.
pub(super) trait Sink {
    fn data(&mut self, bytes: &[u8]) -> Result<(), Fault>;
    fn hole(&mut self, length: u64) -> Result<(), Fault>;
}

pub(super) struct VolumeSink<'a> {
    pub(super) permit: &'a Permit,
    pub(super) stream: VolumeStream,
    pub(super) holes: bool,
    pub(super) host: String,
}

impl VolumeSink<'_> {
    fn zeros(&mut self, mut length: u64) -> Result<(), Fault> {
        let zeros = vec![0; CHUNK];
        while length > 0 {
            let some = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
            self.stream.send(&zeros[..some])?;
            length -= some as u64;
        }
        Ok(())
    }
}

impl Sink for VolumeSink<'_> {
    fn data(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.stream.send(bytes).map_err(|error| Fault::from(error).on_host(&self.host))
    }

    fn hole(&mut self, length: u64) -> Result<(), Fault> {
        let host = self.host.clone();
        let sent = if self.holes {
            self.stream.send_hole(self.permit, length).map_err(Fault::from)
        } else {
            self.zeros(length)
        };
        sent.map_err(|fault| fault.on_host(host))
    }
}

pub(super) struct FileSink {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) at: u64,
}

impl Sink for FileSink {
    fn data(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.at += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| local(&self.path, error))
    }

    fn hole(&mut self, length: u64) -> Result<(), Fault> {
        self.at += length;
        self.file.seek(SeekFrom::Start(self.at)).map(drop).map_err(|error| local(&self.path, error))
    }
}

/// One transfer: progress, rate, checksum, Ctrl-C.
pub(super) struct Pump<'a> {
    pub(super) host: &'a Host,
    pub(super) label: &'a str,
    pub(super) note: String,
    pub(super) total: u64,
    pub(super) how: &'a Moving,
}

impl Pump<'_> {
    pub(super) fn run(&self, source: &mut dyn Source, sink: &mut dyn Sink) -> Result<Moved, Fault> {
        let task = self.host.session().progress().task(self.label);
        let mut last = Step {
            total: self.total,
            size: Some(Bytes(self.total)),
            note: self.note.clone(),
            ..Step::default()
        };
        let began = Instant::now();
        let mut told = began;
        let mut moved = Moved::default();
        let mut hash = self.how.checksum.then(sha2::Sha256::new);
        let mut buffer = vec![0; CHUNK];
        let mut one = || -> Result<bool, Fault> {
            self.host.session().cancel().check()?;
            match source.next(&mut buffer)? {
                Part::Data(0) => return Ok(false),
                Part::Hole(length) => {
                    moved.bytes.0 += length;
                    if let Some(hash) = &mut hash {
                        hash_zeros(hash, length);
                    }
                    sink.hole(length)?;
                }
                Part::Data(got) => {
                    moved.bytes.0 += got as u64;
                    if let Some(hash) = &mut hash {
                        hash.update(&buffer[..got]);
                    }
                    moved.data.0 += send(sink, &buffer[..got])?;
                }
            }
            if let Some(rate) = self.how.rate.filter(|rate| rate.0 > 0) {
                let due = Duration::from_secs_f64(moved.data.0 as f64 / rate.0 as f64);
                if let Some(early) = due.checked_sub(began.elapsed())
                    && let Some(stop) = self.host.session().cancel().sleep(early)
                {
                    return Err(stop.fault());
                }
            }
            if told.elapsed() >= TOLD {
                told = Instant::now();
                let seconds = began.elapsed().as_secs_f64().max(0.001);
                last.done = moved.bytes.0;
                last.rate = Some(Bytes((moved.data.0 as f64 / seconds) as u64));
                task.step(&last);
            }
            Ok(true)
        };
        let result = loop {
            match one() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        moved.elapsed = began.elapsed();
        moved.sha256 = hash.map(|hash| hex(&hash.finalize()));
        last.done = moved.bytes.0;
        task.finish(result.is_ok(), &last);
        result.map(|()| moved)
    }
}

/// Sends data, and what is nothing but zeros as holes; returns how much was data.
pub(super) fn send(sink: &mut dyn Sink, bytes: &[u8]) -> Result<u64, Fault> {
    let mut sent = 0;
    let mut from = 0;
    let is_zero = |grain: &[u8]| *grain == [0; GRAIN][..grain.len()];
    while from < bytes.len() {
        let zero = is_zero(&bytes[from..bytes.len().min(from + GRAIN)]);
        let mut to = bytes.len().min(from + GRAIN);
        while to < bytes.len() && is_zero(&bytes[to..bytes.len().min(to + GRAIN)]) == zero {
            to = bytes.len().min(to + GRAIN);
        }
        if zero {
            sink.hole((to - from) as u64)?;
        } else {
            sink.data(&bytes[from..to])?;
            sent += (to - from) as u64;
        }
        from = to;
    }
    Ok(sent)
}

fn hash_zeros(hash: &mut sha2::Sha256, mut length: u64) {
    let zeros = [0; GRAIN];
    while length > 0 {
        let some = usize::try_from(length).unwrap_or(zeros.len()).min(zeros.len());
        hash.update(&zeros[..some]);
        length -= some as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
