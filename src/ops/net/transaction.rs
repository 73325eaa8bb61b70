//! A change of a host's network that undoes itself unless it is confirmed.
//!
//! The host does it all by itself (`deadman.sh`); what happens here is to hand it over, to look at the host from outside
//! over connections that are new each time, and to say yes.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::look::Look;
use super::watch::{Status, Watch};
use super::work::{Argv, Edit, Work};
use crate::gate::{Change, Digest, Mode, Outcome, Permit};
use crate::model::{Class, Fault, Step, base64, finishing};
use crate::ops::Host;
use crate::ssh::{self, Command, Probe, Shell};

const DEADMAN: &str = include_str!("deadman.sh");
const STAGE: &str = include_str!("stage.sh");
const LOOK: &str = include_str!("look.sh");

/// Where deadman.sh lies on a host.
pub(super) const DEADMAN_PATH: &str = "/var/lib/kvmsh/network/deadman";

/// How long a host may take to undo a change, start anew for it at worst, and be found again.
const AFTERWARDS: Duration = Duration::from_secs(180);

/// How a transaction is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What is not confirmed after this time is undone. netplan-try(8) reckons with up to a minute for a spanning tree.
    pub confirm_within: Duration,
    /// How long a host that can be reached may fail a check before the change is undone ahead of time.
    pub settle_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { confirm_within: Duration::from_secs(90), settle_within: Duration::from_secs(30) }
    }
}

/// What a transaction came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Whether anything was to be done.
    pub changed: bool,
    /// From the first command to the confirmation.
    pub took: Duration,
    /// How long the host could not be reached.
    pub silent: Duration,
    /// What was checked, in words.
    pub checked: String,
    /// What works, and is not as it could be.
    pub notes: Vec<String>,
}

/// A host that we are about to change, seen through its shell.
pub(super) struct Site<'a> {
    pub(super) host: &'a Host,
    pub(super) sudo: bool,
}

impl<'a> Site<'a> {
    /// The site, and what there is of its network.
    ///
    /// # Errors
    /// Faults of the connection; `probe_failed`; `same_identity`.
    pub(super) fn open(host: &'a Host) -> Result<(Self, Look), Fault> {
        let look = look(host, host.shell(), false, Depth::All)?;
        let sudo = look.uid != 0;
        let look = if sudo { self::look(host, host.shell(), true, Depth::All)? } else { look };
        host.session().machines().meet(host.name(), &look)?;
        Ok((Self { host, sudo }, look))
    }

    fn fault(&self, error: ssh::Error) -> Fault {
        Fault::from(error).on_host(self.host.name())
    }

    /// A connection that nothing has used before: what answers on it can be reached now.
    pub(super) fn fresh(&self) -> Shell {
        self.host.session().fresh_shell(self.host.target())
    }

    pub(super) fn run(&self, permit: &Permit, shell: &Shell, args: &[&str]) -> Result<ssh::Output, Fault> {
        let argv = ["sh", DEADMAN_PATH].iter().chain(args).copied();
        let command = Command::argv(argv).sudo(self.sudo).timeout(Some(Duration::from_secs(60)));
        shell.run(permit, &command).map_err(|error| self.fault(error))
    }

    /// What a file holds, read with the rights that will change it; `None` when there is none.
    ///
    /// # Errors
    /// Faults of the connection; a file larger than `limit` bytes.
    pub(super) fn content(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        let shell = self.host.shell();
        let shell = if self.sudo { &shell.with_sudo() } else { shell };
        let read = || shell.exists(path)?.map(|_| shell.read(path, limit)).transpose();
        read().map_err(|error| self.fault(error))
    }

    pub(super) fn status(&self, shell: &Shell) -> Result<Status, Fault> {
        let script = "d=/var/lib/kvmsh/network/deadman; if [ -r $d ]; then exec sh $d status; else echo state=none; fi";
        let probe = Probe::script(script, [""; 0]).sudo(self.sudo).timeout(Duration::from_secs(15));
        let output = shell.probe(&probe).map_err(|error| self.fault(error))?;
        Ok(Status::parse(&output.text()))
    }

    /// Which of these addresses another machine on the wire has: `(interface, address)` in, with its hardware address out.
    ///
    /// # Errors
    /// Faults of the connection.
    pub(super) fn duplicates(
        &self,
        shell: &Shell,
        look: &Look,
        probes: &[(String, String)],
    ) -> Result<Vec<(String, String)>, Fault> {
        // -D asks from 0.0.0.0 (RFC 5227), so that nobody learns a wrong address; our own kernel does not answer it.
        let script = r#"while [ $# -gt 1 ]; do
            said=$(arping -D -c 2 -w 3 -I "$1" "$2" 2>/dev/null)
            if [ $? -eq 1 ]; then echo "$2 $(printf '%s\n' "$said" | sed -n 's/.*\[\(.*\)\].*/\1/p' | head -n 1)"; fi
            shift 2
        done"#;
        if probes.is_empty() {
            return Ok(Vec::new());
        }
        let args = probes.iter().flat_map(|(link, address)| [link.clone(), address.clone()]);
        let probe = Probe::script(script, args).sudo(self.sudo);
        let output = shell.probe(&probe).map_err(|error| self.fault(error))?;
        Ok(output
            .text()
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, mac)| !look.is_own_mac(mac))
            .map(|(address, mac)| (address.to_owned(), mac.to_owned()))
            .collect())
    }

    /// Makes the change, or lists it in a plan.
    ///
    /// # Errors
    /// `network_pending` and `network_file_changed` (class `Refused`, nothing touched); `network_undone` when a check
    /// failed and everything is as before; `network_lost` when the host cannot be reached at the end.
    pub(super) fn carry_out(&self, look: &Look, work: &Work, options: &Options) -> Result<Report, Fault> {
        if work.is_empty() {
            return Ok(Report::default());
        }
        let changes = changes(self.host.name(), look, work, options);
        if self.host.session().gate().mode() == Mode::Plan {
            for change in changes {
                self.host.change(change, |_| Ok::<_, Fault>(()))?;
            }
            return Ok(Report { changed: true, ..Report::default() });
        }
        let mut deed = |permit: &Permit| self.transact(permit, look, work, options);
        match self.through(&changes, &mut deed)? {
            Outcome::Done(report) => Ok(report),
            Outcome::Planned => Ok(Report { changed: true, ..Report::default() }),
        }
    }

    /// One after the other through the gate, all of them before the deed: the journal has each of them with its end.
    fn through(
        &self,
        changes: &[Change],
        deed: &mut dyn FnMut(&Permit) -> Result<Report, Fault>,
    ) -> Result<Outcome<Report>, Fault> {
        match changes {
            [] => Ok(Outcome::Planned),
            [last] => self.host.change(last.clone(), deed),
            [first, rest @ ..] => {
                let outcome = self.host.change(first.clone(), |_| self.through(rest, deed))?;
                Ok(match outcome {
                    Outcome::Done(inner) => inner,
                    Outcome::Planned => Outcome::Planned,
                })
            }
        }
    }

    fn transact(
        &self,
        permit: &Permit,
        before: &Look,
        work: &Work,
        options: &Options,
    ) -> Result<Report, Fault> {
        // Who cannot come in anew now could not confirm anything.
        self.fresh().connect().map_err(|error| self.fault(error))?;
        // Cut off, nobody can renew it, and nobody else may come between until the change is over either way.
        self.host.keep_lease_for(options.confirm_within + AFTERWARDS)?;
        let result = self.hand_over(permit, before, work, options);
        // It is renewed again from here; where this fails it ends a while later.
        let _ = finishing(|| self.host.keep_lease_for(Duration::ZERO));
        result
    }

    fn hand_over(
        &self,
        permit: &Permit,
        before: &Look,
        work: &Work,
        options: &Options,
    ) -> Result<Report, Fault> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let shell = self.host.shell();
        let stage = Command::argv(["sh", "-c", STAGE, "kvmsh", &id])
            .stdin(payload(&id, work, options))
            .sudo(self.sudo)
            .timeout(Some(Duration::from_secs(60)));
        let staged = shell.run(permit, &stage).map_err(|error| self.fault(error))?;
        self.accept(&staged, "handing the change over")?;
        self.accept(&self.run(permit, shell, &["arm", &id])?, "arming the dead-man switch")?;

        let began = Instant::now();
        let task = self.host.session().progress().task(self.host.name());
        let note = |text: String| task.step(&Step { note: text, ..Step::default() });
        note(format!(
            "changing the network ({}); it undoes itself in {} s",
            work.title,
            options.confirm_within.as_secs()
        ));
        // From here on the change takes its way on the host, whatever becomes of this connection.
        let started = self.run(permit, shell, &["start", &id]);
        shell.disconnect();
        if let Ok(output) = &started {
            self.accept(output, "starting the change")?;
        }
        let watch = Watch { site: self, permit, before, work, options, id: &id, began };
        let result = watch.to_the_end(&note);
        self.host.shell().disconnect();
        let step = |text: &str| Step { note: text.to_owned(), ..Step::default() };
        match &result {
            Ok(report) => {
                let took = report.took.as_secs_f64();
                task.finish(true, &step(&format!("{}: confirmed after {took:.0} s", work.title)));
            }
            Err(fault) => task.finish(false, &step(&fault.message)),
        }
        result
    }

    /// What deadman's statuses mean. Nothing was touched when one of these comes.
    fn accept(&self, output: &ssh::Output, doing: &str) -> Result<(), Fault> {
        let said = output.error_text();
        let refuse = |code: &str, message: String, hint: &str| {
            Err(Fault::new(code, message).class(Class::Refused).hint(hint.to_owned()))
        };
        match output.status {
            0 => Ok(()),
            60 => refuse("network_pending", said, "wait until it is undone, which its timer does by itself"),
            61 => refuse(
                "network_file_changed",
                format!("{said} has changed since it was looked at"),
                "somebody else is at work there; try again",
            ),
            62 => refuse("network_no_switch", said, "nothing was changed"),
            status => {
                Err(Fault::new("network_failed", format!("{doing} ended with status {status}")).because(said))
            }
        }
    }
}

/// How much of a network is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Also who looks after it, and by which files.
    All,
    /// What there is now; takes a third of the time.
    Live,
}

pub(super) fn look(host: &Host, shell: &Shell, sudo: bool, depth: Depth) -> Result<Look, Fault> {
    let fail = |error: ssh::Error| Fault::from(error).on_host(host.name());
    let depth = match depth {
        Depth::All => "all",
        Depth::Live => "live",
    };
    // sudo hides how we came in.
    let mut connection = String::new();
    if sudo {
        let env = Probe::script("printf %s \"${SSH_CONNECTION-}\"", [""; 0]);
        connection = shell.probe(&env).map_err(fail)?.text();
    }
    let probe =
        Probe::script(LOOK, [depth.to_owned(), connection]).sudo(sudo).timeout(Duration::from_secs(60));
    let output = shell.probe(&probe).map_err(fail)?;
    let look = Look::parse(&output.text());
    if !output.ok() || look.links.is_empty() {
        return Err(Fault::new("probe_failed", "cannot look at the network")
            .on_host(host.name())
            .because(output.error_text())
            .hint("the host needs sh, iproute2 and coreutils"));
    }
    Ok(look)
}

/// A line for sh; what cannot be one was refused before.
fn shell_line(argv: &Argv) -> String {
    ssh::shell_line(argv).unwrap_or_default()
}

/// What is handed over: lines of NAME and base64.
fn payload(id: &str, work: &Work, options: &Options) -> String {
    let mut text = String::new();
    let mut put = |name: &str, bytes: &[u8]| {
        let _ = writeln!(text, "{name} {}", base64::encode(bytes, true));
    };
    put("deadman", DEADMAN.as_bytes());
    put("id", format!("{id}\n").as_bytes());
    put("title", format!("{}\n", work.title).as_bytes());
    put("seconds", format!("{}\n", options.confirm_within.as_secs()).as_bytes());
    let lines =
        |commands: &[Argv]| commands.iter().map(|argv| format!("{}\n", shell_line(argv))).collect::<String>();
    put("pre", lines(&work.pre).as_bytes());
    put("post", lines(&work.post).as_bytes());
    put("undo-pre", lines(&work.undo_pre).as_bytes());
    put("undo-post", lines(&work.undo_post).as_bytes());
    put("links", work.links.iter().map(|link| format!("{link}\n")).collect::<String>().as_bytes());
    put("touched", work.touched.iter().map(|link| format!("{link}\n")).collect::<String>().as_bytes());
    if work.netplan {
        put("netplan", b"");
    }
    for (n, Edit { path, before, after, mode }) in work.edits.iter().enumerate() {
        put(&format!("{n}.path"), format!("{path}\n").as_bytes());
        put(&format!("{n}.mode"), format!("{mode}\n").as_bytes());
        let sum = before.as_deref().map_or_else(|| "-".to_owned(), |bytes| Digest::of(bytes).sha256);
        put(&format!("{n}.sum"), format!("{sum}\n").as_bytes());
        if let Some(after) = after {
            put(&format!("{n}.after"), after);
        }
    }
    for (name, record) in &work.keep {
        put(&format!("keep-{name}"), serde_json::to_string(record).unwrap_or_default().as_bytes());
    }
    for name in &work.drop {
        put(&format!("drop-{name}"), b"");
    }
    text
}

/// What a plan lists and the journal keeps, in order.
fn changes(host: &str, look: &Look, work: &Work, options: &Options) -> Vec<Change> {
    let seconds = options.confirm_within.as_secs();
    let mut changes = vec![Change::new(host, "network", &work.title, "change").detail(format!(
        "undone by the host itself unless confirmed within {seconds} s over a new SSH connection, and at its next start"
    ))];
    let text = |bytes: &Option<Vec<u8>>| {
        bytes.as_deref().map_or(Some(String::new()), |b| String::from_utf8(b.to_vec()).ok())
    };
    let cut = work.pre.iter().any(|argv| argv.contains(&look.main)) || work.netplan;
    let run = |argv: &Argv| Change::new(host, "command", &Command::argv(argv.clone()).display(), "run");
    for argv in &work.pre {
        let change = run(argv);
        changes.push(if argv.contains(&look.main) {
            change.detail(format!("from here on {host} cannot be reached"))
        } else {
            change
        });
    }
    for edit in &work.edits {
        let action = match (&edit.before, &edit.after) {
            (_, None) => "remove",
            (None, _) => "create",
            _ => "write",
        };
        let mut change = Change::new(host, "file", &edit.path, action);
        (change.before, change.after) = (text(&edit.before), text(&edit.after));
        changes.push(change);
    }
    for (at, argv) in work.post.iter().enumerate() {
        let change = run(argv);
        let last = cut && at + 1 == work.post.len();
        changes.push(if last { change.detail(format!("{host} can be reached again")) } else { change });
    }
    changes.push(
        Change::new(host, "network", &work.title, "confirm").detail(format!("if: {}", work.expect.summary())),
    );
    changes
}
