//! Secrets that are known, and how they are kept out of whatever is written down.

use std::borrow::Cow;
use std::sync::{OnceLock, PoisonError, RwLock};

/// Names of what must not be written down.
pub const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "private_key",
    "credential",
    "bearer",
];

/// What stands in a secret's place.
pub const HIDDEN: &str = "***";

/// A value that is shorter stands in too many texts by chance.
const SHORTEST: usize = 4;

/// As for [`SHORTEST`], where it is one line of several.
const SHORTEST_LINE: usize = 8;

/// As for [`SHORTEST`], where only the name of a variable makes it a secret.
const SHORTEST_IN_ENVIRONMENT: usize = 6;

static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Whether a name tells that its value is a secret.
pub fn is_telling(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    NAMES.iter().any(|word| name.contains(word)) && !name.ends_with("_env") && !name.ends_with("_file")
}

/// From now on this value is shown nowhere, neither as it is nor as JSON and Rust write it, nor line by line.
pub fn remember(value: &str) {
    let escaped = serde_json::Value::from(value).to_string();
    let mut forms = vec![
        value.to_owned(),
        escaped.trim_matches('"').to_owned(),
        format!("{value:?}").trim_matches('"').to_owned(),
    ];
    if value.contains('\n') {
        // A key's first and last line are no secret, and stand in many texts.
        forms.extend(
            value
                .lines()
                .map(str::trim)
                .filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("-----"))
                .map(str::to_owned),
        );
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for form in forms {
        if form.len() >= SHORTEST && !known.contains(&form) {
            known.push(form);
        }
    }
    // The longest first: one may be part of another.
    known.sort_by_key(|one| std::cmp::Reverse(one.len()));
}

/// Values of variables whose names tell that they are secrets.
fn in_environment() -> &'static [String] {
    static VALUES: OnceLock<Vec<String>> = OnceLock::new();
    VALUES.get_or_init(|| {
        let secret = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let value = value.to_string_lossy().into_owned();
            let telling = is_telling(&name.to_string_lossy()) && value.len() >= SHORTEST_IN_ENVIRONMENT;
            telling.then_some(value)
        };
        std::env::vars_os().filter_map(secret).collect()
    })
}

/// The text without any secret that is known.
pub fn scrub(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = Cow::Borrowed(text);
    for value in known.iter().chain(in_environment()) {
        if text.contains(value.as_str()) {
            text = Cow::Owned(text.replace(value.as_str(), HIDDEN));
        }
    }
    text
}

/// Arguments as they may be written down: `--password x` and `--token=x` without the value.
pub fn arguments(words: &[String]) -> Vec<String> {
    let mut hide_next = false;
    words
        .iter()
        .map(|word| {
            if std::mem::take(&mut hide_next) && !word.starts_with("--") {
                return HIDDEN.to_owned();
            }
            match word.split_once('=') {
                Some((name, _)) if is_telling(name) => format!("{name}={HIDDEN}"),
                None if word.starts_with('-') && is_telling(word) => {
                    hide_next = true;
                    word.clone()
                }
                _ => command(word),
            }
        })
        .collect()
}

/// A line for a shell as it may be written down: what follows a telling name, or stands for a password in a URL, is
/// hidden. A secret under no name is not to be seen: give it on `stdin`, or tell with `secret(text)`.
pub fn command(line: &str) -> String {
    let mut out = String::new();
    let mut rest = scrub(line).into_owned();
    // `scheme://user:password@host`
    let mut from = 0;
    while let Some(at) = rest[from..].find("://").map(|at| from + at + 3) {
        let end = rest[at..].find(['/', '"', '\'', ' ']).map_or(rest.len(), |end| at + end);
        if let Some((colon, host)) =
            rest[at..end].find(':').zip(rest[at..end].rfind('@')).filter(|(c, h)| c < h)
        {
            rest.replace_range(at + colon + 1..at + host, HIDDEN);
        }
        from = at;
    }
    let mut rest = rest.as_str();
    while let Some((at, name)) = first_name(rest) {
        let (before, behind) = rest.split_at(at + name);
        out.push_str(before);
        // To the end of the name itself: `password_hash`.
        let word =
            behind.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(behind.len());
        let (word, behind) = behind.split_at(word);
        out.push_str(word);
        let value = behind.trim_start_matches(['=', ':', ' ', '"', '\'', '(']);
        let between = &behind[..behind.len() - value.len()];
        out.push_str(between);
        let assigned =
            between.contains(['=', ':']) || before.ends_with("--password") || between.starts_with(' ');
        let quote = between.chars().next_back().filter(|c| matches!(c, '"' | '\''));
        let ends = |c: char| {
            quote.map_or(c.is_whitespace() || matches!(c, ';' | '&' | '|' | '"' | '\''), |q| c == q)
        };
        let end = value.find(ends).unwrap_or(value.len());
        rest = value;
        if assigned && end > 0 {
            out.push_str(HIDDEN);
            rest = &value[end..];
        }
    }
    out.push_str(rest);
    out
}

/// Where the first telling name begins, and how long it is.
fn first_name(text: &str) -> Option<(usize, usize)> {
    // ASCII alone: the places are those of the text itself.
    let lower = text.to_ascii_lowercase();
    let names = NAMES.iter().filter_map(|name| lower.find(name).map(|at| (at, name.len())));
    names.min_by_key(|(at, length)| (*at, std::cmp::Reverse(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_nowhere_and_short_words_are_no_secrets() {
        remember("tEst-value-1");
        remember("tEst-value-1-longer");
        remember("ab");
        assert_eq!(scrub("x tEst-value-1-longer, tEst-value-1 ab"), "x ***, *** ab");
        let key = "-----BEGIN KEY-----\nAAAABBBBCCCC\"\\\n-----END KEY-----\n";
        remember(key);
        let shown = [
            key.to_owned(),
            format!("{key:?}"),
            serde_json::json!([key]).to_string(),
            key.replace('\n', "\n    "),
        ];
        for text in shown {
            assert!(!scrub(&text).contains("AAAABBBB"), "{}", scrub(&text));
        }
    }

    #[test]
    fn arguments_lose_values_under_telling_names() {
        let words =
            ["h2-a", "--password", "x y", "--api-key=z", "--password-env", "PW", "--force", "TOKEN=q"];
        let shown = arguments(&words.map(str::to_owned));
        assert_eq!(shown.join("|"), "h2-a|--password|***|--api-key=***|--password-env|PW|--force|TOKEN=***");
    }

    #[test]
    fn command_lines_lose_values_under_telling_names() {
        for (line, shown) in [
            ("curl -H 'X-Token: abc' u", "curl -H 'X-Token: ***' u"),
            ("mysql --password=abc db", "mysql --password=*** db"),
            ("export SECRET_KEY=\"a b\"; run", "export SECRET_KEY=\"***\"; run"),
            ("git clone https://u:pw@h/x", "git clone https://u:***@h/x"),
            ("useradd eva", "useradd eva"),
        ] {
            assert_eq!(command(line), shown, "{line}");
        }
    }
}
