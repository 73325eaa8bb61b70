//! kvmsh: a shell and script runner for KVM hosts, powered by Rhai.
//!
//! Layers, arrows only pointing down: `cli` and `repl` use `script`, which
//! binds `ops`, which work on `libvirt` and `ssh`, whose changes pass `gate`.
//! `model` holds plain types for all of them; `ui` sees only those.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cli;
pub mod gate;
pub mod inventory;
pub mod libvirt;
pub mod model;
pub mod netconf;
pub mod ops;
pub mod repl;
pub mod script;
pub mod ssh;
pub mod ui;
pub mod xml;
