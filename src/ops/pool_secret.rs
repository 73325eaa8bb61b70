//! The secrets of pools: libvirt keeps them, and gives them to nobody but its own drivers.

use super::Host;
use crate::gate::Change;
use crate::libvirt::Connection;
use crate::model::pool::{KeptSecret, SecretKind};
use crate::model::{Class, Fault, base64, secret};
use crate::xml;

impl Host {
    /// What libvirt keeps here: names, never values.
    ///
    /// # Errors
    /// `no_support` of drivers without secrets; what libvirt said.
    pub fn secrets(&self) -> Result<Vec<KeptSecret>, Fault> {
        let texts = self.ask(Connection::secrets)?;
        let mut kept = texts.iter().map(|text| xml::secret::kept(text)).collect::<Result<Vec<_>, _>>()?;
        kept.sort_by(|a, b| a.usage.cmp(&b.usage));
        Ok(kept)
    }

    /// Has libvirt keep a secret under a usage name, on its disk, and readable for its own drivers alone.
    ///
    /// # Errors
    /// `invalid_secret` for a Ceph key that is none; what libvirt said. None of them has the value.
    pub fn define_secret(&self, kind: SecretKind, usage: &str, value: &str) -> Result<(), Fault> {
        secret::remember(value);
        let refuse = |why: &str| {
            Fault::new("invalid_secret", format!("the secret {usage}: {why}"))
                .class(Class::Refused)
                .on_host(self.name())
        };
        if usage.trim().is_empty() || usage.chars().any(char::is_control) {
            return Err(refuse("its usage name is empty, or has control characters in it"));
        }
        let value = match kind {
            // libvirt keeps the bytes and writes the text of them itself.
            SecretKind::Ceph => base64::decode(value).filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
                refuse("a key of Ceph's is a text in Base64, as `ceph auth get-key` prints it")
            })?,
            SecretKind::Iscsi if value.is_empty() => return Err(refuse("it is empty")),
            SecretKind::Iscsi => value.as_bytes().to_vec(),
        };
        let text = xml::build::secret(kind, usage)?;
        // A driver without secrets says so when it is told to keep one.
        let known = self.secrets().unwrap_or_default();
        let known = known.into_iter().find(|one| one.usage == usage && one.kind == kind.word());
        let uuid = known.as_ref().map(|one| one.uuid.as_str());
        let change = Change::new(self.name(), "secret", usage, "keep").detail(kind.word().to_owned());
        let connection = self.connection()?;
        self.change(change, |permit| connection.keep_secret(permit, uuid, &text, &value)).map(drop)
    }

    /// Has libvirt forget a secret; tells whether there was one.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn remove_secret(&self, usage: &str) -> Result<bool, Fault> {
        let ours = |one: &KeptSecret| {
            [SecretKind::Ceph, SecretKind::Iscsi].iter().any(|kind| kind.word() == one.kind)
        };
        let kept: Vec<KeptSecret> =
            self.secrets()?.into_iter().filter(|one| one.usage == usage && ours(one)).collect();
        for one in &kept {
            let change = Change::new(self.name(), "secret", usage, "forget").detail(one.kind.clone());
            let connection = self.connection()?;
            self.change(change, |permit| connection.forget_secret(permit, &one.uuid))?;
        }
        Ok(!kept.is_empty())
    }
}
