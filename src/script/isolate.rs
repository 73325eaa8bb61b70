//! Modules that cannot reach into each other.
//!
//! Rhai remembers which function a call means by the call's name alone, also across the border between a script and the
//! modules it imports: after `a::run()` has called its own `step()`, the `step()` of `b::run()` is found to be `a`'s
//! (seen in 1.27; a script's own functions fall to it in 1.26 as well). What is remembered begins anew where a module
//! with global functions is imported. So every function of a module begins with such an import.

use std::sync::{Arc, LazyLock};

use rhai::{AST, Engine, FnNamespace, FuncRegistration, Module, Shared};

/// The path by which [`barrier`] is imported; no file has such a name.
pub(super) const BARRIER: &str = "\u{1}barrier";

/// What is written after the opening brace of each function; `\u{1}` in a text of Rhai's.
const IMPORT: &str = r#"import"\u0001barrier"as _barrier;"#;

/// Where something was written into a text: line and column of the character before it.
pub(super) type Mark = (usize, usize);

/// The module whose import makes Rhai forget.
pub(super) fn barrier() -> Shared<Module> {
    static BARRIER: LazyLock<Shared<Module>> = LazyLock::new(|| {
        let mut module = Module::new();
        FuncRegistration::new("\u{1}nothing")
            .with_namespace(FnNamespace::Global)
            .set_into_module(&mut module, || ());
        module.build_index();
        Shared::new(module)
    });
    Arc::clone(&BARRIER)
}

/// The text with the import in each of its functions, compiled, and where it was written in.
///
/// # Errors
/// What is wrong with the text itself.
pub(super) fn compile(engine: &Engine, text: &str) -> Result<(AST, Vec<Mark>), rhai::ParseError> {
    let plain = engine.compile(text)?;
    let mut marks = braces(&plain);
    // A closure may have an expression where a function has a block.
    marks.retain(|(line, column)| {
        text.lines().nth(line - 1).and_then(|l| l.chars().nth(column - 1)) == Some('{')
    });
    marks.sort_unstable();
    if marks.is_empty() {
        return Ok((plain, marks));
    }
    let mut guarded = String::with_capacity(text.len() + marks.len() * IMPORT.len());
    for (at, line) in text.split_inclusive('\n').enumerate() {
        for (column, c) in line.chars().enumerate() {
            guarded.push(c);
            if marks.binary_search(&(at + 1, column + 1)).is_ok() {
                guarded.push_str(IMPORT);
            }
        }
    }
    Ok((engine.compile(&guarded)?, marks))
}

/// The opening braces of all functions.
fn braces(ast: &AST) -> Vec<Mark> {
    let functions =
        ast.iter_functions().filter_map(|f| ast.shared_lib().get_script_fn(f.name, f.params.len()));
    functions
        .filter_map(|function| {
            let brace = function.body.start_position();
            brace.line().zip(brace.position())
        })
        .collect()
}

/// The column in the text as it is in the file, for one in the text as it was compiled.
pub(super) fn original_column(marks: &[Mark], line: usize, column: usize) -> usize {
    // From left to right, each taking what was written before this column.
    let mut column = column;
    for (_, brace) in marks.iter().filter(|(at, _)| *at == line) {
        if column > *brace {
            column = column.saturating_sub(IMPORT.len()).max(*brace);
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::module_resolvers::StaticModuleResolver;
    use rhai::{Position, Scope};

    fn engine() -> Engine {
        let mut engine = Engine::new();
        let mut modules = StaticModuleResolver::new();
        modules.insert(BARRIER, Arc::unwrap_or_clone(barrier()));
        for (name, word) in [("a", "A"), ("b", "B")] {
            let text = format!(
                "private fn inner(x) {{ `{word}` + x }}\nfn outer(x) {{ [x].map(|y| inner(y))[0] }}\nfn bad() {{ let y = 1; throw y }}"
            );
            let (ast, _) = compile(&engine, &text).unwrap();
            modules.insert(name, Module::eval_ast_as_new(Scope::new(), &ast, &engine).unwrap());
        }
        engine.set_module_resolver(modules);
        engine
    }

    #[test]
    fn functions_of_the_same_name_in_modules_and_in_the_script_stay_apart() {
        let engine = engine();
        for (code, result) in [
            (r#"a::outer(1) + b::outer(2) + a::outer(3)"#, "A1B2A3"),
            (
                r#"fn inner(x) { `M` + x } inner(0) + a::outer(1) + inner(2) + b::outer(3) + inner(4)"#,
                "M0A1M2B3M4",
            ),
            (r#"let all = ""; for i in 0..2 { all += a::outer(1); all += b::outer(2); } all"#, "A1B2A1B2"),
            (
                r#"let all = ""; for i in 0..2 { try { a::bad(); } catch { all += b::outer(i); } } all + a::outer(9)"#,
                "B0B1A9",
            ),
        ] {
            let code = format!("import \"a\" as a; import \"b\" as b; {code}");
            assert_eq!(engine.eval::<String>(&code).unwrap(), result, "{code}");
        }
    }

    #[test]
    fn errors_keep_their_place() {
        let engine = Engine::new();
        let text = "fn one() { nope }\nfn two() {\n    nope\n} fn three(a) { if a { nope } else { 1 } }";
        let (ast, marks) = compile(&engine, text).unwrap();
        assert_eq!(marks.len(), 3);
        let module = Module::eval_ast_as_new(Scope::new(), &ast, &engine).unwrap();
        drop(module);
        for (line, plain) in [(1, 12), (2, 10), (3, 5), (4, 16), (4, 24)] {
            // As the text was compiled, each brace of the line before this column has pushed it to the right.
            let pushed =
                marks.iter().filter(|(at, brace)| *at == line && plain > *brace).count() * IMPORT.len();
            assert_eq!(original_column(&marks, line, plain + pushed), plain, "{line}:{plain}");
        }
        assert_eq!(compile(&engine, "fn f( {").unwrap_err().position(), Position::new(1, 7));
    }
}
