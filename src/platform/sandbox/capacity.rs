//! A known limit, which a search for a door's capacity must find.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::{ComponentError, Pod, mutant};

/// What the sandbox takes at most. Without limits, whatever the machine takes.
#[derive(Debug, Default)]
pub struct Capacity {
    /// `MOST_ATTACHES`: terminals that are open at once.
    attaches: Option<u64>,
    /// `MOST_HANDSHAKES`: terminals that open in a second.
    handshakes: Option<f64>,
    /// `ECHO_TIME`: what each message of a client takes, one after the other.
    echo: Duration,
    open: AtomicU64,
    /// When the next handshake, and the next message, can be served.
    next: Mutex<Option<Instant>>,
    free: Mutex<Option<Instant>>,
}

/// Handshakes that may come at once where their number in a second is limited: a tenth of a second's.
const BURST: f64 = 0.1;

/// Terminals that the mutant `busy-second-refuses` opens in a second.
const BUSY_SECOND: f64 = 100.0;

impl Capacity {
    pub fn new(pod: &Pod) -> Result<Capacity, ComponentError> {
        let attaches = pod.number("MOST_ATTACHES", 0)?;
        let handshakes = match pod.has(&mutant::BUSY_SECOND_REFUSES) {
            true => BUSY_SECOND,
            false => pod.number("MOST_HANDSHAKES", 0.0)?,
        };
        Ok(Capacity {
            attaches: (attaches > 0).then_some(attaches),
            handshakes: (handshakes > 0.0).then_some(handshakes),
            echo: pod.duration("ECHO_TIME", Duration::ZERO)?,
            ..Capacity::default()
        })
    }

    /// Whether one terminal more may open now; it counts until [`Capacity::leave`].
    pub fn enter(&self) -> bool {
        self.enter_at(Instant::now())
    }

    fn enter_at(&self, now: Instant) -> bool {
        if let Some(rate) = self.handshakes {
            let mut next = lock(&self.next);
            // A leaky bucket: each handshake takes its share of a second, and a tenth of one may be owed.
            let at = next.unwrap_or(now).max(now);
            if at - now > Duration::from_secs_f64(BURST) {
                return false;
            }
            *next = Some(at + Duration::from_secs_f64(1.0 / rate));
        }
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        if self.attaches.is_some_and(|most| before >= most) {
            self.leave();
            return false;
        }
        true
    }

    pub fn leave(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Terminals that are open.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Waits for a message's turn and its service.
    pub async fn serve(&self) {
        if self.echo.is_zero() {
            return;
        }
        let served = self.served(Instant::now());
        tokio::time::sleep_until(served.into()).await;
    }

    /// When a message that comes now has been served.
    fn served(&self, now: Instant) -> Instant {
        let mut free = lock(&self.free);
        let served = free.unwrap_or(now).max(now) + self.echo;
        *free = Some(served);
        served
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::pod::tests::pod;

    fn capacity(variable: (&str, &str)) -> Capacity {
        Capacity::new(&pod(&[variable])).expect("a capacity")
    }

    #[test]
    fn no_more_are_open_than_may_be() {
        let capacity = capacity(("MOST_ATTACHES", "2"));
        assert_eq!([(); 3].map(|()| capacity.enter()), [true, true, false]);
        assert_eq!(capacity.open(), 2);
        capacity.leave();
        assert_eq!([(); 2].map(|()| capacity.enter()), [true, false]);
    }

    /// 100 a second, of which ten may come at once.
    #[test]
    fn no_more_open_in_a_second_than_may() {
        let capacity = capacity(("MOST_HANDSHAKES", "100"));
        let start = Instant::now();
        let tries = (0..1000).map(|number| start + number * Duration::from_millis(5));
        let opened = tries.filter(|now| capacity.enter_at(*now)).count();
        assert!((500..=512).contains(&opened), "{opened}");
    }

    #[test]
    fn a_busy_second_refuses() {
        for (each, opened) in [(20, 200..=200), (5, 100..=112)] {
            let capacity = capacity(("GAUNTLET_MUTANTS", "busy-second-refuses"));
            let start = Instant::now();
            let tries = (0..200).map(|number| start + number * Duration::from_millis(each));
            let count = tries.filter(|now| capacity.enter_at(*now)).count();
            assert!(opened.contains(&count), "every {each} ms: {count}");
        }
    }

    #[test]
    fn messages_wait_for_one_another() {
        let capacity = capacity(("ECHO_TIME", "10ms"));
        let start = Instant::now();
        let served: Vec<Duration> = (0..3).map(|_| capacity.served(start) - start).collect();
        assert_eq!(served, [10, 20, 30].map(Duration::from_millis));
        let later = start + Duration::from_secs(1);
        assert_eq!(capacity.served(later) - later, Duration::from_millis(10));
    }
}
