//! Errors on their way into scripts.

use rhai::{Dynamic, EvalAltResult, Position};

use crate::model::Fault;

/// What a native function returns to Rhai.
pub(super) type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// The object that `catch (err)` gets; its members are in `bind/error.rs`.
#[derive(Debug, Clone)]
pub(super) struct ScriptFault {
    pub(super) fault: Fault,
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
