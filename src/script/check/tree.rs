//! What the parser's tree says of functions, closures and chains.

use std::collections::HashMap;

use rhai::{AST, ASTNode, Expr, FnPtr, Module, Stmt};

/// A function of the script, or a closure.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) parameters: Vec<String>,
    pub(super) body: Vec<Stmt>,
}

/// Functions that leave the array or map they are called on as it is.
const PURE: &[&str] = &[
    "len",
    "is_empty",
    "contains",
    "filter",
    "map",
    "all",
    "some",
    "find",
    "find_map",
    "index_of",
    "extract",
    "get",
    "keys",
    "values",
    "reduce",
    "reduce_rev",
    "to_string",
    "to_json",
    "starts_with",
    "ends_with",
    "sub_string",
    "split",
    "to_upper",
    "to_lower",
    "join",
    "call",
    "curry",
];

/// All functions of a script, closures too, by name and number of parameters.
pub(super) fn functions(ast: &AST) -> HashMap<(String, usize), Function> {
    let mut found = HashMap::new();
    for function in ast.iter_functions() {
        let (name, count) = (function.name, function.params.len());
        let Some(definition) = ast.shared_lib().get_script_fn(name, count) else { continue };
        // The type of the body itself cannot be named: a tree of this function alone has the statements as well.
        let mut module = Module::new();
        module.set_script_fn(definition.clone());
        let alone = AST::new([], module);
        let mut body = Vec::new();
        alone.walk(&mut |path| {
            if let [ASTNode::Stmt(statement)] = path {
                body.push((*statement).clone());
            }
            true
        });
        let parameters = function.params.iter().map(ToString::to_string).collect();
        found.insert((name.to_owned(), count), Function { parameters, body });
    }
    found
}

/// The variable that an expression is.
pub(super) fn variable(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Variable(parts, ..) => Some(parts.1.as_str()),
        _ => None,
    }
}

/// The variable that a chain of dots and brackets begins with.
pub(super) fn root(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Dot(both, ..) | Expr::Index(both, ..) => root(&both.lhs),
        other => variable(other),
    }
}

/// Whether what follows a variable may change what is in it.
pub(super) fn changes(rest: &Expr) -> bool {
    match rest {
        Expr::MethodCall(call, _) => !PURE.contains(&call.name.as_str()),
        Expr::Dot(both, ..) | Expr::Index(both, ..) => changes(&both.lhs) || changes(&both.rhs),
        _ => false,
    }
}

/// The name of a closure's function, and how many variables it captures.
pub(super) fn closure_of(expression: &Expr) -> Option<(String, usize)> {
    match expression {
        Expr::DynamicConstant(value, _) => {
            let pointer = value.read_lock::<FnPtr>()?;
            Some((pointer.fn_name().to_owned(), 0))
        }
        Expr::Stmt(block) => match block.statements() {
            [Stmt::Share(_), Stmt::Expr(inner)] => match &**inner {
                Expr::FnCall(call, _) if call.name == "curry" => {
                    let (name, _) = closure_of(call.args.first()?)?;
                    Some((name, call.args.len() - 1))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression makes a closure.
pub(super) fn is_closure(expression: &Expr) -> bool {
    closure_of(expression).is_some()
}
