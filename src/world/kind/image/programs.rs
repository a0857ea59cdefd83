//! The machine's own shell and small programs, for the image: what scenarios and visitors of a terminal use.
//!
//! The embedded target runs the same files, so both targets have the same shell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layer::Content;
use super::libraries::{self, System};
use super::{ImageError, elf};

/// What is in the image beside gauntlet; `--base-image` is there for more.
const PROGRAMS: [&str; 15] = [
    "awk", "cat", "chmod", "env", "ls", "mkdir", "mv", "printenv", "rm", "sh", "sleep", "stat", "stty", "tr",
    "truncate",
];

/// Where they are searched for, and where they are in the image.
const FOLDERS: [&str; 2] = ["/usr/bin", "/bin"];

/// Where the codex CLI is in the image: containers have its folder on their `PATH`.
const CODEX: &str = "/usr/local/bin/codex";

/// The certificates that a program trusts: codex may read them before it connects to anybody.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The programs with their libraries, by path in the image; and whether a loader finds one of those only by its cache.
///
/// A file has its own path, and each name links to it: of busybox there is one file for all names.
///
/// # Errors
/// A program that is not there, is no program of this machine, or lacks a library.
pub fn parts(machine: u16, system: &System) -> Result<(BTreeMap<PathBuf, Content>, bool), ImageError> {
    let mut parts = BTreeMap::new();
    let mut by_cache = false;
    for name in PROGRAMS {
        let host = find(name, system)?;
        let image = system.image(&host);
        let program = elf::read(&host)?;
        if program.machine != machine {
            return Err(ImageError::OtherMachine { path: host });
        }
        let closure = libraries::closure(&program, &host, &image, system)?;
        by_cache |= closure.by_cache;
        for found in closure.files {
            parts.insert(found.image, Content::of_file(&found.host, 0o755)?);
        }
        for folder in FOLDERS {
            let link = Path::new(folder).join(name);
            if link != image {
                parts.insert(link, Content::Link(image.clone()));
            }
        }
        parts.insert(image, Content::of_file(&host, 0o755)?);
    }
    Ok((parts, by_cache))
}

/// The codex CLI, a program of this machine, with what it needs; and whether a loader finds a library only by its cache.
///
/// # Errors
/// As for [`parts`].
pub fn codex(host: &Path, machine: u16, system: &System) -> Result<(BTreeMap<PathBuf, Content>, bool), ImageError> {
    let program = elf::read(host)?;
    if program.machine != machine {
        return Err(ImageError::OtherMachine { path: host.to_owned() });
    }
    let closure = libraries::closure(&program, host, Path::new(CODEX), system)?;
    let mut parts = BTreeMap::from([(PathBuf::from(CODEX), Content::of_file(host, 0o755)?)]);
    for found in closure.files {
        parts.insert(found.image, Content::of_file(&found.host, 0o755)?);
    }
    let trusted = system.host(Path::new(TRUSTED));
    if trusted.is_file() {
        parts.insert(TRUSTED.into(), Content::of_file(&trusted, 0o644)?);
    }
    Ok((parts, closure.by_cache))
}

/// The file of a program, links followed.
fn find(name: &'static str, system: &System) -> Result<PathBuf, ImageError> {
    let paths = FOLDERS.map(|folder| system.host(&Path::new(folder).join(name)));
    paths
        .iter()
        .find_map(|path| path.canonicalize().ok())
        .ok_or_else(|| ImageError::Program {
            name,
            searched: FOLDERS
                .map(|folder| system.host(Path::new(folder)).display().to_string())
                .join(" and "),
        })
}
