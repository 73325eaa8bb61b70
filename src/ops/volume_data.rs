//! What is in volumes: into them, out of them, from one to another. Holes stay holes.

mod flow;
mod whole;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use self::flow::{FileSink, FileSource, Nothing, Pump, VolumeSink, VolumeSource, local, send};
use self::whole::IMPORT;
use super::{Pool, Volume};
use crate::gate::{Change, Mode, Permit};
use crate::model::{Bytes, Class, Fault, VolumeSpec, finishing};
use crate::ssh::{Command, Probe};
use crate::xml;

/// How data are moved.
#[derive(Debug, Clone, Default)]
pub struct Moving {
    /// At most so much per second.
    pub rate: Option<Bytes>,
    /// Both ends are read again and compared.
    pub checksum: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Moved {
    /// The size with all holes.
    pub bytes: Bytes,
    /// What was sent of it.
    pub data: Bytes,
    /// How long it took.
    pub elapsed: Duration,
    /// SHA-256 of all, where it was asked for.
    pub sha256: Option<String>,
}

/// How a copy within a host is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyWay {
    /// All of it.
    Full,
    /// It shares its blocks with the original until they are written.
    Reflink,
}

/// How long a checksum of a large volume may take.
const CHECKSUM: Duration = Duration::from_secs(3600);

impl Pool {
    /// Makes a volume of these bytes.
    ///
    /// # Errors
    /// As [`Pool::upload`].
    pub(in crate::ops) fn put(&self, name: &str, bytes: &[u8]) -> Result<Volume, Fault> {
        self.is_free(name)?;
        let length = bytes.len() as u64;
        let change = Change::new(self.host().name(), "volume", &self.object(name), "upload")
            .detail(Bytes(length).to_string());
        self.host().change(change, |permit| {
            self.fill(permit, name, length, |sink| send(sink, bytes).map(|_| Moved::default()))
        })?;
        Ok(Volume::new(self.clone(), name))
    }

    /// Makes a volume of a local file, byte for byte; its holes stay holes. With `convert`, in that format.
    ///
    /// # Errors
    /// `local_file`, `storage_vol_exist`, `invalid_name`; what libvirt said. Nothing is left behind then.
    pub fn upload(
        &self,
        from: &Path,
        name: &str,
        convert: Option<&str>,
        how: &Moving,
    ) -> Result<(Volume, Moved), Fault> {
        self.is_free(name)?;
        let mut source = FileSource::open(from)?;
        let length = source.length;
        if length == 0 {
            return Err(local(from, "it is empty").class(Class::Refused));
        }
        let volume = Volume::new(self.clone(), name);
        let into = convert.map(|format| format!(", as {format}")).unwrap_or_default();
        let change = Change::new(self.host().name(), "volume", &self.object(name), "upload").detail(format!(
            "{} from {}{into}",
            Bytes(length),
            from.display()
        ));
        let pump = Pump {
            host: self.host(),
            label: name,
            note: format!("→ {}", self.host().name()),
            total: length,
            how,
        };
        // A name of its own: what a kvmsh that was killed has left is in nobody's way.
        let first = match convert {
            Some(_) => format!("{name}.{}{IMPORT}", uuid::Uuid::new_v4()),
            None => name.to_owned(),
        };
        let outcome = self.host().change(change, |permit| -> Result<Moved, Fault> {
            let moved = self.fill(permit, &first, length, |sink| pump.run(&mut source, sink))?;
            let raw = Volume::new(self.clone(), &first);
            let rest = || -> Result<(), Fault> {
                if let Some(wanted) = &moved.sha256 {
                    raw.compare(wanted)?;
                }
                match convert {
                    Some(format) => raw.copy_within(permit, self, name, format, CopyWay::Full),
                    None => Ok(()),
                }
            };
            let result = rest();
            if convert.is_some() || result.is_err() {
                let cleared = finishing(|| raw.remove(permit));
                result.and(cleared)?;
            }
            Ok(moved)
        })?;
        Ok((volume, outcome.unwrap_or_else(Moved::default)))
    }
}

impl Volume {
    fn handle(&self) -> Result<crate::libvirt::Volume, Fault> {
        let found = || {
            self.pool()
                .host()
                .connection()?
                .pool(self.pool().name())?
                .volume(self.name())
                .map_err(Fault::from)
        };
        found()
            .map_err(|fault: Fault| fault.on_host(self.pool().host().name()).on_object("volume", self.name()))
    }

    fn remove(&self, permit: &Permit) -> Result<(), Fault> {
        Ok(self.handle()?.delete(permit)?)
    }

    /// Reads all of it on its host and compares.
    fn compare(&self, wanted: &str) -> Result<(), Fault> {
        let host = self.pool().host();
        let path = self.path()?;
        let probe = Probe::argv("sha256sum", ["-b", "--", &path]).timeout(CHECKSUM);
        let output = host.shell().probe(&probe).map_err(|error| Fault::from(error).on_host(host.name()))?;
        let there = output.text().trim_start_matches('\\').split(' ').next().unwrap_or_default().to_owned();
        if output.ok() && there == wanted {
            return Ok(());
        }
        Err(Fault::new("checksum", format!("the checksum of {path} is {there}, not {wanted}"))
            .on_host(host.name())
            .because(output.error_text())
            .hint("was it written to meanwhile?"))
    }

    /// Bytes of the file or device itself, not what a guest sees.
    fn physical(&self) -> Result<u64, Fault> {
        let found = xml::pool::physical(&self.xml()?)?;
        Ok(found.unwrap_or(self.info()?.capacity.0))
    }

    /// Writes it to a local file; its holes stay holes. Changes nothing on the host.
    ///
    /// # Errors
    /// `local_file`, `checksum`; what libvirt said. Nothing is left behind then.
    pub fn download(&self, to: &Path, how: &Moving) -> Result<Moved, Fault> {
        let host = self.pool().host();
        let length = self.physical()?;
        if host.session().gate().mode() == Mode::Plan {
            return Ok(Moved::default());
        }
        let name = to.file_name().ok_or_else(|| local(to, "it is no file"))?;
        let part = to.with_file_name(format!(".{}.kvmsh-part", name.to_string_lossy()));
        let down = || -> Result<Moved, Fault> {
            let file = File::create(&part).map_err(|error| local(&part, error))?;
            let mut sink = FileSink { file, path: part.clone(), at: 0 };
            let mut source =
                VolumeSource { stream: self.handle()?.download()?, host: host.name().to_owned() };
            let pump = Pump { host, label: self.name(), note: "→ here".into(), total: length, how };
            let moved = pump.run(&mut source, &mut sink)?;
            source.stream.finish()?;
            if let Some(here) = &moved.sha256 {
                self.compare(here)?;
            }
            // The last thing may be a hole.
            sink.file.set_len(sink.at).map_err(|error| local(&part, error))?;
            sink.file.sync_all().map_err(|error| local(&part, error))?;
            std::fs::rename(&part, to).map_err(|error| local(to, error))?;
            Ok(moved)
        };
        down().inspect_err(|_| drop(std::fs::remove_file(&part)))
    }

    fn copy_within(
        &self,
        permit: &Permit,
        to: &Pool,
        name: &str,
        format: &str,
        way: CopyWay,
    ) -> Result<(), Fault> {
        let spec = to.owned(VolumeSpec {
            name: name.to_owned(),
            capacity: self.info()?.capacity,
            format: format.to_owned(),
            ..VolumeSpec::default()
        });
        let text = xml::build::volume(&spec)?;
        let pool = to.host().connection()?.pool(to.name())?;
        Ok(pool.copy_volume(permit, &text, &self.handle()?, way == CopyWay::Reflink)?)
    }

    /// Copies it, to another pool and another host if need be. Between hosts the data pass through here, and the format stays.
    ///
    /// # Errors
    /// `storage_vol_exist`, `invalid_name`, `other_format`, `has_backing`; what libvirt said. Nothing is left behind then.
    pub fn copy_to(
        &self,
        to: &Pool,
        name: &str,
        format: Option<&str>,
        way: CopyWay,
        how: &Moving,
    ) -> Result<(Volume, Moved), Fault> {
        to.is_free(name)?;
        let (here, there) = (self.pool().host(), to.host());
        let own = self.format()?;
        let wanted = format.unwrap_or(&own);
        let length = self.physical()?;
        let same = here.name() == there.name();
        if !same && (wanted != own || way == CopyWay::Reflink) {
            let message = format!(
                "a copy from {} to {} keeps its format, {own}, and shares no blocks",
                here.name(),
                there.name()
            );
            return Err(Fault::new("other_format", message)
                .class(Class::Refused)
                .hint("convert it there afterwards"));
        }
        // What libvirt calls the backing of a logical volume, reading it gives as well.
        let layered = matches!(own.as_str(), "qcow2" | "qcow" | "qed" | "vmdk");
        if !same && layered && xml::pool::has_backing(&self.xml()?)? {
            let message = format!(
                "{}/{} lies on a backing file, which is not on {}: the copy would lack what is in it",
                self.pool().name(),
                self.name(),
                there.name()
            );
            return Err(Fault::new("has_backing", message).class(Class::Refused).on_host(here.name()).hint(
                "copy it on its own host first: that copy has no backing file, and can go to another host",
            ));
        }
        let change = Change::new(there.name(), "volume", &to.object(name), "copy").detail(format!(
            "{} from {}/{} on {}",
            Bytes(length),
            self.pool().name(),
            self.name(),
            here.name()
        ));
        let pump =
            Pump { host: there, label: name, note: format!("→ {}", there.name()), total: length, how };
        let outcome = there.change(change, |permit| -> Result<Moved, Fault> {
            if same {
                let began = Instant::now();
                self.copy_within(permit, to, name, wanted, way)?;
                return Ok(Moved { bytes: Bytes(length), elapsed: began.elapsed(), ..Moved::default() });
            }
            let mut source =
                VolumeSource { stream: self.handle()?.download()?, host: here.name().to_owned() };
            let moved = to.fill(permit, name, length, |sink| pump.run(&mut source, sink))?;
            source.stream.finish()?;
            Ok(moved)
        })?;
        Ok((Volume::new(to.clone(), name), outcome.unwrap_or_else(Moved::default)))
    }

    /// Replaces what is in it by a local file of at most its size; behind a shorter one there are zeros. What is interrupted
    /// leaves a mixture.
    ///
    /// # Errors
    /// `local_file`, `too_large`; what libvirt said.
    pub fn upload(&self, from: &Path, how: &Moving) -> Result<Moved, Fault> {
        let host = self.pool().host();
        let mut source = FileSource::open(from)?;
        if source.length == 0 {
            return Err(local(from, "it is empty")
                .class(Class::Refused)
                .hint("wipe() makes all of it zeros"));
        }
        let physical = self.physical()?;
        let (length, room) = (source.length, physical.max(self.info()?.capacity.0));
        if length > room {
            let message =
                format!("{} has {}, and {} only {}", from.display(), Bytes(length), self.name(), Bytes(room));
            return Err(Fault::new("too_large", message).class(Class::Refused).on_host(host.name()));
        }
        let change = Change::new(host.name(), "volume", &self.pool().object(self.name()), "overwrite")
            .detail(format!("{} from {}", Bytes(length), from.display()));
        let pump =
            Pump { host, label: self.name(), note: format!("→ {}", host.name()), total: length, how };
        let outcome = host.change(change, |permit| -> Result<Moved, Fault> {
            let to = |offset, length| -> Result<VolumeSink<'_>, Fault> {
                let stream = self.handle()?.upload(permit, offset, length, false)?;
                Ok(VolumeSink { permit, stream, holes: false, host: host.name().to_owned() })
            };
            let mut sink = to(0, length)?;
            let moved = pump.run(&mut source, &mut sink)?;
            sink.stream.finish()?;
            if physical > length && !self.punch(permit, length, physical - length)? {
                let mut sink = to(length, physical - length)?;
                pump.run(&mut Nothing(physical - length), &mut sink)?;
                sink.stream.finish()?;
            }
            Ok(moved)
        })?;
        Ok(outcome.unwrap_or_else(Moved::default))
    }

    /// Makes a hole of a part of a file; false where that cannot be.
    fn punch(&self, permit: &Permit, from: u64, length: u64) -> Result<bool, Fault> {
        if self.pool().directory()?.is_none() {
            return Ok(false);
        }
        let (from, length, path) = (from.to_string(), length.to_string(), self.path()?);
        let argv = ["fallocate", "--punch-hole", "--offset", &from, "--length", &length, "--", &path];
        let host = self.pool().host();
        let output = host.shell().run(permit, &Command::argv(argv).timeout(Some(CHECKSUM)));
        Ok(output.map_err(|error| Fault::from(error).on_host(host.name()))?.ok())
    }

    /// Overwrites all of it with zeros.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn wipe(&self) -> Result<(), Fault> {
        let host = self.pool().host();
        let change = Change::new(host.name(), "volume", &self.pool().object(self.name()), "wipe");
        host.change(change, |permit| self.handle()?.wipe(permit).map_err(Fault::from)).map(drop)
    }
}
