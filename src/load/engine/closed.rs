//! The closed model: attaches and echoes begin when others were answered.

use super::terminals::attach;
use super::{DUE_AT_ONCE, Engine, Part};
use crate::load::timers::{Due, Slot};

impl Engine<'_> {
    /// Starts attaches until as many are being opened as may be at once. Where they fail at once, it leaves the rest of them
    /// for later, so that the load can be stopped and its seconds are told.
    pub(super) fn fill(&mut self) {
        for _ in 0..DUE_AT_ONCE {
            if !self.has_room() {
                return;
            }
            let now = self.shared.clock.now();
            self.start_one(now);
        }
    }

    /// Whether another attach is to be started now.
    pub(super) fn has_room(&self) -> bool {
        let at_once = self.plan.at_once();
        self.part == Part::Ramp
            && self.started < self.plan.share()
            && at_once.is_some_and(|at_once| self.pending < at_once)
    }

    /// Where the last echo was answered the next one follows, once its user has thought for so long.
    pub(super) fn think(&mut self, slot: Slot, think: u64) {
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        if attach.begins_to_think() {
            let next = self.shared.clock.now().saturating_add(think);
            self.timers.add(next, Due::Echo(slot));
        }
    }

    /// Gives up an echo that was typed too long ago, so that its user goes on. An open attach has one such timer.
    pub(super) fn echo_deadline(&mut self, slot: Slot) {
        let Some(think) = self.shared.think else { return };
        // Later it is the drain's end that counts.
        if !matches!(self.part, Part::Ramp | Part::Gather | Part::Hold) {
            return;
        }
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        let now = self.shared.clock.now();
        let next = attach.give_up_late(now, &mut self.shared);
        self.timers.add(next, Due::Deadline(slot));
        self.think(slot, think);
    }
}
