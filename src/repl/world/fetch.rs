//! The threads that ask.

use std::time::Instant;

use super::{Answer, FILES, Question, State, World};
use crate::model::{Fault, finishing};
use crate::ops::{Host, Pool};
use crate::script::{Live, Named};

/// What one question has brought: answers, this one and others.
type Found = Vec<(Question, Vec<Named>)>;

impl World {
    /// Answers questions until there is none.
    pub(super) fn work(&self) {
        loop {
            let item = {
                let mut inside = self.inside();
                match inside.waiting.pop_front() {
                    Some(item) => item,
                    None => {
                        inside.workers -= 1;
                        return;
                    }
                }
            };
            // A stop is never meant for this; everything here has a time limit of its own.
            let result = finishing(|| {
                let host = self.0.session.host(&item.0)?;
                find(&host, &item.1)
            });
            if self.is_large() {
                self.0.session.forget(&item.0);
            }
            self.keep(&item, result);
        }
    }

    fn keep(&self, item: &(String, Question), result: Result<Found, Fault>) {
        let (name, question) = item;
        let at = Instant::now();
        let mut inside = self.inside();
        inside.asked.remove(item);
        if *question == Question::Hello {
            let state = match &result {
                Ok(found) => count(found),
                Err(fault) => State::Down(why(fault)),
            };
            let before = inside.states.insert(name.clone(), (state.clone(), Some(at)));
            let news = before
                .is_none_or(|(before, _)| std::mem::discriminant(&before) != std::mem::discriminant(&state));
            // A host that has no name in the inventory is only asked for its names.
            let listed = self.0.session.inventory().hosts.contains_key(name);
            if let Some(listener) = inside.listener.as_ref().filter(|_| news && listed) {
                let _ = listener.send((name.clone(), state));
            }
        }
        match result {
            Ok(found) => {
                for (question, names) in found {
                    inside.answers.insert((name.clone(), question), Answer { names, at, doubted: false });
                }
            }
            // What has never been answered is answered with nothing, so that nobody waits.
            Err(_) => {
                let nothing = || Answer { names: Vec::new(), at, doubted: false };
                let answer = inside.answers.entry(item.clone()).or_insert_with(nothing);
                (answer.at, answer.doubted) = (at, false);
            }
        }
        drop(inside);
        self.0.changed.notify_all();
    }
}

fn find(host: &Host, question: &Question) -> Result<Found, Fault> {
    let one = |names| vec![(question.clone(), names)];
    Ok(match question {
        Question::Hello => {
            let domains = domains(host)?;
            let mut found = vec![(Question::Live(Live::Domains), domains)];
            // A driver that has no storage or no networks has answered all the same.
            if let Ok(names) = pools(host) {
                found.push((Question::Live(Live::Pools), names));
            }
            if let Ok(names) = networks(host) {
                found.push((Question::Live(Live::Networks), names));
            }
            found
        }
        Question::Live(Live::Domains) => one(domains(host)?),
        Question::Live(Live::Pools) => one(pools(host)?),
        Question::Live(Live::Networks) => one(networks(host)?),
        Question::Live(Live::Volumes(pool)) => {
            let volumes = host.pool(pool)?.volumes()?;
            one(volumes.iter().map(|volume| Named::new(volume.name(), "")).collect())
        }
        Question::Live(Live::Snapshots(domain)) => {
            let names = host.domain(domain)?.snapshots()?;
            one(names.into_iter().map(|name| Named::new(name, "")).collect())
        }
        Question::Files(path) => {
            let names = host.directory(path, FILES)?;
            one(names.into_iter().map(|name| Named::new(name, "")).collect())
        }
    })
}

fn domains(host: &Host) -> Result<Vec<Named>, Fault> {
    Ok(host.domain_rows()?.into_iter().map(|row| Named::new(row.name, row.state.word())).collect())
}

fn pools(host: &Host) -> Result<Vec<Named>, Fault> {
    let state = |pool: &Pool| pool.info().map(|info| info.state.to_owned()).unwrap_or_default();
    Ok(host.pools()?.iter().map(|pool| Named::new(pool.name(), state(pool))).collect())
}

fn networks(host: &Host) -> Result<Vec<Named>, Fault> {
    let state = |active| if active { "active" } else { "inactive" };
    let named = |network: &crate::ops::Network| {
        Named::new(network.name(), network.is_active().map(state).unwrap_or_default())
    };
    Ok(host.networks()?.iter().map(named).collect())
}

fn count(found: &Found) -> State {
    let domains = found.iter().find(|(question, _)| *question == Question::Live(Live::Domains));
    let domains = domains.map(|(_, names)| names.as_slice()).unwrap_or_default();
    State::Up(domains.iter().filter(|domain| domain.note == "running").count(), domains.len())
}

/// The code in words: `connect_timeout` becomes `connect timeout`.
fn why(fault: &Fault) -> String {
    fault.code.replace('_', " ")
}
