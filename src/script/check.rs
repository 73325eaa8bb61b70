//! What is wrong with a script, found without running it.
//!
//! The parser's tree is walked with what is known of each value. Only what is sure is told: where the type of a value is not
//! known, nothing is said of its members. A variable that is assigned a second time anywhere has no type.

mod calls;
mod facts;
mod imports;
mod natives;
mod options;
mod tree;
mod value;
mod walk;

use rhai::{AST, Engine, EvalAltResult, OptimizationLevel, Position};

use super::help::Index;
use crate::model::Fault;
use crate::ops::Session;
use natives::Natives;
use walk::Walk;

/// What the check knows beside the script.
pub(super) struct Known<'a> {
    pub(super) engine: &'a Engine,
    /// Everything that can be called, with its documentation; made when something wrong is explained.
    pub(super) index: &'a dyn Fn() -> &'a Index,
    /// The inventory that names of hosts are looked up in.
    pub(super) session: Option<&'a Session>,
}

/// One thing that is wrong, in the form in which it would fail.
pub(super) type Finding = Box<EvalAltResult>;

/// All that is wrong with a script that the parser understands; `strict`: has the engine itself read it.
pub(super) fn findings(
    known: &Known<'_>,
    name: &str,
    text: &str,
    strict: impl FnOnce() -> Result<AST, Finding>,
) -> Vec<Finding> {
    // Both take some milliseconds.
    let (natives, strict) = std::thread::scope(|scope| {
        let natives = scope.spawn(|| Natives::of(known.engine));
        let strict = strict();
        (natives.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), strict)
    });
    let parser = parser(known.engine);
    let (ast, strict) = match strict {
        Ok(ast) if known.engine.optimization_level() == OptimizationLevel::None => (Ok(ast), None),
        strict => (parser.compile(text), strict.err()),
    };
    let Ok(ast) = ast else { return strict.into_iter().collect() };
    let mut walk = Walk::new(known, &natives, &parser, &ast, name);
    walk.script();
    let mut found = walk.findings;
    // The engine knows best which variables and modules there are.
    match strict {
        None => found.retain(|finding| !is_name(finding)),
        Some(error) if !found.iter().any(|finding| finding.position() == error.position()) => {
            found.push(error)
        }
        Some(_) => {}
    }
    found.sort_by_key(|finding| (finding.position().line(), finding.position().position()));
    found
}

/// Whether it says that a variable or a module is not there.
fn is_name(finding: &EvalAltResult) -> bool {
    use rhai::ParseErrorType::{ModuleUndefined, VariableUndefined};
    matches!(finding, EvalAltResult::ErrorParsing(VariableUndefined(_) | ModuleUndefined(_), _))
}

/// An engine that only parses, and leaves everything as it is written.
fn parser(engine: &Engine) -> Engine {
    let mut parser = Engine::new_raw();
    parser.set_optimization_level(OptimizationLevel::None);
    parser.set_max_expr_depths(engine.max_expr_depth(), engine.max_function_expr_depth());
    parser
}

/// A fault at a place.
fn fault(fault: Fault, position: Position) -> Finding {
    let mut error: Finding = fault.into();
    error.set_position(position);
    error
}

#[cfg(test)]
mod tests;
