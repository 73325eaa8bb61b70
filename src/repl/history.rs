//! What was typed, in a file that parallel sessions share.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::model::Fault;

/// How many entries are kept.
pub(super) const ENTRIES: usize = 10_000;

/// The first line of rustyline's format in which entries may span lines.
const FORMAT: &[u8] = b"#V2\n";

/// Makes the file, unless it is there, for nobody else to read.
///
/// # Errors
/// `history`: it cannot be made.
pub(super) fn prepare() -> Result<PathBuf, Fault> {
    let state = dirs::state_dir().ok_or_else(|| {
        Fault::new("history", "history is not kept: there is no home directory to keep it in")
    })?;
    let path = state.join("kvmsh/history");
    make(&path).map_err(|error| {
        Fault::new("history", format!("history is not kept: cannot write {}", path.display()))
            .because(error.to_string())
    })?;
    Ok(path)
}

fn make(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    // It has to be there before two sessions append to it: the one that made it
    // then would cut off what the other has written.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(FORMAT),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_for_its_owner_alone_even_if_it_was_not_before() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state/kvmsh/history");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        make(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        make(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(std::fs::read(&path).unwrap(), FORMAT);
    }
}
