//! Text in lines of a given width.

use unicode_width::UnicodeWidthStr;

/// Breaks `text` between words so that no line is wider than `width`, each line
/// behind `indent` spaces. A word that is wider stands alone.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let room = width.saturating_sub(indent).max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines.into_iter().map(|line| format!("{:indent$}{line}", "")).collect()
}

/// The same for code, which is broken at spaces outside of texts, so that it can still be copied; what goes on stands
/// further in.
pub(super) fn wrap_code(code: &str, width: usize, indent: usize) -> Vec<String> {
    let deeper = code.len() - code.trim_start().len() + indent;
    // There the back quotes are those of the documentation.
    let back_quotes = !code.trim_start().starts_with("Example:");
    let mut quote = None;
    let mut words: Vec<String> = vec![String::new()];
    for c in code.trim().chars() {
        match quote {
            None if c == '"' || c == '`' && back_quotes => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        match words.last_mut() {
            Some(word) if c != ' ' || quote.is_some() => word.push(c),
            _ => words.push(String::new()),
        }
    }
    let mut lines: Vec<String> = vec![" ".repeat(deeper)];
    let mut begun = false;
    for word in words {
        let last = lines.last().map_or(0, |line| line.width());
        match lines.last_mut() {
            Some(line) if !begun || last + 1 + word.width() <= width => {
                if begun {
                    line.push(' ');
                }
                line.push_str(&word);
            }
            _ => lines.push(format!("{:1$}{word}", "", deeper + 4)),
        }
        begun = true;
    }
    lines
}

/// `left`, and beside it `right` from column `column` on; below it where there
/// is no room beside.
pub(in super::super) fn beside(left: &str, right: &str, column: usize, width: usize) -> Vec<String> {
    let narrow = column > 0 && width < column + 24;
    let below = left.len() - left.trim_start().len() + 4;
    let mut lines = wrap(right, width, if narrow { below } else { column });
    let fits = left.width() < column || column == 0 && left.is_empty();
    match lines.first_mut() {
        Some(first) if fits && !narrow => {
            let gap = column - left.width();
            *first = format!("{left}{:gap$}{}", "", first.trim_start());
        }
        _ => lines.insert(0, left.to_owned()),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_a_long_word_stands_alone() {
        assert_eq!(wrap("one two three", 9, 2), ["  one two", "  three"]);
        assert_eq!(wrap("a qemu+ssh://host/system b", 8, 0), ["a", "qemu+ssh://host/system", "b"]);
        assert!(wrap("  ", 8, 0).is_empty());
    }

    #[test]
    fn code_breaks_outside_of_texts() {
        let code = "Example: `f(\"a b c\") + g()`";
        assert_eq!(wrap_code(code, 20, 2), ["  Example:", "      `f(\"a b c\") +", "      g()`"]);
        assert_eq!(wrap_code("f(`a b c d`) + g", 8, 0), ["f(`a b c d`)", "    + g"]);
        assert_eq!(
            wrap_code("f(a: number, b: map) -> x", 14, 0),
            ["f(a: number,", "    b: map) ->", "    x"]
        );
        assert_eq!(wrap_code("    f(1)", 80, 2), ["      f(1)"]);
    }

    #[test]
    fn an_explanation_stands_beside_its_name_or_below_it() {
        assert_eq!(beside("name", "What it is.", 8, 40), ["name    What it is."]);
        assert_eq!(beside("a_long_name", "What it is.", 8, 40), ["a_long_name", "        What it is."]);
        assert_eq!(beside("name", "What it is.", 20, 40), ["name", "    What it is."]);
    }
}
