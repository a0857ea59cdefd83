//! Logins that could not be refreshed, and when each is tried again.

use super::super::super::{Pod, mutant};
use super::super::refresh::Failure;

/// The longest time between two tries to refresh a login.
pub const LONGEST_PAUSE: f64 = 60.0;

/// A login that could not be refreshed.
pub struct Failed {
    pub fingerprint: [u8; 32],
    /// When it is tried again; never where that is for good.
    pub again: f64,
    pause: f64,
    pub why: String,
}

impl Failed {
    /// One that failed just now; `before` is how the same account's last try ended.
    pub fn new(pod: &Pod, fingerprint: [u8; 32], why: &Failure, before: Option<Failed>, now: f64) -> Failed {
        let pause = before
            .filter(|failed| failed.fingerprint == fingerprint)
            .map_or(1.0, |failed| failed.pause * 2.0)
            .min(LONGEST_PAUSE);
        let again = match why {
            Failure::Refused(_) => f64::INFINITY,
            Failure::Unavailable(_) if pod.has(&mutant::PROVIDER_FAILURE_IS_FINAL) => f64::INFINITY,
            Failure::Unavailable(_) => now + pause,
        };
        Failed {
            fingerprint,
            again,
            pause,
            why: why.to_string(),
        }
    }

    /// Whether it is not tried again.
    pub fn is_final(&self) -> bool {
        self.again.is_infinite()
    }
}
