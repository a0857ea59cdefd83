//! Timers, in the order in which they are due.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The next attach of the schedule.
    Start,
    /// The next attach without the right token.
    Probe,
    /// The next echo of an attach.
    Echo(Slot),
    /// The next key that one types for all.
    Key,
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

/// Echoes follow their last ones at one distance, and deadlines what they are for: they mostly come in their order, and
/// need a queue each. A heap of as many would be much of what an echo costs in user mode.
pub struct Timers {
    echoes: VecDeque<(u64, Due)>,
    deadlines: VecDeque<(u64, Due)>,
    /// Whatever else, and what comes out of its order.
    others: BinaryHeap<Reverse<(u64, Due)>>,
}

impl Timers {
    /// For so many attaches.
    pub fn new(attaches: usize) -> Timers {
        Timers {
            echoes: VecDeque::with_capacity(attaches),
            deadlines: VecDeque::with_capacity(attaches),
            others: BinaryHeap::new(),
        }
    }

    pub fn add(&mut self, at: u64, due: Due) {
        let queue = match due {
            Due::Echo(_) => Some(&mut self.echoes),
            Due::Deadline(_) => Some(&mut self.deadlines),
            _ => None,
        };
        match queue.filter(|queue| queue.back().is_none_or(|(last, _)| *last <= at)) {
            Some(queue) => queue.push_back((at, due)),
            None => self.others.push(Reverse((at, due))),
        }
    }

    /// The next that is due by now, with its intended moment.
    pub fn next(&mut self, now: u64) -> Option<(u64, Due)> {
        let first = self.first().filter(|first| *first <= now)?;
        for queue in [&mut self.echoes, &mut self.deadlines] {
            if queue.front().is_some_and(|(at, _)| *at == first) {
                return queue.pop_front();
            }
        }
        self.others.pop().map(|Reverse(due)| due)
    }

    /// Nanoseconds from now until the next is due.
    pub fn ahead(&self, now: u64) -> Option<u64> {
        self.first().map(|first| first.saturating_sub(now))
    }

    /// When the next is due.
    fn first(&self) -> Option<u64> {
        let queued = [self.echoes.front(), self.deadlines.front()];
        let other = self.others.peek().map(|Reverse(other)| other);
        queued.into_iter().chain([other]).flatten().map(|(at, _)| *at).min()
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
    fn echoes_and_deadlines_may_come_in_any_order() {
        let mut timers = Timers::new(2);
        for at in [30, 10, 40, 20, 20] {
            let slot = Slot {
                key: at as u32,
                number: 0,
            };
            timers.add(at, Due::Echo(slot));
            timers.add(at + 5, Due::Deadline(slot));
        }
        timers.add(22, Due::Second);
        let mut moments = Vec::new();
        while let Some((at, _)) = timers.next(99) {
            moments.push(at);
        }
        assert_eq!(moments, [10, 15, 20, 20, 22, 25, 25, 30, 35, 40, 45]);
        assert_eq!(timers.ahead(0), None);
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
