//! Keys beside the editor's own.

use rustyline::{
    At, Cmd, ConditionalEventHandler, Editor, Event, EventContext, EventHandler, Helper, KeyCode, KeyEvent,
    Modifiers, Movement, RepeatCount, Word, history::History,
};

/// Binds them.
pub(super) fn bind<H: Helper, I: History>(editor: &mut Editor<H, I>) {
    for key in [KeyEvent(KeyCode::Right, Modifiers::ALT), KeyEvent::alt('f')] {
        editor.bind_sequence(key, EventHandler::Conditional(Box::new(HintWord)));
    }
    editor
        .bind_sequence(KeyEvent(KeyCode::Tab, Modifiers::NONE), EventHandler::Conditional(Box::new(Indent)));
    // Alt-Enter begins a new line wherever the cursor is.
    editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), EventHandler::Simple(Cmd::Newline));
}

/// Takes one word of the hint; without a hint it moves on by one.
struct HintWord;

impl ConditionalEventHandler for HintWord {
    fn handle(&self, _: &Event, n: RepeatCount, _: bool, ctx: &EventContext<'_>) -> Option<Cmd> {
        let hint = ctx.hint_text().filter(|_| ctx.pos() == ctx.line().len());
        Some(match hint {
            Some(hint) => Cmd::Insert(1, first_word(hint).to_owned()),
            None => Cmd::Move(Movement::ForwardWord(n, At::AfterEnd, Word::Emacs)),
        })
    }
}

/// Up to the end of the first word.
fn first_word(text: &str) -> &str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let begin = text.find(is_word).unwrap_or(text.len());
    let end = text[begin..].find(|c| !is_word(c)).map_or(text.len(), |length| begin + length);
    &text[..end]
}

/// Tab where a further line begins moves it to the right; elsewhere it completes.
struct Indent;

impl ConditionalEventHandler for Indent {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, ctx: &EventContext<'_>) -> Option<Cmd> {
        let before = ctx.line().get(..ctx.pos())?;
        let (_, begun) = before.rsplit_once('\n')?;
        begun.chars().all(char::is_whitespace).then(|| Cmd::Insert(1, "    ".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_taken_word_by_word() {
        assert_eq!(first_word("omains().len()"), "omains");
        assert_eq!(first_word("().len()"), "().len");
        assert_eq!(first_word("\n  é_1 x"), "\n  é_1");
        assert_eq!(first_word(")"), ")");
    }
}
