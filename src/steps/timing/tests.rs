use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-12), "{a} is not {b}");
}

/// Times as they are measured: a base, and now and then much more.
fn times(random: &mut StdRng, n: usize, shift: f64) -> Vec<f64> {
    let one = |random: &mut StdRng| {
        let late = if random.random_bool(0.05) { 3000.0 } else { 0.0 };
        200.0 + shift + 100.0 * random.random::<f64>() + late * random.random::<f64>()
    };
    (0..n).map(|_| one(random)).collect()
}

const LOOKS: Looks = Looks {
    first: 64,
    count: 10,
    alpha: 1e-6,
};

#[test]
fn mann_whitney_of_known_samples() {
    // scipy.stats.mannwhitneyu(method="asymptotic"), from its documentation.
    let test = mann_whitney(&[19.0, 22.0, 16.0, 29.0, 24.0], &[20.0, 11.0, 17.0, 12.0]);
    assert_eq!(test.u, 17.0);
    assert!((test.p - 0.1113).abs() < 5e-5, "{}", test.p);
    // With ties, by hand: U = 1.5 + 2.5 + 3, two pairs of equals.
    let test = mann_whitney(&[1.0, 2.0, 3.0], &[1.0, 2.0, 0.0]);
    assert_eq!(test.u, 7.0);
    close(test.z, 2.0 / (9.0 / 12.0 * (7.0 - 12.0 / 30.0_f64)).sqrt());
}

#[test]
fn nothing_is_told_by_nothing() {
    assert_eq!(mann_whitney(&[], &[]).p, 1.0);
    assert_eq!(mann_whitney(&[1.0], &[]).p, 1.0);
    assert_eq!(mann_whitney(&[7.0; 50], &[7.0; 50]).p, 1.0);
    assert_eq!(median(&[]), 0.0);
}

/// The exact chance that U is at most each number, without ties, n against n.
fn exact(n: usize) -> Vec<f64> {
    // ways[i][u]: ways to choose i ranks whose U is u; each value of the second sample may add up to i.
    let mut ways = vec![vec![0.0_f64; n * n + 1]; n + 1];
    ways[0][0] = 1.0;
    for rank in 1..=2 * n {
        for i in (1..=n.min(rank)).rev() {
            let below = rank - i;
            if below > n {
                continue;
            }
            for u in (below..=n * n).rev() {
                ways[i][u] += ways[i - 1][u - below];
            }
        }
    }
    let all: f64 = ways[n].iter().sum();
    ways[n]
        .iter()
        .scan(0.0, |sum, ways| {
            *sum += ways / all;
            Some(*sum)
        })
        .collect()
}

#[test]
fn far_out_the_approximation_errs_to_the_safe_side() {
    let n = 64_usize;
    let exact = exact(n);
    close(exact[n * n], 1.0);
    let deviation = ((n * n * (2 * n + 1)) as f64 / 12.0).sqrt();
    let normal = Normal::standard();
    let mut compared = 0;
    for (u, exact) in exact.iter().enumerate() {
        let z = ((n * n) as f64 / 2.0 - u as f64 - 0.5) / deviation;
        if z > 4.0 {
            assert!(*exact <= normal.sf(z), "U {u}: {exact} is more than {}", normal.sf(z));
            compared += 1;
        }
    }
    assert!(compared > 100);
}

#[test]
fn alpha_is_spent_once() {
    let spent: f64 = LOOKS.sizes().map(|_| LOOKS.alpha_of_each()).sum();
    assert!(spent <= LOOKS.alpha * (1.0 + 1e-12), "{spent}");
    assert_eq!(LOOKS.sizes().collect::<Vec<_>>()[..3], [64, 128, 256]);
    close(LOOKS.adjusted(1e-8), 1e-7);
    assert_eq!(LOOKS.adjusted(0.5), 1.0);
}

#[test]
fn power_of_known_cases() {
    assert!(power(64, 1.0, 1e-7) == 1.0);
    // Three against three can't show anything at this level, whatever they are.
    assert!(power(3, 1.0, 1e-7) == 0.0);
    assert!(power(1000, 0.5, 1e-7) < 1e-3);
    // At the threshold itself it is a half, whatever the variance is.
    let n = 100.0_f64;
    let z = Normal::standard().inverse_cdf(1.0 - 0.05 / 2.0);
    let p = 0.5 + (z * (n * n * (2.0 * n + 1.0) / 12.0).sqrt() + 0.5) / (n * n);
    assert!((power(100, p, 0.05) - 0.5).abs() < 1e-9);
}

#[test]
fn the_power_said_is_not_more_than_the_true_one() {
    let mut random = StdRng::seed_from_u64(7);
    let (n, shift, alpha) = (64, 45.0, 1e-3);
    let said = power(n, stands_out(&times(&mut random, 4000, 0.0), shift), alpha);
    let tries = 400;
    let shown = (0..tries)
        .filter(|_| mann_whitney(&times(&mut random, n, shift), &times(&mut random, n, 0.0)).p <= alpha)
        .count();
    let true_power = shown as f64 / f64::from(tries);
    assert!(said > 0.5, "{said}: the case says nothing");
    assert!(said <= true_power + 0.05, "said {said}, is {true_power}");
}

#[test]
fn conclusions() {
    let mut random = StdRng::seed_from_u64(1);
    let (near, far) = (times(&mut random, 512, 0.0), times(&mut random, 512, 0.0));
    assert_eq!(look(&near, &far, 1260.0, LOOKS).conclusion, Conclusion::NoLeak);
    assert_eq!(look(&near, &far, 1.0, LOOKS).conclusion, Conclusion::Open);
    let late = times(&mut random, 512, 2520.0);
    let seen = look(&late, &far, 1260.0, LOOKS);
    assert_eq!(seen.conclusion, Conclusion::Leak);
    assert!((seen.shift - 2520.0).abs() < 30.0, "{}", seen.shift);
    // The other way round is a leak as well, and so is less than the smallest effect.
    assert_eq!(look(&far, &late, 1260.0, LOOKS).conclusion, Conclusion::Leak);
    assert_eq!(
        look(&times(&mut random, 512, 60.0), &far, 1260.0, LOOKS).conclusion,
        Conclusion::Leak
    );
}

fn sample() -> impl Strategy<Value = Vec<f64>> {
    // Few different values: ties.
    prop::collection::vec((0_u8..20).prop_map(f64::from), 1..40)
}

proptest! {
    #[test]
    fn u_counts_pairs(a in sample(), b in sample()) {
        let pairs: f64 = a.iter().flat_map(|x| b.iter().map(move |y| (x, y)))
            .map(|(x, y)| if x > y { 1.0 } else if x == y { 0.5 } else { 0.0 }).sum();
        let (test, other) = (mann_whitney(&a, &b), mann_whitney(&b, &a));
        prop_assert_eq!(test.u, pairs);
        prop_assert_eq!(test.u + other.u, (a.len() * b.len()) as f64);
        prop_assert_eq!(test.p, other.p);
        prop_assert!((0.0..=1.0).contains(&test.p));
    }

    #[test]
    fn standing_out_counts_pairs(a in prop::collection::vec((0_u8..20).prop_map(f64::from), 2..40), shift in 0_u8..25) {
        let shift = f64::from(shift);
        let mut pairs = 0.0;
        for (i, x) in a.iter().enumerate() {
            for (j, y) in a.iter().enumerate() {
                pairs += match (i == j, x + shift > *y, x + shift == *y) {
                    (true, ..) => 0.0,
                    (_, true, _) => 1.0,
                    (_, _, true) => 0.5,
                    _ => 0.0,
                };
            }
        }
        let n = a.len() as f64;
        prop_assert!((stands_out(&a, shift) - pairs / (n * n - n)).abs() < 1e-12);
    }

    #[test]
    fn power_grows_with_samples_and_effect(n in 2_usize..2000, p in 0.5..1.0_f64, more in 0.0..0.2_f64) {
        let p_more = (p + more).min(1.0);
        let small = power(n, p, 1e-7);
        prop_assert!((0.0..=1.0).contains(&small));
        // Below one half the bounded variance turns the order around; only above it power is used.
        if small > 0.5 {
            prop_assert!(power(n * 2, p, 1e-7) >= small - 1e-9);
            prop_assert!(power(n, p_more, 1e-7) >= small - 1e-9);
        }
    }
}
