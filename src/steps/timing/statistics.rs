//! The statistics of `timing`: Mann-Whitney, its power, and how α is spent.

use statrs::distribution::{ContinuousCDF, Normal};

/// The result of a rank test of two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankTest {
    /// Pairs in which the first sample's value is the larger one, ties as halves.
    pub u: f64,
    /// In standard deviations, with continuity correction; positive: the first sample is the larger one.
    pub z: f64,
    /// Two-sided, by the normal approximation.
    pub p: f64,
}

/// Pairs `(a, b)` with `a + shift > b`, ties as halves. Both must be sorted.
fn wins(a: &[f64], b: &[f64], shift: f64) -> f64 {
    let (mut below, mut not_above) = (0, 0);
    let mut twice = 0_u64;
    for value in a {
        let value = value + shift;
        while below < b.len() && b[below] < value {
            below += 1;
        }
        not_above = not_above.max(below);
        while not_above < b.len() && b[not_above] <= value {
            not_above += 1;
        }
        twice += (below + not_above) as u64;
    }
    twice as f64 / 2.0
}

/// A sample in ascending order.
pub fn sorted(sample: &[f64]) -> Vec<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The Mann-Whitney U test, two-sided, with correction for ties.
///
/// The normal approximation errs to the safe side where it matters: U cannot
/// leave `0..=m*n`, so far out its tails are lighter than the normal ones and
/// the p given here is larger than the exact one (a test below compares them).
pub fn mann_whitney(a: &[f64], b: &[f64]) -> RankTest {
    let (m, n) = (a.len() as f64, b.len() as f64);
    let u = wins(&sorted(a), &sorted(b), 0.0);
    let all = m + n;
    let ties: f64 = sorted(&[a, b].concat())
        .chunk_by(|x, y| x == y)
        .map(|same| same.len() as f64)
        .map(|t| t * t * t - t)
        .sum();
    let variance = m * n / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    let off = u - m * n / 2.0;
    // Empty samples, or all values the same: nothing can be told.
    if variance.is_nan() || variance <= 0.0 {
        return RankTest { u, z: 0.0, p: 1.0 };
    }
    let z = (off.abs() - 0.5).max(0.0).copysign(off) / variance.sqrt();
    RankTest {
        u,
        z,
        p: (2.0 * Normal::standard().sf(z.abs())).min(1.0),
    }
}

/// How likely a value of the sample, made larger by `shift`, is above another value of it; ties as halves.
///
/// This is how far a shift stands out of the spread that was observed, without
/// any assumption about the form of the noise.
pub fn stands_out(sample: &[f64], shift: f64) -> f64 {
    let n = sample.len() as f64;
    if n < 2.0 {
        return 0.5;
    }
    let sorted = sorted(sample);
    // A value against itself is no pair; with a shift of 0 it was counted as half a one.
    let itself = if shift > 0.0 { n } else { n / 2.0 };
    (wins(&sorted, &sorted, shift) - itself) / (n * n - n)
}

/// The power of a two-sided Mann-Whitney test of two samples of `n` at level `alpha`,
/// where a value of the one is above a value of the other with probability `p`.
///
/// The variance of U under the alternative is not estimated but bounded from
/// above (`m n max(m, n) p (1 - p)`, van Dantzig 1951): the true power is larger
/// wherever this one is above a half.
pub fn power(n: usize, p: f64, alpha: f64) -> f64 {
    let n = n as f64;
    let normal = Normal::standard();
    let needed = normal.inverse_cdf(1.0 - alpha / 2.0) * (n * n * (2.0 * n + 1.0) / 12.0).sqrt() + 0.5;
    let over = n * n * (p - 0.5).abs() - needed;
    let spread = (n * n * n * p * (1.0 - p)).sqrt();
    match spread > 0.0 {
        true => normal.cdf(over / spread),
        // No overlap at all: shown for sure, or by too few samples never.
        false => f64::from(u8::from(over >= 0.0)),
    }
}

/// The middle of a sample.
pub fn median(sample: &[f64]) -> f64 {
    quantile(sample, 0.5)
}

/// From the first to the third quartile: the spread of the middle half.
pub fn spread(sample: &[f64]) -> f64 {
    quantile(sample, 0.75) - quantile(sample, 0.25)
}

fn quantile(sample: &[f64], at: f64) -> f64 {
    let sorted = sorted(sample);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let position = at * last as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

/// Looks at a growing number of samples, all together with an error of the first kind of at most `alpha`.
#[derive(Clone, Copy, Debug)]
pub struct Looks {
    /// Samples of each kind at the first look; at each further one it is twice as many.
    pub first: usize,
    pub count: u32,
    pub alpha: f64,
}

impl Looks {
    /// The samples of each kind at each look.
    pub fn sizes(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |look| self.first << look)
    }

    /// What each look may spend (Bonferroni): whichever looks are taken, their sum is at most `alpha`.
    pub fn alpha_of_each(self) -> f64 {
        self.alpha / f64::from(self.count.max(1))
    }

    /// A look's p with all planned looks counted in: to be compared with `alpha` itself.
    pub fn adjusted(self, p: f64) -> f64 {
        (p * f64::from(self.count.max(1))).min(1.0)
    }
}

/// What is known after a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Conclusion {
    /// A difference is shown.
    Leak,
    /// None is, and the smallest effect would have been.
    NoLeak,
    /// None is, but the smallest effect might have been missed.
    Open,
}

/// A look at the samples: times of refusals with `near` the right token and `far` from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    pub conclusion: Conclusion,
    /// Samples of each kind.
    pub samples: usize,
    /// Adjusted for all planned looks.
    pub p: f64,
    /// Probability that a shift of the smallest effect would have been shown.
    pub power: f64,
    /// Difference of the medians: positive where nearly right tokens are refused later.
    pub shift: f64,
    /// Spread of the middle half of the sample that has the larger one.
    pub spread: f64,
}

/// The least power with which "no leak" is said.
pub const POWER: f64 = 0.99;

/// Looks at two samples of one size. `effect` is the smallest shift that must not be missed.
///
/// A difference that is shown is a leak however small it is: with enough
/// samples an attacker sees it too. `effect` decides only when looking ends
/// without one.
pub fn look(near: &[f64], far: &[f64], effect: f64, looks: Looks) -> Look {
    let test = mann_whitney(near, far);
    let p = looks.adjusted(test.p);
    // Each sample's own spread, not that of both together: a shift between them must not count as noise.
    let noticed = stands_out(near, effect).min(stands_out(far, effect));
    let power = power(near.len().min(far.len()), noticed, looks.alpha_of_each());
    let conclusion = match p <= looks.alpha {
        true => Conclusion::Leak,
        false if power >= POWER => Conclusion::NoLeak,
        false => Conclusion::Open,
    };
    Look {
        conclusion,
        samples: near.len(),
        p,
        power,
        shift: median(near) - median(far),
        spread: spread(near).max(spread(far)),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
