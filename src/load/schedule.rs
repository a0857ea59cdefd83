//! When attaches are meant to start: an open model, in which a slow door doesn't slow the arrivals down.
//!
//! Latency is measured from these intended starts, so that what a stalled door or generator makes others wait is
//! part of the figure and not left out of it ("coordinated omission").

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// How attaches arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Arrivals {
    /// `500/s`: evenly, so many a second.
    Constant(f64),
    /// `100/s..900/s`: a rate that grows (or falls) evenly until the last attach.
    Ramp { from: f64, to: f64 },
    /// `100/s@10s,500/s`: one rate after the other, the last for as long as it takes.
    Steps(Vec<(f64, Duration)>, f64),
    /// `poisson:500/s`: as independent users come, so many a second on average.
    Poisson(f64),
}

/// The forms of a rate.
pub const FORM: &str = "a rate like 500/s, a ramp like 100/s..900/s, steps like 100/s@10s,500/s, or poisson:500/s";

/// A text that isn't a rate in any of its forms: whoever wrote it, on the command line or in a scenario, has to correct
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {FORM}")]
pub struct InvalidArrivals;

/// Attaches a second that can be asked for, at least and at most; whatever else is a slip of the pen.
const LEAST: f64 = 1e-3;
const MOST: f64 = 1e6;

impl Arrivals {
    /// The intended starts of `count` attaches, from the beginning of the load.
    pub fn starts(&self, count: u32, seed: u64) -> Starts {
        Starts {
            arrivals: self.clone(),
            count,
            next: 0,
            at: 0.0,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// How long `count` attaches take to start, in seconds; for a Poisson process on average.
    pub fn length(&self, count: u32) -> f64 {
        let count = f64::from(count);
        match self {
            Arrivals::Constant(rate) | Arrivals::Poisson(rate) => count / rate,
            Arrivals::Ramp { from, to } => 2.0 * count / (from + to),
            Arrivals::Steps(steps, last) => stepped(steps, *last, count),
        }
    }

    /// Attaches a second on average over `count` of them.
    pub fn mean(&self, count: u32) -> f64 {
        f64::from(count.max(1)) / self.length(count.max(1))
    }
}

/// When the `number`-th attach starts where one rate follows the other, in seconds.
fn stepped(steps: &[(f64, Duration)], last: f64, mut number: f64) -> f64 {
    let mut began = 0.0;
    for (rate, lasts) in steps {
        let starts = rate * lasts.as_secs_f64();
        if number < starts {
            return began + number / rate;
        }
        number -= starts;
        began += lasts.as_secs_f64();
    }
    began + number / last
}

/// Intended starts, in their order.
pub struct Starts {
    arrivals: Arrivals,
    count: u32,
    next: u32,
    /// Seconds until the last start that was given, of a Poisson process.
    at: f64,
    rng: StdRng,
}

impl Iterator for Starts {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.next == self.count {
            return None;
        }
        let number = f64::from(self.next);
        self.next += 1;
        let seconds = match &self.arrivals {
            Arrivals::Constant(rate) => number / rate,
            Arrivals::Ramp { from, to } => {
                // n(t) = from·t + (to − from)·t² / 2T, solved for t in a form that doesn't cancel where from = to.
                let length = self.arrivals.length(self.count);
                let growth = (to - from) / length;
                2.0 * number / (from + (from * from + 2.0 * growth * number).max(0.0).sqrt())
            }
            Arrivals::Steps(steps, last) => stepped(steps, *last, number),
            Arrivals::Poisson(rate) => {
                // An exponential gap; 1 − u is never 0.
                self.at -= (1.0 - self.rng.random::<f64>()).ln() / rate;
                self.at
            }
        };
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

fn rate(text: &str) -> Option<f64> {
    let rate: f64 = text.trim().strip_suffix("/s")?.trim().parse().ok()?;
    (LEAST..=MOST).contains(&rate).then_some(rate)
}

impl FromStr for Arrivals {
    type Err = InvalidArrivals;

    fn from_str(text: &str) -> Result<Arrivals, InvalidArrivals> {
        let parsed = if let Some(mean) = text.strip_prefix("poisson:") {
            rate(mean).map(Arrivals::Poisson)
        } else if let Some((from, to)) = text.split_once("..") {
            rate(from).zip(rate(to)).map(|(from, to)| Arrivals::Ramp { from, to })
        } else if let Some((steps, last)) = text.rsplit_once(',') {
            let steps: Option<Vec<_>> = steps
                .split(',')
                .map(|step| {
                    let (at, lasts) = step.split_once('@')?;
                    Some((rate(at)?, crate::vocabulary::duration::parse(lasts.trim())?))
                })
                .collect();
            steps.zip(rate(last)).map(|(steps, last)| Arrivals::Steps(steps, last))
        } else {
            rate(text).map(Arrivals::Constant)
        };
        parsed.ok_or(InvalidArrivals)
    }
}

impl TryFrom<String> for Arrivals {
    type Error = InvalidArrivals;

    fn try_from(text: String) -> Result<Arrivals, InvalidArrivals> {
        text.parse()
    }
}

impl From<Arrivals> for String {
    fn from(arrivals: Arrivals) -> String {
        arrivals.to_string()
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arrivals::Constant(rate) => write!(f, "{rate}/s"),
            Arrivals::Ramp { from, to } => write!(f, "{from}/s..{to}/s"),
            Arrivals::Steps(steps, last) => {
                for (rate, lasts) in steps {
                    write!(f, "{rate}/s@{}ms,", lasts.as_millis())?;
                }
                write!(f, "{last}/s")
            }
            Arrivals::Poisson(rate) => write!(f, "poisson:{rate}/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(arrivals: &str, count: u32) -> Vec<f64> {
        let arrivals: Arrivals = arrivals.parse().expect("a rate");
        arrivals.starts(count, 7).map(|start| start.as_secs_f64()).collect()
    }

    #[test]
    fn a_constant_rate_is_even() {
        assert_eq!(starts("4/s", 5), [0.0, 0.25, 0.5, 0.75, 1.0]);
    }

    /// 10 to 30 a second: 20 on average, so 400 take 20 s; after half of the time a quarter of the growth is there.
    #[test]
    fn a_ramp_starts_slowly_and_ends_on_time() {
        let starts = starts("10/s..30/s", 400);
        let before = |time: f64| starts.iter().filter(|start| **start < time).count();
        assert_eq!(before(1.0), 11);
        assert_eq!(before(10.0), 150);
        assert!((starts[399] - 20.0).abs() < 0.05, "{}", starts[399]);
        assert!(starts.is_sorted());
    }

    #[test]
    fn a_ramp_may_fall_or_be_flat() {
        assert!(starts("30/s..10/s", 400).is_sorted());
        assert_eq!(starts("4/s..4/s", 3), [0.0, 0.25, 0.5]);
    }

    #[test]
    fn steps_follow_one_another() {
        assert_eq!(starts("2/s@1s,4/s@500ms,10/s", 6), [0.0, 0.5, 1.0, 1.25, 1.5, 1.6]);
    }

    /// Mean and spread of the gaps are those of an exponential distribution, and the seed decides.
    #[test]
    fn a_poisson_process_has_its_rate() {
        let all = starts("poisson:100/s", 20_000);
        let gaps: Vec<f64> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / 19_999.0;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 19_999.0;
        assert!((mean - 0.01).abs() < 0.0003, "{mean}");
        assert!((variance.sqrt() - 0.01).abs() < 0.0005, "{variance}");
        assert_eq!(all[..10], starts("poisson:100/s", 10)[..]);
    }

    #[test]
    fn what_is_written_is_read() {
        for text in ["500/s", "0.5/s", "100/s..900/s", "100/s@10s,500/s", "poisson:20/s"] {
            let arrivals: Arrivals = text.parse().expect("a rate");
            assert_eq!(arrivals.to_string().parse(), Ok(arrivals), "{text}");
        }
        for wrong in [
            "",
            "500",
            "0/s",
            "-1/s",
            "NaN/s",
            "inf/s",
            "1/s..",
            "5/s@1s",
            "5/s@x,1/s",
            "poisson:",
            "2000000/s",
            "1e-300/s",
        ] {
            assert_eq!(wrong.parse::<Arrivals>(), Err(InvalidArrivals), "{wrong}");
        }
        assert_eq!(InvalidArrivals.to_string(), format!("not {FORM}"));
    }
}
