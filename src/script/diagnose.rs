//! From Rhai's errors to places in scripts, with the token and a suggestion.

use rhai::{Engine, EvalAltResult, LexError, ParseErrorType, Position, Token};

use super::error::ScriptFault;
use super::modules::Texts;
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
    Diagnosis { fault, places }
}

fn place(engine: &Engine, script: &str, position: Position, texts: &Texts) -> Option<Place> {
    let line = position.line()?;
    let text = texts.get(script);
    let column = position.position().unwrap_or(1);
    let length = text.lines().nth(line - 1).map_or(1, |line| token_length(engine, line, column));
    Some(Place { script: script.to_owned(), text, line, column, length })
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
        EvalAltResult::ErrorTooManyOperations(_) | EvalAltResult::ErrorStackOverflow(_) => {
            Fault::new("script_limit", "the script calls itself too deeply")
                .hint("look for a recursion without end")
        }
        EvalAltResult::ErrorDataTooLarge(what, _) => {
            Fault::new("script_limit", format!("the script made something too large: {what}"))
        }
        EvalAltResult::ErrorMismatchDataType(wanted, got, _) => {
            Fault::new("wrong_type", format!("expected {}, found {}", plain(&wanted), plain(&got)))
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
        ParseErrorType::Reserved(word) => {
            Fault::new("syntax", format!("`{word}` is a word that Rhai reserves"))
                .hint("use another name; as a key of a map, write it in quotes")
        }
        ParseErrorType::VariableUndefined(name) => {
            Fault::new("no_variable", format!("there is no variable `{name}`")).hint("declare it with `let`")
        }
        _ => Fault::new("syntax", lower_first(&kind.to_string())),
    };
    fault.class(Class::Failed)
}

/// `strat (Domain)` → no function `strat` for a Domain; did you mean `start`?
fn no_function(engine: &Engine, signature: &str) -> Fault {
    let (name, arguments) = signature.split_once('(').unwrap_or((signature, ""));
    let name = name.trim();
    let arguments = arguments.trim_end_matches(')').trim();
    if let Some(member) = name.strip_prefix("get$") {
        return no_member(engine, member, arguments);
    }
    let known = function_names(engine);
    let exists = known.iter().any(|k| k == name);
    let plain_arguments = arguments.split(", ").filter(|a| !a.is_empty()).map(plain).collect::<Vec<_>>();
    let message = match (exists, plain_arguments.is_empty()) {
        (false, _) => format!("there is no function `{name}`"),
        (true, true) => format!("`{name}` cannot be called without arguments"),
        (true, false) => format!("`{name}` cannot be called with ({})", plain_arguments.join(", ")),
    };
    let fault = Fault::new("no_function", message);
    if exists {
        let signatures: Vec<String> = signatures(engine, name).into_iter().take(4).collect();
        return if signatures.is_empty() {
            fault
        } else {
            fault.hint(format!("it is: {}", signatures.join(" or ")))
        };
    }
    match nearest(name, &known) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault,
    }
}

fn no_member(engine: &Engine, member: &str, of: &str) -> Fault {
    let kind = plain(of.split(',').next().unwrap_or(of).trim_start_matches("&mut ").trim());
    let known: Vec<String> =
        function_names(engine).iter().filter_map(|n| n.strip_prefix("get$").map(str::to_owned)).collect();
    let fault = Fault::new("no_property", format!("a {kind} has no property `{member}`"));
    let methods = function_names(engine);
    if methods.iter().any(|method| method == member) {
        return fault.hint(format!("`{member}` is a function: write `{member}()`"));
    }
    match nearest(member, &known) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault,
    }
}

/// Rhai says: Unknown property 'stat' - a getter is not registered for type 'Domain'
fn property(engine: &Engine, message: &str) -> Fault {
    let mut quoted = message.split('\'').skip(1).step_by(2);
    match (message.contains("getter"), quoted.next(), quoted.next()) {
        (true, Some(member), Some(kind)) => no_member(engine, member, kind),
        _ => Fault::new("no_property", lower_first(message)),
    }
}

fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .iter()
        .filter(|k| !k.contains('$'))
        .map(|k| (strsim::damerau_levenshtein(&k.to_lowercase(), &lower), k))
        .filter(|(distance, _)| *distance <= 1.max(name.chars().count() / 3))
        .min()
        .map(|(_, near)| near.as_str())
}

fn function_names(engine: &Engine) -> Vec<String> {
    let mut names: Vec<String> =
        engine.collect_fn_metadata(None, |f| Some(f.metadata.name.to_string()), true);
    names.sort();
    names.dedup();
    names
}

fn signatures(engine: &Engine, name: &str) -> Vec<String> {
    let signature =
        |f: rhai::FuncInfo| (f.metadata.name == name).then(|| f.metadata.gen_signature(|t| plain(t).into()));
    engine.collect_fn_metadata(None, signature, false)
}

/// A type's name as scripts know it.
fn plain(name: &str) -> String {
    let short =
        name.trim().trim_start_matches("&mut ").rsplit("::").next().unwrap_or(name).trim_end_matches('>');
    match short {
        "()" => "nothing".into(),
        "i64" | "INT" => "number".into(),
        "f64" | "FLOAT" => "number".into(),
        "&str" | "String" | "ImmutableString" | "str" => "string".into(),
        "Dynamic" => "any".into(),
        other => other.to_owned(),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
