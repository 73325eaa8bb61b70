//! Pools and volumes, described in maps.

mod bench;
mod clones;
mod kills;
mod machines;
mod pools;
mod twice;
mod volumes;
