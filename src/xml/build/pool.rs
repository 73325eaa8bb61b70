//! A pool's description from a [`PoolSpec`], in the order in which libvirt writes it.

use serde::Serialize;

use super::{Permissions, Type};
use crate::model::pool::{PoolSpec, server_and_port};
use crate::xml::Error;

#[derive(Serialize)]
struct Pool<'a> {
    #[serde(rename = "@type")]
    kind: &'a str,
    name: &'a str,
    source: Source<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target<'a>>,
}

#[derive(Serialize)]
struct Source<'a> {
    host: Vec<Server<'a>>,
    device: Vec<Device<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<Device<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<Adapter<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiator: Option<Initiator<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Auth<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Type<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol<'a>>,
}

#[derive(Serialize)]
struct Server<'a> {
    #[serde(rename = "@name")]
    name: &'a str,
    #[serde(rename = "@port", skip_serializing_if = "Option::is_none")]
    port: Option<&'a str>,
}

#[derive(Serialize)]
struct Device<'a> {
    #[serde(rename = "@path")]
    path: &'a str,
}

#[derive(Serialize)]
struct Protocol<'a> {
    #[serde(rename = "@ver")]
    version: &'a str,
}

#[derive(Serialize)]
struct Adapter<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "@name", skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(rename = "@wwnn", skip_serializing_if = "Option::is_none")]
    wwnn: Option<&'a str>,
    #[serde(rename = "@wwpn", skip_serializing_if = "Option::is_none")]
    wwpn: Option<&'a str>,
}

#[derive(Serialize)]
struct Initiator<'a> {
    iqn: Named<'a>,
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(rename = "@name")]
    name: &'a str,
}

#[derive(Serialize)]
struct Auth<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(rename = "@username")]
    user: &'a str,
    secret: Usage<'a>,
}

#[derive(Serialize)]
struct Usage<'a> {
    #[serde(rename = "@usage")]
    usage: &'a str,
}

#[derive(Serialize)]
struct Target<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Permissions>,
}

/// Where a type keeps what [`PoolSpec::source`] names.
enum Kept {
    Dir,
    Device,
    Name,
    Adapter,
}

fn kept(kind: &str) -> Kept {
    match kind {
        "netfs" => Kept::Dir,
        "fs" | "disk" | "iscsi" | "iscsi-direct" => Kept::Device,
        "scsi" => Kept::Adapter,
        _ => Kept::Name,
    }
}

/// The description of a pool that has passed [`PoolSpec::check`].
///
/// # Errors
/// A text that XML cannot hold.
pub fn pool(spec: &PoolSpec) -> Result<String, Error> {
    let source = spec.source.as_deref();
    let at = kept(&spec.kind);
    let servers = spec.servers.iter().map(|server| {
        let (name, port) = server_and_port(server);
        Server { name, port }
    });
    let mut devices: Vec<Device<'_>> = spec.devices.iter().map(|path| Device { path }).collect();
    let mut dir = spec.dir.as_deref().map(|path| Device { path });
    let mut name = None;
    let mut adapter = spec.fc_host.as_ref().map(|(node, port)| Adapter {
        kind: "fc_host",
        name: None,
        wwnn: Some(node),
        wwpn: Some(port),
    });
    if let Some(source) = source {
        match at {
            Kept::Dir => dir = Some(Device { path: source }),
            Kept::Device => devices.push(Device { path: source }),
            Kept::Name => name = Some(source),
            Kept::Adapter => {
                adapter = Some(Adapter { kind: "scsi_host", name: Some(source), wwnn: None, wwpn: None })
            }
        }
    }
    let auth = spec.auth.as_ref().map(|auth| Auth {
        kind: if spec.kind == "rbd" { "ceph" } else { "chap" },
        user: &auth.user,
        secret: Usage { usage: &auth.secret },
    });
    let permissions = Permissions::of(spec.mode, spec.owner, spec.group);
    let target = (spec.path.is_some() || permissions.is_some())
        .then_some(Target { path: spec.path.as_deref(), permissions });
    let pool = Pool {
        kind: &spec.kind,
        name: &spec.name,
        source: Source {
            host: servers.collect(),
            device: devices,
            dir,
            adapter,
            name,
            initiator: spec.initiator.as_deref().map(|name| Initiator { iqn: Named { name } }),
            auth,
            format: spec.format.as_deref().map(|kind| Type { kind }),
            protocol: spec.version.as_deref().map(|version| Protocol { version }),
        },
        target,
    };
    super::write("pool", "pool", &pool)
}
