//! What an open terminal is asked and what it answers.

use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::Attach;
use crate::load::echo::{self, RUB_OUT};
use crate::load::failure::Failure;
use crate::load::frames;
use crate::load::metric::Metric;
use crate::load::recorder::Example;
use crate::load::shared::Shared;

impl Attach {
    /// Some of the terminal's output.
    pub(super) fn output(&mut self, payload: &[u8], now: u64, shared: &mut Shared) {
        shared.recorder.counts.received_bytes += payload.len() as u64;
        if !self.seen_output {
            self.seen_output = true;
            let elapsed = now.saturating_sub(self.since);
            shared.recorder.record(Metric::FirstOutput, elapsed, false);
        }
        if shared.fan_out.is_some() {
            return self.keys(payload, now, shared);
        }
        let (settled, sent, first) = (&mut self.settled, self.sent, self.first_echo);
        let (mut overtaken, mut late) = (0, 0);
        self.finder.look(self.tag, payload, |number| {
            // The nonce's number is the echo's, up to its turn; what was drawn again is behind.
            let ahead = number.wrapping_sub(*settled) % echo::NUMBERS;
            if ahead >= sent - *settled {
                return;
            }
            overtaken += ahead;
            *settled += ahead;
            let intended = first + u64::from(*settled) * shared.echo_every;
            *settled += 1;
            let elapsed = now.saturating_sub(intended);
            if elapsed >= shared.deadline {
                late += 1;
                return;
            }
            shared.recorder.counts.echoes_answered += 1;
            let steady = shared.steady_since.is_some_and(|since| intended >= since);
            shared.recorder.record(Metric::Echo, elapsed, steady);
        });
        self.unanswered_for(overtaken, &Failure::EchoOvertaken, shared);
        self.unanswered_for(late, &Failure::TimedOut(Metric::Echo), shared);
    }

    /// Looks for what one has typed for all.
    fn keys(&mut self, payload: &[u8], now: u64, shared: &mut Shared) {
        let Shared {
            fan_out: Some(fan_out),
            recorder,
            deadline,
            ..
        } = shared
        else {
            return;
        };
        let (passed, mut missed) = (&mut self.passed, 0);
        self.finder.look(fan_out.tag, payload, |number| {
            missed += fan_out.seen(number, passed, (now, *deadline), recorder);
        });
        self.missed(missed, shared);
    }

    /// Begins the echoes; the first is due at this moment.
    pub fn echo_from(&mut self, first: u64) {
        self.first_echo = first;
        self.thinking = true;
    }

    /// In the closed model: types the next echo's nonce. The echo counts from now.
    pub fn echo_now(&mut self, now: u64, shared: &mut Shared) -> Result<(), Failure> {
        self.thinking = false;
        self.first_echo = now;
        let steady = shared.is_steady(now);
        shared.recorder.counts.echoes_sent += 1;
        shared.recorder.steady_echoes += u64::from(steady);
        let number = self.sent;
        self.sent += 1;
        self.type_nonce(self.tag, number, shared)
    }

    /// In the closed model: whether the last echo is answered and the next has no timer yet, which it gets now.
    pub fn begins_to_think(&mut self) -> bool {
        let begins = self.is_open() && self.counted && !self.thinking && self.unanswered() == 0;
        self.thinking |= begins;
        begins
    }

    /// In the closed model: gives an echo up that is unanswered for too long; gives when to look again.
    pub fn give_up_late(&mut self, now: u64, shared: &mut Shared) -> u64 {
        if self.unanswered() > 0 {
            let until = self.first_echo.saturating_add(shared.deadline);
            if now < until {
                return until;
            }
            self.settled += 1;
            self.unanswered_for(1, &Failure::TimedOut(Metric::Echo), shared);
        }
        now.saturating_add(shared.deadline)
    }

    /// Types the next echo's nonce, which is due by now; gives when the one after it is.
    pub fn echo(&mut self, now: u64, shared: &mut Shared) -> Result<u64, Failure> {
        let intended = self.first_echo + u64::from(self.sent) * shared.echo_every;
        // What was asked too long ago isn't waited for any more.
        while self.settled < self.sent {
            let oldest = self.first_echo + u64::from(self.settled) * shared.echo_every;
            if now.saturating_sub(oldest) < shared.deadline {
                break;
            }
            self.settled += 1;
            self.unanswered_for(1, &Failure::TimedOut(Metric::Echo), shared);
        }
        let steady = shared.is_steady(intended);
        shared
            .recorder
            .record(Metric::Lag, now.saturating_sub(intended), steady);
        shared.recorder.counts.echoes_sent += 1;
        shared.recorder.steady_echoes += u64::from(steady);
        let number = self.sent;
        self.sent += 1;
        self.type_nonce(self.tag, number, shared)?;
        Ok(intended + shared.echo_every)
    }

    /// Types a nonce, on a line that is rubbed out before.
    pub fn type_nonce(&mut self, tag: u32, number: u32, shared: &mut Shared) -> Result<(), Failure> {
        let mut typed = [RUB_OUT; 1 + echo::LENGTH];
        typed[1..].copy_from_slice(&echo::nonce(tag, number % echo::NUMBERS));
        let mut out = std::mem::take(&mut shared.out);
        out.clear();
        frames::write(
            OpCode::Data(Data::Binary),
            &typed,
            shared.mask(self.number, u64::from(number) + 1),
            &mut out,
        );
        let sent = self.send(&out);
        shared.out = out;
        sent
    }

    /// Counts echoes as unanswered, for a reason.
    fn unanswered_for(&self, echoes: u32, failure: &Failure, shared: &mut Shared) {
        shared.recorder.counts.echoes_unanswered += u64::from(echoes);
        self.fail(echoes, failure, shared);
    }

    /// Counts keys that one typed for all as undelivered here.
    fn missed(&self, keys: u32, shared: &mut Shared) {
        shared.recorder.counts.undelivered += u64::from(keys);
        self.fail(keys, &Failure::Undelivered, shared);
    }

    /// Counts a failure of an open terminal so many times.
    fn fail(&self, times: u32, failure: &Failure, shared: &mut Shared) {
        if times == 0 {
            return;
        }
        let (local, number, at) = (self.local(), self.number, shared.clock.seconds());
        for _ in 0..times {
            shared.recorder.fail(failure.clone(), |failure| Example {
                failure,
                at,
                attach: number.to_string(),
                local: local.map(|local| local.to_string()),
                said: None,
            });
        }
    }

    /// Counts all echoes that have no answer as unanswered: nothing will come any more, for this reason.
    pub fn give_up_all(&mut self, failure: &Failure, shared: &mut Shared) {
        if let Some(fan_out) = shared.fan_out.as_ref().filter(|_| self.counted) {
            let left = fan_out.typed() - self.passed;
            self.passed += left;
            self.missed(left, shared);
        }
        let unanswered = self.unanswered();
        self.settled += unanswered;
        self.unanswered_for(unanswered, failure, shared);
    }
}
