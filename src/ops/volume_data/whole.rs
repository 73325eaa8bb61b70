//! A new volume: under its own name there is all of it or nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::Moved;
use super::flow::VolumeSink;
use crate::gate::Permit;
use crate::model::pool::file_name;
use crate::model::{Bytes, Class, Fault, VolumeSpec, clearing};
use crate::ops::Pool;
use crate::ssh::Command;
use crate::xml;

/// Clearing away must not hang.
const CLEAR: Duration = Duration::from_secs(20);
/// How the name of a volume ends until all of it is there.
const PART: &str = ".kvmsh-part";

/// How the name of a volume ends that is to be converted.
pub(super) const IMPORT: &str = ".kvmsh-import";

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
impl Pool {
    pub(super) fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.name())
    }

    /// Whether its volumes are files that a command on the host can rename.
    pub(super) fn directory(&self) -> Result<Option<String>, Fault> {
        let (kind, path) = self.type_and_path()?;
        let files =
            matches!(kind.as_str(), "dir" | "fs" | "netfs") && !self.host().uri().starts_with("test:");
        Ok(files.then_some(path))
    }

    /// Makes a volume of what `source` gives: under another name first, so that under its own there is all of it or nothing.
    pub(super) fn fill(
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
            let stream = handle.upload(permit, 0, length, true)?;
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
            // Storage that hangs must not hold up the end.
            clearing(CLEAR, || {
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

    pub(in crate::ops) fn is_free(&self, name: &str) -> Result<(), Fault> {
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
}
