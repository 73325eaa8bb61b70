//! Errors on their way into scripts.

use rhai::{CustomType, Dynamic, EvalAltResult, Position, TypeBuilder};

use crate::model::Fault;

/// What a native function returns to Rhai.
pub(super) type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// The object that `catch (err)` gets: `err.code`, `err.message`, `err.hint`,
/// `err.host`, `err.object`, `err.causes`, and `err.kind`, which decides the exit code.
#[derive(Debug, Clone, CustomType)]
#[rhai_type(name = "Error", extra = Self::build)]
pub(super) struct ScriptFault {
    #[rhai_type(skip)]
    pub(super) fault: Fault,
}

impl ScriptFault {
    fn build(builder: &mut TypeBuilder<'_, Self>) {
        let text = |text: &Option<String>| text.clone().map_or(Dynamic::UNIT, Dynamic::from);
        builder
            .with_get("code", |e: &mut Self| e.fault.code.clone())
            .with_get("kind", |e: &mut Self| e.fault.class.word().to_owned())
            .with_get("message", |e: &mut Self| e.fault.message.clone())
            .with_get("hint", move |e: &mut Self| text(&e.fault.hint))
            .with_get("host", move |e: &mut Self| text(&e.fault.host))
            .with_get("object", move |e: &mut Self| text(&e.fault.object))
            .with_get("causes", |e: &mut Self| -> rhai::Array {
                e.fault.causes.iter().cloned().map(Dynamic::from).collect()
            })
            .with_fn("to_string", |e: &mut Self| e.fault.to_string())
            .with_fn("to_debug", |e: &mut Self| e.fault.to_string());
    }
}

// Always `ErrorRuntime`: scripts cannot catch `ErrorSystem`.
impl From<Fault> for Box<EvalAltResult> {
    fn from(fault: Fault) -> Self {
        use crate::model::Class;
        // Nobody may swallow a stop: `try … catch` does not see a terminated script.
        if matches!(fault.class, Class::Interrupted | Class::TimedOut) {
            let token = Dynamic::from(ScriptFault { fault });
            return Self::new(EvalAltResult::ErrorTerminated(token, Position::NONE));
        }
        Self::new(EvalAltResult::ErrorRuntime(Dynamic::from(ScriptFault { fault }), Position::NONE))
    }
}

/// A mistake in how a function was called.
pub(super) fn misuse(message: impl Into<String>) -> Box<EvalAltResult> {
    Fault::new("invalid_arg", message).into()
}
