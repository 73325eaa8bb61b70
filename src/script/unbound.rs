//! Names that a text uses without having declared them.

use std::ops::Range;

use super::tokens::{Kind, Token};

/// Whether a text uses `name` somewhere where it has not declared it itself.
pub(super) fn uses(tokens: &[Token], name: &str) -> bool {
    let code: Vec<&Token> =
        tokens.iter().filter(|token| !matches!(token.kind, Kind::Comment { .. })).collect();
    let code = Code(&code);
    let here: Vec<usize> = (0..code.0.len()).filter(|at| code.is_name(*at, name)).collect();
    let own: Vec<Range<usize>> = here.iter().flat_map(|at| code.declared(*at)).collect();
    here.iter().any(|at| !own.iter().any(|range| range.contains(at)))
}

struct Code<'t>(&'t [&'t Token]);

impl Code<'_> {
    fn is(&self, at: usize, sign: &str) -> bool {
        self.0.get(at).is_some_and(|token| token.is(sign))
    }

    fn before(&self, at: usize, sign: &str) -> bool {
        at.checked_sub(1).is_some_and(|at| self.is(at, sign))
    }

    fn is_keyword(&self, at: Option<usize>, words: &[&str]) -> bool {
        let token = at.and_then(|at| self.0.get(at));
        token.is_some_and(|token| matches!(token.kind, Kind::Keyword(word) if words.contains(&word)))
    }

    /// Whether a token is this name, and neither a member nor the key of a map.
    fn is_name(&self, at: usize, name: &str) -> bool {
        self.0[at].word() == Some(name)
            && ![".", "?.", "::"].iter().any(|sign| self.before(at, sign))
            && !(self.is(at + 1, ":") && (self.before(at, "#{") || self.before(at, ",")))
    }

    /// Where the name at `at` holds, if it is declared there.
    fn declared(&self, at: usize) -> Vec<Range<usize>> {
        let itself = at..at + 1;
        let last = at.checked_sub(1);
        if self.is_keyword(last, &["let", "const"]) {
            // Its own value is made before there is one.
            let end = self.end_of(at, |code, at| code.is(at, ";"));
            return vec![itself, end..self.end_of(at, |_, _| false)];
        }
        if self.is_keyword(last, &["for"]) {
            return vec![itself, self.block(at)];
        }
        let first = self.first_of_list(at);
        let open = first.checked_sub(1);
        if open.is_some_and(|open| self.is(open, "(")) {
            let head = open.and_then(|open| open.checked_sub(1));
            let is_function = self.is_keyword(head.and_then(|head| head.checked_sub(1)), &["fn"]);
            if is_function || self.is_keyword(head, &["for", "catch"]) {
                return vec![itself, self.block(at)];
            }
        }
        match open.filter(|open| self.is(*open, "|") && !self.ends_value(*open)) {
            Some(_) => vec![itself, self.closure(at)],
            None => Vec::new(),
        }
    }

    /// The first of the names with commas between them that end at `at`.
    fn first_of_list(&self, at: usize) -> usize {
        let mut first = at;
        while first >= 2 && self.is(first - 1, ",") && self.0[first - 2].word().is_some() {
            first -= 2;
        }
        first
    }

    /// Whether a value ends before the token `at`: a bar behind it is an operator.
    fn ends_value(&self, at: usize) -> bool {
        let Some(last) = at.checked_sub(1).map(|at| self.0[at]) else { return false };
        let ends = last.is(")") || last.is("]") || last.word().is_some();
        ends || matches!(last.kind, Kind::Text(_) | Kind::Value)
    }

    /// Where it ends what holds `at`: at a bracket that closes more than was opened, or where `stop` says so.
    fn end_of(&self, at: usize, stop: impl Fn(&Self, usize) -> bool) -> usize {
        let mut depth = 0_usize;
        for at in at..self.0.len() {
            if depth == 0 && stop(self, at) {
                return at;
            }
            if ["(", "[", "{", "#{"].iter().any(|sign| self.is(at, sign)) {
                depth += 1;
            } else if [")", "]", "}"].iter().any(|sign| self.is(at, sign)) {
                match depth.checked_sub(1) {
                    Some(outer) => depth = outer,
                    None => return at,
                }
            }
        }
        self.0.len()
    }

    /// The next block.
    fn block(&self, at: usize) -> Range<usize> {
        let open = (at..self.0.len()).find(|at| self.is(*at, "{")).unwrap_or(self.0.len());
        open..self.end_of(open + 1, |_, _| false)
    }

    /// The body of the closure with a parameter at `at`.
    fn closure(&self, at: usize) -> Range<usize> {
        let bar = (at..self.0.len()).find(|at| self.is(*at, "|")).unwrap_or(self.0.len());
        bar..self.end_of(bar + 1, |code, at| code.is(at, ",") || code.is(at, ";"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;
    use rhai::Engine;

    #[test]
    fn a_name_is_the_texts_own_where_it_is_declared_and_only_there() {
        let engine = Engine::new();
        let uses = |text: &str| uses(&tokens(&engine, text), "it");
        for free in [
            "it",
            "print(it)",
            "f(it, 1)",
            "json(it).len()",
            "`it is ${it}`",
            "let it = it + 1;",
            "[1].map(|it| it); it",
            "[it].map(|it| it)",
            "f(|it| it, it)",
            "for it in it { it }",
            "if true { let it = 1; it } it",
            "fn f(it) { it } f(it)",
            "1 | it | 2",
            "|| it",
            "let m = #{it: it};",
        ] {
            assert!(uses(free), "{free}");
        }
        for own in [
            "[1].map(|it| it + 1)",
            "[1].map(|n, it| { let a = it; a })",
            "let it = 1; print(it)",
            "for it in [1] { print(it) }",
            "for (it, at) in [1] { print(it) }",
            "for (at, it) in [1] { print(it) }",
            "fn f(a, it) { it + 1 }",
            "try { 1 } catch (it) { it.code }",
            "let m = #{a: 1, it: 2}; m.it",
            "host(\"it\") // it",
        ] {
            assert!(!uses(own), "{own}");
        }
    }
}
