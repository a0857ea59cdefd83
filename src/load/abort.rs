//! Ends a load early: if its result is already clear, or if continuing would do harm.

use std::fmt;
use std::str::FromStr;

use super::metric::Metric;
use super::objective::{Count, Figure, InvalidObjective, Objective, Of};
use super::recorder::Second;

/// A figure that can be observed while a load runs.
const FORM: &str = "of the whole load so far `errors`, `opened` and `error-ratio`, and of the last second `attach.p50`, \
                    `attach.p99`, `echo.p50`, `echo.p99` and `lag.p99`";

/// A condition that ends a load when it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct AbortOn(Objective);

/// Why a text is no condition that ends a load: whoever wrote it on the command line has to correct it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCondition {
    #[error(transparent)]
    Form(#[from] InvalidObjective),
    #[error("while a load runs can be looked at: {FORM}")]
    NotSeen,
}

impl FromStr for AbortOn {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<AbortOn, InvalidCondition> {
        let condition: Objective = text.parse()?;
        let half_or_most = |of| matches!(of, Of::Quantile(quantile) if quantile == 0.5 || quantile == 0.99);
        let seen = match condition.figure() {
            Figure::Count(Count::Errors | Count::Opened) | Figure::ErrorRatio => true,
            Figure::Latency {
                steady: false,
                metric,
                of,
            } => match metric {
                Metric::Attach | Metric::Echo => half_or_most(of),
                Metric::Lag => of == Of::Quantile(0.99),
                _ => false,
            },
            Figure::Count(_) | Figure::Latency { .. } => false,
        };
        match seen {
            true => Ok(AbortOn(condition)),
            false => Err(InvalidCondition::NotSeen),
        }
    }
}

impl AbortOn {
    /// Which latency it is about.
    pub fn metric(&self) -> Option<Metric> {
        self.0.metric()
    }
}

impl fmt::Display for AbortOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Looks at each second of a load.
pub struct Watch<'a> {
    conditions: &'a [AbortOn],
    attempted: u64,
    opened: u64,
    errors: u64,
    echoes: u64,
}

impl<'a> Watch<'a> {
    pub fn new(conditions: &'a [AbortOn]) -> Watch<'a> {
        Watch {
            conditions,
            attempted: 0,
            opened: 0,
            errors: 0,
            echoes: 0,
        }
    }

    /// Takes a second; returns the first condition that holds after it, in words.
    pub fn see(&mut self, second: &Second) -> Option<String> {
        self.attempted += second.attempted;
        self.opened += second.opened;
        self.errors += second.errors;
        self.echoes += second.echoes;
        self.conditions.iter().find_map(|AbortOn(condition)| {
            let (value, found) = match condition.figure() {
                Figure::Count(Count::Opened) => (self.opened as f64, self.opened.to_string()),
                Figure::Count(_) => (self.errors as f64, self.errors.to_string()),
                Figure::ErrorRatio => {
                    let ratio = self.errors as f64 / (self.attempted + self.echoes).max(1) as f64;
                    (ratio, format!("{:.3} %", ratio * 100.0))
                }
                Figure::Latency { metric, of, .. } => {
                    let value = match (metric, of) {
                        (Metric::Lag, _) => second.lag_p99,
                        (Metric::Attach, Of::Quantile(0.5)) => second.attach_p50,
                        (Metric::Attach, _) => second.attach_p99,
                        (_, Of::Quantile(0.5)) => second.echo_p50,
                        _ => second.echo_p99,
                    }?;
                    (value, format!("{value:.2} ms in the last second"))
                }
            };
            condition
                .holds(value)
                .then(|| format!("{condition}, after {:.0} s: {found}", second.at))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(condition: &str, seconds: &[Second]) -> Option<String> {
        let conditions = [condition.parse().expect("a condition")];
        let mut watch = Watch::new(&conditions);
        seconds.iter().find_map(|second| watch.see(second))
    }

    fn second(at: f64, errors: u64, echo_p99: Option<f64>) -> Second {
        Second {
            at,
            attempted: 100,
            opened: 100 - errors,
            errors,
            echo_p99,
            ..Second::default()
        }
    }

    #[test]
    fn counts_are_of_the_whole_load_and_latencies_of_a_second() {
        let load = [
            second(1.0, 2, None),
            second(2.0, 3, Some(700.0)),
            second(3.0, 0, Some(5.0)),
        ];
        assert_eq!(seen("errors > 4", &load).as_deref(), Some("errors > 4, after 2 s: 5"));
        assert_eq!(seen("errors > 5", &load), None);
        assert_eq!(
            seen("error-ratio > 2.2%", &load).as_deref(),
            Some("error-ratio > 2.2%, after 2 s: 2.500 %")
        );
        assert_eq!(
            seen("echo.p99 > 500ms", &load).as_deref(),
            Some("echo.p99 > 500ms, after 2 s: 700.00 ms in the last second")
        );
        assert_eq!(seen("attach.p99 > 1ms", &load), None);
    }

    #[test]
    fn what_cannot_be_seen_meanwhile_is_refused() {
        for wrong in [
            "steady.echo.p99 > 1s",
            "attach.p99.9 > 1s",
            "lost > 1",
            "close.p50 > 1s",
        ] {
            let said = wrong.parse::<AbortOn>().expect_err(wrong).to_string();
            assert!(said.starts_with("while a load runs can be looked at: "), "{said}");
        }
    }
}
