//! A run's own folder, within the one for reports.

mod latest;
mod name;
mod prune;
#[cfg(test)]
mod tests;
mod turn;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::atomic;
use turn::Turn;

/// The file that tells a folder that gauntlet made from any other, and names what gauntlet wrote into it. A run
/// holds a lock on it while it goes on.
const MARKER: &str = ".gauntlet-run";

/// Where evidence lies within the folder.
pub(super) const EVIDENCE: &str = "evidence";

/// The folder of a run, made when the first file goes into it. Clones are the same folder.
///
/// Nothing existing is touched: the folder gets a unique name.
#[derive(Clone, Debug)]
pub struct RunFolder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reports: PathBuf,
    stamp: String,
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    /// Its name and its path; none as long as there is no folder.
    folder: Option<(String, PathBuf)>,
    /// The marker, locked.
    mark: Option<File>,
    notes: Vec<String>,
}

impl Made {
    /// Others may remove it from now on.
    fn release(&self) {
        // Closing isn't enough: a child process that was just started may have the file open for a moment.
        let _ = self.mark.as_ref().map(File::unlock);
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.release();
    }
}

impl RunFolder {
    /// Of a run that started at this time, within the folder `reports`. Makes neither.
    pub fn new(reports: PathBuf, started: Timestamp) -> RunFolder {
        RunFolder(Arc::new(Inner {
            reports,
            stamp: started.strftime(name::STAMP).to_string(),
            made: Mutex::default(),
        }))
    }

    /// Of a run that is over, whose evidence lies in this folder.
    pub(super) fn of_evidence(evidence: &Path) -> RunFolder {
        let path = evidence.parent().unwrap_or(Path::new("")).to_owned();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        RunFolder(Arc::new(Inner {
            reports: path.parent().unwrap_or(Path::new("")).to_owned(),
            stamp: name.clone(),
            made: Mutex::new(Made {
                folder: Some((name, path)),
                mark: None,
                notes: Vec::new(),
            }),
        }))
    }

    /// The folder that it is within.
    pub(super) fn reports(&self) -> &Path {
        &self.0.reports
    }

    /// Where evidence lies. The path is final once there is any.
    pub(super) fn evidence(&self) -> PathBuf {
        let made = self.made();
        let folder = made.folder.as_ref().map(|(_, path)| path.clone());
        folder
            .unwrap_or_else(|| self.0.reports.join(&self.0.stamp))
            .join(EVIDENCE)
    }

    /// Its path, for a file to go into it: makes it, unless that was done before.
    ///
    /// # Errors
    /// The folder for reports can't be written into.
    pub(super) fn make(&self) -> io::Result<PathBuf> {
        let mut made = self.made();
        if let Some((_, path)) = &made.folder {
            return Ok(path.clone());
        }
        let reports = &self.0.reports;
        let no_folder = |error: io::Error| atomic::no_folder(reports, &error);
        fs::create_dir_all(reports).map_err(no_folder)?;
        let turn = Turn::take(reports);
        let (name, path) = create(reports, &self.0.stamp).map_err(no_folder)?;
        made.mark = mark(&path);
        if let Err(error) = latest::lead(reports, &name) {
            made.notes.push(error.to_string());
        }
        drop(turn);
        made.folder = Some((name, path.clone()));
        Ok(path)
    }

    /// Remembers that a file of the folder, which is about to be written, is gauntlet's: nothing else is ever
    /// removed with the folder.
    ///
    /// # Errors
    /// The folder can't be written into.
    pub(super) fn record(&self, file: &Path) -> io::Result<()> {
        let made = self.made();
        if let (Some((_, path)), Some(mut mark)) = (&made.folder, made.mark.as_ref())
            && let Ok(within) = file.strip_prefix(path)
        {
            let line = format!("{}\n", within.display());
            mark.write_all(line.as_bytes())
                .map_err(|error| atomic::no_folder(path, &error))?;
        }
        Ok(())
    }

    /// Notes for the user that are no reason to fail.
    pub fn notes(&self) -> Vec<String> {
        self.made().notes.clone()
    }

    /// Removes the oldest runs' folders beside it, so that `keep` are left, itself counted. Only what gauntlet
    /// wrote, and none of a run that still goes on. Says what could not be removed.
    ///
    /// The run is over by this: of several that end at once the last one finds no other that it must spare.
    pub fn keep_newest(&self, keep: usize) -> Vec<String> {
        let made = self.made();
        let _turn = Turn::take(&self.0.reports);
        made.release();
        let own = made.folder.as_ref().map(|(name, _)| name.as_str());
        prune::prune(&self.0.reports, own, keep)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a folder of a name that no other has, also where several do so at once.
fn create(reports: &Path, stamp: &str) -> io::Result<(String, PathBuf)> {
    let mut number = name::next(reports, stamp)?;
    loop {
        let name = name::of(stamp, number);
        let path = reports.join(&name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok((name, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = number.checked_add(1).ok_or(error)?
            }
            Err(error) => return Err(error),
        }
    }
}

/// Marks a folder as gauntlet's, and gives the locked mark. Where files can't be locked there is no
/// mark: such a folder is never removed.
fn mark(folder: &Path) -> Option<File> {
    // The mark must never be there unlocked while the run goes on.
    let unlocked = folder.join(format!("{MARKER}.tmp"));
    let file = File::create_new(&unlocked).ok()?;
    let marked = file.lock().and_then(|()| fs::rename(&unlocked, folder.join(MARKER)));
    if marked.is_err() {
        let _ = fs::remove_file(&unlocked);
        return None;
    }
    Some(file)
}
