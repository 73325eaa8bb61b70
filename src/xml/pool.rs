//! Reading `<pool>` and `<volume>`.

use roxmltree::{Document, Node};
use serde::Deserialize;

use super::{Error, read};
use crate::model::pool::{PoolAuth, PoolSpec};

#[derive(Deserialize)]
struct Pool {
    #[serde(rename = "@type", default)]
    kind: String,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    path: Option<String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "@type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct Volume {
    target: Option<Target>,
}

/// A pool's type (`dir`, `netfs`, …) and the path of its target, empty where it has none.
///
/// # Errors
/// Text that is no pool's XML.
pub fn type_and_path(xml: &str) -> Result<(String, String), Error> {
    let pool: Pool = read("pool", xml)?;
    Ok((pool.kind, pool.target.and_then(|target| target.path).unwrap_or_default()))
}

/// All that [`PoolSpec`] knows of a pool.
///
/// # Errors
/// Text that is no XML.
pub fn spec(xml: &str) -> Result<PoolSpec, Error> {
    let document = Document::parse(xml).map_err(|error| Error::new("pool", error))?;
    let root = document.root_element();
    let text =
        |path: &[&str]| Some(below(root, path)?.text()?.trim().to_owned()).filter(|text| !text.is_empty());
    let value = |path: &[&str], name: &str| Some(below(root, path)?.attribute(name)?.to_owned());
    let all = |name: &'static str| {
        let source = below(root, &["source"]);
        source
            .into_iter()
            .flat_map(move |source| source.children().filter(move |node| node.has_tag_name(name)))
    };
    let kind = root.attribute("type").unwrap_or_default().to_owned();
    let mut devices: Vec<String> =
        all("device").filter_map(|node| Some(node.attribute("path")?.to_owned())).collect();
    let mut dir = value(&["source", "dir"], "path");
    let adapter = |name: &str| value(&["source", "adapter"], name);
    let source = match kind.as_str() {
        "netfs" => dir.take(),
        "fs" | "disk" | "iscsi" | "iscsi-direct" => devices.pop(),
        "scsi" => adapter("name"),
        _ => text(&["source", "name"]),
    };
    let server = |node: Node<'_, '_>| {
        let name = node.attribute("name")?;
        Some(match node.attribute("port") {
            Some(port) if name.contains(':') => format!("[{name}]:{port}"),
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        })
    };
    let auth = value(&["source", "auth"], "username").map(|user| PoolAuth {
        user,
        secret: value(&["source", "auth", "secret"], "usage").unwrap_or_default(),
    });
    let number = |name| text(&["target", "permissions", name])?.parse::<i64>().ok();
    Ok(PoolSpec {
        name: text(&["name"]).unwrap_or_default(),
        path: text(&["target", "path"]),
        servers: all("host").filter_map(server).collect(),
        source,
        dir,
        devices,
        format: value(&["source", "format"], "type").filter(|format| format != "unknown"),
        version: value(&["source", "protocol"], "ver"),
        initiator: value(&["source", "initiator", "iqn"], "name"),
        auth,
        fc_host: adapter("wwnn").zip(adapter("wwpn")),
        mode: text(&["target", "permissions", "mode"]).and_then(|mode| u32::from_str_radix(&mode, 8).ok()),
        owner: number("owner"),
        group: number("group"),
        kind,
    })
}

/// The element that these names lead to.
fn below<'a, 'input>(root: Node<'a, 'input>, path: &[&str]) -> Option<Node<'a, 'input>> {
    path.iter().try_fold(root, |node, name| node.children().find(|child| child.has_tag_name(*name)))
}

/// A volume's format, `raw` or `qcow2` for instance; empty where it has none.
///
/// # Errors
/// Text that is no volume's XML.
pub fn volume_format(xml: &str) -> Result<String, Error> {
    let volume: Volume = read("volume", xml)?;
    Ok(volume.target.and_then(|target| target.format).map(|format| format.kind).unwrap_or_default())
}

/// Whether a volume lies on another one.
///
/// # Errors
/// Text that is no XML.
pub fn has_backing(xml: &str) -> Result<bool, Error> {
    let document = Document::parse(xml).map_err(|error| Error::new("volume", error))?;
    Ok(below(document.root_element(), &["backingStore", "path"]).is_some())
}

/// Bytes of a volume's file itself, where the driver tells.
///
/// # Errors
/// Text that is no XML.
pub fn physical(xml: &str) -> Result<Option<u64>, Error> {
    let document = Document::parse(xml).map_err(|error| Error::new("volume", error))?;
    let text = below(document.root_element(), &["physical"]).and_then(|node| node.text());
    Ok(text.and_then(|text| text.trim().parse().ok()))
}

/// The `<name>` of a pool, network or volume description.
///
/// # Errors
/// Text that is no XML, or has no name.
pub fn name(what: &'static str, xml: &str) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
    }
    let named: Named = read(what, xml)?;
    named.name.filter(|name| !name.is_empty()).ok_or_else(|| Error::new(what, "it has no <name>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_a_type_and_perhaps_a_path() {
        let xml = "<pool type='dir'><name>p</name><target><path>/srv/shared</path></target></pool>";
        assert_eq!(type_and_path(xml).unwrap(), ("dir".to_owned(), "/srv/shared".to_owned()));
        assert_eq!(name("pool", xml).unwrap(), "p");
        let rbd = "<pool type='rbd'><name>r</name><source/></pool>";
        assert_eq!(type_and_path(rbd).unwrap(), ("rbd".to_owned(), String::new()));
        assert!(name("pool", "<pool/>").is_err());
    }
}
