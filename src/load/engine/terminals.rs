//! What becomes of attaches: they open, type, miss their deadline, end.

use std::sync::atomic::Ordering;

use slab::Slab;

use super::names::RESOLVING;
use super::{Engine, Part};
use crate::load::attach::{Attach, Credential, Progress};
use crate::load::failure::Failure;
use crate::load::metric::Metric;
use crate::load::shared::mix;
use crate::load::timers::{Due, Slot};

impl Engine<'_> {
    pub(super) fn ready(&mut self, slot: Slot, hung_up: bool) {
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        match attach.ready(hung_up, &mut self.shared) {
            Progress::Waits => {}
            Progress::GoesOn => self.unread.push(slot),
            Progress::Opened => self.opened(slot),
            Progress::Ended(failure) => self.ended(slot, failure),
        }
        if let Some(think) = self.shared.think {
            self.think(slot, think);
        }
    }

    pub(super) fn opened(&mut self, slot: Slot) {
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        if attach.credential == Credential::Unsettled {
            self.shared.recorder.counts.unsettled_opened += 1;
            self.attaches.remove(slot.key as usize);
            return;
        }
        if attach.credential != Credential::Right {
            let at = self.shared.clock.seconds();
            let kind = format!("opened with {}", attach.credential.name());
            self.shared.recorder.counts.probes_opened += 1;
            self.shared.recorder.keep(&kind, |kind| attach.example(kind, at));
            self.attaches.remove(slot.key as usize);
            return;
        }
        attach.counted = true;
        self.pending -= 1;
        self.open += 1;
        self.control.open.store(self.open, Ordering::Relaxed);
        self.most_open = self.most_open.max(self.open);
        self.shared.recorder.counts.opened += 1;
        let echoes = self.plan.echo_every.is_some() && !self.plan.fan_out;
        if echoes && matches!(self.part, Part::Ramp | Part::Gather | Part::Hold) {
            // Somewhere in the first interval: those that open together don't type together.
            let every = self.shared.think.unwrap_or(self.shared.echo_every);
            let first = self.shared.clock.now() + mix(u64::from(slot.number)) % every;
            attach.echo_from(first);
            self.timers.add(first, Due::Echo(slot));
        }
    }

    pub(super) fn echo(&mut self, slot: Slot, now: u64) {
        if !matches!(self.part, Part::Ramp | Part::Gather | Part::Hold) {
            return;
        }
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        let next = match self.shared.think {
            None => attach.echo(now, &mut self.shared).map(Some),
            // The next follows its answer.
            Some(_) => attach.echo_now(now, &mut self.shared).map(|()| None),
        };
        match next {
            Ok(Some(next)) => self.timers.add(next, Due::Echo(slot)),
            Ok(None) => {}
            Err(failure) => self.ended(slot, Some(failure)),
        }
    }

    /// One open attach types a key for all of them; always the same one, while it is open.
    pub(super) fn type_key(&mut self, intended: u64, now: u64) {
        if self.part != Part::Hold {
            return;
        }
        let mut open = self
            .attaches
            .iter_mut()
            .filter(|(_, attach)| attach.is_open() && attach.counted);
        let (Some((key, typist)), Some(fan_out)) = (open.next(), &mut self.shared.fan_out) else {
            return;
        };
        let recorder = &mut self.shared.recorder;
        recorder.record(Metric::Lag, now.saturating_sub(intended), true);
        let number = fan_out.type_key(intended, self.open, recorder);
        let tag = fan_out.tag;
        let slot = Slot {
            key: key as u32,
            number: typist.number,
        };
        if let Err(failure) = typist.type_nonce(tag, number, &mut self.shared) {
            self.ended(slot, Some(failure));
        }
        self.timers
            .add(intended.saturating_add(self.shared.echo_every), Due::Key);
    }

    /// A phase's deadline has come; the attach may have gone on to another phase, which has its own.
    pub(super) fn deadline(&mut self, slot: Slot, at: u64) {
        if slot.key == RESOLVING {
            return self.unresolved(slot.number);
        }
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        if attach.is_open() {
            return self.echo_deadline(slot);
        }
        if at < attach.until {
            return self.timers.add(attach.until, Due::Deadline(slot));
        }
        let failure = Failure::TimedOut(attach.phase());
        self.ended(slot, Some(failure));
    }

    /// An attach is over: counts how, and forgets it.
    pub(super) fn ended(&mut self, slot: Slot, failure: Option<Failure>) {
        // It opened and ended in one event: the 101 and what followed it came together.
        if attach(&mut self.attaches, slot).is_some_and(|attach| attach.is_open() && !attach.counted) {
            self.opened(slot);
        }
        let Some(ended) = attach(&mut self.attaches, slot) else {
            return;
        };
        let was_open = matches!(ended.phase(), Metric::Echo | Metric::Close);
        if was_open {
            self.open -= 1;
            self.control.open.store(self.open, Ordering::Relaxed);
            ended.give_up_all(&Failure::EchoCutOff, &mut self.shared);
        }
        let closing = ended.phase() == Metric::Close;
        let ended = self.attaches.remove(slot.key as usize);
        let counts = &mut self.shared.recorder.counts;
        if closing && failure.is_none() {
            counts.closed += 1;
        } else if closing {
            counts.stuck += 1;
        } else if was_open {
            counts.lost += 1;
        }
        let Some(failure) = failure else { return };
        let example = |failure, at| ended.example(failure, at);
        if was_open {
            let at = self.shared.clock.seconds();
            self.shared.recorder.fail(failure, |failure| example(failure, at));
        } else {
            self.failed((ended.credential, ended.unsettled), failure, example);
        }
    }
}

/// The attach of a slot, where it is still there.
pub(super) fn attach(attaches: &mut Slab<Attach>, slot: Slot) -> Option<&mut Attach> {
    attaches
        .get_mut(slot.key as usize)
        .filter(|attach| attach.number == slot.number)
}
