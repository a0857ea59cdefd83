//! The parts of a load, one after another: ramp, hold, drain, close.

use std::sync::atomic::Ordering;

use tracing::debug;

use super::{Engine, Part};
use crate::load::clock::nanoseconds;
use crate::load::cost::Cost;
use crate::load::failure::Failure;
use crate::load::metric::Metric;
use crate::load::timers::{Due, Slot};

impl Engine<'_> {
    /// Goes on to the load's next part where this one is over.
    pub(super) fn turn(&mut self) {
        let before = self.part;
        if before == Part::Ramp {
            self.fill();
        }
        self.turn_once();
        if self.part != before {
            self.turn_once();
        }
    }

    pub(super) fn enter(&mut self, part: Part) {
        self.part = part;
        debug!(?part, started = self.started, open = self.open, "the load goes on");
    }

    pub(super) fn turn_once(&mut self) {
        match self.part {
            Part::Ramp if self.started == self.plan.share() && self.pending == 0 => {
                self.ramped = self.shared.clock.now();
                self.enter(Part::Gather);
                self.control.settle(self.open.into());
            }
            Part::Gather if !self.plan.is_shared() || self.control.hold.load(Ordering::Relaxed) => {
                let now = self.shared.clock.now();
                self.enter(Part::Hold);
                self.shared.steady_since = Some(now);
                self.steady = Some((now, now));
                self.costs.held = Cost::own();
                self.timers
                    .add(now.saturating_add(nanoseconds(self.plan.hold)), Due::HoldEnds);
                if self.plan.fan_out {
                    self.timers.add(now, Due::Key);
                }
            }
            // Nobody is left to be held, and nobody comes any more.
            Part::Hold if self.open == 0 && !self.unsettled => self.hold_ends(),
            Part::Drain if self.nothing_under_way() => self.drained(),
            _ => {}
        }
    }

    pub(super) fn nothing_under_way(&self) -> bool {
        let counts = &self.shared.recorder.counts;
        counts.echoes_under_way() == 0 && counts.deliveries_under_way() == 0
    }

    pub(super) fn hold_ends(&mut self) {
        if self.part != Part::Hold {
            return;
        }
        // However short the load was, each way to come without the right token is tried once.
        while self.plan.probe_every.is_some() && (self.probes as usize) < self.doors[0].shut.len() {
            self.begin_probe(self.shared.clock.now());
        }
        let now = self.shared.clock.now();
        if let Some((_, end)) = &mut self.steady {
            *end = now;
        }
        self.costs.after = Cost::own();
        self.enter(Part::Drain);
        self.timers
            .add(now.saturating_add(self.shared.deadline), Due::DrainEnds);
    }

    /// All answers are there, or no longer waited for: closes the terminals, as fast as they were opened.
    pub(super) fn drained(&mut self) {
        if self.part != Part::Drain {
            return;
        }
        self.enter(Part::Close);
        for (_, attach) in &mut self.attaches {
            attach.give_up_all(&Failure::TimedOut(Metric::Echo), &mut self.shared);
        }
        self.timers.add(self.shared.clock.now(), Due::Close);
    }

    pub(super) fn close(&mut self, at: u64) {
        while self.closing < self.attaches.capacity() {
            let key = self.closing;
            self.closing += 1;
            let Some(attach) = self.attaches.get_mut(key).filter(|attach| attach.is_open()) else {
                continue;
            };
            let slot = Slot {
                key: key as u32,
                number: attach.number,
            };
            match attach.close(at, &mut self.shared) {
                Ok(()) => {
                    let until = attach.until;
                    self.timers.add(until, Due::Deadline(slot));
                }
                Err(failure) => self.ended(slot, Some(failure)),
            }
            self.timers.add(at + self.close_every, Due::Close);
            return;
        }
    }
}
