//! What `help()` knows: one index built from the engine's own metadata, so that
//! nothing can drift. Suggestions in errors come from it too.

mod choice;
mod entry;
mod page;
mod related;
mod wrap;

use std::collections::HashSet;

use rhai::{Engine, NativeCallContext};

pub use choice::Choice;
pub(super) use choice::{of_items, of_option};
pub use entry::{Entry, Kind, Origin};
pub(super) use entry::{returns, type_word};
pub(super) use page::set_width;
pub(super) use wrap::beside;
pub(crate) use wrap::wrap;

use super::modules::STDLIB;

/// An object, or a module of the standard library, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// `Domain`, or `std/evacuate`.
    pub name: String,
    /// Its documentation, without comment marks.
    pub doc: String,
}

/// All functions, properties, objects and modules.
#[derive(Debug, Clone)]
pub struct Index {
    /// Functions and properties, by object and name.
    pub entries: Vec<Entry>,
    /// The objects that scripts handle.
    pub objects: Vec<Topic>,
    /// The modules of the standard library.
    pub modules: Vec<Topic>,
}

impl Index {
    /// The index of everything that can be called; with `ctx` also of what the
    /// script there has defined.
    pub(super) fn new(engine: &Engine, ctx: Option<&NativeCallContext<'_>>) -> Self {
        let own = |f: rhai::FuncInfo<'_>| Entry::of(&f, Origin::Kvmsh);
        let mut entries = Vec::new();
        let mut modules = Vec::new();
        for (name, text) in STDLIB {
            modules.push(Topic { name: (*name).to_owned(), doc: header(text) });
            entries.extend(module_entries(engine, name, text));
        }
        entries.extend(engine.collect_fn_metadata(ctx, own, false));
        // This walk sees kvmsh's own again.
        entries.extend(engine.collect_fn_metadata(None, |f| Entry::of(&f, Origin::Rhai), true));
        let mut seen = HashSet::new();
        let identity = |e: &Entry| {
            (e.name.clone(), e.kind, e.object.clone(), e.module.clone(), e.parameters.clone(), e.doc.clone())
        };
        entries.retain(|entry| seen.insert(identity(entry)));
        let key = |e: &Entry| (e.object.clone(), e.module.clone(), e.name.clone(), e.parameters.len());
        entries.sort_by_cached_key(key);
        Self { entries, objects: objects(engine), modules }
    }

    /// What kvmsh and scripts have defined, without Rhai's own.
    pub fn own(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.origin != Origin::Rhai)
    }

    /// The functions and properties of an object, by its name in any case.
    pub fn members<'a>(&'a self, object: &'a str) -> impl Iterator<Item = &'a Entry> {
        let of = move |entry: &&Entry| {
            entry.object.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(object))
        };
        self.entries.iter().filter(of)
    }

    /// The options of a function: by its table, or, of a script's function, by the
    /// paragraph of its documentation that begins with `Options:`.
    pub fn options(&self, entry: &Entry) -> Vec<Choice> {
        choice::options(self, entry)
    }

    /// The object of this name in any case.
    pub fn object(&self, name: &str) -> Option<&Topic> {
        self.objects.iter().find(|object| object.name.eq_ignore_ascii_case(name))
    }

    /// The module of this name, with or without `std/`.
    pub fn module(&self, name: &str) -> Option<&Topic> {
        self.modules.iter().find(|module| module.name == name || alias(&module.name) == name)
    }
}

/// What a module is called after `import "std/evacuate" as evacuate;`.
fn alias(module: &str) -> &str {
    module.rsplit('/').next().unwrap_or(module)
}

/// The comment that a module opens with.
fn header(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n").trim().to_owned()
}

fn module_entries(engine: &Engine, name: &str, text: &str) -> Vec<Entry> {
    let Ok(ast) = engine.compile(text) else { return Vec::new() };
    let public = ast.iter_functions().filter(|f| f.access == rhai::FnAccess::Public && !f.name.contains('$'));
    public
        .map(|f| Entry {
            name: f.name.to_owned(),
            kind: Kind::Function,
            object: None,
            module: Some(alias(name).to_owned()),
            parameters: f.params.iter().map(|name| ((*name).to_owned(), String::new())).collect(),
            returns: String::new(),
            doc: entry::clean(f.comments.iter().copied()),
            origin: Origin::Kvmsh,
        })
        .collect()
}

/// Types have their documentation only in the engine's description of itself.
fn objects(engine: &Engine) -> Vec<Topic> {
    let description = engine.gen_fn_metadata_to_json(false).unwrap_or_default();
    let description: serde_json::Value = serde_json::from_str(&description).unwrap_or_default();
    let types = description["customTypes"].as_array().map(Vec::as_slice).unwrap_or_default();
    types
        .iter()
        .map(|one| {
            let lines = one["docComments"].as_array().map(Vec::as_slice).unwrap_or_default();
            Topic {
                name: one["displayName"].as_str().unwrap_or_default().to_owned(),
                doc: entry::clean(lines.iter().filter_map(|line| line.as_str())),
            }
        })
        .collect()
}
