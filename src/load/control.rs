//! Observes, stops and instructs a running engine.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::plan::Door;
use super::recorder::Second;

/// How others see and stop an engine that runs.
#[derive(Default)]
pub struct Control {
    /// Ends the load with what was measured so far.
    pub stop: AtomicBool,
    /// Of a worker: begins the steady part, once all workers have opened theirs.
    pub hold: AtomicBool,
    /// Terminals that are open now.
    pub open: AtomicU32,
    /// Of a worker: all of its attaches are settled, and so many are open.
    settled: Mutex<Option<u64>>,
    live: Mutex<Vec<Second>>,
    turns: Mutex<Turns>,
    /// There is a turn that the engine hasn't taken.
    turned: AtomicBool,
}

/// The load's settings from now on.
pub enum Course {
    /// The platform is about to change. Until it has changed nobody can say whether the right token opens: the
    /// schedule waits, and who comes meanwhile is counted apart. Without the right token nobody may come in.
    Unsettled,
    /// The platform has changed: these are its doors.
    Settled(Vec<Door>),
}

#[derive(Default)]
struct Turns {
    /// The engine takes none any more.
    over: bool,
    waiting: Vec<(Course, oneshot::Sender<()>)>,
}

impl Control {
    /// The seconds that have ended since this was last asked.
    pub fn news(&self) -> Vec<Second> {
        std::mem::take(&mut *lock(&self.live))
    }

    /// How many are open, once all attaches are settled.
    pub fn settled(&self) -> Option<u64> {
        *lock(&self.settled)
    }

    pub fn settle(&self, open: u64) {
        *lock(&self.settled) = Some(open);
    }

    pub fn tell(&self, second: Second) {
        lock(&self.live).push(second);
    }

    /// Tells the load to go on with something else. What is given comes when it does, and is closed where it is over.
    pub fn turn(&self, course: Course) -> oneshot::Receiver<()> {
        let (taken, takes) = oneshot::channel();
        let mut turns = lock(&self.turns);
        if !turns.over {
            turns.waiting.push((course, taken));
            self.turned.store(true, Ordering::Release);
        }
        takes
    }

    /// What the load was told since this was last asked.
    pub(super) fn turns(&self) -> Vec<(Course, oneshot::Sender<()>)> {
        match self.turned.swap(false, Ordering::Acquire) {
            true => std::mem::take(&mut lock(&self.turns).waiting),
            false => Vec::new(),
        }
    }

    /// The load takes no turns any more.
    pub(super) fn end(&self) {
        *lock(&self.turns) = Turns {
            over: true,
            waiting: Vec::new(),
        };
        self.open.store(0, Ordering::Relaxed);
    }
}

/// A lock whose holder panicked still guards whole data: each holder does one push or read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_told_once_and_a_load_that_is_over_takes_none() {
        let control = Control::default();
        assert!(control.turns().is_empty());
        let mut taken = control.turn(Course::Unsettled);
        let mut turns = control.turns();
        assert_eq!(turns.len(), 1);
        assert!(control.turns().is_empty());
        turns.remove(0).1.send(()).expect("somebody waits for it");
        assert_eq!(taken.try_recv(), Ok(()));
        let mut missed = control.turn(Course::Settled(Vec::new()));
        control.end();
        let mut late = control.turn(Course::Unsettled);
        for never in [&mut missed, &mut late] {
            assert_eq!(never.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        }
    }
}
