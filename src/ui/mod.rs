//! What a person sees: terminal policy, tables, progress, diagnostics. Sees only `model/`.

pub mod ask;
pub mod diagnostic;
mod outline;
pub mod output;
pub mod pager;
pub mod progress;
pub mod table;
pub mod term;
mod tree;
pub mod visible;
mod xml;

pub use ask::Ask;
pub use output::{Format, print, say};
pub use progress::Bars;
pub use term::{Choice, Term};
