//! What is sure of some values beside their type: texts that are written out, and how many parameters a closure has.

use std::ops::RangeInclusive;

use rhai::{Expr, FnCallExpr, Position};

use super::calls::count_of;
use super::fault;
use super::tree::closure_of;
use super::value::Value;
use super::walk::Walk;
use crate::model::Fault;

/// What a variable holds that is never assigned again.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    /// One of these texts, and where each is written.
    Texts(Vec<(String, Position)>),
    /// A closure with so many parameters.
    Closure(usize),
}

/// With how many arguments a function calls the closures it is given.
fn gives(name: &str, method: bool) -> Option<RangeInclusive<usize>> {
    Some(match name {
        "par" | "try_par" | "edit" | "events" | "network_transaction" => 1..=1,
        "finally" | "once" | "plan" | "retry" | "wait_until" | "watch" | "within" => 0..=0,
        // Rhai's own: the item as `this` or as an argument, and its index for who wants it.
        "filter" | "map" | "all" | "some" | "find" | "find_map" | "retain" | "drain" if method => 0..=2,
        "sort" if method => 2..=2,
        "reduce" | "reduce_rev" if method => 2..=3,
        _ => return None,
    })
}

impl Walk<'_, '_> {
    /// As [`Self::declare`], with the expression that the value comes from.
    pub(super) fn declare_from(&mut self, name: &str, value: Value, fact: Option<Fact>) {
        self.declare(name, value);
        if let Some(fact) = fact.filter(|_| !self.reassigned.contains(name) && !self.touched.contains(name)) {
            self.facts.push((self.variables.len() - 1, fact));
        }
    }

    /// What is sure of the values that an expression stands for.
    pub(super) fn fact(&self, expression: &Expr) -> Option<Fact> {
        match expression {
            Expr::StringConstant(text, position) => Some(Fact::Texts(vec![(text.to_string(), *position)])),
            Expr::Variable(parts, ..) if parts.2.is_empty() => {
                let place = self.variables.iter().rposition(|(name, _)| name == parts.1.as_str());
                let Some(place) = place else {
                    let [(count, _)] = self.counts_of(&parts.1)[..] else { return None };
                    return Some(Fact::Closure(count));
                };
                self.facts.iter().rev().find(|(known, _)| *known == place).map(|(_, fact)| fact.clone())
            }
            other => {
                let (name, captured) = closure_of(other)?;
                let (_, count) = self.functions.keys().find(|(known, _)| *known == name)?;
                count.checked_sub(captured).map(Fact::Closure)
            }
        }
    }

    /// The texts that are written out in an array.
    pub(super) fn items(&self, expression: &Expr) -> Option<Fact> {
        let Expr::Array(items, _) = expression else { return None };
        let texts = items.iter().filter_map(|item| match item {
            Expr::StringConstant(text, position) => Some((text.to_string(), *position)),
            _ => None,
        });
        Some(Fact::Texts(texts.collect()))
    }

    /// Closures among the arguments that will be called with more or fewer arguments than they take.
    pub(super) fn closures(&mut self, receiver: Option<&Value>, call: &FnCallExpr, position: Position) {
        if matches!(receiver, Some(Value::Any | Value::Map)) || self.has_function(&call.name, call.args.len())
        {
            return;
        }
        if call.name == "call" {
            return self.called(call, position);
        }
        let Some(gives) = gives(&call.name, receiver.is_some()) else { return };
        for argument in &call.args {
            let Some(Fact::Closure(count)) = self.fact(argument) else { continue };
            if !gives.contains(&count) {
                let message =
                    format!("`{}` calls this function with {}", call.name, count_of(*gives.start()));
                let hint = match *gives.start() {
                    0 => format!("it has {count} parameters: write || …"),
                    1 => format!("it has {count} parameters: write |x| …"),
                    _ => format!("it has {count} parameters: write |a, b| …"),
                };
                let hint = hint.replace("has 1 parameters", "has 1 parameter").replace("has 0 p", "has no p");
                let at = argument.position();
                let at = if at.is_none() { position } else { at };
                self.findings.push(fault(Fault::new("no_function", message).hint(hint), at));
            }
        }
    }

    /// `call(f, …)`.
    fn called(&mut self, call: &FnCallExpr, position: Position) {
        let Some(Fact::Closure(count)) = call.args.first().and_then(|first| self.fact(first)) else { return };
        self.called_with(count, call.args.len() - 1, position);
    }

    /// A closure that takes `count` arguments is called with `given`.
    pub(super) fn called_with(&mut self, count: usize, given: usize, position: Position) {
        if count != given {
            let message = format!("this function cannot be called with {}", count_of(given));
            let wrong = Fault::new("no_function", message).hint(format!("it takes {}", count_of(count)));
            self.findings.push(fault(wrong, position));
        }
    }
}
