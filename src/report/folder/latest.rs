//! The link `latest`, to the folder of the run that started last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::name::order;

/// Its name.
const LATEST: &str = "latest";

/// What is in the link's place.
enum Found {
    Nothing,
    /// A link to a run's folder of this name, which may be gone.
    Run(String),
    /// Somebody's own; in words, what it is.
    Foreign(String),
}

/// Why the link does not lead to a run's folder.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(
        "{} {what}, and is left as it is: this run's folder is {}",
        .link.display(),
        .folder.display()
    )]
    Foreign {
        link: PathBuf,
        /// In words.
        what: String,
        folder: PathBuf,
    },
    #[error("cannot make {} a link to {name}: {source}", .link.display())]
    Replace {
        link: PathBuf,
        name: String,
        source: io::Error,
    },
}

/// Leads the link to the folder `name`, unless it leads to that of a run that started later.
///
/// # Errors
/// It is somebody's own or can't be made.
pub(super) fn lead(reports: &Path, name: &str) -> Result<(), LinkError> {
    let link = reports.join(LATEST);
    match found(reports) {
        Found::Foreign(what) => Err(LinkError::Foreign {
            link,
            what,
            folder: reports.join(name),
        }),
        Found::Run(other) if reports.join(&other).is_dir() && order(&other) > order(name) => Ok(()),
        Found::Run(_) | Found::Nothing => replace(reports, name).map_err(|source| LinkError::Replace {
            link,
            name: name.to_owned(),
            source,
        }),
    }
}

/// Leads the link to the folder `name` where it leads to one that is gone, or to `leaving`, which is about to go.
pub(super) fn mend(reports: &Path, leaving: Option<&str>, name: &str) -> io::Result<()> {
    match found(reports) {
        Found::Run(to) if leaving == Some(to.as_str()) || !reports.join(&to).is_dir() => replace(reports, name),
        _ => Ok(()),
    }
}

fn found(reports: &Path) -> Found {
    let latest = reports.join(LATEST);
    match fs::symlink_metadata(&latest) {
        Err(_) => return Found::Nothing,
        Ok(found) if !found.is_symlink() => return Found::Foreign("isn't a link".to_owned()),
        Ok(_) => {}
    }
    let Ok(to) = fs::read_link(&latest) else {
        return Found::Nothing;
    };
    match run_of(reports, &to) {
        Some(name) => Found::Run(name),
        None => Found::Foreign(format!(
            "leads to {}, which isn't a run's folder beside it",
            to.display()
        )),
    }
}

/// The name of the run's folder within `reports` that a link there leads to.
fn run_of(reports: &Path, to: &Path) -> Option<String> {
    let name = to.file_name()?.to_str()?;
    order(name)?;
    let beside = to.parent()?;
    let is_beside = beside.as_os_str().is_empty()
        || fs::canonicalize(reports.join(beside)).ok()? == fs::canonicalize(reports).ok()?;
    is_beside.then(|| name.to_owned())
}

/// Whoever looks finds the old link or the new one.
fn replace(reports: &Path, name: &str) -> io::Result<()> {
    let hidden = reports.join(format!(".{LATEST}.{name}.{}.tmp", std::process::id()));
    // One of the same process number may have been left by a crash.
    let _ = fs::remove_file(&hidden);
    let replaced = std::os::unix::fs::symlink(name, &hidden).and_then(|()| fs::rename(&hidden, reports.join(LATEST)));
    if replaced.is_err() {
        let _ = fs::remove_file(&hidden);
    }
    replaced
}
