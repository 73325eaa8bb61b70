//! What to look at next.

use super::{Entry, Index, Kind, Origin};

/// So many at most.
const MOST: usize = 6;

/// The functions and properties that the documentation of `shown` names, that
/// name them, or that are called the same on other objects.
pub(super) fn related(index: &Index, shown: &[&Entry]) -> Vec<String> {
    let Some(first) = shown.first().filter(|entry| entry.origin == Origin::Kvmsh) else { return Vec::new() };
    let shown_is = |entry: &Entry| shown.iter().any(|one| title(one) == title(entry));
    let own = || index.own().filter(|entry| entry.origin == Origin::Kvmsh && entry.kind != Kind::Setter);
    let named = shown.iter().flat_map(|one| words(one)).filter_map(|word| {
        let near = |entry: &&Entry| entry.name == word && entry.object == first.object;
        let any = |entry: &&Entry| entry.name == word;
        own().find(near).or_else(|| own().find(any))
    });
    let naming =
        own().filter(|entry| first.kind == Kind::Function && words(entry).any(|word| word == first.name));
    let same = own().filter(|entry| entry.name == first.name);
    let mut titles: Vec<String> = Vec::new();
    for entry in named.chain(naming).chain(same) {
        let title = title(entry);
        if !shown_is(entry) && !titles.contains(&title) {
            titles.push(title);
        }
    }
    titles.truncate(MOST);
    titles
}

/// `domain.migrate`, `evacuate::run`, `hosts`.
fn title(entry: &Entry) -> String {
    entry.usage().split('(').next().unwrap_or_default().to_owned()
}

/// The names between back quotes, without objects, modules and arguments; errors' codes are none.
fn words(entry: &Entry) -> impl Iterator<Item = &str> {
    let text = entry.doc.lines().filter(|line| !line.starts_with("Example:") && !line.starts_with("Errors:"));
    text.flat_map(|line| line.split('`').skip(1).step_by(2)).filter_map(|code| {
        let name = code.split('(').next()?;
        let name = name.rsplit(['.', ':']).next()?;
        let called = code.contains('(') || code.contains('.') || code.contains("::");
        // A bare word may be an option or a state.
        let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        (plain && (called || name.len() > 6)).then_some(name)
    })
}
