//! Runs a script, or the prompt.

use std::ffi::OsStr;
use std::io::IsTerminal;

use super::args::usage;
use super::start::Start;
use super::{complain, lock, plan, signals, source};
use crate::gate::{Mode, Rules};
use crate::model::{Class, Diagnosis, Fault, Stop};
use crate::ops::Session;
use crate::script::{End, Runner, Source};
use crate::{repl, ui};

/// `--plan`: changes are pending.
const PENDING: u8 = 6;

/// `kvmsh` alone: the prompt at a terminal, else a script from stdin.
pub(super) fn alone(start: &Start) -> Result<u8, Diagnosis> {
    if !std::io::stdin().is_terminal() {
        return script(&source::file(OsStr::new("-"))?, &[], false, start);
    }
    if start.options.timeout.is_some() {
        return Err(usage("--timeout is for scripts: the prompt waits for you").into());
    }
    let (session, wrong) = start.session_at_prompt()?;
    session.leases().for_purpose(start.purpose(&session, "prompt"));
    session.gate().obey(Rules { window: start.options.window, step: start.options.step_timeout });
    session.gate().journal().about("prompt", &[]);
    signals::watch(&start.cancel)?;
    let rc = || Some(dirs::config_dir()?.join("kvmsh/rc.rhai"));
    if let Some(wrong) = &wrong {
        complain(wrong, &start.term);
    }
    let setup = repl::Setup {
        unread: wrong.is_some(),
        format: start.shown.clone(),
        location: start.location.clone(),
        rc: if start.options.no_rc { None } else { rc() },
    };
    let code = repl::run(&session, &start.term, setup);
    if let Err(fault) = session.gate().journal().run_ended(code, false) {
        complain(&fault.into(), &start.term);
    }
    Ok(code)
}

/// Runs a script and, with `show`, prints the value of its last expression.
pub(super) fn script(source: &Source, args: &[String], show: bool, start: &Start) -> Result<u8, Diagnosis> {
    let session = start.session()?;
    signals::watch(&start.cancel)?;
    if let Some(time) = start.options.timeout {
        signals::deadline(&start.cancel, time);
    }
    let _lock = lock::take(start, &source.name)?;
    let changing = session.gate().mode() == Mode::Apply;
    if let Some(window) = start.options.window.filter(|window| changing && !window.is_open()) {
        let message = format!("{} was not begun: it is outside of the window {window}", source.name);
        return Err(Fault::new("window_closed", message).class(Class::Refused).into());
    }
    session.gate().obey(Rules { window: start.options.window, step: start.options.step_timeout });
    session.leases().for_purpose(start.purpose(&session, &source.name));
    session.gate().journal().about(&source.name, args);
    ui::log::of_run(session.gate().journal().run());
    if let Some(state) = dirs::state_dir() {
        // What has no file of its own is known by its text.
        let script = if matches!(source.name.as_str(), "-c" | "-") { &source.text } else { &source.name };
        session.steps().of(&state, script, args);
        if start.options.start_over && changing {
            session.steps().forget();
        }
    }
    let ended = run(source, args, show, &session, start);
    if changing && matches!(ended, Ok(0)) {
        session.steps().forget();
    }
    session.leases().give_back();
    let code = ended.unwrap_or_else(|diagnosis| complain(&diagnosis, &start.term));
    // A script in a file leaves a word even when there was nothing to do; a line by hand does not.
    if changing && let Err(fault) = session.gate().journal().run_ended(code, !show && source.name != "-") {
        // What was changed is written down; only a run that ended well becomes a failure by it.
        let failed = complain(&fault.into(), &start.term);
        return Ok(if code == 0 { failed } else { code });
    }
    Ok(code)
}

fn run(
    source: &Source,
    args: &[String],
    show: bool,
    session: &Session,
    start: &Start,
) -> Result<u8, Diagnosis> {
    let result = Runner::for_script(session, source).run(source, args);
    let stopped = start.cancel.stopped().map(Stop::fault);
    let end = match result {
        Ok(end) => end,
        Err(mut diagnosis) => {
            // What was changed before stays changed: that is no refusal.
            let class = &mut diagnosis.fault.class;
            if matches!(class, Class::Refused | Class::Usage) && session.gate().has_changed() {
                *class = Class::Partial;
            }
            if start.options.plan {
                unfinished_plan(session, start);
            }
            // What an interrupted call fails with depends on where it was caught.
            let code = complain(&diagnosis, &start.term);
            return Ok(stopped.map_or(code, |fault| fault.class.exit_code()));
        }
    };
    let code = match &end {
        _ if start.options.plan => planned(&end, session, start)?,
        End::Exit(code) => *code,
        End::Value(value) => {
            if show {
                start.show(value)?;
            }
            0
        }
    };
    // A script that caught the stop, or ended before it saw it, was stopped all the same.
    Ok(stopped.map_or(code, |fault| complain(&fault.into(), &start.term)))
}

fn planned(end: &End, session: &Session, start: &Start) -> Result<u8, Diagnosis> {
    let changes = session.gate().take_plan();
    super::deliver(&plan::render(&changes, start.options.output, &start.term)?)?;
    Ok(match end {
        End::Exit(code) if *code != 0 => *code,
        _ if changes.is_empty() => 0,
        _ => PENDING,
    })
}

/// The plan of a command that runs no script.
pub(super) fn planned_only(session: &Session, start: &Start) -> Result<u8, Diagnosis> {
    planned(&End::Exit(0), session, start)
}

/// A plan that a failed script leaves is no result: it is told, not printed.
fn unfinished_plan(session: &Session, start: &Start) {
    let changes = session.gate().take_plan();
    if !changes.is_empty() && !start.options.quiet {
        ui::say("The script failed while it was planning. Until then it would have changed:");
        ui::say(plan::list(&changes, start.term.stderr.colour).trim_end());
    }
}
