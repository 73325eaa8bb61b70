//! One file of interfaces(5), by its lines.
//!
//! The grammar is that of ifupdown's own reader (config.c): leading white space does not count, a line that begins with
//! `#` is a comment wherever it stands, a backslash at the end joins lines that are not comments, and a stanza goes on
//! until the next word that begins one.

use std::ops::Range;

/// A line, with those that a backslash joins to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its bytes in the file, with the newline.
    pub(super) range: Range<usize>,
    /// Its words; none in a comment or an empty line.
    pub(super) words: Vec<String>,
}

impl Line {
    /// The first word, with `_` as `-`: ifupdown makes the same variable of both.
    pub(super) fn key(&self) -> String {
        self.words.first().map(|word| word.replace('_', "-")).unwrap_or_default()
    }

    /// What comes after the first word.
    pub(super) fn value(&self) -> String {
        self.words.get(1..).unwrap_or_default().join(" ")
    }
}

/// `iface NAME FAMILY METHOD` and its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Iface {
    pub(super) header: Line,
    pub(super) options: Vec<Line>,
}

impl Iface {
    pub(super) fn name(&self) -> &str {
        self.header.words.get(1).map_or("", String::as_str)
    }

    /// `inet` or `inet6`.
    pub(super) fn family(&self) -> &str {
        self.header.words.get(2).map_or("", String::as_str)
    }

    /// `static`, `dhcp`, `manual`, …
    pub(super) fn method(&self) -> &str {
        self.header.words.get(3).map_or("", String::as_str)
    }

    /// Whether it says just name, family and method: no `inherits`.
    pub(super) fn is_plain(&self) -> bool {
        self.header.words.len() == 4
    }

    /// The first option of this name.
    pub(super) fn option(&self, key: &str) -> Option<String> {
        self.options.iter().find(|line| line.key() == key).map(Line::value)
    }
}

/// A file that has been read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parsed {
    pub(super) ifaces: Vec<Iface>,
    /// Names after `auto` and `allow-…`.
    pub(super) auto: Vec<String>,
    /// Patterns after `mapping`.
    pub(super) mappings: Vec<String>,
}

fn lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let mut joined = String::new();
        loop {
            let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1);
            let piece = text[at..end].trim_end_matches('\n');
            at = end;
            let comment = joined.is_empty() && piece.trim_start().starts_with('#');
            match piece.strip_suffix('\\') {
                Some(more) if !comment => joined.push_str(more),
                _ => {
                    joined.push_str(piece);
                    break;
                }
            }
            if at >= text.len() {
                break;
            }
        }
        let comment = joined.trim_start().starts_with('#');
        let words = if comment { Vec::new() } else { joined.split_whitespace().map(str::to_owned).collect() };
        lines.push(Line { range: start..at, words });
    }
    lines
}

fn begins_stanza(word: &str) -> bool {
    word.starts_with("allow-")
        || matches!(
            word,
            "auto"
                | "iface"
                | "mapping"
                | "rename"
                | "source"
                | "source-directory"
                | "template"
                | "no-auto-down"
                | "no-scripts"
        )
}

pub(super) fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut in_iface = false;
    for line in lines(text) {
        let Some(word) = line.words.first() else { continue };
        if !begins_stanza(word) {
            if in_iface && let Some(iface) = parsed.ifaces.last_mut() {
                iface.options.push(line);
            }
            continue;
        }
        in_iface = word == "iface";
        match word.as_str() {
            "iface" => parsed.ifaces.push(Iface { header: line, options: Vec::new() }),
            "mapping" => parsed.mappings.extend(line.words[1..].iter().cloned()),
            word if word == "auto" || word.starts_with("allow-") => {
                parsed.auto.extend(line.words[1..].iter().cloned());
            }
            _ => {}
        }
    }
    parsed
}

/// Where the words of a line stand in the file.
pub(super) fn word_range(text: &str, line: &Line, nth: usize) -> Range<usize> {
    let mut at = line.range.start;
    let end = line.range.end;
    let is_gap = |c: char| c.is_whitespace() || c == '\\';
    for skip in 0..=nth {
        let from = text[at..end].find(|c| !is_gap(c)).map_or(end, |found| at + found);
        let to = text[from..end].find(char::is_whitespace).map_or(end, |found| from + found);
        if skip == nth {
            return from..to;
        }
        at = to;
    }
    end..end
}

/// Replaces pieces of a text; they do not overlap.
pub(super) fn splice(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len() + 256);
    let mut at = 0;
    for (range, new) in edits {
        out.push_str(text.get(at..range.start).unwrap_or_default());
        out.push_str(&new);
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &str = "# head\nauto lo enp2s0\niface lo inet loopback\n\n  iface enp2s0 inet static # no comment\n\taddress 10.0.0.1/24\n# inside\n\n  up ip route \\\n     add default\nmapping eth*\n  script x\nsource interfaces.d/*";

    #[test]
    fn a_file_is_read_as_ifupdown_reads_it() {
        let parsed = parse(SAMPLE);
        assert_eq!(parsed.auto, ["lo", "enp2s0"]);
        assert_eq!(parsed.mappings, ["eth*"]);
        let enp2s0 = &parsed.ifaces[1];
        assert_eq!((enp2s0.name(), enp2s0.family(), enp2s0.method()), ("enp2s0", "inet", "static"));
        // ifupdown knows no comment at the end of a line.
        assert!(!enp2s0.is_plain());
        assert_eq!(enp2s0.option("address").as_deref(), Some("10.0.0.1/24"));
        assert_eq!(enp2s0.option("up").as_deref(), Some("ip route add default"));
        let range = word_range(SAMPLE, &enp2s0.header, 3);
        assert_eq!(&SAMPLE[range], "static");
    }

    proptest! {
        #[test]
        fn every_byte_belongs_to_exactly_one_line(text in "[a-z#\\\\ \n\té]{0,80}") {
            let mut at = 0;
            for line in lines(&text) {
                prop_assert_eq!(line.range.start, at);
                at = line.range.end;
            }
            prop_assert_eq!(at, text.len());
            let _ = parse(&text);
        }
    }
}
