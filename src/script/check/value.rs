//! What is known of a value without running anything.

use std::any::TypeId;

use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map};

/// What a value is; `Any` where that is not known for sure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Value {
    #[default]
    Any,
    /// Whole or not: documentation does not tell them apart.
    Number,
    Map,
    List(Box<Value>),
    /// A value of this type, and the type's name.
    Of(TypeId, String),
}

impl Value {
    pub(super) fn text() -> Self {
        Self::Of(TypeId::of::<ImmutableString>(), "string".into())
    }

    pub(super) fn truth() -> Self {
        Self::Of(TypeId::of::<bool>(), "bool".into())
    }

    pub(super) fn character() -> Self {
        Self::Of(TypeId::of::<char>(), "char".into())
    }

    pub(super) fn function() -> Self {
        Self::Of(TypeId::of::<FnPtr>(), "function".into())
    }

    pub(super) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        let mut items = items.into_iter();
        let first = items.next().unwrap_or_default();
        let same = items.all(|item| item == first);
        Self::List(Box::new(if same { first } else { Self::Any }))
    }

    /// What is in it.
    pub(super) fn item(&self) -> Self {
        match self {
            Self::List(item) => (**item).clone(),
            _ => Self::Any,
        }
    }

    /// Its type's name.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Any => "any",
            Self::Number => "number",
            Self::Map => "map",
            Self::List(_) => "array",
            Self::Of(_, word) => word,
        }
    }

    /// Whether a parameter of this type takes it.
    pub(super) fn fits(&self, parameter: TypeId) -> bool {
        let is = |one: TypeId| one == parameter;
        if is(TypeId::of::<Dynamic>()) {
            return true;
        }
        match self {
            Self::Any => true,
            Self::Number => is(TypeId::of::<i64>()) || is(TypeId::of::<f64>()),
            Self::Map => is(TypeId::of::<Map>()),
            Self::List(_) => is(TypeId::of::<Array>()),
            Self::Of(own, word) => {
                is(*own) || word == "string" && (is(TypeId::of::<String>()) || is(TypeId::of::<&str>()))
            }
        }
    }
}
