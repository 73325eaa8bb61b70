//! XML as a person reads it: indented and, where there is colour, coloured.
//!
//! Only at a terminal: a file and a pipe get every byte as it was.

use nu_ansi_term::{Color, Style};
use quick_xml::events::Event;
use quick_xml::{Reader, Writer};

use super::term::Term;
use super::visible;

/// The text, if it is an XML document and goes to a terminal.
pub(super) fn render(text: &str, term: &Term) -> Option<String> {
    if !term.stdout.tty || !text.trim_start().starts_with('<') {
        return None;
    }
    let text = visible::lines(&indented(text)?).into_owned();
    Some(if term.stdout.colour { coloured(&text) } else { text })
}

/// Each element on a line of its own; text stays where it is. `None` for what is not well-formed.
fn indented(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let (mut depth, mut elements, mut in_text) = (0_usize, 0_usize, false);
    loop {
        match reader.read_event().ok()? {
            Event::Eof => break,
            // Blanks between elements are replaced by our own.
            Event::Text(blank) if !in_text && blank.trim().is_empty() => {}
            event => {
                in_text = matches!(event, Event::Text(_) | Event::CData(_) | Event::GeneralRef(_));
                match &event {
                    Event::Start(_) => depth += 1,
                    Event::End(_) => depth = depth.checked_sub(1)?,
                    _ => {}
                }
                elements += usize::from(matches!(event, Event::Start(_) | Event::Empty(_)));
                writer.write_event(event).ok()?;
            }
        }
    }
    (depth == 0 && elements > 0).then(|| String::from_utf8_lossy(&writer.into_inner()).into_owned())
}

/// Well-formed XML with names, values and comments in colour.
fn coloured(text: &str) -> String {
    let (name, key) = (Color::Blue.normal(), Color::Cyan.normal());
    let (value, quiet) = (Color::Green.normal(), Style::new().dimmed());
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    let mut put = |style: Style, part: &str| {
        // A colour that goes on over the end of a line would colour a pager's margins.
        for (at, line) in part.split('\n').enumerate() {
            if at > 0 {
                out.push('\n');
            }
            if !line.is_empty() {
                out.push_str(&style.paint(line).to_string());
            }
        }
    };
    while !rest.is_empty() {
        let Some(open) = rest.find('<') else { break };
        put(Style::new(), &rest[..open]);
        rest = &rest[open..];
        let whole = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">")];
        if let Some((_, end)) = whole.iter().find(|(begin, _)| rest.starts_with(begin)) {
            let to = rest.find(end).map_or(rest.len(), |at| at + end.len());
            put(quiet, &rest[..to]);
            rest = &rest[to..];
            continue;
        }
        let to = rest.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(rest.len());
        put(name, &rest[..to]);
        rest = &rest[to..];
        // Attributes, up to the `>` that is in no quotes.
        while let Some(c) = rest.chars().next() {
            let (style, to) = match c {
                '>' | '/' => (name, rest.find('>').map_or(rest.len(), |at| at + 1)),
                '"' | '\'' => (value, rest[1..].find(c).map_or(rest.len(), |at| at + 2)),
                '=' => (Style::new(), 1),
                c if c.is_whitespace() => {
                    (Style::new(), rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()))
                }
                _ => {
                    let ends = |c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/');
                    (key, rest.find(ends).unwrap_or(rest.len()))
                }
            };
            put(style, &rest[..to]);
            rest = &rest[to..];
            if matches!(c, '>' | '/') {
                break;
            }
        }
    }
    put(Style::new(), rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use proptest::prelude::*;

    fn term(colour: bool) -> Term {
        let mut term = Term::plain();
        term.stdout.tty = true;
        term.stdout.colour = colour;
        term
    }

    #[test]
    fn a_document_is_indented_and_its_text_stays() {
        let text =
            "<domain type='kvm'><name>web &amp; 1</name><!-- a -->\n\n<os><boot dev=\"hd\"/></os></domain>";
        assert_snapshot!(render(text, &term(false)).unwrap(), @r#"
        <domain type='kvm'>
          <name>web &amp; 1</name>
          <!-- a -->
          <os>
            <boot dev="hd"/>
          </os>
        </domain>
        "#);
    }

    #[test]
    fn only_a_well_formed_document_at_a_terminal_is_touched() {
        assert_eq!(render("<a/>", &Term::plain()), None);
        for other in ["plain", "<a>", "<a></b>", "<", "< 5 items", "</a>", "<!-- x -->", ""] {
            assert_eq!(render(other, &term(true)), None, "{other}");
        }
    }

    #[test]
    fn names_keys_and_values_have_colours_of_their_own() {
        let text = render("<a b='x>y'>t</a>", &term(true)).unwrap();
        assert_eq!(
            text,
            "\x1b[34m<a\x1b[0m \x1b[36mb\x1b[0m=\x1b[32m'x>y'\x1b[0m\x1b[34m>\x1b[0mt\x1b[34m</a\x1b[0m\x1b[34m>\x1b[0m"
        );
    }

    #[test]
    fn an_escape_sequence_in_it_is_seen() {
        assert!(!render("<a>\x1b[2J</a>", &term(false)).unwrap().contains('\x1b'));
    }

    fn bare(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('\x1b') {
            out.push_str(&rest[..at]);
            rest = rest[at..].split_once('m').map_or("", |(_, tail)| tail);
        }
        out + rest
    }

    proptest! {
        #[test]
        fn colour_changes_no_character(text in "[<>/='\" a-c!\\-?\n\\[\\]é]{0,60}") {
            prop_assert_eq!(bare(&coloured(&text)), text.clone());
            render(&text, &term(true));
        }
    }
}
