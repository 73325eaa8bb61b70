//! `import "std/evacuate" as evacuate;` and `import "lib/mine" as mine;`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use super::isolate::{self, Mark};
use crate::model::Fault;
use crate::model::suggest::did_you_mean;

/// The standard library, built into the binary.
pub(super) const STDLIB: &[(&str, &str)] = &[
    ("std/backup", include_str!("../../stdlib/backup.rhai")),
    ("std/bench", include_str!("../../stdlib/bench.rhai")),
    ("std/bond", include_str!("../../stdlib/bond.rhai")),
    ("std/bridge", include_str!("../../stdlib/bridge.rhai")),
    ("std/cli", include_str!("../../stdlib/cli.rhai")),
    ("std/cpu", include_str!("../../stdlib/cpu.rhai")),
    ("std/evacuate", include_str!("../../stdlib/evacuate.rhai")),
    ("std/health", include_str!("../../stdlib/health.rhai")),
    ("std/hostprep", include_str!("../../stdlib/hostprep.rhai")),
    ("std/keys", include_str!("../../stdlib/keys.rhai")),
    ("std/migrate", include_str!("../../stdlib/migrate.rhai")),
    ("std/net", include_str!("../../stdlib/net.rhai")),
    ("std/nfs", include_str!("../../stdlib/nfs.rhai")),
    ("std/pool", include_str!("../../stdlib/pool.rhai")),
    ("std/report", include_str!("../../stdlib/report.rhai")),
    ("std/snapshots", include_str!("../../stdlib/snapshots.rhai")),
];

/// The texts of all scripts of a run, by name, for carets in errors.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts(Arc<Mutex<HashMap<String, Kept>>>);

/// A script, and what isolating it has moved.
type Kept = (String, Vec<Mark>);

impl Texts {
    pub(super) fn keep(&self, name: &str, text: &str) {
        self.keep_marked(name, text, Vec::new());
    }

    fn keep_marked(&self, name: &str, text: &str, marks: Vec<Mark>) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.insert(name.to_owned(), (text.to_owned(), marks));
    }

    pub(super) fn get(&self, name: &str) -> String {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.get(name).map(|(text, _)| text.clone()).unwrap_or_default()
    }

    /// The column in the text that [`Texts::get`] returns, for one that an error names.
    pub(super) fn column(&self, name: &str, line: usize, column: usize) -> usize {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.get(name).map_or(column, |(_, marks)| isolate::original_column(marks, line, column))
    }
}

/// Finds modules: `std/…` in the binary, everything else as a file beside the
/// script that imports it. Each is compiled once, when it is first imported.
#[derive(Debug, Clone, Default)]
pub(super) struct Modules {
    texts: Texts,
    loaded: Arc<Mutex<HashMap<String, Shared<Module>>>>,
}

impl Modules {
    pub(super) fn new(texts: Texts) -> Self {
        Self { texts, loaded: Arc::default() }
    }

    /// Files are read again when they are next imported: whoever sits at the
    /// prompt edits them meanwhile.
    pub(super) fn forget_files(&self) {
        self.loaded().retain(|name, _| name.starts_with("std/"));
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<String, Shared<Module>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A module's name and its text.
    ///
    /// # Errors
    /// `no_module`, with a suggestion.
    pub(super) fn find(source: Option<&str>, path: &str) -> Result<(String, String), Fault> {
        if path.starts_with("std/") {
            return STDLIB
                .iter()
                .find(|(name, _)| *name == path)
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .ok_or_else(|| {
                    let known: Vec<&str> = STDLIB.iter().map(|(name, _)| *name).collect();
                    let hint = did_you_mean(path, known.iter().copied());
                    Fault::new("no_module", format!("the standard library has no module `{path}`"))
                        .hint(hint.unwrap_or_else(|| format!("it has: {}", known.join(", "))))
                });
        }
        let beside = source.map(Path::new).filter(|s| s.is_file()).and_then(Path::parent);
        let mut file = beside.map_or_else(PathBuf::new, Path::to_path_buf).join(path);
        if file.extension().is_none() {
            file.set_extension("rhai");
        }
        let name = file.display().to_string();
        let fail = |error: std::io::Error| {
            Fault::new("no_module", format!("cannot read the module {name}")).because(error.to_string())
        };
        let mut opened = std::fs::File::open(&file).map_err(fail)?;
        crate::inventory::trusted(&file, &opened)?;
        let mut text = String::new();
        opened.read_to_string(&mut text).map_err(fail)?;
        Ok((name, text))
    }
}

thread_local! {
    /// The modules this thread is in the midst of loading, outermost first.
    static LOADING: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// One module being loaded; over when dropped.
struct Loading;

impl Loading {
    fn begin(name: &str) -> Result<Self, Fault> {
        LOADING.with_borrow_mut(|loading| {
            if let Some(at) = loading.iter().position(|other| other == name) {
                let circle = [&loading[at..], &[name.to_owned()]].concat().join(" → ");
                return Err(Fault::new("circular_import", format!("modules import each other: {circle}"))
                    .hint("move what both need to a third module"));
            }
            loading.push(name.to_owned());
            Ok(Self)
        })
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        LOADING.with_borrow_mut(|loading| drop(loading.pop()));
    }
}

impl ModuleResolver for Modules {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let here = |fault: Fault| {
            let mut error: Box<EvalAltResult> = fault.into();
            error.set_position(position);
            error
        };
        if path == isolate::BARRIER {
            return Ok(isolate::barrier());
        }
        let (name, text) = Self::find(source, path).map_err(here)?;
        if let Some(module) = self.loaded().get(&name) {
            return Ok(module.clone());
        }
        let _loading = Loading::begin(&name).map_err(here)?;
        self.texts.keep(&name, &text);
        let in_module =
            |error: Box<EvalAltResult>| Box::new(EvalAltResult::ErrorInModule(name.clone(), error, position));
        let (mut ast, marks) = isolate::compile(engine, &text)
            .map_err(|error| in_module(Box::new(EvalAltResult::ErrorParsing(*error.0, error.1))))?;
        self.texts.keep_marked(&name, &text, marks);
        ast.set_source(name.as_str());
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine).map_err(in_module)?;
        let module = Shared::new(module);
        self.loaded().insert(name.clone(), module.clone());
        Ok(module)
    }
}
