//! A result that is taller than the screen is shown page by page.

use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::term::Term;
use crate::model::{Cancel, Fault};

/// What `less` is asked for: leave when one screen is enough, keep colours, keep the text on the screen.
const LESS: &str = "FRX";

/// Prints a result, through the pager where it would scroll away; Ctrl-C is meant for the pager then.
///
/// # Errors
/// As [`super::print`].
pub fn print(text: &str, term: &Term, cancel: &Cancel) -> Result<(), Fault> {
    let env = |name: &str| std::env::var(name).ok();
    match pager(&env).filter(|_| too_tall(text, term)) {
        Some(pager) if through(&pager, text, &env, cancel) => Ok(()),
        _ => super::print(text),
    }
}

/// The command, if one is wanted: an empty one and `cat` mean none.
fn pager(env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let named = env("KVMSH_PAGER").or_else(|| env("PAGER"));
    let pager = named.map_or_else(|| "less".to_owned(), |text| text.trim().to_owned());
    (!pager.is_empty() && pager != "cat").then_some(pager)
}

fn too_tall(text: &str, term: &Term) -> bool {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    match size {
        Some((_, terminal_size::Height(rows))) if term.stdout.tty && term.live && rows > 0 => {
            // The prompt needs a line of its own.
            text.lines().count() >= usize::from(rows)
        }
        _ => false,
    }
}

/// Whether the pager has shown it. One that cannot be run has not; one that is left early has.
fn through(pager: &str, text: &str, env: &dyn Fn(&str) -> Option<String>, cancel: &Cancel) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", pager]).stdin(Stdio::piped());
    if env("LESS").is_none() {
        command.env("LESS", LESS);
    }
    // lv, the pager of some Japanese systems.
    if env("LV").is_none() {
        command.env("LV", "-c");
    }
    let Ok(mut child) = command.spawn() else { return false };
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A closed pipe: the person has seen enough.
            stdin.map(|mut stdin| stdin.write_all(text.as_bytes()))
        });
        // The shell's own words for a command that it cannot find or run.
        !matches!(ended(&mut child, cancel).map(|status| status.code()), Err(_) | Ok(Some(126 | 127)))
    })
}

/// Waits for a program at the terminal. Ctrl-C is meant for it, not for kvmsh.
///
/// # Errors
/// What the system says.
pub fn ended(child: &mut Child, cancel: &Cancel) -> std::io::Result<ExitStatus> {
    loop {
        let status = child.try_wait()?;
        cancel.reset();
        if let Some(status) = status {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(vars: &[(&str, &str)]) -> Option<String> {
        pager(&|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_pager_is_the_one_named_first() {
        assert_eq!(chosen(&[]).as_deref(), Some("less"));
        assert_eq!(chosen(&[("PAGER", "more")]).as_deref(), Some("more"));
        assert_eq!(chosen(&[("PAGER", "more"), ("KVMSH_PAGER", "less -S")]).as_deref(), Some("less -S"));
        for none in ["", " ", "cat"] {
            assert_eq!(chosen(&[("KVMSH_PAGER", none), ("PAGER", "more")]), None);
        }
    }

    #[test]
    fn what_goes_to_a_file_needs_no_pager() {
        assert!(!too_tall(&"x\n".repeat(1000), &Term::plain()));
    }

    #[test]
    fn a_pager_that_is_not_there_has_shown_nothing() {
        assert!(!through("/nonexistent/pager", "x", &|_| None, &Cancel::new()));
        assert!(through("head -n1 >/dev/null", &"x\n".repeat(100_000), &|_| None, &Cancel::new()));
    }
}
