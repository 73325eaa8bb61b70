//! Integration tests, one crate so that they link once: the binary and the
//! library as their users see them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod check;
mod cli;
mod connect;
mod cpus;
mod deaf;
mod demo;
mod deps;
mod docs;
mod ends;
mod evacuate;
mod everyday;
mod faults;
mod gate;
mod hostprep;
mod keys;
#[path = "../lab/mod.rs"]
mod lab;
mod layers;
mod leases;
mod memory;
mod moves;
mod nightly;
mod nodes;
mod objects;
mod policy;
mod prompt;
mod repl;
mod scene;
mod scripts;
mod secrets;
mod ssh;
mod sshd;
mod storage;
mod traps;
mod unattended;
mod views;
