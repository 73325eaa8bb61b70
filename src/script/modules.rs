//! `import "std/evacuate" as evacuate;` and `import "lib/mine" as mine;`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use crate::model::Fault;

/// The standard library, built into the binary.
pub(super) const STDLIB: &[(&str, &str)] = &[
    ("std/cli", include_str!("../../stdlib/cli.rhai")),
    ("std/evacuate", include_str!("../../stdlib/evacuate.rhai")),
    ("std/migrate", include_str!("../../stdlib/migrate.rhai")),
];

/// The texts of all scripts of a run, by name, for carets in errors.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts(Arc<Mutex<HashMap<String, String>>>);

impl Texts {
    pub(super) fn keep(&self, name: &str, text: &str) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.insert(name.to_owned(), text.to_owned());
    }

    pub(super) fn get(&self, name: &str) -> String {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.get(name).cloned().unwrap_or_default()
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

    fn find(source: Option<&str>, path: &str) -> Result<(String, String), Fault> {
        if path.starts_with("std/") {
            return STDLIB
                .iter()
                .find(|(name, _)| *name == path)
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .ok_or_else(|| {
                    let known: Vec<&str> = STDLIB.iter().map(|(name, _)| *name).collect();
                    Fault::new("no_module", format!("the standard library has no module {path}"))
                        .hint(format!("it has: {}", known.join(", ")))
                });
        }
        let beside = source.map(Path::new).filter(|s| s.is_file()).and_then(Path::parent);
        let mut file = beside.map_or_else(PathBuf::new, Path::to_path_buf).join(path);
        if file.extension().is_none() {
            file.set_extension("rhai");
        }
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Fault::new("no_module", format!("cannot read the module {name}")).because(error.to_string())
        })?;
        Ok((name, text))
    }
}

impl ModuleResolver for Modules {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        _: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let (name, text) = Self::find(source, path)?;
        if let Some(module) = self.loaded().get(&name) {
            return Ok(module.clone());
        }
        self.texts.keep(&name, &text);
        let in_module = |error: Box<EvalAltResult>| {
            Box::new(EvalAltResult::ErrorInModule(name.clone(), error, Position::NONE))
        };
        let mut ast = engine
            .compile(&text)
            .map_err(|error| in_module(Box::new(EvalAltResult::ErrorParsing(*error.0, error.1))))?;
        ast.set_source(name.as_str());
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine).map_err(in_module)?;
        let module = Shared::new(module);
        self.loaded().insert(name.clone(), module.clone());
        Ok(module)
    }
}
