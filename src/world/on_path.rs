//! Programs of this machine.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The first program of that name in the folders of `PATH`.
pub fn find(name: &str, path: Option<&str>) -> Option<PathBuf> {
    let is_program = |file: &PathBuf| {
        std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let folders = std::env::split_paths(path.unwrap_or_default());
    folders.map(|folder| folder.join(name)).find(is_program)
}
