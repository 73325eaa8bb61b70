//! Control characters made visible.
//!
//! A guest's name, a domain's title or a command's error text is written by
//! others. At a terminal an escape sequence in it could move the cursor, change
//! the window's title or hide a line, and a bidirectional override could show
//! another name than the one that is meant (CVE-2021-42574).

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character would act on the terminal instead of being seen.
pub(super) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// One line: control characters as `\n`, `\t`, `\x1b` or `\u{202e}`.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, |c| !acts(c))
}

/// Several lines: as [`line`], but newlines and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t') || !acts(c))
}

/// JSON in which only strings can hold such characters: as `\u001b`, which
/// programs read as the same text.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c == '\n' || !acts(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c == '\n' || !acts(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(out)
}

/// Signs that kvmsh itself writes, for a locale that has only ASCII; letters of names stay.
pub(super) fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '…' => out.push_str("..."),
            '→' => out.push_str("->"),
            '×' => out.push('x'),
            '–' | '—' | '─' => out.push('-'),
            '│' | '├' => out.push('|'),
            '└' => out.push('`'),
            '‘' | '’' => out.push('\''),
            '“' | '”' => out.push('"'),
            '≥' => out.push_str(">="),
            '≤' => out.push_str("<="),
            'µ' => out.push('u'),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn escape(text: &str, fine: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(&fine) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if fine(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x100 => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_on_a_terminal_is_seen_instead() {
        assert_eq!(line("web\x1b[2J1\n\u{9b}m\u{202e}gnp"), r"web\x1b[2J1\n\x9bm\u{202e}gnp");
        assert_eq!(lines("a\tb\nc\r"), "a\tb\nc\\r");
        assert_eq!(line("büro-日本 🦀"), "büro-日本 🦀");
    }

    #[test]
    fn signs_become_ascii_and_letters_stay() {
        assert_eq!(ascii("1 × 2 → `a`, …\n└─ büro ≥ 3"), "1 x 2 -> `a`, ...\n`- büro >= 3");
    }

    #[test]
    fn json_stays_the_same_value() {
        let text = serde_json::to_string("\u{9b}2J\u{7f}\u{e0041}").unwrap();
        let shown = json(&text);
        assert_eq!(shown, r#""\u009b2J\u007f\udb40\udc41""#);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), "\u{9b}2J\u{7f}\u{e0041}");
    }
}
