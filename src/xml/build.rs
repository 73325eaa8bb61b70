//! Writing small descriptions from maps. Never by string concatenation: quick-xml escapes.

mod machine;
mod pool;

use serde::Serialize;

pub use self::machine::machine;
pub use self::pool::pool;
use super::Error;
use crate::model::pool::SecretKind;
use crate::model::{Bytes, VolumeSpec};

fn write<T: Serialize>(what: &'static str, root: &str, value: &T) -> Result<String, Error> {
    quick_xml::se::to_string_with_root(root, value).map_err(|error| Error::new(what, error))
}

#[derive(Serialize)]
struct Type<'a> {
    #[serde(rename = "@type")]
    kind: &'a str,
}

#[derive(Serialize)]
struct InBytes {
    #[serde(rename = "@unit")]
    unit: &'static str,
    #[serde(rename = "$text")]
    value: u64,
}

impl From<Bytes> for InBytes {
    fn from(bytes: Bytes) -> Self {
        Self { unit: "bytes", value: bytes.0 }
    }
}

/// A snapshot's description.
///
/// # Errors
/// A name that XML cannot hold.
pub fn snapshot(name: &str, description: &str) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Snapshot<'a> {
        name: &'a str,
        description: Option<&'a str>,
    }
    let description = Some(description).filter(|text| !text.is_empty());
    write("snapshot", "domainsnapshot", &Snapshot { name, description })
}

/// A volume's description.
///
/// # Errors
/// A name that XML cannot hold.
pub fn volume(spec: &VolumeSpec) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Volume<'a> {
        name: &'a str,
        capacity: InBytes,
        allocation: InBytes,
        target: Target<'a>,
        #[serde(rename = "backingStore", skip_serializing_if = "Option::is_none")]
        backing: Option<Backing<'a>>,
    }
    #[derive(Serialize)]
    struct Target<'a> {
        format: Type<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        permissions: Option<Permissions>,
    }
    #[derive(Serialize)]
    struct Backing<'a> {
        path: &'a str,
        format: Type<'a>,
    }
    let backing = spec.backing.as_ref();
    let volume = Volume {
        name: &spec.name,
        capacity: spec.capacity.into(),
        allocation: spec.allocation.into(),
        target: Target {
            format: Type { kind: &spec.format },
            permissions: Permissions::of(spec.mode, spec.owner, spec.group),
        },
        backing: backing.map(|(path, format)| Backing { path, format: Type { kind: format } }),
    };
    write("volume", "volume", &volume)
}

/// Permissions of a pool or a volume.
#[derive(Serialize)]
struct Permissions {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<i64>,
}

impl Permissions {
    fn of(mode: Option<u32>, owner: Option<i64>, group: Option<i64>) -> Option<Self> {
        let said = mode.is_some() || owner.is_some() || group.is_some();
        said.then(|| Self { mode: mode.map(|mode| format!("{mode:04o}")), owner, group })
    }
}

/// A network that offers a bridge of the host to guests: `<forward mode='bridge'/>`.
///
/// # Errors
/// A name that XML cannot hold.
pub fn bridge_network(name: &str, bridge: &str) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Network<'a> {
        name: &'a str,
        forward: Forward,
        bridge: Bridge<'a>,
    }
    #[derive(Serialize)]
    struct Forward {
        #[serde(rename = "@mode")]
        mode: &'static str,
    }
    #[derive(Serialize)]
    struct Bridge<'a> {
        #[serde(rename = "@name")]
        name: &'a str,
    }
    let network = Network { name, forward: Forward { mode: "bridge" }, bridge: Bridge { name: bridge } };
    write("network", "network", &network)
}

/// A secret's description: private, and kept on the disk.
///
/// # Errors
/// A name that XML cannot hold.
pub fn secret(kind: SecretKind, usage: &str) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Secret<'a> {
        #[serde(rename = "@ephemeral")]
        ephemeral: &'static str,
        #[serde(rename = "@private")]
        private: &'static str,
        usage: Usage<'a>,
    }
    #[derive(Serialize)]
    struct Usage<'a> {
        #[serde(rename = "@type")]
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<&'a str>,
    }
    let ceph = kind == SecretKind::Ceph;
    let usage = Usage { kind: kind.word(), name: ceph.then_some(usage), target: (!ceph).then_some(usage) };
    write("secret", "secret", &Secret { ephemeral: "no", private: "yes", usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_admin_types_is_escaped() {
        let xml = volume(&VolumeSpec {
            name: "a<b>&\"c\"".into(),
            capacity: Bytes(1024),
            format: "qcow2".into(),
            ..VolumeSpec::default()
        })
        .unwrap();
        assert_eq!(crate::xml::pool::name("volume", &xml).unwrap(), "a<b>&\"c\"");
        assert_eq!(crate::xml::pool::volume_format(&xml).unwrap(), "qcow2");
        let network = bridge_network("lan", "br<0>").unwrap();
        assert_eq!(
            network,
            "<network><name>lan</name><forward mode=\"bridge\"/><bridge name=\"br&lt;0&gt;\"/></network>"
        );
        let path = Some("/srv/a&b".to_owned());
        let spec =
            crate::model::pool::PoolSpec { name: "p".into(), kind: "dir".into(), path, ..Default::default() };
        assert_eq!(crate::xml::pool::type_and_path(&pool(&spec).unwrap()).unwrap().1, "/srv/a&b");
    }
}
