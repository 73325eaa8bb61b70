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
    match (word, words.next(), words.next()) {
        ("exit" | "quit", None, _) => Some("exit()".to_owned()),
        ("help" | "?", None, _) => Some("help()".to_owned()),
        ("help" | "?", Some(topic), None) if is_topic(topic) => Some(format!("help(\"{topic}\")")),
        (word, None, _) if runs_alone(word) => Some(format!("{word}()")),
        _ => None,
    }
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
        for other in
            ["d", "nobody", "help(\"x\")", "exit(3)", "help a b", "help + 1", "hosts()", "", "let exit = 1"]
        {
            assert_eq!(call(other), None, "{other}");
        }
    }
}
