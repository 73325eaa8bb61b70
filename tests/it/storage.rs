//! Pools and volumes, described in maps.

mod pools;
mod volumes;
