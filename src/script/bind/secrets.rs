//! Secrets that libvirt keeps for pools.

use rhai::Map;
use rhai::plugin::*;

use super::super::error::{Outcome, misuse};
use super::super::options::{Options, keys};
use super::{ArrayOf, array, at};
use crate::model::pool::SecretKind;
use crate::ops::Host;

#[export_module(manifest)]
pub(super) mod functions {
    /// Has libvirt keep a secret for pools: under a usage name, private, on the host's disk.
    ///
    /// Nobody reads it back, libvirt's own drivers alone have it; it is in no journal, log or plan. Take the value from
    /// `env(..)`, a file or a question, not from the script's text. One of that name gets the new value.
    ///
    /// Errors: `invalid_secret` for a Ceph key that is no Base64; what libvirt says; `unknown_option`.
    ///
    /// Example: `plan(|| host("test:///default").define_secret(#{usage: "ceph", type: "ceph", value: "AQBjZHVtbXk="}))`
    #[rhai_fn(name = "define_secret", return_raw, pure)]
    pub fn define_secret(ctx: NativeCallContext<'_>, host: &mut Host, details: Map) -> Outcome<()> {
        let map = Options::new(&keys::DEFINE_SECRET, details)?;
        let need = |key: &'static str| {
            map.text(key)?.ok_or_else(|| misuse(format!("define_secret: `{key}` is missing")))
        };
        let (usage, value) = (need("usage")?, need("value")?);
        let kind = match map.word("type")?.as_deref() {
            Some("iscsi") => SecretKind::Iscsi,
            Some(_) => SecretKind::Ceph,
            None => return Err(misuse("define_secret: `type` is missing")),
        };
        Ok(at(&ctx, || host.define_secret(kind, &usage, &value))?)
    }

    /// What libvirt keeps for pools and disks: an array of `#{usage, type, uuid}`; never a value.
    ///
    /// Errors: `no_support` of drivers without secrets.
    ///
    /// Example: `try { host("test:///default").secrets() } catch (e) { e.code }`
    #[rhai_fn(name = "secrets", return_raw, pure)]
    pub fn secrets(host: &mut Host) -> Outcome<ArrayOf<Map>> {
        let row = |one: crate::model::pool::KeptSecret| {
            Map::from([
                ("usage".into(), one.usage.into()),
                ("type".into(), one.kind.into()),
                ("uuid".into(), one.uuid.into()),
            ])
        };
        Ok(array(host.secrets()?.into_iter().map(row).collect::<Vec<Map>>()))
    }

    /// Has libvirt forget a pool's secret; `false` where there was none.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| try { host("test:///default").remove_secret("ceph") } catch (e) { e.code })`
    #[rhai_fn(name = "remove_secret", return_raw, pure)]
    pub fn remove_secret(ctx: NativeCallContext<'_>, host: &mut Host, usage: &str) -> Outcome<bool> {
        Ok(at(&ctx, || host.remove_secret(usage))?)
    }
}
