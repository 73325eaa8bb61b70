//! Guests at work, drawn anew in their place, with keys to sort, to filter and to act.

mod columns;
mod draw;
mod keys;

use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyEventKind};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use super::screen::{Guard, Live};
use super::{print, say, visible};
use crate::model::{Data, Deed, Fault, Watched, Work};
use keys::{Act, View};

/// How often a stop and new figures are looked for.
const TICK: Duration = Duration::from_millis(100);

/// Draws until the person leaves.
pub(super) fn live(live: &Live, watched: &dyn Watched) -> Result<(), Fault> {
    let mut view = View::new(live.term());
    loop {
        let Act::Do { host, guest, deed } = on_a_page(live, watched, &mut view)? else { return Ok(()) };
        // A move shows its own progress, a console is a screen of its own: they get the terminal back.
        match watched.act(&host, &guest, &deed) {
            Ok(done) => view.note(done),
            Err(fault) => {
                live.cancel().check()?;
                view.note(told(&fault));
                say(&visible::lines(&told(&fault)));
                say("Enter goes back to the view");
                wait_for_enter(live)?;
            }
        }
    }
}

fn told(fault: &Fault) -> String {
    let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})"));
    format!("{fault}{}", hint.unwrap_or_default())
}

/// Until the person leaves, or wants what needs the whole terminal.
fn on_a_page(live: &Live, watched: &dyn Watched, view: &mut View) -> Result<Act, Fault> {
    let _page = Guard::page()?;
    let lost =
        |error: std::io::Error| Fault::new("stdout", "cannot write the view").because(error.to_string());
    let mut size = window();
    let mut terminal = canvas(size).map_err(lost)?;
    let mut work = watched.now();
    let mut drawn: Option<(u64, Instant)> = None;
    let mut changed = true;
    loop {
        live.cancel().check()?;
        let now = watched.now();
        changed |= drawn
            .is_none_or(|(readings, at)| readings != now.readings || at.elapsed() > Duration::from_secs(1));
        if changed {
            work = now;
            if size != window() {
                size = window();
                print("\x1b[2J")?;
                terminal = canvas(size).map_err(lost)?;
            }
            view.follow(&work);
            terminal.draw(|frame| draw::draw(frame, view, &work)).map_err(lost)?;
            drawn = Some((work.readings, Instant::now()));
        }
        changed = false;
        if !event::poll(TICK).unwrap_or(false) {
            continue;
        }
        changed = true;
        let Ok(Event::Key(key)) = event::read() else { continue };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        match view.press(key.code, &work, &watched.targets()) {
            Act::Nothing => {}
            Act::Do { host, guest, deed: deed @ (Deed::Suspend | Deed::Resume) } => {
                let done = watched.act(&host, &guest, &deed);
                view.note(done.unwrap_or_else(|fault| told(&fault)));
            }
            act => return Ok(act),
        }
    }
}

/// Columns and rows; what can be read everywhere where a terminal does not tell.
fn window() -> (u16, u16) {
    match terminal_size::terminal_size_of(std::io::stdout()) {
        Some((width, height)) if width.0 > 0 && height.0 > 0 => (width.0, height.0),
        _ => (80, 24),
    }
}

/// Not one that looks after its size by itself: it asks the terminal where the cursor is, and not every one answers.
fn canvas((width, height): (u16, u16)) -> std::io::Result<Terminal<CrosstermBackend<std::io::Stdout>>> {
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    Terminal::with_options(CrosstermBackend::new(std::io::stdout()), TerminalOptions { viewport })
}

fn wait_for_enter(live: &Live) -> Result<(), Fault> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let tick = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let stdin = std::io::stdin();
    loop {
        live.cancel().check()?;
        if poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&tick)).is_ok_and(|ready| ready > 0) {
            let mut line = [0; 256];
            let _ = rustix::io::read(&stdin, &mut line);
            return Ok(());
        }
    }
}

/// Where nobody looks: a table after each reading.
pub(super) fn plain(
    live: &Live,
    watched: &dyn Watched,
    every: Duration,
    times: Option<u64>,
) -> Result<(), Fault> {
    let mut left = times;
    let mut readings = 0;
    while left != Some(0) {
        // A rate needs two readings.
        if readings == 0
            && let Some(stop) = live.cancel().sleep(every)
        {
            return Err(stop.fault());
        }
        if let Some(stop) = live.cancel().sleep(every) {
            return Err(stop.fault());
        }
        let work: Work = watched.now();
        readings += 1;
        print(&live.text(&Data::Table(work.table()))?)?;
        left = left.map(|left| left - 1);
    }
    Ok(())
}
