//! What takes whole Debian nodes in QEMU. They keep both processors busy, so `make test` runs them apart, after what
//! measures time.

mod cpus;
mod lab;
mod network;
mod prep;
mod storage;
mod unattended;
