//! Time of a load, in nanoseconds since it began, by the monotonic clock: steps of the wall clock don't show.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins at this moment.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    pub fn now(self) -> u64 {
        nanoseconds(self.0.elapsed())
    }

    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// A duration in nanoseconds; 584 years are forever.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
