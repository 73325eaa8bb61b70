//! Commands, and what comes of them.

use std::time::Duration;

use super::error::Kind;
use super::settings::{PROBE_TIMEOUT, RUN_TIMEOUT};

/// The most that stdout and stderr together may hold, in bytes: 64 MiB.
pub const OUTPUT_LIMIT: u64 = 64 << 20;

/// A command that may change the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub(super) what: What,
    /// What it reads from its standard input; nothing (end of file) by default.
    pub stdin: Vec<u8>,
    /// How long it may run; `None` is no limit. Default: [`RUN_TIMEOUT`].
    pub timeout: Option<Duration>,
    /// Run it with `sudo -n`, which never asks for a password.
    pub sudo: bool,
    /// The most it may write, in bytes; default [`OUTPUT_LIMIT`].
    pub output_limit: u64,
    /// What it is for, for plan and journal; empty when the command says it itself.
    pub note: String,
    /// Whether nothing of it is left when it has ended.
    pub passing: bool,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A program and its arguments; no shell takes them apart.
    Argv(Vec<String>),
    /// A line for `sh -c`.
    Line(String),
}

impl Command {
    /// A program and its arguments, which no shell takes apart.
    pub fn argv<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self::new(What::Argv(argv.into_iter().map(Into::into).collect()))
    }

    /// A line for `sh -c`, whatever the account's login shell is.
    pub fn line(line: impl Into<String>) -> Self {
        Self::new(What::Line(line.into()))
    }

    const fn new(what: What) -> Self {
        Self {
            what,
            stdin: Vec::new(),
            timeout: Some(RUN_TIMEOUT),
            sudo: false,
            output_limit: OUTPUT_LIMIT,
            note: String::new(),
            passing: false,
        }
    }

    /// Sets what it reads.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets how long it may run; `None` is no limit.
    #[must_use]
    pub const fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it with `sudo -n`.
    #[must_use]
    pub const fn sudo(mut self, sudo: bool) -> Self {
        self.sudo = sudo;
        self
    }

    /// Sets the most it may write, in bytes.
    #[must_use]
    pub const fn output_limit(mut self, bytes: u64) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Sets what it is for.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The words that are run, for instance `sudo -n -- sh -c "…"`.
    pub(super) fn words(&self) -> Result<Vec<String>, Kind> {
        let mut words = if self.sudo { to_words(&["sudo", "-n", "--"]) } else { Vec::new() };
        match &self.what {
            What::Argv(argv) => words.extend(argv.iter().cloned()),
            What::Line(line) => words.extend(to_words(&["sh", "-c", line])),
        }
        if let Some(word) = words.iter().find(|word| word.contains('\0')) {
            return Err(Kind::BadArgument { value: shorten(&word.replace('\0', "\\0")) });
        }
        Ok(words)
    }

    /// How errors call it: as typed, on one line, not too long. Its stdin is never shown.
    pub fn display(&self) -> String {
        let text = match &self.what {
            What::Argv(argv) => quote(argv).unwrap_or_default(),
            What::Line(line) => line.clone(),
        };
        shorten(&text)
    }
}

fn to_words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn shorten(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= 120 {
        return line;
    }
    line.chars().take(117).chain("...".chars()).collect()
}

/// One line for a POSIX shell that runs these words unchanged; `None` when one holds a NUL.
pub fn shell_line(words: &[String]) -> Option<String> {
    quote(words).ok()
}

/// Quotes words so that a POSIX shell gives them back unchanged.
pub(super) fn quote(words: &[String]) -> Result<String, Kind> {
    shlex::try_join(words.iter().map(String::as_str))
        .map_err(|_| Kind::BadArgument { value: shorten(&words.join(" ").replace('\0', "\\0")) })
}

/// A read-only command of kvmsh's own: it needs no permit.
///
/// Program and script are `&'static str`, so that nothing a person or a script
/// has written can become code; what varies is passed as arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe(pub(super) Command);

impl Probe {
    /// A program with arguments. It must not change the host, whatever the arguments are.
    pub fn argv<S: Into<String>>(program: &'static str, args: impl IntoIterator<Item = S>) -> Self {
        let mut argv = vec![program.to_owned()];
        argv.extend(args.into_iter().map(Into::into));
        Self(Command::argv(argv).timeout(Some(PROBE_TIMEOUT)))
    }

    /// A constant `sh` script, which finds the arguments in `$1`, `$2`, … It must not change the host.
    pub fn script<S: Into<String>>(script: &'static str, args: impl IntoIterator<Item = S>) -> Self {
        let mut argv = to_words(&["sh", "-c", script, "kvmsh"]);
        argv.extend(args.into_iter().map(Into::into));
        Self(Command::argv(argv).timeout(Some(PROBE_TIMEOUT)))
    }

    /// Sets how long it may run; default [`PROBE_TIMEOUT`].
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(Some(timeout)))
    }

    /// Runs it with `sudo -n`.
    #[must_use]
    pub fn sudo(self, sudo: bool) -> Self {
        Self(self.0.sudo(sudo))
    }

    /// Sets what it reads.
    #[must_use]
    pub fn stdin(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self(self.0.stdin(bytes))
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The exit status; 128 and the signal's number, as shells have it, when a signal ended it
    /// (255 where the number of the signal is not known).
    pub status: i32,
    /// The signal that ended it, without `SIG`: `KILL`, `TERM`, `SEGV`.
    pub signal: Option<String>,
}

/// What a command wrote and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status, see [`Exit::status`].
    pub status: i32,
    /// The signal that ended it, see [`Exit::signal`].
    pub signal: Option<String>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it ended by itself with status 0.
    pub const fn ok(&self) -> bool {
        self.status == 0 && self.signal.is_none()
    }

    /// Standard output as text, foreign bytes replaced, without the last newline.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.stdout);
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// Standard error as text, foreign bytes replaced, without surrounding white space.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_one_argument_of_sh_and_argv_stays_as_it_is() {
        let words = Command::line("echo $HOME; false").sudo(true).words().unwrap();
        assert_eq!(words, ["sudo", "-n", "--", "sh", "-c", "echo $HOME; false"]);
        assert_eq!(Command::argv(["ls", "-l", "a b"]).words().unwrap(), ["ls", "-l", "a b"]);
    }

    #[test]
    fn a_nul_byte_is_refused() {
        let kind = Command::argv(["echo", "a\0b"]).words().unwrap_err();
        assert_eq!(kind.code(), "bad_argument");
    }

    #[test]
    fn what_errors_show_is_one_short_line() {
        let text = Command::line(format!("first\nsecond {}", "x".repeat(500))).display();
        assert!(text.starts_with("first second x") && text.chars().count() == 120, "{text}");
    }

    proptest! {
        #[test]
        fn quoted_words_come_back_unchanged(words in prop::collection::vec("[^\0]*", 1..5)) {
            let line = quote(&words).unwrap();
            prop_assert_eq!(shlex::split(&line), Some(words));
        }
    }
}
