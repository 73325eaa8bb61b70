//! What was typed, in a file that parallel sessions share.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::model::{Fault, secret};

/// How many entries are kept.
pub(super) const ENTRIES: usize = 10_000;

/// The first line of rustyline's format in which entries may span lines.
const FORMAT: &[u8] = b"#V2\n";

/// Makes the file, unless it is there, for nobody else to read.
///
/// # Errors
/// `history`: it cannot be made.
pub(super) fn prepare() -> Result<PathBuf, Fault> {
    let state = dirs::state_dir().ok_or_else(|| {
        Fault::new("history", "history is not kept: there is no home directory to keep it in")
    })?;
    let path = state.join("kvmsh/history");
    make(&path).map_err(|error| {
        Fault::new("history", format!("history is not kept: cannot write {}", path.display()))
            .because(error.to_string())
    })?;
    Ok(path)
}

fn make(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    // It has to be there before two sessions append to it: the one that made it
    // then would cut off what the other has written.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(FORMAT),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        Err(error) => Err(error),
    }
}

/// Takes lines out of the file that are no text, for of what stands behind them the editor would read nothing; returns
/// how many there were.
pub(super) fn mend(path: &Path) -> std::io::Result<usize> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    // As the editor does it, so that no line of another session is lost.
    file.lock()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (good, bad): (Vec<&[u8]>, Vec<&[u8]>) =
        bytes.split_inclusive(|byte| *byte == b'\n').partition(|line| std::str::from_utf8(line).is_ok());
    if !bad.is_empty() {
        let mut text = good.concat();
        if !text.starts_with(FORMAT) {
            text.splice(0..0, FORMAT.iter().copied());
        }
        file.rewind()?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)?;
    }
    Ok(bad.len())
}

/// How secrets of well-known kinds begin, and programs that take one as an argument.
const BEGINNINGS: &[&str] = &[
    "private key-----",
    "ghp_",
    "github_pat_",
    "glpat-",
    "akia",
    "xoxb-",
    "xoxp-",
    "sshpass",
    "chpasswd",
    "--password",
    "eyjhbgci",
];

/// Whether a text carries a secret: a value under a telling name, a URL with a
/// password, the value of a variable of the environment that holds one.
pub(super) fn has_secret(text: &str) -> bool {
    let lower = text.to_lowercase();
    let in_environment = || {
        std::env::vars_os().any(|(name, value)| {
            let name = name.to_string_lossy().to_lowercase();
            let value = value.to_string_lossy();
            secret::NAMES.iter().any(|word| name.contains(word)) && value.len() >= 6 && text.contains(&*value)
        })
    };
    // What must not be in a log must not be here.
    let command = text.trim_start().strip_prefix('!');
    secret::scrub(text) != text
        || command.is_some_and(|line| secret::command(line) != line)
        || BEGINNINGS.iter().any(|word| lower.contains(word))
        || secret::NAMES
            .iter()
            .any(|word| lower.match_indices(word).any(|(at, _)| is_given(&lower[at + word.len()..])))
        || ["pw", "pwd", "pass"].iter().any(|word| short_name(&lower, word))
        || has_url_password(&lower)
        || in_environment()
}

/// Whether a literal follows a name: `: "x"`, `= 'x'`, `("root", "x")`, `=x`.
fn is_given(rest: &str) -> bool {
    let rest = rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '\'');
    let rest = rest.trim_start();
    let Some(value) = rest.strip_prefix([':', '=', '(']) else { return false };
    let call = rest.starts_with('(');
    let value = value.trim_start();
    let mut literals = value.split(['"', '\'', '`']);
    let before = literals.next().unwrap_or_default();
    let literal = literals.next().is_some_and(|literal| !literal.is_empty());
    if call {
        return literal && !before.contains(')');
    }
    // Without quotes, in a command line: `TOKEN=abc`.
    let bare = rest.starts_with('=') && value.starts_with(|c: char| c.is_alphanumeric());
    (before.is_empty() && literal) || (bare && rest.starts_with("=") && !rest[1..].starts_with([' ', '=']))
}

/// `pw = "x"`: short names count only as whole words.
fn short_name(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let part = |c: char| c.is_alphanumeric();
        let whole = !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part);
        let rest = text[at + word.len()..].trim_start_matches(['"', '\'']).trim_start();
        let value = rest.strip_prefix([':', '=']).map(str::trim_start);
        whole && value.is_some_and(|value| value.starts_with(['"', '\'', '`']))
    })
}

/// `scheme://user:password@host`
fn has_url_password(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let authority = text[at + 3..].split(['/', '"', '\'', ' ']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_for_its_owner_alone_even_if_it_was_not_before() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state/kvmsh/history");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        make(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        make(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(std::fs::read(&path).unwrap(), FORMAT);
    }

    #[test]
    fn lines_that_are_no_text_leave_and_the_others_stay() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("history");
        for (before, after, bad) in [
            (&b"#V2\none\n\xff\xfe\ntwo\nthr\xc3\n"[..], &b"#V2\none\ntwo\n"[..], 2),
            (b"\xff\none\n", b"#V2\none\n", 1),
            (b"#V2\none\n", b"#V2\none\n", 0),
        ] {
            std::fs::write(&path, before).unwrap();
            assert_eq!(mend(&path).unwrap(), bad);
            assert_eq!(std::fs::read(&path).unwrap(), after);
        }
    }

    #[test]
    fn secrets_are_known_and_talk_of_them_is_not() {
        for text in [
            "set(#{password: \"hunter2\"})",
            "let db_password = 'x';",
            "curl -H token=abc",
            "d.set_user_password(\"root\", \"x\")",
            "<graphics passwd='x'/>",
            "let pw = \"x\"",
            "host(\"qemu+tcp://me:x@h/system\")",
            "#{ \"api_key\": \"x\" }",
            "run(\"sshpass -p x ssh h\")",
            "write(\"k\", \"-----BEGIN OPENSSH PRIVATE KEY-----\")",
            "let t = \"ghp_abcdefghij\"",
            "!curl --token abcdef u",
        ] {
            assert!(has_secret(text), "{text}");
        }
        for text in [
            "let password = env(\"PASSWORD\");",
            "d.password",
            "token == other",
            "host(\"qemu+ssh://root@h/system\")",
            "help(\"secret\")",
            "let passes = 3;",
            "host(\"h2-a\").pwd",
            "qemu+ssh://root@[::1]:22/system",
        ] {
            assert!(!has_secret(text), "{text}");
        }
    }
}
