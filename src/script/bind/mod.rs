//! What scripts can call: one file per object.
//!
//! To add a member: one documented function in the object's file. `#[rhai_fn(get
//! = "name", return_raw, pure)]` makes it a property, without `get` a method;
//! anything that changes a host is wrapped in [`at`], so that the journal knows
//! the line of the script.

// `export_module` exports only what is `pub`, and what it generates unwraps what Rhai has checked.
#![allow(unreachable_pub, clippy::unwrap_used)]

mod clone;
mod cpu;
mod cpus;
mod domain;
mod edit;
mod error;
mod flow;
mod global;
mod help;
mod host;
mod keys;
mod links;
mod marks;
mod moves;
mod network;
mod output;
mod pool;
mod pool_map;
mod secrets;
mod shell;
mod snapshots;
mod survey;
mod topology;
mod views;
mod volume_data;

use rhai::{
    Array, Dynamic, Engine, ImmutableString, Module, NativeCallContext, exported_manifest, exported_module,
};

pub(super) use flow::Exit;

use super::engine::Lookup;
use super::error::{Outcome, misuse};
use super::options::type_word;
use crate::gate::{Origin, Scope};
use crate::model::Fault;
use crate::ops::{Domain, Host, Session};

/// Registers everything.
pub(super) fn register(engine: &mut Engine, lookup: Lookup) {
    macro_rules! modules {
        ($($name:ident),+) => {
            $(engine.register_global_module(match lookup {
                Lookup::Table => exported_module!($name::functions).into(),
                Lookup::Search => Module::from_manifest(exported_manifest!($name::functions)).into(),
            });)+
        };
    }
    modules!(
        error,
        clone,
        help,
        global,
        flow,
        output,
        host,
        shell,
        survey,
        keys,
        domain,
        snapshots,
        pool,
        pool_map,
        secrets,
        volume_data,
        network,
        links,
        marks,
        cpu,
        cpus,
        edit,
        moves,
        topology,
        views
    );
}

/// The run a function is called in.
fn session(ctx: &NativeCallContext<'_>) -> Outcome<Session> {
    ctx.tag()
        .and_then(|tag| tag.read_lock::<Session>().map(|session| session.clone()))
        .ok_or_else(|| Fault::new("defect", "the engine has lost its session").into())
}

/// Runs `f` so that the journal knows which line of which script asked for it.
/// A script that was stopped changes nothing more.
fn at<T>(ctx: &NativeCallContext<'_>, f: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    if let Ok(session) = session(ctx) {
        session.cancel().check()?;
    }
    let script = ctx.call_source().unwrap_or("script").to_owned();
    Scope::at(Origin { script, line: ctx.call_position().line().unwrap_or(0) }).enter(f)
}

/// Wherever a function takes a host, it also takes its name.
fn host_of(ctx: &NativeCallContext<'_>, function: &str, value: &Dynamic) -> Outcome<Host> {
    if let Some(host) = value.read_lock::<Host>() {
        return Ok(host.clone());
    }
    match value.read_lock::<ImmutableString>() {
        Some(name) => Ok(session(ctx)?.host(&name)?),
        None => Err(misuse(format!("{function} takes a Host or its name, not {}", type_word(value)))),
    }
}

/// An array of domains.
fn domains_of(function: &str, array: &Array) -> Outcome<Vec<Domain>> {
    array
        .iter()
        .map(|item| match item.read_lock::<Domain>() {
            Some(domain) => Ok(domain.clone()),
            None => Err(misuse(format!("{function} takes an array of Domains, not {}", type_word(item)))),
        })
        .collect()
}

/// An `Array` all of whose items are of one type: `help()` and completion read it off the signature.
pub type ArrayOf<T> = <T as Listed>::Array;

/// What may be in an [`ArrayOf`].
pub trait Listed {
    /// Always an `Array`.
    type Array;
}

impl<T> Listed for T {
    type Array = Array;
}

/// An array of what implements `Into<Dynamic>` one by one.
fn array<T: Clone + Send + Sync + 'static>(items: impl IntoIterator<Item = T>) -> Array {
    items.into_iter().map(Dynamic::from).collect()
}

/// A number of bytes for scripts, which count with signed 64-bit integers.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
