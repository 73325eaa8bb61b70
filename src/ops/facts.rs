//! What is to be known of a host before guests move: gathered once, over one
//! libvirt conversation and one SSH round trip.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::preflight::{Subject, overhead};
use super::{Cordon, Host, Marks};
use crate::model::{Bytes, DomainRow, Fault, Room};
use crate::ssh::Probe;
use crate::xml;

/// What stays free for the host itself where the inventory does not say
/// `reserve`: Nova's `reserved_host_memory_mb`.
const DEFAULT_RESERVE: Bytes = Bytes::from_mib(512);

/// File systems that libvirt itself takes as shared (virFileIsSharedFSType),
/// as `stat -f -c %T` spells them.
const SHARED_FILE_SYSTEMS: [&str; 10] =
    ["nfs", "nfs4", "cifs", "smb", "smb2", "ceph", "gfs/gfs2", "ocfs2", "gpfs", "afs"];

/// A file, or a block device, on one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileFacts {
    /// The type of its file system, as `stat -f -c %T` spells it; `block` for a device.
    pub kind: String,
    /// What is mounted there; of a device what tells it from all others (WWN, LVM's UUID), empty where nothing does.
    pub identity: String,
    /// Its path with all links resolved.
    pub real: String,
}

impl FileFacts {
    /// What these paths are on a host; those that are not there are missing.
    ///
    /// # Errors
    /// What the shell said.
    pub(super) fn of(host: &Host, paths: &BTreeSet<String>) -> Result<BTreeMap<String, Self>, Fault> {
        let questions = paths.iter().flat_map(|path| ["f", path.as_str()]);
        let probe = Probe::script(include_str!("preflight.sh"), questions);
        let output = host.shell().probe(&probe).map_err(|error| Fault::from(error).on_host(host.name()))?;
        let text = output.text();
        let answers = paths.iter().zip(text.lines());
        Ok(answers.filter_map(|(path, line)| Some((path.clone(), Self::read(line)?))).collect())
    }

    fn read(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, '\t').map(str::trim);
        let kind = fields.next().filter(|kind| !kind.is_empty())?.to_owned();
        let mut text = || fields.next().unwrap_or_default().to_owned();
        Some(Self { kind, identity: text(), real: text() })
    }

    /// Whether it is a block device.
    pub fn is_block(&self) -> bool {
        self.kind == "block"
    }

    /// Whether libvirt itself takes its storage as shared.
    pub fn is_shared(&self) -> bool {
        SHARED_FILE_SYSTEMS.contains(&self.kind.as_str())
    }

    /// The directory it really is in.
    pub fn directory(&self) -> PathBuf {
        Path::new(&self.real).parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
    }
}

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
    /// What each path asked for is, or `None` where it is not there.
    pub files: BTreeMap<String, Option<FileFacts>>,
    /// Storage pools, and whether each runs.
    pub pools: BTreeMap<String, bool>,
    /// Bridges that are there.
    pub bridges: BTreeSet<String>,
    /// Host names that could be resolved there.
    pub resolved: BTreeSet<String>,
    /// Why no guest is to be placed there, if so.
    pub cordon: Option<Cordon>,
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
                Ok(shell) => {
                    (facts.files, facts.bridges, facts.cordon) = (shell.files, shell.bridges, shell.cordon);
                }
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
        let pools = host
            .ask(|c| c.pools()?.iter().map(|p| Ok((p.name()?, p.is_active()?))).collect::<Result<_, _>>())
            .or_else(|fault| if fault.code == "no_support" { Ok(BTreeMap::new()) } else { Err(fault) })?;
        let rows = host.domain_rows()?;
        Ok(Self {
            name: host.name().to_owned(),
            uuid: capabilities.uuid.clone(),
            hostname: host.hostname()?,
            machines,
            cpu: capabilities.cpu.clone(),
            networks,
            pools,
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
    files: BTreeMap<String, Option<FileFacts>>,
    bridges: BTreeSet<String>,
    cordon: Option<Cordon>,
}

impl ShellFacts {
    /// Files and bridges in one round trip: one line of answer per question.
    fn gather(host: &Host, subjects: &[Subject]) -> Result<Self, Fault> {
        let files: BTreeSet<&str> = subjects.iter().flat_map(Subject::files).collect();
        let bridges: BTreeSet<&str> = subjects.iter().flat_map(Subject::bridges).collect();
        let mut facts = Self { files: BTreeMap::new(), bridges: BTreeSet::new(), cordon: None };
        let asked = |kind: &str, words: &BTreeSet<&str>| -> Vec<String> {
            words.iter().flat_map(|word| [kind.to_owned(), (*word).to_owned()]).collect()
        };
        let marks = if host.keeps_marks() { vec!["c".to_owned(), String::new()] } else { Vec::new() };
        let questions = [asked("f", &files), asked("b", &bridges), marks].concat();
        if questions.is_empty() {
            return Ok(facts);
        }
        let probe = Probe::script(include_str!("preflight.sh"), questions);
        let output = host.shell().probe(&probe).map_err(|error| Fault::from(error).on_host(host.name()))?;
        let text = output.text();
        let mut lines = text.lines();
        for file in files {
            facts.files.insert(file.to_owned(), FileFacts::read(lines.next().unwrap_or_default()));
        }
        facts.bridges.extend(bridges.into_iter().filter(|_| lines.next() == Some("yes")).map(str::to_owned));
        facts.cordon = Marks::read(&lines.collect::<Vec<_>>().join("\n")).cordon;
        Ok(facts)
    }
}

impl HostFacts {
    /// What is known of a file that is there.
    pub fn file(&self, path: &str) -> Option<&FileFacts> {
        self.files.get(path).and_then(Option::as_ref)
    }
}

/// The room a host has for further guests. Never more than what is left when all
/// its guests take all they may, nor than what is free now less what they have
/// not taken yet. `promised` to guests under way counts as taken.
///
/// # Errors
/// What libvirt said.
pub(super) fn room(host: &Host, promised: &HashMap<String, Bytes>) -> Result<Room, Fault> {
    let memory = host.memory()?;
    let node = host.node_info()?;
    let active: Vec<_> = host.domain_rows()?.into_iter().filter(|row| row.state.is_active()).collect();
    let sum = |sizes: &mut dyn Iterator<Item = Bytes>| sizes.fold(Bytes::default(), Bytes::saturating_add);
    let claim = |row: &DomainRow| {
        let most = row.max_memory.or(row.memory).unwrap_or_default();
        most.saturating_add(overhead(most))
    };
    let settled = || active.iter().filter(|row| !promised.contains_key(&row.uuid));
    let arriving = sum(&mut promised.values().copied());
    let committed = sum(&mut settled().map(claim)).saturating_add(arriving);
    let untaken = |row: &DomainRow| claim(row).saturating_sub(row.resident.unwrap_or_default());
    let unclaimed = sum(&mut settled().map(untaken)).saturating_add(arriving);
    let by_promise =
        memory.total.saturating_sub(host.reserve().unwrap_or(DEFAULT_RESERVE)).saturating_sub(committed);
    let by_sight = memory.available.saturating_sub(DEFAULT_RESERVE).saturating_sub(unclaimed);
    Ok(Room {
        name: host.name().to_owned(),
        free: by_promise.min(by_sight),
        total: memory.total,
        cpus: node.cpus.into(),
        vcpus: active.iter().filter_map(|row| row.vcpus).sum(),
    })
}
