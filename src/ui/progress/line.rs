//! One line of progress as text.

use nu_ansi_term::{Color, Style};
use unicode_width::UnicodeWidthStr;

use crate::model::Step;
use crate::ui::{table::cut, visible};

/// What the line may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) colour: bool,
    pub(super) unicode: bool,
}

/// Where a task stands, and how far it was seen to be.
pub(super) struct State {
    label: String,
    step: Step,
    /// The largest share shown so far: pre-copy counts RAM again that the guest
    /// dirtied, and a bar that runs backwards says nothing; the note says it.
    share: f64,
    ended: Option<bool>,
}

impl State {
    pub(super) fn new(label: String) -> Self {
        Self { label, step: Step::default(), share: 0.0, ended: None }
    }

    pub(super) fn step(&mut self, step: &Step) {
        self.share = self.share.max(share(step));
        // The last step of a failed task may know nothing but why.
        let total = if step.total == 0 { self.step.total } else { step.total };
        self.step = Step { total, ..step.clone() };
    }

    pub(super) fn end(&mut self, ok: bool, step: &Step) {
        self.step(step);
        self.ended = Some(ok);
        if ok {
            self.share = 1.0;
        }
    }

    /// The line for a window of `columns`, the label padded to `widest`.
    pub(super) fn line(&self, widest: usize, columns: usize, look: Look) -> String {
        let ellipsis = if look.unicode { "…" } else { "..." };
        // One column stays free: a line that fills the window wraps on some terminals.
        let columns = columns.saturating_sub(1);
        let label = widest.min((columns / 3).max(8));
        let plan = Columns::fit(label, columns);
        let name = cut(&self.label, label, ellipsis);
        let mut line = format!("  {name}{:pad$}  ", "", pad = label - name.width().min(label));
        line += &bar(self.share, plan.bar, self.ended, look);
        line += &percent(self.share, self.step.total, self.ended);
        if plan.size {
            line += &format!("  {:>8}", self.step.size.map(|size| size.to_string()).unwrap_or_default());
        }
        if plan.rate {
            line += &format!("  {:>10}", self.step.rate.map(|rate| format!("{rate}/s")).unwrap_or_default());
        }
        let note = self.note(look);
        if note.is_empty() {
            return line.trim_end().to_owned();
        }
        if self.ended.is_some() && note.width() > plan.note {
            return self.last_words(&name, label, &note, columns, look);
        }
        line += "   ";
        line += &self.paint(cut(&note, plan.note, ellipsis), look);
        line.trim_end().to_owned()
    }

    /// What stays on the screen is told in full, rather without its bar.
    fn last_words(&self, name: &str, label: usize, note: &str, columns: usize, look: Look) -> String {
        let pad = label - name.width().min(label);
        let percent = percent(self.share, self.step.total, self.ended);
        let line = format!("  {name}{:pad$} {percent}", "");
        let fits = line.width() + 3 + note.width() <= columns;
        let gap = if fits { "   " } else { "\n      " };
        format!("{}{gap}{}", line.trim_end(), self.paint(note.to_owned(), look))
    }

    fn note(&self, look: Look) -> String {
        let note = note(&self.step.note, look);
        match (self.ended, note.is_empty()) {
            (Some(false), true) => "failed".to_owned(),
            (Some(false), false) => format!("failed: {note}"),
            _ => note,
        }
    }

    fn paint(&self, note: String, look: Look) -> String {
        let failed = look.colour && self.ended == Some(false);
        if failed { Color::Red.paint(note).to_string() } else { note }
    }
}

/// Which columns a window has room for. The same for all lines, so that they line up.
struct Columns {
    bar: usize,
    size: bool,
    rate: bool,
    note: usize,
}

impl Columns {
    /// Room that a note such as `→ h2-b   9 s left, dirtying 14 MiB/s` wants.
    const NOTE: usize = 36;
    const SIZE: usize = 10;
    const RATE: usize = 12;

    fn fit(label: usize, columns: usize) -> Self {
        let choices =
            [(20, true, true), (10, true, true), (10, false, true), (10, false, false), (5, false, false)];
        let room = |(bar, size, rate): (usize, bool, bool)| {
            // Indent, label, gap, bar, percentage, gap.
            let fixed = 2 + label + 2 + bar + 6 + 3;
            let fixed = fixed + if size { Self::SIZE } else { 0 } + if rate { Self::RATE } else { 0 };
            columns.saturating_sub(fixed)
        };
        let enough = [Self::NOTE, 22, 22, 14, 0];
        let at = (0..choices.len()).find(|&at| room(choices[at]) >= enough[at]).unwrap_or(choices.len() - 1);
        let (bar, size, rate) = choices[at];
        Self { bar, size, rate, note: room(choices[at]) }
    }
}

fn share(step: &Step) -> f64 {
    if step.total == 0 { 0.0 } else { (step.done as f64 / step.total as f64).clamp(0.0, 1.0) }
}

fn bar(share: f64, width: usize, ended: Option<bool>, look: Look) -> String {
    let halves = (share * width as f64 * 2.0).round() as usize;
    let (full, half) = (halves / 2, halves % 2 == 1);
    let (on, tip, off) = match (look.unicode, look.colour) {
        (true, true) => ("━", "╸", "━"),
        // Without colour the rest must look different.
        (true, false) => ("━", "╸", "─"),
        (false, _) => ("#", "#", "-"),
    };
    let done = on.repeat(full) + if half { tip } else { "" };
    let rest = off.repeat(width - full - usize::from(half));
    if !look.colour {
        return format!("{done}{rest}");
    }
    let style = match ended {
        Some(true) => Color::Green.normal(),
        Some(false) => Color::Red.normal(),
        None => Color::Cyan.normal(),
    };
    let paint =
        |style: Style, text: String| if text.is_empty() { text } else { style.paint(text).to_string() };
    format!("{}{}", paint(style, done), paint(Style::new().dimmed(), rest))
}

/// Rounded down: 100 % is said only when it is true.
fn percent(share: f64, total: u64, ended: Option<bool>) -> String {
    if total == 0 && ended != Some(true) {
        return "      ".to_owned();
    }
    format!(" {:>3} %", (share * 100.0).floor())
}

fn note(text: &str, look: Look) -> String {
    let text = visible::line(text);
    if look.unicode { text.into_owned() } else { text.replace('→', "->") }
}

/// `db1: 61 %, 1.2 GiB, 117 MiB/s, → h2-b 9 s left`
pub(super) fn plain_step(label: &str, step: &Step, look: Look) -> String {
    let mut parts = Vec::new();
    if step.total > 0 {
        parts.push(format!("{} %", (share(step) * 100.0).floor()));
    }
    parts.extend(step.size.map(|size| size.to_string()));
    parts.extend(step.rate.map(|rate| format!("{rate}/s")));
    parts.extend(Some(squeezed(&note(&step.note, look))).filter(|note| !note.is_empty()));
    if parts.is_empty() {
        parts.push("still running".to_owned());
    }
    format!("{label}: {}", parts.join(", "))
}

/// `web1: 512 MiB → h2-b 1.9 s, downtime 61 ms`, or `db1: failed: …`
pub(super) fn plain_end(label: &str, ok: bool, step: &Step, look: Look) -> String {
    let note = squeezed(&note(&step.note, look));
    match (ok, note.is_empty()) {
        (false, true) => format!("{label}: failed"),
        (false, false) => format!("{label}: failed: {note}"),
        (true, empty) => {
            let size = step.size.map(|size| format!(" {size}")).unwrap_or_default();
            let what = if empty { " done".to_owned() } else { format!(" {note}") };
            format!("{label}:{size}{what}")
        }
    }
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bytes;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    const PLAIN: Look = Look { colour: false, unicode: true };

    fn moving() -> Step {
        Step {
            done: 61,
            total: 100,
            size: Some(Bytes(1_288_490_188)),
            rate: Some(Bytes::from_mib(117)),
            note: "→ h2-b   9 s left, dirtying 14 MiB/s".into(),
        }
    }

    fn picture(columns: usize, look: Look) -> String {
        let mut web = State::new("web1".into());
        let note = "→ h2-b   1.9 s, downtime 61 ms".into();
        let rate = Some(Bytes::from_mib(118));
        web.end(true, &Step { done: 512, total: 512, size: Some(Bytes::from_mib(512)), rate, note });
        let mut db = State::new("db1".into());
        db.step(&moving());
        let mut bad = State::new("app1".into());
        bad.step(&moving());
        bad.end(false, &Step { note: "out of memory on h2-b".into(), ..Step::default() });
        let idle = State::new("new".into());
        [web, db, bad, idle].map(|state| state.line(4, columns, look)).join("\n")
    }

    #[test]
    fn lines_line_up_in_wide_and_narrow_windows() {
        assert_snapshot!(picture(110, PLAIN), @"
        web1  ━━━━━━━━━━━━━━━━━━━━ 100 %   512 MiB   118 MiB/s   → h2-b   1.9 s, downtime 61 ms
        db1   ━━━━━━━━━━━━────────  61 %   1.2 GiB   117 MiB/s   → h2-b   9 s left, dirtying 14 MiB/s
        app1  ━━━━━━━━━━━━────────  61 %                         failed: out of memory on h2-b
        new   ────────────────────
        ");
        assert_snapshot!(picture(80, PLAIN), @"
        web1  ━━━━━━━━━━ 100 %   512 MiB   118 MiB/s   → h2-b   1.9 s, downtime 61 ms
        db1   ━━━━━━────  61 %   1.2 GiB   117 MiB/s   → h2-b   9 s left, dirtying 1…
        app1  ━━━━━━────  61 %                         failed: out of memory on h2-b
        new   ──────────
        ");
        assert_snapshot!(picture(40, PLAIN), @"
        web1  100 %
            → h2-b   1.9 s, downtime 61 ms
        db1   ━━━──  61 %   → h2-b   9 s lef…
        app1   61 %
            failed: out of memory on h2-b
        new   ─────
        ");
        assert_snapshot!(picture(80, Look { colour: false, unicode: false }), @"
        web1  100 %   -> h2-b   1.9 s, downtime 61 ms
        db1   ######----  61 %   1.2 GiB   117 MiB/s   -> h2-b   9 s left, dirtyin...
        app1  ######----  61 %                         failed: out of memory on h2-b
        new   ----------
        ");
    }

    #[test]
    fn a_bar_never_runs_backwards() {
        let mut state = State::new("db1".into());
        state.step(&Step { done: 80, total: 100, ..Step::default() });
        state.step(&Step { done: 50, total: 100, ..Step::default() });
        assert!(state.line(3, 80, PLAIN).contains(" 80 %"));
    }

    #[test]
    fn where_nobody_watches_a_task_is_one_plain_line() {
        assert_eq!(
            plain_step("db1", &moving(), PLAIN),
            "db1: 61 %, 1.2 GiB, 117 MiB/s, → h2-b 9 s left, dirtying 14 MiB/s"
        );
        let end =
            Step { size: Some(Bytes::from_mib(512)), note: "→ h2-b   1.9 s".into(), ..Step::default() };
        assert_eq!(plain_end("web1", true, &end, PLAIN), "web1: 512 MiB → h2-b 1.9 s");
        let failed = Step { note: "out of memory".into(), ..Step::default() };
        assert_eq!(plain_end("db1", false, &failed, PLAIN), "db1: failed: out of memory");
        assert_eq!(plain_end("db1", true, &Step::default(), PLAIN), "db1: done");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_window(
            label in "\\PC{0,30}", note in any::<String>(), columns in 30usize..200, done in any::<u64>(), total in any::<u64>(),
        ) {
            let label = visible::line(&label).into_owned();
            let widest = label.width();
            let mut state = State::new(label);
            state.step(&Step { done, total, size: Some(Bytes(done)), rate: Some(Bytes(total)), note });
            let line = state.line(widest, columns, PLAIN);
            prop_assert!(line.width() < columns, "{line:?}");
        }
    }
}
