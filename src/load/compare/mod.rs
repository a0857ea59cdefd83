//! Compares two results of loads, and finds the differences that are more than chance.

mod chance;
mod figure;
mod limit;
mod read;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::metric::Metric;
use super::result::Verdict;
use super::summary::times;
use figure::{Figure, Share};
pub use limit::Limit;
pub use read::Saved;

/// Quantiles of which each metric is shown.
const QUANTILES: [f64; 2] = [0.5, 0.99];

/// Two loads, and their difference.
pub struct Comparison<'a> {
    a: &'a Saved,
    b: &'a Saved,
    /// What weakens the comparison, in words.
    warnings: Vec<String>,
    /// Why latencies say nothing, in words: a generator was late, or the models differ. It says nothing against counts.
    late: Vec<String>,
    /// Why figures of the platform could not be told otherwise, in words.
    limits: Vec<String>,
    rows: Vec<Row>,
    limited: Vec<Judged<'a>>,
}

/// One figure of both loads.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    figure: Figure,
    a: Seen,
    b: Seen,
    /// By which share of A's B's is larger; infinite where A has nothing.
    change: Option<f64>,
    said: Said,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Nothing,
    /// Milliseconds, and between which the quantile lies.
    Latency {
        value: f64,
        interval: Option<(f64, f64)>,
    },
    /// So many of so many.
    Share(u64, u64),
}

/// The judgement of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// It may be chance.
    Chance,
    Worse,
    Better,
    TooFew,
    /// Only one of the loads has it.
    Missing,
    /// The generator or its machine was the limit.
    CouldNotTell,
}

/// A limit with what became of it.
struct Judged<'a> {
    limit: &'a Limit,
    row: Row,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Kept,
    Broken,
    CouldNotTell,
}

impl<'a> Comparison<'a> {
    /// Compares B with A, and judges the difference.
    pub fn new(a: &'a Saved, b: &'a Saved, limits: &'a [Limit]) -> Comparison<'a> {
        let both = Both {
            a,
            b,
            saturated: a.result.generator.saturated || b.result.generator.saturated || models(a, b).is_some(),
            lacked: a.result.lacked_here() + b.result.lacked_here() > 0,
        };
        let limited = limits.iter().map(|limit| {
            let row = both.row(limit.figure());
            let outcome = limit.judge(&row);
            Judged { limit, row, outcome }
        });
        Comparison {
            a,
            b,
            warnings: warnings(a, b),
            late: [a, b].into_iter().filter_map(lateness).chain(models(a, b)).collect(),
            limits: [a, b].into_iter().flat_map(limits_of).collect(),
            rows: both.rows(),
            limited: limited.collect(),
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        let any = |outcome| self.limited.iter().any(|judged| judged.outcome == outcome);
        // Where limits are given, those on latencies have it in their outcome, and those on counts stand.
        let late = !self.late.is_empty();
        if any(Outcome::Broken) {
            1
        } else if any(Outcome::CouldNotTell) || !self.limits.is_empty() || (self.limited.is_empty() && late) {
            3
        } else {
            0
        }
    }
}

struct Both<'a> {
    a: &'a Saved,
    b: &'a Saved,
    /// Whether a generator was the limit, or the models differ: latencies then say nothing about the platform.
    saturated: bool,
    /// Whether a machine lacked something: then errors don't count against the platform.
    lacked: bool,
}

impl Both<'_> {
    /// What a comparison shows unasked: what either load has measured, and what went wrong in one of them.
    fn rows(&self) -> Vec<Row> {
        let mut figures = Vec::new();
        for steady in [false, true] {
            // The lag is the generator's own.
            for metric in Metric::ALL.into_iter().filter(|metric| *metric != Metric::Lag) {
                let has = |saved: &Saved| saved.histogram(steady, metric).is_some();
                // Only echoes go on while all are open.
                let meant = !steady || metric == Metric::Echo;
                if meant && (has(self.a) || has(self.b)) {
                    figures.extend(QUANTILES.map(|quantile| Figure::Quantile {
                        steady,
                        metric,
                        quantile,
                    }));
                }
            }
        }
        let happened = |share: &Share| {
            let count = |saved: &Saved| share.of(&saved.result.counts).0;
            *share == Share::Errors || count(self.a) + count(self.b) > 0
        };
        figures.extend(Share::ALL.into_iter().filter(happened).map(Figure::Share));
        figures.into_iter().map(|figure| self.row(figure)).collect()
    }

    fn row(&self, figure: Figure) -> Row {
        let (a, b) = (seen(self.a, figure), seen(self.b, figure));
        // A shut door that opens is wrong each time: no chance is in it, however few have tried.
        if figure == Figure::Share(Share::ProbesOpened) && a.count() == 0 && b.count() > 0 {
            return Row {
                figure,
                a,
                b,
                change: Some(f64::INFINITY),
                said: Said::Worse,
            };
        }
        let (Some(before), Some(after)) = (a.value(), b.value()) else {
            return Row {
                figure,
                a,
                b,
                change: None,
                said: Said::Missing,
            };
        };
        let change = match (before > 0.0, after > 0.0) {
            (true, _) => after / before - 1.0,
            (false, true) => f64::INFINITY,
            (false, false) => 0.0,
        };
        let untold = match figure {
            Figure::Quantile { metric, .. } => self.saturated && metric != Metric::Lag,
            Figure::Share(share) => self.lacked && share != Share::ProbesOpened,
        };
        let said = match (untold, a.differs(b)) {
            (true, _) => Said::CouldNotTell,
            (false, None) => Said::TooFew,
            (false, Some(false)) => Said::Chance,
            (false, Some(true)) if change > 0.0 => Said::Worse,
            (false, Some(true)) => Said::Better,
        };
        Row {
            figure,
            a,
            b,
            change: Some(change),
            said,
        }
    }
}

fn seen(saved: &Saved, figure: Figure) -> Seen {
    match figure {
        Figure::Share(share) => match share.of(&saved.result.counts) {
            (_, 0) => Seen::Nothing,
            (count, of) => Seen::Share(count, of),
        },
        Figure::Quantile {
            steady,
            metric,
            quantile,
        } => match saved.histogram(steady, metric) {
            None => Seen::Nothing,
            Some(histogram) => latency(histogram, quantile),
        },
    }
}

fn latency(histogram: &Histogram<u64>, quantile: f64) -> Seen {
    let milliseconds = |micros: u64| micros as f64 / 1000.0;
    Seen::Latency {
        value: milliseconds(histogram.value_at_quantile(quantile)),
        interval: chance::interval(histogram, quantile).map(|(low, high)| (milliseconds(low), milliseconds(high))),
    }
}

impl Seen {
    /// Milliseconds, or a share of 1.
    fn value(self) -> Option<f64> {
        match self {
            Seen::Nothing => None,
            Seen::Latency { value, .. } => Some(value),
            Seen::Share(count, of) => Some(count as f64 / of as f64),
        }
    }

    /// How often something went wrong.
    fn count(self) -> u64 {
        match self {
            Seen::Share(count, _) => count,
            Seen::Nothing | Seen::Latency { .. } => 0,
        }
    }

    /// Whether two differ by more than chance; none if there are too few samples to tell.
    fn differs(self, other: Seen) -> Option<bool> {
        match (self, other) {
            (Seen::Share(count, of), Seen::Share(others, of_others)) => {
                Some(chance::shares_differ((count, of), (others, of_others)))
            }
            (Seen::Latency { interval: one, .. }, Seen::Latency { interval: other, .. }) => {
                let ((low, high), (others_low, others_high)) = one.zip(other)?;
                Some(high < others_low || others_high < low)
            }
            _ => None,
        }
    }
}

/// Differences between the loads' settings, and anything else that makes their figures hard to compare.
fn warnings(a: &Saved, b: &Saved) -> Vec<String> {
    let (one, other) = (&a.result.load, &b.result.load);
    let every = |every: Option<u64>| every.map_or("never".to_owned(), |every| format!("{every} ms"));
    let http = |saved: &Saved| {
        let side = saved.result.http.as_ref();
        side.map_or("none".to_owned(), |side| side.users.to_string())
    };
    let settings = [
        ("target", one.target.clone(), other.target.clone()),
        ("model", one.model.clone(), other.model.clone()),
        ("attaches", one.attaches.to_string(), other.attaches.to_string()),
        ("arrivals", one.arrivals.clone(), other.arrivals.clone()),
        ("hold", format!("{} ms", one.hold), format!("{} ms", other.hold)),
        ("echo-every", every(one.echo_every), every(other.echo_every)),
        (
            "deadline",
            format!("{} ms", one.deadline),
            format!("{} ms", other.deadline),
        ),
        // They take processors from the attaches, and ask the same platform.
        ("http-users", http(a), http(b)),
    ];
    let different: Vec<String> = settings
        .into_iter()
        .filter(|(_, one, other)| one != other)
        .map(|(name, one, other)| format!("{name} {one} and {other}"))
        .collect();
    let mut warnings = Vec::new();
    if !different.is_empty() {
        warnings.push(format!("these are different loads: {}", different.join(", ")));
    }
    for saved in [a, b] {
        if saved.result.verdict == Verdict::Interrupted {
            warnings.push(format!("{} was interrupted: it is a part of its load", saved.name));
        }
    }
    warnings
}

/// Why latencies can't be told by a result whose generator was late.
fn lateness(saved: &Saved) -> Option<String> {
    let generator = &saved.result.generator;
    generator.saturated.then(|| {
        format!(
            "the generator was itself the limit in {}: its lag has a p99 of {:.1} ms; latencies are none of the \
             platform's",
            saved.name, generator.lag_p99
        )
    })
}

/// Why latencies of two models can't be compared.
fn models(a: &Saved, b: &Saved) -> Option<String> {
    let (one, other) = (&a.result.load.model, &b.result.load.model);
    (one != other).then(|| {
        format!(
            "{} is of the {one} model and {} of the {other} one: their latencies count from different moments",
            a.name, b.name
        )
    })
}

/// How the reasons of a result begin that are said here in other words.
const SAID_ELSEWHERE: [&str; 2] = ["the generator was itself the limit", "this machine was the limit"];

/// Why nothing, or not all, can be told by a result, whatever its generator's lag.
fn limits_of(saved: &Saved) -> Vec<String> {
    let mut limits = Vec::new();
    let lacked = saved.result.lacked_here();
    if lacked > 0 {
        limits.push(format!(
            "the machine of {} was the limit {}: errors don't count against the platform",
            saved.name,
            times(lacked)
        ));
    }
    let said_elsewhere = |reason: &str| SAID_ELSEWHERE.iter().any(|said| reason.starts_with(said));
    let mut reasons = saved.result.reasons.iter().map(String::as_str).collect::<Vec<_>>();
    reasons.retain(|reason| !said_elsewhere(reason));
    let unsaid = !reasons.is_empty() || (lacked == 0 && !saved.result.generator.saturated);
    if saved.result.verdict == Verdict::Error && unsaid {
        limits.push(format!("{} could not tell: {}", saved.name, reasons.join("; ")));
    }
    limits
}

/// The histograms of a result, by the names of their metrics.
type Named = BTreeMap<&'static str, Histogram<u64>>;
