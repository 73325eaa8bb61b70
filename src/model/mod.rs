//! Plain types that every layer shares. No I/O, no libvirt, no SSH, no Rhai.

pub mod bytes;
pub mod cancel;
pub mod data;
pub mod fault;
pub mod inventory;
pub mod place;
pub mod progress;
pub mod target;

pub use bytes::Bytes;
pub use cancel::{Cancel, Stop};
pub use data::{Cell, Column, Data, Table, Tone};
pub use fault::{Class, Fault};
pub use inventory::Inventory;
pub use place::{Diagnosis, Place};
pub use progress::{Progress, Silent, Step, Task};
pub use target::Target;
