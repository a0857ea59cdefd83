//! `--fail-on`: by how much a figure may be worse than before.

use std::fmt;
use std::str::FromStr;

use super::figure::{Figure, Share};
use super::{Outcome, Row, Said};
use crate::load::objective::{self, NoFigure};

/// How a limit is written.
const FORM: &str = "a limit like `attach.p99 > +10%`, `steady.echo.p99.9 > +5%` or `errors > +0%`";

/// How much worse than before is too much.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    figure: Figure,
    /// As a share of what it was before.
    most: f64,
    /// As it was written.
    text: String,
}

/// Why a text is no limit: whoever wrote it on the command line has to correct it.
#[derive(Debug, thiserror::Error)]
#[error("{why}; wanted is {FORM}")]
pub struct InvalidLimit {
    why: WrongPart,
}

/// The part of a limit that is wrong.
#[derive(Debug, thiserror::Error)]
enum WrongPart {
    #[error("there is no >, and more is what is worse")]
    NoSign,
    #[error(transparent)]
    Figure(#[from] NoFigure),
    #[error(
        "{name:?} is neither a percentile nor a count of what goes wrong ({})",
        Share::ALL.map(Share::name).join(", ")
    )]
    NotCompared { name: String },
    #[error("{limit:?} isn't a percentage like +10%")]
    NoPercentage { limit: String },
}

impl Limit {
    pub(super) fn figure(&self) -> Figure {
        self.figure
    }

    /// Its outcome. A limit that can't be judged counts as not met.
    pub(super) fn judge(&self, row: &Row) -> Outcome {
        match (row.said, row.change) {
            (Said::Worse, Some(change)) if change > self.most => Outcome::Broken,
            (Said::Worse | Said::Better | Said::Chance, Some(_)) => Outcome::Kept,
            _ => Outcome::CouldNotTell,
        }
    }
}

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Limit, InvalidLimit> {
        let wrong = |why: WrongPart| InvalidLimit { why };
        let (name, limit) = text.split_once('>').ok_or_else(|| wrong(WrongPart::NoSign))?;
        let figure = figure(name.trim()).map_err(wrong)?;
        let limit = limit.trim();
        let percent = limit.strip_suffix('%').map(str::trim_end);
        let percent = percent.map(|percent| percent.strip_prefix('+').unwrap_or(percent));
        let most = percent
            .and_then(|percent| percent.parse::<f64>().ok())
            .filter(|percent| *percent >= 0.0 && percent.is_finite())
            .ok_or_else(|| {
                let limit = limit.to_owned();
                wrong(WrongPart::NoPercentage { limit })
            })?;
        Ok(Limit {
            figure,
            most: most / 100.0,
            text: text.trim().to_owned(),
        })
    }
}

fn figure(name: &str) -> Result<Figure, WrongPart> {
    if let Some(share) = Share::ALL.into_iter().find(|share| share.name() == name) {
        return Ok(Figure::Share(share));
    }
    match objective::quantile(name)? {
        Some((steady, metric, quantile)) => Ok(Figure::Quantile {
            steady,
            metric,
            quantile,
        }),
        None => Err(WrongPart::NotCompared { name: name.to_owned() }),
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        for (text, figure, most) in [
            ("attach.p99 > +10%", "attach.p99", 0.1),
            ("steady.echo.p99.9>5 %", "steady.echo.p99.9", 0.05),
            (" errors > +0% ", "errors", 0.0),
            ("probes-opened > 0%", "probes-opened", 0.0),
        ] {
            let limit: Limit = text.parse().expect(text);
            assert_eq!((limit.figure.to_string().as_str(), limit.most), (figure, most));
            assert_eq!(limit.to_string(), text.trim());
        }
    }

    #[test]
    fn what_is_no_limit_says_why() {
        for (wrong, why) in [
            ("attach.p99", "there is no >, and more is what is worse"),
            ("attach.p99 < 10%", "there is no >"),
            ("attach.p99 >= 10%", "\"= 10%\" isn't a percentage like +10%"),
            ("attach.p99 > 10ms", "\"10ms\" isn't a percentage"),
            ("attach.p99 > -10%", "\"-10%\" isn't a percentage"),
            (
                "atach.p99 > 10%",
                "there is no figure \"atach.p99\", did you mean attach?",
            ),
            ("steady.attach.p99 > 10%", "there is no attach in the steady part"),
            ("attach.max > 10%", "\"attach.max\" is neither a percentile nor a count"),
            ("opened > 10%", "\"opened\" is neither"),
        ] {
            let said = wrong.parse::<Limit>().expect_err(wrong).to_string();
            assert!(said.starts_with(why), "{wrong}: {said}");
            assert!(said.ends_with(FORM), "{said}");
        }
    }
}
