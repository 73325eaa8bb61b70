//! XML: typed reads with quick-xml and serde; edits that leave every other byte alone.

pub mod build;
pub mod clone;
pub mod cpu;
pub mod domain;
pub mod edit;
pub mod host;
pub mod pool;
pub mod secret;

use crate::model::Fault;

/// Why an XML description could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {what} XML cannot be read: {why}")]
pub struct Error {
    what: &'static str,
    why: String,
}

impl Error {
    fn new(what: &'static str, why: impl ToString) -> Self {
        Self { what, why: why.to_string() }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new("xml_error", error.to_string())
    }
}

/// Reads a description into a serde type.
fn read<'de, T: serde::Deserialize<'de>>(what: &'static str, xml: &'de str) -> Result<T, Error> {
    quick_xml::de::from_str(xml).map_err(|error| Error::new(what, error))
}
