//! Secrets that libvirt keeps for pools and disks.

use virt::connect::Connect;
use virt::secret::Secret;

use super::{Connection, Error};
use crate::gate::Permit;

/// The one of this UUID.
fn find(connect: &Connect, uuid: &str) -> Result<Option<Secret>, virt::error::Error> {
    for secret in connect.list_all_secrets(0)? {
        if secret.uuid_string()? == uuid {
            return Ok(Some(secret));
        }
    }
    Ok(None)
}

impl Connection {
    /// The XML of all of them, which never has a value. (`Secret::usage_id` of the crate frees what is libvirt's.)
    ///
    /// # Errors
    /// What libvirt said.
    pub fn secrets(&self) -> Result<Vec<String>, Error> {
        self.call(|c| {
            let secrets = c.list_all_secrets(0)?;
            secrets.iter().map(|secret| secret.xml_desc(0)).collect::<Result<Vec<_>, virt::error::Error>>()
        })
    }

    /// Keeps a value: in the secret of this UUID where there is one, else in a new one of this description.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn keep_secret(&self, _: &Permit, uuid: Option<&str>, xml: &str, value: &[u8]) -> Result<(), Error> {
        let (uuid, xml, value) = (uuid.map(str::to_owned), xml.to_owned(), value.to_vec());
        self.tell(move |c| -> Result<(), virt::error::Error> {
            if let Some(uuid) = uuid
                && let Some(secret) = find(c, &uuid)?
            {
                return secret.set_value(&value, 0);
            }
            let secret = c.define_secret_xml(&xml, 0)?;
            // Without its value it is of no use to anybody.
            secret.set_value(&value, 0).inspect_err(|_| drop(secret.undefine()))
        })
    }

    /// Forgets the secret of this UUID.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn forget_secret(&self, _: &Permit, uuid: &str) -> Result<(), Error> {
        let uuid = uuid.to_owned();
        self.tell(move |c| find(c, &uuid)?.map_or(Ok(()), |secret| secret.undefine()))
    }
}
