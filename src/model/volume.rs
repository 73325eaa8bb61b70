//! A volume as a person describes it.

use super::pool::file_name;
use super::{Bytes, Class, Fault};

/// What a volume is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeSpec {
    /// Name.
    pub name: String,
    /// The size that a guest sees.
    pub capacity: Bytes,
    /// What is taken at once.
    pub allocation: Bytes,
    /// `raw`, `qcow2`, ….
    pub format: String,
    /// Room for the tables of a qcow2 image is taken at once.
    pub metadata: bool,
    /// The image below: path on the host, and format.
    pub backing: Option<(String, String)>,
    /// Permissions.
    pub mode: Option<u32>,
    /// Owner by number.
    pub owner: Option<i64>,
    /// Group by number.
    pub group: Option<i64>,
}

impl VolumeSpec {
    /// Checks what libvirt would say in other words, or not at all.
    ///
    /// # Errors
    /// `invalid_name`, `invalid_volume`.
    pub fn check(&self) -> Result<(), Fault> {
        file_name("volume", &self.name)?;
        let refuse = |message: String| Err(Fault::new("invalid_volume", message).class(Class::Refused));
        let name = &self.name;
        if self.capacity == Bytes(0) && self.backing.is_none() {
            return refuse(format!("the volume {name} has no size"));
        }
        if self.metadata && self.format != "qcow2" {
            return refuse(format!(
                "the volume {name}: only qcow2 has metadata to preallocate, {} has none",
                self.format
            ));
        }
        if let Some((path, _)) = &self.backing {
            if self.format == "raw" {
                return refuse(format!(
                    "the volume {name}: a raw volume has no backing file, a qcow2 one may"
                ));
            }
            if !path.starts_with('/') {
                return refuse(format!(
                    "the volume {name}: the backing file is a path on the host, not {path:?}"
                ));
            }
        }
        Ok(())
    }
}
