//! A load's result: a document to keep, to merge and to compare.

mod judge;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::cluster::TargetSide;
use super::cost::Cost;
use super::http::HttpResult;
use super::metric::Histograms;
use super::objective::Judged;
use super::recorder::{Counts, Example, Second};
use super::reference::Counted;

/// A load's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    /// The platform is wrong: a door didn't hold, or an objective wasn't kept.
    Fail,
    /// The generator or this machine was the limit.
    Error,
    Interrupted,
}

impl Verdict {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASSED",
            Verdict::Fail => "FAILED",
            Verdict::Error => "COULD NOT TELL",
            Verdict::Interrupted => "INTERRUPTED",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadResult {
    pub api_version: String,
    pub kind: String,
    pub gauntlet: Gauntlet,
    /// RFC 3339.
    pub started: String,
    pub load: Load,
    pub verdict: Verdict,
    /// Why the verdict isn't `pass`, in words.
    pub reasons: Vec<String>,
    pub objectives: Vec<Judged>,
    pub counts: Counts,
    /// Failures of attaches with the right token, by kind.
    pub failures: BTreeMap<String, u64>,
    /// Results of attaches without the right token other than 401, by kind.
    pub probe_failures: BTreeMap<String, u64>,
    pub examples: Vec<Example>,
    /// Milliseconds, of the whole load and of its steady part.
    pub latencies: BTreeMap<String, Latency>,
    pub steady: BTreeMap<String, Latency>,
    /// Most terminals that were open at once.
    pub most_open: u64,
    /// Seconds from the beginning: the last handshake was over, the steady part, the end.
    pub ramped: f64,
    pub steady_part: Option<(f64, f64)>,
    pub ended: f64,
    pub seconds: Vec<Second>,
    pub generator: Generator,
    /// The outcome of a fan-out, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fan_out: Option<FannedOut>,
    /// The reference platform's own count and cost, where it was the target.
    pub platform: Option<Platform>,
    /// The cost to the target's pods, if it is on a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_side: Option<TargetSide>,
    /// Its HTTP side, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpResult>,
    /// HDR histograms of the whole load and of its steady part, in microseconds: V2 encoding, base64.
    pub histograms: BTreeMap<String, String>,
    pub steady_histograms: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gauntlet {
    pub version: String,
    pub commit: Option<String>,
}

/// The plan of the load.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    pub target: String,
    /// What lets attaches and echoes begin: `open`, by a schedule, or `closed`, by answers.
    pub model: String,
    pub attaches: u32,
    /// The schedule; in the closed model how many are being opened at once.
    pub arrivals: String,
    /// Milliseconds.
    pub hold: u64,
    /// In the closed model, from an answer to the next echo.
    pub echo_every: Option<u64>,
    pub deadline: u64,
    pub probe_every: Option<u64>,
    pub seed: u64,
    /// Milliseconds until the target was found before the load.
    pub resolve: f64,
}

/// Milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    #[serde(rename = "p99.9")]
    pub p999: f64,
    #[serde(rename = "p99.99")]
    pub p9999: f64,
    pub max: f64,
}

/// What the generator cost and how late it was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generator {
    pub processes: u32,
    /// Of the schedule's lag, milliseconds; 0 in the closed model, which has no schedule.
    pub lag_p99: f64,
    /// Whether it was the limit itself; latencies then say nothing about the platform. In the closed model nothing tells.
    pub saturated: bool,
    pub before: Cost,
    pub end: Cost,
    /// Resident bytes for each terminal that is held.
    pub bytes_per_attach: Option<f64>,
    /// Milliseconds of processor time for each attach that was opened.
    pub milliseconds_per_attach: Option<f64>,
    /// Milliseconds of processor time for each TLS handshake in full, and for each that resumed an earlier session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds_per_tls: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds_per_tls_resumed: Option<f64>,
    /// Microseconds of processor time for each echo of the steady part, and its part in user mode.
    pub microseconds_per_echo: Option<f64>,
    pub user_microseconds_per_echo: Option<f64>,
}

/// One types, and all must see each key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FannedOut {
    pub typed: u64,
    /// Frames that came to all attaches together, for each key.
    pub frames_per_key: f64,
    /// Attaches that the keys were to come to, and came to.
    pub deliveries: u64,
    pub delivered: u64,
}

impl FannedOut {
    fn of(counts: &Counts) -> Option<FannedOut> {
        (counts.keys_typed > 0).then(|| FannedOut {
            typed: counts.keys_typed,
            frames_per_key: counts.frames_delivered as f64 / counts.keys_typed as f64,
            deliveries: counts.deliveries,
            delivered: counts.delivered,
        })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platform {
    pub processes: u32,
    pub opened: Option<u64>,
    pub refused: Option<u64>,
    pub cost: Option<Cost>,
}

impl Platform {
    pub fn new(processes: u32, counted: Option<Counted>, cost: Option<Cost>) -> Platform {
        Platform {
            processes,
            opened: counted.map(|counted| counted.opened),
            refused: counted.map(|counted| counted.refused),
            cost,
        }
    }
}

impl LoadResult {
    /// With what others made of it: texts of servers as they may be shown, at most so long.
    pub fn with_texts(mut self, shown: impl Fn(&str) -> String) -> LoadResult {
        for example in &mut self.examples {
            example.said = example.said.as_ref().map(|said| shown(said));
        }
        self
    }

    /// With what went wrong beside the load, which then has not passed.
    pub fn with_problems(mut self, problems: &[String]) -> LoadResult {
        if !problems.is_empty() && self.verdict == Verdict::Pass {
            self.verdict = Verdict::Error;
        }
        self.reasons.extend_from_slice(problems);
        self
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Error => 3,
            Verdict::Interrupted => 130,
        }
    }
}

/// How failures that are this machine's own begin.
const LOCAL: &str = "local: ";

impl LoadResult {
    /// How often this machine, and not the platform, was the limit.
    pub fn lacked_here(&self) -> u64 {
        self.failures
            .iter()
            .chain(&self.probe_failures)
            .filter(|(failure, _)| failure.starts_with(LOCAL))
            .map(|(_, count)| count)
            .sum()
    }
}

pub(super) fn latencies(histograms: &Histograms) -> BTreeMap<String, Latency> {
    histograms
        .with_samples()
        .map(|(metric, histogram)| (metric.name().to_owned(), Latency::of(histogram)))
        .collect()
}

impl Latency {
    pub fn of(histogram: &Histogram<u64>) -> Latency {
        let quantile = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Latency {
            count: histogram.len(),
            min: histogram.min() as f64 / 1000.0,
            mean: histogram.mean() / 1000.0,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            p9999: quantile(0.9999),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}
