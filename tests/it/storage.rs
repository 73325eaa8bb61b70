//! Pools and volumes, described in maps.

mod bench;
mod clones;
mod pools;
mod volumes;
