//! The Rhai engine and what it is given.
//!
//! `bind/` has one file per object: each function there converts, calls
//! `ops`, converts. Its doc comment is what `help()` shows.

mod bind;
mod diagnose;
mod engine;
mod error;
mod help;
mod incomplete;
mod isolate;
mod line;
mod modules;
mod options;
mod runner;
mod show;
mod tables;

pub(crate) use help::wrap;
pub use help::{Entry, Index, Kind, Origin, Topic};
pub use runner::{End, Runner, Source};
