//! Storage pools from maps, and as maps.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};

use super::super::error::{Outcome, misuse};
use super::super::options::{Options, keys, texts, type_word};
use super::at;
use crate::model::Fault;
use crate::model::pool::{PoolAuth, PoolSpec, SecretKind};
use crate::ops::{Host, Pool};

/// A map within the map: all of its texts are needed.
fn inner(known: &'static keys::Keys, value: &Dynamic, names: [&'static str; 2]) -> Outcome<(String, String)> {
    let what = known.object;
    let map = value.clone().try_cast::<Map>().ok_or_else(|| {
        misuse(format!("define_pool: option `{what}` must be a map, not {}", type_word(value)))
    })?;
    let map = Options::new(known, map)?;
    let need =
        |name| map.text(name)?.ok_or_else(|| misuse(format!("define_pool: `{name}` of `{what}` is missing")));
    Ok((need(names[0])?, need(names[1])?))
}

fn number(map: &Options, key: &'static str) -> Outcome<Option<i64>> {
    let Some(value) = map.value(key) else { return Ok(None) };
    value.as_int().map(Some).map_err(|_| {
        misuse(format!("define_pool: option `{key}` must be a number, not {}", type_word(value)))
    })
}

/// The value that libvirt is to keep for the pool.
fn value_of(map: &Map) -> Outcome<Option<String>> {
    let Some(auth) = map.get("auth").and_then(|auth| auth.clone().try_cast::<Map>()) else { return Ok(None) };
    Options::new(&keys::POOL_AUTH, auth)?.text("value")
}

fn spec(map: Map) -> Outcome<PoolSpec> {
    let map = Options::new(&keys::DEFINE_POOL, map)?;
    let list = |key: &'static str| match map.value(key) {
        Some(value) => texts(&format!("define_pool: option `{key}`"), value),
        None => Ok(Vec::new()),
    };
    let auth =
        map.value("auth").map(|value| inner(&keys::POOL_AUTH, value, ["user", "secret"])).transpose()?;
    let fc_host =
        map.value("fc_host").map(|value| inner(&keys::FC_HOST, value, ["wwnn", "wwpn"])).transpose()?;
    Ok(PoolSpec {
        name: map.text("name")?.ok_or_else(|| misuse("define_pool: `name` is missing"))?,
        kind: map.text("type")?.unwrap_or_else(|| "dir".to_owned()),
        path: map.text("path")?,
        servers: list("server")?,
        source: map.text("source")?,
        dir: map.text("dir")?,
        devices: list("devices")?,
        format: map.text("format")?,
        version: map.text("version")?,
        initiator: map.text("initiator")?,
        auth: auth.map(|(user, secret)| PoolAuth { user, secret }),
        fc_host,
        mode: map.count("mode")?.map(|mode| u32::try_from(mode).unwrap_or(u32::MAX)),
        owner: number(&map, "owner")?,
        group: number(&map, "group")?,
    })
}

fn as_map(spec: PoolSpec) -> Map {
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<Dynamic>| {
        if let Some(value) = value {
            map.insert(key.into(), value);
        }
    };
    let list = |texts: Vec<String>| texts.into_iter().map(Dynamic::from).collect::<Array>();
    let pair = |[a, b]: [&str; 2], (x, y): (String, String)| {
        Dynamic::from(Map::from([(a.into(), x.into()), (b.into(), y.into())]))
    };
    put("name", Some(spec.name.into()));
    put("type", Some(spec.kind.into()));
    put("path", spec.path.map(Into::into));
    let mut servers = spec.servers;
    put(
        "server",
        match servers.len() {
            0 => None,
            1 => servers.pop().map(Into::into),
            _ => Some(list(servers).into()),
        },
    );
    put("source", spec.source.map(Into::into));
    put("dir", spec.dir.map(Into::into));
    put("devices", Some(spec.devices).filter(|all| !all.is_empty()).map(|all| list(all).into()));
    put("format", spec.format.map(Into::into));
    put("version", spec.version.map(Into::into));
    put("initiator", spec.initiator.map(Into::into));
    put("auth", spec.auth.map(|auth| pair(["user", "secret"], (auth.user, auth.secret))));
    put("fc_host", spec.fc_host.map(|names| pair(["wwnn", "wwpn"], names)));
    put("mode", spec.mode.map(|mode| i64::from(mode).into()));
    put("owner", spec.owner.map(Into::into));
    put("group", spec.group.map(Into::into));
    map
}

#[export_module(manifest)]
pub(super) mod functions {
    /// Defines a storage pool of any type from a map, or from XML; does not start it.
    ///
    /// With `value` in its `auth`, libvirt is given that secret first: see `define_secret`.
    ///
    /// The map is checked before libvirt sees it. `name` and, but for rbd, zfs, iscsi-direct and gluster, `path` is on every host the same.
    ///
    /// Errors: `invalid_pool`, `invalid_name` for what cannot be; what libvirt says; `unknown_option`.
    ///
    /// Example: `plan(|| host("test:///default").define_pool(#{name: "images", type: "netfs", server: "nas", source: "/srv/nfs", path: "/var/lib/libvirt/images"}))`
    #[rhai_fn(name = "define_pool", return_raw, pure)]
    pub fn define_pool(ctx: NativeCallContext<'_>, host: &mut Host, xml_or_map: Dynamic) -> Outcome<Pool> {
        let xml = match xml_or_map.clone().try_cast::<Map>() {
            None => xml_or_map
                .into_immutable_string()
                .map_err(|kind| misuse(format!("define_pool takes XML or a map, not {kind}")))?
                .to_string(),
            Some(map) => {
                let value = value_of(&map)?;
                let spec = spec(map)?.check()?;
                if let (Some(value), Some(auth)) = (value, &spec.auth) {
                    let kind = if spec.kind == "rbd" { SecretKind::Ceph } else { SecretKind::Iscsi };
                    at(&ctx, || host.define_secret(kind, &auth.secret, &value))?;
                }
                crate::xml::build::pool(&spec).map_err(Fault::from)?
            }
        };
        Ok(at(&ctx, || host.define_pool(&xml))?)
    }

    /// A random UUID: for names and tokens that nobody else has.
    ///
    /// Example: `random_uuid().len()`
    #[rhai_fn(name = "random_uuid")]
    pub fn random_uuid() -> String {
        uuid::Uuid::new_v4().to_string()
    }

    /// What it was defined as, in the form that `define_pool` takes.
    ///
    /// Example: `host("test:///default").pool("default-pool").definition`
    #[rhai_fn(get = "definition", return_raw, pure)]
    pub fn definition(pool: &mut Pool) -> Outcome<Map> {
        Ok(as_map(pool.definition()?))
    }
}
