//! A result that is drawn anew in its place.

use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEventKind};
use nu_ansi_term::Style;

use super::super::{print, table};
use super::Live;
use super::guard::Guard;
use crate::model::{Data, Fault};

/// How often a stop is looked for.
const TICK: Duration = Duration::from_millis(50);

pub(super) fn live(
    live: &Live,
    every: Duration,
    next: &mut dyn FnMut() -> Option<Data>,
) -> Result<(), Fault> {
    let _page = Guard::page()?;
    loop {
        let began = Instant::now();
        let Some(data) = next() else { return live.cancel.check() };
        draw(live, every, &data)?;
        // At least one look at the keys, however slow `next` is.
        loop {
            live.cancel.check()?;
            let left = every.saturating_sub(began.elapsed());
            match key(left.min(TICK)) {
                Some(Pressed::Leave) => return Ok(()),
                Some(Pressed::Resize) => draw(live, every, &data)?,
                None if left.is_zero() => break,
                None => {}
            }
        }
    }
}

enum Pressed {
    Leave,
    Resize,
}

fn key(wait: Duration) -> Option<Pressed> {
    match event::poll(wait) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(_) => {
            // Rather a slow view than a busy one.
            std::thread::sleep(wait);
            return None;
        }
    }
    match event::read() {
        Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => {
            matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc).then_some(Pressed::Leave)
        }
        Ok(Event::Resize(..)) => Some(Pressed::Resize),
        _ => None,
    }
}

fn draw(live: &Live, every: Duration, data: &Data) -> Result<(), Fault> {
    let term = live.now();
    let rows =
        terminal_size::terminal_size_of(std::io::stdout()).map_or(24, |(_, height)| usize::from(height.0));
    let clock = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
    let ellipsis = if term.unicode { "…" } else { "..." };
    let head = format!("{clock}   every {} s   q leaves", every.as_secs_f64());
    let head = table::cut(&head, term.width.unwrap_or(80), ellipsis);
    let head = if term.stdout.colour { Style::new().dimmed().paint(head).to_string() } else { head };
    print(&page(&head, &live.text(data)?, rows, ellipsis))
}

/// What is written so that head and text take the place of what was there, without a flicker.
fn page(head: &str, text: &str, rows: usize, ellipsis: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(2);
    let shown = if lines.len() > room { room.saturating_sub(1) } else { lines.len() };
    let mut out = String::from("\x1b[?2026h\x1b[H");
    let mut put = |line: &str| {
        out.push_str(line);
        out.push_str("\x1b[K");
    };
    put(head);
    put("\r\n");
    for line in &lines[..shown] {
        put("\r\n");
        put(line);
    }
    if shown < lines.len() {
        put(&format!("\r\n{ellipsis} {} more lines", lines.len() - shown));
    }
    out.push_str("\x1b[J\x1b[?2026l");
    out
}

/// Where nobody looks: one result after the other.
pub(super) fn plain(
    live: &Live,
    every: Duration,
    next: &mut dyn FnMut() -> Option<Data>,
) -> Result<(), Fault> {
    while let Some(data) = next() {
        print(&live.text(&data)?)?;
        if let Some(stop) = live.cancel.sleep(every) {
            return Err(stop.fault());
        }
    }
    live.cancel.check()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_never_has_more_lines_than_the_window_and_says_what_is_missing() {
        let text = "a\n".repeat(10);
        for rows in 1..15 {
            let page = page("head", &text, rows, "…");
            let ends = page.matches("\r\n").count();
            assert!(ends < rows.max(3), "{rows}: {ends}");
            assert_eq!(page.contains("more lines"), rows < 12, "{rows}");
        }
        assert!(page("head", &text, 5, "…").contains("… 8 more lines"));
    }
}
