//! Reading `<pool>` and `<volume>`.

use serde::Deserialize;

use super::{Error, read};

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

/// A volume's format, `raw` or `qcow2` for instance; empty where it has none.
///
/// # Errors
/// Text that is no volume's XML.
pub fn volume_format(xml: &str) -> Result<String, Error> {
    let volume: Volume = read("volume", xml)?;
    Ok(volume.target.and_then(|target| target.format).map(|format| format.kind).unwrap_or_default())
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
