//! Ctrl-C, `kill`, a closed terminal and `--timeout` all stop the same token.

use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::model::{Cancel, Class, Fault, Stop};
use crate::ui;

/// Who presses Ctrl-C so often wants out now, whatever is in flight.
const ENOUGH: u32 = 3;

/// Lets the signals stop `cancel`; the third ends the process on the spot.
pub(super) fn watch(cancel: &Cancel) -> Result<(), Fault> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|e| Fault::new("signals", "cannot listen for signals").because(e.to_string()))?;
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            cancel.stop(Stop::Interrupted);
            match cancel.times() {
                2 => ui::say("what is in flight is left behind where that can be; once more ends kvmsh"),
                times if times >= ENOUGH => {
                    ui::screen::restore();
                    ui::say("left without waiting: see what was under way with kvmsh journal");
                    std::process::exit(i32::from(Class::Interrupted.exit_code()));
                }
                _ => {}
            }
        }
    });
    Ok(())
}

/// Stops `cancel` after this time, unless it was stopped before.
pub(super) fn deadline(cancel: &Cancel, time: Duration) {
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        if cancel.sleep(time).is_none() {
            cancel.stop(Stop::TimedOut);
        }
    });
}
