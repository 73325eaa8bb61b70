//! Where a script's text comes from.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, usage};
use crate::inventory;
use crate::model::{Fault, suggest};
use crate::script::Source;

/// The text of `-c`.
pub(super) fn code(text: String) -> Source {
    Source { name: "-c".to_owned(), text }
}

/// The script in this file; `-` is stdin.
pub(super) fn file(name: &OsStr) -> Result<Source, Fault> {
    let path = Path::new(name);
    let shown = path.display().to_string();
    if name == "-" {
        return read(shown, std::io::stdin().lock());
    }
    match std::fs::File::open(path) {
        Ok(file) => {
            inventory::trusted(path, &file)?;
            read(shown, file)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(missing(path)),
        Err(e) => Err(unreadable(&shown, &e.to_string())),
    }
}

/// The words behind FILE.
pub(super) fn arguments(words: &[OsString]) -> Result<Vec<String>, Fault> {
    let text = |(at, word): (usize, &OsString)| {
        let bad = || usage(format!("argument {} is not UTF-8 text: {}", at + 1, word.to_string_lossy()));
        word.to_str().map(str::to_owned).ok_or_else(bad)
    };
    words.iter().enumerate().map(text).collect()
}

fn read(name: String, mut from: impl Read) -> Result<Source, Fault> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).map_err(|e| unreadable(&name, &e.to_string()))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = bytes[..e.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable(&name, &format!("line {line} is not UTF-8 text"))
    })?;
    Ok(Source { name, text: without_shebang(text) })
}

/// `#!` is no Rhai: the line becomes a comment, and the lines below keep their numbers.
fn without_shebang(text: &str) -> String {
    if text.starts_with("#!") { format!("// {text}") } else { text.to_owned() }
}

fn unreadable(name: &str, cause: &str) -> Fault {
    usage(format!("cannot read the script {name}")).because(cause)
}

fn missing(path: &Path) -> Fault {
    let word = path.display().to_string();
    let script = word.contains('/') || path.extension().is_some();
    let commands = Cli::command();
    let commands: Vec<&str> = commands.get_subcommands().map(clap::Command::get_name).collect();
    let beside = neighbours(path);
    let near: Vec<&str> = if script { Vec::new() } else { commands.clone() }
        .into_iter()
        .chain(beside.iter().map(String::as_str))
        .collect();
    let hint = suggest::did_you_mean(&word, near);
    if script {
        let fault = usage(format!("there is no script {word}"));
        return match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        };
    }
    usage(format!("{word} is neither a script nor a command"))
        .hint(hint.unwrap_or_else(|| format!("commands are: {}; see kvmsh --help", commands.join(", "))))
}

/// The scripts in the same directory, spelled as the argument was.
fn neighbours(path: &Path) -> Vec<String> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let dir = if parent == Path::new("") { Path::new(".") } else { parent };
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    let scripts = names.filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "rhai"));
    scripts.map(|name| parent.join(name).display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_for_the_kernel_is_a_comment() {
        assert_eq!(without_shebang("#!/usr/bin/env kvmsh\n1"), "// #!/usr/bin/env kvmsh\n1");
        assert_eq!(without_shebang("1 #!"), "1 #!");
    }

    #[test]
    fn what_is_not_there_is_told_with_what_may_be_meant() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("evacuate.rhai"), "").unwrap();
        let fault = file(dir.path().join("evacute.rhai").as_os_str()).unwrap_err();
        assert!(fault.hint.as_ref().unwrap().ends_with("/evacuate.rhai`?"), "{fault:?}");
        let fault = file(OsStr::new("jornal")).unwrap_err();
        assert_eq!(fault.message, "jornal is neither a script nor a command");
        assert_eq!(fault.hint.as_deref(), Some("did you mean `journal`?"));
    }

    #[test]
    fn a_script_that_is_no_text_is_refused_with_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"1;\n\xff").unwrap();
        assert_eq!(file(path.as_os_str()).unwrap_err().causes, ["line 2 is not UTF-8 text"]);
    }
}
