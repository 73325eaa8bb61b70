//! Whether a line at the prompt goes on: the parser decides.

use rhai::{Engine, LexError, ParseErrorType, Position, Scope, Token};

/// Whether more lines could complete this text.
pub(super) fn is_incomplete(engine: &Engine, scope: &Scope<'_>, text: &str) -> bool {
    let (end, in_comment) = end_of(engine, text);
    let last = text.lines().next_back().unwrap_or_default();
    // For the parser an open comment is complete, and documentation of nothing wrong.
    if in_comment || last.trim_start().starts_with("///") {
        return true;
    }
    let Err(error) = engine.compile_with_scope(scope, text) else { return false };
    match &*error.0 {
        // A text in back quotes may span lines; one in double quotes only where its line ends in `\`.
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            !in_double_quotes(text, error.1) || text.ends_with('\\')
        }
        _ => error.1 == end,
    }
}

/// Where the lexer sees the end, and whether it is in a block comment there.
fn end_of(engine: &Engine, text: &str) -> (Position, bool) {
    let inputs = [text];
    let mut tokens = engine.lex(&inputs).0;
    let end = tokens.find(|(token, _)| *token == Token::EOF).map_or(Position::NONE, |(_, at)| at);
    (end, tokens.state.comment_level > 0)
}

fn in_double_quotes(text: &str, at: Position) -> bool {
    let line = at.line().and_then(|line| text.lines().nth(line - 1));
    line.zip(at.position()).and_then(|(line, column)| line.chars().nth(column.saturating_sub(1))) == Some('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes_on(text: &str) -> bool {
        let mut engine = Engine::new();
        engine.set_strict_variables(true);
        let mut scope = Scope::new();
        scope.push("h", 1_i64);
        is_incomplete(&engine, &scope, text)
    }

    #[test]
    fn what_a_further_line_could_complete_goes_on() {
        for text in [
            "fn f() {",
            "fn f()",
            "fn",
            "fn f(a,",
            "if h > 1 {",
            "if h > 1 { 1 } else {",
            "let x =",
            "let x = 1 +",
            "let",
            "h.",
            "h.len(",
            "[1, 2",
            "[1,",
            "#{ a: 1,",
            "#{ a:",
            "for x in [1] {",
            "while true",
            "|a| {",
            "`one",
            "`one\ntwo ${h}",
            "`one ${h",
            "`one ${h} two",
            "/* a comment",
            "/// What the function does.",
            "h /* inner /* nested */",
            "\"one\\",
            "switch h { 1 =>",
            "try { h }",
            "import \"std/evacuate\" as",
            "fn f() {\n    let a = 1;\n",
            "let y = #{ a: [1, { 2 }",
        ] {
            assert!(goes_on(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_complete_or_wrong_does_not_go_on() {
        for text in [
            "",
            "h",
            "h;",
            "1 + 2",
            "let x = 1",
            "fn f() { 1 }",
            "h)",
            "5 5",
            "let 5",
            "}",
            "\"one",
            "\"it`s",
            "`one`",
            "`one ${h}`",
            "// `open quote in a comment",
            "// a comment /*",
            "/* done */ h",
            "nobody",
            "let x = ;",
            "let default = 1",
            "h.len()) {",
            "'ab'",
            "x y {",
            "\n",
            "   ",
        ] {
            assert!(!goes_on(text), "{text:?}");
        }
    }
}
