//! A change of the network that a script puts together itself.

use super::expect::Expect;
use super::look::Look;
use super::transaction::Site;
use super::work::{Argv, Edit, Work};
use crate::model::{Class, Fault};

/// The most that a file of the network holds.
const FILE_LIMIT: u64 = 256 << 10;

/// What a script wants changed, in the order of its calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Custom {
    /// What it is about.
    pub title: String,
    /// Path, new text, and permission bits of a new file in octal digits; no text removes the file.
    pub files: Vec<(String, Option<Vec<u8>>, String)>,
    /// Run before the files are replaced.
    pub before: Vec<Argv>,
    /// Run after the files were replaced.
    pub run: Vec<Argv>,
    /// Run when it is undone, with the new files still in place.
    pub undo_first: Vec<Argv>,
    /// Run when it is undone, after the files are back.
    pub undo: Vec<Argv>,
    /// Links that it makes.
    pub links: Vec<String>,
    /// What must be true beside that nothing is lost.
    pub expect: Expect,
}

impl Custom {
    /// What it comes to on a host.
    pub(super) fn work(&self, site: &Site<'_>, look: &Look) -> Result<Work, Fault> {
        let commands = self.before.iter().chain(&self.run).chain(&self.undo_first).chain(&self.undo);
        if let Some(word) = commands.flatten().find(|word| word.contains('\n') || word.contains('\0')) {
            return Err(Fault::new(
                "bad_argument",
                format!("a command of a transaction is one line, not {word:?}"),
            )
            .class(Class::Refused)
            .hint("write a script to a file, and run that"));
        }
        let mut edits = Vec::new();
        for (path, after, mode) in &self.files {
            let before = site.content(path, FILE_LIMIT)?;
            if before != *after {
                edits.push(Edit { path: path.clone(), before, after: after.clone(), mode: mode.clone() });
            }
        }
        // Commands alone are a change; commands that go with files are none when the files are as wanted.
        if edits.is_empty() && !self.files.is_empty() {
            return Ok(Work::default());
        }
        let mut expect = Expect::unchanged(look);
        let own = self.expect.clone();
        expect.addresses.extend(own.addresses);
        expect.gateways.extend(own.gateways);
        expect.answering.extend(own.answering);
        expect.masters.extend(own.masters);
        expect.bonds.extend(own.bonds);
        expect.carriers.extend(own.carriers);
        expect.gone.extend(own.gone);
        expect.carriers.retain(|link| !expect.gone.contains(link));
        let links: Vec<String> =
            self.links.iter().filter(|link| look.link(link).is_none()).cloned().collect();
        Ok(Work {
            title: self.title.clone(),
            edits,
            pre: self.before.clone(),
            post: self.run.clone(),
            undo_pre: self.undo_first.clone(),
            undo_post: self.undo.clone(),
            netplan: self.files.iter().any(|(path, _, _)| path.starts_with("/etc/netplan/")),
            new_links: links.clone(),
            links,
            expect,
            ..Work::default()
        })
    }
}
