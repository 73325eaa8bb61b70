//! What one run of kvmsh holds: its hosts, its gate, its way to stop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::memory::Ledger;
use super::net::Machines;
use super::shared::Proofs;
use super::{Host, Leases, Steps};
use crate::gate::{Gate, Journal, Mode};
use crate::inventory;
use crate::model::secret;
use crate::model::suggest::did_you_mean;
use crate::model::{
    Cancel, Class, Fault, HostEntry, Inventory, Limits, NoScreen, Progress, Prompt, Screen, Target,
};
use crate::ssh;

/// How a run is set up; the command line decides.
#[derive(Debug)]
pub struct Settings {
    /// The hosts that have names.
    pub inventory: Inventory,
    /// Which of them `hosts()` means: names, globs, `@group`, `tag:x`. Empty: all.
    pub select: Vec<String>,
    /// What the gate does with changes.
    pub mode: Mode,
    /// Where changes are written down.
    pub journal: Journal,
    /// `--yes`: what would be asked is answered with yes.
    pub assume_yes: bool,
    /// Where progress is shown.
    pub progress: Arc<dyn Progress>,
    /// The one token that stops everything.
    pub cancel: Cancel,
    /// The person at the terminal, if there is one.
    pub prompt: Option<Arc<dyn Prompt>>,
}

/// How scripts of a run behave.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// `-q`: nothing is said unless it fails.
    pub quiet: bool,
    /// How much they may take.
    pub limits: Limits,
    /// Columns of the terminal that stdout is.
    pub width: Option<usize>,
}

/// One run; cheap to clone.
#[derive(Debug, Clone)]
pub struct Session(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    inventory: RwLock<Arc<Inventory>>,
    gate: Gate,
    hosts: Mutex<HashMap<String, Host>>,
    proofs: Proofs,
    memory: Ledger,
    leases: Leases,
    machines: Machines,
    steps: Steps,
    manner: OnceLock<Manner>,
    screen: OnceLock<Arc<dyn Screen>>,
}

impl Session {
    /// A run with these settings.
    pub fn new(mut settings: Settings) -> Self {
        let journal = std::mem::replace(&mut settings.journal, Journal::off());
        let gate = Gate::new(settings.mode, journal);
        let inventory = std::mem::take(&mut settings.inventory);
        Self(Arc::new(Inner {
            settings,
            inventory: RwLock::new(Arc::new(inventory)),
            gate,
            hosts: Mutex::default(),
            proofs: Proofs::default(),
            memory: Ledger::default(),
            leases: Leases::default(),
            machines: Machines::default(),
            steps: Steps::default(),
            manner: OnceLock::new(),
            screen: OnceLock::new(),
        }))
    }

    /// The gate that every change passes.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// The token that stops everything.
    pub fn cancel(&self) -> &Cancel {
        &self.0.settings.cancel
    }

    /// The hosts that have names.
    pub fn inventory(&self) -> Arc<Inventory> {
        self.0.inventory.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes another inventory. A host that it describes in another way is made
    /// anew when it is next asked for; one that a script holds stays as it is.
    pub fn renew(&self, inventory: Inventory) {
        let before = self.inventory();
        self.hosts_known().retain(|name, _| before.hosts.get(name) == inventory.hosts.get(name));
        *self.0.inventory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(inventory);
    }

    /// Where progress is shown.
    pub fn progress(&self) -> &Arc<dyn Progress> {
        &self.0.settings.progress
    }

    /// The person at the terminal, if there is one.
    pub fn prompt(&self) -> Option<&Arc<dyn Prompt>> {
        self.0.settings.prompt.as_ref()
    }

    /// Where views are drawn.
    pub fn screen(&self) -> &dyn Screen {
        self.0.screen.get().map_or(&NoScreen, AsRef::as_ref)
    }

    /// Gives the run a screen; the first one stays.
    #[must_use]
    pub fn on(self, screen: Arc<dyn Screen>) -> Self {
        let _ = self.0.screen.set(screen);
        self
    }

    /// Whether libvirt is opened read-only.
    pub fn is_read_only(&self) -> bool {
        self.0.settings.mode == Mode::ReadOnly
    }

    /// What was proven of shared storage in this run.
    pub(super) fn proofs(&self) -> &Proofs {
        &self.0.proofs
    }

    /// What moves under way have been promised.
    pub(super) fn memory(&self) -> &Ledger {
        &self.0.memory
    }

    /// The leases on hosts that this run changes.
    pub fn leases(&self) -> &Leases {
        &self.0.leases
    }

    /// The machines whose network was looked at.
    pub(super) fn machines(&self) -> &Machines {
        &self.0.machines
    }

    /// The steps that the script has done already.
    pub fn steps(&self) -> &Steps {
        &self.0.steps
    }

    /// How scripts behave.
    pub fn manner(&self) -> Manner {
        self.0.manner.get().copied().unwrap_or_default()
    }

    /// Sets how scripts behave; the first word stays.
    #[must_use]
    pub fn behaving(self, manner: Manner) -> Self {
        let _ = self.0.manner.set(manner);
        self
    }

    /// How hosts' shells are set up.
    pub(super) fn shell_settings(&self) -> ssh::Settings {
        ssh::Settings { cancel: self.cancel().clone(), ..ssh::Settings::default() }
    }

    /// A shell that shares no connection with any other, and gives up soon: what answers it can be reached now.
    pub(super) fn fresh_shell(&self, target: &Target) -> ssh::Shell {
        let connect_timeout = std::time::Duration::from_secs(3);
        ssh::Shell::new(target.clone(), ssh::Settings { connect_timeout, ..self.shell_settings() })
    }

    /// Asks yes or no.
    ///
    /// # Errors
    /// `not_confirmed` when there is nobody to ask and no `--yes`.
    pub fn confirm(&self, question: &str) -> Result<bool, Fault> {
        match (self.0.settings.assume_yes, self.prompt()) {
            (true, _) => Ok(true),
            (false, Some(prompt)) => {
                let answer = prompt.confirm(question);
                // Ctrl-C is no answer.
                self.cancel().check()?;
                Ok(answer)
            }
            (false, None) => {
                Err(Fault::new("not_confirmed", format!("nobody is here to answer: {question}"))
                    .class(Class::Refused)
                    .hint("run it with --yes, or at a terminal"))
            }
        }
    }

    /// Asks for a secret, which is not shown while it is typed; `None` when the person gives none.
    ///
    /// # Errors
    /// `not_asked` when there is nobody to ask.
    pub fn ask_secret(&self, question: &str) -> Result<Option<String>, Fault> {
        let nobody = || {
            Fault::new("not_asked", format!("nobody is here to answer: {question}"))
                .class(Class::Refused)
                .hint("run it at a terminal")
        };
        let answer = self.prompt().ok_or_else(nobody)?.passphrase(question);
        answer.iter().for_each(|secret| crate::model::secret::remember(secret));
        self.cancel().check()?;
        Ok(answer)
    }

    /// A host by its name in the inventory, or by a libvirt URI. Contacts nobody.
    ///
    /// # Errors
    /// `unknown_host` with a suggestion; `invalid_uri`.
    pub fn host(&self, name_or_uri: &str) -> Result<Host, Fault> {
        if let Some(host) = self.hosts_known().get(name_or_uri) {
            return Ok(host.clone());
        }
        let entry = match self.inventory().hosts.get(name_or_uri) {
            Some(entry) => entry.clone(),
            None if name_or_uri.contains("://") => unlisted(target_of(name_or_uri)?),
            None => return Err(self.unknown(name_or_uri)),
        };
        let host = Host::new(self.clone(), &entry);
        Ok(self.hosts_known().entry(name_or_uri.to_owned()).or_insert(host).clone())
    }

    /// Lets go of a host: its connections close once nobody holds it any more.
    pub fn forget(&self, name_or_uri: &str) {
        self.hosts_known().remove(name_or_uri);
    }

    /// A host that the inventory does not have yet.
    pub fn stranger(&self, target: &Target) -> Host {
        Host::new(self.clone(), &unlisted(target.clone()))
    }

    fn hosts_known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Host>> {
        self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hosts that match any of the patterns (names, globs, `@group`,
    /// `tag:x`, libvirt URIs); without patterns those of `--hosts`, or all.
    /// Those of the inventory come first, in its order.
    ///
    /// # Errors
    /// `unknown_host`; `invalid_uri`.
    pub fn hosts(&self, patterns: &[String]) -> Result<Vec<Host>, Fault> {
        let patterns = if patterns.is_empty() { &self.0.settings.select } else { patterns };
        let inventory = self.inventory();
        let (uris, patterns): (Vec<String>, Vec<String>) =
            patterns.iter().cloned().partition(|pattern| pattern.contains("://"));
        let mut names: Vec<String> = Vec::new();
        if uris.is_empty() || !patterns.is_empty() {
            let listed = inventory::select(&inventory, &patterns)?;
            names.extend(listed.into_iter().map(|entry| entry.target.name.clone()));
        }
        for uri in uris {
            if !names.contains(&uri) {
                names.push(uri);
            }
        }
        names.iter().map(|name| self.host(name)).collect()
    }

    /// All hosts of the inventory, whatever `--hosts` says, and those that were named by URI.
    pub(super) fn every_host(&self) -> Vec<Host> {
        let mut hosts: Vec<Host> =
            self.inventory().hosts.keys().filter_map(|name| self.host(name).ok()).collect();
        let others: Vec<Host> =
            self.hosts_known().values().filter(|host| !hosts.contains(host)).cloned().collect();
        hosts.extend(others);
        hosts
    }

    fn unknown(&self, name: &str) -> Fault {
        let fault =
            Fault::new("unknown_host", format!("no host `{name}` in the inventory")).class(Class::Connect);
        let inventory = self.inventory();
        let known: Vec<&str> = inventory.hosts.keys().map(String::as_str).collect();
        match did_you_mean(name, known.iter().copied()) {
            Some(hint) => fault.hint(hint),
            None if known.is_empty() => fault.hint(format!(
                "there are no hosts yet: `kvmsh hosts add {name} ADDRESS`, or use a URI such as \
                 host(\"qemu+ssh://root@ADDRESS/system\")"
            )),
            None => fault.hint(format!("known hosts: {}", known[..known.len().min(12)].join(", "))),
        }
    }
}

fn unlisted(target: Target) -> HostEntry {
    HostEntry { target, tags: Vec::new(), reserve: None, migration_address: None }
}

/// Reads a libvirt URI: `driver[+transport]://[user@][host][:port]/path`.
fn target_of(uri: &str) -> Result<Target, Fault> {
    let bad = |why: &str| {
        Fault::new("invalid_uri", format!("`{}` is not a libvirt URI: {why}", secret::urls(uri)))
            .class(Class::Usage)
            .hint("for instance qemu+ssh://root@192.0.2.7/system, qemu:///system or test:///default")
    };
    let (scheme, rest) = uri.split_once("://").ok_or_else(|| bad("it has no ://"))?;
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') {
        return Err(bad("the driver is not a word"));
    }
    let (authority, _) = rest.split_once('/').ok_or_else(|| bad("it has no path"))?;
    if authority.is_empty() {
        return Ok(Target::local(uri, uri));
    }
    if secret::urls(uri) != uri {
        return Err(bad("it has a password, which neither SSH nor libvirt takes from there").hint(
            "leave it out: kvmsh uses keys, and `host.with_password(secret(text))` where there is none yet",
        ));
    }
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, authority),
    };
    let (address, port) = split_port(place).ok_or_else(|| bad("the port is not a number"))?;
    if address.is_empty() || address.starts_with('-') {
        return Err(bad("the host is not a name"));
    }
    let ssh = scheme.ends_with("+ssh");
    // Options after `?` are libvirt's business; the plain form is built from what the target says.
    let plain = ssh && !uri.contains('?') && uri.ends_with("/system");
    Ok(Target { user, port, uri: (!plain).then(|| uri.to_owned()), ..Target::ssh(uri, address) })
}

/// `host:22`, `[2001:db8::1]:22`, `host`.
fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => port.parse().ok().map(|port| (address, Some(port))),
            None => rest.is_empty().then_some((address, None)),
        };
    }
    match place.rsplit_once(':') {
        Some((address, port)) => port.parse().ok().map(|port| (address, Some(port))),
        None => Some((place, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Silent;

    fn session(hosts: &[&str]) -> Session {
        let mut inventory = Inventory::default();
        for name in hosts {
            inventory.hosts.insert((*name).to_owned(), unlisted(Target::ssh(name, "192.0.2.1")));
        }
        Session::new(Settings {
            inventory,
            select: Vec::new(),
            mode: Mode::Apply,
            journal: Journal::off(),
            assume_yes: false,
            progress: Arc::new(Silent),
            cancel: Cancel::new(),
            prompt: None,
        })
    }

    #[test]
    fn an_unknown_host_brings_a_suggestion_and_exit_3() {
        let fault = session(&["h2-a"]).host("h2-q").unwrap_err();
        assert_eq!((fault.code.as_str(), fault.class), ("unknown_host", Class::Connect));
        assert_eq!(fault.hint.as_deref(), Some("did you mean `h2-a`?"));
    }

    #[test]
    fn uris_stand_beside_patterns_and_bring_no_other_hosts_with_them() {
        let names = |patterns: &[&str]| -> Vec<String> {
            let patterns: Vec<String> = patterns.iter().map(|&one| one.to_owned()).collect();
            let hosts = session(&["h2-a", "h2-b"]).hosts(&patterns).unwrap();
            hosts.iter().map(|host| host.name().to_owned()).collect()
        };
        assert_eq!(names(&[]), ["h2-a", "h2-b"]);
        assert_eq!(names(&["test:///default", "test:///default"]), ["test:///default"]);
        assert_eq!(names(&["test:///default", "h2-b"]), ["h2-b", "test:///default"]);
    }

    #[test]
    fn uris_say_where_to_go() {
        let target = target_of("qemu+ssh://admin@[2001:db8::1]:2222/system").unwrap();
        assert_eq!(target.address.as_deref(), Some("2001:db8::1"));
        assert_eq!((target.user.as_deref(), target.port), (Some("admin"), Some(2222)));
        assert_eq!(target_of("test:///default").unwrap().address, None);
        for bad in ["qemu+ssh://", "x y://h/", "qemu+ssh://h:x/system", "qemu+ssh://-oProxy/system"] {
            assert_eq!(target_of(bad).unwrap_err().code, "invalid_uri", "{bad}");
        }
    }
}
