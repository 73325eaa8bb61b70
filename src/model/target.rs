//! How a host is reached.

use std::path::PathBuf;

/// One host as the inventory, or a URI given to `host(…)`, describes it.
///
/// What is `None` here is decided by `~/.ssh/config` and OpenSSH's defaults,
/// for our own SSH sessions and for libvirt's `qemu+ssh` transport alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name people use: the inventory's key, or the host in the URI.
    pub name: String,
    /// Where SSH goes: a name, an address or an alias of `~/.ssh/config`.
    /// `None`: this machine, reached without SSH.
    pub address: Option<String>,
    /// The SSH user.
    pub user: Option<String>,
    /// The SSH port.
    pub port: Option<u16>,
    /// The libvirt URI, when it is not the usual `qemu+ssh://user@address/system`.
    pub uri: Option<String>,
    /// The private key file.
    pub identity: Option<PathBuf>,
    /// The known_hosts file to use instead of OpenSSH's own.
    pub known_hosts: Option<PathBuf>,
    /// Jump host, as OpenSSH's `ProxyJump`: `[user@]host[:port]`.
    pub jump: Option<String>,
}

impl Target {
    /// This machine under the given name and libvirt URI.
    pub fn local(name: &str, uri: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: None,
            user: None,
            port: None,
            uri: Some(uri.to_owned()),
            identity: None,
            known_hosts: None,
            jump: None,
        }
    }

    /// A host reached over SSH at this address, everything else by default.
    pub fn ssh(name: &str, address: &str) -> Self {
        Self { address: Some(address.to_owned()), uri: None, ..Self::local(name, "") }
    }
}
