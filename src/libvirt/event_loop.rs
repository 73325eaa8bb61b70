//! libvirt's event loop, on a thread of its own.
//!
//! Keepalive and events only work while it runs, and it must be registered
//! before the first connection is opened.

use std::sync::OnceLock;

use virt::event;

use super::Error;

/// Registers the loop once; later calls do nothing.
///
/// # Errors
/// What libvirt said when the loop could not be registered.
pub(super) fn register() -> Result<(), Error> {
    static REGISTERED: OnceLock<Result<(), Error>> = OnceLock::new();
    REGISTERED
        .get_or_init(|| {
            // Otherwise libvirt prints each error on stderr by itself.
            virt::error::clear_error_callback();
            event::event_register_default_impl()?;
            Ok(())
        })
        .clone()
}

/// Starts the loop once; later calls do nothing. A connection to a driver in
/// this process needs it only for events.
///
/// # Errors
/// What libvirt said when the loop could not be registered.
pub(super) fn start() -> Result<(), Error> {
    static STARTED: OnceLock<Result<(), Error>> = OnceLock::new();
    register()?;
    STARTED
        .get_or_init(|| {
            let run = || {
                while event::event_run_default_impl().is_ok() {}
            };
            std::thread::Builder::new().name("libvirt events".into()).spawn(run).map_err(|error| {
                Error::Libvirt {
                    number: 0,
                    code: "no_thread".into(),
                    message: format!("cannot start libvirt's event thread: {error}"),
                }
            })?;
            Ok(())
        })
        .clone()
}
