//! Errors that scripts have caught.

use rhai::plugin::*;
use rhai::{Array, Dynamic};

use super::super::error::ScriptFault;

fn text(text: Option<&String>) -> Dynamic {
    text.map_or(Dynamic::UNIT, |text| text.clone().into())
}

#[export_module(manifest)]
pub(super) mod functions {
    /// What `catch (err)` gets, and `last_error` at the prompt.
    pub type Error = ScriptFault;

    /// A stable name made for `switch`: `"no_domain"`, `"command_failed"`, ….
    ///
    /// Example: `try { host("test:///default").domain("x") } catch (err) { err.code }`
    #[rhai_fn(get = "code", pure)]
    pub fn code(error: &mut Error) -> String {
        error.fault.code.clone()
    }

    /// What decides the exit code: `failed`, `usage`, `connect`, `refused`, `partial`.
    ///
    /// Example: `try { host("test:///default").domain("x") } catch (err) { err.kind }`
    #[rhai_fn(get = "kind", pure)]
    pub fn kind(error: &mut Error) -> String {
        error.fault.class.word().to_owned()
    }

    /// What was tried and what went wrong.
    ///
    /// Example: `try { host("test:///default").domain("x") } catch (err) { err.message }`
    #[rhai_fn(get = "message", pure)]
    pub fn message(error: &mut Error) -> String {
        error.fault.message.clone()
    }

    /// What to do about it, or `()`.
    ///
    /// Example: `try { host("test:///default").domain("tset") } catch (err) { err.hint }`
    #[rhai_fn(get = "hint", pure)]
    pub fn hint(error: &mut Error) -> Dynamic {
        text(error.fault.hint.as_ref())
    }

    /// The name of the host it happened on, or `()`.
    ///
    /// Example: `try { host("test:///default").domain("x") } catch (err) { err.host }`
    #[rhai_fn(get = "host", pure)]
    pub fn error_host(error: &mut Error) -> Dynamic {
        text(error.fault.host.as_ref())
    }

    /// What it happened to, for instance `"domain web1"`, or `()`.
    ///
    /// Example: `try { host("test:///default").domain("x") } catch (err) { err.object }`
    #[rhai_fn(get = "object", pure)]
    pub fn object(error: &mut Error) -> Dynamic {
        text(error.fault.object.as_ref())
    }

    /// What libvirt, the command or the system said: texts, the outermost first.
    ///
    /// Example: `try { host("test:///default").domain("x") } catch (err) { err.causes }`
    #[rhai_fn(get = "causes", pure)]
    pub fn causes(error: &mut Error) -> Array {
        error.fault.causes.iter().cloned().map(Dynamic::from).collect()
    }

    /// The error as one line.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn error_to_string(error: &mut Error) -> String {
        error.fault.to_string()
    }
}
