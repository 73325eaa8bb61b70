//! Rows and columns as a person reads them.
//!
//! At a terminal a table never grows wider than the window: long text is cut
//! with `…` first, then columns go, empty ones and then the most dispensable, and a line below names them.
//! Anywhere else nothing is cut.

use std::borrow::Cow;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, LineStyle};
use unicode_width::UnicodeWidthStr;

use super::term::Term;
use super::visible;
use crate::model::{Cell, Table, Tone};

/// Between two columns.
const GAP: usize = 2;
/// Text is not cut below this width: a UUID's first two groups, a short host name.
const LEAST: usize = 16;

/// The table as text, each line ended; empty when it has no columns.
pub fn render(table: &Table, term: &Term) -> String {
    if table.columns.is_empty() {
        return String::new();
    }
    let count = table.columns.len();
    let shown = |cell: &Cell| term.legible(&text(cell)).into_owned();
    let heads: Vec<Cow<'_, str>> = table.columns.iter().map(|column| visible::line(&column.key)).collect();
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| (0..count).map(|at| row.get(at).map(&shown).unwrap_or_default()).collect())
        .collect();
    // comfy-table gives even an empty column one place.
    let natural: Vec<usize> = (0..count)
        .map(|at| rows.iter().map(|row| row[at].width()).chain([heads[at].width()]).max().unwrap_or(0).max(1))
        .collect();
    let soft: Vec<bool> = (0..count)
        .map(|at| {
            table
                .rows
                .iter()
                .all(|row| matches!(row.get(at), None | Some(Cell::Text(_) | Cell::Tree(_) | Cell::Nothing)))
        })
        .collect();
    // How gladly each is missed: what is empty tells nothing.
    let ranks: Vec<(bool, usize)> = (0..count)
        .map(|at| (!rows.is_empty() && rows.iter().all(|row| row[at].is_empty()), table.columns[at].rank))
        .collect();
    let kept = fit(&natural, &soft, &ranks, term.width.unwrap_or(usize::MAX));

    let ellipsis = if term.unicode { "…" } else { "..." };
    let mut out = layout(table, &heads, &rows, &kept, term, ellipsis);
    if kept.len() < count {
        let missing: Vec<&str> = (0..count)
            .filter(|at| kept.iter().all(|(kept, _)| kept != at))
            .map(|at| heads[at].as_ref())
            .collect();
        let plural = if missing.len() == 1 { "" } else { "s" };
        let note = format!("{ellipsis} {} more column{plural}: {}", missing.len(), missing.join(", "));
        out.push_str(&cut(&note, term.width.unwrap_or(usize::MAX), ellipsis));
        out.push('\n');
    }
    out
}

/// The first row from top to bottom, without what is empty. What is too wide goes on below.
pub fn upright(table: &Table, term: &Term) -> String {
    let mut turned = Table::with_columns(["property", "value"]);
    let row = table.rows.first().map(Vec::as_slice).unwrap_or_default();
    let names = table.columns.iter().map(|column| visible::line(&column.key).width());
    let beside = names.chain(["property".len()]).max().unwrap_or(0) + GAP;
    let room = term.width.map_or(usize::MAX, |width| width.saturating_sub(beside).max(LEAST));
    for (column, cell) in table.columns.iter().zip(row) {
        let name = Cell::Text(column.key.clone());
        match cell {
            Cell::Nothing => {}
            Cell::Text(text) => {
                let lines = broken(text, room);
                let names = std::iter::once(name).chain(std::iter::repeat(Cell::Nothing));
                turned.rows.extend(names.zip(lines).map(|(name, line)| vec![name, Cell::Text(line)]));
            }
            cell => turned.rows.push(vec![name, cell.clone()]),
        }
    }
    render(&turned, term)
}

/// A text in lines of at most `room` columns, broken between words.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map(|line| line.width()).unwrap_or_default();
        match lines.last_mut() {
            Some(line) if last == 0 || last + 1 + word.width() <= room => {
                if last > 0 {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn layout(
    table: &Table,
    heads: &[Cow<'_, str>],
    rows: &[Vec<String>],
    kept: &[(usize, usize)],
    term: &Term,
    ellipsis: &str,
) -> String {
    let mut grid = comfy_table::Table::new();
    let mut style = NOTHING;
    if term.stdout.colour {
        // The decision about NO_COLOR has been made; crossterm must not make it again.
        crossterm::style::force_color_output(true);
        grid.enforce_styling();
    } else {
        grid.force_no_tty();
        if term.stdout.tty {
            style = style.header_separator(LineStyle::none().fill(if term.unicode { '─' } else { '-' }));
        }
    }
    grid.load_style(style).set_content_arrangement(ContentArrangement::Disabled);
    grid.set_header(kept.iter().map(|&(at, width)| {
        let head = comfy_table::Cell::new_owned(cut(&heads[at], width, ellipsis));
        let head = head.set_alignment(alignment(table, at));
        if term.stdout.colour { head.add_attribute(Attribute::Bold) } else { head }
    }));
    for (row, cells) in rows.iter().zip(&table.rows) {
        grid.add_row(kept.iter().map(|&(at, width)| {
            let cell = comfy_table::Cell::new_owned(cut(&row[at], width, ellipsis));
            let cell = cell.set_alignment(alignment(table, at));
            match cells.get(at) {
                Some(Cell::State(_, tone)) if term.stdout.colour => paint(cell, *tone),
                _ => cell,
            }
        }));
    }
    let last = kept.len().saturating_sub(1);
    for (at, column) in grid.column_iter_mut().enumerate() {
        column.set_padding((0, if at == last { 0 } else { 2 }));
    }
    let mut out = String::new();
    for line in grid.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The columns that are kept, and how wide each becomes.
fn fit(natural: &[usize], soft: &[bool], ranks: &[(bool, usize)], room: usize) -> Vec<(usize, usize)> {
    let least = |at: usize| if soft[at] { natural[at].min(LEAST) } else { natural[at] };
    let total = |widths: &mut dyn Iterator<Item = usize>| {
        let (sum, count) = widths.fold((0_usize, 0), |(sum, n), width| (sum.saturating_add(width), n + 1));
        sum.saturating_add(GAP * (count - 1))
    };
    let mut kept: Vec<usize> = (0..natural.len()).collect();
    while kept.len() > 1 && total(&mut kept.iter().map(|at| least(*at))) > room {
        let worst = kept.iter().enumerate().max_by_key(|(_, at)| ranks[**at]).map(|(place, _)| place);
        kept.remove(worst.unwrap_or(0));
    }
    let mut fitted: Vec<(usize, usize)> = kept.iter().map(|at| (*at, natural[*at])).collect();
    // Take from the widest text first, so that short ones stay whole.
    loop {
        let all = total(&mut fitted.iter().map(|(_, width)| *width));
        if all <= room {
            return fitted;
        }
        let widest =
            (0..fitted.len()).filter(|n| fitted[*n].1 > least(fitted[*n].0)).max_by_key(|n| fitted[*n].1);
        let Some(widest) = widest else {
            // Only one column is left and the window is narrower still.
            if let Some(first) = fitted.first_mut() {
                first.1 = room;
            }
            return fitted;
        };
        let (at, width) = fitted[widest];
        let next = fitted.iter().filter(|(other, _)| *other != at && soft[*other]).map(|(_, width)| *width);
        let floor = least(at).max(next.filter(|next| *next < width).max().unwrap_or(0));
        let step = if floor < width { (width - floor).min(all - room) } else { 1 };
        fitted[widest].1 -= step;
    }
}

/// At most `width` columns of `text`, the last of them `…` when something is missing.
pub(super) fn cut(text: &str, width: usize, ellipsis: &str) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mark = if ellipsis.width() <= width { ellipsis } else { "" };
    let room = width - mark.width();
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        if out.width() > room {
            out.pop();
            break;
        }
    }
    out.push_str(mark);
    out
}

/// A cell as a person reads it.
pub(super) fn text(cell: &Cell) -> String {
    match cell {
        Cell::Nothing => String::new(),
        Cell::Text(text) | Cell::State(text, _) => visible::line(text).into_owned(),
        Cell::Number(number) => number.to_string(),
        Cell::Decimal(number) => decimal(*number),
        Cell::Bytes(bytes) => bytes.to_string(),
        Cell::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Cell::Tree(value) => visible::line(&inline(value, true)).into_owned(),
    }
}

/// A nested value on one line: `b: 1, c: [2, 3]`.
fn inline(value: &serde_json::Value, outermost: bool) -> String {
    use serde_json::Value;
    let (open, parts, close) = match value {
        Value::Null => return "-".to_owned(),
        Value::Bool(flag) => return if *flag { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => return number.to_string(),
        Value::String(text) => return text.clone(),
        Value::Array(items) => ('[', items.iter().map(|item| inline(item, false)).collect(), ']'),
        Value::Object(map) => {
            let pairs: Vec<_> =
                map.iter().map(|(key, value)| format!("{key}: {}", inline(value, false))).collect();
            ('{', pairs, '}')
        }
    };
    let all = parts.join(", ");
    if outermost { all } else { format!("{open}{all}{close}") }
}

/// At most three decimals; very small and very large numbers with an exponent.
pub(super) fn decimal(number: f64) -> String {
    if number != 0.0 && (number.abs() < 0.001 || number.abs() >= 1e15) {
        return format!("{number:.3e}");
    }
    let text = format!("{number:.3}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn alignment(table: &Table, at: usize) -> CellAlignment {
    let mut numbers = false;
    for row in &table.rows {
        match row.get(at) {
            Some(Cell::Number(_) | Cell::Decimal(_) | Cell::Bytes(_)) => numbers = true,
            Some(Cell::Nothing) | None => {}
            Some(_) => return CellAlignment::Left,
        }
    }
    if numbers { CellAlignment::Right } else { CellAlignment::Left }
}

fn paint(cell: comfy_table::Cell, tone: Tone) -> comfy_table::Cell {
    match tone {
        Tone::Good => cell.fg(Color::DarkGreen),
        Tone::Warn => cell.fg(Color::DarkYellow),
        Tone::Bad => cell.fg(Color::Red).add_attribute(Attribute::Bold),
        Tone::Idle => cell.add_attribute(Attribute::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bytes;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    fn at(width: usize) -> Term {
        let mut term = Term { width: Some(width), ..Term::plain() };
        term.stdout.tty = true;
        term
    }

    fn guests() -> Table {
        let mut table = Table::with_columns(["name", "state", "memory", "cpu", "title"]);
        for (name, state, tone, memory, cpu) in [
            ("web1", "running", Tone::Good, 512u64 << 20, 1.5),
            ("日本", "paused", Tone::Warn, 21 << 30, 12.25),
            ("evil\x1b[2J", "crashed", Tone::Bad, 0, 0.0),
        ] {
            table.rows.push(vec![
                Cell::Text(name.into()),
                Cell::State(state.into(), tone),
                Cell::Bytes(Bytes(memory)),
                Cell::Decimal(cpu),
                Cell::Text("a title that somebody found worth writing down".into()),
            ]);
        }
        table
    }

    #[test]
    fn numbers_stand_right_and_escape_sequences_are_seen() {
        assert_snapshot!(render(&guests(), &Term::plain()), @r"
    name         state     memory    cpu  title
    web1         running  512 MiB    1.5  a title that somebody found worth writing down
    日本         paused    21 GiB  12.25  a title that somebody found worth writing down
    evil\x1b[2J  crashed      0 B      0  a title that somebody found worth writing down
    ");
    }

    #[test]
    fn a_narrow_window_cuts_text_then_drops_the_last_columns_and_names_them() {
        assert_snapshot!(render(&guests(), &at(60)), @r"
    name         state     memory    cpu  title
    ────────────────────────────────────────────────────────────
    web1         running  512 MiB    1.5  a title that somebody…
    日本         paused    21 GiB  12.25  a title that somebody…
    evil\x1b[2J  crashed      0 B      0  a title that somebody…
    ");
        assert_snapshot!(render(&guests(), &at(40)), @r"
        name         state     memory    cpu
        ────────────────────────────────────
        web1         running  512 MiB    1.5
        日本         paused    21 GiB  12.25
        evil\x1b[2J  crashed      0 B      0
        … 1 more column: title
        ");
    }

    #[test]
    fn empty_columns_go_first_and_then_the_most_dispensable() {
        let mut table = Table::with_columns(["name", "title", "size", "owner", "host"]);
        for name in ["web", "db"] {
            let row = [name, "", "a size that is long", "an owner that is", "h2-a"];
            table.rows.push(row.map(|text| Cell::Text(text.into())).into());
        }
        let heads = |table: &Table, width| {
            let text = render(table, &at(width));
            text.lines()
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(heads(&table, 80), ["name", "title", "size", "owner", "host"]);
        assert_eq!(heads(&table, 48), ["name", "size", "owner", "host"]);
        assert_eq!(heads(&table, 40), ["name", "size", "owner"]);
        let table = table.with_last_kept(&["name", "host"]);
        assert_eq!(heads(&table, 40), ["name", "size", "host"]);
        assert_eq!(heads(&table, 12), ["name", "host"]);
        assert!(render(&table, &at(20)).contains("3 more columns"));
    }

    #[test]
    fn one_object_stands_upright_and_what_is_long_goes_on_below() {
        let mut table = Table::with_columns(["name", "state", "running", "why"]);
        let why = "cannot connect to it: Connection refused";
        table.rows.push(vec![
            Cell::Text("dead".into()),
            Cell::State("down".into(), Tone::Bad),
            Cell::Nothing,
            Cell::Text(why.into()),
        ]);
        assert_snapshot!(upright(&table, &at(34)), @r"
        property  value
        ───────────────────────────────
        name      dead
        state     down
        why       cannot connect to it:
                  Connection refused
        ");
    }

    #[test]
    fn states_are_words_with_colour() {
        let mut term = at(80);
        term.stdout.colour = true;
        let text = render(&guests(), &term);
        assert!(text.contains("\x1b[38;5;2mrunning"), "{text:?}");
        assert!(!render(&guests(), &at(80)).contains('\x1b'));
    }

    #[test]
    fn decimals_are_short() {
        for (number, text) in
            [(0.0, "0"), (1.5, "1.5"), (2.0, "2"), (0.12345, "0.123"), (1e-9, "1.000e-9"), (1e20, "1.000e20")]
        {
            assert_eq!(decimal(number), text);
        }
        assert_eq!(decimal(f64::NAN), "NaN");
    }

    proptest! {
        #[test]
        fn any_unicode_keeps_within_the_window(
            keys in prop::collection::vec("\\PC{0,12}", 1..6),
            rows in prop::collection::vec(prop::collection::vec(any::<String>(), 0..6), 0..5),
            width in 4usize..100,
        ) {
            let mut table = Table::with_columns(keys);
            table.rows = rows.into_iter().map(|row| row.into_iter().map(Cell::Text).collect()).collect();
            let height = table.rows.len();
            let text = render(&table, &at(width));
            for line in text.lines() {
                prop_assert!(line.width() <= width, "{line:?} is wider than {width}");
                prop_assert!(!line.contains(|c: char| c.is_control()));
            }
            prop_assert!((height + 2..=height + 3).contains(&text.lines().count()), "{text:?}");
            render(&table, &Term::plain());
        }
    }
}
