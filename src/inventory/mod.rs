//! `hosts.toml`: which hosts there are and how they are reached.

mod check;
mod edit;
mod flaw;
mod read;
mod select;
mod trust;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use check::host_name;
pub use edit::{Editor, NewHost};
pub use read::parse;
pub use select::select;
pub use trust::trusted;

use crate::model::{Class, Diagnosis, Fault, Inventory};

/// An inventory of a few thousand hosts has less than one MiB.
const LARGEST: u64 = 16 << 20;

/// Where the inventory is, and whether somebody has named that place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// Named by `--inventory` or `$KVMSH_INVENTORY`: then it has to exist.
    pub named: bool,
}

/// `--inventory`, else `$KVMSH_INVENTORY`, else `kvmsh/hosts.toml` in the
/// configuration directory; `None` where there is no home directory.
pub fn locate(option: Option<&Path>) -> Option<Location> {
    let env = || std::env::var_os("KVMSH_INVENTORY").filter(|value| !value.is_empty()).map(PathBuf::from);
    match option.map(Path::to_owned).or_else(env) {
        Some(path) => Some(Location { path, named: true }),
        None => dirs::config_dir().map(|dir| Location { path: dir.join("kvmsh/hosts.toml"), named: false }),
    }
}

/// Reads the inventory; empty when there is none and none was named.
///
/// # Errors
/// `inventory`, of the class Usage, with the place in the file.
pub fn load(location: Option<&Location>) -> Result<Inventory, Diagnosis> {
    let Some(Location { path, named }) = location else { return Ok(Inventory::default()) };
    match read_trusted(path) {
        Ok(Some(text)) => parse(path, &text),
        Ok(None) if !named => Ok(Inventory::default()),
        Ok(None) => Err(Fault::new("inventory", format!("no inventory at {}", path.display()))
            .class(Class::Usage)
            .hint("check --inventory and $KVMSH_INVENTORY, or create it with: kvmsh hosts add NAME ADDRESS")
            .into()),
        Err(fault) => Err(fault.into()),
    }
}

/// The file's text, `None` if there is no such file.
fn read_trusted(path: &Path) -> Result<Option<String>, Fault> {
    let fail = |cause: String| {
        Fault::new("inventory", format!("cannot read the inventory {}", path.display()))
            .class(Class::Usage)
            .because(cause)
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(e.to_string())),
    };
    trusted(path, &file)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(fail("it is larger than 16 MiB: that is no inventory".to_owned()));
    }
    String::from_utf8(bytes).map(Some).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        fail(format!("line {} is not UTF-8 text", line + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_inventory_has_to_exist_and_the_usual_one_does_not() {
        let path = PathBuf::from("/nonexistent/hosts.toml");
        assert_eq!(load(Some(&Location { path: path.clone(), named: false })), Ok(Inventory::default()));
        let diagnosis = load(Some(&Location { path, named: true })).unwrap_err();
        assert_eq!(diagnosis.fault.class, Class::Usage);
    }
}
