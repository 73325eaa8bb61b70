//! Virtual networks.

use rhai::plugin::*;

use super::super::error::Outcome;
use super::at;
use crate::ops::{Host, Network as OpsNetwork};

#[export_module(manifest)]
pub(super) mod functions {
    /// A virtual network.
    pub type Network = OpsNetwork;

    /// Name.
    ///
    /// Example: `host("test:///default").network("default").name`
    #[rhai_fn(get = "name", pure)]
    pub fn network_name(network: &mut Network) -> String {
        network.name().to_owned()
    }

    /// Its host.
    ///
    /// Example: `host("test:///default").network("default").host.name`
    #[rhai_fn(get = "host", pure)]
    pub fn network_host(network: &mut Network) -> Host {
        network.host().clone()
    }

    /// UUID.
    ///
    /// Example: `host("test:///default").network("default").uuid`
    #[rhai_fn(get = "uuid", return_raw, pure)]
    pub fn network_uuid(network: &mut Network) -> Outcome<String> {
        Ok(network.uuid()?)
    }

    /// Whether it runs.
    ///
    /// Example: `host("test:///default").network("default").active`
    #[rhai_fn(get = "active", return_raw, pure)]
    pub fn network_active(network: &mut Network) -> Outcome<bool> {
        Ok(network.is_active()?)
    }

    /// The bridge it uses; empty where it has none.
    ///
    /// Example: `host("test:///default").network("default").bridge`
    #[rhai_fn(get = "bridge", return_raw, pure)]
    pub fn bridge(network: &mut Network) -> Outcome<String> {
        Ok(network.bridge()?)
    }

    /// Whether it starts with the host.
    ///
    /// Example: `host("test:///default").network("default").autostart`
    #[rhai_fn(get = "autostart", return_raw, pure)]
    pub fn network_autostart(network: &mut Network) -> Outcome<bool> {
        Ok(network.autostart()?)
    }

    /// Sets whether it starts with the host.
    ///
    /// Example: `plan(|| { let lan = host("test:///default").network("default"); lan.autostart = false; })`
    #[rhai_fn(set = "autostart", return_raw, pure)]
    pub fn set_network_autostart(ctx: NativeCallContext<'_>, network: &mut Network, on: bool) -> Outcome<()> {
        Ok(at(&ctx, || network.set_autostart(on))?)
    }

    /// The XML.
    ///
    /// Example: `host("test:///default").network("default").xml.len() > 0`
    #[rhai_fn(get = "xml", return_raw, pure)]
    pub fn network_xml(network: &mut Network) -> Outcome<String> {
        Ok(network.xml()?)
    }

    /// Starts it; one that runs is left alone.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| host("test:///default").network("default").start())`
    #[rhai_fn(name = "start", return_raw, pure)]
    pub fn network_start(ctx: NativeCallContext<'_>, network: &mut Network) -> Outcome<()> {
        Ok(at(&ctx, || network.start())?)
    }

    /// Stops it; guests on it lose their link.
    ///
    /// One that is stopped is left alone.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| host("test:///default").network("default").stop())`
    #[rhai_fn(name = "stop", return_raw, pure)]
    pub fn network_stop(ctx: NativeCallContext<'_>, network: &mut Network) -> Outcome<()> {
        Ok(at(&ctx, || network.stop())?)
    }

    /// Removes its definition.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| host("test:///default").network("default").undefine())`
    #[rhai_fn(name = "undefine", return_raw, pure)]
    pub fn network_undefine(ctx: NativeCallContext<'_>, network: &mut Network) -> Outcome<()> {
        Ok(at(&ctx, || network.undefine())?)
    }
}
