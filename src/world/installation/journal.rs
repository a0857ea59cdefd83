//! The undo journal: what a run is about to change, on disk before it is changed.
//!
//! A line of JSON for each change, the first one says where. It holds references only: values that are
//! to be put back are kept in the cluster (`super::changes`).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::file_input;
use crate::profile::operations::Command;

/// Why a journal can't be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{doing} the undo journal {}: {source}", path.display())]
pub struct JournalError {
    pub doing: &'static str,
    pub path: PathBuf,
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Where a run is, so that what it changed can be found again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Head {
    /// The run's own name, that labels all that it makes.
    pub run: String,
    /// RFC 3339.
    pub started: String,
    /// None if only doors are known.
    pub cluster: Option<ClusterAt>,
    /// The installation's names.
    pub names: BTreeMap<String, String>,
    /// How its roads are gone, by name of the road.
    pub roads: BTreeMap<String, String>,
    /// Where secrets come from: `token` → `env:NAME` or `file:PATH`.
    pub secrets: BTreeMap<String, String>,
    /// The commands that operate it, by name of the operation.
    #[serde(default)]
    pub operations: BTreeMap<String, Command>,
    /// The folder they run in.
    #[serde(default)]
    pub folder: PathBuf,
    /// The file of further authorities.
    pub ca: Option<PathBuf>,
    /// Whether any certificate is accepted.
    #[serde(default)]
    pub insecure: bool,
}

/// A cluster, as a kubeconfig leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterAt {
    pub kubeconfig: Vec<PathBuf>,
    pub context: Option<String>,
    pub namespace: String,
}

/// Something that is about to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Entry {
    /// A key of a Secret. What it was is kept under `SECRET.KEY`.
    Secret {
        name: String,
        key: String,
        /// Whether there was a value.
        was_there: bool,
        /// SHA-256 of what is put there.
        wrote: String,
    },
    /// The annotation that restarts a deployment.
    Restart {
        deployment: String,
        was: Option<String>,
        wrote: String,
    },
    /// A key of the token's secret, changed by command. Its old value is kept in the secret, under another key.
    Key {
        key: String,
        /// Whether there was a value.
        was_there: bool,
        /// SHA-256 of the new value; `gone` if it is removed, `any` if only the platform knows it.
        wrote: String,
    },
    /// A restart by command: of `web` or `worker`.
    RestartByCommand { role: String },
    /// A part of the platform that a command changes until it is undone, by the name of the operation.
    Turned { operation: String },
    /// The warm pods that are there before the token changes.
    WarmPods { names: Vec<String> },
    /// A session is being made: until there is an answer nobody knows its id.
    SessionBegun,
    /// It was made.
    Session { id: String },
    /// It was not made, or is found and deleted.
    SessionNotMade,
    /// A session is deleted.
    SessionDeleted { id: String },
    /// All before is put back, less sessions.
    Undone,
}

/// The changes that stand when another entry has come.
fn follow(entries: &mut Vec<Entry>, next: Entry) {
    match next {
        Entry::Undone => entries.retain(|entry| matches!(entry, Entry::Session { .. } | Entry::SessionBegun)),
        Entry::SessionNotMade => answered(entries),
        Entry::Session { .. } => {
            answered(entries);
            entries.push(next);
        }
        Entry::SessionDeleted { id } => entries.retain(|entry| *entry != Entry::Session { id: id.clone() }),
        next => entries.push(next),
    }
}

/// One fewer is being created.
fn answered(entries: &mut Vec<Entry>) {
    if let Some(begun) = entries.iter().position(|entry| *entry == Entry::SessionBegun) {
        entries.remove(begun);
    }
}

/// The journal of a run that goes on. Its lock ends with the process.
pub struct Journal {
    pub path: PathBuf,
    pub head: Head,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    /// Bytes of the lines that are whole.
    length: u64,
    /// The entries that are not undone.
    entries: Vec<Entry>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // A child that is being started has the file for a moment longer, and the lock with it.
        let _ends_with_the_process = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Journal {
    /// A new one in a folder, which is made where it isn't there.
    pub fn create(folder: &Path, head: Head) -> Result<Journal, JournalError> {
        let path = folder.join(format!("{}.jsonl", head.run));
        let failed = |error: io::Error| failed("creating", &path, error);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        let length = match append(&mut file, 0, &head) {
            Ok(length) => length,
            Err(error) => {
                let _stays_empty = std::fs::remove_file(&path);
                return Err(failed(error));
            }
        };
        // Some file systems can't sync a folder; the file itself is synced.
        let _unsynced = File::open(folder).and_then(|folder| folder.sync_all());
        let open = Mutex::new(Open {
            file,
            length,
            entries: Vec::new(),
        });
        Ok(Journal { path, head, open })
    }

    /// One that a run left; none if the run did not come to write its first line, and so changed nothing.
    ///
    /// # Errors
    /// One of a run that still goes on, or that can't be read. A last line that is cut short is of a
    /// change that was not made.
    pub fn open(path: &Path) -> Result<Option<Journal>, JournalError> {
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| JournalError {
            doing: "reading",
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .append(true)
            .read(true)
            .open(path)
            .map_err(|e| wrong(e.into()))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => wrong("its run is still in progress".into()),
            error => wrong(error.into()),
        })?;
        let text = file_input::read_text(path, file_input::OWN).map_err(|refusal| wrong(refusal.in_a_line().into()))?;
        let Some((whole, _cut)) = text.rsplit_once('\n') else {
            std::fs::remove_file(path).map_err(|error| failed("removing", path, error))?;
            return Ok(None);
        };
        let mut lines = whole.lines();
        let head: Head = serde_json::from_str(lines.next().unwrap_or_default()).map_err(|e| wrong(e.into()))?;
        let mut entries = Vec::new();
        for line in lines {
            follow(&mut entries, serde_json::from_str(line).map_err(|e| wrong(e.into()))?);
        }
        let length = whole.len() as u64 + 1;
        file.set_len(length).map_err(|e| wrong(e.into()))?;
        let open = Mutex::new(Open { file, length, entries });
        Ok(Some(Journal {
            path: path.to_owned(),
            head,
            open,
        }))
    }

    /// The journals left in a folder, oldest first.
    pub fn left(folder: &Path) -> Result<Vec<PathBuf>, JournalError> {
        let listed = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        let mut left: Vec<PathBuf> = listed
            .map_err(|error| failed("looking for", folder, error))?
            .into_iter()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .collect();
        left.sort();
        Ok(left)
    }

    /// Writes a change down. It is on disk when this returns.
    pub fn note(&self, entry: Entry) -> Result<(), JournalError> {
        let mut open = self.lock();
        let before = open.length;
        open.length = append(&mut open.file, before, &entry).map_err(|error| failed("writing", &self.path, error))?;
        follow(&mut open.entries, entry);
        Ok(())
    }

    /// Writes down that a change is put back. It is so whether that can be written or not: `recover` would
    /// find it done.
    pub fn note_done(&self, entry: Entry) {
        let mut open = self.lock();
        let before = open.length;
        if let Ok(length) = append(&mut open.file, before, &entry) {
            open.length = length;
        }
        follow(&mut open.entries, entry);
    }

    /// The changes that are not undone, in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// Takes it away: nothing of the run is left.
    pub fn remove(&self) -> Result<(), JournalError> {
        std::fs::remove_file(&self.path).map_err(|error| failed("removing", &self.path, error))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(doing: &'static str, path: &Path, error: io::Error) -> JournalError {
    JournalError {
        doing,
        path: path.to_owned(),
        source: error.into(),
    }
}

/// One write for the line: what a kill leaves is a whole line or the beginning of one. Gives the
/// length with it; where it can't be written the file stays as it was.
fn append(file: &mut File, length: u64, line: &impl Serialize) -> io::Result<u64> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let written = file.write_all(&text).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // What is half written is passed over by those who read it as well.
        let _half = file.set_len(length);
        return Err(error);
    }
    Ok(length + text.len() as u64)
}

#[cfg(test)]
mod tests;
