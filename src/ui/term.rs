//! What the terminal can do, decided once at the start.

use std::io::IsTerminal;

use super::visible;

/// What `--color` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// Colour where a person reads and nothing in the environment is against it.
    #[default]
    Auto,
    /// Colour, whatever it goes to.
    Always,
    /// No colour.
    Never,
}

/// One output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// A person reads it.
    pub tty: bool,
    /// Escape sequences for colour are welcome.
    pub colour: bool,
}

/// The policy for one run of kvmsh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Data goes here.
    pub stdout: Stream,
    /// Talk goes here.
    pub stderr: Stream,
    /// Columns of stdout; `None` when it is no terminal, and nothing is cut.
    pub width: Option<usize>,
    /// The locale can show more than ASCII.
    pub unicode: bool,
    /// stderr can redraw a line: a terminal, and not a dumb one.
    pub live: bool,
    /// Someone is there to answer: stdin and stderr are terminals.
    pub interactive: bool,
}

/// What [`Term`] is decided from.
struct Facts<'a> {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    columns: Option<usize>,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Term {
    /// Looks at the three streams and the environment.
    pub fn detect(choice: Choice) -> Self {
        Self::decide(
            choice,
            &Facts {
                stdin: std::io::stdin().is_terminal(),
                stdout: std::io::stdout().is_terminal(),
                stderr: std::io::stderr().is_terminal(),
                columns: columns(std::io::stdout()),
                env: &|name| {
                    std::env::var_os(name)
                        .map(|value| value.to_string_lossy().into_owned())
                        .filter(|value| !value.is_empty())
                },
            },
        )
    }

    /// A text with signs that the locale can show.
    pub fn legible<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        if self.unicode { text.into() } else { visible::ascii(text) }
    }

    /// No terminal anywhere: plain text, for tests and for files.
    pub const fn plain() -> Self {
        let stream = Stream { tty: false, colour: false };
        Self { stdout: stream, stderr: stream, width: None, unicode: true, live: false, interactive: false }
    }

    fn decide(choice: Choice, facts: &Facts<'_>) -> Self {
        let dumb = (facts.env)("TERM").is_some_and(|term| term == "dumb");
        let stream = |tty: bool| Stream { tty, colour: colour(choice, tty, dumb, facts.env) };
        // A serial console has no size to tell: there COLUMNS helps.
        let known =
            || (facts.env)("COLUMNS").and_then(|text| text.parse().ok()).filter(|&columns| columns > 0);
        Self {
            stdout: stream(facts.stdout),
            stderr: stream(facts.stderr),
            width: facts.stdout.then(|| facts.columns.or_else(known).unwrap_or(80)),
            unicode: unicode(facts.env),
            live: facts.stderr && !dumb,
            interactive: facts.stdin && facts.stderr,
        }
    }
}

/// While it lives, the terminal does not write `^C` where a key was pressed.
#[derive(Debug)]
pub struct Unseen(Option<rustix::termios::Termios>);

impl Unseen {
    /// Where stdin is no terminal there is nothing to do.
    pub fn control_keys() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(before) = &before {
            let mut now = before.clone();
            now.local_modes.remove(LocalModes::ECHOCTL);
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &now);
        }
        Self(before)
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ =
                rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}

/// What was printed last may not have ended its line: then that gets a mark at its end, and what comes begins below.
///
/// Nobody can be asked where the cursor is without taking from what is typed ahead. So, as zsh and fish do: a mark, and
/// spaces up to the width of the terminal, which go on in the next line unless the cursor was at the beginning of one.
pub fn fresh_line(term: &Term) {
    use std::io::Write;
    if !term.live || !term.stdout.tty {
        return;
    }
    let mark = if term.unicode { "⏎" } else { "%" };
    let spaces = stderr_columns().saturating_sub(1);
    let mut err = std::io::stderr().lock();
    // Where stderr is gone there is nobody to see it.
    let _ = write!(err, "{mark}{:spaces$}\r\x1b[K", "").and_then(|()| err.flush());
}

/// Columns and rows of stderr now; 80 and 24 where nobody knows.
pub fn stderr_size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    let rows = size.map(|(_, rows)| usize::from(rows.0)).filter(|&rows| rows > 0);
    (stderr_columns(), rows.unwrap_or(24))
}

/// The columns of stderr now; 80 where nobody knows.
pub fn stderr_columns() -> usize {
    columns(std::io::stderr()).unwrap_or(80)
}

fn columns(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(stream)?;
    (columns > 0).then_some(usize::from(columns))
}

/// NO_COLOR (no-color.org) is stronger than CLICOLOR_FORCE; `--color` is stronger than both.
fn colour(choice: Choice, tty: bool, dumb: bool, env: &dyn Fn(&str) -> Option<String>) -> bool {
    match choice {
        Choice::Always => true,
        Choice::Never => false,
        Choice::Auto if env("NO_COLOR").is_some() => false,
        Choice::Auto => env("CLICOLOR_FORCE").is_some_and(|force| force != "0") || (tty && !dumb),
    }
}

/// The first of the three that is set decides, as in `setlocale`(3).
fn unicode(env: &dyn Fn(&str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env(name)).is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(choice: Choice, tty: bool, vars: &[(&str, &str)]) -> Term {
        let env =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Term::decide(choice, &Facts { stdin: tty, stdout: tty, stderr: true, columns: None, env: &env })
    }

    #[test]
    fn colour_follows_the_option_then_the_environment_then_the_stream() {
        let colour = |choice, tty, vars: &[_]| term(choice, tty, vars).stdout.colour;
        assert!(colour(Choice::Auto, true, &[]));
        assert!(!colour(Choice::Auto, false, &[]));
        assert!(!colour(Choice::Auto, true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(colour(Choice::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!colour(Choice::Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!colour(Choice::Auto, true, &[("TERM", "dumb")]));
        assert!(colour(Choice::Always, false, &[("NO_COLOR", "1")]));
        assert!(!colour(Choice::Never, true, &[("CLICOLOR_FORCE", "1")]));
    }

    #[test]
    fn each_stream_decides_for_itself() {
        let term = term(Choice::Auto, false, &[]);
        assert!(!term.stdout.colour && term.stderr.colour);
        assert_eq!((term.width, term.live, term.interactive), (None, true, false));
    }

    #[test]
    fn the_width_of_a_terminal_that_does_not_tell_is_columns_or_eighty() {
        assert_eq!(term(Choice::Auto, true, &[("COLUMNS", "132")]).width, Some(132));
        assert_eq!(term(Choice::Auto, true, &[("COLUMNS", "0")]).width, Some(80));
        assert_eq!(term(Choice::Auto, true, &[]).width, Some(80));
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        let unicode = |vars: &[_]| term(Choice::Auto, true, vars).unicode;
        assert!(unicode(&[("LANG", "de_DE.UTF-8")]));
        assert!(unicode(&[("LC_CTYPE", "C.utf8")]));
        assert!(!unicode(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!unicode(&[]));
    }
}
