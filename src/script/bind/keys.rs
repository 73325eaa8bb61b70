//! Who is let in where; `std/keys` makes recipes of it.

use std::path::Path;

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};

use super::super::error::{Outcome, misuse};
use super::super::options::{Options, keys, texts, type_word};
use super::{array, at, session};
use crate::ops::{Acquaintance, Host, Pin};
use crate::ssh::{Accepted, KeyState, OwnKey};

const PIN: Pin = Pin { named: "the option `fingerprint`", write: "give the option `fingerprint` with" };

fn key_map(key: OwnKey) -> Map {
    let path = key.path.map_or(Dynamic::UNIT, |path| path.display().to_string().into());
    Map::from([("path".into(), path), ("line".into(), key.line.into())])
}

fn maybe_key(key: Option<OwnKey>) -> Dynamic {
    key.map_or(Dynamic::UNIT, |key| Dynamic::from_map(key_map(key)))
}

fn text_of(function: &str, map: &Map, key: &str) -> Outcome<String> {
    let value = map.get(key).and_then(|value| value.clone().into_immutable_string().ok());
    value
        .map(|text| text.to_string())
        .ok_or_else(|| misuse(format!("{function}: the map needs the text `{key}`")))
}

#[export_module(manifest)]
pub(super) mod functions {
    /// The key that the host shows over SSH now, and whether it is known here.
    ///
    /// `#{fingerprint, kind, known}`; `known`: `"yes"`, `"no"`, `"changed"` or `"revoked"`. Logs in nowhere.
    ///
    /// Errors: faults of the connection; `local_host` for this machine itself.
    ///
    /// Example: `try { host("test:///default").host_key.known } catch (e) { e.code }`
    #[rhai_fn(get = "host_key", return_raw, pure)]
    pub fn host_key(host: &mut Host) -> Outcome<Map> {
        let key = host.host_key()?;
        let known = match key.state {
            KeyState::Known { .. } => "yes",
            KeyState::Unknown { .. } => "no",
            KeyState::Changed { .. } => "changed",
            KeyState::Revoked { .. } => "revoked",
        };
        Ok(Map::from([
            ("fingerprint".into(), key.fingerprint.into()),
            ("kind".into(), key.kind.into()),
            ("known".into(), known.into()),
        ]))
    }

    /// Makes sure that the host's key is known here; `false` when that is only planned.
    ///
    /// An unknown key is shown and asked about at the terminal. Option: `fingerprint` (`"SHA256:…"`), which the host must have then.
    ///
    /// Errors: `host_key_unknown` (exit 4), `host_key_changed`, `host_key_revoked`, `local_host`, faults of the connection.
    ///
    /// Example: `try { plan(|| host("test:///default").introduce(#{})) } catch (e) { e.code }`
    #[rhai_fn(name = "introduce", return_raw, pure)]
    pub fn introduce(ctx: NativeCallContext<'_>, host: &mut Host, options: Map) -> Outcome<bool> {
        let options = Options::new(&keys::INTRODUCE, options)?;
        let fingerprint = options.text("fingerprint")?;
        Ok(at(&ctx, || host.introduce(fingerprint.as_deref(), PIN))?)
    }

    /// Our own public key for this host, `#{path, line}`; `()` when we have no key pair at all.
    ///
    /// Option: `identity` (file of the private half). Otherwise the one that the inventory or ~/.ssh/config names, else
    /// `id_ed25519`, `id_ecdsa`, `id_rsa`, else the agent's first; `path` is `()` for a key that only the agent has.
    ///
    /// Errors: `own_key` for a key file that cannot be used.
    ///
    /// Example: `try { host("test:///default").own_key(#{}) } catch (e) { e.code }`
    #[rhai_fn(name = "own_key", return_raw, pure)]
    pub fn own_key(host: &mut Host, options: Map) -> Outcome<Dynamic> {
        let options = Options::new(&keys::OWN_KEY, options)?;
        let identity = options.text("identity")?;
        Ok(maybe_key(host.own_key(identity.as_deref().map(Path::new))?))
    }

    /// Makes a key pair on this machine with `ssh-keygen` and returns it as `own_key` does; `()` in a plan.
    ///
    /// At a terminal `ssh-keygen` asks for a passphrase; elsewhere the key has none.
    ///
    /// Errors: `own_key`.
    ///
    /// Example: `try { plan(|| host("test:///default").make_own_key()) } catch (e) { e.code }`
    #[rhai_fn(name = "make_own_key", return_raw, pure)]
    pub fn make_own_key(ctx: NativeCallContext<'_>, host: &mut Host) -> Outcome<Dynamic> {
        Ok(maybe_key(at(&ctx, || host.make_own_key())?))
    }

    /// Logs in anew with this key of ours alone: `"yes"`, `"no"`, or `"locked"` when only its passphrase is missing.
    ///
    /// `key`: from `own_key`.
    ///
    /// Errors: faults of the connection.
    ///
    /// Example: `try { host("test:///default").accepts(#{path: (), line: "ssh-ed25519 AAAA"}) } catch (e) { e.code }`
    #[rhai_fn(name = "accepts", return_raw, pure)]
    pub fn accepts(host: &mut Host, key: Map) -> Outcome<String> {
        let line = text_of("accepts", &key, "line")?;
        let path = key.get("path").and_then(|path| path.clone().into_immutable_string().ok());
        let key = OwnKey::new(path.as_deref().map(Path::new), &line)
            .ok_or_else(|| misuse("accepts: the key's line is no public key"))?;
        let answer = match host.accepts(&key)? {
            Accepted::Yes => "yes",
            Accepted::Locked => "locked",
            Accepted::No => "no",
        };
        Ok(answer.to_owned())
    }

    /// The same host, logged in to with a password alone; only this handle and its copies use it.
    ///
    /// Nothing prints or stores the password. Jump hosts are still logged in to with keys.
    ///
    /// Example: `host("test:///default").with_password(env("PASSWORD") ?? "").name`
    #[rhai_fn(name = "with_password", pure)]
    pub fn with_password(host: &mut Host, password: &str) -> Host {
        host.with_password(password)
    }

    /// Asks for a secret at the terminal, unseen; `()` for an empty answer.
    ///
    /// Errors: `not_asked` (exit 4) where nobody is there to answer.
    ///
    /// Example: `try { ask_secret("password of nobody") } catch (e) { e.code }`
    #[rhai_fn(name = "ask_secret", return_raw)]
    pub fn ask_secret(ctx: NativeCallContext<'_>, question: &str) -> Outcome<Dynamic> {
        Ok(session(&ctx)?.ask_secret(question)?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// The account on the host that we log in to, with its keys and those of the host itself.
    ///
    /// `#{user, uid, home, sshd_asked, authorized_keys, keys, host_keys}`: the files that sshd reads (as sshd itself says, where
    /// it may be asked), the account's key pairs without passphrase as `#{path, line}`, the host's keys as `type base64`.
    ///
    /// Errors: `host_keys` when the key that the host shows is not on its disk; faults of the connection.
    ///
    /// Example: `try { host("test:///default").account } catch (e) { e.code }`
    #[rhai_fn(get = "account", return_raw, pure)]
    pub fn account(host: &mut Host) -> Outcome<Map> {
        let account = host.account()?;
        let host_keys = host.public_host_keys(&account)?;
        let key = |(path, line): (String, String)| {
            Dynamic::from_map(Map::from([("path".into(), path.into()), ("line".into(), line.into())]))
        };
        Ok(Map::from([
            ("user".into(), account.user.into()),
            ("uid".into(), i64::from(account.uid).into()),
            ("home".into(), account.home.into()),
            ("sshd_asked".into(), account.sshd_asked.into()),
            ("authorized_keys".into(), array(account.authorized_keys).into()),
            ("keys".into(), account.keys.into_iter().map(key).collect::<Array>().into()),
            ("host_keys".into(), array(host_keys).into()),
        ]))
    }

    /// The names others may know this host by: that of the inventory, `address` and `migration_address`.
    ///
    /// Example: `host("test:///default").ssh_names`
    #[rhai_fn(get = "ssh_names", pure)]
    pub fn ssh_names(host: &mut Host) -> Array {
        array(host.ssh_names())
    }

    /// The port that the inventory gives for SSH, else 22.
    ///
    /// Example: `host("test:///default").ssh_port`
    #[rhai_fn(get = "ssh_port", pure)]
    pub fn ssh_port(host: &mut Host) -> i64 {
        host.target().port.unwrap_or(22).into()
    }

    /// Adds public keys to the account's authorized_keys file, where they are missing, and nothing else.
    ///
    /// `keys`: lines as `.pub` files have them. Returns `#{file, changed, limits}`; `limits` names lines that hold
    /// one of the keys with options that restrict it. Every byte that was there stays.
    ///
    /// Errors: `keys_not_taken`, `authorized_keys` (exit 4) when sshd would not read the file, with its reason.
    ///
    /// Example: `try { plan(|| host("test:///default").authorize([])) } catch (e) { e.code }`
    #[rhai_fn(name = "authorize", return_raw, pure)]
    pub fn authorize(ctx: NativeCallContext<'_>, host: &mut Host, keys: Array) -> Outcome<Map> {
        authorize_coming(ctx, host, keys, Array::new())
    }

    /// As `authorize(keys)`; `coming` describes keys that a plan cannot know yet, and counts only there.
    ///
    /// Example: `try { plan(|| host("test:///default").authorize([], ["h2-b"])) } catch (e) { e.code }`
    #[rhai_fn(name = "authorize", return_raw, pure)]
    pub fn authorize_coming(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        keys: Array,
        coming: Array,
    ) -> Outcome<Map> {
        let keys = texts("authorize", &keys.into())?;
        let coming = texts("authorize", &coming.into())?;
        let done = at(&ctx, || host.authorize(&keys, &coming))?;
        Ok(Map::from([
            ("file".into(), done.file.into()),
            ("changed".into(), done.changed.into()),
            ("limits".into(), array(done.limits).into()),
        ]))
    }

    /// Has the account on the host know other hosts by their keys; returns whether its known_hosts file changed.
    ///
    /// `others`: an array of `#{names, keys, port}`, with keys as `account.host_keys` has them.
    ///
    /// Errors: `known_hosts` (exit 4) when another key is known for one of the names.
    ///
    /// Example: `try { plan(|| host("test:///default").know([])) } catch (e) { e.code }`
    #[rhai_fn(name = "know", return_raw, pure)]
    pub fn know(ctx: NativeCallContext<'_>, host: &mut Host, others: Array) -> Outcome<bool> {
        let mut known = Vec::new();
        for other in &others {
            let Some(map) = other.read_lock::<Map>() else {
                return Err(misuse(format!("know takes maps, not {}", type_word(other))));
            };
            let map = Options::new(&keys::KNOW, map.clone())?;
            let list = |key| map.value(key).map_or(Ok(Vec::new()), |value| texts("know", value));
            let port = map.count("port")?.unwrap_or(22);
            let names = list("names")?.into_iter();
            let names = names.map(|name| if port == 22 { name } else { format!("[{name}]:{port}") });
            known.push(Acquaintance { names: names.collect(), keys: list("keys")? });
        }
        Ok(at(&ctx, || host.know(&known))?)
    }

    /// Whether `ssh` on this host gets to another without asking anybody: `()` if so, else what it said.
    ///
    /// Option: `user` (`"root"`), `port` (22). Keys, known hosts and configuration are those of the account there.
    ///
    /// Errors: faults of the connection to this host.
    ///
    /// Example: `try { host("test:///default").reaches("127.0.0.1", #{port: 1}) } catch (e) { e.code }`
    #[rhai_fn(name = "reaches", return_raw, pure)]
    pub fn reaches(host: &mut Host, address: &str, options: Map) -> Outcome<Dynamic> {
        let options = Options::new(&keys::REACHES, options)?;
        let user = options.text("user")?.unwrap_or_else(|| "root".to_owned());
        let port = u16::try_from(options.count("port")?.unwrap_or(22))
            .map_err(|_| misuse("reaches: a port is at most 65535"))?;
        Ok(host.reaches(address, &user, port)?.map_or(Dynamic::UNIT, Dynamic::from))
    }
}
