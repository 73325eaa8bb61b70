//! Plain types that every layer shares. No I/O, no libvirt, no SSH, no Rhai.

pub mod base64;
pub mod bytes;
pub mod cancel;
pub mod data;
pub mod domain;
pub mod fault;
pub mod host;
pub mod inventory;
pub mod link;
pub mod migration;
pub mod place;
pub mod placement;
pub mod progress;
pub mod prompt;
pub mod suggest;
pub mod target;
pub mod whereabouts;

pub use bytes::Bytes;
pub use cancel::{Cancel, Stop, finishing};
pub use data::{Cell, Column, Data, Table, Tone};
pub use domain::{Disk, DomainInfo, DomainRow, DomainState, Hardware, Nic};
pub use fault::{Class, Fault};
pub use host::{Event, NodeInfo, NodeMemory, PoolInfo, Versions, VolumeInfo};
pub use inventory::{HostEntry, Inventory};
pub use link::{Addresses, Addressing, Bond, BondMode, Bridge, IfName};
pub use migration::{JobStats, MigrateOptions, MigrateReport};
pub use place::{Diagnosis, Place};
pub use placement::{Assignment, Guest, Placement, Room, Unplaced};
pub use progress::{Progress, Silent, Step, Task};
pub use prompt::Prompt;
pub use target::Target;
pub use whereabouts::{Answer, Verdict, Whereabouts};
