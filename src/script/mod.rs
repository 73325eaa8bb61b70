//! The Rhai engine and what it is given.
//!
//! `bind/` has one file per object: each function there converts, calls
//! `ops`, converts. Its doc comment is what `help()` shows.

mod bind;
mod check;
mod complete;
mod definitions;
mod diagnose;
mod engine;
mod error;
mod help;
mod hosts;
mod incomplete;
mod ink;
mod isolate;
mod line;
mod modules;
mod options;
mod refine;
mod runner;
mod show;
mod sizes;
mod tables;
mod tokens;
mod unbound;

pub use complete::{Candidate, Completion, Live, Named, World};
pub(crate) use help::wrap;
pub use help::{Choice, Entry, Index, Kind, Origin, Topic};
pub use ink::Ink;
pub use runner::{End, Runner, Source};
