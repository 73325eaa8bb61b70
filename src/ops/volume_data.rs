//! What is in volumes: into them, out of them, from one to another. Holes stay holes.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::{Whence, lseek};
use sha2::Digest;

use super::{Host, Pool, Volume};
use crate::gate::{Change, Mode, Permit};
use crate::libvirt::{CHUNK, Part, VolumeStream};
use crate::model::pool::file_name;
use crate::model::{Bytes, Class, Fault, Step, VolumeSpec, finishing};
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

/// Shorter runs of zeros are sent: a message costs more.
const GRAIN: usize = 64 << 10;

/// How often a person is told.
const TOLD: Duration = Duration::from_millis(100);

/// Clearing away must not hang.
const CLEAR: Duration = Duration::from_secs(20);

/// How long a checksum of a large volume may take.
const CHECKSUM: Duration = Duration::from_secs(3600);

fn local(path: &Path, error: impl std::fmt::Display) -> Fault {
    Fault::new("local_file", format!("{}: {error}", path.display()))
}

/// How the name of a volume ends until all of it is there.
const PART: &str = ".kvmsh-part";

/// How the name of a volume ends that is to be converted.
const IMPORT: &str = ".kvmsh-import";

/// The name that a volume has until all of it is there: nobody else's.
fn part_of(name: &str) -> String {
    match name.strip_suffix(IMPORT) {
        Some(own) => format!(".{own}{PART}"),
        None => format!(".{name}.{}{PART}", uuid::Uuid::new_v4()),
    }
}

/// A name as a pattern that fits nothing else.
fn literal(name: &str) -> String {
    let mut text = String::new();
    for one in name.chars() {
        if matches!(one, '*' | '?' | '[' | ']' | '\\') {
            text.push('\\');
        }
        text.push(one);
    }
    text
}

/// Where data come from.
trait Source {
    fn next(&mut self, into: &mut [u8]) -> Result<Part, Fault>;
}

/// A local file, read by what is in it.
struct FileSource {
    file: File,
    path: PathBuf,
    at: u64,
    length: u64,
    /// Up to where there are data.
    data_to: u64,
}

impl FileSource {
    fn open(path: &Path) -> Result<Self, Fault> {
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

struct VolumeSource {
    stream: VolumeStream,
    host: String,
}

impl Source for VolumeSource {
    fn next(&mut self, into: &mut [u8]) -> Result<Part, Fault> {
        self.stream.receive(into).map_err(|error| Fault::from(error).on_host(&self.host))
    }
}

/// Where data go.
trait Sink {
    fn data(&mut self, bytes: &[u8]) -> Result<(), Fault>;
    fn hole(&mut self, length: u64) -> Result<(), Fault>;
}

struct VolumeSink<'a> {
    permit: &'a Permit,
    stream: VolumeStream,
    holes: bool,
    host: String,
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

struct FileSink {
    file: File,
    path: PathBuf,
    at: u64,
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
struct Pump<'a> {
    host: &'a Host,
    label: &'a str,
    note: String,
    total: u64,
    how: &'a Moving,
}

impl Pump<'_> {
    fn run(&self, source: &mut dyn Source, sink: &mut dyn Sink) -> Result<Moved, Fault> {
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
fn send(sink: &mut dyn Sink, bytes: &[u8]) -> Result<u64, Fault> {
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

impl Pool {
    fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.name())
    }

    /// Whether its volumes are files that a command on the host can rename.
    fn directory(&self) -> Result<Option<String>, Fault> {
        let (kind, path) = self.type_and_path()?;
        let files =
            matches!(kind.as_str(), "dir" | "fs" | "netfs") && !self.host().uri().starts_with("test:");
        Ok(files.then_some(path))
    }

    /// Makes a volume of what `source` gives: under another name first, so that under its own there is all of it or nothing.
    fn fill(
        &self,
        permit: &Permit,
        name: &str,
        length: u64,
        fill: impl FnOnce(&mut VolumeSink<'_>) -> Result<Moved, Fault>,
    ) -> Result<Moved, Fault> {
        let host = self.host();
        let directory = self.directory()?;
        let born = if directory.is_some() { part_of(name) } else { name.to_owned() };
        let path =
            |name: &str| format!("{}/{name}", directory.as_deref().unwrap_or_default().trim_end_matches('/'));
        let run = |argv: &[&str]| -> Result<(), Fault> {
            let output = host
                .shell()
                .run(permit, &Command::argv(argv.iter().copied()).timeout(Some(CLEAR)))
                .map_err(|error| Fault::from(error).on_host(host.name()))?;
            let failed =
                || Fault::new("command_failed", format!("{} failed", argv[0])).because(output.error_text());
            if output.ok() { Ok(()) } else { Err(failed().on_host(host.name())) }
        };
        if directory.is_some() {
            // What a kvmsh that was killed has left; what is younger may be an upload under way.
            let there = directory.as_deref().unwrap_or_default();
            let base =
                name.strip_suffix(IMPORT).and_then(|rest| rest.rsplit_once('.')).map_or(name, |one| one.0);
            let part = format!(".{}.*{PART}", literal(base));
            let import = format!("{}.*{IMPORT}", literal(base));
            let names = ["(", "-name", &part, "-o", "-name", &import, ")"];
            let find = ["find", there, "-maxdepth", "1", "-type", "f"];
            run(&[&find[..], &names[..], &["-mmin", "+60", "-delete"][..]].concat())?;
        }
        let spec = self.owned(VolumeSpec {
            name: born.clone(),
            capacity: Bytes(length),
            format: "raw".to_owned(),
            ..VolumeSpec::default()
        });
        let text = xml::build::volume(&spec)?;
        // Only what was made here is cleared away: another may have made one of that name meanwhile.
        let made = Cell::new(false);
        let filled = || -> Result<Moved, Fault> {
            let handle = host.connection()?.pool(self.name())?.create_volume(permit, &text, false)?;
            made.set(true);
            let stream = handle.upload(permit, length, true)?;
            let mut sink = VolumeSink { permit, stream, holes: true, host: host.name().to_owned() };
            let moved = fill(&mut sink)?;
            sink.stream.finish()?;
            if directory.is_some() {
                // Never over a volume that has come meanwhile.
                let script = r#"if said=$(ln -T -- "$1" "$2" 2>&1); then rm -f -- "$1"
                    elif [ -e "$2" ]; then printf '%s\n' "$said" >&2; exit 1
                    else mv -T -- "$1" "$2" || { printf '%s\n' "$said" >&2; exit 1; }; fi"#;
                run(&["sh", "-c", script, "kvmsh", &path(&born), &path(name)])?;
                self.look_again(permit)?;
            }
            Ok(moved)
        };
        filled().inspect_err(|_| {
            if !made.get() {
                return;
            }
            finishing(|| {
                let clear = || -> Result<(), Fault> {
                    let pool = host.connection()?.pool(self.name())?;
                    Ok(pool.volume(&born)?.delete(permit)?)
                };
                if clear().is_err() && directory.is_some() {
                    let _ = run(&["rm", "-f", "--", &path(&born)]);
                }
            });
        })
    }

    /// As `refresh`; the daemon may still be looking after an upload.
    fn look_again(&self, permit: &Permit) -> Result<(), Fault> {
        let until = Instant::now() + CLEAR;
        loop {
            match self.host().connection()?.pool(self.name())?.refresh(permit) {
                Err(error) if Instant::now() < until && !error.is_lost() => {
                    std::thread::sleep(Duration::from_millis(100));
                    drop(error);
                }
                looked => return Ok(looked?),
            }
        }
    }

    pub(super) fn is_free(&self, name: &str) -> Result<(), Fault> {
        file_name("volume", name)?;
        if !self
            .ask(|p| p.volumes()?.iter().map(crate::libvirt::Volume::name).collect::<Result<Vec<_>, _>>())?
            .iter()
            .any(|known| known == name)
        {
            return Ok(());
        }
        Err(Fault::new("storage_vol_exist", format!("{} has a volume {name} already", self.name()))
            .class(Class::Refused)
            .on_host(self.host().name()))
    }

    /// Makes a volume of these bytes.
    ///
    /// # Errors
    /// As [`Pool::upload`].
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<Volume, Fault> {
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

    /// Replaces what is in it by a local file of at most its size. What is interrupted leaves a mixture.
    ///
    /// # Errors
    /// `local_file`, `too_large`; what libvirt said.
    pub fn upload(&self, from: &Path, how: &Moving) -> Result<Moved, Fault> {
        let host = self.pool().host();
        let mut source = FileSource::open(from)?;
        let (length, room) = (source.length, self.physical()?.max(self.info()?.capacity.0));
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
            let stream = self.handle()?.upload(permit, length, false)?;
            let mut sink = VolumeSink { permit, stream, holes: false, host: host.name().to_owned() };
            let moved = pump.run(&mut source, &mut sink)?;
            sink.stream.finish()?;
            Ok(moved)
        })?;
        Ok(outcome.unwrap_or_else(Moved::default))
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
