//! What is measured of an attach, phase by phase.

use hdrhistogram::{CreationError, Histogram};

/// A duration that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// From the intended start until the terminal is open (101).
    Attach,
    /// TCP, from the real start.
    Connect,
    /// The TLS handshake, in full.
    Tls,
    /// The TLS handshake where an earlier session was resumed.
    TlsResumed,
    /// From the request to its answer.
    Upgrade,
    /// From the answer to the terminal's first output.
    FirstOutput,
    /// From the intended moment of typing until the nonce is read back.
    Echo,
    /// From the intended close until the server has closed.
    Close,
    /// How late the generator itself was: from the intended moment until it acted.
    Lag,
}

impl Metric {
    pub const ALL: [Metric; 9] = [
        Metric::Attach,
        Metric::Connect,
        Metric::Tls,
        Metric::TlsResumed,
        Metric::Upgrade,
        Metric::FirstOutput,
        Metric::Echo,
        Metric::Close,
        Metric::Lag,
    ];

    /// As objectives and results name it.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Attach => "attach",
            Metric::Connect => "connect",
            Metric::Tls => "tls",
            Metric::TlsResumed => "tls-resumed",
            Metric::Upgrade => "upgrade",
            Metric::FirstOutput => "first-output",
            Metric::Echo => "echo",
            Metric::Close => "close",
            Metric::Lag => "lag",
        }
    }

    pub fn from_name(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

/// Longest duration that is told from longer ones, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// A histogram for each metric, of constant size: microseconds, to three digits.
///
/// All have one form, so that any two can be added without loss.
pub struct Histograms([Histogram<u64>; Metric::ALL.len()]);

impl Histograms {
    /// # Errors
    /// None: the bounds are constants that the library takes.
    pub fn new() -> Result<Histograms, CreationError> {
        let empty = empty()?;
        Ok(Histograms(Metric::ALL.map(|_| empty.clone())))
    }

    /// Records a duration in nanoseconds.
    pub fn record(&mut self, metric: Metric, nanoseconds: u64) {
        self.0[metric as usize].saturating_record(nanoseconds.div_ceil(1000).max(1));
    }

    pub fn of(&self, metric: Metric) -> &Histogram<u64> {
        &self.0[metric as usize]
    }

    pub fn clear(&mut self, metric: Metric) {
        self.0[metric as usize].reset();
    }
}

/// A histogram without samples, of the form that all have.
pub fn empty() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, LONGEST, 3)
}
