//! Words that work without parentheses: `hosts` and every function without
//! arguments, `exit`, `quit`, `help`, `help migrate`.

use crate::script::Runner;

/// The call that a bare word stands for at this prompt.
pub(super) fn call(text: &str, runner: &Runner) -> Option<String> {
    call_with(text, |word| runner.has_variable(word), |word| runner.runs_alone(word))
}

/// `is_variable` says what the person has made of a word, `runs_alone` whether it is a function without arguments.
fn call_with(
    text: &str,
    is_variable: impl Fn(&str) -> bool,
    runs_alone: impl Fn(&str) -> bool,
) -> Option<String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let mut words = text.split_whitespace();
    let word = words.next()?;
    if is_variable(word) && !runs_alone(word) {
        return None;
    }
    if let Some(topic) = asked(text).filter(|topic| !is_variable(topic.split('.').next().unwrap_or(topic))) {
        return Some(format!("help(\"{topic}\")"));
    }
    match (word, words.next(), words.next()) {
        ("exit" | "quit", None, _) => Some("exit()".to_owned()),
        ("help" | "?", None, _) => Some("help()".to_owned()),
        ("help" | "?", Some(topic), None) if is_topic(topic) => Some(format!("help(\"{topic}\")")),
        (word, None, _) if runs_alone(word) => Some(format!("{word}()")),
        _ => None,
    }
}

/// The name in `help(host)` or `help(domain.migrate)`: functions are no values, and a person means the name.
fn asked(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("help")?.trim_start().strip_prefix('(')?.strip_suffix(')')?.trim();
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && word.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let is_name = inner.split("::").flat_map(|part| part.split('.')).all(is_word);
    (is_name && !matches!(inner, "true" | "false")).then_some(inner)
}

/// Where the topic begins in `help mi`.
pub(super) fn topic_start(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("help ").or_else(|| text.strip_prefix("? "))?;
    is_topic(rest).then(|| text.len() - rest.len())
}

fn is_topic(word: &str) -> bool {
    word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_become_calls_unless_they_are_variables() {
        let call = |text| {
            call_with(text, |word| matches!(word, "d" | "mine"), |word| matches!(word, "hosts" | "mine"))
        };
        assert_eq!(call("hosts").as_deref(), Some("hosts()"));
        assert_eq!(call("mine").as_deref(), Some("mine()"));
        assert_eq!(call(" exit; ").as_deref(), Some("exit()"));
        assert_eq!(call("quit").as_deref(), Some("exit()"));
        assert_eq!(call("help").as_deref(), Some("help()"));
        assert_eq!(call("help domain.migrate").as_deref(), Some("help(\"domain.migrate\")"));
        for (asked, call_is) in [
            ("help(host)", "host"),
            (" help( domain.migrate );", "domain.migrate"),
            ("help(ev::run)", "ev::run"),
        ] {
            assert_eq!(call(asked), Some(format!("help(\"{call_is}\")")), "{asked}");
        }
        for other in ["help(d)", "help(d.state)", "help(42)", "help(host())", "help(true)", "help()"] {
            assert_eq!(call(other), None, "{other}");
        }
        for other in
            ["d", "nobody", "help(\"x\")", "exit(3)", "help a b", "help + 1", "hosts()", "", "let exit = 1"]
        {
            assert_eq!(call(other), None, "{other}");
        }
    }
}
