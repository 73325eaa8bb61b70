//! What can be learned from a private key file without its passphrase.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::base64;

/// A private key file that can be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    /// The file's text.
    pub(super) private: String,
    /// The text of `<path>-cert.pub`, if there is one.
    pub(super) certificate: Option<String>,
    /// The public half in SSH's binary form, where it is known.
    pub(super) blob: Option<Vec<u8>>,
    /// Whether a passphrase is needed.
    pub(super) encrypted: bool,
}

/// Why a key file is not tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// There is none.
    Missing,
    /// In words.
    Because(String),
}

/// Looks at a key file.
///
/// As OpenSSH does, it refuses a key of ours that others may read.
pub(super) fn look(path: &Path) -> Result<KeyFile, Unusable> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        fs::read_to_string(name).ok()
    };
    let fail = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => Unusable::Missing,
        _ => Unusable::Because(e.to_string()),
    };
    let meta = fs::metadata(path).map_err(fail)?;
    if meta.uid() == nix::unistd::getuid().as_raw() && meta.mode() & 0o077 != 0 {
        return Err(Unusable::Because(format!(
            "its permissions {:04o} are too open, `chmod 600` it",
            meta.mode() & 0o7777
        )));
    }
    // Keys are a few KiB at most.
    if !meta.is_file() || meta.len() > 1 << 20 {
        return Err(Unusable::Because("it is not a key file".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(fail)?;
    let (encrypted, inner) =
        private(&text).ok_or_else(|| Unusable::Because("it is not a private key".to_owned()))?;
    let blob = beside(".pub").as_deref().and_then(blob).or(inner);
    Ok(KeyFile { path: path.to_owned(), private: text, certificate: beside("-cert.pub"), blob, encrypted })
}

/// The binary form of a line as `.pub` files have it: type, base64, comment.
pub(super) fn blob(line: &str) -> Option<Vec<u8>> {
    base64::decode(line.split_whitespace().nth(1)?)
}

/// The line as `.pub` files have it for a binary key.
pub(super) fn line(blob: &[u8]) -> Option<String> {
    Some(format!("{} {}", kind(blob)?, base64::encode(blob, true)))
}

/// Whether a certificate (in binary form) is for this key.
pub(super) fn certifies(certificate: &[u8], key: &[u8]) -> bool {
    // openssh/PROTOCOL.certkeys: type, nonce, then the fields of the plain key after its type.
    let (mut certificate, mut key) = (certificate, key);
    let (_, _nonce) = (string(&mut certificate), string(&mut certificate));
    string(&mut key).is_some() && !key.is_empty() && certificate.starts_with(key)
}

/// Whether the key needs a passphrase, and its public half if the format shows it.
fn private(text: &str) -> Option<(bool, Option<Vec<u8>>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    if !label.ends_with("PRIVATE KEY") {
        return None;
    }
    if label != "OPENSSH PRIVATE KEY" {
        // PKCS#8 says it in the label, the older PEM in a header.
        return Some((label.contains("ENCRYPTED") || rest.contains("Proc-Type: 4,ENCRYPTED"), None));
    }
    let (body, _) = rest.split_once("-----END")?;
    // openssh/PROTOCOL.key: magic, cipher, kdf, kdf options, number of keys, public key, …
    let bytes = base64::decode(body)?;
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let cipher = string(&mut rest)?;
    let (_kdf, _options) = (string(&mut rest)?, string(&mut rest)?);
    rest = rest.get(4..)?;
    let public = string(&mut rest)?;
    Some((cipher != b"none", Some(public.to_vec())))
}

/// SSH's `string`: a length of four bytes, and so many bytes.
pub(super) fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
    let (value, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(value)
}

/// The type that a binary public key names: `ssh-ed25519`.
pub(super) fn kind(blob: &[u8]) -> Option<String> {
    let mut rest = blob;
    String::from_utf8(string(&mut rest)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn keygen(args: &[&str], path: &Path) {
        let done = std::process::Command::new("ssh-keygen").args(["-q", "-f"]).arg(path).args(args).output();
        assert!(done.unwrap().status.success());
    }

    #[test]
    fn formats_tell_whether_a_passphrase_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        for (args, encrypted) in [
            (&["-t", "ed25519", "-N", ""][..], false),
            (&["-t", "ed25519", "-N", "secret"], true),
            (&["-t", "ecdsa", "-m", "PEM", "-N", ""], false),
            (&["-t", "ecdsa", "-m", "PEM", "-N", "secret"], true),
            (&["-t", "ecdsa", "-m", "PKCS8", "-N", "secret"], true),
        ] {
            let path = dir.path().join("key");
            let _ = fs::remove_file(&path);
            keygen(args, &path);
            let key = look(&path).unwrap();
            assert_eq!(key.encrypted, encrypted, "{args:?}");
            assert!(key.blob.is_some(), "{args:?}");
            if args[1] == "ed25519" {
                fs::remove_file(dir.path().join("key.pub")).unwrap();
                assert_eq!(look(&path).unwrap().blob, key.blob, "the private key shows its public half");
                assert_eq!(kind(&key.blob.unwrap()).as_deref(), Some("ssh-ed25519"));
            }
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_and_so_is_what_is_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert_eq!(look(&path), Err(Unusable::Missing));
        fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(look(&path), Err(Unusable::Because(why)) if why.contains("0644")));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(look(&path), Err(Unusable::Because(why)) if why.contains("not a private key")));
    }
}
