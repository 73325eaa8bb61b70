//! From Rhai's errors to places in scripts, with the token and a suggestion.

use rhai::{Engine, EvalAltResult, LexError, ParseErrorType, Position, Token};

use super::error::ScriptFault;
use super::help::{Entry, Index, Kind, Origin, type_word};
use super::modules::{STDLIB, Texts};
use crate::model::suggest::did_you_mean;
use crate::model::{Class, Diagnosis, Fault, Place};

/// Turns an error of the script `source` into what is shown.
pub(super) fn diagnose(engine: &Engine, error: Box<EvalAltResult>, source: &str, texts: &Texts) -> Diagnosis {
    let mut calls = Vec::new();
    let mut source = source.to_owned();
    let mut error = error;
    loop {
        match *error {
            EvalAltResult::ErrorInFunctionCall(_, called_in, inner, position) => {
                calls.push((source.clone(), position));
                if !called_in.is_empty() {
                    source = called_in;
                }
                error = inner;
            }
            EvalAltResult::ErrorInModule(module, inner, position) => {
                calls.push((source.clone(), position));
                if !module.is_empty() {
                    source = module;
                }
                error = inner;
            }
            _ => break,
        }
    }
    let position = error.position();
    let fault = fault_of(engine, *error);
    let mut places: Vec<Place> = Vec::new();
    for (script, position) in std::iter::once((source, position)).chain(calls.into_iter().rev()) {
        if let Some(place) = place(engine, &script, position, texts)
            && places.last() != Some(&place)
        {
            places.push(place);
        }
    }
    // What somebody typed behind a script's name is wrong, not a line of the script.
    if fault.class == Class::Usage && places.first().is_some_and(|place| place.script == "std/cli") {
        places.clear();
    }
    Diagnosis { fault, places }
}

fn place(engine: &Engine, script: &str, position: Position, texts: &Texts) -> Option<Place> {
    let mut line = position.line()?;
    let mut column = texts.column(script, line, position.position().unwrap_or(1));
    let text = texts.get(script);
    // What is missing at the end is shown where the text ends, not on the line after it.
    if let Some((last, end)) = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).last()
        && line > last + 1
    {
        (line, column) = (last + 1, end.trim_end().chars().count() + 1);
    }
    let length = text.lines().nth(line - 1).map_or(1, |line| token_length(engine, line, column));
    Some(Place { script: script.to_owned(), text: without_passwords(&text), line, column, length })
}

/// The length of the token that begins at this column; Rhai only says where.
fn token_length(engine: &Engine, line: &str, column: usize) -> usize {
    let tail: String = line.chars().skip(column - 1).collect();
    let inputs = [tail.as_str()];
    let mut starts = engine
        .lex(&inputs)
        .0
        .take_while(|(token, _)| *token != Token::EOF)
        .map(|(token, position)| (token, position.position().unwrap_or(1)));
    let Some((first, _)) = starts.next() else { return 1 };
    let written: String = match &first {
        Token::Identifier(name) => name.to_string(),
        Token::LexError(_) => return 1,
        _ => {
            let end = starts.next().map_or(tail.chars().count(), |(_, next)| next - 1);
            return tail.chars().take(end).collect::<String>().trim_end().chars().count().max(1);
        }
    };
    written.chars().count().max(1)
}

fn fault_of(engine: &Engine, error: EvalAltResult) -> Fault {
    match error {
        EvalAltResult::ErrorRuntime(value, _) | EvalAltResult::ErrorTerminated(value, _) => {
            match value.try_cast_result::<ScriptFault>() {
                Ok(script_fault) => script_fault.fault,
                Err(value) => thrown(value),
            }
        }
        EvalAltResult::ErrorParsing(kind, _) => parse_fault(kind),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => no_function(engine, &signature),
        EvalAltResult::ErrorVariableNotFound(name, _) => {
            Fault::new("no_variable", format!("there is no variable `{name}`"))
        }
        EvalAltResult::ErrorPropertyNotFound(name, _) => {
            Fault::new("no_property", format!("there is no property `{name}` here"))
        }
        EvalAltResult::ErrorDotExpr(message, _) => property(engine, &message),
        EvalAltResult::ErrorTooManyOperations(_) => {
            Fault::new("script_limit", "the script did more operations than it may")
                .hint("look for a loop without end, or allow more: --limit operations=N")
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            Fault::new("script_limit", "the script calls itself too deeply")
                .hint("look for a recursion without end")
        }
        EvalAltResult::ErrorDataTooLarge(what, _) => {
            Fault::new("script_limit", format!("the script made something too large: {what}"))
        }
        EvalAltResult::ErrorMismatchDataType(wanted, got, _) => {
            Fault::new("wrong_type", format!("expected {}, found {}", type_word(&wanted), type_word(&got)))
        }
        mut other => {
            other.clear_position();
            Fault::new("script_error", lower_first(&other.to_string()))
        }
    }
}

/// A value that a script has thrown: a text, or a map with `message`, `code`, `hint`.
fn thrown(value: rhai::Dynamic) -> Fault {
    match value.try_cast_result::<rhai::Map>() {
        Ok(map) => {
            let text = |key: &str| map.get(key).filter(|v| !v.is_unit()).map(ToString::to_string);
            let mut fault = Fault::new(
                text("code").unwrap_or_else(|| "thrown".into()),
                text("message").unwrap_or_else(|| "the script threw an error".into()),
            );
            fault.hint = text("hint");
            fault.host = text("host");
            fault.object = text("object");
            fault
        }
        Err(value) => Fault::new("thrown", value.to_string()),
    }
}

fn parse_fault(kind: ParseErrorType) -> Fault {
    let fault = match &kind {
        ParseErrorType::BadInput(LexError::UnexpectedInput(what)) => {
            Fault::new("syntax", format!("`{what}` has no meaning here"))
        }
        ParseErrorType::BadInput(LexError::MalformedChar(_)) => {
            Fault::new("syntax", "single quotes hold one character: a text stands in double quotes")
                .hint("write \"text\", or `text` with ${...} in it")
        }
        ParseErrorType::Reserved(word) => {
            Fault::new("syntax", format!("`{word}` cannot be a name: the language keeps it for itself"))
                .hint(instead_of(word))
        }
        ParseErrorType::VariableUndefined(name) => {
            Fault::new("no_variable", format!("there is no variable `{name}`"))
                .hint("declare it with `let`; a function sees only its own and its arguments")
        }
        ParseErrorType::ModuleUndefined(name) => {
            let path = STDLIB.iter().map(|(path, _)| *path).find(|path| path.ends_with(&format!("/{name}")));
            let path = path.unwrap_or(name);
            Fault::new("no_module", format!("there is no module `{name}` here"))
                .hint(format!("import \"{path}\" as {name};"))
        }
        _ => Fault::new("syntax", lower_first(&kind.to_string())),
    };
    fault.class(Class::Failed)
}

/// What somebody wants who writes a reserved word, as other languages have it.
fn instead_of(word: &str) -> &'static str {
    match word {
        "null" | "nil" | "none" | "undefined" | "void" => "no value is written `()`",
        "var" | "static" | "shared" => "a variable is made with `let`, a constant with `const`",
        "match" | "case" | "default" => "`switch value { 1 => ..., _ => ... }` chooses among values",
        "use" | "include" | "require" | "module" | "package" => {
            "`import \"std/evacuate\" as ev;` takes a module"
        }
        "async" | "await" | "spawn" | "thread" | "go" | "yield" | "sync" => {
            "`par(items, |item| ...)` does several things at a time"
        }
        "each" | "foreach" | "then" => "`for item in items { ... }` goes through an array",
        _ => "use another name; as a key of a map, write it in quotes",
    }
}

/// `strat (Domain)` → a Domain has no function `strat`; did you mean `start`?
fn no_function(engine: &Engine, signature: &str) -> Fault {
    let (name, arguments) = signature.split_once('(').unwrap_or((signature, ""));
    let name = name.trim();
    let arguments = arguments.trim_end_matches(')').trim();
    let arguments: Vec<String> = arguments.split(", ").filter(|a| !a.is_empty()).map(type_word).collect();
    if let Some(member) = name.strip_prefix("get$") {
        return no_member(engine, member, arguments.first().map_or("any", String::as_str));
    }
    if let Some(member) = name.strip_prefix("set$") {
        return no_setter(engine, member, arguments.first().map_or("any", String::as_str));
    }
    if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return no_operator(name, &arguments);
    }
    let index = Index::new(engine, None);
    if let Some((_, short)) = name.split_once("::") {
        let none = Fault::new("no_function", format!("there is no function `{name}`"));
        return suggest(none, short, index.entries.iter().filter(|e| e.module.is_some()));
    }
    let owner = arguments.first().map_or("", String::as_str);
    // A module's function of this name was meant only where what it is given could be its arguments.
    let plain = ["number", "range", "bool", "char", "string", "function", "nothing"].contains(&owner);
    let meant = |e: &&Entry| e.module.is_none() || (!plain && e.parameters.len() == arguments.len());
    let named = index.entries.iter().filter(|e| e.name == name && e.kind == Kind::Function);
    let forms: Vec<&Entry> = named.filter(meant).collect();
    let fault = |message: String| Fault::new("no_function", message);
    let fits = |e: &&&Entry| e.object.as_ref().is_none_or(|object| object.eq_ignore_ascii_case(owner));
    if let Some(usages) = usages(forms.iter().filter(fits).map(|e| e.call())) {
        return fault(not_with(name, &arguments)).hint(format!("it is {usages}"));
    }
    let members = || index.members(owner);
    if index.object(owner).is_none() {
        let none = fault(format!("there is no function `{name}`"));
        // `(1..100).collect()` cannot have meant what takes an array.
        let takes = |e: &&Entry| {
            e.parameters
                .first()
                .is_none_or(|(_, kind)| !plain || kind.is_empty() || kind == "any" || kind == owner)
        };
        let free = index.entries.iter().filter(|e| e.object.is_none() && e.module.is_none()).filter(takes);
        return match usages(forms.iter().map(|e| e.call())) {
            Some(usages) => fault(not_with(name, &arguments)).hint(format!("it is {usages}")),
            None => suggest(none, name, free.chain(members())),
        };
    }
    let none = fault(format!("{} has no function `{name}`", with_article(owner)));
    if members().any(|e| e.name == name) {
        return none.hint(format!("`{name}` is a property: write it without parentheses"));
    }
    let elsewhere = forms.iter().filter(|e| e.origin == Origin::Kvmsh);
    match usages(elsewhere.map(|e| e.usage().split('(').next().unwrap_or_default().to_owned())) {
        Some(usages) => none.hint(format!("there is {usages}")),
        None => suggest(none, name, members().filter(|e| e.kind == Kind::Function)),
    }
}

/// `- (number, array)`
fn no_operator(name: &str, arguments: &[String]) -> Fault {
    let message = match arguments {
        [left, right] => {
            format!("`{name}` cannot be applied to {} and {}", with_article(left), with_article(right))
        }
        _ => not_with(name, arguments),
    };
    Fault::new("no_function", message)
}

fn not_with(name: &str, arguments: &[String]) -> String {
    match arguments {
        [] => format!("`{name}` cannot be called without arguments"),
        some => format!("`{name}` cannot be called with ({})", some.join(", ")),
    }
}

/// `domain.start() or domain.start(options: map)`, at most four of them.
fn usages(forms: impl Iterator<Item = String>) -> Option<String> {
    let mut usages: Vec<String> = forms.collect();
    usages.dedup();
    usages.truncate(4);
    (!usages.is_empty()).then(|| usages.join(" or "))
}

/// The text with an asterisk for each character of what stands in quotes behind a telling name: `password: "…"`,
/// `with_password("…")`, `set_user_password("root", "…")`. Lines of it are shown beside errors, and errors end up in logs.
fn without_passwords(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut shown: Vec<char> = text.chars().collect();
    for name in crate::model::secret::NAMES {
        for (at, _) in lower.match_indices(name) {
            let behind = text[at..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
            let behind = behind.strip_prefix('"').unwrap_or(behind).trim_start();
            let Some(mut rest) = behind.strip_prefix([':', '=', '(']) else { continue };
            // Of a call each text may be it.
            let call = behind.starts_with('(');
            while let Some((from, length)) = literal(rest.trim_start()) {
                let rest_at = text.len() - rest.trim_start().len() + from;
                let first = text[..rest_at].chars().count();
                let hidden = text[rest_at..rest_at + length].chars().count();
                for c in shown.iter_mut().skip(first).take(hidden).filter(|c| **c != '\n') {
                    *c = '*';
                }
                let after = &text[(rest_at + length + 1).min(text.len())..];
                match after.trim_start().strip_prefix(',').filter(|_| call) {
                    Some(next) => rest = next,
                    None => break,
                }
            }
        }
    }
    crate::model::secret::blank_urls(&shown.into_iter().collect::<String>())
}

/// Where the inside of a text in quotes lies that begins here, and how long it is; one that is not closed goes to the end.
fn literal(text: &str) -> Option<(usize, usize)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '`'))?;
    let mut escaped = false;
    let end = text[1..].find(|c| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    Some((1, end.unwrap_or(text.len() - 1)))
}

fn suggest<'a>(fault: Fault, name: &str, known: impl Iterator<Item = &'a Entry>) -> Fault {
    let mut names: Vec<&str> = known.map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    match did_you_mean(name, names) {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

fn no_member(engine: &Engine, member: &str, kind: &str) -> Fault {
    let index = Index::new(engine, None);
    let fault = Fault::new("no_property", format!("{} has no property `{member}`", with_article(kind)));
    if index.members(kind).any(|e| e.name == member && e.kind == Kind::Function) {
        return fault.hint(format!("`{member}` is a function: write `{member}(...)`"));
    }
    suggest(fault, member, index.members(kind))
}

fn no_setter(engine: &Engine, member: &str, kind: &str) -> Fault {
    let index = Index::new(engine, None);
    let fault = |message: String| Fault::new("no_property", message);
    let known: Vec<&Entry> = index.members(kind).filter(|e| e.name == member).collect();
    match known.iter().find(|e| e.kind == Kind::Setter) {
        Some(setter) => {
            fault(format!("`{member}` cannot be set to this")).hint(format!("it is {}", setter.call()))
        }
        None if known.is_empty() => no_member(engine, member, kind),
        None => fault(format!("`{member}` of {} cannot be set", with_article(kind))),
    }
}

fn with_article(kind: &str) -> String {
    if kind == "nothing" {
        return "`()`".to_owned();
    }
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// Rhai says: Unknown property 'stat' - a getter is not registered for type 'Domain'
fn property(engine: &Engine, message: &str) -> Fault {
    let mut quoted = message.split('\'').skip(1).step_by(2);
    match (quoted.next(), quoted.next()) {
        (Some(member), Some(kind)) if message.contains("getter") => {
            no_member(engine, member, &type_word(kind))
        }
        (Some(member), Some(kind)) if message.contains("setter") => {
            no_setter(engine, member, &type_word(kind))
        }
        _ => Fault::new("no_property", lower_first(message)),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_written_into_a_script_is_not_shown_and_columns_stay() {
        for (text, shown) in [
            (r#"f(h, #{ password: "gehé\"im", a: "b" });"#, r#"f(h, #{ password: "********", a: "b" });"#),
            (r#"h.with_password("x"); let password = "y";"#, r#"h.with_password("*"); let password = "*";"#),
            (
                r#"#{"password": "x"} password env("password") """#,
                r#"#{"password": "*"} password env("password") """#,
            ),
            ("password: \"open", "password: \"****"),
            (r#"h.set_user_password("root", "x y")"#, r#"h.set_user_password("****", "***")"#),
            ("let api_key = `kü`; copy(\"a\")", "let api_key = `**`; copy(\"a\")"),
        ] {
            assert_eq!(without_passwords(text), shown);
            assert_eq!(text.chars().count(), shown.chars().count());
        }
    }
}
