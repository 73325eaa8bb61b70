//! Calls, methods and properties.

use rhai::{EvalAltResult, Expr, FnCallExpr, Position};

use super::facts::Fact;
use super::tree::is_closure;
use super::value::Value;
use super::walk::Walk;
use super::{fault, options};
use crate::model::Fault;
use crate::model::suggest::did_you_mean;

/// What the engine itself knows, whatever it is called with.
const BUILT_IN: &[&str] = &[
    "print",
    "debug",
    "eval",
    "call",
    "curry",
    "is_def_var",
    "is_def_fn",
    "type_of",
    "Fn",
    "is_shared",
    "this",
];

/// Functions that give each item of an array to a closure.
const WITH_ITEMS: &[&str] =
    &["filter", "map", "all", "some", "find", "find_map", "retain", "drain", "par", "try_par"];

/// Functions of an array that return some of it.
const PART: &[&str] = &["filter", "extract", "drain", "splice"];

impl Walk<'_, '_> {
    /// A call by its name.
    pub(super) fn call(&mut self, call: &FnCallExpr, position: Position) -> Value {
        let arguments = self.arguments(call, None);
        if !call.namespace.is_empty() {
            if let Some(import) = self.namespace(&call.namespace) {
                self.in_module(&import, call, position);
            }
            return Value::Any;
        }
        self.closures(None, call, position);
        // Operators are defined for all that have them; `!` and the like look like calls.
        if call.is_operator_call() || BUILT_IN.contains(&call.name.as_str()) {
            return if call.name == "type_of" { Value::text() } else { Value::Any };
        }
        self.hosts(None, call, &call.args);
        let found = self.resolved(None, call, &arguments, position);
        if found.is_some() {
            self.option_keys(None, call, position);
        }
        found.unwrap_or_default()
    }

    /// A call of a function of `first`.
    pub(super) fn method(&mut self, first: &Value, call: &FnCallExpr, position: Position) -> Value {
        let arguments = self.arguments(call, Some(first));
        self.closures(Some(first), call, position);
        if BUILT_IN.contains(&call.name.as_str()) {
            return Value::Any;
        }
        self.hosts(Some(first), call, &call.args);
        let found = self.resolved(Some(first), call, &arguments, position);
        if found.is_some() {
            self.option_keys(Some(first), call, position);
        }
        match first {
            Value::List(_) if PART.contains(&call.name.as_str()) => first.clone(),
            _ => found.unwrap_or_default(),
        }
    }

    fn arguments(&mut self, call: &FnCallExpr, receiver: Option<&Value>) -> Vec<Value> {
        let mut values: Vec<Value> = Vec::with_capacity(call.args.len() + 1);
        let with_items = WITH_ITEMS.contains(&call.name.as_str()) && call.namespace.is_empty();
        for argument in &call.args {
            let item = match receiver {
                _ if !with_items => Value::Any,
                Some(receiver) => receiver.item(),
                None => values.first().map(Value::item).unwrap_or_default(),
            };
            let value = if is_closure(argument) {
                let fact = call.args.first().filter(|_| with_items && receiver.is_none());
                let fact = fact.and_then(|items| self.items(items));
                self.closure(argument, &item, fact)
            } else {
                self.value(argument)
            };
            values.push(value);
        }
        values
    }

    /// What a call returns; `None`, and a finding, where there is nothing to call.
    fn resolved(
        &mut self,
        receiver: Option<&Value>,
        call: &FnCallExpr,
        arguments: &[Value],
        position: Position,
    ) -> Option<Value> {
        let name = call.name.as_str();
        if self.has_function(name, arguments.len()) {
            return None;
        }
        let mut all: Vec<Value> = receiver.cloned().into_iter().collect();
        all.extend_from_slice(arguments);
        if let Some(value) = self.natives.call(name, &all) {
            return Some(value);
        }
        let silent = match receiver {
            // A map may have a function in it.
            Some(Value::Any | Value::Map) => true,
            Some(_) => false,
            None => self.has_variable(name) || call.capture_parent_scope,
        };
        if silent || self.evaluates {
            return None;
        }
        let own = self.counts_of(name);
        if !own.is_empty() && receiver.is_none() {
            let forms: Vec<String> = own.iter().map(|(_, names)| format!("{name}({names})")).collect();
            let message = format!("`{name}` cannot be called with {}", count_of(arguments.len()));
            let hint = format!("it is {}", forms.join(" or "));
            self.findings.push(fault(Fault::new("no_function", message).hint(hint), position));
            return None;
        }
        if receiver.is_none()
            && (self.known.index)().entries.iter().all(|entry| entry.name != name)
            && let Some(hint) = did_you_mean(name, self.function_names())
        {
            let wrong = Fault::new("no_function", format!("there is no function `{name}`")).hint(hint);
            self.findings.push(fault(wrong, position));
            return None;
        }
        let words: Vec<&str> = all.iter().map(Value::word).collect();
        self.no_function(format!("{name} ({})", words.join(", ")), position);
        None
    }

    fn no_function(&mut self, signature: String, position: Position) {
        self.findings.push(Box::new(EvalAltResult::ErrorFunctionNotFound(signature, position)));
    }

    /// A property of `first`, which is read, or set to `set`.
    pub(super) fn property(
        &mut self,
        first: &Value,
        name: &str,
        position: Position,
        set: Option<&Value>,
    ) -> Value {
        if matches!(first, Value::Any | Value::Map) || self.natives.has_indexer(first) {
            return Value::Any;
        }
        if let Some(set) = set {
            if self.natives.call(&format!("set${name}"), &[first.clone(), set.clone()]).is_none() {
                self.no_function(format!("set${name} ({}, {})", first.word(), set.word()), position);
            }
            return Value::Any;
        }
        let value = self.natives.call(&format!("get${name}"), std::slice::from_ref(first));
        if value.is_none() {
            self.no_function(format!("get${name} ({})", first.word()), position);
        }
        value.unwrap_or_default()
    }

    /// Names of hosts among the arguments that the inventory does not have.
    fn hosts(&mut self, receiver: Option<&Value>, call: &FnCallExpr, arguments: &[Expr]) {
        let Some(session) = self.known.session.filter(|session| !session.inventory().hosts.is_empty()) else {
            return;
        };
        if self.has_function(&call.name, arguments.len()) {
            return;
        }
        let patterns = receiver.is_none() && call.name == "hosts";
        for (at, argument) in arguments.iter().enumerate() {
            if !patterns && !self.takes_host(receiver, call, at) {
                continue;
            }
            let fact = if patterns { self.items(argument) } else { None };
            let Some(Fact::Texts(texts)) = fact.or_else(|| self.fact(argument)) else { continue };
            for (text, position) in texts {
                let result = match patterns {
                    true => session.hosts(std::slice::from_ref(&text)).map(drop),
                    false => session.host(&text).map(drop),
                };
                // One that is written once may be used often.
                if let Err(wrong) = result
                    && self.findings.iter().all(|known| known.position() != position)
                {
                    self.findings.push(fault(wrong, position));
                }
            }
        }
    }

    /// Whether an argument of a function stands for a host by its name.
    fn takes_host(&self, receiver: Option<&Value>, call: &FnCallExpr, at: usize) -> bool {
        if receiver.is_none() && call.name == "host" {
            return true;
        }
        receiver.is_some_and(|receiver| self.natives.takes_host(receiver, &call.name, at))
    }

    fn option_keys(&mut self, receiver: Option<&Value>, call: &FnCallExpr, _: Position) {
        let count = call.args.len() + usize::from(receiver.is_some());
        let Some(Expr::Map(parts, _)) = call.args.last() else { return };
        if !self.natives.ends_with_map(&call.name, count) {
            return;
        }
        let object = match receiver {
            Some(value) => value.word(),
            None => "",
        };
        let given = parts.0.iter().map(|(key, value)| (key.as_str(), key.pos, value));
        self.findings.extend(options::wrong(object, &call.name, given));
    }
}

/// `1 argument`
pub(super) fn count_of(count: usize) -> String {
    match count {
        0 => "no argument".into(),
        1 => "1 argument".into(),
        more => format!("{more} arguments"),
    }
}
