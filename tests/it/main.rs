//! Integration tests, one crate so that they link once: the binary and the
//! library as their users see them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli;
mod demo;
mod deps;
mod docs;
mod repl;
mod ssh;
mod sshd;
