//! Work over several objects, and the objects themselves: a name and a
//! connection each, whose every property asks libvirt now.
//!
//! Every change goes through the gate here: `Host::change` is the only caller
//! of [`crate::gate::Gate::apply`] outside tests.

mod clone;
mod console;
pub mod cpu;
mod domain;
mod facts;
mod host;
mod keys;
mod lanes;
mod lease;
mod machine;
mod memory;
pub mod migrate;
pub mod monitor;
pub mod net;
mod network;
mod objects;
mod picture;
pub mod placement;
mod pool;
mod pool_secret;
pub mod preflight;
mod session;
mod shared;
mod shell;
mod snapshot;
mod steps;
mod topology;
pub mod transfer;
mod twice;
mod unfinished;
mod volume;
mod volume_data;
mod watch;

pub use clone::{CloneOptions, Disks};
pub use cpu::Cpu;
pub use domain::Domain;
pub use host::{Host, HostCheck};
pub use keys::{Acquaintance, Authorized, Pin};
pub use lease::{Cordon, Lease, Leases, Marks, Purpose};
pub use machine::{DiskRequest, MachineRequest};
pub use network::Network;
pub use pool::Pool;
pub use session::{Manner, Session, Settings};
pub use steps::Steps;
pub use volume::Volume;
pub use volume_data::{CopyWay, Moved, Moving};
