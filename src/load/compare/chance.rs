//! Statistical tests of whether two figures differ by more than chance: quantiles and shares.
//!
//! Both take samples for independent. Those of one load aren't quite, as what slows one slows its neighbours: a
//! difference near the edge wants a second pair of loads.

use hdrhistogram::Histogram;
use statrs::distribution::{Binomial, ContinuousCDF, Discrete, DiscreteCDF, Hypergeometric, Normal};

/// How often an interval misses what it is of, and how often shares that are the same are said to differ, at most.
pub const ALPHA: f64 = 0.01;

/// Fewest that are expected in each cell of a table for the normal approximation to hold.
const FEWEST: f64 = 5.0;

/// Between which values a quantile lies, in the histogram's unit; none if there are too few samples to tell.
pub fn interval(histogram: &Histogram<u64>, quantile: f64) -> Option<(u64, u64)> {
    let (low, high) = ranks(histogram.len(), quantile)?;
    let mut seen = 0;
    let mut lower = None;
    for bin in histogram.iter_recorded() {
        seen += bin.count_at_value();
        let value = bin.value_iterated_to();
        if lower.is_none() && seen >= low {
            lower = Some(histogram.lowest_equivalent(value));
        }
        if seen >= high {
            return Some((lower?, histogram.highest_equivalent(value)));
        }
    }
    None
}

/// The ranks, from 1, of the samples between which a quantile lies: by order statistics, whatever the distribution.
///
/// How many of `n` samples are below the quantile is binomial.
fn ranks(n: u64, quantile: f64) -> Option<(u64, u64)> {
    let below = Binomial::new(quantile, n).ok()?;
    let mean = quantile * n as f64;
    let deviation = (mean * (1.0 - quantile)).sqrt();
    // What is further away weighs nothing. The sum is made here: the library's incomplete beta function doesn't
    // converge for as many samples as a load has.
    let first = (mean - 10.0 * deviation - 10.0).max(0.0) as u64;
    let mut weight = below.pmf(first);
    let (mut sum, mut low) = (0.0, None);
    for number in first..n {
        sum += weight;
        if sum <= ALPHA / 2.0 {
            low = Some(number + 1);
        }
        if sum >= 1.0 - ALPHA / 2.0 {
            return Some((low?, number + 1));
        }
        weight *= (n - number) as f64 / (number + 1) as f64 * quantile / (1.0 - quantile);
    }
    None
}

/// Whether two shares, each so many of so many, differ by more than chance.
pub fn shares_differ(a: (u64, u64), b: (u64, u64)) -> bool {
    chance(a, b) < ALPHA
}

/// How likely two shares of the same kind are as far apart as these, or further; two-sided.
fn chance(a: (u64, u64), b: (u64, u64)) -> f64 {
    // The smaller group, and what is rarer in it: the sums below are short then.
    let ((mut hits, few), (mut others, many)) = if a.1 <= b.1 { (a, b) } else { (b, a) };
    let all = few + many;
    if 2 * (hits + others) > all {
        (hits, others) = (few - hits, many - others);
    }
    let rare = hits + others;
    if few == 0 || rare == 0 {
        return 1.0;
    }
    if few as f64 * rare as f64 / all as f64 >= FEWEST {
        // Two proportions with a common one, with continuity correction.
        let weight = 1.0 / few as f64 + 1.0 / many as f64;
        let common = rare as f64 / all as f64;
        let apart = (hits as f64 / few as f64 - others as f64 / many as f64).abs() - weight / 2.0;
        let z = apart.max(0.0) / (common * (1.0 - common) * weight).sqrt();
        return (2.0 * Normal::standard().sf(z)).min(1.0);
    }
    // Fisher's exact test. Its bounds hold by what is above.
    let Ok(table) = Hypergeometric::new(all, rare, few) else {
        return 1.0;
    };
    let at_most = table.cdf(hits);
    let at_least = if hits == 0 { 1.0 } else { table.sf(hits - 1) };
    (2.0 * at_most.min(at_least)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_tables() {
        assert_eq!(ranks(100, 0.5), Some((37, 64)));
        assert_eq!(ranks(1000, 0.5), Some((459, 542)));
        assert_eq!(ranks(1000, 0.99), Some((981, 998)));
        assert_eq!(ranks(20, 0.5), Some((4, 17)));
    }

    #[test]
    fn too_few_samples_have_no_interval() {
        assert_eq!(ranks(0, 0.5), None);
        assert_eq!(ranks(7, 0.5), None);
        // 0.99 to the power of 527 is above a two hundredth, and of 528 below.
        assert_eq!(ranks(527, 0.99), None);
        assert_eq!(ranks(528, 0.99), Some((516, 528)));
    }

    /// As many as a long load has: the mean and its deviation are known there.
    #[test]
    fn many_samples_are_summed_up() {
        let (low, high) = ranks(100_000_000, 0.5).expect("an interval");
        let deviation = 2.5758 * 5000.0;
        for (rank, expected) in [(low, 5e7 - deviation), (high, 5e7 + deviation)] {
            assert!((rank as f64 - expected).abs() < 20.0, "{rank}, {expected}");
        }
    }

    #[test]
    fn an_interval_is_of_values() {
        let mut histogram = crate::load::metric::empty().expect("a histogram");
        for number in 1..=100 {
            histogram.record(number * 10).expect("recorded");
        }
        assert_eq!(interval(&histogram, 0.5), Some((370, 640)));
        assert_eq!(interval(&histogram, 0.99), None);
        histogram.record_n(5000, 100_000).expect("recorded");
        assert_eq!(interval(&histogram, 0.5), Some((5000, 5003)));
    }

    #[test]
    fn shares_are_told_apart_from_chance() {
        // Fisher's exact test, two-sided by doubling: 0 of 10 and 5 of 10 have 0.0325.
        assert!(
            (chance((0, 10), (5, 10)) - 0.0325).abs() < 5e-4,
            "{}",
            chance((0, 10), (5, 10))
        );
        assert!((chance((10, 10), (5, 10)) - 0.0325).abs() < 5e-4);
        assert!(!shares_differ((0, 1000), (3, 1000)));
        assert!(shares_differ((0, 1000), (9, 1000)));
        assert!(shares_differ((10, 1000), (40, 1000)));
        assert!(!shares_differ((100, 1000), (120, 1000)));
        assert!(shares_differ((1000, 1000), (900, 1000)));
        assert!(shares_differ((0, 1_000_000), (30, 1_000_000)));
        for nothing in [(0, 0), (5, 5), (0, 5)] {
            assert!(!shares_differ(nothing, (0, 0)));
            assert!(!shares_differ(nothing, nothing));
        }
    }
}
