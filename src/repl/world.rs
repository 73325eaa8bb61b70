//! What the prompt knows of the hosts: read by completion, which never waits for
//! a host, and filled by threads in the background.
//!
//! The background has a session of its own: it is read-only, it never asks for
//! anything, and a Ctrl-C that is meant for a line does not stop it.

mod fetch;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::gate::{Journal, Mode};
use crate::model::{Cancel, Inventory, Silent};
use crate::ops::{Session, Settings};
use crate::script::{self, Live, Named};

/// For how long an answer is as good as a new one.
const FRESH: Duration = Duration::from_secs(10);

/// How long a host that could not be reached is left alone.
const REST: Duration = Duration::from_secs(60);

/// So many hosts are asked at a time.
const AT_A_TIME: usize = 16;

/// How long a key may wait for a host that answers and has not been asked this yet.
const PATIENCE: Duration = Duration::from_millis(80);

/// With more hosts than this, connections are not kept: each is an `ssh` of its own.
const KEPT: usize = 32;

/// So many names of a directory are kept.
const FILES: usize = 1000;

/// How a host is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum State {
    /// Nobody has asked yet.
    #[default]
    Unknown,
    /// It answers: guests that run, and all guests.
    Up(usize, usize),
    /// It does not: why, in a few words.
    Down(String),
}

/// What can be asked of a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Question {
    /// Whether it answers, and what it has.
    Hello,
    Live(Live),
    Files(String),
}

/// The names that answer a question.
#[derive(Debug, Clone)]
struct Answer {
    names: Vec<Named>,
    at: Instant,
    /// Something may have been made or taken away since: who needs it waits a little for a new one.
    doubted: bool,
}

#[derive(Debug, Default)]
struct Inside {
    states: HashMap<String, (State, Option<Instant>)>,
    answers: HashMap<(String, Question), Answer>,
    waiting: VecDeque<(String, Question)>,
    /// Waiting, or being asked now.
    asked: HashSet<(String, Question)>,
    workers: usize,
    listener: Option<Sender<(String, State)>>,
}

/// The memory, shared with the threads that fill it.
#[derive(Debug, Clone)]
pub(super) struct World(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    session: Session,
    inside: Mutex<Inside>,
    changed: Condvar,
}

impl World {
    /// Knows nothing yet and asks nobody.
    pub(super) fn new(session: &Session) -> Self {
        let quiet = Session::new(Settings {
            inventory: (*session.inventory()).clone(),
            select: Vec::new(),
            mode: Mode::ReadOnly,
            journal: Journal::off(),
            assume_yes: false,
            progress: Arc::new(Silent),
            cancel: Cancel::new(),
            prompt: None,
        });
        Self(Arc::new(Shared { session: quiet, inside: Mutex::default(), changed: Condvar::new() }))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells `listener` how hosts are, whenever that changes.
    pub(super) fn tell(&self, listener: Sender<(String, State)>) {
        self.inside().listener = Some(listener);
    }

    /// Begins to ask these hosts.
    pub(super) fn greet<'a>(&self, hosts: impl IntoIterator<Item = &'a str>) {
        hosts.into_iter().for_each(|host| self.ask(host, Question::Hello));
    }

    /// Takes another inventory and asks its hosts.
    pub(super) fn renew(&self, inventory: Inventory) {
        let names: Vec<String> = inventory.hosts.keys().cloned().collect();
        self.0.session.renew(inventory);
        self.greet(names.iter().map(String::as_str));
    }

    /// How a host is, as far as is known.
    pub(super) fn state(&self, host: &str) -> State {
        self.inside().states.get(host).map(|(state, _)| state.clone()).unwrap_or_default()
    }

    /// What was known may have changed: whoever needs it next asks again.
    pub(super) fn doubt(&self) {
        let past = Instant::now().checked_sub(FRESH);
        let mut inside = self.inside();
        for answer in inside.answers.values_mut() {
            answer.at = past.unwrap_or(answer.at);
            answer.doubted = true;
        }
    }

    /// The hosts that have a domain of this name, as far as is known.
    pub(super) fn hosts_with(&self, domain: &str) -> Vec<String> {
        let inside = self.inside();
        let has = |((host, question), answer): (&(String, Question), &Answer)| {
            let domains = *question == Question::Live(Live::Domains);
            (domains && answer.names.iter().any(|named| named.name == domain)).then(|| host.clone())
        };
        let mut hosts: Vec<String> = inside.answers.iter().filter_map(has).collect();
        hosts.sort();
        hosts
    }

    /// Looks after hosts that have gone, and after those that may be back.
    pub(super) fn look_after(&self) {
        let known: Vec<(String, State, Option<Instant>)> = {
            let inside = self.inside();
            inside.states.iter().map(|(host, (state, at))| (host.clone(), state.clone(), *at)).collect()
        };
        for (name, state, at) in known {
            let again = match state {
                State::Unknown => false,
                State::Up(..) if self.is_large() => at.is_none_or(|at| at.elapsed() > REST),
                State::Up(..) => self.0.session.host(&name).is_ok_and(|host| !host.is_connected()),
                State::Down(_) => at.is_none_or(|at| at.elapsed() > REST),
            };
            if again {
                self.ask(&name, Question::Hello);
            }
        }
    }

    fn is_large(&self) -> bool {
        self.0.session.inventory().hosts.len() > KEPT
    }

    /// Puts a question, unless it has been put already.
    fn ask(&self, host: &str, question: Question) {
        let mut inside = self.inside();
        let item = (host.to_owned(), question);
        if !inside.asked.insert(item.clone()) {
            return;
        }
        inside.waiting.push_back(item);
        if inside.workers < AT_A_TIME {
            inside.workers += 1;
            let world = self.clone();
            drop(inside);
            let work = move || world.work();
            if std::thread::Builder::new().name("names".into()).spawn(work).is_err() {
                self.inside().workers -= 1;
            }
        }
    }

    /// The answer that is known; asks for a newer one where that is old.
    fn answer(&self, host: &str, question: Question) -> Vec<Named> {
        let key = (host.to_owned(), question.clone());
        let (state, known) = {
            let inside = self.inside();
            (inside.states.get(host).cloned(), inside.answers.get(&key).cloned())
        };
        let resting = matches!(&state, Some((State::Down(_), Some(at))) if at.elapsed() < REST);
        let old = known.as_ref().is_none_or(|answer| answer.at.elapsed() >= FRESH);
        let greeting = [Live::Domains, Live::Pools, Live::Networks].map(Question::Live);
        if state.is_none() {
            // Nobody has asked this host anything yet.
            self.ask(host, Question::Hello);
        }
        if old && !resting && (state.is_some() || !greeting.contains(&question)) {
            self.ask(host, question);
        }
        let is_up = matches!(state, Some((State::Up(..), _)));
        match known {
            Some(answer) if !(answer.doubted && is_up) => answer.names,
            // Once after each line: a host that does not answer any more is not waited for at each key.
            _ if is_up => {
                if let Some(answer) = self.inside().answers.get_mut(&key) {
                    answer.doubted = false;
                }
                self.wait(&key)
            }
            _ => Vec::new(),
        }
    }

    fn wait(&self, key: &(String, Question)) -> Vec<Named> {
        let there = |inside: &mut Inside| inside.asked.contains(key);
        let waited = self.0.changed.wait_timeout_while(self.inside(), PATIENCE, there);
        let (inside, _) = waited.unwrap_or_else(PoisonError::into_inner);
        inside.answers.get(key).map(|answer| answer.names.clone()).unwrap_or_default()
    }

    /// Where nobody says which host: what any of them has, and where.
    fn anywhere(&self, what: &Live) -> Vec<Named> {
        let inside = self.inside();
        let question = Question::Live(what.clone());
        let mut found: Vec<Named> = Vec::new();
        for ((host, asked), answer) in &inside.answers {
            if *asked == question {
                let note = |named: &Named| [named.note.as_str(), host].join("  ").trim().to_owned();
                found.extend(answer.names.iter().map(|named| Named::new(&named.name, note(named))));
            }
        }
        found.sort();
        found.dedup_by(|next, last| next.name == last.name);
        found
    }
}

impl script::World for World {
    fn hosts(&self) -> Vec<Named> {
        let note = |name: &str| match self.state(name) {
            State::Unknown => String::new(),
            State::Up(running, all) => format!("up  {running}/{all}"),
            State::Down(_) => "down".to_owned(),
        };
        self.0.session.inventory().hosts.keys().map(|name| Named::new(name, note(name))).collect()
    }

    fn patterns(&self) -> Vec<Named> {
        let inventory = self.0.session.inventory();
        let groups = inventory.groups.iter();
        let mut found: Vec<Named> =
            groups.map(|(name, members)| Named::new(format!("@{name}"), members.join(" "))).collect();
        let tags: std::collections::BTreeSet<&String> =
            inventory.hosts.values().flat_map(|host| &host.tags).collect();
        found.extend(tags.into_iter().map(|tag| Named::new(format!("tag:{tag}"), "")));
        found
    }

    fn live(&self, host: Option<&str>, what: &Live) -> Vec<Named> {
        match host {
            Some(host) => self.answer(host, Question::Live(what.clone())),
            None => self.anywhere(what),
        }
    }

    fn files(&self, host: Option<&str>, directory: &str) -> Vec<Named> {
        match host {
            Some(host) => self.answer(host, Question::Files(directory.to_owned())),
            None => local(directory),
        }
    }
}

/// A path as a person writes it: `~/x`.
pub(super) fn at_home(path: &str) -> PathBuf {
    let home = path.strip_prefix("~/").and_then(|rest| Some(dirs::home_dir()?.join(rest)));
    home.unwrap_or_else(|| path.into())
}

/// What is in a directory of this machine.
pub(super) fn local(directory: &str) -> Vec<Named> {
    let path = if directory.is_empty() { ".".into() } else { at_home(directory) };
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().take(FILES);
    let name = |entry: std::fs::DirEntry| {
        let slash = if entry.path().is_dir() { "/" } else { "" };
        Some(Named::new(entry.file_name().to_str()?.to_owned() + slash, ""))
    };
    let mut names: Vec<Named> = entries.filter_map(name).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HostEntry, Inventory, Target};
    use crate::script::World as _;

    fn world(hosts: &[(&str, Target)]) -> World {
        let mut inventory = Inventory::default();
        for (name, target) in hosts {
            let target = Target { name: (*name).to_owned(), ..target.clone() };
            let entry =
                HostEntry { target, tags: vec!["lab".into()], reserve: None, migration_address: None };
            inventory.hosts.insert((*name).to_owned(), entry);
        }
        World::new(&Session::new(Settings {
            inventory,
            select: Vec::new(),
            mode: Mode::Apply,
            journal: Journal::off(),
            assume_yes: false,
            progress: Arc::new(Silent),
            cancel: Cancel::new(),
            prompt: None,
        }))
    }

    fn settled(world: &World, host: &str) -> State {
        let began = Instant::now();
        while world.state(host) == State::Unknown && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        world.state(host)
    }

    #[test]
    fn names_are_there_once_a_host_has_answered() {
        let world = world(&[("lab", Target::local("lab", "test:///default"))]);
        assert_eq!(world.hosts(), [Named::new("lab", "")]);
        world.greet(["lab"]);
        assert_eq!(settled(&world, "lab"), State::Up(1, 1));
        assert_eq!(world.live(Some("lab"), &Live::Domains), [Named::new("test", "running")]);
        assert_eq!(world.hosts_with("test"), ["lab"]);
        assert_eq!(world.live(None, &Live::Domains), [Named::new("test", "running  lab")]);
        assert_eq!(world.live(Some("lab"), &Live::Pools), [Named::new("default-pool", "running")]);
        assert_eq!(world.live(Some("lab"), &Live::Networks), [Named::new("default", "active")]);
        assert!(world.live(Some("lab"), &Live::Volumes("default-pool".into())).is_empty());
        assert_eq!(world.hosts(), [Named::new("lab", "up  1/1")]);
        assert_eq!(world.patterns(), [Named::new("tag:lab", "")]);
        assert!(world.files(Some("lab"), "/").iter().any(|file| file.name == "etc/"));
    }

    #[test]
    fn what_a_line_has_made_is_known_at_once() {
        let world = world(&[("lab", Target::local("lab", "test:///default"))]);
        world.greet(["lab"]);
        settled(&world, "lab");
        // As if what there is had been made since it was asked for.
        let key = ("lab".to_owned(), Question::Live(Live::Networks));
        let old = Answer { names: Vec::new(), at: Instant::now(), doubted: false };
        world.inside().answers.insert(key.clone(), old);
        assert_eq!(world.live(Some("lab"), &Live::Networks), []);
        world.doubt();
        assert_eq!(world.live(Some("lab"), &Live::Networks), [Named::new("default", "active")]);
        assert!(!world.inside().answers[&key].doubted);
    }

    #[test]
    fn nobody_waits_for_a_host_that_does_not_answer() {
        // A listener that accepts and says nothing: SSH waits for its greeting.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let target = Target { port: Some(port), ..Target::ssh("dead", "127.0.0.1") };
        let world = world(&[("dead", target)]);
        world.greet(["dead"]);
        for what in [Live::Domains, Live::Volumes("p".into())] {
            let began = Instant::now();
            assert!(world.live(Some("dead"), &what).is_empty());
            assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
        }
    }
}
