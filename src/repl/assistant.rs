//! What the editor asks while a line is typed: how it could go on, what colours
//! it has, whether Enter ends it. None of it waits for a host.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nu_ansi_term::{Color, Style};
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{self, Hinter};
use rustyline::history::SearchDirection;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Context, Helper};

use super::lists::{cut_list, pairs};
use super::world::World;
use super::{bare, commands, outside};
use crate::script::{Completion, Ink, Runner};
use crate::ui::{term, visible};

/// Two Enters in so short a time are no person's: a held key repeats every 30 ms.
const AT_ONCE: Duration = Duration::from_millis(25);

/// A hint from history begins after so many characters.
const HINT_FROM: usize = 2;

/// The assistant.
pub(super) struct Assistant {
    runner: Rc<RefCell<Runner>>,
    world: World,
    colour: bool,
    cursor: Cell<Option<usize>>,
    /// When Enter was pressed last.
    entered: Cell<Option<Instant>>,
}

impl Assistant {
    pub(super) const fn new(runner: Rc<RefCell<Runner>>, world: World, colour: bool) -> Self {
        Self { runner, world, colour, cursor: Cell::new(None), entered: Cell::new(None) }
    }

    /// Whether Enter begins a new line; two empty ones end the entry anyway.
    pub(super) fn wants_more(&self, text: &str) -> bool {
        // Nobody presses Enter so soon again: it is pasted, into a terminal that does not say so, and goes on.
        let pasted = self.entered.replace(Some(Instant::now())).is_some_and(|last| last.elapsed() < AT_ONCE);
        let mut empty = text.rsplit('\n').take_while(|line| line.trim().is_empty());
        let ended = text.contains('\n') && empty.nth(1).is_some() && !pasted;
        !ended && !commands::is_one(text) && self.runner.borrow().is_incomplete(text)
    }

    fn completion(&self, line: &str, at: usize) -> Completion {
        let Some(before) = line.get(..at) else { return Completion::default() };
        if let Some(completion) = commands::complete(before).or_else(|| outside::complete(before)) {
            return completion;
        }
        let runner = self.runner.borrow();
        // `help mi`: what is behind it stands for a text.
        match bare::topic_start(before) {
            Some(start) => {
                let code = format!("help(\"{}", &before[start..]);
                let mut found = runner.complete(&code, code.len(), &self.world);
                found.candidates.iter_mut().for_each(|one| one.text.clone_from(&one.shown));
                found.start = start;
                found
            }
            None => runner.complete(line, at, &self.world),
        }
    }

    /// A hint that cannot be grey stands in brackets: nobody may take it for what they have typed.
    fn apart(&self, hint: String) -> String {
        if self.colour { hint } else { format!(" [{hint}]") }
    }

    /// What the rest of the call looks like: `name: string)`.
    fn signature(&self, line: &str) -> Option<String> {
        if commands::is_one(line) || !line.trim_end().ends_with(['(', ',']) {
            return None;
        }
        let (forms, argument) = self.runner.borrow().calling(line)?;
        // The form with the fewest arguments that has one here.
        let form = forms.first()?;
        let inner = form.split_once('(')?.1;
        let rest: Vec<&str> = inner.split(", ").skip(argument).collect();
        let more = if forms.len() > 1 { "  ..." } else { "" };
        Some(format!("{}{more}", rest.join(", ")))
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let found = self.completion(line, at);
        let (columns, rows) = term::stderr_size();
        Ok((found.start, cut_list(pairs(found.candidates, columns), columns, rows)))
    }
}

/// What could follow, in grey.
pub(super) struct Hint {
    shown: String,
    /// What the arrow key takes; a signature is only shown.
    taken: Option<String>,
}

impl hint::Hint for Hint {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        self.taken.as_deref()
    }
}

impl Hinter for Assistant {
    type Hint = Hint;

    fn hint(&self, line: &str, at: usize, ctx: &Context<'_>) -> Option<Hint> {
        if at < line.len() || line.trim().is_empty() {
            return None;
        }
        let history = ctx.history();
        let start = match ctx.history_index() == history.len() {
            true => ctx.history_index().checked_sub(1)?,
            false => ctx.history_index(),
        };
        if line.chars().count() >= HINT_FROM
            && let Ok(Some(found)) = history.starts_with(line, start, SearchDirection::Reverse)
            && let Some(rest) = found.entry.get(line.len()..).filter(|rest| !rest.is_empty())
        {
            let first = rest.split('\n').next().unwrap_or_default();
            let more = if rest.contains('\n') { " ..." } else { "" };
            let shown = self.apart(format!("{}{more}", visible::line(first)));
            return Some(Hint { shown, taken: Some(rest.to_owned()) });
        }
        self.signature(line).map(|shown| Hint { shown: self.apart(shown), taken: None })
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if !self.colour || line.is_empty() {
            return Cow::Borrowed(line);
        }
        if commands::is_one(line) {
            let whole = [(0..line.len(), Ink::Plain)];
            return paint(line, &whole, |_, _| Style::new().fg(Color::Cyan)).into();
        }
        let runner = self.runner.borrow();
        let pair = self.cursor.get().and_then(|cursor| runner.bracket_pair(line, cursor));
        let is_bare = bare::call(line, &runner).is_some();
        let inks = runner.inks(line);
        let style = |at: usize, ink| match ink {
            _ if pair.is_some_and(|(one, other)| at == one || at == other) => {
                Style::new().bold().fg(Color::LightBlue).underline()
            }
            Ink::Plain | Ink::Wrong if is_bare => Style::new().fg(Color::Blue),
            ink => style(ink),
        };
        paint(line, &inks, style).into()
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        match self.colour {
            true => Style::new().fg(Color::DarkGray).paint(hint).to_string().into(),
            false => Cow::Borrowed(hint),
        }
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        match candidate.find("  ").filter(|_| self.colour) {
            Some(at) => {
                let (name, note) = candidate.split_at(at);
                format!("{name}{}", Style::new().fg(Color::DarkGray).paint(note)).into()
            }
            None => Cow::Borrowed(candidate),
        }
    }

    fn highlight_char(&self, line: &str, at: usize, kind: CmdKind) -> bool {
        let before = self.cursor.get();
        let near = |at: usize| {
            let around = line.get(at..).and_then(|rest| rest.chars().next());
            let last = line.get(..at).and_then(|text| text.chars().next_back());
            [around, last].iter().flatten().any(|c| "()[]{}".contains(*c))
        };
        let now = (kind != CmdKind::ForcedRefresh && near(at)).then_some(at);
        self.cursor.set(now);
        // Where only the cursor moved, colours change only beside brackets.
        self.colour && (kind != CmdKind::MoveCursor || now != before)
    }
}

/// How a part of code looks.
fn style(ink: Ink) -> Style {
    let style = Style::new();
    match ink {
        Ink::Keyword => style.fg(Color::Purple),
        Ink::Text => style.fg(Color::Green),
        Ink::Value => style.fg(Color::Cyan),
        Ink::Comment => style.fg(Color::DarkGray),
        Ink::Function => style.fg(Color::Blue),
        Ink::Variable => style.fg(Color::LightBlue),
        Ink::Wrong => style.fg(Color::Red),
        Ink::Plain => style,
    }
}

/// The same text with colours; a line at a time, since the editor counts lines by itself.
fn paint(line: &str, inks: &[(std::ops::Range<usize>, Ink)], style: impl Fn(usize, Ink) -> Style) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut end = 0;
    for (range, ink) in inks {
        out.push_str(line.get(end..range.start).unwrap_or_default());
        let style = style(if range.len() == 2 { range.end - 1 } else { range.start }, *ink);
        let text = line.get(range.clone()).unwrap_or_default();
        if style.is_plain() {
            out.push_str(text);
        } else {
            for (at, part) in text.split('\n').enumerate() {
                if at > 0 {
                    out.push('\n');
                }
                if !part.is_empty() {
                    out.push_str(&style.paint(part).to_string());
                }
            }
        }
        end = range.end;
    }
    out.push_str(line.get(end..).unwrap_or_default());
    out
}

impl Validator for Assistant {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if self.wants_more(ctx.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustyline::history::DefaultHistory;

    use super::*;
    use crate::gate::{Journal, Mode};
    use crate::model::{Cancel, Inventory, Silent};
    use crate::ops::{Session, Settings};

    fn assistant() -> Assistant {
        let session = Session::new(Settings {
            inventory: Inventory::default(),
            select: Vec::new(),
            mode: Mode::Apply,
            journal: Journal::off(),
            assume_yes: false,
            progress: Arc::new(Silent),
            cancel: Cancel::new(),
            prompt: None,
        });
        let runner = Rc::new(RefCell::new(Runner::interactive(&session)));
        Assistant::new(runner, World::new(&session), true)
    }

    #[test]
    fn what_is_pasted_line_by_line_is_not_ended_by_two_empty_lines() {
        let assistant = assistant();
        let pause = || std::thread::sleep(2 * AT_ONCE);
        for text in ["fn f() {", "fn f() {\n", "fn f() {\n\n"] {
            assert!(assistant.wants_more(text), "{text:?}");
        }
        // A person who presses Enter thrice has enough of it.
        pause();
        assert!(assistant.wants_more("fn f() {"));
        pause();
        assert!(assistant.wants_more("fn f() {\n"));
        pause();
        assert!(!assistant.wants_more("fn f() {\n\n"));
    }

    #[test]
    fn a_hint_without_colour_stands_in_brackets() {
        let mut history = DefaultHistory::new();
        rustyline::history::History::add(&mut history, "demo.domains()").unwrap();
        let coloured = assistant();
        let shown = |assistant: &Assistant, line: &str| {
            let hint = assistant.hint(line, line.len(), &Context::new(&history)).unwrap();
            (hint.shown, hint.taken)
        };
        let rest = Some("ains()".to_owned());
        assert_eq!(shown(&coloured, "demo.dom"), ("ains()".into(), rest.clone()));
        let plain = Assistant { colour: false, ..coloured };
        assert_eq!(shown(&plain, "demo.dom"), (" [ains()]".into(), rest));
        assert_eq!(shown(&plain, "host("), (" [name_or_uri: string)]".into(), None));
    }

    /// A text without its colours.
    fn bare_of(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("\x1b[") {
            out.push_str(&rest[..at]);
            let end = rest[at..].find('m').unwrap();
            rest = &rest[at + end + 1..];
        }
        out.push_str(rest);
        out
    }

    #[test]
    fn code_has_colours() {
        let assistant = assistant();
        let painted = assistant.highlight("let x = host(\"a\"); nope(1) // é", 0);
        assert!(
            painted.contains("\x1b[35mlet\x1b[0m") && painted.contains("\x1b[34mhost\x1b[0m"),
            "{painted:?}"
        );
        assert!(painted.contains("\x1b[32m\"a\"\x1b[0m") && painted.contains("\x1b[31mnope\x1b[0m"));
        assert!(assistant.highlight("nope", 0) == "nope", "a name may go on");
        let (known, unknown) =
            (|name: &str| format!("\x1b[94m{name}\x1b[0m"), |name: &str| format!("\x1b[31m{name}\x1b[0m"));
        for (line, colours) in [
            ("let a = 1; a + b + it;", vec![known("a"), unknown("b"), known("it")]),
            ("[1].map(|x, i| x + i + y);", vec![known("x"), known("i"), unknown("y")]),
            ("fn f(one, two) { one + two + three }", vec![known("one"), known("two"), unknown("three")]),
            ("for h in 0..1 { h; } for (p, q) in [] { p; q; }", vec![known("h"), known("p"), known("q")]),
            ("try { } catch (e) { e.code; ee }", vec![known("e"), unknown("ee")]),
            ("let n = 1; `a ${n} ${m} b`", vec![known("n"), unknown("m")]),
            ("let o = 1; let p = o | z;", vec![known("o"), unknown("z")]),
            ("print(nothere, 1);", vec![unknown("nothere")]),
        ] {
            let painted = assistant.highlight(line, 0);
            for colour in colours {
                assert!(painted.contains(&colour), "{line}: no {colour:?} in {painted:?}");
            }
        }
        // Keys, members, modules and functions that are handed on are none.
        for line in [
            "let m = #{key: 1}; m.member; m?.other;",
            "import \"std/bond\" as bond; bond::modes();",
            "fn check(h) { h } par(hosts(), check);",
        ] {
            assert!(!assistant.highlight(line, 0).contains("\x1b[31m"), "{line}");
        }
        assistant.highlight_char("f(x)", 4, CmdKind::MoveCursor);
        assert_eq!(assistant.highlight("f(x)", 4).matches("\x1b[1;4;94m").count(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
        #[test]
        fn painted_text_is_the_same_text(
            pieces in prop::collection::vec(prop_oneof![
                "[^\x1b]{0,6}",
                prop::sample::select(vec![
                    "\"", "`", "${", "}", "{", "(", ")", "\n", "let ", "fn f(x) {", "/*", "*/", "// ", "\\", "'", "#{",
                    "host", ".", "日本", "e\u{301}", ":", "!", "help ", "\u{1F469}\u{200D}\u{1F469}", "\t", "\r\n", "1.5e3",
                ]).prop_map(ToOwned::to_owned),
            ], 0..20),
            at in 0_usize..100,
        ) {
            thread_local! { static ASSISTANT: Assistant = assistant(); }
            let text = pieces.concat();
            ASSISTANT.with(|assistant| {
                let at = at.min(text.len());
                let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap();
                assistant.highlight_char(&text, at, CmdKind::MoveCursor);
                let painted = assistant.highlight(&text, at);
                assert_eq!(bare_of(&painted), text);
                // Each line is coloured by itself.
                for line in painted.split('\n') {
                    let open = line.rfind("\x1b[").map_or("", |at| &line[at..]);
                    assert!(open.is_empty() || open.starts_with("\x1b[0m"), "{line:?}");
                }
                assistant.wants_more(&text);
                let history = DefaultHistory::new();
                assistant.hint(&text, text.len(), &Context::new(&history));
                let found = assistant.completion(&text, at);
                assert!(found.start <= text.len());
            });
        }
    }
}
