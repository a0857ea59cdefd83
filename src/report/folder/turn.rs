//! A lock: one run at a time creates its folder, points `latest` to it, and removes others.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for it. Other runs need a moment each; somebody else may keep the folder locked for as long as
/// this run goes on, as `flock reports gauntlet run` does.
const LONGEST: Duration = Duration::from_secs(2);

/// The time between two looks.
const AGAIN: Duration = Duration::from_millis(5);

/// Held while a run works on the folder for reports, and given back when dropped.
pub(super) struct Turn(Option<File>);

impl Turn {
    /// Waits for it. Where folders can't be locked, or others keep it for too long, it is done without: then only
    /// which of several runs comes last may be told wrong.
    pub(super) fn take(reports: &Path) -> Turn {
        let Ok(folder) = File::open(reports) else {
            return Turn(None);
        };
        let started = Instant::now();
        loop {
            match folder.try_lock() {
                Ok(()) => return Turn(Some(folder)),
                Err(TryLockError::WouldBlock) if started.elapsed() < LONGEST => std::thread::sleep(AGAIN),
                Err(_) => return Turn(None),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Closing isn't enough: a child process that was just started may have the folder open for a moment.
        let _ = self.0.as_ref().map(File::unlock);
    }
}
