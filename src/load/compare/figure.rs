//! The figures by which two loads are compared.

use std::fmt;

use crate::load::metric::Metric;
use crate::load::recorder::Counts;

/// Its text is the one that `--fail-on` takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    Quantile {
        steady: bool,
        metric: Metric,
        quantile: f64,
    },
    Share(Share),
}

/// What goes wrong, so many of so many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Errors,
    Refused,
    Failed,
    Lost,
    Stuck,
    Unanswered,
    ProbesOpened,
}

impl Share {
    pub const ALL: [Share; 7] = [
        Share::Errors,
        Share::Refused,
        Share::Failed,
        Share::Lost,
        Share::Stuck,
        Share::Unanswered,
        Share::ProbesOpened,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Share::Errors => "errors",
            Share::Refused => "refused",
            Share::Failed => "failed",
            Share::Lost => "lost",
            Share::Stuck => "stuck",
            Share::Unanswered => "unanswered",
            Share::ProbesOpened => "probes-opened",
        }
    }

    /// How many, and of how many.
    pub fn of(self, counts: &Counts) -> (u64, u64) {
        let (count, of) = match self {
            Share::Errors => (counts.errors(), counts.attempted + counts.echoes_sent),
            Share::Refused => (counts.refused, counts.attempted),
            Share::Failed => (counts.failed, counts.attempted),
            Share::Lost => (counts.lost, counts.opened),
            Share::Stuck => (counts.stuck, counts.opened),
            Share::Unanswered => (counts.echoes_unanswered, counts.echoes_sent),
            Share::ProbesOpened => (counts.probes_opened, counts.probes),
        };
        // A file may say anything.
        (count.min(of), of)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Share(share) => f.write_str(share.name()),
            Figure::Quantile {
                steady,
                metric,
                quantile,
            } => {
                let steady = if *steady { "steady." } else { "" };
                // To as many digits as a percentile may have; beyond them is what binary fractions add.
                let percent = format!("{:.6}", quantile * 100.0);
                let percent = percent.trim_end_matches('0').trim_end_matches('.');
                write!(f, "{steady}{}.p{percent}", metric.name())
            }
        }
    }
}
