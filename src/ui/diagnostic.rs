//! Errors as a person sees them: the line of the script with a caret, what the
//! parts below said, on which host and object, and what to do about it.

use std::fmt::Write;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use nu_ansi_term::{Color, Style};
use unicode_width::UnicodeWidthStr;

use super::term::{self, Term};
use super::visible;
use crate::model::{Diagnosis, Place};

/// The diagnosis as lines of text, each ended, for stderr.
pub fn render(diagnosis: &Diagnosis, term: &Term) -> String {
    term.legible(&rendered(diagnosis, term)).into_owned()
}

fn rendered(diagnosis: &Diagnosis, term: &Term) -> String {
    let colour = term.stderr.colour;
    // A longer line is cut around the token: where it wraps, the caret points nowhere.
    let columns = if term.stderr.tty { term::stderr_columns() } else { usize::from(u16::MAX) };
    let fault = &diagnosis.fault;
    let message = visible::lines(&fault.message).into_owned();
    let place = diagnosis.places.first();
    let (mut out, gutter) =
        match place.and_then(|place| snippet(place, &fault.code, &message, colour, columns)) {
            Some((text, gutter)) => (text + "\n", gutter),
            None => (headline(&fault.code, &message, place, colour), 0),
        };
    // The message itself: its first line may be longer than the terminal is wide.
    if let Some((first, rest)) = out.split_once('\n') {
        out = format!("{}\n{rest}", fold(first, columns, 2));
    }
    let mut note = |name: &str, text: &str| {
        let style = match name {
            "help" => Style::new().bold().fg(Color::LightCyan),
            _ => Style::new().bold(),
        };
        let name = if colour { style.paint(name).to_string() } else { name.to_owned() };
        // A gutter of 0 stands for "no source line above": two spaces do.
        let lead = if gutter == 0 { "  ".to_owned() } else { format!("{:gutter$} = ", "") };
        let mut lines = text.trim_end().lines();
        let hang = lead.len() + 2;
        let first = format!("{lead}{name}: {}", lines.next().unwrap_or_default());
        let _ = writeln!(out, "{}", fold(&first, columns, hang));
        for line in lines {
            let _ = writeln!(out, "{}", fold(&format!("{:hang$}{line}", ""), columns, hang));
        }
    };
    for cause in &fault.causes {
        note("cause", &visible::lines(cause));
    }
    match (&fault.host, &fault.object) {
        (Some(host), Some(object)) => note("on", &visible::line(&format!("host {host}, {object}"))),
        (Some(host), None) => note("on", &visible::line(&format!("host {host}"))),
        (None, Some(object)) => note("on", &visible::line(object)),
        (None, None) => {}
    }
    for place in diagnosis.places.iter().skip(1) {
        note("called from", &location(place));
    }
    if let Some(hint) = &fault.hint {
        note("help", &visible::lines(hint));
    }
    out
}

/// `evacuate.rhai:12:5`; without the column where it is not known.
fn location(place: &Place) -> String {
    let script = visible::line(&place.script);
    match (place.line, place.column) {
        (0, _) => script.into_owned(),
        (line, 0) => format!("{script}:{line}"),
        (line, column) => format!("{script}:{line}:{column}"),
    }
}

fn headline(code: &str, message: &str, place: Option<&Place>, colour: bool) -> String {
    let level = format!("error[{code}]");
    let level = if colour { Style::new().bold().fg(Color::LightRed).paint(level).to_string() } else { level };
    let text = if colour { Style::new().bold().paint(message).to_string() } else { message.to_owned() };
    match place {
        Some(place) => format!("{level}: {text}\n  --> {}\n", location(place)),
        None => format!("{level}: {text}\n"),
    }
}

/// The text with the caret, and how wide the line numbers are.
fn snippet(
    place: &Place,
    code: &str,
    message: &str,
    colour: bool,
    columns: usize,
) -> Option<(String, usize)> {
    let line = place.text.lines().nth(place.line.checked_sub(1)?)?;
    // Only this line goes in, with its own control characters already seen, so
    // that the caret is counted on what is shown.
    let start = place.column.saturating_sub(1);
    let before: String = line.chars().take(start).collect();
    let token: String = line.chars().skip(start).take(place.length.max(1)).collect();
    let after: String = line.chars().skip(start + place.length.max(1)).collect();
    let (before, token) = (shown(&before), shown(&token));
    let span = before.len()..before.len() + token.len();
    let line = format!("{before}{token}{}", shown(&after));
    let path = match place.column {
        0 => format!("{}:{}", visible::line(&place.script), place.line),
        _ => visible::line(&place.script).into_owned(),
    };
    let source = Snippet::source(line).line_start(place.line).path(path).fold(false);
    let title = Level::ERROR.primary_title(message.to_owned()).id(code.to_owned());
    let report = title.element(source.annotation(AnnotationKind::Primary.span(span)));
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let text = renderer.decor_style(DecorStyle::Ascii).term_width(columns).render(&[report]);
    Some((text, place.line.to_string().len()))
}

/// A line broken between words where it would not fit; what follows hangs in by `hang` columns. Colours take no room.
fn fold(line: &str, columns: usize, hang: usize) -> String {
    let mut out = String::with_capacity(line.len());
    let mut column = 0;
    for (at, word) in line.split(' ').enumerate() {
        let wide = width(word);
        let fits = column + 1 + wide <= columns || column <= hang;
        if at > 0 && fits {
            out.push(' ');
            column += 1;
        } else if at > 0 {
            let _ = write!(out, "\n{:hang$}", "");
            column = hang;
        }
        out.push_str(word);
        column += wide;
    }
    out
}

/// How wide a text is on the screen, without what only changes colours.
fn width(text: &str) -> usize {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().width();
    first + parts.map(|part| part.split_once('m').map_or(0, |(_, shown)| shown.width())).sum::<usize>()
}

/// One character stays one character, so that the column that is printed is the
/// column in the file; tabs are widened by the renderer.
fn shown(text: &str) -> String {
    let picture = |c: char| match u32::from(c) {
        // U+2400 and on are pictures of the control characters: ESC is seen as ␛.
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or('\u{FFFD}'),
        _ => '\u{FFFD}',
    };
    text.chars().map(|c| if c != '\t' && visible::acts(c) { picture(c) } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fault;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    fn place(script: &str, text: &str, line: usize, column: usize, length: usize) -> Place {
        Place { script: script.into(), text: text.into(), line, column, length }
    }

    fn fault() -> Fault {
        Fault::new("no_domain", "no domain web9")
            .because("libvirt: Domain not found\nno domain with matching name 'web9'")
            .on_host("h2-a")
            .on_object("domain", "web9")
            .hint("domains of h2-a: web1, web2")
    }

    #[test]
    fn long_lines_break_between_words() {
        let text = "  = help: declare it with `let`; a function sees only its own";
        assert_eq!(fold(text, 40, 4), "  = help: declare it with `let`; a\n    function sees only its own");
        assert_eq!(fold(text, 80, 4), text);
        assert_eq!(fold("\x1b[1mone\x1b[0m two", 7, 2), "\x1b[1mone\x1b[0m two");
        assert_eq!(fold("averyverylongword and", 10, 2), "averyverylongword\n  and");
        for columns in 0..30 {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&fold(text, columns, 4)), words(text));
        }
    }

    #[test]
    fn the_caret_stands_under_the_token_and_the_notes_below() {
        let text = "let h = host(\"h2-a\");\n\tlet 日本 = h.domain(\"web9\");\n";
        let diagnosis = Diagnosis {
            fault: fault(),
            places: vec![place("evacuate.rhai", text, 2, 13, 8), place("main.rhai", "", 12, 1, 1)],
        };
        assert_snapshot!(render(&diagnosis, &Term::plain()), @r#"
        error[no_domain]: no domain web9
         --> evacuate.rhai:2:13
          |
        2 |     let 日本 = h.domain("web9");
          |                  ^^^^^^^^
          = cause: libvirt: Domain not found
              no domain with matching name 'web9'
          = on: host h2-a, domain web9
          = called from: main.rhai:12:1
          = help: domains of h2-a: web1, web2
        "#);
        let mut term = Term::plain();
        term.stderr.colour = true;
        assert!(render(&diagnosis, &term).contains("\x1b["));
    }

    #[test]
    fn without_source_text_the_notes_stay() {
        assert_snapshot!(render(&fault().into(), &Term::plain()), @"
        error[no_domain]: no domain web9
          cause: libvirt: Domain not found
            no domain with matching name 'web9'
          on: host h2-a, domain web9
          help: domains of h2-a: web1, web2
        ");
        let diagnosis = Diagnosis { fault: fault(), places: vec![place("std/bond", "", 7, 0, 1)] };
        assert_snapshot!(render(&diagnosis, &Term::plain()), @"
        error[no_domain]: no domain web9
          --> std/bond:7
          cause: libvirt: Domain not found
            no domain with matching name 'web9'
          on: host h2-a, domain web9
          help: domains of h2-a: web1, web2
        ");
    }

    #[test]
    fn an_error_at_the_end_of_a_line_has_a_caret_behind_it() {
        let diagnosis = Diagnosis {
            fault: Fault::new("syntax", "expected `)`"),
            places: vec![place("-c", "foo(", 1, 5, 1)],
        };
        assert_snapshot!(render(&diagnosis, &Term::plain()), @"
        error[syntax]: expected `)`
         --> -c:1:5
          |
        1 | foo(
          |     ^
        ");
    }

    #[test]
    fn escape_sequences_in_names_messages_and_source_are_seen() {
        let mut fault = fault();
        fault.message.push_str("\x1b[2J");
        fault.causes.push("\x1b]0;x\x07".into());
        let diagnosis = Diagnosis { fault, places: vec![place("a\x1b.rhai", "\x1b[31mx()", 1, 6, 1)] };
        assert!(!render(&diagnosis, &Term::plain()).contains('\x1b'));
    }

    proptest! {
        #[test]
        fn any_place_in_any_text_is_shown(text in any::<String>(), line in 0usize..4, column in 0usize..9, length in 0usize..5) {
            let diagnosis = Diagnosis { fault: fault(), places: vec![place("x", &text, line, column, length)] };
            prop_assert!(render(&diagnosis, &Term::plain()).contains("no domain web9"));
        }
    }
}
