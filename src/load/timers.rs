//! What is due, in its order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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

pub struct Timers(BinaryHeap<Reverse<(u64, Due)>>);

impl Timers {
    pub fn new(expected: usize) -> Timers {
        Timers(BinaryHeap::with_capacity(expected))
    }

    pub fn add(&mut self, at: u64, due: Due) {
        self.0.push(Reverse((at, due)));
    }

    /// The next that is due by now, with its intended moment.
    pub fn next(&mut self, now: u64) -> Option<(u64, Due)> {
        let Reverse((at, _)) = self.0.peek()?;
        if *at > now {
            return None;
        }
        self.0.pop().map(|Reverse(due)| due)
    }

    /// Nanoseconds from now until the next is due.
    pub fn ahead(&self, now: u64) -> Option<u64> {
        self.0.peek().map(|Reverse((at, _))| at.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_its_order() {
        let mut timers = Timers::new(2);
        for (at, due) in [(30, Due::Close), (10, Due::Start), (20, Due::Probe)] {
            timers.add(at, due);
        }
        assert_eq!((timers.ahead(4), timers.next(4)), (Some(6), None));
        assert_eq!(
            (timers.next(25), timers.next(25)),
            (Some((10, Due::Start)), Some((20, Due::Probe)))
        );
        assert_eq!((timers.next(25), timers.ahead(35)), (None, Some(0)));
        assert_eq!((timers.next(30), timers.ahead(35)), (Some((30, Due::Close)), None));
    }

    #[test]
    fn a_slot_survives_its_event() {
        let slot = Slot {
            key: 7,
            number: u32::MAX - 1,
        };
        assert_eq!(Slot::from_event(slot.to_event()), slot);
    }
}
