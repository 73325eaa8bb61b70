//! A text cut into tokens by Rhai's own lexer, each with its place in the text.
//! For what is typed and not finished yet: nothing here fails.

use std::ops::Range;

use rhai::{Engine, Token as Lexed};

/// A longer text is not looked at: nobody types it.
const LONGEST: usize = 64 << 10;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Where it begins in the text, in bytes.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A name.
    Word(String),
    /// A word of the language.
    Keyword(&'static str),
    /// A word or sign that the language reserves.
    Reserved(String),
    /// A whole text, or a piece of one with `${…}` in it, as it reads.
    Text(String),
    /// A text that is not closed.
    Open,
    /// A number, or a character.
    Value,
    /// Brackets and operators.
    Sign(&'static str),
    /// A comment; one that is not closed.
    Comment { open: bool },
    /// What has no meaning.
    Wrong,
}

/// The tokens of a text, in order, comments too.
pub(super) fn tokens(engine: &Engine, text: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    if text.len() > LONGEST {
        return found;
    }
    let inputs = [text];
    let (mut lexer, control) = engine.lex(&inputs);
    lexer.state.include_comments = true;
    let mut place = Place::new(text);
    // For each open brace, whether it is that of a `${`.
    let mut braces: Vec<bool> = Vec::new();
    let mut in_text = false;
    // The lexer repeats an end for ever; no token is shorter than a character.
    for _ in 0..=text.len() {
        let Some((token, position)) = lexer.next() else { break };
        if token == Lexed::EOF {
            break;
        }
        let (line, column) = (position.line().unwrap_or(0), position.position().unwrap_or(1));
        let start = place.of(line, column);
        if let Some(last) = found.last_mut() {
            last.end = last.start + text.get(last.start..start).unwrap_or_default().trim_end().len();
        }
        match &token {
            Lexed::InterpolatedString(_) => in_text = true,
            Lexed::LeftBrace | Lexed::MapStart => braces.push(std::mem::take(&mut in_text)),
            Lexed::RightBrace if braces.pop() == Some(true) => control.borrow_mut().is_within_text = true,
            _ => {}
        }
        let open_comment = lexer.state.comment_level > 0;
        found.push(Token { kind: kind(token, open_comment, text.get(start..)), start, end: text.len() });
        if open_comment {
            break;
        }
    }
    if let Some(last) = found.last_mut()
        && !matches!(last.kind, Kind::Open | Kind::Comment { .. })
    {
        last.end = last.start + text.get(last.start..).unwrap_or_default().trim_end().len();
    }
    // After an error the lexer's places go back and forth.
    found.retain(|token| token.start < token.end);
    found.dedup_by(|next, last| next.start < last.end);
    let mut tokens = Vec::with_capacity(found.len() + 16);
    for token in found {
        // For the lexer `()` is one token; after a stray carriage return its places are those of other characters.
        let written = text.get(token.start..token.end).unwrap_or_default();
        if token.is("()") && written.starts_with('(') && written.ends_with(')') {
            let bracket = |kind, start| Token { kind: Kind::Sign(kind), start, end: start + 1 };
            tokens.extend([bracket("(", token.start), bracket(")", token.end - 1)]);
        } else {
            tokens.push(token);
        }
    }
    tokens
}

fn kind(token: Lexed, open_comment: bool, rest: Option<&str>) -> Kind {
    match token {
        Lexed::Identifier(name) => Kind::Word(name.to_string()),
        Lexed::Reserved(name) => Kind::Reserved(name.to_string()),
        Lexed::StringConstant(text) | Lexed::InterpolatedString(text) => Kind::Text(text.to_string()),
        Lexed::IntegerConstant(_) | Lexed::FloatConstant(_) | Lexed::CharConstant(_) => Kind::Value,
        Lexed::Comment(text) => Kind::Comment { open: open_comment || text.starts_with("//") },
        Lexed::LexError(error) => match *error {
            rhai::LexError::UnterminatedString if rest.is_some_and(|rest| !rest.is_empty()) => Kind::Open,
            _ => Kind::Wrong,
        },
        other if other.is_literal() => match other.literal_syntax() {
            word if word.starts_with(char::is_alphabetic) => Kind::Keyword(word),
            sign => Kind::Sign(sign),
        },
        _ => Kind::Wrong,
    }
}

/// From lines and columns to bytes, forward only.
struct Place<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Place<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1, column: 1 }
    }

    fn of(&mut self, line: usize, column: usize) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for c in rest.chars() {
            if (self.line, self.column) >= (line, column) {
                break;
            }
            self.at += c.len_utf8();
            if c == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
        self.at
    }
}

impl Token {
    /// Whether it is this bracket or operator.
    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.kind, Kind::Sign(one) if one == sign)
    }

    /// Its name, if it is one: after a `.` reserved words are names as well.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(name) => Some(name),
            Kind::Reserved(name) if name.starts_with(|c: char| c.is_alphabetic()) => Some(name),
            _ => None,
        }
    }
}

/// The functions that are defined: names, numbers of parameters, and where they stand.
pub(super) fn functions(tokens: &[Token]) -> Vec<(String, usize, Range<usize>)> {
    let tokens: Vec<&Token> =
        tokens.iter().filter(|token| !matches!(token.kind, Kind::Comment { .. })).collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.kind != Kind::Keyword("fn") {
            continue;
        }
        let Some(name) = tokens.get(at + 1).and_then(|token| token.word()) else { continue };
        let parameters = tokens[at..].iter().take_while(|token| !token.is(")"));
        let count = parameters.filter(|token| token.word().is_some()).count() - 1;
        let mut depth = 0_usize;
        let body = tokens[at..].iter().skip_while(|token| !token.is("{"));
        let close = body.into_iter().find(|token| {
            depth += usize::from(token.is("{") || token.is("#{"));
            depth -= usize::from(token.is("}") && depth > 0);
            depth == 0
        });
        if let Some(close) = close {
            found.push((name.to_owned(), count, token.start..close.end));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(text: &str) -> Vec<(String, Kind)> {
        let engine = Engine::new_raw();
        tokens(&engine, text).into_iter().map(|t| (text[t.start..t.end].to_owned(), t.kind)).collect()
    }

    #[test]
    fn tokens_know_their_places() {
        let found = pieces("let x = `a ${b.c()} d`; // hi\n\"é\" y");
        let texts: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(
            texts,
            ["let", "x", "=", "`a $", "{", "b", ".", "c", "(", ")", "}", " d`", ";", "// hi", "\"é\"", "y"]
        );
        assert_eq!(found[0].1, Kind::Keyword("let"));
        assert_eq!(found[14].1, Kind::Text("é".into()));
    }

    #[test]
    fn functions_are_found_with_their_bodies() {
        let text = "let a = 1; /// Doc.\nfn f(x, y) { if x { #{a: 1} } else { y } } fn g() { 2 }";
        let found = functions(&tokens(&Engine::new_raw(), text));
        let found: Vec<_> = found.into_iter().map(|(name, n, range)| (name, n, &text[range])).collect();
        assert_eq!(
            found,
            [
                ("f".to_owned(), 2, "fn f(x, y) { if x { #{a: 1} } else { y } }"),
                ("g".to_owned(), 0, "fn g() { 2 }")
            ]
        );
    }

    #[test]
    fn what_is_not_closed_is_known() {
        assert_eq!(pieces("host(\"ab c").last().unwrap(), &("\"ab c".to_owned(), Kind::Open));
        assert_eq!(pieces("x /* y").last().unwrap(), &("/* y".to_owned(), Kind::Comment { open: true }));
        assert_eq!(pieces("`a ${x} b").last().unwrap().1, Kind::Open);
    }

    proptest! {
        #[test]
        fn any_text_has_tokens_in_order_that_do_not_overlap(text in "(\\PC|[\\n\\r\\t\\x00\"`'${}/*\\\\]){0,60}") {
            let engine = Engine::new_raw();
            let mut end = 0;
            for token in tokens(&engine, &text) {
                prop_assert!(token.start >= end && token.end > token.start && token.end <= text.len());
                prop_assert!(text.is_char_boundary(token.start) && text.is_char_boundary(token.end));
                end = token.end;
            }
        }
    }
}
