//! Integration tests, one crate: the binary and the library as their users see them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli;
