//! Which host keys are known, and what that says about the key a host shows.
//!
//! `ssh-keygen -F` searches the files, because it understands hashed names,
//! wildcards and markers as ssh does (libssh2 does not); the comparison is ours.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::Command;
use super::config::SshConfig;
use super::error::Kind;
use super::limit::Limit;
use super::{keys, local};
use crate::model::Cancel;
use crate::model::base64;

/// `ssh-keygen` reads a file; it has no reason to take longer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Plain host key algorithms in the order OpenSSH prefers them. libssh2 would
/// negotiate host certificates as well, and cannot check those.
const ALGORITHMS: [(&str, &str); 6] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("ssh-rsa", "rsa-sha2-512"),
    ("ssh-rsa", "rsa-sha2-256"),
];

/// The key a host shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The name it is known under: `host` or `[host]:port`.
    pub name: String,
    /// Its type: `ssh-ed25519`.
    pub kind: String,
    /// `SHA256:…`, as OpenSSH prints it.
    pub fingerprint: String,
    /// The key in SSH's binary form.
    pub blob: Vec<u8>,
    /// What the known_hosts files say about it.
    pub state: KeyState,
}

impl HostKey {
    /// The key as `.pub` files have it, without a comment.
    pub fn line(&self) -> String {
        format!("{} {}", self.kind, base64::encode(&self.blob, true))
    }
}

/// What the known_hosts files say about a host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// It is there.
    Known {
        /// File and line.
        at: String,
    },
    /// The host is not there.
    Unknown {
        /// Only a `@cert-authority` is there, which kvmsh cannot use.
        only_authority: bool,
    },
    /// Another key is there.
    Changed {
        /// File and line of the other key.
        at: String,
        /// Type and fingerprint of the other key.
        known: String,
    },
    /// It is there, marked `@revoked`.
    Revoked {
        /// File and line.
        at: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    Plain,
    Authority,
    Revoked,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    at: String,
    marker: Marker,
    kind: String,
    blob: Vec<u8>,
}

/// The entries that the known_hosts files hold for one host.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownKeys {
    /// For its full name.
    exact: Vec<Entry>,
    /// For its name without the port, which OpenSSH accepts when nothing stands under the full name.
    portless: Vec<Entry>,
}

impl KnownKeys {
    /// Searches the user's and the system's files.
    pub(super) fn search(config: &SshConfig, cancel: &Cancel) -> Result<Self, Kind> {
        let name = config.known_as();
        let mut keys = Self { exact: find(config, &name, cancel)?, portless: Vec::new() };
        if keys.exact.is_empty() && name.starts_with('[') {
            keys.portless = find(config, &config.hostname.to_lowercase(), cancel)?;
        }
        Ok(keys)
    }

    /// What to offer in the key exchange: the types we know first, so that a
    /// host with several keys shows one of those and not another as "changed".
    pub(super) fn algorithms(&self) -> String {
        let known = |kind: &str| {
            self.exact.iter().chain(&self.portless).any(|e| e.marker == Marker::Plain && e.kind == kind)
        };
        let mut names = ALGORITHMS;
        // Stable: within each half OpenSSH's order stays.
        names.sort_by_key(|(kind, _)| !known(kind));
        let names: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
        names.join(",")
    }

    /// What they say about this key. `fingerprint` is asked for a known key that differs.
    pub(super) fn judge(&self, blob: &[u8], fingerprint: impl Fn(&[u8]) -> String) -> KeyState {
        let all = || self.exact.iter().chain(&self.portless);
        let same = |marker| all().find(|e| e.marker == marker && e.blob == blob);
        if let Some(entry) = same(Marker::Revoked) {
            return KeyState::Revoked { at: entry.at.clone() };
        }
        if let Some(entry) = same(Marker::Plain) {
            return KeyState::Known { at: entry.at.clone() };
        }
        let kind = keys::kind(blob).unwrap_or_default();
        // A host known by another type of key counts as changed: an attacker may choose the type.
        let plain = || self.exact.iter().filter(|e| e.marker == Marker::Plain);
        match plain().find(|e| e.kind == kind).or_else(|| plain().next()) {
            Some(entry) => KeyState::Changed { at: entry.at.clone(), known: fingerprint(&entry.blob) },
            None => KeyState::Unknown { only_authority: all().any(|e| e.marker == Marker::Authority) },
        }
    }
}

/// What becomes of a known_hosts file that is to vouch for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// It does so already.
    Same,
    /// It would, with this text: what was there, and more lines.
    Changed(Vec<u8>),
    /// It says something else, at this line: another key of the same type, or that the key is revoked.
    Conflict {
        /// The name it says it of.
        name: String,
        /// Its number, from 1; 0 when it is not known.
        line: usize,
    },
}

/// See [`super::Shell::merge_known_hosts`].
pub(super) fn merge(text: &[u8], names: &[String], lines: &[String], cancel: &Cancel) -> Result<Merge, Kind> {
    let keys: Vec<(&str, Vec<u8>)> =
        lines.iter().filter_map(|line| Some((line.split_whitespace().next()?, keys::blob(line)?))).collect();
    let mut out = text.to_vec();
    for (kind, blob) in &keys {
        let mut missing = Vec::new();
        for name in names {
            let entries = search_text(text, name, cancel)?;
            let conflict = entries.iter().find(|entry| match entry.marker {
                Marker::Revoked => entry.blob == *blob,
                Marker::Plain => entry.kind == *kind && keys.iter().all(|(_, ours)| *ours != entry.blob),
                Marker::Authority => false,
            });
            if let Some(entry) = conflict {
                let line = entry.at.rsplit_once(':').and_then(|(_, line)| line.parse().ok()).unwrap_or(0);
                return Ok(Merge::Conflict { name: name.clone(), line });
            }
            if !entries.iter().any(|entry| entry.marker == Marker::Plain && entry.blob == *blob) {
                missing.push(name.as_str());
            }
        }
        if missing.is_empty() {
            continue;
        }
        if out.last().is_some_and(|last| *last != b'\n') {
            out.push(b'\n');
        }
        out.extend(format!("{} {kind} {}\n", missing.join(","), base64::encode(blob, true)).bytes());
    }
    Ok(if out == text { Merge::Same } else { Merge::Changed(out) })
}

/// The entries for a name in the text of a known_hosts file.
fn search_text(text: &[u8], name: &str, cancel: &Cancel) -> Result<Vec<Entry>, Kind> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let command = Command::argv(["ssh-keygen", "-F", name, "-f", "/dev/stdin"]).stdin(text);
    let limit = Limit::new(cancel, Some(TIMEOUT));
    let output = local::output(&command.timeout(Some(TIMEOUT)), &limit)?;
    Ok(parse("", &String::from_utf8_lossy(&output.stdout)))
}

fn find(config: &SshConfig, name: &str, cancel: &Cancel) -> Result<Vec<Entry>, Kind> {
    let mut entries = Vec::new();
    for file in config.user_known_hosts.iter().chain(&config.global_known_hosts) {
        match File::open(file) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(local_file("read", file, &e)),
        }
        let path = file.to_string_lossy();
        let command = Command::argv(["ssh-keygen", "-F", name, "-f", &path]).timeout(Some(TIMEOUT));
        let output = local::output(&command, &Limit::new(cancel, Some(TIMEOUT)))?;
        // Status 1 without a word: the name is not there.
        entries.extend(parse(&path, &String::from_utf8_lossy(&output.stdout)));
    }
    Ok(entries)
}

/// Reads what `ssh-keygen -F` printed: a comment with the line's number, then the line.
fn parse(file: &str, text: &str) -> Vec<Entry> {
    let mut at = file.to_owned();
    let mut entries = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# Host ") {
            let number = comment.rsplit_once(" line ").and_then(|(_, n)| n.split_whitespace().next());
            at = number.map_or_else(|| file.to_owned(), |number| format!("{file}:{number}"));
            continue;
        }
        let mut words = line.split_whitespace().peekable();
        let marker = match words.peek() {
            Some(&"@revoked") => Marker::Revoked,
            Some(&"@cert-authority") => Marker::Authority,
            _ => Marker::Plain,
        };
        if marker != Marker::Plain {
            words.next();
        }
        if let (Some(_names), Some(kind), Some(key)) = (words.next(), words.next(), words.next())
            && let Some(blob) = base64::decode(key)
        {
            entries.push(Entry { at: at.clone(), marker, kind: kind.to_owned(), blob });
        }
    }
    entries
}

/// Type and fingerprint of a binary key, computed by `ssh-keygen` (libssh2 hashes only the host's own key).
pub(super) fn describe(blob: &[u8], cancel: &Cancel) -> String {
    let kind = keys::kind(blob).unwrap_or_else(|| "a key".to_owned());
    let command = Command::argv(["ssh-keygen", "-l", "-E", "sha256", "-f", "-"])
        .stdin(format!("{}\n", keys::line(blob).unwrap_or_default()))
        .timeout(Some(TIMEOUT));
    let output = local::output(&command, &Limit::new(cancel, Some(TIMEOUT)));
    let printed = output.map(|o| o.text()).unwrap_or_default();
    match printed.split_whitespace().nth(1) {
        Some(fingerprint) => format!("{kind} {fingerprint}"),
        None => kind,
    }
}

/// Appends the key to a known_hosts file, unless it is there already.
///
/// The file is made with mode 0600, its directory with 0700; it is locked
/// meanwhile, so that several kvmsh never write half a line or the same twice.
pub(super) fn append(file: &Path, key: &HostKey) -> Result<(), Kind> {
    let fail = |e: std::io::Error| local_file("write", file, &e);
    if let Some(dir) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
    }
    let mut handle =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file).map_err(fail)?;
    handle.lock().map_err(fail)?;
    let mut text = String::new();
    handle.seek(SeekFrom::Start(0)).and_then(|_| handle.read_to_string(&mut text)).map_err(fail)?;
    let line = format!("{} {}", key.name, key.line());
    if text.lines().any(|l| l == line) {
        return Ok(());
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    handle.write_all(format!("{gap}{line}\n").as_bytes()).and_then(|()| handle.sync_all()).map_err(fail)
}

/// The file that new keys go to.
pub(super) fn file_for_new_keys(config: &SshConfig) -> Result<PathBuf, Kind> {
    config.user_known_hosts.first().cloned().ok_or_else(|| Kind::Config {
        said: "UserKnownHostsFile is `none`: there is no file to write the host key to".to_owned(),
    })
}

fn local_file(action: &'static str, path: &Path, error: &std::io::Error) -> Kind {
    Kind::LocalFile { action, path: path.display().to_string(), cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn blob(kind: &str, byte: u8) -> Vec<u8> {
        let mut blob = (kind.len() as u32).to_be_bytes().to_vec();
        blob.extend(kind.bytes());
        blob.extend([0, 0, 0, 1, byte]);
        blob
    }

    fn printed(lines: &[(&str, &str, u8)]) -> String {
        let mut text = String::new();
        for (i, (start, kind, byte)) in lines.iter().enumerate() {
            let key = base64::encode(&blob(kind, *byte), true);
            text += &format!("# Host h found: line {} \n{start} {kind} {key} comment\n", i + 3);
        }
        text
    }

    fn known(lines: &[(&str, &str, u8)]) -> KnownKeys {
        KnownKeys { exact: parse("/kh", &printed(lines)), portless: Vec::new() }
    }

    fn judge(keys: &KnownKeys, kind: &str, byte: u8) -> KeyState {
        keys.judge(&blob(kind, byte), |_| "FP".to_owned())
    }

    #[test]
    fn a_key_is_known_changed_revoked_or_unknown() {
        let keys = known(&[("h", "ssh-rsa", 1), ("@revoked *", "ssh-ed25519", 2)]);
        assert_eq!(judge(&keys, "ssh-rsa", 1), KeyState::Known { at: "/kh:3".into() });
        assert_eq!(judge(&keys, "ssh-ed25519", 2), KeyState::Revoked { at: "/kh:4".into() });
        let changed = KeyState::Changed { at: "/kh:3".into(), known: "FP".into() };
        assert_eq!(judge(&keys, "ssh-rsa", 9), changed);
        assert_eq!(judge(&keys, "ssh-ed25519", 9), changed, "another type is no excuse");
        let authority = known(&[("@cert-authority *", "ssh-rsa", 1)]);
        assert_eq!(judge(&authority, "ssh-rsa", 1), KeyState::Unknown { only_authority: true });
        assert_eq!(judge(&known(&[]), "ssh-rsa", 1), KeyState::Unknown { only_authority: false });
    }

    #[test]
    fn a_name_without_port_can_vouch_but_not_accuse() {
        let keys = KnownKeys { exact: Vec::new(), portless: parse("/kh", &printed(&[("h", "ssh-rsa", 1)])) };
        assert_eq!(judge(&keys, "ssh-rsa", 1), KeyState::Known { at: "/kh:3".into() });
        assert_eq!(judge(&keys, "ssh-rsa", 2), KeyState::Unknown { only_authority: false });
    }

    #[test]
    fn the_known_type_is_asked_for_first() {
        let keys = known(&[("|1|abc|def", "ssh-rsa", 1)]);
        assert!(keys.algorithms().starts_with("rsa-sha2-512,rsa-sha2-256,ssh-ed25519,"));
        assert!(known(&[]).algorithms().starts_with("ssh-ed25519,ecdsa"));
    }

    #[test]
    fn a_file_is_made_to_vouch_for_a_host_under_all_its_names() {
        let names = ["h2-b".to_owned(), "[10.0.0.2]:2222".to_owned()];
        let line = |kind: &str, byte| format!("{kind} {}", base64::encode(&blob(kind, byte), true));
        let keys = [line("ssh-ed25519", 1), line("ssh-rsa", 2)];
        let merged = |text: &[u8]| merge(text, &names, &keys, &Cancel::new()).unwrap();
        let Merge::Changed(fresh) = merged(b"") else { panic!("nothing was added") };
        let text = String::from_utf8(fresh.clone()).unwrap();
        assert_eq!(text, format!("h2-b,[10.0.0.2]:2222 {}\nh2-b,[10.0.0.2]:2222 {}\n", keys[0], keys[1]));
        assert_eq!(merged(&fresh), Merge::Same);
        let old = format!("# mine\nh2-b {} old comment", keys[0]);
        let Merge::Changed(more) = merged(old.as_bytes()) else { panic!("nothing was added") };
        let added = format!("\n[10.0.0.2]:2222 {}\nh2-b,[10.0.0.2]:2222 {}\n", keys[0], keys[1]);
        assert_eq!(String::from_utf8(more).unwrap(), [old, added].concat());
        let stale = format!("# c\nh2-b {}\n", line("ssh-ed25519", 9));
        assert_eq!(merged(stale.as_bytes()), Merge::Conflict { name: "h2-b".into(), line: 2 });
        let revoked = format!("@revoked * {}\n", keys[1]);
        assert_eq!(merged(revoked.as_bytes()), Merge::Conflict { name: "h2-b".into(), line: 1 });
        // A type that the host no longer has is never asked for.
        let other = format!("h2-b {}\n", line("ecdsa-sha2-nistp256", 7));
        assert!(matches!(merged(other.as_bytes()), Merge::Changed(_)));
    }

    #[test]
    fn a_new_key_is_appended_once_to_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/known_hosts");
        let key = HostKey {
            name: "[h]:2222".into(),
            kind: "ssh-ed25519".into(),
            fingerprint: "SHA256:x".into(),
            blob: blob("ssh-ed25519", 1),
            state: KeyState::Unknown { only_authority: false },
        };
        append(&file, &key).unwrap();
        append(&file, &key).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.starts_with("[h]:2222 ssh-ed25519 AAAA"), "{text}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // A last line without its newline is not joined with ours.
        fs::write(&file, "other ssh-rsa AAAA").unwrap();
        append(&file, &key).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
    }
}
