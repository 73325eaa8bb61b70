//! A transaction under way, watched from outside until it is confirmed or undone.

use std::time::{Duration, Instant};

use super::expect::Expect;
use super::look::Look;
use super::transaction::{DEADMAN_PATH, Depth, Options, Report, Site, look};
use super::work::Work;
use crate::gate::Permit;
use crate::model::{Fault, finishing};
use crate::ssh::{Command, Shell};

/// How long a host may take to be back after it has undone a change by itself, or was started anew.
const BACK_WITHIN: Duration = Duration::from_secs(90);

/// How things stand on the host.
#[derive(Debug, Default)]
pub(super) struct Status {
    state: String,
    id: String,
    confirmed: String,
    reason: String,
    applied: bool,
    different: Vec<String>,
    log: Vec<String>,
    undo_log: Vec<String>,
}

impl Status {
    pub(super) fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let value = value.to_owned();
            match key {
                "state" => status.state = value,
                "id" => status.id = value,
                "confirmed" => status.confirmed = value,
                "reason" => status.reason = value,
                "applied" => status.applied = true,
                "different" => status.different.push(value),
                "apply.log" => status.log.push(value),
                "undo.log" => status.undo_log.push(value),
                _ => {}
            }
        }
        status
    }
}

/// One transaction under way.
pub(super) struct Watch<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) permit: &'a Permit,
    pub(super) before: &'a Look,
    pub(super) work: &'a Work,
    pub(super) options: &'a Options,
    pub(super) id: &'a str,
    pub(super) began: Instant,
}

/// What one look from outside has shown.
enum Seen {
    /// Everything is as it must be.
    Good(Box<Shell>, Vec<String>),
    /// The host answers, and this is wrong.
    Bad(Vec<String>),
    /// It is still at work.
    Busy,
    /// It has undone, or undoes, the change.
    Undone,
    /// It has kept the change: the answer to our confirmation was lost.
    Kept,
    /// It does not answer.
    Silent(Fault),
}

impl Watch<'_> {
    pub(super) fn to_the_end(&self, note: &dyn Fn(String)) -> Result<Report, Fault> {
        let cancel = self.site.host.session().cancel();
        let deadline = self.began + self.options.confirm_within;
        let mut bad_since: Option<Instant> = None;
        let mut last: Vec<String> = Vec::new();
        let mut silent = Duration::ZERO;
        for round in 0_u32.. {
            if let Some(stop) = cancel.stopped() {
                let result = finishing(|| self.give_up("it was stopped", &[], silent, note));
                return result.map_err(|fault| Fault { class: stop.fault().class, ..fault });
            }
            if Instant::now() >= deadline {
                return finishing(|| self.after_undo(&last, silent, note));
            }
            let asked = Instant::now();
            match self.see() {
                Seen::Good(shell, notes) => match self.confirm(&shell) {
                    Ok(()) => return Ok(Report { notes, ..self.report(silent) }),
                    Err(why) => last = vec![why],
                },
                Seen::Kept => return Ok(self.report(silent)),
                Seen::Undone => return finishing(|| self.after_undo(&last, silent, note)),
                Seen::Busy => note("changing the network".to_owned()),
                Seen::Silent(fault) => {
                    silent += asked.elapsed();
                    last = vec![format!("no new connection: {fault}")];
                    let left = deadline.saturating_duration_since(Instant::now()).as_secs();
                    note(format!("does not answer; undoes itself in {left} s"));
                }
                Seen::Bad(failures) => {
                    let since = *bad_since.get_or_insert_with(Instant::now);
                    note(failures.join("; "));
                    last = failures;
                    if since.elapsed() >= self.options.settle_within {
                        return finishing(|| self.give_up("a check failed", &last, silent, note));
                    }
                }
            }
            // A firewall may take more than six connections in half a minute for an attack (`ufw limit`).
            let pace = Duration::from_secs(if round < 2 { 2 } else { 6 });
            cancel.sleep(pace.saturating_sub(asked.elapsed()));
        }
        finishing(|| self.after_undo(&last, silent, note))
    }

    fn report(&self, silent: Duration) -> Report {
        Report {
            changed: true,
            took: self.began.elapsed(),
            silent,
            checked: self.work.expect.summary(),
            notes: Vec::new(),
        }
    }

    fn see(&self) -> Seen {
        let shell = self.site.fresh();
        let look = match look(self.site.host, &shell, self.site.sudo, Depth::Live) {
            Ok(look) => look,
            Err(fault) => return Seen::Silent(fault),
        };
        match look.change.as_ref().filter(|change| change.id == self.id) {
            _ if look.confirmed == self.id => return Seen::Kept,
            Some(change) if change.state == "pending" && !change.applied => return Seen::Busy,
            Some(change) if change.state == "pending" => {}
            _ => return Seen::Undone,
        }
        let mut failures = self.work.expect.failures(&look);
        if failures.is_empty() {
            // Now that the new links are on the wire.
            match self.site.duplicates(&shell, &look, &self.new_addresses()) {
                Ok(taken) => failures.extend(
                    taken.iter().map(|(address, mac)| format!("{mac} answers for {address} as well")),
                ),
                Err(fault) => return Seen::Silent(fault),
            }
        }
        if failures.is_empty() {
            Seen::Good(Box::new(shell), self.work.expect.notes(&look))
        } else {
            Seen::Bad(failures)
        }
    }

    /// The IPv4 addresses that this host did not have before, where arping can ask for them.
    fn new_addresses(&self) -> Vec<(String, String)> {
        let new = self.work.expect.addresses.iter().filter_map(|(link, net)| {
            let known = self.before.addresses.iter().any(|address| address.net.addr() == net.addr());
            let link = link.as_ref().filter(|_| net.addr().is_ipv4() && !known)?;
            Some((link.clone(), net.addr().to_string()))
        });
        new.filter(|_| self.before.tools.contains("arping")).collect()
    }

    /// Has the change kept. An error says why the host did not say so: look again, until its time is up.
    fn confirm(&self, seen_over: &Shell) -> Result<(), String> {
        seen_over.disconnect();
        match self.site.run(self.permit, &self.site.fresh(), &["confirm", self.id]) {
            Ok(output) if output.ok() => Ok(()),
            Ok(output) => Err(format!("the host did not keep it: {}", output.error_text())),
            Err(fault) => Err(format!("nobody heard whether the host keeps it: {fault}")),
        }
    }

    /// Has the change undone now.
    fn give_up(
        &self,
        reason: &str,
        failures: &[String],
        silent: Duration,
        note: &dyn Fn(String),
    ) -> Result<Report, Fault> {
        note("undoing the change".to_owned());
        let reason = if failures.is_empty() { reason.to_owned() } else { failures.join("; ") };
        // Apart from this connection, which the way back may cut.
        let unit = format!("kvmsh-network-undo-{}", &self.id[..8]);
        let command = Command::argv([
            "systemd-run",
            "-q",
            "--collect",
            "--property=KillMode=process",
            "--unit",
            &unit,
            "sh",
            DEADMAN_PATH,
            "undo",
            self.id,
            &reason,
        ])
        .sudo(self.site.sudo)
        .timeout(Some(Duration::from_secs(20)));
        // When it cannot be asked, its timer does it.
        let _ = self.site.fresh().run(self.permit, &command);
        self.after_undo(failures, silent, note)
    }

    /// Waits until the host is back as it was, and says why: or has kept the change, where only its answer was lost.
    fn after_undo(
        &self,
        failures: &[String],
        silent: Duration,
        note: &dyn Fn(String),
    ) -> Result<Report, Fault> {
        let host = self.site.host.name();
        let until = Instant::now().max(self.began + self.options.confirm_within) + BACK_WITHIN;
        let mut unreachable = None;
        while Instant::now() < until {
            let shell = self.site.fresh();
            match self.site.status(&shell) {
                Ok(status) if status.confirmed == self.id => return Ok(self.report(silent)),
                // A file that could not be restored: it stays `undoing`, and is tried again at the next start.
                Ok(status) if status.id == self.id && !status.different.is_empty() => {
                    return Err(self.undone(&shell, &status, failures));
                }
                Ok(status) if status.state == "undone" && status.id == self.id => {
                    return Err(self.undone(&shell, &status, failures));
                }
                Ok(status) if status.state == "none" || (status.id != self.id && !status.id.is_empty()) => {
                    return Err(Fault::new(
                        "network_undone",
                        format!("the change was undone: {}", failures.join("; ")),
                    )
                    .hint("another kvmsh has cleared its report away"));
                }
                Ok(_) => note("undoing the change".to_owned()),
                Err(fault) => {
                    note("waiting for the host to undo the change".to_owned());
                    unreachable = Some(fault);
                }
            }
            std::thread::sleep(Duration::from_secs(4));
        }
        let fault = Fault::new(
            "network_lost",
            format!("{host} cannot be reached, though it must have undone the change by itself"),
        )
        .hint("look at its console: /var/lib/kvmsh/network, and `journalctl -u 'kvmsh-network-*'`");
        let fault = unreachable.into_iter().fold(fault, |fault, cause| fault.because(cause.to_string()));
        Err(failures.iter().fold(fault, |fault, failure| fault.because(failure.clone())))
    }

    fn undone(&self, shell: &Shell, status: &Status, failures: &[String]) -> Fault {
        let why = match failures {
            [] => status.reason.clone(),
            failures => failures.join("; "),
        };
        if !status.different.is_empty() {
            return Fault::new(
                "network_undone",
                format!("the change was undone, but for {}: {why}", status.different.join(", ")),
            )
            .hint("make room there, or look what is in the way; the next start tries again, and /var/lib/kvmsh/network/undoing has what they were")
            .because(status.undo_log.join("\n"));
        }
        // A while after a link came up again, a gateway or a cable may still be on its way.
        let mut expect = Expect::unchanged(self.before);
        expect.gone.clone_from(&self.work.new_links);
        let mut wrong = Vec::new();
        for _ in 0..10 {
            match look(self.site.host, shell, self.site.sudo, Depth::Live) {
                Ok(look) => wrong = expect.failures(&look),
                Err(fault) => wrong = vec![fault.to_string()],
            }
            if wrong.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        let _ = self.site.run(self.permit, shell, &["forget", self.id]);
        let state = if wrong.is_empty() {
            "everything is as before".to_owned()
        } else {
            format!("now: {}", wrong.join("; "))
        };
        let fault = Fault::new("network_undone", format!("the change was undone, {state}: {why}"))
            .hint("mend what the check says; `force` does not skip checks");
        match status.log.iter().rposition(|line| line.starts_with("+ ")) {
            // What it was at when its time was up, or what failed.
            Some(at) if !status.applied || status.reason.ends_with("failed") => {
                fault.because(status.log[at..].join("\n"))
            }
            _ => fault,
        }
    }
}
