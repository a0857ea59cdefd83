//! The metrics of an attach, phase by phase, and of its session.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use hdrhistogram::{AdditionError, CreationError, Histogram};
use serde::{Deserialize, Serialize};

/// A duration that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// From a session's intended start until the API has answered that it is being made.
    SessionCreate,
    /// From a session's intended start until it is ready.
    SessionReady,
    /// From a session's intended start until the first byte of its terminal is there.
    SessionFirstByte,
    /// From the intended start until the terminal is open (101).
    Attach,
    /// The target's name, from when it was asked for until its addresses were there.
    Resolve,
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
    /// From the intended moment of typing until one of all who share the terminal has read it.
    Delivery,
    /// The same until the last of them has.
    FanOut,
    /// From the intended close until the server has closed.
    Close,
    /// How late the generator itself was: from the intended moment until it acted.
    Lag,
}

impl Metric {
    pub const ALL: [Metric; 15] = [
        Metric::SessionCreate,
        Metric::SessionReady,
        Metric::SessionFirstByte,
        Metric::Attach,
        Metric::Resolve,
        Metric::Connect,
        Metric::Tls,
        Metric::TlsResumed,
        Metric::Upgrade,
        Metric::FirstOutput,
        Metric::Echo,
        Metric::Delivery,
        Metric::FanOut,
        Metric::Close,
        Metric::Lag,
    ];

    /// As objectives and results name it.
    pub fn name(self) -> &'static str {
        match self {
            Metric::SessionCreate => "session-create",
            Metric::SessionReady => "session-ready",
            Metric::SessionFirstByte => "session-first-byte",
            Metric::Attach => "attach",
            Metric::Resolve => "resolve",
            Metric::Connect => "connect",
            Metric::Tls => "tls",
            Metric::TlsResumed => "tls-resumed",
            Metric::Upgrade => "upgrade",
            Metric::FirstOutput => "first-output",
            Metric::Echo => "echo",
            Metric::Delivery => "delivery",
            Metric::FanOut => "fan-out",
            Metric::Close => "close",
            Metric::Lag => "lag",
        }
    }

    /// The metric of a name.
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
    /// Without a sample.
    ///
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

    /// A metric's histogram.
    pub fn of(&self, metric: Metric) -> &Histogram<u64> {
        &self.0[metric as usize]
    }

    /// Those that have samples.
    pub fn with_samples(&self) -> impl Iterator<Item = (Metric, &Histogram<u64>)> {
        Metric::ALL
            .into_iter()
            .map(|metric| (metric, self.of(metric)))
            .filter(|(_, histogram)| !histogram.is_empty())
    }

    /// Those that have samples, by name: V2 encoding, base64.
    pub fn encode(&self) -> Encoded {
        self.with_samples()
            .filter_map(|(metric, histogram)| Some((metric.name().to_owned(), encode(histogram)?)))
            .collect()
    }

    /// Adds what another one had recorded, without loss.
    ///
    /// # Errors
    /// What isn't the encoding of a histogram of the one form.
    pub fn add(&mut self, encoded: &Encoded) -> Result<(), HistogramError> {
        for (name, text) in encoded {
            let metric = Metric::from_name(name).ok_or_else(|| HistogramError::NoMetric(name.clone()))?;
            let histogram = decode(text).ok_or_else(|| HistogramError::None(name.clone()))?;
            self.0[metric as usize]
                .add(&histogram)
                .map_err(|source| HistogramError::Add {
                    name: name.clone(),
                    source,
                })?;
        }
        Ok(())
    }

    /// Forgets a metric's samples.
    pub fn clear(&mut self, metric: Metric) {
        self.0[metric as usize].reset();
    }
}

/// Why histograms can't be put together. All name the metric.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    #[error("there is no metric {0}")]
    NoMetric(String),
    #[error("the histogram of {0} is none")]
    None(String),
    #[error("the histogram of {name}: {source}")]
    Add { name: String, source: AdditionError },
    #[error(transparent)]
    Create(#[from] CreationError),
}

/// A histogram without samples, of the form that all have.
pub fn empty() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, LONGEST, 3)
}

/// Histograms by their metrics' names.
pub type Encoded = BTreeMap<String, String>;

/// A histogram's V2 encoding, base64.
pub fn encode(histogram: &Histogram<u64>) -> Option<String> {
    Some(STANDARD.encode(bytes(histogram)?))
}

/// A histogram's V2 encoding.
fn bytes(histogram: &Histogram<u64>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // Into memory; nothing of one form can be too large for the format.
    V2Serializer::new().serialize(histogram, &mut bytes).ok()?;
    Some(bytes)
}

/// Where the length of what follows the head stands in the V2 encoding, and where what follows stands.
const LENGTH: std::ops::Range<usize> = 4..8;
const HEAD: usize = 40;

/// A histogram from its encoding; none if it isn't one, or not of the form that all have.
///
/// A file, or a worker, may say anything: memory is only taken for as much as is there.
pub fn decode(text: &str) -> Option<Histogram<u64>> {
    let given = STANDARD.decode(text).ok()?;
    let form = bytes(&empty().ok()?)?;
    let head = |bytes: &[u8]| Some([bytes.get(..LENGTH.start)?, bytes.get(LENGTH.end..HEAD)?].concat());
    let length = u32::from_be_bytes(given.get(LENGTH)?.try_into().ok()?);
    let whole = u64::from(length) + HEAD as u64 == given.len() as u64;
    if !whole || head(&given)? != head(&form)? {
        return None;
    }
    Deserializer::new().deserialize(&mut given.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Two workers' histograms together are the histogram of one that had all samples.
        #[test]
        fn merging_loses_nothing(one in proptest::collection::vec(1u64..4_000_000_000_000, 0..200), other in proptest::collection::vec(1u64..4_000_000_000_000, 0..200)) {
            let recorded = |samples: &mut dyn Iterator<Item = &u64>| {
                let mut histograms = Histograms::new().expect("histograms");
                samples.for_each(|sample| histograms.record(Metric::Echo, *sample));
                histograms
            };
            let all = recorded(&mut one.iter().chain(&other));
            let mut merged = Histograms::new().expect("histograms");
            for part in [&one, &other] {
                merged.add(&recorded(&mut part.iter()).encode()).expect("added");
            }
            prop_assert!(merged.of(Metric::Echo) == all.of(Metric::Echo));
        }
    }

    #[test]
    fn what_is_no_histogram_says_why() {
        let mut histograms = Histograms::new().expect("histograms");
        let add = |histograms: &mut Histograms, name: &str, text: &str| {
            histograms
                .add(&BTreeMap::from([(name.to_owned(), text.to_owned())]))
                .expect_err("wrong")
                .to_string()
        };
        assert!(add(&mut histograms, "ecko", "").starts_with("there is no metric ecko"));
        assert_eq!(add(&mut histograms, "echo", "!"), "the histogram of echo is none");
    }

    #[test]
    fn a_histogram_comes_back_and_nothing_else_does() {
        let mut histogram = empty().expect("a histogram");
        for value in [1, 2, 3, 5_000, 3_600_000_000] {
            histogram.record(value).expect("recorded");
        }
        let mut given = bytes(&histogram).expect("encoded");
        assert_eq!(decode(&STANDARD.encode(&given)), Some(histogram));
        assert_eq!(decode(&STANDARD.encode(&given[..given.len() - 1])), None);
        // It says that it has four gigabytes.
        given[LENGTH].fill(0xff);
        assert_eq!(decode(&STANDARD.encode(&given)), None);
        let other = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 5).expect("a histogram");
        assert_eq!(decode(&STANDARD.encode(bytes(&other).expect("encoded"))), None);
        assert_eq!(decode("no base64"), None);
        assert_eq!(decode(""), None);
    }
}
