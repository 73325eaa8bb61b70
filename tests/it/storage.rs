//! Pools and volumes, described in maps.

mod bench;
mod clones;
mod hangs;
mod kills;
mod machines;
mod pool_secrets;
mod pools;
mod twice;
mod volumes;
