//! The pages that `help()` prints.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use unicode_width::UnicodeWidthStr;

use super::entry::summary;
use super::wrap::{beside, wrap, wrap_code};
use super::{Choice, Entry, Index, Kind, Origin, Topic, alias, related};
use crate::model::Fault;
use crate::model::suggest::did_you_mean;

/// How wide pages are: the process has one terminal.
static WIDTH: AtomicUsize = AtomicUsize::new(80);

/// Sets how wide pages are.
pub(in super::super) fn set_width(columns: usize) {
    WIDTH.store(columns.clamp(20, 100), Ordering::Relaxed);
}

/// More than this many functions of one name become a list.
const IN_FULL: usize = 6;

/// Explanations in a list begin at this column at the latest.
const COLUMN: usize = 30;

/// A page in the making.
struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn new() -> Self {
        Self { text: String::new(), width: WIDTH.load(Ordering::Relaxed) }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn paragraph(&mut self, text: &str, indent: usize) {
        for line in wrap(text, self.width, indent) {
            self.line(&line);
        }
    }

    /// Documentation: paragraphs are filled; code stays as it is, for it is there
    /// to be copied. Code is what stands in a fence, and what begins with `import`.
    fn doc(&mut self, doc: &str, indent: usize) {
        let mut paragraph = String::new();
        let (mut fenced, mut code) = (false, false);
        for line in doc.lines().chain([""]) {
            let (blank, fence) = (line.trim().is_empty(), line.trim_start().starts_with("```"));
            code = !blank && (code || line.starts_with("import "));
            let example = line.starts_with("Example:");
            if blank || fence || fenced || code || example || line.starts_with("Errors:") {
                self.paragraph(&std::mem::take(&mut paragraph), indent);
            }
            match line {
                _ if fence => fenced = !fenced,
                _ if blank => self.blank(),
                _ if fenced || code => self.code(line, indent + 2),
                _ if example => self.code(line, indent),
                _ => {
                    paragraph.push(' ');
                    paragraph.push_str(line);
                }
            }
        }
    }

    /// A line of code: one that is too wide goes on below, broken where Rhai lets it be.
    fn code(&mut self, line: &str, indent: usize) {
        for line in wrap_code(line, self.width, indent) {
            self.line(&line);
        }
    }

    fn rows(&mut self, rows: &[(String, String)]) {
        let longest = rows.iter().map(|(left, _)| left.width() + 4).filter(|at| *at <= COLUMN).max();
        for (left, right) in rows {
            for line in beside(&format!("  {left}"), right, longest.unwrap_or(COLUMN), self.width) {
                self.line(&line);
            }
        }
    }

    fn topics(&mut self, topics: &[Topic]) {
        let rows: Vec<_> = topics.iter().map(|t| (t.name.clone(), summary(&t.doc))).collect();
        self.rows(&rows);
    }

    /// One row for each name: of several forms the shortest.
    fn list<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>, shown: impl Fn(&Entry) -> String) {
        let mut entries: Vec<&Entry> = entries.filter(|entry| entry.kind != Kind::Setter).collect();
        entries.dedup_by_key(|entry| (&entry.name, &entry.object, &entry.module));
        let rows: Vec<_> = entries.iter().map(|entry| (shown(entry), entry.summary())).collect();
        self.rows(&rows);
    }

    fn entry(&mut self, index: &Index, entry: &Entry) {
        self.blank();
        self.code(&entry.signature(), 0);
        if entry.doc.is_empty() {
            self.line("  (no documentation)");
            return;
        }
        // What it does, its options, then errors and the example. A script's function has told its options already.
        let options = match entry.doc.contains("Options:") || entry.module.is_some() {
            true => Vec::new(),
            false => index.options(entry),
        };
        let end = ["\nErrors:", "\nExample:"].iter().filter_map(|word| entry.doc.find(word)).min();
        let (what, rest) = entry.doc.split_at(end.filter(|_| !options.is_empty()).unwrap_or(entry.doc.len()));
        self.doc(what, 2);
        self.options(&options);
        self.blank();
        self.doc(rest.trim_start(), 2);
    }

    fn options(&mut self, options: &[Choice]) {
        if options.is_empty() {
            return;
        }
        self.blank();
        self.line("  Options:");
        let row = |option: &Choice| {
            let mut facts = vec![option.holds.clone()];
            if !option.standard.is_empty() {
                facts.push(format!("default {}", option.standard));
            }
            facts.retain(|fact| !fact.is_empty());
            let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
            (format!("  {}", option.name), format!("{}{facts}", option.doc))
        };
        self.rows(&options.iter().map(row).collect::<Vec<_>>());
    }

    fn end(self) -> String {
        self.text.trim_end().to_owned()
    }
}

/// `member(target)` without its object.
fn bare(entry: &Entry) -> String {
    let usage = entry.usage();
    match &entry.object {
        Some(object) => usage.get(object.len() + 1..).unwrap_or(&usage).to_owned(),
        None => usage,
    }
}

impl Index {
    /// What there is: objects, functions, modules.
    pub fn overview(&self) -> String {
        let mut page = Page::new();
        page.paragraph(
            "Scripts and the prompt speak Rhai (rhai.rs/book). Functions and objects are kvmsh's:",
            0,
        );
        page.blank();
        page.line("Objects");
        page.topics(&self.objects);
        page.blank();
        page.line("Functions");
        let functions = self.own().filter(|e| e.object.is_none() && e.module.is_none());
        page.list(functions.filter(|e| e.origin == Origin::Kvmsh), Entry::usage);
        page.blank();
        page.line("Modules");
        page.topics(&self.modules);
        let defined: Vec<&Entry> = self.own().filter(|e| e.origin == Origin::Script).collect();
        if !defined.is_empty() {
            page.blank();
            page.line("Yours");
            page.list(defined.into_iter(), Entry::usage);
        }
        page.blank();
        page.paragraph(
            "help(\"host\") lists an object's members, help(\"migrate\") tells all about a function, \
             help(\"memory\") finds what has to do with a word.",
            0,
        );
        page.end()
    }

    /// All that is known of a word: `migrate`, `domain.migrate`, `Domain`, `std/evacuate`.
    ///
    /// # Errors
    /// `no_help`, with a suggestion.
    pub fn page(&self, topic: &str) -> Result<String, Fault> {
        let word = topic.trim().split('(').next().unwrap_or_default().trim();
        let mut page = Page::new();
        if let Some((object, name)) = word.split_once('.').or_else(|| word.split_once("::")) {
            let found: Vec<&Entry> = self.within(object).filter(|entry| entry.name == name).collect();
            if found.is_empty() {
                return Err(self.no_member(object, name));
            }
            self.several(&found, &mut page);
            return Ok(page.end());
        }
        if let Some(object) = self.object(word) {
            self.object_page(object, &mut page);
        }
        let named: Vec<&Entry> = self.own().filter(|entry| entry.name == word).collect();
        self.several(&named, &mut page);
        if let Some(module) = self.module(word) {
            self.module_page(module, &mut page);
        }
        if page.text.is_empty() {
            let rhai: Vec<&Entry> = self.entries.iter().filter(|entry| entry.name == word).collect();
            self.several(&rhai, &mut page);
        }
        if page.text.is_empty() {
            let imported: Vec<&Entry> =
                self.within(word).filter(|e| e.object.is_none() && !e.doc.is_empty()).collect();
            self.several(&imported, &mut page);
        }
        if page.text.is_empty() {
            self.mentions(word, &mut page);
        }
        if page.text.is_empty() { Err(self.unknown(word)) } else { Ok(page.end()) }
    }

    fn within<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Entry> {
        let of_module =
            move |entry: &&Entry| entry.module.as_deref().is_some_and(|module| module == alias(owner));
        self.members(owner).chain(self.entries.iter().filter(of_module))
    }

    fn object_page(&self, object: &Topic, page: &mut Page) {
        page.line(&object.name);
        page.doc(&object.doc, 2);
        let members = |wanted: Kind| self.members(&object.name).filter(move |entry| entry.kind == wanted);
        for (title, kind) in [("Properties", Kind::Property), ("Functions", Kind::Function)] {
            if members(kind).next().is_some() {
                page.blank();
                page.line(title);
                page.list(members(kind), bare);
            }
        }
        if let Some(member) = members(Kind::Function).chain(members(Kind::Property)).next() {
            let name = object.name.to_lowercase();
            page.blank();
            page.paragraph(&format!("help(\"{name}.{}\") tells all about one.", member.name), 0);
        }
    }

    fn module_page(&self, module: &Topic, page: &mut Page) {
        page.blank();
        page.line(&module.name);
        page.doc(&module.doc, 2);
        let name = alias(&module.name);
        let public = self.own().filter(|e| e.module.as_deref() == Some(name) && !e.doc.is_empty());
        public.for_each(|entry| page.entry(self, entry));
    }

    /// Functions of one name: all about each, or a list where there are many.
    fn several(&self, found: &[&Entry], page: &mut Page) {
        if found.len() <= IN_FULL {
            found.iter().for_each(|entry| page.entry(self, entry));
            let related = related::related(self, found);
            if !related.is_empty() {
                page.blank();
                page.paragraph(&format!("See also: {}", related.join(", ")), 0);
            }
            return;
        }
        page.blank();
        page.list(found.iter().copied(), Entry::usage);
    }

    /// Own functions that have the word in their name, else in their summary.
    fn mentions(&self, word: &str, page: &mut Page) {
        let word = word.to_lowercase();
        if word.len() < 3 {
            return;
        }
        let by_name: Vec<&Entry> = self.own().filter(|e| e.name.to_lowercase().contains(&word)).collect();
        let by_text = || self.own().filter(|e| e.doc.to_lowercase().contains(&word)).collect();
        let found: Vec<&Entry> = if by_name.is_empty() { by_text() } else { by_name };
        let mut names: Vec<&str> = found.iter().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        match names.len() {
            1 => self.several(&found, page),
            _ => page.list(found.into_iter(), Entry::usage),
        }
    }

    fn unknown(&self, word: &str) -> Fault {
        let fault = Fault::new("no_help", format!("there is no help on `{word}`"));
        let names = self.entries.iter().map(|entry| entry.name.as_str());
        let topics = self.objects.iter().chain(&self.modules).map(|topic| topic.name.as_str());
        let mut own: Vec<&str> = self.own().map(|entry| entry.name.as_str()).chain(topics).collect();
        own.sort_unstable();
        own.dedup();
        let suggestion = did_you_mean(word, own).or_else(|| did_you_mean(word, names));
        fault.hint(suggestion.unwrap_or_else(|| "help() lists what there is".to_owned()))
    }

    fn no_member(&self, owner: &str, name: &str) -> Fault {
        let mut known: Vec<&str> = self.within(owner).map(|entry| entry.name.as_str()).collect();
        known.dedup();
        if known.is_empty() {
            return self.unknown(owner);
        }
        let fault = Fault::new("no_help", format!("`{owner}` has no `{name}`"));
        let suggestion = did_you_mean(name, known);
        fault.hint(suggestion.unwrap_or_else(|| format!("help(\"{owner}\") lists what it has")))
    }
}
