//! Fan-out: one client types and all must see it, which measures a shared terminal.

use super::echo;
use super::metric::Metric;
use super::recorder::Recorder;

/// The keys that one attach has typed for all, and to how many each of them has come.
pub struct FanOut {
    /// The typist's number in the nonces.
    pub tag: u32,
    keys: Vec<Key>,
}

/// A nonce that was typed.
struct Key {
    intended: u64,
    /// Attaches that were open then.
    awaited: u32,
    seen: u32,
}

impl FanOut {
    pub fn new(tag: u32) -> FanOut {
        FanOut { tag, keys: Vec::new() }
    }

    /// How many were typed so far.
    pub fn typed(&self) -> u32 {
        self.keys.len() as u32
    }

    /// A key is typed that so many have to see; returns its number.
    pub fn type_key(&mut self, intended: u64, awaited: u32, recorder: &mut Recorder) -> u32 {
        let number = self.typed();
        recorder.counts.keys_typed += 1;
        recorder.counts.deliveries += u64::from(awaited);
        self.keys.push(Key {
            intended,
            awaited,
            seen: 0,
        });
        number
    }

    /// One who has passed so many keys sees this one. Gives how many it has missed: those before it, and itself where
    /// it came too late.
    pub fn seen(&mut self, number: u32, passed: &mut u32, (now, deadline): (u64, u64), recorder: &mut Recorder) -> u32 {
        // What was drawn again is behind.
        let ahead = number.wrapping_sub(*passed) % echo::NUMBERS;
        if ahead >= self.typed() - *passed {
            return 0;
        }
        *passed += ahead;
        let key = &mut self.keys[*passed as usize];
        *passed += 1;
        let elapsed = now.saturating_sub(key.intended);
        if elapsed >= deadline {
            return ahead + 1;
        }
        key.seen += 1;
        recorder.counts.delivered += 1;
        recorder.record(Metric::Delivery, elapsed, false);
        // Where one has missed it there is no last one.
        if key.seen == key.awaited {
            recorder.record(Metric::FanOut, elapsed, false);
        }
        ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: u64 = 1_000_000;

    #[test]
    fn the_last_one_who_sees_a_key_is_what_it_took() {
        let mut recorder = Recorder::new().expect("histograms");
        let mut fan_out = FanOut::new(7);
        let (mut one, mut other) = (0, 0);
        assert_eq!(fan_out.type_key(1000, 2, &mut recorder), 0);
        assert_eq!(fan_out.seen(0, &mut one, (3000, DEADLINE), &mut recorder), 0);
        assert!(recorder.whole.of(Metric::FanOut).is_empty());
        // It is drawn again.
        assert_eq!(fan_out.seen(0, &mut one, (4000, DEADLINE), &mut recorder), 0);
        assert_eq!(fan_out.seen(0, &mut other, (51_000, DEADLINE), &mut recorder), 0);
        assert_eq!(recorder.whole.of(Metric::Delivery).len(), 2);
        assert_eq!(recorder.whole.of(Metric::FanOut).max(), 50);
        let counts = &recorder.counts;
        assert_eq!((counts.keys_typed, counts.deliveries, counts.delivered), (1, 2, 2));
        assert_eq!(counts.deliveries_under_way(), 0);
    }

    #[test]
    fn what_was_passed_over_or_came_late_was_missed() {
        let mut recorder = Recorder::new().expect("histograms");
        let mut fan_out = FanOut::new(7);
        let mut passed = 0;
        for _ in 0..4 {
            fan_out.type_key(0, 1, &mut recorder);
        }
        assert_eq!(fan_out.seen(2, &mut passed, (1, DEADLINE), &mut recorder), 2);
        assert_eq!(fan_out.seen(1, &mut passed, (2, DEADLINE), &mut recorder), 0);
        assert_eq!(fan_out.seen(3, &mut passed, (DEADLINE, DEADLINE), &mut recorder), 1);
        assert_eq!(fan_out.seen(4, &mut passed, (3, DEADLINE), &mut recorder), 0);
        assert_eq!((passed, recorder.counts.delivered), (4, 1));
    }
}
