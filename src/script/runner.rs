//! Running scripts and lines.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use rhai::{AST, Array, Dynamic, Engine, EvalAltResult, FnPtr, Module, OptimizationLevel, Scope};

use super::bind::Exit;
use super::complete::{Completion, Look, World};
use super::engine::{Lookup, Printer};
use super::help::{self, Index, Kind};
use super::ink::{self, Callable, Ink};
use super::modules::{Modules, Texts};
use super::tokens::Token;
use super::{check, definitions, diagnose, engine, incomplete, line, refine, show, tokens, unbound};
use crate::model::{Data, Diagnosis};
use crate::ops::{Host, Session};

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
/// line are there for the next.
pub struct Runner {
    engine: Engine,
    printer: Printer,
    scope: Scope<'static>,
    texts: Texts,
    modules: Modules,
    /// The index, made when the prompt first needs it after a line.
    known: OnceCell<(Index, Callable)>,
    /// The text whose tokens were asked for last.
    last: RefCell<(String, Rc<Vec<Token>>)>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner for this session.
    pub fn new(session: &Session) -> Self {
        Self::with(session, Lookup::Table)
    }

    /// A runner for this script only, which may start a little faster.
    pub fn for_script(session: &Session, source: &Source) -> Self {
        Self::with(session, Lookup::for_script(&source.text))
    }

    fn with(session: &Session, lookup: Lookup) -> Self {
        let texts = Texts::default();
        let modules = Modules::new(texts.clone());
        let printer = Printer::new(session);
        let engine = engine::build(session, modules.clone(), lookup, &printer);
        Self {
            engine,
            printer,
            scope: Scope::new(),
            texts,
            modules,
            known: OnceCell::new(),
            last: RefCell::default(),
        }
    }

    /// A runner that is to check scripts, not to run them: it parses each once.
    pub fn checker(session: &Session) -> Self {
        let mut runner = Self::new(session);
        runner.engine.set_optimization_level(OptimizationLevel::None);
        runner
    }

    /// A runner for lines at the prompt: `it` is the last result, `last_error` the last error.
    pub fn interactive(session: &Session) -> Self {
        let mut runner = Self::new(session);
        runner.constant("args", Array::new().into());
        line::prepare(&mut runner.scope);
        runner
    }

    /// Runs a script.
    ///
    /// # Errors
    /// What went wrong, with the places it went through.
    pub fn run(&mut self, source: &Source, args: &[String]) -> Result<End, Diagnosis> {
        let args: Array = args.iter().cloned().map(Dynamic::from).collect();
        self.constant("args", args.into());
        let ast = self.compile(source)?;
        let result = self.engine.eval_ast_with_scope::<Dynamic>(&mut self.scope, &ast);
        self.end(source, result.map(|value| show::data(&value)))
    }

    /// Runs one entry at the prompt; what `let`, `fn` and `import` make stays, even
    /// where the line fails behind them.
    ///
    /// # Errors
    /// What went wrong, with the places it went through.
    pub fn run_line(&mut self, source: &Source) -> Result<End, Diagnosis> {
        self.modules.forget_files();
        let result = self.compile(source).and_then(|ast| {
            let result = self.engine.eval_ast_with_scope::<Dynamic>(&mut self.scope, &ast);
            line::keep_functions(&mut self.engine, &mut self.scope, &ast);
            if ast.has_functions() || source.text.contains("import") {
                self.known.take();
            }
            let failed_at = result.as_ref().err().map(|error| error.position());
            line::keep_imports(&mut self.engine, &ast, failed_at);
            if let Ok(value) = &result {
                line::keep_result(&mut self.scope, value);
            }
            self.end(source, result.map(|value| show::data_at_prompt(&value)))
        });
        if let Err(diagnosis) = &result {
            line::keep_error(&mut self.scope, &diagnosis.fault);
        }
        result
    }

    /// Gives lines and functions a host under this name.
    pub fn give_host(&mut self, name: &str, host: Host) {
        self.constant(name, Dynamic::from(host));
    }

    /// Whether a line has a variable of this name.
    pub fn has_variable(&self, name: &str) -> bool {
        self.scope.contains(name)
    }

    /// Whether a name is that of a free function that can be called without
    /// arguments, and no variable hides it.
    pub fn runs_alone(&self, name: &str) -> bool {
        let variable = self.scope.iter_raw().filter(|(known, ..)| *known == name).last();
        // A function of an earlier line is a constant of its own name as well.
        let hidden = variable.is_some_and(|(_, _, value)| {
            value.read_lock::<FnPtr>().is_none_or(|function| function.fn_name() != name)
        });
        !hidden
            && self.known().0.own().any(|entry| {
                entry.name == name
                    && entry.kind == Kind::Function
                    && entry.object.is_none()
                    && entry.module.is_none()
                    && entry.parameters.is_empty()
            })
    }

    /// Sets how wide the pages of `help()` are.
    pub fn set_width(&self, columns: usize) {
        help::set_width(columns);
    }

    /// What is wrong with a script, found without running it. With a session, names of hosts are looked up in its inventory.
    pub fn check(&self, source: &Source, session: Option<&Session>) -> Vec<Diagnosis> {
        let text = without_shebang(&source.text);
        self.texts.keep(&source.name, &source.text);
        let mut scope = Scope::new();
        scope.push_constant("args", Array::new());
        let strict = || {
            let read = self.engine.compile_with_scope(&scope, &text);
            read.map_err(|error| Box::new(EvalAltResult::ErrorParsing(*error.0, error.1)))
        };
        let known = check::Known { engine: &self.engine, index: &|| &self.known().0, session };
        let found = check::findings(&known, &source.name, &text, strict);
        found.into_iter().map(|finding| self.diagnose(source, finding)).collect()
    }

    /// Whether a text is code, whatever it would do.
    pub fn is_code(&self, text: &str) -> bool {
        self.engine.compile_with_scope(&self.scope, text).is_ok()
    }

    /// Whether a text is one expression, which could stand behind `let x =`.
    pub fn is_expression(&self, text: &str) -> bool {
        let whole = format!("let it = {};", text.trim().trim_end_matches(';'));
        let one = |ast: AST| ast.statements().len() == 1 && !ast.has_functions();
        self.engine.compile_with_scope(&self.scope, whole).is_ok_and(one)
    }

    /// The functions that a text defines: names, numbers of parameters, and where they stand.
    pub fn functions_in(&self, text: &str) -> Vec<(String, usize, Range<usize>)> {
        tokens::functions(&tokens::tokens(&self.engine, text))
    }

    /// Modules that were imported are read again.
    pub fn forget(&mut self) {
        self.modules.forget_files();
        self.known.take();
    }

    /// Files for the Rhai language server, by name.
    pub fn definitions(&self) -> Vec<(String, String)> {
        definitions::files(&self.engine, &self.index())
    }

    /// Everything that can be called, with its documentation.
    pub fn index(&self) -> Index {
        Index::new(&self.engine, None)
    }

    /// How a line that is being typed could go on at the cursor; asks nobody.
    pub fn complete(&self, line: &str, at: usize, world: &dyn World) -> Completion {
        self.look(|look| look.complete(line, at, world))
    }

    /// The forms of the function whose arguments are being typed at the end of
    /// the text, and which argument that is.
    pub fn calling(&self, text: &str) -> Option<(Vec<String>, usize)> {
        self.look(|look| look.calling(text))
    }

    /// What the parts of a text are; what is between them is space.
    pub fn inks(&self, text: &str) -> Vec<(Range<usize>, Ink)> {
        ink::inks(&self.tokens(text), &self.known().1, |name| self.scope.contains(name), text.len())
    }

    /// The brackets that belong together, one of which is at the cursor.
    pub fn bracket_pair(&self, text: &str, cursor: usize) -> Option<(usize, usize)> {
        ink::pair(&self.tokens(text), cursor)
    }

    /// Whether a text uses a name, as a variable or a function.
    pub fn mentions(&self, text: &str, name: &str) -> bool {
        self.tokens(text).iter().any(|token| token.word() == Some(name))
    }

    /// Whether a text uses a name where it has not declared that itself.
    pub fn uses(&self, text: &str, name: &str) -> bool {
        unbound::uses(&self.tokens(text), name)
    }

    /// The text, in which what was called `name` is called `new`.
    pub fn renamed(&self, text: &str, name: &str, new: &str) -> String {
        let mut out = text.to_owned();
        for token in self.tokens(text).iter().rev().filter(|token| token.word() == Some(name)) {
            out.replace_range(token.start..token.end, new);
        }
        out
    }

    /// The tokens of a text; of the one before as well, since several ask at each key.
    fn tokens(&self, text: &str) -> Rc<Vec<Token>> {
        let mut last = self.last.borrow_mut();
        if last.0 != text {
            *last = (text.to_owned(), Rc::new(tokens::tokens(&self.engine, text)));
        }
        last.1.clone()
    }

    fn known(&self) -> &(Index, Callable) {
        self.known.get_or_init(|| {
            let index = self.index();
            let callable = Callable::of(&index);
            (index, callable)
        })
    }

    fn look<T>(&self, with: impl FnOnce(&Look<'_>) -> T) -> T {
        with(&Look { engine: &self.engine, scope: &self.scope, index: &self.known().0 })
    }

    /// Whether the parser wants more lines.
    pub fn is_incomplete(&self, text: &str) -> bool {
        incomplete::is_incomplete(&self.engine, &self.scope, text)
    }

    /// A constant in the scope, so that a misspelt variable is an error before
    /// anything runs, and a variable of a module, so that functions see it.
    fn constant(&mut self, name: &str, value: Dynamic) {
        self.scope.push_constant_dynamic(name, value.clone());
        let mut module = Module::new();
        module.set_var(name, value);
        self.engine.register_global_module(module.into());
    }

    fn compile(&self, source: &Source) -> Result<AST, Diagnosis> {
        self.texts.keep(&source.name, &source.text);
        let text = without_shebang(&source.text);
        let mut ast = self.engine.compile_with_scope(&self.scope, &text).map_err(|error| {
            let error = Box::new(EvalAltResult::ErrorParsing(*error.0, error.1));
            self.diagnose(source, error)
        })?;
        ast.set_source(source.name.as_str());
        Ok(ast)
    }

    fn end(&self, source: &Source, result: Result<Data, Box<EvalAltResult>>) -> Result<End, Diagnosis> {
        let lost = self.printer.lost();
        match result {
            Ok(value) => lost.map_or(Ok(End::Value(value)), |fault| Err(fault.into())),
            Err(error) => match exit_code(&error) {
                Some(code) => {
                    lost.filter(|_| code == 0).map_or(Ok(End::Exit(code)), |fault| Err(fault.into()))
                }
                None => Err(self.diagnose(source, error)),
            },
        }
    }

    fn diagnose(&self, source: &Source, error: Box<EvalAltResult>) -> Diagnosis {
        let mut diagnosis = diagnose::diagnose(&self.engine, error, &source.name, &self.texts);
        self.look(|look| refine::refine(look, &mut diagnosis));
        diagnosis
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

/// A script without the line that tells the system what runs it: `#!/usr/bin/env kvmsh` becomes a comment of the same
/// length, so that positions stay right.
pub(super) fn without_shebang(text: &str) -> std::borrow::Cow<'_, str> {
    match text.strip_prefix("#!") {
        // `///` would begin documentation.
        Some(rest) => match rest.strip_prefix('/') {
            Some(rest) => format!("// {rest}").into(),
            None => format!("//{rest}").into(),
        },
        None => text.into(),
    }
}
