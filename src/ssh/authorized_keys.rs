//! authorized_keys files, as sshd(8) reads them: which key is in them, and one more line.

use super::keys;
use crate::model::base64;

/// A line of an authorized_keys file that is for a certain key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number, from 1.
    pub line: usize,
    /// What stands before the key: `from="10.0.0.0/8",restrict`; empty for a key without limits.
    pub options: String,
}

/// Where the key stands; keys are compared, not their comments. A line that names it as an authority is not for it.
pub fn find(text: &[u8], key: &str) -> Option<Listed> {
    let wanted = keys::blob(key)?;
    let text = String::from_utf8_lossy(text);
    text.split('\n').enumerate().find_map(|(at, line)| {
        let (options, blob) = entry(line)?;
        let authority = options.split(',').any(|word| word.eq_ignore_ascii_case("cert-authority"));
        (blob == wanted && !authority).then(|| Listed { line: at + 1, options: options.to_owned() })
    })
}

/// The text with these keys appended, each on a line of its own; every byte that was there stays.
pub fn with<'a>(text: &[u8], keys: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = text.to_vec();
    if out.last().is_some_and(|last| *last != b'\n') {
        out.push(b'\n');
    }
    for key in keys {
        out.extend_from_slice(key.trim().as_bytes());
        out.push(b'\n');
    }
    out
}

/// Whether this is one public key as `.pub` files have it, and nothing else: no options, no second line.
pub fn is_public_key(line: &str) -> bool {
    let line = line.trim();
    !line.chars().any(char::is_control) && plain(line).is_some()
}

/// Options and key of a line; `None` for comments and what is no key.
fn entry(line: &str) -> Option<(&str, Vec<u8>)> {
    let line = line.trim_start_matches([' ', '\t']);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    if let Some(blob) = plain(line) {
        return Some(("", blob));
    }
    let end = options_end(line);
    plain(line[end..].trim_start_matches([' ', '\t'])).map(|blob| (&line[..end], blob))
}

/// The key that a line begins with: its type and base64 must agree.
fn plain(line: &str) -> Option<Vec<u8>> {
    let mut words = line.split_ascii_whitespace();
    let (kind, text) = (words.next()?, words.next()?);
    let blob = base64::decode(text)?;
    (keys::kind(&blob).as_deref() == Some(kind)).then_some(blob)
}

/// Where the options end: at the first white space outside quotes; `\"` does not end a quote.
fn options_end(line: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        match c {
            ' ' | '\t' if !quoted => return at,
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> String {
        let mut blob = vec![0, 0, 0, 11];
        blob.extend(b"ssh-ed25519");
        blob.extend([0, 0, 0, 1, byte]);
        format!("ssh-ed25519 {}", base64::encode(&blob, true))
    }

    fn found(text: &str, byte: u8) -> Option<(usize, String)> {
        find(text.as_bytes(), &key(byte)).map(|listed| (listed.line, listed.options))
    }

    #[test]
    fn a_key_is_found_whatever_its_comment_and_options() {
        let (one, two, three) = (key(1), key(2), key(3));
        let text = format!(
            "# {three}\n\n  {one} old comment\nfrom=\"10.0.0.0/8, \\\" 1\",no-pty\t{two} x y\n\
             cert-authority {three} ca\nnonsense\n"
        );
        assert_eq!(found(&text, 1), Some((3, String::new())));
        assert_eq!(found(&text, 2), Some((4, "from=\"10.0.0.0/8, \\\" 1\",no-pty".to_owned())));
        assert_eq!(found(&text, 3), None, "a comment and an authority let nobody in");
        assert_eq!(found(&format!("environment=\"A={one} x\" {two}"), 1), None, "inside quotes");
    }

    #[test]
    fn a_line_is_appended_and_nothing_else_changes() {
        let line = format!("{} me@here\n", key(1));
        assert_eq!(with(b"", [line.as_str()]), line.as_bytes());
        assert_eq!(with(b"a", [line.as_str()]), format!("a\n{line}").as_bytes());
        assert_eq!(with(b"a\r\n\xff\n", [line.as_str()]), [b"a\r\n\xff\n", line.as_bytes()].concat());
    }

    #[test]
    fn only_a_plain_public_key_is_one() {
        assert!(is_public_key(&key(1)) && is_public_key(&format!("{} c d\n", key(1))));
        for bad in [String::new(), format!("command=\"x\" {}", key(1)), format!("{}\n{}", key(1), key(2))] {
            assert!(!is_public_key(&bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_file_holds_a_key_that_was_added_is_found(text: Vec<u8>, byte: u8) {
            let line = key(byte);
            let with = with(&text, [line.as_str()]);
            prop_assert!(with.starts_with(&text));
            prop_assert!(find(&with, &line).is_some());
        }
    }
}
