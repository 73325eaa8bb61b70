//! What the prompt opens with. Nothing here waits for a host.

use std::path::Path;

use crate::gate::Mode;
use crate::ops::{Host, Session};
use crate::script::wrap;
use crate::ui::Term;

/// Where libvirt's daemons listen for local clients.
const SOCKETS: [&str; 3] =
    ["/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock", "/var/run/libvirt/libvirt-sock"];

/// What there is to work with.
pub(super) struct Greeting {
    /// A host that has no name in the inventory, and the variable it is in.
    pub(super) host: Option<(&'static str, Host)>,
    text: String,
}

/// The hosts of the inventory; else this machine; else libvirt's built-in test host.
/// `unread`: what there is of an inventory could not be read.
pub(super) fn choose(session: &Session, unread: bool) -> Greeting {
    let hosts = session.hosts(&[]).unwrap_or_default();
    let (name, uri, text) = match hosts.as_slice() {
        _ if unread => (
            "demo",
            "test:///default",
            "No host of the inventory is known until it is mended: then type :reload. \
             `demo` is a make-believe host (test:///default) to play with.",
        ),
        [] if SOCKETS.iter().any(|socket| Path::new(socket).exists()) => (
            "local",
            "qemu:///system",
            "The inventory has no hosts yet: `local` is this machine. Try local.domains(), help(). \
             Add a host: !kvmsh hosts add NAME ADDRESS, then :reload",
        ),
        [] => (
            "demo",
            "test:///default",
            "No inventory and no libvirt here: `demo` is a make-believe host (test:///default) to play with. \
             Try demo.domains(), help(). Add a host: !kvmsh hosts add NAME ADDRESS, then :reload",
        ),
        hosts => return Greeting { host: None, text: known(hosts) },
    };
    Greeting { host: session.host(uri).ok().map(|host| (name, host)), text: text.to_owned() }
}

fn known(hosts: &[Host]) -> String {
    let names: Vec<&str> = hosts.iter().take(3).map(Host::name).collect();
    let more = if hosts.len() > names.len() { ", ..." } else { "" };
    let count = if hosts.len() == 1 { "1 host".to_owned() } else { format!("{} hosts", hosts.len()) };
    // No name of a host: the one that is first may be the one that is down.
    format!("{count}: {}{more}. Try hosts, top, help.", names.join(", "))
}

impl Greeting {
    /// The line that a script needs to know the same host.
    pub(super) fn prologue(&self) -> Option<String> {
        self.host.as_ref().map(|(name, host)| format!("const {name} = host({:?});", host.uri()))
    }

    /// A line or two.
    pub(super) fn lines(&self, term: &Term) -> Vec<String> {
        let width = term.width.unwrap_or(80).max(20);
        let title = format!("kvmsh {}. {}", env!("CARGO_PKG_VERSION"), self.text);
        wrap(&crate::ui::visible::line(&title), width.min(100), 0)
    }
}

/// What the prompt shows: that nothing is changed, where that is so.
pub(super) fn prompt(session: &Session) -> &'static str {
    match session.gate().mode() {
        Mode::Apply => "kvmsh> ",
        Mode::Plan => "kvmsh (plan)> ",
        Mode::ReadOnly => "kvmsh (read-only)> ",
    }
}
