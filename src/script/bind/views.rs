//! What lives at the terminal: views that are drawn anew, streams of events, a guest's console and screen.

use std::path::Path;
use std::time::{Duration, Instant};

use rhai::plugin::*;
use rhai::{Array, Dynamic, FnPtr, Map};

use super::super::error::{Outcome, misuse};
use super::super::options::{Options, duration, keys};
use super::super::show;
use super::{at, host_of, int, session};
use crate::gate::Scope;
use crate::libvirt::Events;
use crate::model::{Data, Fault, MigrateOptions};
use crate::ops::monitor::Monitor;
use crate::ops::{Domain, Host};

/// Views are not drawn more often: nobody could read them.
const LEAST: Duration = Duration::from_millis(100);

/// The pause between two readings of `top`.
const EVERY: Duration = Duration::from_secs(2);

fn pause(function: &str, value: &Dynamic) -> Outcome<Duration> {
    let time =
        duration(value).ok_or_else(|| misuse(format!("{function}: seconds are a number, 0 or more")))?;
    Ok(time.max(LEAST))
}

fn watch_times(
    ctx: &NativeCallContext<'_>,
    seconds: &Dynamic,
    times: Option<u64>,
    f: &FnPtr,
) -> Outcome<Dynamic> {
    let every = pause("watch", seconds)?;
    let session = session(ctx)?;
    let mut last: Outcome<Dynamic> = Ok(Dynamic::UNIT);
    let mut left = times;
    let mut next = || {
        if left == Some(0) {
            return None;
        }
        left = left.map(|left| left - 1);
        last = f.call_within_context::<Dynamic>(ctx, ());
        last.as_ref().ok().map(show::data)
    };
    let ended = session.screen().watch(every, &mut next);
    let value = last?;
    ended?;
    Ok(value)
}

/// The hosts that a function is given: one, a name, or an array of either.
pub(super) fn hosts_of(ctx: &NativeCallContext<'_>, function: &str, value: &Dynamic) -> Outcome<Vec<Host>> {
    match value.read_lock::<Array>() {
        Some(array) => array.iter().map(|item| host_of(ctx, function, item)).collect(),
        None => Ok(vec![host_of(ctx, function, value)?]),
    }
}

/// Shows the guests of these hosts at work.
fn at_work(ctx: &NativeCallContext<'_>, hosts: Vec<Host>, options: Map) -> Outcome<()> {
    let options = Options::new(&keys::TOP, options)?;
    let every = options.seconds("every")?.unwrap_or(EVERY).max(LEAST);
    let times = options.count("times")?;
    let session = session(ctx)?;
    if hosts.is_empty() {
        return Err(nobody("there is no host whose guests could be shown", "top"));
    }
    let move_one = |domain: &Domain, target: &Host, how: &MigrateOptions| {
        super::moves::migrate_one(domain, target, how).map(drop)
    };
    let monitor = Monitor::start(hosts, every, &move_one);
    // What is done from the view was asked for by this line.
    Ok(at(ctx, || session.screen().top(&monitor, every, times))?)
}

/// The fault of a view of all hosts where there are none, and what to do about it.
fn nobody(message: &str, function: &str) -> Box<rhai::EvalAltResult> {
    Fault::new("no_hosts", message)
        .class(crate::model::Class::Refused)
        .hint(format!(
            "add one: `kvmsh hosts add NAME ADDRESS` (at the prompt with `!` before it, then `:reload`); \
             or try {function}(\"test:///default\")"
        ))
        .into()
}

/// Writes events as lines until the time is over; returns how many there were.
fn stream(ctx: &NativeCallContext<'_>, hosts: &[Host], options: Map) -> Outcome<i64> {
    let options = Options::new(&keys::EVENT_LINES, options)?;
    let name = options.text("domain")?.map(|glob| wildmatch::WildMatch::new(&glob));
    let kind = options.text("event")?;
    let limit = options.seconds("timeout")?;
    let session = session(ctx)?;
    let mut open: Vec<(&Host, Events)> = Vec::new();
    let mut first: Option<Fault> = None;
    let fault = |host: &Host, error: crate::libvirt::Error| Fault::from(error).on_host(host.name());
    if hosts.is_empty() {
        return Err(nobody("there is no host whose events could be told", "events"));
    }
    let scope = Scope::current();
    let listen = |host: &Host| -> Result<Events, Fault> {
        scope.enter(|| host.events_connection()?.events().map_err(|error| fault(host, error)))
    };
    // All at once: one that is dead must not keep the others waiting.
    let answers: Vec<Result<Events, Fault>> = std::thread::scope(|threads| {
        let asked: Vec<_> = hosts.iter().map(|host| threads.spawn(|| listen(host))).collect();
        let answer = |one: std::thread::ScopedJoinHandle<'_, _>| {
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        asked.into_iter().map(answer).collect()
    });
    for (host, answer) in hosts.iter().zip(answers) {
        match answer {
            Ok(events) => open.push((host, events)),
            Err(fault) if hosts.len() == 1 => return Err(fault.into()),
            Err(fault) => {
                session.progress().say(&format!("warning: no events of {}: {fault}", host.name()));
                first = first.or(Some(fault));
            }
        }
    }
    if open.is_empty()
        && let Some(fault) = first
    {
        return Err(fault.into());
    }
    if session.screen().is_live() {
        let hosts: Vec<&str> = open.iter().map(|(host, _)| host.name()).collect();
        session.progress().say(&format!("events of {}; Ctrl-C ends", hosts.join(", ")));
    }
    let began = Instant::now();
    let mut seen = 0;
    // Each host waits its share, so that a stop is seen soon.
    let share = Duration::from_millis(100) / u32::try_from(open.len().max(1)).unwrap_or(u32::MAX);
    while limit.is_none_or(|limit| began.elapsed() < limit) {
        session.cancel().check()?;
        let mut lost = None;
        for (at, (host, events)) in open.iter().enumerate() {
            match events.next(share) {
                Ok(None) => {}
                Ok(Some(event)) => {
                    let wanted = name.as_ref().is_none_or(|glob| glob.matches(&event.domain))
                        && kind.as_deref().is_none_or(|kind| kind == event.event);
                    if wanted {
                        seen += 1;
                        session.screen().line(&line(host.name(), &event))?;
                    }
                }
                Err(error) => lost = Some((at, fault(host, error))),
            }
        }
        // A host that has gone is told of, and the others go on.
        if let Some((at, fault)) = lost {
            let (host, _) = open.remove(at);
            if open.is_empty() {
                return Err(fault.into());
            }
            session.progress().say(&format!("{} has gone: {fault}", host.name()));
        }
    }
    Ok(seen)
}

/// An event as a line of text.
fn line(host: &str, event: &crate::model::Event) -> Data {
    let time = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
    Data::Text(format!("{time}  {host}  {}  {} ({})", event.domain, event.event, event.detail))
}

#[export_module(manifest)]
pub(super) mod functions {
    /// Calls `f` again and again and shows what it returns in the same place, until `q` is pressed.
    ///
    /// `seconds`: the pause between, at least 0.1. Where no terminal is, one result is written below the other.
    /// Returns the last value. Ctrl-C ends the script too.
    ///
    /// Errors: what `f` throws; `invalid_arg`.
    ///
    /// Example: `if false { watch(2, || host("test:///default").domains()) }`
    #[rhai_fn(name = "watch", return_raw)]
    pub fn watch(ctx: NativeCallContext<'_>, seconds: Dynamic, f: FnPtr) -> Outcome<Dynamic> {
        watch_times(&ctx, &seconds, None, &f)
    }

    /// As `watch(seconds, f)`, and at most so many `times`.
    ///
    /// Errors: what `f` throws; `invalid_arg`.
    ///
    /// Example: `watch(0.1, 2, || host("test:///default").domains())`
    #[rhai_fn(name = "watch", return_raw)]
    pub fn watch_some(
        ctx: NativeCallContext<'_>,
        seconds: Dynamic,
        times: i64,
        f: FnPtr,
    ) -> Outcome<Dynamic> {
        let times = u64::try_from(times).map_err(|_| misuse("watch: the number of times is 0 or more"))?;
        watch_times(&ctx, &seconds, Some(times), &f)
    }

    /// Writes the lifecycle events of all hosts as lines, until Ctrl-C.
    ///
    /// Returns how many there were. `host.events(filter, f)` calls a function with each.
    ///
    /// Errors: `no_hosts` where the inventory has none; faults of the connections; `connection_lost` when no host is left.
    ///
    /// Example: `if false { events() }`
    #[rhai_fn(name = "events", return_raw)]
    pub fn events(ctx: NativeCallContext<'_>) -> Outcome<i64> {
        let hosts = session(&ctx)?.hosts(&[])?;
        stream(&ctx, &hosts, Map::new())
    }

    /// As `events()`, of these hosts.
    ///
    /// `hosts`: a Host or its name, or an array of them.
    ///
    /// Errors: as `events()`.
    ///
    /// Example: `if false { events("test:///default") }`
    #[rhai_fn(name = "events", return_raw)]
    pub fn events_of(ctx: NativeCallContext<'_>, hosts: Dynamic) -> Outcome<i64> {
        let hosts = hosts_of(&ctx, "events", &hosts)?;
        stream(&ctx, &hosts, Map::new())
    }

    /// As `events(hosts)`, only some and for some time.
    ///
    /// Errors: as `events()`; `unknown_option`.
    ///
    /// Example: `events("test:///default", #{timeout: 0.01})`
    #[rhai_fn(name = "events", return_raw)]
    pub fn events_some(ctx: NativeCallContext<'_>, hosts: Dynamic, options: Map) -> Outcome<i64> {
        let hosts = hosts_of(&ctx, "events", &hosts)?;
        stream(&ctx, &hosts, options)
    }

    /// Guests of all hosts at work, busiest first: processor, memory, disk and network rates, until `q` is pressed.
    ///
    /// `?` there tells the keys: sort, filter, suspend, move, console. Where no terminal is, a table every 2 s.
    ///
    /// Errors: `no_hosts` where the inventory has none; a host that cannot be reached is shown as down.
    ///
    /// Example: `if false { top() }`
    #[rhai_fn(name = "top", return_raw)]
    pub fn top(ctx: NativeCallContext<'_>) -> Outcome<()> {
        let hosts = session(&ctx)?.hosts(&[])?;
        at_work(&ctx, hosts, Map::new())
    }

    /// As `top()`, of these hosts.
    ///
    /// `hosts`: a Host or its name, or an array of them.
    ///
    /// Errors: as `top()`.
    ///
    /// Example: `if false { top("test:///default") }`
    #[rhai_fn(name = "top", return_raw)]
    pub fn top_of(ctx: NativeCallContext<'_>, hosts: Dynamic) -> Outcome<()> {
        let hosts = hosts_of(&ctx, "top", &hosts)?;
        at_work(&ctx, hosts, Map::new())
    }

    /// As `top(hosts)`, with options.
    ///
    /// Errors: as `top()`; `unknown_option`.
    ///
    /// Example: `top("test:///default", #{every: 0.1, times: 1})`
    #[rhai_fn(name = "top", return_raw)]
    pub fn top_with(ctx: NativeCallContext<'_>, hosts: Dynamic, options: Map) -> Outcome<()> {
        let hosts = hosts_of(&ctx, "top", &hosts)?;
        at_work(&ctx, hosts, options)
    }

    /// Joins the terminal to the guest's serial console; Ctrl-] leaves it.
    ///
    /// Errors: `no_terminal` where nobody is there to type; `not_running`; `operation_failed` when somebody has it open.
    ///
    /// Example: `try { host("test:///default").domain("test").console() } catch (err) { err.code }`
    #[rhai_fn(name = "console", return_raw, pure)]
    pub fn console(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        console_with(ctx, domain, Map::new())
    }

    /// As `console()`, with options.
    ///
    /// Errors: as `console()`; `unknown_option`.
    ///
    /// Example: `try { host("test:///default").domain("test").console(#{force: true}) } catch (err) { err.code }`
    #[rhai_fn(name = "console", return_raw, pure)]
    pub fn console_with(ctx: NativeCallContext<'_>, domain: &mut Domain, options: Map) -> Outcome<()> {
        let options = Options::new(&keys::CONSOLE, options)?;
        let (device, force) = (options.text("device")?, options.flag("force")?);
        Ok(at(&ctx, || domain.console(device.as_deref(), force))?)
    }

    /// Writes what the guest's screen shows to a PNG file of this machine.
    ///
    /// Returns `#{path, width, height}`, in dots. A file that is there is replaced.
    ///
    /// Errors: `not_running`; `invalid_arg` where it has no screen; `file_write`.
    ///
    /// Example: `host("test:///default").domain("test").screenshot("/dev/null").width`
    #[rhai_fn(name = "screenshot", return_raw, pure)]
    pub fn screenshot(domain: &mut Domain, path: &str) -> Outcome<Map> {
        screenshot_of(domain, path, Map::new())
    }

    /// As `screenshot(path)`, of another screen.
    ///
    /// Errors: as `screenshot(path)`; `unknown_option`.
    ///
    /// Example: `host("test:///default").domain("test").screenshot("/dev/null", #{screen: 0}).height`
    #[rhai_fn(name = "screenshot", return_raw, pure)]
    pub fn screenshot_of(domain: &mut Domain, path: &str, options: Map) -> Outcome<Map> {
        let screen = Options::new(&keys::SCREENSHOT, options)?.count("screen")?.unwrap_or(0);
        let screen = u32::try_from(screen).map_err(|_| misuse("screenshot: there is no such screen"))?;
        let (width, height) = domain.screenshot(screen, Path::new(path))?;
        Ok(Map::from([
            ("path".into(), path.into()),
            ("width".into(), int(width.into()).into()),
            ("height".into(), int(height.into()).into()),
        ]))
    }
}
