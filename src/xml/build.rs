//! Writing small descriptions from maps. Never by string concatenation: quick-xml escapes.

use serde::Serialize;

use super::Error;
use crate::model::Bytes;

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

/// A volume's description: capacity, format, and what is allocated at once.
///
/// # Errors
/// A name that XML cannot hold.
pub fn volume(name: &str, capacity: Bytes, allocation: Option<Bytes>, format: &str) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Volume<'a> {
        name: &'a str,
        capacity: InBytes,
        #[serde(skip_serializing_if = "Option::is_none")]
        allocation: Option<InBytes>,
        target: Target<'a>,
    }
    #[derive(Serialize)]
    struct Target<'a> {
        format: Type<'a>,
    }
    let volume = Volume {
        name,
        capacity: capacity.into(),
        allocation: allocation.map(InBytes::from),
        target: Target { format: Type { kind: format } },
    };
    write("volume", "volume", &volume)
}

/// A pool that is a directory.
///
/// # Errors
/// A name that XML cannot hold.
pub fn dir_pool(name: &str, path: &str) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Pool<'a> {
        #[serde(rename = "@type")]
        kind: &'a str,
        name: &'a str,
        target: Target<'a>,
    }
    #[derive(Serialize)]
    struct Target<'a> {
        path: &'a str,
    }
    write("pool", "pool", &Pool { kind: "dir", name, target: Target { path } })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_admin_types_is_escaped() {
        let xml = volume("a<b>&\"c\"", Bytes(1024), None, "qcow2").unwrap();
        assert_eq!(crate::xml::pool::name("volume", &xml).unwrap(), "a<b>&\"c\"");
        assert_eq!(crate::xml::pool::volume_format(&xml).unwrap(), "qcow2");
        let network = bridge_network("lan", "br<0>").unwrap();
        assert_eq!(
            network,
            "<network><name>lan</name><forward mode=\"bridge\"/><bridge name=\"br&lt;0&gt;\"/></network>"
        );
        let pool = dir_pool("p", "/srv/a&b").unwrap();
        assert_eq!(crate::xml::pool::type_and_path(&pool).unwrap().1, "/srv/a&b");
    }
}
