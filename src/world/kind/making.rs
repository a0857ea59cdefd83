//! Serialises creation of a cluster by name: later callers find the finished cluster, or none.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::sleep;

use super::cluster::{KindError, delete};
use super::tool::ToolError;

/// Time between two looks at whether another gauntlet is done.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The making of a cluster, which nobody else of this user on this machine is at. Dropped, the next one may.
pub struct Making {
    name: String,
    path: PathBuf,
    /// Locked as long as it is open.
    _file: File,
    begun: AtomicBool,
}

impl Making {
    /// Waits until nobody else is at it; `tell` hears of that.
    pub async fn of(name: &str, tell: impl Fn(&str)) -> Result<Making, KindError> {
        let user = rustix::process::getuid().as_raw();
        // What is no name kind refuses itself.
        let file = format!("gauntlet-kind-{user}-{}.lock", name.replace('/', "_"));
        let path = tempfile::env::temp_dir().join(file);
        let failed = |source| KindError::Lock {
            path: path.clone(),
            source,
        };
        let mut is_told = false;
        loop {
            if let Some(file) = locked(&path).map_err(failed)? {
                return Ok(Making {
                    name: name.to_owned(),
                    path,
                    _file: file,
                    begun: AtomicBool::new(false),
                });
            }
            if !is_told {
                tell(&format!("waiting for another gauntlet that makes the cluster {name}"));
                is_told = true;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// From now on there may be something of it.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Whether part of the cluster may exist.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Deletes what was begun: what is half made nobody can use, and what was there before is not ours to
    /// delete.
    pub async fn undo(self, tell: impl Fn(&str)) -> Result<(), ToolError> {
        match self.has_begun() {
            true => {
                tell(&format!("deleting the cluster {}", self.name));
                delete(&self.name).await
            }
            false => Ok(()),
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        // It is locked still; who waits for it sees that it is another file by then.
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// The file, locked; none if another process holds it.
fn locked(path: &Path) -> io::Result<Option<File>> {
    // Nothing is written: what is there is what the lock is on.
    let file = File::options().create(true).append(true).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // Who had it took the file away, perhaps between opening and locking it here.
    let is_the_same = match std::fs::metadata(path) {
        Ok(there) => there.ino() == file.metadata()?.ino(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    Ok(is_the_same.then_some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_no_file_is_left() {
        let name = format!("gauntlet-test-{:08x}", rand::random::<u32>());
        let first = Making::of(&name, |_| {}).await.expect("nobody has it");
        let path = first.path.clone();
        let told = std::sync::Arc::new(tokio::sync::Notify::new());
        let (waits, of) = (told.clone(), name.clone());
        let second = tokio::spawn(async move { Making::of(&of, |_| waits.notify_one()).await });
        told.notified().await;
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.expect("no panic").expect("it is free");
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
