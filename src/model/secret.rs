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

/// As [`NAMES`], where they are words of their own: `DB_PASS`, `api-key`, not `bypass` and `keyboard`.
const WORDS: &[&str] = &["pass", "pwd", "pw", "key", "auth"];

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
    let innocent = ["_env", "_file", "_sock"].iter().any(|end| name.ends_with(end));
    let telling = || name.split('_').any(|word| WORDS.contains(&word));
    !innocent && (NAMES.iter().any(|word| name.contains(word)) || telling())
}

/// The text with the passwords of its URLs hidden: `scheme://user:password@host`.
pub fn urls(text: &str) -> String {
    let mut text = text.to_owned();
    let mut from = 0;
    while let Some(part) = url_password(&text, from) {
        if let Some((colon, host)) = part.password {
            text.replace_range(colon..host, HIDDEN);
        }
        from = part.begins;
    }
    text
}

/// As [`urls`], with an asterisk for each character: nothing moves.
pub fn blank_urls(text: &str) -> String {
    let mut text = text.to_owned();
    let mut from = 0;
    while let Some(part) = url_password(&text, from) {
        if let Some((colon, host)) = part.password {
            let stars = "*".repeat(text[colon..host].chars().count());
            text.replace_range(colon..host, &stars);
        }
        from = part.begins;
    }
    text
}

/// One URL of a text: where what follows `://` begins, and from where to where its password goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Url {
    begins: usize,
    password: Option<(usize, usize)>,
}

/// The next URL of a text.
fn url_password(text: &str, from: usize) -> Option<Url> {
    let begins = from + text[from..].find("://")? + 3;
    let rest = &text[begins..];
    let end = rest.find(['/', '"', '\'', '`', ' ', '\n']).unwrap_or(rest.len());
    let parts = rest[..end].find(':').zip(rest[..end].rfind('@')).filter(|(colon, at)| colon < at);
    Some(Url { begins, password: parts.map(|(colon, at)| (begins + colon + 1, begins + at)) })
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
            let name = name.to_string_lossy();
            // The shell's own name for a directory.
            let telling = is_telling(&name) && name != "PWD" && name != "OLDPWD";
            let telling = telling && value.len() >= SHORTEST_IN_ENVIRONMENT;
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
    let rest = urls(&scrub(line));
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
    let words = WORDS.iter().filter_map(|word| {
        let mut places = lower.match_indices(word).map(|(at, _)| at);
        places.find(|at| is_given(&lower[..*at], &lower[at + word.len()..])).map(|at| (at, word.len()))
    });
    names.chain(words).min_by_key(|(at, length)| (*at, std::cmp::Reverse(*length)))
}

/// Whether what stands between these is a word of its own that something is assigned to.
fn is_given(before: &str, behind: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric())
        && (behind.starts_with(['=', ':']) || before.ends_with("--") && behind.starts_with(' '))
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
    fn names_tell_as_words_or_by_what_is_in_them() {
        for name in
            ["DB_PASSWORD", "passwd", "db-pass", "PWD", "api_key", "AUTH", "x-auth", "credentials", "TOKEN2"]
        {
            assert!(is_telling(name), "{name}");
        }
        for name in
            ["bypass", "keyboard", "author", "monkey", "password_file", "SSH_AUTH_SOCK", "key_env", "path"]
        {
            assert!(!is_telling(name), "{name}");
        }
    }

    #[test]
    fn command_lines_lose_values_under_telling_names() {
        for (line, shown) in [
            ("curl -H 'X-Token: abc' u", "curl -H 'X-Token: ***' u"),
            ("mysql --password=abc db", "mysql --password=*** db"),
            ("export SECRET_KEY=\"a b\"; run", "export SECRET_KEY=\"***\"; run"),
            ("git clone https://u:pw@h/x", "git clone https://u:***@h/x"),
            ("virsh -c qemu+ssh://u:p:w@h/system list", "virsh -c qemu+ssh://u:***@h/system list"),
            ("DB_PASS=abc run; auth: 'a b'", "DB_PASS=*** run; auth: '***'"),
            ("curl --key abc --pwd=x u", "curl --key *** --pwd=*** u"),
            ("cat key; grep pass x; keyboard=de bypass=1", "cat key; grep pass x; keyboard=de bypass=1"),
            ("useradd eva", "useradd eva"),
        ] {
            assert_eq!(command(line), shown, "{line}");
        }
    }
}
