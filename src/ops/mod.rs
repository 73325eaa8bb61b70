//! Work over several objects. (Stub of this branch: replaced at merge.)

pub mod session;

pub use session::{Host, HostCheck, HostKey, KeyState, Session, Settings};
