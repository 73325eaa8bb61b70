//! What lines at the prompt have that scripts have not: what one line leaves is
//! there for the next.

use rhai::{AST, Dynamic, Engine, Expr, FnPtr, Module, Position, Scope, Stmt};

use super::error::ScriptFault;
use crate::model::Fault;

/// The last result that was worth keeping.
const RESULT: &str = "it";
/// The last error.
const ERROR: &str = "last_error";

/// Makes both variables, so that a line may name them before there is anything in them.
pub(super) fn prepare(scope: &mut Scope<'_>) {
    scope.push(RESULT, ());
    scope.push(ERROR, ());
}

/// Keeps a result as `it`; a line without one leaves `it` alone.
pub(super) fn keep_result(scope: &mut Scope<'_>, value: &Dynamic) {
    if !value.is_unit() {
        set(scope, RESULT, value.clone().flatten());
    }
}

/// Keeps an error as `last_error`.
pub(super) fn keep_error(scope: &mut Scope<'_>, fault: &Fault) {
    set(scope, ERROR, Dynamic::from(ScriptFault { fault: fault.clone() }));
}

/// Whoever makes a constant of this name wants to keep it.
fn set(scope: &mut Scope<'_>, name: &str, value: Dynamic) {
    if scope.is_constant(name) != Some(true) {
        scope.set_value(name, value);
    }
}

/// Functions of this line become global ones, so that later lines and closures
/// see them; and constants, so that `par(hosts(), check)` can name them.
pub(super) fn keep_functions(engine: &mut Engine, scope: &mut Scope<'_>, ast: &AST) {
    if !ast.has_functions() {
        return;
    }
    if let Ok(module) = Module::eval_ast_as_new(Scope::new(), &ast.clone_functions_only(), engine) {
        engine.register_global_module(module.into());
    }
    for function in ast.iter_functions().filter(|function| !function.name.contains('$')) {
        if !scope.contains(function.name)
            && let Ok(pointer) = FnPtr::new(function.name)
        {
            scope.push_constant(function.name, pointer);
        }
    }
}

/// Modules that this line has imported stay, for later lines and for functions.
/// `failed_at`: where the line ended; imports behind that were not reached.
pub(super) fn keep_imports(engine: &mut Engine, ast: &AST, failed_at: Option<Position>) {
    for statement in ast.statements() {
        let Stmt::Import(import, position) = statement else { continue };
        let (Expr::StringConstant(path, ..), alias) = &**import else { continue };
        let reached = failed_at.is_none_or(|end| (end.line(), end.position()) > before(*position));
        if alias.name.is_empty() || !reached {
            continue;
        }
        // The resolver has it already: this neither reads nor runs it again.
        if let Ok(module) = engine.module_resolver().resolve(engine, ast.source(), path, *position) {
            engine.register_static_module(alias.name.as_str(), module);
        }
    }
}

fn before(position: Position) -> (Option<usize>, Option<usize>) {
    (position.line(), position.position())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::gate::{Journal, Mode};
    use crate::model::{Cancel, Data, Inventory, Silent};
    use crate::ops::{Session, Settings};
    use crate::script::{End, Runner, Source};
    use serde_json::{Value, json};

    struct Prompt(Runner, usize);

    impl Prompt {
        fn new() -> Self {
            let session = Session::new(Settings {
                inventory: Inventory::default(),
                select: Vec::new(),
                mode: Mode::Apply,
                journal: Journal::off(),
                assume_yes: false,
                progress: Arc::new(Silent),
                cancel: Cancel::new(),
                prompt: None,
            });
            let mut runner = Runner::interactive(&session);
            runner.give_host("demo", session.host("test:///default").unwrap());
            Self(runner, 0)
        }

        fn line(&mut self, text: &str) -> Result<Value, crate::model::Diagnosis> {
            self.1 += 1;
            let source = Source { name: format!("repl[{}]", self.1), text: text.to_owned() };
            match self.0.run_line(&source)? {
                End::Value(Data::Nothing) => Ok(Value::Null),
                End::Value(Data::Tree(value)) => Ok(value),
                End::Value(Data::Text(text)) => Ok(Value::from(text)),
                other => Ok(Value::from(format!("{other:?}"))),
            }
        }

        fn gives(&mut self, text: &str, value: Value) {
            match self.line(text) {
                Ok(got) => assert_eq!(got, value, "{text}"),
                Err(diagnosis) => panic!("{text}: {diagnosis:?}"),
            }
        }

        fn fails(&mut self, text: &str) -> crate::model::Diagnosis {
            self.line(text).unwrap_err()
        }
    }

    #[test]
    fn variables_functions_and_closures_stay_and_can_be_made_anew() {
        let mut prompt = Prompt::new();
        prompt.gives("let x = 1; fn double(n) { n * 2 }", json!(null));
        prompt.gives("double(x)", json!(2));
        prompt.gives("fn double(n) { n * 20 }", json!(null));
        prompt.gives("let x = 3; double(x)", json!(60));
        prompt.gives("fn four() { double(2) * 0 + 4 }", json!(null));
        prompt.gives("let f = |n| n + x + four()", json!(null));
        prompt.gives("f.call(1)", json!(8));
        prompt.gives("[1, 2].map(|n| double(n))", json!([20, 40]));
        prompt.gives("par([1, 2], double)", json!([20, 40]));
        prompt.gives("x = 5; f.call(1)", json!(10));
        prompt.gives("const C = 7;", json!(null));
        prompt.gives("let C = 8; C", json!(8));
        prompt.gives("fn of_demo() { demo.name }", json!(null));
        prompt.gives("of_demo()", json!("test:///default"));
    }

    #[test]
    fn imports_stay_for_lines_and_for_functions() {
        let mut prompt = Prompt::new();
        prompt.gives(r#"import "std/evacuate" as ev; let d = demo;"#, json!(null));
        prompt.gives(
            "fn sum() { ev::summary(demo, #{moved: 1, definitions: 0, left: 0, off: 0, seconds: 1.0}) }",
            json!(null),
        );
        prompt.gives("sum()", json!("test:///default is empty: 1 moved live, 0 left behind (1.0 s)"));
        assert_eq!(prompt.fails("ev::run(d, #{to: []})").fault.code, "no_target");
    }

    #[test]
    fn help_knows_functions_and_modules_of_earlier_lines() {
        let mut prompt = Prompt::new();
        prompt.gives("/// Twice as much.\nfn twice(x) { x * 2 }", json!(null));
        prompt.gives("import \"std/migrate\" as m;", json!(null));
        let index = prompt.0.index();
        assert_eq!(index.page("twice").unwrap(), "twice(x)\n  Twice as much.");
        assert!(index.page("m").unwrap().contains("m::best(domain, targets)"));
        assert!(index.page("m::to").unwrap().starts_with("m::to(domain, target, options)"));
    }

    #[test]
    fn a_line_that_fails_keeps_what_came_before() {
        let mut prompt = Prompt::new();
        prompt.fails(
            r#"let a = 1; import "std/migrate" as m; fn g() { 9 } demo.domain("no"); import "std/cli" as c; let b = 2;"#,
        );
        prompt.gives("a + g()", json!(10));
        prompt.gives("m::to(demo.domain(\"test\"), demo, #{})", json!(null));
        assert_eq!(prompt.fails("b").fault.code, "no_variable");
        assert_eq!(prompt.fails("c::parse([], #{})").fault.code, "no_module");
    }

    #[test]
    fn it_and_last_error_are_kept_and_may_be_used_before() {
        let mut prompt = Prompt::new();
        prompt.gives("it", json!(null));
        prompt.gives("last_error", json!(null));
        prompt.gives("40 + 2", json!(42));
        prompt.gives("let y = 1;", json!(null));
        prompt.gives("it + y", json!(43));
        let diagnosis = prompt.fails("demo.domain(\"no\")");
        assert_eq!(diagnosis.places[0].script, "repl[6]");
        prompt.gives("last_error.code", json!("no_domain"));
        prompt.fails("let =");
        prompt.gives("last_error.code", json!("syntax"));
        prompt.gives("let f = || it; 5", json!(5));
        prompt.gives("f.call()", json!("syntax"));
        prompt.gives("const it = 1; 2", json!(2));
        prompt.gives("it", json!(1));
    }

    #[test]
    fn a_misspelt_variable_is_an_error_before_anything_runs() {
        let mut prompt = Prompt::new();
        assert_eq!(prompt.fails("let z = 1; zz").fault.code, "no_variable");
        assert_eq!(prompt.fails("z").fault.code, "no_variable");
    }

    #[test]
    fn an_error_in_a_function_of_an_earlier_line_names_that_line() {
        let mut prompt = Prompt::new();
        prompt.gives("fn boom() {\n    throw \"no\";\n}", json!(null));
        let diagnosis = prompt.fails("let a = 1;\nboom()");
        let places: Vec<(&str, usize)> =
            diagnosis.places.iter().map(|place| (place.script.as_str(), place.line)).collect();
        assert_eq!(places, [("repl[1]", 2), ("repl[2]", 2)]);
    }
}
