//! Taking an edit back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Files, Flaw};

/// What an edit made of each file it touched: kept on the host until the edit is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// By path.
    pub files: BTreeMap<String, Edit>,
}

/// One file before and after; `None` is no file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Its text before the edit.
    pub before: Option<String>,
    /// Its text after the edit.
    pub after: Option<String>,
}

impl Record {
    /// What lies between two states of the same files.
    pub fn between(before: &Files, after: &Files) -> Self {
        let paths = before.keys().chain(after.keys());
        let changed = paths.filter(|path| before.get(*path) != after.get(*path));
        let edit = |path: &String| {
            (path.clone(), Edit { before: before.get(path).cloned(), after: after.get(path).cloned() })
        };
        Self { files: changed.map(edit).collect() }
    }

    /// The files as they would be without the edit: byte for byte what they were where nobody has changed them since,
    /// else with the later changes kept.
    ///
    /// # Errors
    /// A later change that touches the same lines.
    pub fn take_back(&self, now: &Files) -> Result<Files, Flaw> {
        let mut files = now.clone();
        for (path, edit) in &self.files {
            let current = now.get(path);
            if current == edit.after.as_ref() {
                match &edit.before {
                    Some(before) => drop(files.insert(path.clone(), before.clone())),
                    None => drop(files.remove(path)),
                }
                continue;
            }
            let (Some(before), Some(after), Some(current)) = (&edit.before, &edit.after, current) else {
                return Err(Flaw::new(path, "it has been changed since kvmsh wrote it"));
            };
            // A merge takes what was added right behind our lines for a conflict; a patch does not mind.
            let merged = diffy::merge(after, current, before)
                .ok()
                .or_else(|| diffy::apply(current, &diffy::create_patch(after, before)).ok())
                .ok_or_else(|| Flaw::new(path, "the lines that kvmsh wrote have been changed since"))?;
            files.insert(path.clone(), merged);
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_nobody_touched_comes_back_byte_for_byte_and_later_changes_stay() {
        let before = files(&[("a", "one\ntwo\nthree\nfour\n"), ("b", "same\n")]);
        let after = files(&[("a", "one\nTWO\nthree\nfour\n"), ("b", "same\n"), ("c", "new\n")]);
        let record = Record::between(&before, &after);
        assert_eq!(record.files.keys().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(record.take_back(&after).unwrap(), before);

        let later = files(&[("a", "one\nTWO\nthree\nfour\nfive\n"), ("b", "other\n"), ("c", "new\n")]);
        let back = record.take_back(&later).unwrap();
        assert_eq!(back, files(&[("a", "one\ntwo\nthree\nfour\nfive\n"), ("b", "other\n")]));

        let behind = files(&[("a", "one\n"), ("c", "mine\n")]);
        let added = Record::between(&behind, &files(&[("a", "one\n\nauto br0\n"), ("c", "mine\n")]));
        let noted = files(&[("a", "one\n\nauto br0\n# a note\n"), ("c", "mine\n")]);
        assert_eq!(added.take_back(&noted).unwrap()["a"], "one\n# a note\n");

        let touched = files(&[("a", "one\n2\nthree\nfour\n"), ("c", "new\n")]);
        assert!(record.take_back(&touched).unwrap_err().to_string().starts_with("a: "));
        let dropin = files(&[("a", "one\nTWO\nthree\nfour\n"), ("c", "mine now\n")]);
        assert!(record.take_back(&dropin).is_err());
    }
}
