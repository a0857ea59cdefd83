//! A run's own folder, within the one for reports.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::atomic;

/// The file that tells a folder that gauntlet made from any other. A run holds a lock on it while it goes on.
const MARKER: &str = ".gauntlet-run";

/// The link to the folder that was made last.
const LATEST: &str = "latest";

/// Where evidence lies within the folder.
const EVIDENCE: &str = "evidence";

/// The time of the start, as it stands in a folder's name: `20261128T183005Z`.
const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// The folder of a run, made when the first file goes into it. Clones are the same folder.
///
/// Nothing that is there already is touched: the folder gets a name that no other has.
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
    /// None as long as there is no folder.
    path: Option<PathBuf>,
    /// The locked marker.
    lock: Option<File>,
    notes: Vec<String>,
}

impl Drop for Made {
    fn drop(&mut self) {
        // Closing isn't enough: a child process that was just started may have the file open for a moment.
        let _ = self.lock.as_ref().map(File::unlock);
    }
}

impl RunFolder {
    /// Of a run that started at this time, within the folder `reports`. Makes neither.
    pub fn new(reports: PathBuf, started: Timestamp) -> RunFolder {
        RunFolder(Arc::new(Inner {
            reports,
            stamp: started.strftime(STAMP).to_string(),
            made: Mutex::default(),
        }))
    }

    /// The folder that it is within.
    pub(super) fn reports(&self) -> &Path {
        &self.0.reports
    }

    /// Where evidence lies. The path is final once there is any.
    pub(super) fn evidence(&self) -> PathBuf {
        let made = self.made();
        let path = made.path.clone();
        path.unwrap_or_else(|| self.0.reports.join(&self.0.stamp))
            .join(EVIDENCE)
    }

    /// Its path, for a file to go into it: makes it, unless that was done before.
    ///
    /// # Errors
    /// The folder for reports can't be written into.
    pub(super) fn make(&self) -> io::Result<PathBuf> {
        let mut made = self.made();
        if let Some(path) = &made.path {
            return Ok(path.clone());
        }
        let reports = &self.0.reports;
        let (name, path) = create(reports, &self.0.stamp).map_err(|error| atomic::no_folder(reports, &error))?;
        made.lock = mark(&path);
        made.notes.extend(point(reports, &name).err());
        made.path = Some(path.clone());
        Ok(path)
    }

    /// What the user should know of it that is no reason to fail.
    pub fn notes(&self) -> Vec<String> {
        self.made().notes.clone()
    }

    /// Removes the oldest runs' folders beside it, so that `keep` are left, itself counted. Only such as
    /// gauntlet made, and none of a run that still goes on. Says what could not be removed.
    pub fn keep_newest(&self, keep: usize) -> Vec<String> {
        let reports = &self.0.reports;
        let mut runs = match runs(reports) {
            Ok(runs) => runs,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let reports = reports.display();
                return vec![format!("cannot look for folders of earlier runs in {reports}: {error}")];
            }
        };
        runs.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        let of_old = runs.iter().skip(keep);
        of_old
            .filter_map(|(_, folder)| {
                let error = remove(folder).err()?;
                let folder = folder.display();
                Some(format!("cannot remove the earlier run's folder {folder}: {error}"))
            })
            .collect()
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.0.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a folder of a name that no other has, also where several do so at once.
fn create(reports: &Path, stamp: &str) -> io::Result<(String, PathBuf)> {
    fs::create_dir_all(reports)?;
    let mut number = 1;
    loop {
        let name = match number {
            1 => stamp.to_owned(),
            number => format!("{stamp}-{number}"),
        };
        let path = reports.join(&name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok((name, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Marks a folder as gauntlet's, and gives the lock on the mark. Where files can't be locked there is no
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

/// Makes the link to the newest folder one to the folder `name`; says why it isn't.
fn point(reports: &Path, name: &str) -> Result<(), String> {
    let latest = reports.join(LATEST);
    if fs::symlink_metadata(&latest).is_ok_and(|found| !found.is_symlink()) {
        return Err(format!(
            "{} is no link, and is left as it is: this run's folder is {}",
            latest.display(),
            reports.join(name).display()
        ));
    }
    let hidden = reports.join(format!(".{LATEST}.{name}.tmp"));
    let pointed = std::os::unix::fs::symlink(name, &hidden).and_then(|()| fs::rename(&hidden, &latest));
    pointed.map_err(|error| {
        let _ = fs::remove_file(&hidden);
        format!("cannot make {} a link to {name}: {error}", latest.display())
    })
}

/// By time, and among those of one second by number.
type Order = (String, u32);

/// What a folder of this name is ordered by; none where it is no name of a run's folder.
fn order(name: &str) -> Option<Order> {
    let (stamp, number) = match name.split_once('-') {
        Some((stamp, number)) => (stamp, number.parse::<u32>().ok().filter(|number| *number > 1)?),
        None => (name, 1),
    };
    let form = stamp
        .bytes()
        .map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    form.eq(*b"00000000T000000Z").then(|| (stamp.to_owned(), number))
}

/// The folders of runs that gauntlet made.
fn runs(reports: &Path) -> io::Result<Vec<(Order, PathBuf)>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(reports)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let is_marked = || fs::symlink_metadata(path.join(MARKER)).is_ok_and(|found| found.is_file());
        if let Some(order) = name.to_str().and_then(order)
            && entry.file_type()?.is_dir()
            && is_marked()
        {
            runs.push((order, path));
        }
    }
    Ok(runs)
}

/// Removes the folder of a run that is over.
fn remove(folder: &Path) -> io::Result<()> {
    let marker = folder.join(MARKER);
    let lock = match File::options().write(true).open(&marker) {
        // Another run removes it as well.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    match lock.try_lock() {
        Ok(()) => {}
        // Its run still goes on, or another one removes it.
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // The mark last: what is left of a removal that broke off is still known as gauntlet's.
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false if entry.file_name() == MARKER => {}
            false => fs::remove_file(entry.path())?,
        }
    }
    fs::remove_file(&marker)?;
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_in(reports: &Path, started: &str) -> RunFolder {
        RunFolder::new(reports.to_owned(), started.parse().unwrap())
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn each_run_has_a_name_of_its_own_and_latest_leads_to_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let reports = folder.path().join("a/reports");
        let runs = [(); 3].map(|()| run_in(&reports, "2026-11-28T18:30:05.9Z"));
        assert!(!reports.exists(), "made before it is needed");
        let made: Vec<PathBuf> = runs.iter().map(|run| run.make().unwrap()).collect();
        for (run, path) in runs.iter().zip(&made) {
            assert_eq!(run.make().unwrap(), *path);
            assert_eq!(run.evidence(), path.join("evidence"));
            assert!(run.notes().is_empty());
        }
        let expected = ["20261128T183005Z", "20261128T183005Z-2", "20261128T183005Z-3", "latest"];
        assert_eq!(names(&reports), expected);
        assert_eq!(
            fs::read_link(reports.join("latest")).unwrap(),
            Path::new("20261128T183005Z-3")
        );
    }

    #[test]
    fn a_latest_that_is_no_link_is_left() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("latest"), "mine").unwrap();
        let run = run_in(folder.path(), "2026-11-28T18:30:05Z");
        run.make().unwrap();
        assert_eq!(fs::read(folder.path().join("latest")).unwrap(), b"mine");
        let notes = run.notes().join("\n");
        assert!(notes.contains("latest is no link"), "{notes}");
    }

    #[test]
    fn only_old_folders_of_runs_that_are_over_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let reports = folder.path();
        for foreign in ["20000101T000000Z", "20000101T000000Z-2", "mine"] {
            fs::create_dir(reports.join(foreign)).unwrap();
            fs::write(reports.join(foreign).join("file"), "mine").unwrap();
        }
        fs::write(reports.join("mine").join(MARKER), "").unwrap();
        let going_on = run_in(reports, "2026-11-28T18:30:01Z");
        going_on.make().unwrap();
        // Eleven of one second, by which an order of letters would go wrong.
        for _ in 0..11 {
            let made = run_in(reports, "2026-11-28T18:30:02Z").make().unwrap();
            fs::create_dir(made.join("evidence")).unwrap();
            fs::write(made.join("evidence/wire.txt"), "").unwrap();
        }
        let run = run_in(reports, "2026-11-28T18:30:03Z");
        run.make().unwrap();
        assert_eq!(run.keep_newest(3), [""; 0]);
        let left = [
            "20000101T000000Z",
            "20000101T000000Z-2",
            "20261128T183001Z",
            "20261128T183002Z-10",
            "20261128T183002Z-11",
            "20261128T183003Z",
            "latest",
            "mine",
        ];
        assert_eq!(names(reports), left);
        drop(going_on);
        assert_eq!(run.keep_newest(1), [""; 0]);
        let left = [
            "20000101T000000Z",
            "20000101T000000Z-2",
            "20261128T183003Z",
            "latest",
            "mine",
        ];
        assert_eq!(names(reports), left);
        assert_eq!(
            run_in(&reports.join("none"), "2026-11-28T18:30:03Z").keep_newest(1),
            [""; 0]
        );
    }
}
