//! Integration tests: one crate, so that they link once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ssh;
mod sshd;
