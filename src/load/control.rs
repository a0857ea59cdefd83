//! What others see of an engine that runs, and how they stop it.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::recorder::Second;

/// How others see and stop an engine that runs.
#[derive(Default)]
pub struct Control {
    /// Ends the load with what was measured so far.
    pub stop: AtomicBool,
    /// Of a worker: begins the steady part, once all workers have opened theirs.
    pub hold: AtomicBool,
    /// Of a worker: all of its attaches are settled, and so many are open.
    settled: Mutex<Option<u64>>,
    live: Mutex<Vec<Second>>,
}

impl Control {
    /// The seconds that have ended since this was last asked.
    pub fn news(&self) -> Vec<Second> {
        std::mem::take(&mut *self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// How many are open, once all attaches are settled.
    pub fn settled(&self) -> Option<u64> {
        *self.settled.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn settle(&self, open: u64) {
        *self.settled.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(open);
    }

    pub fn tell(&self, second: Second) {
        self.live
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .push(second);
    }
}
