//! Times as people write them.

use std::time::Duration;

/// Reads `90s`, `5m`, `1h 30m` or a plain number of seconds.
///
/// # Errors
/// A sentence for what is no time.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no time: write 90s, 5m, 1h30m, or a number of seconds");
    match text.trim().parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| bad()),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|time| Duration::try_from(time).ok())
            .ok_or_else(bad),
    }
}
