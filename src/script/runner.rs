//! Running scripts and lines.

use rhai::{Array, Dynamic, Engine, EvalAltResult, Module, Scope};

use super::bind::Exit;
use super::help::Index;
use super::modules::Texts;
use super::{diagnose, engine, show};
use crate::model::{Data, Diagnosis};
use crate::ops::Session;

/// A script.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path as given, `-c`, `-` or `repl[3]`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// How a script that did not fail ended.
#[derive(Debug)]
pub enum End {
    /// By itself; the value of its last expression.
    Value(Data),
    /// With `exit(code)`.
    Exit(u8),
}

/// An engine with a scope that lasts: variables, functions and imports of one
/// run are there for the next.
pub struct Runner {
    engine: Engine,
    scope: Scope<'static>,
    texts: Texts,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner for this session.
    pub fn new(session: &Session) -> Self {
        let texts = Texts::default();
        let engine = engine::build(session, &texts);
        Self { engine, scope: Scope::new(), texts }
    }

    /// Runs a script.
    ///
    /// # Errors
    /// What went wrong, with the places it went through.
    pub fn run(&mut self, source: &Source, args: &[String]) -> Result<End, Diagnosis> {
        self.set_args(args);
        self.eval(source, true)
    }

    /// Runs one entry at the prompt; the values of `let` and `fn` stay.
    ///
    /// # Errors
    /// What went wrong, with the places it went through.
    pub fn run_line(&mut self, source: &Source) -> Result<End, Diagnosis> {
        self.eval(source, false)
    }

    /// Parses a script without running it.
    pub fn check(&self, source: &Source) -> Vec<Diagnosis> {
        let text = without_shebang(&source.text);
        self.texts.keep(&source.name, &source.text);
        let mut scope = Scope::new();
        scope.push_constant("args", Array::new());
        match self.engine.compile_with_scope(&scope, &text) {
            Ok(_) => Vec::new(),
            Err(error) => {
                let error = Box::new(EvalAltResult::ErrorParsing(*error.0, error.1));
                vec![diagnose::diagnose(&self.engine, error, &source.name, &self.texts)]
            }
        }
    }

    /// Everything that can be called, with its documentation.
    pub fn index(&self) -> Index {
        Index::new(&self.engine, None)
    }

    /// Whether the parser wants more lines.
    pub fn is_incomplete(&self, text: &str) -> bool {
        diagnose::is_incomplete(&self.engine, &self.scope, text)
    }

    /// `args`: a constant in the scope, so that a misspelt variable is an error
    /// before anything runs, and a variable of a module, so that functions see it.
    fn set_args(&mut self, args: &[String]) {
        let list: Array = args.iter().cloned().map(Dynamic::from).collect();
        self.scope.push_constant("args", list.clone());
        let mut module = Module::new();
        module.set_var("args", list);
        self.engine.register_global_module(module.into());
    }

    fn eval(&mut self, source: &Source, once: bool) -> Result<End, Diagnosis> {
        self.texts.keep(&source.name, &source.text);
        let text = without_shebang(&source.text);
        let fail = |engine: &Engine, error| diagnose::diagnose(engine, error, &source.name, &self.texts);
        let mut ast = match self.engine.compile_with_scope(&self.scope, &text) {
            Ok(ast) => ast,
            Err(error) => {
                let error = Box::new(EvalAltResult::ErrorParsing(*error.0, error.1));
                return Err(fail(&self.engine, error));
            }
        };
        ast.set_source(source.name.as_str());
        let result = self.engine.eval_ast_with_scope::<Dynamic>(&mut self.scope, &ast);
        if !once && ast.has_functions() {
            // Functions of this line become global ones, so that later lines and closures see them.
            let functions = ast.clone_functions_only();
            let module = Module::eval_ast_as_new(Scope::new(), &functions, &self.engine);
            if let Ok(module) = module {
                self.engine.register_global_module(module.into());
            }
        }
        match result {
            Ok(value) => Ok(End::Value(show::data(&value))),
            Err(error) => match exit_code(&error) {
                Some(code) => Ok(End::Exit(code)),
                None => Err(fail(&self.engine, error)),
            },
        }
    }
}

fn exit_code(error: &EvalAltResult) -> Option<u8> {
    match error {
        EvalAltResult::ErrorTerminated(token, _) => token.read_lock::<Exit>().map(|exit| exit.0),
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            exit_code(inner)
        }
        _ => None,
    }
}

/// `#!/usr/bin/env kvmsh` becomes a comment of the same length, so that
/// positions stay right.
fn without_shebang(text: &str) -> std::borrow::Cow<'_, str> {
    match text.strip_prefix("#!") {
        Some(rest) => format!("//{rest}").into(),
        None => text.into(),
    }
}
