//! The engine: limits, stops, output, everything bound.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::packages::{Package, StandardPackage};
use rhai::{Dynamic, Engine, OptimizationLevel};

use super::bind;
use super::error::ScriptFault;
use super::modules::Modules;
use crate::model::cancel::is_finishing;
use crate::model::{Bytes, Fault, Progress};
use crate::ops::Session;

/// How many operations pass between two looks at the cancel token.
const LOOK_EVERY: u64 = 64;

/// And between two looks at the memory that is held.
const MEASURE_EVERY: u64 = LOOK_EVERY * 64;

/// As many texts as `Engine::new` interns.
const INTERNED: usize = 256;

/// How the engine finds the function that a call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// In tables that are filled beforehand, which costs about 1 ms at the start.
    Table,
    /// By going through all functions, once for each that is called: some 10 µs.
    Search,
}

impl Lookup {
    /// What is faster for this script. What was found is remembered for the
    /// whole script, but only for one call of a function or closure: a script
    /// that has any is better off with tables.
    pub(super) fn for_script(text: &str) -> Self {
        if ["fn", "|", "import", "eval"].iter().any(|word| text.contains(word)) {
            Self::Table
        } else {
            Self::Search
        }
    }
}

/// Builds the engine for a run.
pub(super) fn build(session: &Session, modules: Modules, lookup: Lookup, printer: &Printer) -> Engine {
    let mut engine = Engine::new_raw();
    engine.set_max_strings_interned(INTERNED);
    engine.register_global_module(match lookup {
        Lookup::Table => StandardPackage::new().as_shared_module(),
        Lookup::Search => StandardPackage::new_lazy().as_shared_module(),
    });
    // Never `Full`: compiling would then call native functions.
    engine.set_optimization_level(OptimizationLevel::Simple);
    engine.set_strict_variables(true);
    engine.set_fail_on_invalid_map_property(true);
    // The same in debug and release builds; Rhai's own defaults differ.
    let limits = session.manner().limits;
    engine.set_max_call_levels(limits.depth);
    engine.set_max_operations(limits.operations);
    engine.set_max_expr_depths(128, 128);
    engine.set_max_string_size(limits.string);
    engine.set_max_array_size(limits.array);
    engine.set_max_map_size(limits.map);
    engine.set_default_tag(Dynamic::from(session.clone()));
    engine.set_module_resolver(modules);

    let cancel = session.cancel().clone();
    let memory = limits.memory;
    engine.on_progress(move |operations| {
        if operations % LOOK_EVERY != 0 {
            return None;
        }
        // What clears away needs its own.
        if operations % MEASURE_EVERY == 0 && !is_finishing() && held() > memory {
            return Some(Dynamic::from(ScriptFault { fault: too_much(memory) }));
        }
        cancel.cut_short().map(|stop| Dynamic::from(ScriptFault { fault: stop.fault() }))
    });
    let printer = printer.clone();
    engine.on_print(move |text| printer.print(text));
    engine.on_debug(|text, source, position| {
        let source = source.unwrap_or("script");
        let _ = writeln!(std::io::stderr(), "{source}:{position:?}: {text}");
    });
    bind::register(&mut engine, lookup);
    engine
}

/// How many bytes of memory the process holds; nothing where the system does not say.
fn held() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
    pages.saturating_mul(rustix::param::page_size() as u64)
}

fn too_much(memory: u64) -> Fault {
    let message = format!("the script holds more memory than it may: {}", Bytes(memory));
    Fault::new("script_limit", message)
        .hint("look for a map or array that grows without end, or allow more: --limit memory=8GiB")
}

/// Where a script's lines of data go. Once stdout cannot be written, what
/// follows is dropped: a script in the middle of its work goes on to its end.
#[derive(Debug, Clone)]
pub(super) struct Printer {
    progress: Arc<dyn Progress>,
    broken: Arc<Mutex<Option<Fault>>>,
}

impl Printer {
    pub(super) fn new(session: &Session) -> Self {
        Self { progress: session.progress().clone(), broken: Arc::default() }
    }

    fn print(&self, text: &str) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if broken.is_none() {
            *broken = self.progress.print(&format!("{text}\n")).err();
        }
    }

    /// Why output is missing, if not because its reader has gone: `… | head` has what it wanted.
    pub(super) fn lost(&self) -> Option<Fault> {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.take_if(|fault| fault.code != "stdout_closed")
    }
}
