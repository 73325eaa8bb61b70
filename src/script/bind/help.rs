//! Help.

use rhai::plugin::*;
use rhai::{Dynamic, FnPtr, ImmutableString};

use super::super::error::Outcome;
use super::super::help::{Index, type_word};
use super::session;
use crate::model::{Class, Fault};

/// Prints a page, at the prompt through the pager where it is taller than the screen; that its reader has gone, as in `… | head`, is no failure.
fn print(ctx: &NativeCallContext<'_>, page: &str) -> Outcome<()> {
    let session = session(ctx)?;
    let text = format!("{page}\n");
    let shown = session.screen().page(&text).and_then(|paged| match paged {
        true => Ok(()),
        false => session.progress().print(&text),
    });
    match shown {
        Err(fault) if fault.code != "stdout_closed" => Err(fault.into()),
        _ => Ok(()),
    }
}

#[export_module(manifest)]
pub(super) mod functions {
    /// Lists objects, functions and modules.
    ///
    /// Example: `help()`
    #[rhai_fn(name = "help", return_raw)]
    pub fn help(ctx: NativeCallContext<'_>) -> Outcome<()> {
        print(&ctx, &Index::new(ctx.engine(), Some(&ctx)).overview())
    }

    /// Explains a word, or what a value is.
    ///
    /// `topic`: a function (`"migrate"`, `"domain.migrate"`), an object (`"Domain"`), a module
    /// (`"std/evacuate"`), part of a name, or any value.
    ///
    /// Errors: `no_help`, with a suggestion.
    ///
    /// Example: `help("domain.migrate")`
    #[rhai_fn(name = "help", return_raw)]
    pub fn help_on(ctx: NativeCallContext<'_>, topic: Dynamic) -> Outcome<()> {
        let index = Index::new(ctx.engine(), Some(&ctx));
        let text = topic.read_lock::<ImmutableString>().map(|text| text.to_string());
        let function = || topic.read_lock::<FnPtr>().map(|f| f.fn_name().to_owned());
        let kind = || ctx.engine().map_type_name(topic.type_name()).to_owned();
        if text.is_none() && function().is_none() && index.object(&kind()).is_none() {
            let kind = type_word(&kind());
            return Err(Fault::new(
                "no_help",
                format!("help() knows names and objects; this is a value: {kind}"),
            )
            .class(Class::Usage)
            .hint("help(\"migrate\") explains a function, help() lists what there is")
            .into());
        }
        print(&ctx, &index.page(&text.or_else(function).unwrap_or_else(kind))?)
    }
}
