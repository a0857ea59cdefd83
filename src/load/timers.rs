//! What is due next, and a descriptor that wakes the engine for it.
//!
//! A timer descriptor is precise to some fifty microseconds where epoll's own timeout is precise to a millisecond,
//! which would be most of what an echo takes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The next attach of the schedule.
    Start,
    /// The next attach without the right token.
    Probe,
    /// The next echo of an attach.
    Echo(Slot),
    /// An attach's handshake, or its close, has to be over.
    Deadline(Slot),
    /// The next of the open terminals is to be closed.
    Close,
    /// The steady part is over.
    HoldEnds,
    /// No answers are waited for any more.
    DrainEnds,
    /// A second is over.
    Second,
}

/// Where an attach is kept, and its number: the next one there has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    pub key: u32,
    pub number: u32,
}

impl Slot {
    /// In an event of epoll.
    pub fn to_event(self) -> u64 {
        u64::from(self.number) << 32 | u64::from(self.key)
    }

    pub fn from_event(event: u64) -> Slot {
        Slot {
            key: event as u32,
            number: (event >> 32) as u32,
        }
    }
}

pub struct Timers {
    heap: BinaryHeap<Reverse<(u64, Due)>>,
    descriptor: OwnedFd,
    /// For when the descriptor is set.
    set: Option<u64>,
}

impl Timers {
    pub fn new(expected: usize) -> rustix::io::Result<Timers> {
        Ok(Timers {
            heap: BinaryHeap::with_capacity(expected),
            descriptor: timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
            )?,
            set: None,
        })
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    pub fn add(&mut self, at: u64, due: Due) {
        self.heap.push(Reverse((at, due)));
    }

    /// The next that is due by now, with its intended moment.
    pub fn next(&mut self, now: u64) -> Option<(u64, Due)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| due)
    }

    /// Sets the descriptor for what is due next.
    pub fn arm(&mut self, now: u64) -> rustix::io::Result<()> {
        let next = self.heap.peek().map(|Reverse((at, _))| *at);
        if next == self.set {
            return Ok(());
        }
        self.set = next;
        let Some(next) = next else {
            return Ok(());
        };
        // Zero would disarm it.
        let ahead = next.saturating_sub(now).max(1);
        let ahead = Timespec {
            tv_sec: i64::try_from(ahead / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: (ahead % 1_000_000_000) as _,
        };
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: ahead,
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once).map(|_| ())
    }
}
