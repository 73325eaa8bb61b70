//! What can be called that is not written in Rhai: Rhai's own functions and kvmsh's.

use std::any::TypeId;
use std::collections::HashMap;

use rhai::{Array, Dynamic, Engine, FnPtr, FuncInfo, ImmutableString, Map};

use super::super::help::{returns, type_word};
use super::value::Value;

/// One form of a function.
#[derive(Debug)]
struct Form {
    parameters: Vec<TypeId>,
    /// What it returns, in a word; empty where that is anything.
    returns: String,
    /// Which of the parameters is a host or its name.
    host: Option<usize>,
}

/// A function's name, its form, and the names of the types it takes.
type Named = (String, Form, Vec<(String, TypeId)>);

/// All forms of all functions, by name; those of properties begin with `get$` and `set$`.
#[derive(Debug, Default)]
pub(super) struct Natives {
    forms: HashMap<String, Vec<Form>>,
    types: HashMap<String, TypeId>,
}

impl Natives {
    pub(super) fn of(engine: &Engine) -> Self {
        let mut all = Self::default();
        for (name, form, types) in engine.collect_fn_metadata(None, |function| form(&function), true) {
            all.forms.entry(name).or_default().push(form);
            all.types.extend(types);
        }
        for (word, id) in [
            ("string", TypeId::of::<ImmutableString>()),
            ("bool", TypeId::of::<bool>()),
            ("char", TypeId::of::<char>()),
            ("function", TypeId::of::<FnPtr>()),
        ] {
            all.types.insert(word.into(), id);
        }
        all
    }

    /// What a call with these arguments returns; `None` where there is no such function.
    pub(super) fn call(&self, name: &str, arguments: &[Value]) -> Option<Value> {
        let fits = |form: &&Form| {
            form.parameters.len() == arguments.len()
                && arguments.iter().zip(&form.parameters).all(|(value, parameter)| value.fits(*parameter))
        };
        let mut fitting = self.forms.get(name)?.iter().filter(fits).map(|form| form.returns.as_str());
        let first = fitting.next()?;
        Some(if fitting.all(|other| other == first) { self.value(first) } else { Value::Any })
    }

    /// Whether the last parameter of a form with so many parameters is a map.
    pub(super) fn ends_with_map(&self, name: &str, count: usize) -> bool {
        let map = |form: &Form| {
            form.parameters.len() == count
                && form
                    .parameters
                    .last()
                    .is_some_and(|last| [TypeId::of::<Map>(), TypeId::of::<Dynamic>()].contains(last))
        };
        self.forms.get(name).is_some_and(|forms| forms.iter().any(map))
    }

    /// Whether argument `at` of a method of `receiver` is a host or its name.
    pub(super) fn takes_host(&self, receiver: &Value, name: &str, at: usize) -> bool {
        let Value::Of(id, _) = receiver else { return false };
        let takes = |form: &Form| form.parameters.first() == Some(id) && form.host == Some(at + 1);
        self.forms.get(name).is_some_and(|forms| forms.iter().any(takes))
    }

    /// Whether members of this value can be looked up by names nobody has listed.
    pub(super) fn has_indexer(&self, value: &Value) -> bool {
        let any = |name: &str| self.call(name, &[value.clone(), Value::text()]).is_some();
        any("index$get$") || any("index$set$")
    }

    fn value(&self, word: &str) -> Value {
        match word {
            "" | "any" => Value::Any,
            "number" => Value::Number,
            "map" => Value::Map,
            "array" => Value::List(Box::default()),
            word => match word.strip_prefix("array of ") {
                Some(item) => Value::List(Box::new(self.value(item))),
                None => self.types.get(word).map_or(Value::Any, |id| self.plain(*id, word)),
            },
        }
    }

    fn plain(&self, id: TypeId, word: &str) -> Value {
        if id == TypeId::of::<Array>() { Value::List(Box::default()) } else { Value::Of(id, word.to_owned()) }
    }
}

/// `None` for what is not called by its name alone.
fn form(function: &FuncInfo<'_>) -> Option<Named> {
    let data = function.metadata;
    if !function.namespace.is_empty() || function.script.is_some() {
        return None;
    }
    let types = data.params_info.iter().zip(&data.param_types);
    let types = types.filter_map(|(info, id)| Some((type_word(info.split_once(':')?.1), *id))).collect();
    let host = data.params_info.iter().position(|info| info.starts_with("target:"));
    let form = Form { parameters: data.param_types.to_vec(), returns: returns(&data.return_type), host };
    Some((data.name.to_string(), form, types))
}
