//! libvirt: the only module that knows the crate `virt`.
//!
//! To add one of libvirt's calls: a method here on the object it belongs to
//! (through [`Connection::call`]; with a [`crate::gate::Permit`] if it changes
//! anything), a method on the object in `ops/`, and one documented function in
//! `script/bind/`. If `virt` lacks the call or gets it wrong, it goes to `raw.rs`.

mod answer;
mod connection;
mod domain;
mod error;
mod event_loop;
mod events;
mod migration;
mod network;
mod node;
mod pool;
mod raw;
mod secret;
mod snapshot;
mod stats;
mod stream;
mod volume;
mod volume_stream;

pub use connection::Connection;
pub use domain::{Abort, Domain, UndefineOptions, XmlKind};
pub use error::Error;
pub use events::Events;
pub use migration::{MigrateCall, Migration};
pub use network::Network;
pub use pool::Pool;
pub use raw::{Hypervisor, Params, Value};
pub use snapshot::{RevertOptions, SnapshotOptions};
pub use stats::{Counters, StatsGroup};
pub use stream::Console;
pub use volume::Volume;
pub use volume_stream::{CHUNK, Part, VolumeStream};
