//! What takes whole Debian nodes in QEMU. They keep both processors busy, so `make test` runs them one
//! after the other, after what measures time.

mod lab;
mod network;
mod prep;
