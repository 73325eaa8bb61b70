//! Things that hang on things, drawn as a tree.

use nu_ansi_term::{Color, Style};
use unicode_width::UnicodeWidthStr;

use super::term::Term;
use super::{table, visible};
use crate::model::{Branch, Cell, Tone};

/// The lines that lead to a branch.
struct Lines {
    fork: &'static str,
    last: &'static str,
    pass: &'static str,
}

const BOX: Lines = Lines { fork: "├─ ", last: "└─ ", pass: "│  " };
const ASCII: Lines = Lines { fork: "|- ", last: "`- ", pass: "|  " };

/// The trees as lines of text, each ended; none wider than the terminal.
pub(super) fn render(trees: &[Branch], term: &Term) -> String {
    let mut out = String::new();
    for tree in trees {
        line(tree, "", term, &mut out);
        below(tree, "", term, &mut out);
    }
    out
}

fn below(branch: &Branch, indent: &str, term: &Term, out: &mut String) {
    let lines = if term.unicode { BOX } else { ASCII };
    let count = branch.branches.len();
    for (at, child) in branch.branches.iter().enumerate() {
        let last = at + 1 == count;
        line(child, &format!("{indent}{}", if last { lines.last } else { lines.fork }), term, out);
        below(child, &format!("{indent}{}", if last { "   " } else { lines.pass }), term, out);
    }
}

fn line(branch: &Branch, lead: &str, term: &Term, out: &mut String) {
    let paint = |style: Style, text: String| {
        if term.stdout.colour && !text.is_empty() { style.paint(text).to_string() } else { text }
    };
    let mut parts = vec![(Style::new().bold(), visible::line(&branch.name).into_owned())];
    // A host, or a heading, says by its place what it is.
    if !lead.is_empty() && branch.kind != "group" {
        parts.push((Style::new().dimmed(), visible::line(&branch.kind).into_owned()));
    }
    parts.extend(branch.facts.iter().map(|(key, cell)| (style(cell), fact(key, cell))));
    let ellipsis = if term.unicode { "…" } else { "..." };
    let mut room = term.width.unwrap_or(usize::MAX);
    let lead = table::cut(lead, room, ellipsis);
    room -= lead.width();
    let mut text = lead;
    let parts: Vec<_> = parts.into_iter().filter(|(_, part)| !part.is_empty()).collect();
    for (at, (style, part)) in parts.iter().enumerate() {
        let gap = if at > 0 { "  " } else { "" };
        // What is cut needs a place for the sign that something is missing.
        let mark = if at + 1 < parts.len() { ellipsis.width() + 1 } else { 0 };
        if gap.len() + part.width() + mark > room {
            text.push_str(&paint(*style, table::cut(&format!("{gap}{part}"), room, ellipsis)));
            break;
        }
        room -= gap.len() + part.width();
        text.push_str(gap);
        text.push_str(&paint(*style, part.clone()));
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

fn style(cell: &Cell) -> Style {
    match cell {
        Cell::State(_, Tone::Good) => Color::Green.normal(),
        Cell::State(_, Tone::Warn) => Color::Yellow.normal(),
        Cell::State(_, Tone::Bad) => Color::Red.bold(),
        Cell::State(_, Tone::Idle) => Style::new().dimmed(),
        _ => Style::new(),
    }
}

/// A fact as a person reads it; words speak for themselves, numbers need to be named.
fn fact(key: &str, cell: &Cell) -> String {
    let text = table::text(cell);
    match cell {
        Cell::Number(_) | Cell::Decimal(_) => format!("{} {text}", visible::line(key)),
        Cell::Bytes(_) => format!("{text} {}", visible::line(key)),
        Cell::Flag(true) => visible::line(key).into_owned(),
        Cell::Flag(false) => format!("no {}", visible::line(key)),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Bytes;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    fn host() -> Branch {
        let guest = Branch::new("guest", "日本")
            .fact("state", Cell::State("running".into(), Tone::Good))
            .fact("memory", Cell::Bytes(Bytes(512 << 20)))
            .fact("vcpus", Cell::Number(2));
        let bond = Branch::new("bond", "bond0").holding([Branch::new("card", "enp2s0")]);
        Branch::new("host", "h2-a").fact("uri", Cell::Text("qemu:///system".into())).holding([
            Branch::new("bridge", "br0").holding([bond, guest]),
            Branch::new("group", "pools").holding([Branch::new("dir", "evil\x1b[2J")]),
        ])
    }

    #[test]
    fn what_hangs_on_something_is_drawn_below_it() {
        assert_snapshot!(render(&[host()], &Term::plain()), @r"
        h2-a  qemu:///system
        ├─ br0  bridge
        │  ├─ bond0  bond
        │  │  └─ enp2s0  card
        │  └─ 日本  guest  running  512 MiB memory  vcpus 2
        └─ pools
           └─ evil\x1b[2J  dir
        ");
    }

    #[test]
    fn a_narrow_terminal_without_utf8_gets_cut_lines_of_ascii() {
        let term = Term { unicode: false, width: Some(30), ..Term::plain() };
        assert_snapshot!(render(&[host()], &term), @r"
        h2-a  qemu:///system
        |- br0  bridge
        |  |- bond0  bond
        |  |  `- enp2s0  card
        |  `- 日本  guest  running ...
        `- pools
           `- evil\x1b[2J  dir
        ");
    }

    #[test]
    fn only_a_terminal_with_colour_gets_some() {
        let mut term = Term::plain();
        assert!(!render(&[host()], &term).contains('\x1b'));
        term.stdout.colour = true;
        assert!(render(&[host()], &term).contains("\x1b[32mrunning\x1b[0m"));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(names in prop::collection::vec(any::<String>(), 1..6), width in 1usize..60) {
            let leaf = names.iter().fold(Branch::new("guest", "x"), |below, name| {
                Branch::new("bridge", name.clone()).fact("note", Cell::Text(name.clone())).holding([below])
            });
            let text = render(&[leaf], &Term { width: Some(width), ..Term::plain() });
            for line in text.lines() {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
