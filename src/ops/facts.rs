//! What is to be known of a host before guests move: gathered once, over one
//! libvirt conversation and one SSH round trip.

use std::collections::{BTreeMap, BTreeSet};

use super::Host;
use super::preflight::{Subject, overhead};
use crate::model::{Bytes, Fault, Room};
use crate::ssh::Probe;
use crate::xml;

/// What stays free for the host itself where the inventory does not say
/// `reserve`: Nova's `reserved_host_memory_mb`.
const DEFAULT_RESERVE: Bytes = Bytes::from_mib(512);

/// File systems that libvirt itself takes as shared (virFileIsSharedFSType),
/// as `stat -f -c %T` spells them.
const SHARED_FILE_SYSTEMS: [&str; 10] =
    ["nfs", "nfs4", "cifs", "smb", "smb2", "ceph", "gfs/gfs2", "ocfs2", "gpfs", "afs"];

/// One host as the judgement sees it.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// The inventory's name.
    pub name: String,
    /// libvirt's UUID of the host.
    pub uuid: String,
    /// The name the daemon gives itself: what the other daemon connects to.
    pub hostname: String,
    /// Per architecture and virtualisation type: machine types.
    pub machines: BTreeMap<(String, String), BTreeSet<String>>,
    /// CPU model and features, for guests that see the host's CPU.
    pub cpu: xml::host::HostCpu,
    /// Networks, and whether each runs.
    pub networks: BTreeMap<String, bool>,
    /// Domains: UUID and whether it is active, by name.
    pub domains: BTreeMap<String, (String, bool)>,
    /// What each path asked for is on, or `None` where it is not there: the type of the
    /// file system, or of a block device `block:` and its identity (WWN, LVM's UUID, serial number).
    pub files: BTreeMap<String, Option<String>>,
    /// Bridges that are there.
    pub bridges: BTreeSet<String>,
    /// Host names that could be resolved there.
    pub resolved: BTreeSet<String>,
    /// Why the shell could not be asked, if so.
    pub shell_error: Option<Fault>,
}

impl HostFacts {
    /// Asks one host for what these guests need there.
    ///
    /// # Errors
    /// Faults of the connection; a shell that cannot be used is kept in `shell_error`.
    pub fn gather(host: &Host, subjects: &[Subject]) -> Result<Self, Fault> {
        std::thread::scope(|scope| {
            // SSH beside libvirt: two log-ins, one wait.
            let shell = scope.spawn(|| ShellFacts::gather(host, subjects));
            let facts = Self::ask_libvirt(host);
            let shell =
                shell.join().unwrap_or_else(|_| Err(Fault::new("defect", "a thread of kvmsh ended badly")));
            let mut facts = facts?;
            match shell {
                Ok(shell) => (facts.files, facts.bridges) = (shell.files, shell.bridges),
                Err(fault) => facts.shell_error = Some(fault),
            }
            Ok(facts)
        })
    }

    fn ask_libvirt(host: &Host) -> Result<Self, Fault> {
        let capabilities = host.capabilities()?;
        let mut machines: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for guest in &capabilities.guests {
            for kind in &guest.virt_types {
                let all = machines.entry((guest.name.clone(), kind.clone())).or_default();
                all.extend(guest.machines.iter().cloned());
            }
        }
        let networks = host
            .ask(|c| c.networks()?.iter().map(|n| Ok((n.name()?, n.is_active()?))).collect::<Result<_, _>>())
            .or_else(|fault| if fault.code == "no_support" { Ok(BTreeMap::new()) } else { Err(fault) })?;
        let rows = host.domain_rows()?;
        Ok(Self {
            name: host.name().to_owned(),
            uuid: capabilities.uuid.clone(),
            hostname: host.hostname()?,
            machines,
            cpu: capabilities.cpu.clone(),
            networks,
            domains: rows.into_iter().map(|r| (r.name, (r.uuid, r.state.is_active()))).collect(),
            ..Self::default()
        })
    }

    /// Notes which of these host names the host can resolve; all of them where it cannot be asked.
    pub fn resolve<'a>(&mut self, host: &Host, names: impl Iterator<Item = &'a str>) {
        let names: Vec<&str> = names.collect();
        let probe = Probe::script(
            r#"for name; do if getent ahosts "$name" >/dev/null 2>&1; then echo yes; else echo no; fi; done"#,
            names.iter().copied(),
        );
        let answer = host.shell().probe(&probe).map(|output| output.text());
        let known = |at: usize| answer.as_ref().map_or(true, |text| text.lines().nth(at) == Some("yes"));
        self.resolved =
            names.iter().enumerate().filter(|(at, _)| known(*at)).map(|(_, n)| (*n).to_owned()).collect();
    }
}

/// What only a shell can tell.
struct ShellFacts {
    files: BTreeMap<String, Option<String>>,
    bridges: BTreeSet<String>,
}

impl ShellFacts {
    /// Files and bridges in one round trip: one line of answer per question.
    fn gather(host: &Host, subjects: &[Subject]) -> Result<Self, Fault> {
        let files: BTreeSet<&str> = subjects.iter().flat_map(Subject::files).collect();
        let bridges: BTreeSet<&str> = subjects.iter().flat_map(Subject::bridges).collect();
        let mut facts = Self { files: BTreeMap::new(), bridges: BTreeSet::new() };
        let asked = |kind: &str, words: &BTreeSet<&str>| -> Vec<String> {
            words.iter().flat_map(|word| [kind.to_owned(), (*word).to_owned()]).collect()
        };
        let questions = [asked("f", &files), asked("b", &bridges)].concat();
        if questions.is_empty() {
            return Ok(facts);
        }
        let probe = Probe::script(include_str!("preflight.sh"), questions);
        let output = host.shell().probe(&probe).map_err(|error| Fault::from(error).on_host(host.name()))?;
        let text = output.text();
        let mut lines = text.lines();
        for file in files {
            let kind = lines.next().unwrap_or_default().trim();
            facts.files.insert(file.to_owned(), (!kind.is_empty()).then(|| kind.to_owned()));
        }
        facts.bridges.extend(bridges.into_iter().filter(|_| lines.next() == Some("yes")).map(str::to_owned));
        Ok(facts)
    }
}

impl HostFacts {
    /// Whether libvirt itself takes the file's storage as shared.
    pub fn is_shared(&self, file: &str) -> bool {
        let kind = self.files.get(file).and_then(Option::as_deref);
        kind.is_some_and(|kind| SHARED_FILE_SYSTEMS.contains(&kind))
    }
}

/// The room a host has for further guests: never more than what is available
/// now, nor than what is left when all its guests take all they may.
///
/// # Errors
/// What libvirt said.
pub(super) fn room(host: &Host) -> Result<Room, Fault> {
    let memory = host.memory()?;
    let node = host.node_info()?;
    let active: Vec<_> = host.domain_rows()?.into_iter().filter(|row| row.state.is_active()).collect();
    let committed = active.iter().fold(Bytes::default(), |sum, row| {
        let most = row.max_memory.or(row.memory).unwrap_or_default();
        sum.saturating_add(most).saturating_add(overhead(most))
    });
    let reserve = if host.reserve() == Bytes::default() { DEFAULT_RESERVE } else { host.reserve() };
    let promised = memory.total.saturating_sub(reserve).saturating_sub(committed);
    let available = memory.available.saturating_sub(DEFAULT_RESERVE);
    Ok(Room {
        name: host.name().to_owned(),
        free: promised.min(available),
        total: memory.total,
        cpus: node.cpus.into(),
        vcpus: active.iter().filter_map(|row| row.vcpus).sum(),
    })
}
