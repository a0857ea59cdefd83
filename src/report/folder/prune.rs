//! Removes the folders of earlier runs.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::name::{Order, order};
use super::{MARKER, latest};

/// A folder that gauntlet made for a run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    order: Order,
    name: String,
}

/// The outcome of removing a folder.
#[derive(Debug, PartialEq, Eq)]
enum Became {
    Gone,
    /// gauntlet's files are removed; somebody else's files and the folder remain.
    Theirs,
    /// Its run still goes on.
    Stays,
}

/// Removes the oldest runs' folders, so that `keep` are left, the one called `own` among them. Says what was left
/// and why.
pub(super) fn prune(reports: &Path, own: Option<&str>, keep: usize) -> Vec<String> {
    let mut left = match runs(reports) {
        Ok(runs) => runs,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let reports = reports.display();
            return vec![format!("cannot look for folders of earlier runs in {reports}: {error}")];
        }
    };
    let others: Vec<Run> = left
        .iter()
        .filter(|run| Some(run.name.as_str()) != own)
        .cloned()
        .collect();
    let others_kept = keep.saturating_sub(left.len() - others.len());
    let excess = others.len().saturating_sub(others_kept);
    let mut notes = Vec::new();
    for run in others.into_iter().take(excess) {
        left.remove(&run);
        let Some(newest) = left.last() else { break };
        let folder = reports.join(&run.name);
        match remove(reports, &run.name, &newest.name) {
            Ok(Became::Gone) => {}
            Ok(Became::Theirs) => notes.push(format!(
                "the earlier run's folder {} stays: there is something in it that gauntlet did not write",
                folder.display()
            )),
            Ok(Became::Stays) => {
                left.insert(run);
            }
            Err(error) => {
                let folder = folder.display();
                notes.push(format!("cannot remove the earlier run's folder {folder}: {error}"));
                left.insert(run);
            }
        }
    }
    // Somebody may have removed by hand what it leads to.
    if let Some(newest) = left.last()
        && let Err(error) = latest::mend(reports, None, &newest.name)
    {
        notes.push(format!("cannot lead `latest` to {}: {error}", newest.name));
    }
    notes
}

/// The folders of runs that gauntlet made.
fn runs(reports: &Path) -> io::Result<BTreeSet<Run>> {
    let mut runs = BTreeSet::new();
    for entry in fs::read_dir(reports)? {
        let entry = entry?;
        let path = entry.path();
        let is_folder = || entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_marked = || fs::symlink_metadata(path.join(MARKER)).is_ok_and(|found| found.is_file());
        if let Ok(name) = entry.file_name().into_string()
            && let Some(order) = order(&name)
            && is_folder()
            && is_marked()
        {
            runs.insert(Run { order, name });
        }
    }
    Ok(runs)
}

/// Removes the folder of a run that is over. `newest` is where `latest` leads to then, if it led to this one.
fn remove(reports: &Path, name: &str, newest: &str) -> io::Result<Became> {
    let folder = reports.join(name);
    let marker = folder.join(MARKER);
    let mut mark = match File::options().read(true).write(true).open(&marker) {
        // Another run has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Became::Gone),
        opened => opened?,
    };
    match mark.try_lock() {
        Ok(()) => {}
        // Its run still goes on, or another one removes it.
        Err(TryLockError::WouldBlock) => return Ok(Became::Stays),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Another run may have removed it before this one had the lock.
    if !is_at(&mark, &marker)? {
        return Ok(Became::Gone);
    }
    let mut record = String::new();
    mark.read_to_string(&mut record)?;
    latest::mend(reports, Some(name), newest)?;
    clear(&folder, &files(&record))?;
    // The mark last: what is left of a removal that broke off is still known as gauntlet's.
    if_there(fs::remove_file(&marker))?;
    match fs::remove_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(Became::Theirs),
        removed => if_there(removed).map(|()| Became::Gone),
    }
}

/// Whether an open file is the one at a path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|found| (found.dev(), found.ino()) == (open.dev(), open.ino())),
    }
}

/// The files that a mark names. A line that has no end is of a run that was killed before it wrote the file.
fn files(record: &str) -> BTreeSet<PathBuf> {
    let lines = record.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let is_within = |path: &PathBuf| path.components().all(|part| matches!(part, Component::Normal(_)));
    lines
        .filter(|line| !line.is_empty())
        .map(PathBuf::from)
        .filter(is_within)
        .collect()
}

/// Removes these files of a folder, and the folders within it that are empty then.
fn clear(folder: &Path, files: &BTreeSet<PathBuf>) -> io::Result<()> {
    // Not behind a link, which gauntlet doesn't make.
    let is_folder = |within: &Path| fs::symlink_metadata(folder.join(within)).is_ok_and(|found| found.is_dir());
    let mut folders = BTreeSet::from([PathBuf::new()]);
    for file in files {
        let above = || file.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty());
        if above().all(is_folder) {
            folders.extend(above().map(Path::to_owned));
        }
    }
    // What is deeper comes later in their order.
    for within in folders.iter().rev() {
        let entries = match fs::read_dir(folder.join(within)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let is_file = !entry.file_type().is_ok_and(|kind| kind.is_dir());
            let is_written = |name: &Path| files.contains(&within.join(name));
            let is_left_over = || {
                name.to_str()
                    .and_then(of_temporary)
                    .is_some_and(|of| is_written(of.as_ref()))
            };
            if is_file && (is_written(name.as_ref()) || is_left_over()) {
                if_there(fs::remove_file(entry.path()))?;
            }
        }
        if !within.as_os_str().is_empty() {
            match fs::remove_dir(folder.join(within)) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                removed => if_there(removed)?,
            }
        }
    }
    Ok(())
}

/// The name of the file that a temporary one was to become, had its run not been killed.
fn of_temporary(name: &str) -> Option<&str> {
    let (name, process) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    process.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)
}

/// A folder already removed by another run is fine.
fn if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
