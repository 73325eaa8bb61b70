//! Candidates as the editor lists them.

use rustyline::completion::Pair;
use unicode_width::UnicodeWidthStr;

use crate::script::Candidate;
use crate::ui::visible;

/// A list's names are padded up to this width, so that what is said of them stands in a column.
const NAME: usize = 24;

/// Candidates as the editor's list shows them: names, and what is said of them in a column.
pub(super) fn pairs(candidates: Vec<Candidate>, columns: usize) -> Vec<Pair> {
    let widths = candidates.iter().map(|one| visible::line(&one.shown).width());
    let column = widths.max().unwrap_or(0).min(NAME);
    let noted = candidates.iter().any(|one| !one.note.is_empty()) && columns > column + 12;
    let pair = |one: Candidate| {
        let name = visible::line(&one.shown).into_owned();
        let display = if noted && !one.note.is_empty() {
            let gap = column.saturating_sub(name.width()) + 2;
            cut(&format!("{name}{:gap$}{}", "", visible::line(&one.note)), columns.saturating_sub(3))
        } else {
            cut(&name, columns.saturating_sub(3))
        };
        Pair { display, replacement: one.text }
    };
    candidates.into_iter().map(pair).collect()
}

/// As many of the candidates as a screen holds with the line below them; the last place says how many there are besides.
pub(super) fn cut_list(mut pairs: Vec<Pair>, columns: usize, rows: usize) -> Vec<Pair> {
    let width = |pair: &Pair| pair.display.width() + 2;
    // As the editor does it.
    let beside = |widest: usize| columns / widest.clamp(1, columns.max(1));
    let rows = rows.saturating_sub(3).max(1);
    let widest = pairs.iter().map(width).max().unwrap_or(1);
    if pairs.len() <= rows * beside(widest) {
        return pairs;
    }
    let more = |count: usize| cut(&format!("and {count} more: type on"), columns.saturating_sub(3));
    let places = rows * beside(widest.max(more(pairs.len()).width() + 2));
    // What all of them begin with is what Tab adds to the line, also what those begin with that are not shown.
    let common = common_beginning(pairs.iter().map(|pair| pair.replacement.as_str()));
    let left_out = pairs.split_off(places.saturating_sub(1).max(1)).len();
    pairs.push(Pair { display: more(left_out), replacement: common });
    pairs
}

fn common_beginning<'a>(mut texts: impl Iterator<Item = &'a str>) -> String {
    let first = texts.next().unwrap_or_default();
    let common = texts.fold(first, |common, text| {
        let same = common.char_indices().zip(text.chars()).find(|((_, one), other)| one != other);
        let end = same.map_or(common.len().min(text.len()), |((at, _), _)| at);
        common.get(..end).unwrap_or_default()
    });
    common.to_owned()
}

/// A text that is at most so wide.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.width() + 1 + unicode_width::UnicodeWidthChar::width(c).unwrap_or(0) > width {
            break;
        }
        out.push(c);
    }
    out + "~"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_fit_the_terminal() {
        let candidates = || {
            let one = |text: &str, note: &str| Candidate {
                text: text.into(),
                shown: text.into(),
                note: note.into(),
            };
            vec![
                one("日本語の名前の長いもの日本語の名前の長いもの日本", "x"),
                one("a\x1b[2Jb", &"long ".repeat(40)),
            ]
        };
        for columns in [20, 40, 80, 120] {
            for pair in pairs(candidates(), columns) {
                assert!(
                    pair.display.width() <= columns - 2 && !pair.display.contains('\x1b'),
                    "{}",
                    pair.display
                );
            }
        }
    }

    #[test]
    fn a_list_is_no_longer_than_the_screen_and_says_how_many_there_are_besides() {
        let pairs = |count: usize, text: &dyn Fn(usize) -> String| -> Vec<Pair> {
            (0..count).map(|n| Pair { display: text(n), replacement: text(n) }).collect()
        };
        let name = |n: usize| format!("host-{n:04}");
        let list = cut_list(pairs(1000, &name), 80, 24);
        let last = list.last().unwrap();
        assert_eq!(last.replacement, "host-0");
        assert_eq!(last.display, format!("and {} more: type on", 1001 - list.len()));
        // 23 wide: three beside each other, in 21 rows.
        assert_eq!(list.len(), 21 * 3);
        assert_eq!(cut_list(pairs(21 * 7, &name), 80, 24).len(), 21 * 7);
        for (columns, rows) in [(1, 1), (10, 2), (0, 0), (300, 3)] {
            let list = cut_list(pairs(70_000, &name), columns, rows);
            assert!(list.len() >= 2 && list.len() < 100, "{columns} x {rows}: {}", list.len());
        }
        assert_eq!(common_beginning(["日本a", "日本b", "日x"].into_iter()), "日");
        assert_eq!(common_beginning(["ab", "abc"].into_iter()), "ab");
        assert_eq!(common_beginning(["abc", "ab"].into_iter()), "ab");
    }
}
