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
    // Under nohup a closed terminal is to end nothing.
    let wanted =
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| *signal != SIGHUP || !is_ignored(*signal));
    let mut signals = Signals::new(wanted)
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

/// Whether whoever started this process has it ignore a signal, by the mask that the kernel tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & (1 << (signal - 1)) != 0
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
