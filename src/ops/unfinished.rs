//! What a run that was killed has left of a machine it was making.
//!
//! Before the first file of a new machine is made, its host is told which files those will be, none of which is there
//! yet; once the machine is defined, or all is taken back, the note goes. So a note without a machine says what is left
//! over, and the next run that makes the machine clears it away. The lease on the host keeps two runs apart.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Host;
use crate::gate::{Change, Mode};
use crate::libvirt::XmlKind;
use crate::model::{Class, Fault, finishing};
use crate::ssh::{Command, Probe};
use crate::xml;

/// How long the daemon may go on with a copy that nobody waits for any longer.
const BUSY: Duration = Duration::from_secs(60);

/// How long one look or one note may take.
const STEP: Duration = Duration::from_secs(20);

/// The notes: `read NAME`, `write NAME PATH…`, `drop NAME`, `rm PATH…`. One that is older than an hour is nobody's
/// word any more: who knows what has become of the files since.
const SCRIPT: &str = r#"what=$1; note=/var/lib/kvmsh/making/$2; shift 2
case $what in
read) [ -n "$(find "$note" -mmin -60 2>/dev/null)" ] || exit 0; cat -- "$note" ;;
write) umask 077; mkdir -p /var/lib/kvmsh/making && printf '%s\n' "$@" >"$note" && sync -- "$note" ;;
drop) rm -f -- "$note" ;;
rm) for path; do
        rm -f -- "$path"
        name=${path##*/}
        for part in "${path%/*}/.$name."*.kvmsh-part; do
            case ${part##*/} in ".$name."????????-????-????-????-????????????.kvmsh-part) rm -f -- "$part" ;; esac
        done
    done ;;
esac"#;

/// A machine that is being made; dropped, the note goes.
#[derive(Debug)]
pub(super) struct Making {
    host: Host,
    name: String,
}

fn words<'a>(what: &'a str, name: &'a str, paths: &'a [String]) -> impl Iterator<Item = &'a str> {
    ["sh", "-c", SCRIPT, "kvmsh", what, name].into_iter().chain(paths.iter().map(String::as_str))
}

impl Host {
    fn keeps_notes(&self) -> bool {
        self.keeps_marks() && self.session().gate().mode() == Mode::Apply
    }

    fn note(&self, what: &str, name: &str, paths: &[String]) -> Result<(), Fault> {
        let change = Change::new(self.name(), "domain", name, "note what is made for").passing();
        let command = Command::argv(words(what, name, paths)).timeout(Some(STEP));
        let deed = |permit: &crate::gate::Permit| {
            let output = self.shell().run(permit, &command).map_err(Fault::from)?;
            if output.ok() {
                return Ok(());
            }
            Err(Fault::new("command_failed", format!("the note of what is made for {name} cannot be kept"))
                .because(output.error_text()))
        };
        self.change(change, deed).map(drop)
    }

    /// Clears away what a run that was killed has left of a machine of this name, which is not defined here.
    ///
    /// # Errors
    /// `left_over` where something of it is in use by now; what libvirt said.
    pub(super) fn clear_unfinished(&self, name: &str, beside: &Self) -> Result<(), Fault> {
        if !self.keeps_notes() {
            return Ok(());
        }
        self.lease()?;
        let probe = Probe::script(SCRIPT, ["read", name]).timeout(STEP);
        let output = self.shell().probe(&probe).map_err(|error| Fault::from(error).on_host(self.name()))?;
        let left: Vec<String> = output.text().lines().map(str::to_owned).collect();
        if left.is_empty() {
            return Ok(());
        }
        let mut hosts = vec![self];
        if beside != self {
            hosts.push(beside);
        }
        for host in &hosts {
            refuse_used(host, name, &left)?;
        }
        for path in &left {
            for host in &hosts {
                delete(host, path)?;
            }
        }
        let change =
            Change::new(self.name(), "domain", name, "clear away what was left of").detail(left.join(", "));
        let command = Command::argv(words("rm", name, &left)).timeout(Some(STEP));
        self.change(change, |permit| self.shell().run(permit, &command))?;
        self.note("drop", name, &[])?;
        let said = format!("a run that was killed had left of {name}, removed: {}", left.join(", "));
        self.session().progress().say(&said);
        Ok(())
    }

    /// Notes that these files, none of which is there, are about to be made for a machine.
    ///
    /// # Errors
    /// What the host said.
    pub(super) fn making(&self, name: &str, paths: &[String]) -> Result<Option<Making>, Fault> {
        if !self.keeps_notes() || paths.is_empty() {
            return Ok(None);
        }
        self.note("write", name, paths)?;
        Ok(Some(Making { host: self.clone(), name: name.to_owned() }))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // It is nobody's word any more after an hour.
        let _ = finishing(|| self.host.note("drop", &self.name, &[]));
    }
}

/// The machine is there: what was noted of it is no rest.
pub(super) fn forget(host: &Host, name: &str) {
    if host.keeps_notes() {
        let _ = host.note("drop", name, &[]);
    }
}

/// Somebody may have made a machine of what was left.
fn refuse_used(host: &Host, name: &str, left: &[String]) -> Result<(), Fault> {
    for domain in host.domains()? {
        // One that has gone meanwhile uses nothing.
        let Ok(text) = domain.xml(XmlKind::Inactive) else { continue };
        let hardware = xml::domain::hardware(&text)?;
        let uses = |path: &String| {
            let file = Path::new(path).file_name().and_then(|file| file.to_str()).unwrap_or_default();
            hardware.nvram == *path
                || hardware
                    .disks
                    .iter()
                    .any(|disk| disk.source == *path || disk.source.ends_with(&format!("/{file}")))
        };
        if let Some(path) = left.iter().find(|path| uses(path)) {
            let message =
                format!("{path} was left of {name} by a run that was killed, and {} uses it", domain.name());
            return Err(Fault::new("left_over", message)
                .class(Class::Refused)
                .on_host(host.name())
                .hint("take another name, or remove that machine first"));
        }
    }
    Ok(())
}

/// Deletes a volume, if libvirt knows it there; its daemon may still be copying.
fn delete(host: &Host, path: &str) -> Result<(), Fault> {
    let until = Instant::now() + BUSY;
    while let Ok(volume) = host.volume(path) {
        match volume.delete() {
            Err(fault) if Instant::now() >= until => {
                return Err(
                    fault.hint("the daemon may still copy for a run that was killed: run it again later")
                );
            }
            Err(_) => {
                if let Some(stop) = host.session().cancel().sleep(Duration::from_millis(500)) {
                    return Err(stop.fault());
                }
            }
            Ok(()) => break,
        }
    }
    Ok(())
}
