//! The course of a script: stops, waits, several things at a time, plans.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rhai::plugin::*;
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, Map, Position};

use super::super::diagnose::diagnose;
use super::super::error::{Outcome, ScriptFault, misuse};
use super::super::modules::Texts;
use super::super::options::duration;
use super::super::show;
use super::session;
use crate::gate::Scope;
use crate::model::{Fault, clearing, limited};

/// What `exit(code)` ends the script with.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Exit(pub(in super::super) u8);

/// How many threads `par` uses where the script does not say: they wait for
/// hosts, not for processors.
const DEFAULT_PARALLEL: usize = 64;

/// How long a script may take to clear away.
const CLEAR_WITHIN: Duration = Duration::from_secs(60);

fn seconds(function: &str, value: &Dynamic) -> Outcome<Duration> {
    duration(value).ok_or_else(|| misuse(format!("{function}: seconds are a number, 0 or more")))
}

fn wait(ctx: &NativeCallContext<'_>, time: Dynamic) -> Outcome<()> {
    let time = seconds("sleep", &time)?;
    match session(ctx)?.cancel().sleep(time) {
        Some(stop) => Err(stop.fault().into()),
        None => Ok(()),
    }
}

/// A value of its own, not shared with anybody: Rhai locks what closures share
/// for as long as a method of it runs, so that two threads could not use one
/// host at a time.
fn unshared(value: Dynamic) -> Dynamic {
    let mut value = value.flatten();
    if let Some(mut f) = value.write_lock::<FnPtr>() {
        f.iter_curry_mut().for_each(unshare);
    } else if let Some(mut items) = value.write_lock::<Array>() {
        items.iter_mut().for_each(unshare);
    } else if let Some(mut map) = value.write_lock::<Map>() {
        map.values_mut().for_each(unshare);
    }
    value
}

fn unshare(value: &mut Dynamic) {
    *value = unshared(std::mem::take(value));
}

/// Maps `f` over `items` on several threads; order kept, every item done. Each
/// call has its own copy of the variables that `f` uses.
fn map_all(
    ctx: &NativeCallContext<'_>,
    items: &Array,
    parallel: usize,
    f: &FnPtr,
) -> Outcome<Vec<Outcome<Dynamic>>> {
    let results = map_some(ctx, items, parallel, f, false)?;
    results
        .into_iter()
        .map(|result| {
            result.ok_or_else(|| Fault::new("no_thread", "the system gives no more threads").into())
        })
        .collect()
}

/// As [`map_all`]; with `stop` what has not begun when one fails is left out.
fn map_some(
    ctx: &NativeCallContext<'_>,
    items: &Array,
    parallel: usize,
    f: &FnPtr,
    stop: bool,
) -> Outcome<Vec<Option<Outcome<Dynamic>>>> {
    let session = session(ctx)?;
    let scope = Scope::current();
    let mut f = f.clone();
    f.iter_curry_mut().for_each(unshare);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let results: Mutex<Vec<Option<Outcome<Dynamic>>>> = Mutex::new(items.iter().map(|_| None).collect());
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at).filter(|_| !(stop && failed.load(Ordering::Relaxed))) else {
                return;
            };
            let result = match session.cancel().check() {
                Ok(()) => f.call_within_context::<Dynamic>(ctx, (unshared(item.clone()),)),
                Err(stop) => Err(stop.into()),
            };
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            results.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(result);
        }
    };
    let threads = parallel.clamp(1, items.len().max(1));
    std::thread::scope(|threads_scope| {
        for _ in 0..threads {
            // Script functions need more stack than Rust's 2 MiB in debug builds.
            let builder = std::thread::Builder::new().stack_size(16 << 20);
            let spawned = builder.spawn_scoped(threads_scope, || scope.enter(work));
            if spawned.is_err() {
                break;
            }
        }
    });
    Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The end of a step that took too long, as the engine has it.
fn step_timeout(error: &EvalAltResult) -> Option<Fault> {
    match error {
        EvalAltResult::ErrorTerminated(token, _) => {
            let fault = token.read_lock::<ScriptFault>()?.fault.clone();
            (fault.code == "step_timeout").then_some(fault)
        }
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            step_timeout(inner)
        }
        _ => None,
    }
}

fn stop_of(error: &EvalAltResult) -> bool {
    match error {
        EvalAltResult::ErrorTerminated(..) => true,
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            stop_of(inner)
        }
        _ => false,
    }
}

fn innermost(error: &EvalAltResult) -> Dynamic {
    match error {
        EvalAltResult::ErrorRuntime(value, _) => value.clone(),
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            innermost(inner)
        }
        other => Dynamic::from(ScriptFault { fault: Fault::new("script_error", other.to_string()) }),
    }
}

fn par_of(ctx: &NativeCallContext<'_>, items: &Array, parallel: usize, f: &FnPtr) -> Outcome<Array> {
    // The first error in the order of the items; all of them have ended by then.
    map_all(ctx, items, parallel, f)?.into_iter().collect()
}

fn try_par_of(ctx: &NativeCallContext<'_>, items: &Array, parallel: usize, f: &FnPtr) -> Outcome<Array> {
    map_all(ctx, items, parallel, f)?
        .into_iter()
        .map(|result| {
            let mut row = Map::new();
            let (ok, value, error) = match result {
                Ok(value) => (true, value, Dynamic::UNIT),
                Err(error) if stop_of(&error) => return Err(error),
                Err(error) => (false, Dynamic::UNIT, innermost(&error)),
            };
            row.insert("ok".into(), ok.into());
            row.insert("value".into(), value);
            row.insert("error".into(), error);
            Ok(Dynamic::from(row))
        })
        .collect()
}

fn limit_of(function: &str, parallel: i64) -> Outcome<usize> {
    usize::try_from(parallel)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| misuse(format!("{function}: the number at a time is 1 or more")))
}

#[export_module(manifest)]
pub(super) mod functions {
    /// Ends the script, or leaves the prompt, with this exit code.
    ///
    /// `code`: 0 to 255. No `catch` sees it.
    ///
    /// Errors: `invalid_arg` for another number.
    ///
    /// Example: `if false { exit(5) }`
    #[rhai_fn(name = "exit", return_raw)]
    pub fn exit(code: i64) -> Outcome<()> {
        let code = u8::try_from(code).map_err(|_| misuse("exit: the code is 0 to 255"))?;
        Err(Box::new(EvalAltResult::ErrorTerminated(Dynamic::from(Exit(code)), Position::NONE)))
    }

    /// Ends the script, or leaves the prompt, with exit code 0.
    ///
    /// Example: `if args.len() > 9 { exit() }`
    #[rhai_fn(name = "exit", return_raw)]
    pub fn exit_well() -> Outcome<()> {
        exit(0)
    }

    /// Waits this many seconds; a Ctrl-C or `--timeout` ends the wait at once.
    ///
    /// Errors: `invalid_arg` for a negative number.
    ///
    /// Example: `sleep(0)`
    // Not one function of a `Dynamic`: Rhai's own `sleep`, which nothing stops,
    // takes exactly these types and would be preferred.
    #[rhai_fn(name = "sleep", return_raw)]
    pub fn sleep(ctx: NativeCallContext<'_>, seconds: i64) -> Outcome<()> {
        wait(&ctx, seconds.into())
    }

    /// Waits this many seconds, a fraction too.
    ///
    /// Errors: `invalid_arg` for a negative number.
    ///
    /// Example: `sleep(0.01)`
    #[rhai_fn(name = "sleep", return_raw)]
    pub fn sleep_fraction(ctx: NativeCallContext<'_>, seconds: f64) -> Outcome<()> {
        wait(&ctx, seconds.into())
    }

    /// Calls `f` every 0.2 s until it returns `true`.
    ///
    /// Errors: `wait_timeout` after `seconds`; what `f` throws.
    ///
    /// Example: `wait_until(5, || host("test:///default").domain("test").state == "running")`
    #[rhai_fn(name = "wait_until", return_raw)]
    pub fn wait_until(ctx: NativeCallContext<'_>, seconds: Dynamic, f: FnPtr) -> Outcome<()> {
        let limit = super::seconds("wait_until", &seconds)?;
        let session = session(&ctx)?;
        let began = Instant::now();
        loop {
            let value: Dynamic = f.call_within_context(&ctx, ())?;
            match value.as_bool() {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(_) => return Err(misuse("wait_until: the function must return true or false")),
            }
            if began.elapsed() >= limit {
                let message = format!("what was waited for did not come within {} s", limit.as_secs_f64());
                return Err(Fault::new("wait_timeout", message).into());
            }
            if let Some(stop) = session.cancel().sleep(Duration::from_millis(200)) {
                return Err(stop.fault().into());
            }
        }
    }

    /// Calls `f` until it does not throw, and returns its value.
    ///
    /// `times`: how often at most; `seconds`: the pause between.
    ///
    /// Errors: what the last call threw.
    ///
    /// Example: `retry(3, 0.01, || 42)`
    #[rhai_fn(name = "retry", return_raw)]
    pub fn retry(ctx: NativeCallContext<'_>, times: i64, seconds: Dynamic, f: FnPtr) -> Outcome<Dynamic> {
        let pause = super::seconds("retry", &seconds)?;
        let session = session(&ctx)?;
        let mut left = times.max(1);
        loop {
            left -= 1;
            match f.call_within_context::<Dynamic>(&ctx, ()) {
                Err(error) if left > 0 && !stop_of(&error) => {
                    if let Some(stop) = session.cancel().sleep(pause) {
                        return Err(stop.fault().into());
                    }
                }
                result => return result,
            }
        }
    }

    /// Calls `f`, which may take so many seconds, and returns its value.
    ///
    /// What `f` waits for is then given up, a change under way aborted, as on a Ctrl-C.
    ///
    /// Errors: `step_timeout`; what `f` throws.
    ///
    /// Example: `within(5, || host("test:///default").hostname)`
    #[rhai_fn(name = "within", return_raw)]
    pub fn within(ctx: NativeCallContext<'_>, seconds: Dynamic, f: FnPtr) -> Outcome<Dynamic> {
        let limit = super::seconds("within", &seconds)?;
        let result = limited(limit, || f.call_within_context::<Dynamic>(&ctx, ()));
        result.map_err(|error| match super::step_timeout(&error) {
            // Who ended the loop inside ended it uncatchably; here it is an error like others.
            Some(fault) => fault.into(),
            None => error,
        })
    }

    /// Calls `f`, then `clean_up`, however `f` ends, and returns the value of `f`.
    ///
    /// Also after an error, `exit`, Ctrl-C, SIGTERM, SIGHUP and `--timeout`. What clears away has 60 s, sees no stop, and may make changes after `--window` has closed.
    ///
    /// Errors: what `f` throws; what `clean_up` throws where `f` did not (else it is said as well).
    ///
    /// Example: `finally(|| 42, || print("cleared away"))`
    #[rhai_fn(name = "finally", return_raw)]
    pub fn finally(ctx: NativeCallContext<'_>, f: FnPtr, clean_up: FnPtr) -> Outcome<Dynamic> {
        let result = f.call_within_context::<Dynamic>(&ctx, ());
        let cleared = clearing(CLEAR_WITHIN, || clean_up.call_within_context::<Dynamic>(&ctx, ()));
        match (result, cleared) {
            (Ok(value), Ok(_)) => Ok(value),
            (Ok(_), Err(error)) => match super::step_timeout(&error) {
                Some(fault) => Err(fault.into()),
                None => Err(error),
            },
            (Err(error), Ok(_)) => Err(error),
            (Err(error), Err(second)) => {
                let fault = diagnose(ctx.engine(), second, "", &Texts::default()).fault;
                let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                session(&ctx)?.progress().say(&format!("error: clearing away failed as well: {fault}{hint}"));
                Err(error)
            }
        }
    }

    /// Calls `f` and remembers that it is done: the run after one that failed or was killed takes its value from there.
    ///
    /// Steps belong to the script and its arguments, and are forgotten when it ends well, after a week, and by `--start-over`.
    /// The value is data: numbers, texts, arrays, maps.
    ///
    /// Errors: what `f` throws: then it is not done; `steps` when it cannot be written down.
    ///
    /// Example: `once("drain", || 42)`
    #[rhai_fn(name = "once", return_raw)]
    pub fn once(ctx: NativeCallContext<'_>, step: &str, f: FnPtr) -> Outcome<Dynamic> {
        let session = session(&ctx)?;
        if let Some(value) = session.steps().done(step) {
            session.progress().say(&format!("{step}: done by an earlier run"));
            return Ok(show::from_serde(&value)?);
        }
        let value = f.call_within_context::<Dynamic>(&ctx, ())?;
        if session.gate().mode() == crate::gate::Mode::Apply {
            session.steps().finish(step, show::json(&value))?;
        }
        Ok(value)
    }

    /// Whether `-q` was given: a script then prints no more than what nobody could do without.
    ///
    /// Example: `if !quiet() { print("done") }`
    #[rhai_fn(name = "quiet", return_raw)]
    pub fn quiet(ctx: NativeCallContext<'_>) -> Outcome<bool> {
        Ok(session(&ctx)?.manner().quiet)
    }

    /// As `par(items, f)`, with options.
    ///
    /// Errors: as `par`; with `stop_on_error` what has not begun by then is left out.
    ///
    /// Example: `par([1, 2, 3], #{parallel: 2, stop_on_error: true}, |n| n * 2)`
    #[rhai_fn(name = "par", return_raw)]
    pub fn par_with(ctx: NativeCallContext<'_>, items: Array, options: Map, f: FnPtr) -> Outcome<Array> {
        use super::super::super::options::{Options, keys};
        let options = Options::new(&keys::PAR, options)?;
        let parallel = options
            .count("parallel")?
            .map_or(Ok(DEFAULT_PARALLEL), |n| limit_of("par", i64::try_from(n).unwrap_or(i64::MAX)))?;
        let stop = options.flag("stop_on_error")?;
        let results = map_some(&ctx, &items, parallel, &f, stop)?;
        let short = !stop && results.iter().any(Option::is_none);
        if short {
            return Err(Fault::new("no_thread", "the system gives no more threads").into());
        }
        // What was left out tells nothing; the error that it was left out for does.
        let (done, failed): (Vec<_>, Vec<_>) = results.into_iter().flatten().partition(Result::is_ok);
        match failed.into_iter().next() {
            Some(error) => error.map(|_| Array::new()),
            None => done.into_iter().collect(),
        }
    }

    /// Calls `f` for each item, up to 64 at a time; returns the values in the order of the items.
    ///
    /// Each call works on its own copy of the variables that `f` uses: return what is to be kept, for what
    /// `f` assigns to them is gone with the call.
    ///
    /// Errors: the first one thrown, in that order, after all have ended.
    ///
    /// Example: `par([1, 2, 3], |n| n * 2)`
    #[rhai_fn(name = "par", return_raw)]
    pub fn par(ctx: NativeCallContext<'_>, items: Array, f: FnPtr) -> Outcome<Array> {
        par_of(&ctx, &items, DEFAULT_PARALLEL, &f)
    }

    /// As `par(items, f)`, `n` at a time.
    ///
    /// Example: `par([1, 2, 3], 2, |n| n * 2)`
    #[rhai_fn(name = "par", return_raw)]
    pub fn par_limited(ctx: NativeCallContext<'_>, items: Array, n: i64, f: FnPtr) -> Outcome<Array> {
        par_of(&ctx, &items, limit_of("par", n)?, &f)
    }

    /// As `par`, but errors become rows: each `#{ok, value, error}`.
    ///
    /// Example: `try_par([1, 0], |n| 6 / n)`
    #[rhai_fn(name = "try_par", return_raw)]
    pub fn try_par(ctx: NativeCallContext<'_>, items: Array, f: FnPtr) -> Outcome<Array> {
        try_par_of(&ctx, &items, DEFAULT_PARALLEL, &f)
    }

    /// As `try_par(items, f)`, `n` at a time.
    ///
    /// Example: `try_par([1, 0], 1, |n| 6 / n)`
    #[rhai_fn(name = "try_par", return_raw)]
    pub fn try_par_limited(ctx: NativeCallContext<'_>, items: Array, n: i64, f: FnPtr) -> Outcome<Array> {
        try_par_of(&ctx, &items, limit_of("try_par", n)?, &f)
    }

    /// Runs `f` without changing anything and returns what it would change.
    ///
    /// An array of `#{host, kind, object, action, detail, …}`.
    ///
    /// Errors: what `f` throws.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").suspend())`
    #[rhai_fn(name = "plan", return_raw)]
    pub fn plan(ctx: NativeCallContext<'_>, f: FnPtr) -> Outcome<Array> {
        let session = session(&ctx)?;
        let (result, changes) = session.gate().planning(|| f.call_within_context::<Dynamic>(&ctx, ()));
        let _value = result?;
        changes.iter().map(|change| Ok(show::from_serde(change)?)).collect()
    }

    /// Whether changes are only planned now: under `--plan`, or inside `plan(f)`.
    ///
    /// Example: `planning()`
    #[rhai_fn(name = "planning", return_raw)]
    pub fn planning(ctx: NativeCallContext<'_>) -> Outcome<bool> {
        Ok(session(&ctx)?.gate().mode() == crate::gate::Mode::Plan)
    }

    /// Asks yes or no at the terminal; `--yes` answers yes.
    ///
    /// Errors: `not_confirmed` (exit 4) where nobody is there to answer.
    ///
    /// Example: `try { if confirm("Go on?") { "yes" } } catch (e) { e.code }`
    #[rhai_fn(name = "confirm", return_raw)]
    pub fn confirm(ctx: NativeCallContext<'_>, question: &str) -> Outcome<bool> {
        Ok(session(&ctx)?.confirm(question)?)
    }

    /// Throws an error that `catch` sees and that decides the exit code.
    ///
    /// `kind`: `"failed"` (exit code 1), `"usage"` (2), `"connect"` (3), `"refused"` (4) or `"partial"` (5).
    ///
    /// Errors: the one it makes; `invalid_arg` for another kind.
    ///
    /// Example: `try { fail("refused", #{message: "no"}) } catch (e) { e.message }`
    #[rhai_fn(name = "fail", return_raw)]
    pub fn fail(kind: &str, details: Map) -> Outcome<()> {
        use super::super::super::options::{Options, keys};
        use crate::model::Class;
        let details = Options::new(&keys::FAIL, details)?;
        let class = match kind {
            "failed" => Class::Failed,
            "usage" => Class::Usage,
            "connect" => Class::Connect,
            "refused" => Class::Refused,
            "partial" => Class::Partial,
            _ => {
                return Err(misuse(format!(
                    "fail: `{kind}` is not failed, usage, connect, refused or partial"
                )));
            }
        };
        let mut fault = Fault::new(
            details.text("code")?.unwrap_or_else(|| kind.to_owned()),
            details.text("message")?.unwrap_or_default(),
        )
        .class(class);
        fault.hint = details.text("hint")?;
        fault.host = details.text("host")?;
        fault.object = details.text("object")?;
        Err(fault.into())
    }
}
