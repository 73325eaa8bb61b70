//! Modules: whether they are there, and what can be called in them.

use std::rc::Rc;

use rhai::{Expr, FnAccess, FnCallExpr, Position};

use super::super::modules::Modules;
use super::calls::count_of;
use super::fault;
use super::walk::Walk;
use crate::model::Fault;
use crate::model::suggest::did_you_mean;

/// Names of functions with those of their parameters.
pub(super) type Functions = Rc<Vec<(String, Vec<String>)>>;

/// An imported module, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Import {
    /// Its public functions with their parameters; `None` where nobody can say.
    functions: Option<Functions>,
}

impl Walk<'_, '_> {
    /// An import of the module that `path` names.
    pub(super) fn import(&mut self, path: &Expr, alias: &str, _: Position) {
        self.value(path);
        let mut import = Import { functions: None };
        if let Expr::StringConstant(path, position) = path {
            match Modules::find(Some(self.name), path) {
                Ok((name, text)) => import.functions = self.once(name, &text, *position),
                Err(wrong) => self.findings.push(fault(wrong, *position)),
            }
        }
        if !alias.is_empty() {
            self.imports.push((alias.to_owned(), import));
        }
    }

    /// A module's public functions; it is read once, however often it is imported.
    fn once(&mut self, name: String, text: &str, position: Position) -> Option<Functions> {
        if let Some(known) = self.modules.get(&name) {
            return known.clone();
        }
        let functions = self.public(&name, text, position);
        self.modules.insert(name, functions.clone());
        functions
    }

    fn public(&mut self, name: &str, text: &str, position: Position) -> Option<Functions> {
        let ast = match self.parser.compile(super::super::runner::without_shebang(text).as_ref()) {
            Ok(ast) => ast,
            Err(error) => {
                let line = error.1.line().unwrap_or(0);
                let message = format!("the module {name} cannot be read");
                let wrong = Fault::new("no_module", message).because(format!("line {line}: {}", error.0));
                self.findings.push(fault(wrong, position));
                return None;
            }
        };
        let public = ast.iter_functions().filter(|f| f.access == FnAccess::Public && !f.name.contains('$'));
        let all = public.map(|f| (f.name.to_owned(), f.params.iter().map(ToString::to_string).collect()));
        Some(Rc::new(all.collect()))
    }

    /// A call of a module's function.
    pub(super) fn in_module(&mut self, import: &Import, call: &FnCallExpr, position: Position) {
        let Some(functions) = &import.functions else { return };
        let forms: Vec<&Vec<String>> = functions
            .iter()
            .filter(|(name, _)| *name == call.name.as_str())
            .map(|(_, parameters)| parameters)
            .collect();
        // `a::b::f()` is a module in a module.
        if call.namespace.path.len() > 1 || forms.iter().any(|parameters| parameters.len() == call.args.len())
        {
            return;
        }
        let name = format!("{}::{}", call.namespace.root(), call.name);
        let wrong = if forms.is_empty() {
            let wrong = Fault::new("no_function", format!("there is no function `{name}`"));
            let names = functions.iter().map(|(name, _)| name.as_str());
            match did_you_mean(&call.name, names) {
                Some(hint) => wrong.hint(hint),
                None => wrong.hint(format!("help(\"{}\") lists what is there", call.namespace.root())),
            }
        } else {
            let usages: Vec<String> =
                forms.iter().map(|parameters| format!("{name}({})", parameters.join(", "))).collect();
            let message = format!("`{name}` cannot be called with {}", count_of(call.args.len()));
            Fault::new("no_function", message).hint(format!("it is {}", usages.join(" or ")))
        };
        self.findings.push(fault(wrong, position));
    }
}
