//! `!cmd`: how a line for this machine's shell could go on, with programs and paths.

use std::fs::DirEntry;
use std::os::unix::fs::PermissionsExt;

use super::world;
use crate::script::{Candidate, Completion};

/// More of them nobody reads.
const MOST: usize = 5000;

/// Programs that run the one that is named behind them.
const RUNNERS: &[&str] = &["sudo", "env", "time", "exec", "nohup"];

/// How a line that begins with `!` could go on; `None` where it does not.
pub(super) fn complete(before: &str) -> Option<Completion> {
    let line = before.trim_start().strip_prefix('!')?;
    let offset = before.len() - line.len();
    let word = Word::last_of(line);
    let (directory, name) = word.text.split_at(word.text.rfind('/').map_or(0, |at| at + 1));
    let mut found = match directory {
        "" if word.runs => programs(name),
        _ => files(directory, name),
    };
    found.sort();
    found.dedup();
    let candidate = |found: String| {
        let end = if word.runs && directory.is_empty() { " " } else { "" };
        let text = if word.quoted { found.clone() } else { escaped(&found) };
        Candidate { text: text + end, shown: found, note: String::new() }
    };
    let fits = found.into_iter().filter(|found| !word.quoted || !found.contains(['"', '\'', '$', '`', '\\']));
    Some(Completion { start: offset + word.name_at, candidates: fits.map(candidate).collect() })
}

/// The word that is being typed.
#[derive(Debug, Default, PartialEq)]
struct Word {
    /// What the shell makes of it.
    text: String,
    /// Where what stands behind its last slash begins in the line.
    name_at: usize,
    /// Whether that stands in quotes.
    quoted: bool,
    /// Whether it is the name of a program.
    runs: bool,
}

impl Word {
    fn last_of(line: &str) -> Self {
        let new = |at: usize, runs: bool| Self { name_at: at, runs, ..Self::default() };
        let mut word = new(0, true);
        let (mut begun, mut escape) = (false, false);
        let mut quote: Option<char> = None;
        for (at, c) in line.char_indices() {
            let next = at + c.len_utf8();
            begun = match c {
                _ if escape => {
                    escape = false;
                    word.add(c, next)
                }
                '\\' if quote != Some('\'') => {
                    escape = true;
                    true
                }
                _ if quote == Some(c) => {
                    (quote, word.quoted) = (None, false);
                    true
                }
                '\'' | '"' if quote.is_none() => {
                    quote = Some(c);
                    if word.name_at == at {
                        (word.name_at, word.quoted) = (next, true);
                    }
                    true
                }
                _ if quote.is_some() => word.add(c, next),
                _ if c.is_whitespace() => {
                    // `A=b cmd` and `sudo cmd` run what comes next.
                    let goes_on = !begun || word.text.contains('=') || RUNNERS.contains(&word.text.as_str());
                    word = new(next, word.runs && goes_on);
                    false
                }
                '|' | ';' | '&' | '(' | '`' => {
                    word = new(next, true);
                    false
                }
                '<' | '>' => {
                    word = new(next, false);
                    false
                }
                '=' => {
                    word.add(c, next);
                    word.name_at = next;
                    true
                }
                _ => word.add(c, next),
            };
        }
        // `if=/dev/`: the path begins behind the sign.
        if let Some((_, path)) = word.text.rsplit_once('=') {
            (word.text, word.runs) = (path.to_owned(), false);
        }
        word
    }

    /// Says that it has begun.
    fn add(&mut self, c: char, next: usize) -> bool {
        self.text.push(c);
        if c == '/' {
            self.name_at = next;
        }
        true
    }
}

/// Names in a directory of this machine that begin so; of directories with a slash behind them.
fn files(directory: &str, beginning: &str) -> Vec<String> {
    let path = if directory.is_empty() { ".".into() } else { world::at_home(directory) };
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let name = |entry: DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let hidden = name.starts_with('.') && !beginning.starts_with('.');
        let fits = name.starts_with(beginning) && !hidden;
        fits.then(|| if entry.path().is_dir() { name + "/" } else { name })
    };
    entries.filter_map(name).take(MOST).collect()
}

/// Programs on `$PATH` whose names begin so.
fn programs(beginning: &str) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let entries =
        std::env::split_paths(&path).filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let name = |entry: DirEntry| {
        let name = entry.file_name().into_string().ok().filter(|name| name.starts_with(beginning))?;
        // Through links, which many of them are.
        let there = std::fs::metadata(entry.path()).ok()?;
        (there.is_file() && there.permissions().mode() & 0o111 != 0).then_some(name)
    };
    entries.filter_map(name).take(MOST).collect()
}

/// A name as it is written in a shell's line.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        let plain = c.is_alphanumeric() || !c.is_ascii() || "_-./,:@%+".contains(c);
        if !plain {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_found_as_a_shell_would() {
        let word = |line: &str| {
            let word = Word::last_of(line);
            (word.text, word.name_at, word.quoted, word.runs)
        };
        for (line, text, name_at, quoted, runs) in [
            ("", "", 0, false, true),
            ("vir", "vir", 0, false, true),
            ("ls src/re", "src/re", 7, false, false),
            ("ls  a\\ b/c", "a b/c", 9, false, false),
            ("ls \"a b", "a b", 4, true, false),
            ("ls 'a b'/c", "a b/c", 9, false, false),
            ("ls | gre", "gre", 5, false, true),
            ("ls>ou", "ou", 3, false, false),
            ("ls && ca", "ca", 6, false, true),
            ("sudo vir", "vir", 5, false, true),
            ("A=b vir", "vir", 4, false, true),
            ("ls sudo x", "x", 8, false, false),
            ("dd if=/de", "/de", 7, false, false),
            ("dd if=de", "de", 6, false, false),
        ] {
            assert_eq!(word(line), (text.to_owned(), name_at, quoted, runs), "{line}");
        }
    }

    #[test]
    fn programs_and_paths_are_offered_and_nothing_else() {
        let texts = |before: &str| -> (usize, Vec<String>) {
            let found = complete(before).unwrap();
            (found.start, found.candidates.into_iter().map(|one| one.text).collect())
        };
        assert_eq!(texts("!cat Cargo.t"), (5, vec!["Cargo.toml".to_owned()]));
        assert_eq!(texts(" !cat src/repl/outs"), (15, vec!["outside.rs".to_owned()]));
        assert_eq!(texts("!ls sr"), (4, vec!["src/".to_owned()]));
        assert!(texts("!ca").1.contains(&"cat ".to_owned()));
        assert!(texts("!hosts(").1.is_empty() || !texts("!hosts(").1.iter().any(|one| one.contains("host(")));
        assert!(complete("host").is_none());
        assert_eq!(escaped("a b'$(x)日"), "a\\ b\\'\\$\\(x\\)日");
    }
}
