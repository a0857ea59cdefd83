//! What is kept of a load while it runs: histograms and counts of constant size, a row for each second, and a few
//! examples of each kind of failure. No sample is stored.

use std::collections::BTreeMap;

use hdrhistogram::CreationError;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::metric::{Encoded, HistogramError, Histograms, Metric};

/// Examples that are kept of each kind of failure.
const EXAMPLES: u64 = 3;

/// What happened, in numbers. `attempted = opened + refused + failed` once all are settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Attaches with the right token that were started.
    pub attempted: u64,
    /// Of these, terminals that opened.
    pub opened: u64,
    /// Of these, answered with a status that isn't 101.
    pub refused: u64,
    /// Of these, without an answer that counts.
    pub failed: u64,
    /// Opened terminals that ended before they were closed from here.
    pub lost: u64,
    /// Opened terminals that were closed from here, and the server closed as well.
    pub closed: u64,
    /// Opened terminals that were closed from here, and the server did not close within the deadline.
    pub stuck: u64,
    pub echoes_sent: u64,
    pub echoes_answered: u64,
    /// Echoes whose nonce never came back, or not within the deadline.
    pub echoes_unanswered: u64,
    /// WebSocket messages' parts and their bytes that came from the server.
    pub received_bytes: u64,
    /// Attaches without the right token that were started.
    pub probes: u64,
    /// Of these, refused with 401, as each must be.
    pub probes_refused: u64,
    /// Of these, opened: a door that doesn't hold.
    pub probes_opened: u64,
    /// Of these, anything else: another status, or no answer.
    pub probes_otherwise: u64,
    /// Of these, cut off while the platform changed: no answer, or a status of 500 and above.
    #[serde(default)]
    pub probes_cut: u64,
    /// Attaches that came with the right token while the platform changed: whether they opened says nothing.
    #[serde(default)]
    pub unsettled: u64,
    #[serde(default)]
    pub unsettled_opened: u64,
    /// Of these, refused with 401.
    #[serde(default)]
    pub unsettled_refused: u64,
    /// Of these, anything else: another status, or no answer.
    #[serde(default)]
    pub unsettled_otherwise: u64,
    /// TLS handshakes in full that were carried out, probes' too, and the processor time that they took here.
    #[serde(default)]
    pub tls_full: u64,
    #[serde(default)]
    pub tls_full_nanoseconds: u64,
    /// The same of those that resumed an earlier session.
    #[serde(default)]
    pub tls_resumed: u64,
    #[serde(default)]
    pub tls_resumed_nanoseconds: u64,
    /// Keys that one attach typed for all to see.
    #[serde(default)]
    pub keys_typed: u64,
    /// Attaches that each of them was to come to, together.
    #[serde(default)]
    pub deliveries: u64,
    /// Of these, seen there.
    #[serde(default)]
    pub delivered: u64,
    /// Of these, never seen, or not within the deadline.
    #[serde(default)]
    pub undelivered: u64,
    /// Frames in which they came.
    #[serde(default)]
    pub frames_delivered: u64,
}

impl Counts {
    /// Echoes that are neither answered nor given up.
    pub fn echoes_under_way(&self) -> u64 {
        self.echoes_sent - self.echoes_answered - self.echoes_unanswered
    }

    /// Deliveries that are neither seen nor given up.
    pub fn deliveries_under_way(&self) -> u64 {
        self.deliveries - self.delivered - self.undelivered
    }

    /// A TLS handshake is over.
    pub fn secured(&mut self, resumed: bool, nanoseconds: u64) {
        let (count, time) = match resumed {
            true => (&mut self.tls_resumed, &mut self.tls_resumed_nanoseconds),
            false => (&mut self.tls_full, &mut self.tls_full_nanoseconds),
        };
        *count += 1;
        *time += nanoseconds;
    }

    fn add(&mut self, other: &Counts) {
        let Counts {
            attempted,
            opened,
            refused,
            failed,
            lost,
            closed,
            stuck,
            echoes_sent,
            echoes_answered,
            echoes_unanswered,
            received_bytes,
            probes,
            probes_refused,
            probes_opened,
            probes_otherwise,
            probes_cut,
            unsettled,
            unsettled_opened,
            unsettled_refused,
            unsettled_otherwise,
            tls_full,
            tls_full_nanoseconds,
            tls_resumed,
            tls_resumed_nanoseconds,
            keys_typed,
            deliveries,
            delivered,
            undelivered,
            frames_delivered,
        } = other;
        self.attempted += attempted;
        self.opened += opened;
        self.refused += refused;
        self.failed += failed;
        self.lost += lost;
        self.closed += closed;
        self.stuck += stuck;
        self.echoes_sent += echoes_sent;
        self.echoes_answered += echoes_answered;
        self.echoes_unanswered += echoes_unanswered;
        self.received_bytes += received_bytes;
        self.probes += probes;
        self.probes_refused += probes_refused;
        self.probes_opened += probes_opened;
        self.probes_otherwise += probes_otherwise;
        self.probes_cut += probes_cut;
        self.unsettled += unsettled;
        self.unsettled_opened += unsettled_opened;
        self.unsettled_refused += unsettled_refused;
        self.unsettled_otherwise += unsettled_otherwise;
        self.tls_full += tls_full;
        self.tls_full_nanoseconds += tls_full_nanoseconds;
        self.tls_resumed += tls_resumed;
        self.tls_resumed_nanoseconds += tls_resumed_nanoseconds;
        self.keys_typed += keys_typed;
        self.deliveries += deliveries;
        self.delivered += delivered;
        self.undelivered += undelivered;
        self.frames_delivered += frames_delivered;
    }

    /// What went wrong with attaches that have the right token.
    pub fn errors(&self) -> u64 {
        self.refused + self.failed + self.lost + self.stuck + self.echoes_unanswered + self.undelivered
    }
}

/// One failure, as it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Example {
    pub failure: String,
    /// Seconds since the load began.
    pub at: f64,
    /// Number of the attach, or the kind of a probe.
    pub attach: String,
    /// This side's address, where there was one.
    pub local: Option<String>,
    /// The server's answer, as far as it matters.
    pub said: Option<String>,
}

/// One second of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Second {
    /// Seconds since the load began, at the row's end.
    pub at: f64,
    /// Terminals open at the row's end.
    pub open: u64,
    pub attempted: u64,
    pub opened: u64,
    /// Attaches that were refused, failed, lost or stuck, and unanswered echoes.
    pub errors: u64,
    pub echoes: u64,
    /// Milliseconds; none without a sample.
    pub attach_p50: Option<f64>,
    pub attach_p99: Option<f64>,
    pub echo_p50: Option<f64>,
    pub echo_p99: Option<f64>,
    pub lag_p99: Option<f64>,
    /// Failures of attaches with the right token, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
    /// Of a worker: its histograms of this second, to be added to the others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histograms: Option<Encoded>,
}

/// A load's counts and measurements so far.
pub struct Recorder {
    /// Of the whole load.
    pub counts: Counts,
    /// Of the whole load.
    pub whole: Histograms,
    /// Of the steady part: from when all are open until the first is closed.
    pub steady: Histograms,
    /// Of the current second.
    second: Histograms,
    before: Counts,
    /// Failures of the current second.
    second_failures: BTreeMap<Failure, u64>,
    /// A row of each second that has ended; none of a worker, whose rows are merged.
    pub seconds: Vec<Second>,
    /// Failures of attaches with the right token, by kind.
    pub failures: BTreeMap<Failure, u64>,
    /// The results of probes other than 401, by kind.
    pub probe_failures: BTreeMap<Failure, u64>,
    /// A few of each kind of failure.
    pub examples: Vec<Example>,
    /// Echoes that were sent in the steady part.
    pub steady_echoes: u64,
    examples_of: BTreeMap<String, u64>,
}

impl Recorder {
    /// Without a sample.
    ///
    /// # Errors
    /// None: see [`Histograms::new`].
    pub fn new() -> Result<Recorder, CreationError> {
        Ok(Recorder {
            counts: Counts::default(),
            whole: Histograms::new()?,
            steady: Histograms::new()?,
            second: Histograms::new()?,
            before: Counts::default(),
            second_failures: BTreeMap::new(),
            seconds: Vec::new(),
            failures: BTreeMap::new(),
            probe_failures: BTreeMap::new(),
            examples: Vec::new(),
            steady_echoes: 0,
            examples_of: BTreeMap::new(),
        })
    }

    /// Records a duration in nanoseconds.
    pub fn record(&mut self, metric: Metric, nanoseconds: u64, steady: bool) {
        self.whole.record(metric, nanoseconds);
        if steady {
            self.steady.record(metric, nanoseconds);
        }
        if matches!(metric, Metric::Attach | Metric::Echo | Metric::Lag) {
            self.second.record(metric, nanoseconds);
        }
    }

    /// Counts a failure of an attach with the right token.
    pub fn fail(&mut self, failure: Failure, example: impl FnOnce(String) -> Example) {
        self.keep(&failure.to_string(), example);
        *self.second_failures.entry(failure.clone()).or_default() += 1;
        *self.failures.entry(failure).or_default() += 1;
    }

    /// Counts a probe's result other than 401.
    pub fn fail_probe(&mut self, failure: Failure, example: impl FnOnce(String) -> Example) {
        self.keep(&format!("without the right token: {failure}"), example);
        *self.probe_failures.entry(failure).or_default() += 1;
    }

    /// Keeps an example where there are few of its kind.
    pub fn keep(&mut self, kind: &str, example: impl FnOnce(String) -> Example) {
        let seen = self.examples_of.entry(kind.to_owned()).or_default();
        *seen += 1;
        if *seen <= EXAMPLES {
            self.examples.push(example(kind.to_owned()));
        }
    }

    /// Ends the row of a second.
    pub fn end_second(&mut self, at: f64, open: u64, encode: bool) -> Second {
        let failures = std::mem::take(&mut self.second_failures);
        let (now, before) = (&self.counts, &self.before);
        let row = Second {
            at,
            open,
            // One that the platform's change came in between is taken out again.
            attempted: now.attempted.saturating_sub(before.attempted),
            opened: now.opened - before.opened,
            errors: now.errors() - before.errors(),
            echoes: now.echoes_answered - before.echoes_answered,
            failures: failures
                .into_iter()
                .map(|(failure, count)| (failure.to_string(), count))
                .collect(),
            histograms: encode.then(|| self.second.encode()),
            ..Second::default()
        }
        .with_quantiles(&self.second);
        for metric in [Metric::Attach, Metric::Echo, Metric::Lag] {
            self.second.clear(metric);
        }
        self.before = self.counts.clone();
        if !encode {
            self.seconds.push(row.clone());
        }
        row
    }

    /// Adds what a worker had counted and recorded, without loss.
    ///
    /// # Errors
    /// Histograms that can't be read.
    pub fn add(&mut self, share: &Recorded) -> Result<(), HistogramError> {
        self.counts.add(&share.counts);
        self.whole.add(&share.whole)?;
        self.steady.add(&share.steady)?;
        self.steady_echoes += share.steady_echoes;
        for (failure, count) in &share.failures {
            *self.failures.entry(failure.clone()).or_default() += count;
        }
        for (failure, count) in &share.probe_failures {
            *self.probe_failures.entry(failure.clone()).or_default() += count;
        }
        for example in &share.examples {
            self.keep(&example.failure, |_| example.clone());
        }
        Ok(())
    }
}

/// A worker's records, as sent to the coordinator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recorded {
    pub counts: Counts,
    pub whole: Encoded,
    pub steady: Encoded,
    pub steady_echoes: u64,
    pub failures: Vec<(Failure, u64)>,
    pub probe_failures: Vec<(Failure, u64)>,
    pub examples: Vec<Example>,
}

impl From<Recorder> for Recorded {
    fn from(recorder: Recorder) -> Recorded {
        Recorded {
            whole: recorder.whole.encode(),
            steady: recorder.steady.encode(),
            counts: recorder.counts,
            steady_echoes: recorder.steady_echoes,
            failures: recorder.failures.into_iter().collect(),
            probe_failures: recorder.probe_failures.into_iter().collect(),
            examples: recorder.examples,
        }
    }
}

impl Second {
    /// With the quantiles of these histograms, in milliseconds.
    fn with_quantiles(self, histograms: &Histograms) -> Second {
        let quantile = |metric, quantile| {
            let histogram = histograms.of(metric);
            (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1000.0)
        };
        Second {
            attach_p50: quantile(Metric::Attach, 0.5),
            attach_p99: quantile(Metric::Attach, 0.99),
            echo_p50: quantile(Metric::Echo, 0.5),
            echo_p99: quantile(Metric::Echo, 0.99),
            lag_p99: quantile(Metric::Lag, 0.99),
            ..self
        }
    }

    /// The same second of several workers as one.
    ///
    /// # Errors
    /// Histograms that can't be read.
    pub fn merged(of: &[Second]) -> Result<Second, HistogramError> {
        let mut histograms = Histograms::new()?;
        let mut sum = Second::default();
        for second in of {
            sum.at = sum.at.max(second.at);
            sum.open += second.open;
            sum.attempted += second.attempted;
            sum.opened += second.opened;
            sum.errors += second.errors;
            sum.echoes += second.echoes;
            for (failure, count) in &second.failures {
                *sum.failures.entry(failure.clone()).or_default() += count;
            }
            histograms.add(second.histograms.as_ref().unwrap_or(&Encoded::new()))?;
        }
        Ok(sum.with_quantiles(&histograms))
    }
}
