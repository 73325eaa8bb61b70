//! "Did you mean …?"

/// The candidates that `word` is probably a slip of, the nearest first, at most three.
pub fn similar<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&word, &lower);
            let (short, long) = {
                let (one, other) = (word.chars().count(), lower.chars().count());
                (one.min(other), one.max(other))
            };
            // A slip leaves most of a name: of one letter it leaves nothing, of two the first (`h1` and `h2`).
            let allowed = match short {
                0 | 1 => 0,
                2 => usize::from(long == 2 && word.chars().next() == lower.chars().next()),
                _ => (long / 3).max(1),
            };
            let begun = word.chars().count() >= 3 && lower.starts_with(&word);
            (distance <= allowed || begun).then_some((distance, candidate))
        })
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// ``did you mean `a` or `b`?``, if there is anything to suggest.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near: Vec<String> = similar(word, candidates).iter().map(|name| format!("`{name}`")).collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let keys = ["address", "user", "port", "identity"];
        assert_eq!(similar("adress", keys), ["address"]);
        assert_eq!(similar("prot", keys), ["port"]);
        assert_eq!(similar("ident", keys), ["identity"]);
        assert!(similar("memory", keys).is_empty());
        assert!(similar("x", ["a", "y", "if", "x1"]).is_empty() && similar("ab", ["x"]).is_empty());
        assert!(similar("ls", ["it", "is", "at"]).is_empty());
        assert_eq!(similar("h1", ["h2", "x1", "h"]), ["h2"]);
        assert_eq!(similar("X", ["x"]), ["x"]);
        assert_eq!(did_you_mean("h2-c", ["h2-a", "h2-b"]).unwrap(), "did you mean `h2-a` or `h2-b`?");
    }
}
