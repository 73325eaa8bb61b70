//! What a person sees: terminal policy, tables, progress, diagnostics. Sees only `model/`.

pub mod ask;
pub mod diagnostic;
pub mod log;
mod outline;
pub mod output;
pub mod pager;
pub mod progress;
pub mod screen;
pub mod table;
pub mod term;
mod top;
mod tree;
pub mod visible;
mod xml;

pub use ask::Ask;
pub use output::{Format, Shown, print, say};
pub use progress::Bars;
pub use screen::Live;
pub use term::{Choice, Term};
