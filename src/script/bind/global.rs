//! Hosts, arguments, sizes.

use rhai::Dynamic;
use rhai::plugin::*;

use super::super::error::{Outcome, misuse};
use super::super::options::{size as size_of, texts};
use super::{ArrayOf, array, int, session};
use crate::model::{Bytes, duration};
use crate::ops::Host as OpsHost;

#[export_module(manifest)]
pub(super) mod functions {
    /// A KVM host.
    pub type Host = OpsHost;

    /// A host by its name in the inventory, or by a libvirt URI.
    ///
    /// It contacts nobody yet.
    ///
    /// Errors: `unknown_host`, `invalid_uri`.
    ///
    /// Example: `host("test:///default").domain("test").state`
    #[rhai_fn(name = "host", return_raw)]
    pub fn host(ctx: NativeCallContext<'_>, name_or_uri: &str) -> Outcome<Host> {
        Ok(session(&ctx)?.host(name_or_uri)?)
    }

    /// All hosts of the inventory, or those that `--hosts` names.
    ///
    /// Example: `hosts().len()`
    #[rhai_fn(name = "hosts", return_raw)]
    pub fn hosts(ctx: NativeCallContext<'_>) -> Outcome<ArrayOf<Host>> {
        Ok(array(session(&ctx)?.hosts(&[])?))
    }

    /// The hosts of the inventory that match.
    ///
    /// `patterns`: a name, a glob such as `"h2-*"`, `"@group"`, `"tag:x"`, a libvirt URI, or an array of such.
    ///
    /// Errors: `unknown_host` for a name, group or tag that there is not.
    ///
    /// Example: `try { hosts("h2-*") } catch (err) { err.code }`
    #[rhai_fn(name = "hosts", return_raw)]
    pub fn hosts_matching(ctx: NativeCallContext<'_>, patterns: Dynamic) -> Outcome<ArrayOf<Host>> {
        let patterns = texts("hosts", &patterns)?;
        Ok(array(session(&ctx)?.hosts(&patterns)?))
    }

    /// A number of bytes from a text such as `"4GiB"` or `"512M"`.
    ///
    /// Units are binary; `KB`, `MB`, `GB` and `TB` are decimal.
    ///
    /// Errors: `invalid_arg` for what is no size.
    ///
    /// Example: `size("4GiB")`
    #[rhai_fn(name = "size", return_raw)]
    pub fn size(text: Dynamic) -> Outcome<i64> {
        Ok(int(size_of(&text)?.0))
    }

    /// Seconds from a text such as `"90s"`, `"5m"`, `"1h30m"` or `"90"`.
    ///
    /// Errors: `invalid_arg` for what is no time.
    ///
    /// Example: `seconds("1h30m") == 5400.0`
    #[rhai_fn(name = "seconds", return_raw)]
    pub fn seconds(text: &str) -> Outcome<f64> {
        let time = duration::parse(text).map_err(|why| misuse(format!("seconds: {why}")))?;
        Ok(time.as_secs_f64())
    }

    /// A number of bytes as a person reads it.
    ///
    /// Errors: `invalid_arg` for a negative number.
    ///
    /// Example: `human(1610612736)`
    #[rhai_fn(name = "human", return_raw)]
    pub fn human(bytes: i64) -> Outcome<String> {
        let bytes = u64::try_from(bytes).map_err(|_| misuse("human: a size is not negative"))?;
        Ok(Bytes(bytes).to_string())
    }

    /// Marks a text as a secret and returns it: journal, plans, errors and progress show `***` in its place.
    ///
    /// Values of variables whose names tell (`…PASSWORD`, `…TOKEN`), and what `ask_secret` returns, are secrets without it.
    /// What a script prints is shown as it is.
    ///
    /// Example: `let key = secret("no one knows"); key.len()`
    #[rhai_fn(name = "secret")]
    pub fn secret(text: &str) -> String {
        crate::model::secret::remember(text);
        text.to_owned()
    }

    /// A variable of the environment, or `()` where it is not set.
    ///
    /// Example: `env("HOME")`
    #[rhai_fn(name = "env")]
    pub fn env(name: &str) -> Dynamic {
        // A name with `=` or a zero byte would panic in the standard library.
        if name.is_empty() || name.contains(['=', '\0']) {
            return Dynamic::UNIT;
        }
        std::env::var_os(name).map_or(Dynamic::UNIT, |value| value.to_string_lossy().into_owned().into())
    }
}
