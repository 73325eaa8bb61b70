//! From statement to statement, with the variables there are at each.

use std::collections::{HashMap, HashSet};

use rhai::{
    AST, ASTFlags, ASTNode, Engine, EvalAltResult, Expr, Namespace, ParseErrorType, Position, Stmt, StmtBlock,
};

use super::facts::Fact;
use super::imports::{Functions, Import};
use super::natives::Natives;
use super::tree::{Function, changes, closure_of, functions, is_closure, root, variable};
use super::value::Value;
use super::{Finding, Known};

/// The walk over one script.
pub(super) struct Walk<'a, 'k> {
    pub(super) known: &'a Known<'k>,
    pub(super) natives: &'a Natives,
    pub(super) parser: &'a Engine,
    pub(super) name: &'a str,
    statements: &'a [Stmt],
    pub(super) functions: HashMap<(String, usize), Function>,
    /// Variables that are assigned something else somewhere.
    pub(super) reassigned: HashSet<String>,
    /// Variables whose inside is changed somewhere.
    pub(super) touched: HashSet<String>,
    /// Whether code is made at run time.
    pub(super) evaluates: bool,
    pub(super) variables: Vec<(String, Value)>,
    /// What is known of some of the variables beside their type, by their place.
    pub(super) facts: Vec<(usize, Fact)>,
    pub(super) imports: Vec<(String, Import)>,
    /// The modules that were read for it, and what each has; `None` where it cannot be read.
    pub(super) modules: HashMap<String, Option<Functions>>,
    pub(super) findings: Vec<Finding>,
    depth: usize,
}

/// Nobody nests deeper; the parser has its own limit.
const DEEPEST: usize = 400;

impl<'a, 'k> Walk<'a, 'k> {
    pub(super) fn new(
        known: &'a Known<'k>,
        natives: &'a Natives,
        parser: &'a Engine,
        ast: &'a AST,
        name: &'a str,
    ) -> Self {
        let mut walk = Self {
            known,
            natives,
            parser,
            name,
            statements: ast.statements(),
            functions: functions(ast),
            reassigned: HashSet::new(),
            touched: HashSet::new(),
            evaluates: false,
            variables: vec![("args".into(), Value::List(Box::new(Value::text())))],
            facts: Vec::new(),
            imports: Vec::new(),
            modules: HashMap::new(),
            findings: Vec::new(),
            depth: 0,
        };
        ast.walk(&mut |path| {
            walk.notice(path);
            true
        });
        walk
    }

    /// Remembers which variables do not stay as they were made.
    fn notice(&mut self, path: &[ASTNode<'_>]) {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::Assignment(both))) => {
                let target = &both.1.lhs;
                if let Some(name) = variable(target) {
                    self.reassigned.insert(name.to_owned());
                } else if let Some(name) = root(target) {
                    self.touched.insert(name.to_owned());
                }
            }
            Some(ASTNode::Expr(Expr::Dot(both, ..) | Expr::Index(both, ..))) => {
                if let Some(name) = variable(&both.lhs)
                    && changes(&both.rhs)
                {
                    self.touched.insert(name.to_owned());
                }
            }
            Some(
                ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _))
                | ASTNode::Stmt(Stmt::FnCall(call, _)),
            ) => self.evaluates |= call.name == "eval",
            _ => {}
        }
    }

    /// Looks at everything.
    pub(super) fn script(&mut self) {
        let statements = self.statements;
        self.statements(statements);
        let mut named: Vec<((String, usize), Function)> = Vec::new();
        named.extend(
            self.functions
                .iter()
                .filter(|(key, _)| !key.0.contains('$'))
                .map(|(k, f)| (k.clone(), f.clone())),
        );
        named.sort_by(|one, other| one.0.cmp(&other.0));
        // A function sees its own variables and `args`.
        self.variables.truncate(1);
        for (_, function) in named {
            for name in &function.parameters {
                self.declare(name, Value::Any);
            }
            self.statements(&function.body);
            self.variables.truncate(1);
        }
    }

    fn statements(&mut self, statements: &[Stmt]) {
        self.depth += 1;
        if self.depth < DEEPEST {
            for statement in statements {
                self.statement(statement);
            }
        }
        self.depth -= 1;
    }

    fn block(&mut self, block: &StmtBlock) {
        let (variables, imports) = (self.variables.len(), self.imports.len());
        self.statements(block.statements());
        self.variables.truncate(variables);
        self.imports.truncate(imports);
    }

    pub(super) fn declare(&mut self, name: &str, value: Value) {
        let value = if self.reassigned.contains(name) {
            Value::Any
        } else if self.touched.contains(name) && matches!(value, Value::List(_)) {
            Value::List(Box::default())
        } else {
            value
        };
        self.facts.retain(|(place, _)| *place < self.variables.len());
        self.variables.push((name.to_owned(), value));
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
                self.value(&flow.expr);
                self.block(&flow.body);
                self.block(&flow.branch);
            }
            Stmt::For(parts, _) => {
                let (item, counter, flow) = &**parts;
                let value = self.value(&flow.expr).item();
                let before = self.variables.len();
                self.declare_from(item.as_str(), value, self.items(&flow.expr));
                if let Some(counter) = counter {
                    self.declare(counter.as_str(), Value::Number);
                }
                self.block(&flow.body);
                self.variables.truncate(before);
            }
            Stmt::Switch(parts, _) => {
                self.value(&parts.0);
                for case in &parts.1.expressions {
                    self.value(&case.lhs);
                    self.value(&case.rhs);
                }
            }
            Stmt::Var(parts, ..) => {
                let value = self.value(&parts.1);
                self.declare_from(parts.0.as_str(), value, self.fact(&parts.1));
            }
            Stmt::Assignment(parts) => {
                let value = self.value(&parts.1.rhs);
                let plain = !parts.0.is_op_assignment();
                self.assigned(&parts.1.lhs, plain.then_some(value));
            }
            Stmt::FnCall(call, position) => {
                self.call(call, *position);
            }
            Stmt::Block(block) => self.block(block),
            Stmt::TryCatch(flow, _) => {
                self.block(&flow.body);
                let before = self.variables.len();
                if let Expr::Variable(name, ..) = &flow.expr {
                    self.declare(&name.1, Value::Any);
                }
                self.block(&flow.branch);
                self.variables.truncate(before);
            }
            Stmt::Expr(expression) => {
                self.value(expression);
            }
            Stmt::BreakLoop(value, ..) | Stmt::Return(value, ..) => {
                if let Some(value) = value {
                    self.value(value);
                }
            }
            Stmt::Import(parts, position) => self.import(&parts.0, parts.1.as_str(), *position),
            _ => {}
        }
    }

    /// What an expression is; what is wrong in it becomes a finding.
    pub(super) fn value(&mut self, expression: &Expr) -> Value {
        self.depth += 1;
        let value = if self.depth < DEEPEST { self.value_of(expression) } else { Value::Any };
        self.depth -= 1;
        value
    }

    fn value_of(&mut self, expression: &Expr) -> Value {
        match expression {
            Expr::BoolConstant(..) => Value::truth(),
            Expr::IntegerConstant(..) | Expr::FloatConstant(..) => Value::Number,
            Expr::CharConstant(..) => Value::character(),
            Expr::StringConstant(..) => Value::text(),
            Expr::InterpolatedString(parts, _) => {
                parts.iter().for_each(|part| drop(self.value(part)));
                Value::text()
            }
            Expr::Array(items, _) => {
                let items: Vec<Value> = items.iter().map(|item| self.value(item)).collect();
                Value::list(items)
            }
            Expr::Map(parts, _) => {
                parts.0.iter().for_each(|(_, value)| drop(self.value(value)));
                Value::Map
            }
            Expr::Variable(parts, _, position) if parts.2.is_empty() => self.variable(&parts.1, *position),
            Expr::Variable(parts, ..) => {
                self.namespace(&parts.2);
                Value::Any
            }
            Expr::DynamicConstant(..) => self.closure(expression, &Value::Any, None),
            Expr::Stmt(block) if is_closure(expression) => {
                debug_assert!(!block.is_empty());
                self.closure(expression, &Value::Any, None)
            }
            Expr::Stmt(block) => {
                self.block(block);
                Value::Any
            }
            Expr::FnCall(call, position) => self.call(call, *position),
            Expr::Dot(both, flags, _) => {
                let first = self.value(&both.lhs);
                if let Expr::MethodCall(call, position) = &both.rhs
                    && call.name == "call"
                    && let Some(Fact::Closure(count)) = self.fact(&both.lhs)
                {
                    self.called_with(count, call.args.len(), *position);
                }
                self.chain(first, &both.rhs, *flags, true, None)
            }
            Expr::Index(both, flags, _) => {
                let first = self.value(&both.lhs);
                self.chain(first, &both.rhs, *flags, false, None)
            }
            Expr::And(parts, _) | Expr::Or(parts, _) => {
                parts.iter().for_each(|part| drop(self.value(part)));
                Value::truth()
            }
            Expr::Coalesce(parts, _) => {
                parts.iter().for_each(|part| drop(self.value(part)));
                Value::Any
            }
            _ => Value::Any,
        }
    }

    /// What stands on the left of an assignment of `value`; `None` for `+=` and the like.
    fn assigned(&mut self, target: &Expr, value: Option<Value>) {
        match target {
            Expr::Dot(both, flags, _) => {
                let first = self.value(&both.lhs);
                self.chain(first, &both.rhs, *flags, true, value.as_ref());
            }
            Expr::Index(both, flags, _) => {
                let first = self.value(&both.lhs);
                self.chain(first, &both.rhs, *flags, false, value.as_ref());
            }
            other => drop(self.value(other)),
        }
    }

    /// What follows behind a dot or an opening bracket; `set`: what the end of it is set to.
    fn chain(&mut self, first: Value, rest: &Expr, flags: ASTFlags, dot: bool, set: Option<&Value>) -> Value {
        let (here, next) = match rest {
            Expr::Dot(both, flags, _) if dot => (&both.lhs, Some((&both.rhs, *flags, true))),
            Expr::Index(both, flags, _) if dot => (&both.lhs, Some((&both.rhs, *flags, false))),
            Expr::Dot(both, inner, _) if !flags.contains(ASTFlags::BREAK) => {
                (&both.lhs, Some((&both.rhs, *inner, true)))
            }
            Expr::Index(both, inner, _) if !flags.contains(ASTFlags::BREAK) => {
                (&both.lhs, Some((&both.rhs, *inner, false)))
            }
            here => (here, None),
        };
        let value = match here {
            Expr::Property(parts, position) if dot => {
                self.property(&first, &parts.2, *position, set.filter(|_| next.is_none()))
            }
            Expr::MethodCall(call, position) if dot => self.method(&first, call, *position),
            index => {
                let index = self.value(index);
                if index == Value::text() { Value::Any } else { first.item() }
            }
        };
        match next {
            Some((rest, flags, dot)) => self.chain(value, rest, flags, dot, set),
            None => value,
        }
    }

    fn variable(&mut self, name: &str, position: Position) -> Value {
        if let Some((_, value)) = self.variables.iter().rev().find(|(known, _)| known == name) {
            return value.clone();
        }
        if self.functions.keys().any(|(known, _)| known == name) {
            return Value::function();
        }
        self.wrong(ParseErrorType::VariableUndefined(name.to_owned()), position);
        Value::Any
    }

    /// Whether there is a variable of this name here.
    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|(known, _)| known == name)
    }

    /// Whether the script has a function of this name; with so many parameters if that is said.
    pub(super) fn has_function(&self, name: &str, count: usize) -> bool {
        self.functions.contains_key(&(name.to_owned(), count))
    }

    /// How many parameters the script's functions of this name have.
    pub(super) fn counts_of(&self, name: &str) -> Vec<(usize, String)> {
        let own = self.functions.iter().filter(|((known, _), _)| known == name);
        let mut counts: Vec<(usize, String)> =
            own.map(|((_, count), function)| (*count, function.parameters.join(", "))).collect();
        counts.sort();
        counts
    }

    /// The names of the script's functions.
    pub(super) fn function_names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(|(name, _)| name.as_str()).filter(|name| !name.contains('$'))
    }

    /// Looks into a closure whose first argument will be `first`.
    pub(super) fn closure(&mut self, expression: &Expr, first: &Value, fact: Option<Fact>) -> Value {
        let Some((name, captured)) = closure_of(expression) else { return Value::Any };
        let found = self.functions.iter().find(|((known, _), _)| *known == name);
        let Some(function) = found.map(|(_, function)| function.clone()) else { return Value::function() };
        let (before, imports) = (self.variables.len(), self.imports.len());
        let (mut value, mut fact) = (first.clone(), fact);
        for name in function.parameters.iter().skip(captured) {
            self.declare_from(name, std::mem::take(&mut value), fact.take());
        }
        self.statements(&function.body);
        self.variables.truncate(before);
        self.imports.truncate(imports);
        Value::function()
    }

    pub(super) fn wrong(&mut self, kind: ParseErrorType, position: Position) {
        self.findings.push(Box::new(EvalAltResult::ErrorParsing(kind, position)));
    }

    /// Whether a name before `::` is known; says so if it is not.
    pub(super) fn namespace(&mut self, namespace: &Namespace) -> Option<Import> {
        let root = namespace.root();
        if root == "global" {
            return None;
        }
        let found = self.imports.iter().rev().find(|(alias, _)| alias == root);
        match found.map(|(_, import)| import.clone()) {
            None => {
                self.wrong(ParseErrorType::ModuleUndefined(root.to_owned()), namespace.position());
                None
            }
            found => found,
        }
    }
}
