//! Objectives of a load: `attach.p99 < 500ms`, `steady.echo.p99.9 < 50ms`, `errors == 0`, `error-ratio < 1%`.
//!
//! An objective without samples fails, and so does a quantile of too few: a quantile q of less than 10 / (1 − q)
//! samples says more about chance than about the platform.

use std::fmt;
use std::str::FromStr;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::metric::{Histograms, Metric};
use super::recorder::Counts;

/// How an objective is written.
pub const FORM: &str = "an objective like `attach.p99 < 500ms`, `steady.echo.p99 < 50ms`, `errors == 0`, \
                        `error-ratio < 1%` or `opened >= 200`";

/// An objective of a load.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    figure: Figure,
    relation: Relation,
    /// Milliseconds, a number, or a share of 1.
    limit: f64,
    /// As it was written.
    text: String,
}

/// Why a text is no objective: whoever wrote it, on the command line or in a scenario, has to correct it.
#[derive(Debug, thiserror::Error)]
#[error("{why}; wanted is {FORM}")]
pub struct InvalidObjective {
    pub why: WrongPart,
}

/// The part of an objective that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum WrongPart {
    #[error("there is no <, <=, >, >= or ==")]
    NoRelation,
    #[error(transparent)]
    Figure(#[from] NoFigure),
    #[error("{limit:?} isn't a {unit}")]
    Limit { limit: String, unit: &'static str },
}

/// Why a name is none of a figure.
#[derive(Debug, thiserror::Error)]
pub enum NoFigure {
    #[error("there is no figure {name:?}")]
    Unknown { name: String },
    #[error("there is no figure {name:?}, did you mean {near}?")]
    Misspelt { name: String, near: &'static str },
    #[error("there is no {} in the steady part: all are open then", metric.name())]
    NeverSteady { metric: Metric },
    #[error("{of:?} is not one of p50 … p99.99, mean, max and count")]
    NoPercentile { of: String },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figure {
    Latency {
        steady: bool,
        metric: Metric,
        of: Of,
    },
    Count(Count),
    /// Errors for each attach and echo that was attempted.
    ErrorRatio,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Of {
    Quantile(f64),
    Mean,
    Max,
    Count,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Count {
    Errors,
    Opened,
    Refused,
    Failed,
    Lost,
    Unanswered,
}

const COUNTS: [(&str, Count); 6] = [
    ("errors", Count::Errors),
    ("opened", Count::Opened),
    ("refused", Count::Refused),
    ("failed", Count::Failed),
    ("lost", Count::Lost),
    ("unanswered", Count::Unanswered),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

/// Longest first, so that none is taken for its beginning.
const RELATIONS: [(&str, Relation); 5] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("==", Relation::Equal),
    ("<", Relation::Below),
    (">", Relation::Above),
];

/// Whether an objective was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    Yes,
    No,
    /// Too few samples, or none: as good as not kept.
    NotEnoughSamples,
    /// The generator was the limit: the figure says nothing about the platform.
    CouldNotTell,
}

impl Kept {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Kept::Yes => "kept",
            Kept::No => "BROKEN",
            Kept::NotEnoughSamples => "NOT ENOUGH SAMPLES",
            Kept::CouldNotTell => "COULD NOT TELL",
        }
    }
}

/// An objective with what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Judged {
    pub objective: String,
    pub kept: Kept,
    /// The figure, with its unit; without one what is missing.
    pub found: String,
}

/// The figures that an objective is compared with.
pub struct Measured<'a> {
    pub counts: &'a Counts,
    pub whole: &'a Histograms,
    pub steady: &'a Histograms,
    /// Whether the generator was the limit.
    pub saturated: bool,
}

impl Objective {
    /// The default: nothing goes wrong.
    pub fn no_errors() -> Objective {
        Objective {
            figure: Figure::Count(Count::Errors),
            relation: Relation::Equal,
            limit: 0.0,
            text: "errors == 0".into(),
        }
    }

    pub(super) fn figure(&self) -> Figure {
        self.figure
    }

    /// Whether a value keeps it.
    pub(super) fn holds(&self, value: f64) -> bool {
        self.relation.holds(value, self.limit)
    }

    /// The most that a latency may be, in milliseconds.
    pub fn latency_limit(&self) -> Option<f64> {
        if !matches!(self.relation, Relation::Below | Relation::AtMost) {
            return None;
        }
        match self.figure {
            Figure::Latency { of: Of::Count, .. } | Figure::Count(_) | Figure::ErrorRatio => None,
            Figure::Latency { .. } => Some(self.limit),
        }
    }

    /// Which latency it is about.
    pub fn metric(&self) -> Option<Metric> {
        match self.figure {
            Figure::Latency { metric, .. } => Some(metric),
            _ => None,
        }
    }

    pub fn judge(&self, measured: &Measured<'_>) -> Judged {
        let (kept, found) = self.found(measured);
        Judged {
            objective: self.text.clone(),
            kept,
            found,
        }
    }

    fn found(&self, measured: &Measured<'_>) -> (Kept, String) {
        let kept = |value: f64| {
            if self.holds(value) { Kept::Yes } else { Kept::No }
        };
        match self.figure {
            Figure::Count(count) => {
                let value = count.of(measured.counts);
                (kept(value as f64), value.to_string())
            }
            Figure::ErrorRatio => {
                let counts = measured.counts;
                let attempted = counts.attempted + counts.echoes_sent + counts.deliveries;
                if attempted == 0 {
                    return (Kept::NotEnoughSamples, "nothing was attempted".into());
                }
                let ratio = counts.errors() as f64 / attempted as f64;
                (kept(ratio), format!("{:.3} %", ratio * 100.0))
            }
            Figure::Latency { steady, metric, of } => {
                let of_all = if steady { measured.steady } else { measured.whole };
                let histogram = of_all.of(metric);
                if of == Of::Count {
                    return (kept(histogram.len() as f64), histogram.len().to_string());
                }
                if let Some(missing) = of.missing(histogram) {
                    return (Kept::NotEnoughSamples, missing);
                }
                let value = of.value(histogram) / 1000.0;
                // The generator's own lag is never the platform's figure.
                if measured.saturated && metric != Metric::Lag {
                    let found = format!("{value:.2} ms, of a generator that was the limit itself");
                    return (Kept::CouldNotTell, found);
                }
                (kept(value), format!("{value:.2} ms"))
            }
        }
    }
}

impl Of {
    /// What is missing for it, in words.
    fn missing(self, histogram: &Histogram<u64>) -> Option<String> {
        let (have, needed) = (histogram.len(), self.samples());
        (have < needed).then(|| format!("{have} samples, and it needs {needed}"))
    }

    pub(super) fn samples(self) -> u64 {
        match self {
            Of::Quantile(quantile) => (10.0 / (1.0 - quantile) - 1e-6).ceil() as u64,
            Of::Mean | Of::Max => 1,
            Of::Count => 0,
        }
    }

    fn value(self, histogram: &Histogram<u64>) -> f64 {
        match self {
            Of::Quantile(quantile) => histogram.value_at_quantile(quantile) as f64,
            Of::Mean => histogram.mean(),
            Of::Max => histogram.max() as f64,
            Of::Count => histogram.len() as f64,
        }
    }
}

impl Count {
    fn of(self, counts: &Counts) -> u64 {
        match self {
            Count::Errors => counts.errors(),
            Count::Opened => counts.opened,
            Count::Refused => counts.refused,
            Count::Failed => counts.failed,
            Count::Lost => counts.lost,
            Count::Unanswered => counts.echoes_unanswered,
        }
    }
}

impl Relation {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Relation::Below => value < limit,
            Relation::AtMost => value <= limit,
            Relation::Above => value > limit,
            Relation::AtLeast => value >= limit,
            Relation::Equal => value == limit,
        }
    }
}

impl FromStr for Objective {
    type Err = InvalidObjective;

    fn from_str(text: &str) -> Result<Objective, InvalidObjective> {
        let wrong = |why: WrongPart| InvalidObjective { why };
        let at = RELATIONS.iter().find_map(|(sign, relation)| {
            let (name, limit) = text.split_once(sign)?;
            Some((name.trim(), *relation, limit.trim()))
        });
        let (name, relation, limit) = at.ok_or_else(|| wrong(WrongPart::NoRelation))?;
        let figure = figure(name).map_err(|why| wrong(why.into()))?;
        let limit = figure.limit(limit).ok_or_else(|| {
            wrong(WrongPart::Limit {
                limit: limit.to_owned(),
                unit: figure.unit(),
            })
        })?;
        Ok(Objective {
            figure,
            relation,
            limit,
            text: text.trim().to_owned(),
        })
    }
}

/// A figure that is a quantile, by its name: whether it is of the steady part, of what, and which; none if it is
/// another figure.
pub(super) fn quantile(name: &str) -> Result<Option<(bool, Metric, f64)>, NoFigure> {
    match figure(name)? {
        Figure::Latency {
            steady,
            metric,
            of: Of::Quantile(quantile),
        } => Ok(Some((steady, metric, quantile))),
        _ => Ok(None),
    }
}

fn figure(name: &str) -> Result<Figure, NoFigure> {
    if name == "error-ratio" {
        return Ok(Figure::ErrorRatio);
    }
    if let Some((_, count)) = COUNTS.iter().find(|(known, _)| *known == name) {
        return Ok(Figure::Count(*count));
    }
    let (steady, rest) = match name.strip_prefix("steady.") {
        Some(rest) => (true, rest),
        None => (false, name),
    };
    let unknown = || {
        let metrics = Metric::ALL.map(Metric::name);
        let known = metrics
            .into_iter()
            .chain(COUNTS.map(|(name, _)| name))
            .chain(["error-ratio"]);
        let near = crate::vocabulary::similar::nearest(rest.split('.').next().unwrap_or_default(), known);
        let name = name.to_owned();
        match near {
            Some(near) => NoFigure::Misspelt { name, near },
            None => NoFigure::Unknown { name },
        }
    };
    let (metric, of) = rest.split_once('.').ok_or_else(unknown)?;
    let metric = Metric::from_name(metric).ok_or_else(unknown)?;
    // Only echoes and lag go on while all are open.
    if steady && !matches!(metric, Metric::Echo | Metric::Lag) {
        return Err(NoFigure::NeverSteady { metric });
    }
    let of = match of {
        "mean" => Of::Mean,
        "max" => Of::Max,
        "count" => Of::Count,
        other => {
            let percent = other.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok());
            match percent {
                Some(percent) if (1.0..=99.999).contains(&percent) => Of::Quantile(percent / 100.0),
                _ => return Err(NoFigure::NoPercentile { of: other.to_owned() }),
            }
        }
    };
    Ok(Figure::Latency { steady, metric, of })
}

impl Figure {
    fn unit(self) -> &'static str {
        match self {
            Figure::Latency { of: Of::Count, .. } | Figure::Count(_) => "number",
            Figure::Latency { .. } => "duration like 500ms, 2s or 800us",
            Figure::ErrorRatio => "share like 1% or 0.01",
        }
    }

    fn limit(self, text: &str) -> Option<f64> {
        let number = |text: &str| {
            text.trim()
                .parse::<f64>()
                .ok()
                .filter(|number| *number >= 0.0 && number.is_finite())
        };
        match self {
            Figure::Latency { of: Of::Count, .. } | Figure::Count(_) => number(text),
            Figure::ErrorRatio => match text.strip_suffix('%') {
                Some(percent) => number(percent).map(|percent| percent / 100.0),
                None => number(text),
            },
            Figure::Latency { .. } => {
                let units = [("us", 0.001), ("µs", 0.001), ("ms", 1.0), ("s", 1000.0)];
                let (value, unit) = units
                    .into_iter()
                    .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
                number(value).map(|value| value * unit)
            }
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(objective: &str, attaches: u64, each_ms: u64, saturated: bool) -> (Kept, String) {
        let objective: Objective = objective.parse().expect("an objective");
        let mut whole = Histograms::new().expect("histograms");
        for _ in 0..attaches {
            whole.record(Metric::Attach, each_ms * 1_000_000);
        }
        let counts = Counts {
            attempted: attaches,
            opened: attaches,
            lost: 1,
            ..Counts::default()
        };
        let measured = Measured {
            counts: &counts,
            whole: &whole,
            steady: &Histograms::new().expect("histograms"),
            saturated,
        };
        let judged = objective.judge(&measured);
        (judged.kept, judged.found)
    }

    #[test]
    fn a_figure_is_held_against_its_limit() {
        assert_eq!(judged("attach.p99 < 500ms", 1000, 400, false).0, Kept::Yes);
        assert_eq!(judged("attach.p99 < 0.3s", 1000, 400, false).0, Kept::No);
        assert_eq!(judged("attach.max<=401ms", 1, 400, false).0, Kept::Yes);
        assert_eq!(judged("attach.count >= 1000", 1000, 1, false).0, Kept::Yes);
        assert_eq!(judged("errors == 0", 10, 1, false), (Kept::No, "1".into()));
        assert_eq!(
            judged("error-ratio < 1%", 1000, 1, false),
            (Kept::Yes, "0.100 %".into())
        );
        assert_eq!(judged("opened >= 10", 10, 1, false).0, Kept::Yes);
    }

    #[test]
    fn a_quantile_of_too_few_samples_is_not_kept() {
        assert_eq!(
            judged("attach.p99 < 500ms", 999, 1, false),
            (Kept::NotEnoughSamples, "999 samples, and it needs 1000".into())
        );
        assert_eq!(judged("attach.p50 < 500ms", 20, 1, false).0, Kept::Yes);
        assert_eq!(
            judged("attach.p99.9 < 500ms", 9_999, 1, false).0,
            Kept::NotEnoughSamples
        );
        assert_eq!(judged("attach.p99.9 < 500ms", 10_000, 1, false).0, Kept::Yes);
        assert_eq!(judged("steady.echo.max < 1s", 5, 1, false).0, Kept::NotEnoughSamples);
        assert_eq!(judged("error-ratio < 1%", 0, 1, false).0, Kept::NotEnoughSamples);
    }

    #[test]
    fn a_saturated_generator_gives_no_figure_of_the_platform() {
        assert_eq!(judged("attach.p99 < 500ms", 1000, 400, true).0, Kept::CouldNotTell);
        assert_eq!(judged("errors == 0", 10, 1, true).0, Kept::No);
    }

    #[test]
    fn what_is_no_objective_says_why() {
        for (wrong, why) in [
            ("attach.p99", "there is no <, <=, >, >= or =="),
            (
                "atach.p99 < 1s",
                "there is no figure \"atach.p99\", did you mean attach?",
            ),
            ("attach.p101 < 1s", "\"p101\" is not one of"),
            ("attach.p99 < 500", "\"500\" isn't a duration"),
            ("errors < none", "\"none\" isn't a number"),
            ("steady.attach.p99 < 1s", "there is no attach in the steady part"),
        ] {
            let said = wrong.parse::<Objective>().expect_err(wrong).to_string();
            assert!(said.starts_with(why), "{wrong}: {said}");
            assert!(said.ends_with(FORM), "{said}");
        }
    }
}
