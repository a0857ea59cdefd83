//! The search for the largest load that meets its objectives.
//!
//! As RFC 2544 §26.1 and the MLRsearch draft have it: a bracket by doubling, halved until it is as narrow as asked,
//! and then both of its ends tried again until a majority of their trials is certain. An end that doesn't bear that
//! out moves the bracket, so that a lucky or unlucky trial doesn't decide. What is given is the bracket with how
//! often each end kept its objectives, and between which shares that would come to lie in more trials (an interval of
//! confidence), not a number with digits that nobody measured.

use std::collections::BTreeMap;
use std::future::Future;

use serde::{Deserialize, Serialize};

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    Kept,
    Broken,
    /// The generator, or this machine, was the limit.
    CouldNotTell,
    /// Nothing went wrong, and an objective had too few samples: that says nothing of the platform.
    TooFewSamples,
    /// Whoever waits for the search has stopped it.
    Stopped,
}

/// Between which loads to search, and how closely.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The smallest load that the objectives can judge.
    pub least: u32,
    pub from: u32,
    pub most: u32,
    /// Widest bracket at the end, as a share of its upper end.
    pub precision: f64,
    /// Trials of each end of the bracket.
    pub trials: u32,
}

/// Trials of one load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    pub kept: u32,
    pub broken: u32,
}

/// Why a search is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The bracket is as narrow as asked, and both ends are certain.
    Found,
    /// The largest load that was asked for is kept.
    KeptAtMost,
    /// Not even one is.
    BrokenAtOne,
    /// Not even the smallest is that the objectives can judge.
    BrokenAtLeast,
    CouldNotTell,
    /// An objective had too few samples.
    TooFewSamples,
    Stopped,
    /// The platform's results vary for the same load, so no bracket is certain.
    Unstable,
}

impl End {
    /// Whether the search has come to its end.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            End::Found | End::KeptAtMost | End::BrokenAtOne | End::BrokenAtLeast
        )
    }
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Found {
    pub end: End,
    /// The largest load that a majority of its trials kept; the smallest above it that they broke.
    pub kept: Option<u32>,
    pub broken: Option<u32>,
    pub trials: BTreeMap<u32, Tally>,
}

/// Between which loads the capacity is, and how sure that is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interval {
    /// Of the shares: 0.95.
    pub confidence: f64,
    /// The largest load that is kept.
    pub kept: Option<Bound>,
    /// The smallest above it that is broken.
    pub broken: Option<Bound>,
    /// Whether the search has come to its end, and most trials of either load would come out the same, with this
    /// confidence.
    pub confirmed: bool,
}

/// An end of the interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    pub load: u32,
    pub trials: u32,
    /// Of them those that kept the objectives.
    pub kept: u32,
    /// Between which the share of kept trials is, with the confidence.
    pub share: [f64; 2],
}

/// How sure an interval is, and the quantile of the normal distribution that belongs to it on two sides.
const CONFIDENCE: f64 = 0.95;
const QUANTILE: f64 = 1.959_964;

/// Trials at most, for each that the bracket and its ends would take.
const PATIENCE: u32 = 4;

impl Search {
    /// Searches; `trial` makes a load of this size.
    pub async fn run<F: Future<Output = Trial>>(&self, mut trial: impl FnMut(u32) -> F) -> Found {
        let mut trials: BTreeMap<u32, Tally> = BTreeMap::new();
        let halvings = (1.0 / self.precision).log2().ceil() as u32;
        let most_trials = PATIENCE * (32 + halvings + 2 * self.trials);
        // Trials in a row that could not tell: a machine may be busy for a moment.
        let mut untold = 0;
        for _ in 0..most_trials {
            let next = match self.next(&trials) {
                Ok(next) => next,
                Err(end) => return found(end, trials),
            };
            let tally = match trial(next).await {
                Trial::Kept => (1, 0),
                Trial::Broken => (0, 1),
                Trial::CouldNotTell if untold + 1 < self.trials => {
                    untold += 1;
                    continue;
                }
                Trial::CouldNotTell => return found(End::CouldNotTell, trials),
                // The same load has as few again.
                Trial::TooFewSamples => return found(End::TooFewSamples, trials),
                Trial::Stopped => return found(End::Stopped, trials),
            };
            untold = 0;
            let of = trials.entry(next).or_default();
            of.kept += tally.0;
            of.broken += tally.1;
        }
        found(End::Unstable, trials)
    }

    /// The load to try next, or that the search is over.
    fn next(&self, trials: &BTreeMap<u32, Tally>) -> Result<u32, End> {
        let (kept, broken) = bracket(trials);
        let (low, high) = match (kept, broken) {
            (None, None) => return Ok(self.from.min(self.most)),
            (None, Some(high)) if high <= self.least => {
                return match (trials[&high].is_certain(self.trials), high) {
                    (false, _) => Ok(high),
                    (true, 1) => Err(End::BrokenAtOne),
                    (true, _) => Err(End::BrokenAtLeast),
                };
            }
            (None, Some(high)) => return Ok((high / 2).max(self.least)),
            (Some(low), None) if low >= self.most => {
                return if trials[&low].is_certain(self.trials) {
                    Err(End::KeptAtMost)
                } else {
                    Ok(low)
                };
            }
            (Some(low), None) => return Ok(low.saturating_mul(2).min(self.most)),
            (Some(low), Some(high)) => (low, high),
        };
        if high - low > 1 && f64::from(high - low) > self.precision * f64::from(high) {
            return Ok(low + (high - low) / 2);
        }
        for end in [low, high] {
            if !trials[&end].is_certain(self.trials) {
                return Ok(end);
            }
        }
        Err(End::Found)
    }
}

impl Tally {
    /// Wilson's interval of the share that is kept (Journal of the American Statistical Association 22, 1927, pages
    /// 209 to 212): it also holds for few trials, and where all of them agree.
    fn share(self) -> [f64; 2] {
        let trials = f64::from(self.kept + self.broken);
        if trials < 1.0 {
            return [0.0, 1.0];
        }
        let share = f64::from(self.kept) / trials;
        let square = QUANTILE * QUANTILE;
        let middle = share + square / (2.0 * trials);
        let reach = QUANTILE * (share * (1.0 - share) / trials + square / (4.0 * trials * trials)).sqrt();
        let all = 1.0 + square / trials;
        [((middle - reach) / all).max(0.0), ((middle + reach) / all).min(1.0)]
    }

    fn is_kept(self) -> bool {
        self.kept > self.broken
    }

    /// Whether further trials up to this many can't change what the majority says.
    fn is_certain(self, trials: u32) -> bool {
        2 * self.kept.max(self.broken) > trials
    }
}

impl Found {
    /// Both ends, with how sure they are.
    pub fn interval(&self) -> Interval {
        let bound = |load: u32| {
            let tally = self.trials.get(&load).copied().unwrap_or_default();
            Bound {
                load,
                trials: tally.kept + tally.broken,
                kept: tally.kept,
                share: tally.share(),
            }
        };
        let (kept, broken) = (self.kept.map(bound), self.broken.map(bound));
        let confirmed = self.end.is_over()
            && kept.as_ref().is_none_or(|kept| kept.share[0] > 0.5)
            && broken.as_ref().is_none_or(|broken| broken.share[1] < 0.5);
        Interval {
            confidence: CONFIDENCE,
            kept,
            broken,
            confirmed,
        }
    }
}

/// The smallest load that is broken, and the largest below it that is kept.
fn bracket(trials: &BTreeMap<u32, Tally>) -> (Option<u32>, Option<u32>) {
    let broken = trials.iter().find(|(_, tally)| !tally.is_kept()).map(|(load, _)| *load);
    let below = |load: &u32| broken.is_none_or(|broken| *load < broken);
    let kept = trials.iter().rfind(|(load, tally)| below(load) && tally.is_kept());
    (kept.map(|(load, _)| *load), broken)
}

fn found(end: End, trials: BTreeMap<u32, Tally>) -> Found {
    let (kept, broken) = bracket(&trials);
    Found {
        end,
        kept,
        broken,
        trials,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    const SEARCH: Search = Search {
        least: 1,
        from: 50,
        most: 20_000,
        precision: 0.04,
        trials: 3,
    };

    fn run(search: Search, trial: impl FnMut(u32) -> Trial) -> (Found, u32) {
        let trial = RefCell::new(trial);
        let made = RefCell::new(0);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let found = runtime.block_on(search.run(|load| {
            *made.borrow_mut() += 1;
            let ended = trial.borrow_mut()(load);
            async move { ended }
        }));
        (found, made.into_inner())
    }

    fn up_to(limit: u32) -> impl Fn(u32) -> Trial {
        move |load| if load <= limit { Trial::Kept } else { Trial::Broken }
    }

    proptest! {
        /// However large the limit, the bracket has it, is narrow, and didn't take long.
        #[test]
        fn a_limit_is_found(limit in 1u32..20_000) {
            let (found, trials) = run(SEARCH, up_to(limit));
            prop_assert_eq!(found.end, End::Found);
            let (kept, broken) = (found.kept.expect("kept"), found.broken.expect("broken"));
            prop_assert!(kept <= limit && limit < broken, "{:?}", found);
            prop_assert!(broken - kept == 1 || f64::from(broken - kept) <= 0.04 * f64::from(broken), "{:?}", found);
            prop_assert!(trials <= 22, "{trials}");
        }

        /// A platform that errs in one trial of ten near its limit: the bracket is still about the limit.
        #[test]
        fn noise_does_not_decide(limit in 100u32..10_000, seed in any::<u64>()) {
            let mut rng = StdRng::seed_from_u64(seed);
            let (found, _) = run(SEARCH, |load| {
                let kept = (load <= limit) != (rng.random_bool(0.1) && load.abs_diff(limit) < limit / 5);
                if kept { Trial::Kept } else { Trial::Broken }
            });
            if found.end == End::Found {
                let kept = found.kept.expect("kept");
                prop_assert!(kept.abs_diff(limit) <= limit / 4, "{:?}", found);
            }
        }
    }

    /// By hand, and as statistics packages have it.
    #[test]
    fn shares_have_wilsons_interval() {
        for (kept, broken, low, high) in [
            (0, 0, 0.0, 1.0),
            (2, 0, 0.342_4, 1.0),
            (0, 2, 0.0, 0.657_6),
            (4, 0, 0.510_1, 1.0),
            (4, 1, 0.375_5, 0.963_8),
            (8, 2, 0.490_2, 0.943_3),
        ] {
            let share = Tally { kept, broken }.share();
            assert!(
                (share[0] - low).abs() < 1e-4 && (share[1] - high).abs() < 1e-4,
                "{kept}, {broken}: {share:?}"
            );
        }
    }

    /// Two trials of each end that agree may well be chance; four may not.
    #[test]
    fn an_interval_says_how_sure_it_is() {
        for (trials, each, confirmed) in [(3, 2, false), (6, 4, true)] {
            let (found, _) = run(Search { trials, ..SEARCH }, up_to(137));
            let interval = found.interval();
            let (kept, broken) = (interval.kept.expect("kept"), interval.broken.expect("broken"));
            assert!(kept.load <= 137 && 137 < broken.load, "{found:?}");
            assert_eq!((kept.kept, kept.trials), (each, each));
            assert_eq!((broken.kept, broken.trials), (0, each));
            assert_eq!(interval.confirmed, confirmed, "{found:?}");
        }
        let (stopped, _) = run(Search { trials: 6, ..SEARCH }, |load| {
            if load < 1000 { Trial::Kept } else { Trial::Stopped }
        });
        let interval = stopped.interval();
        assert!(interval.kept.is_some() && interval.broken.is_none() && !interval.confirmed);
    }

    #[test]
    fn no_limit_up_to_the_most_is_said() {
        let (found, trials) = run(SEARCH, |_| Trial::Kept);
        assert_eq!(
            (found.end, found.kept, found.broken),
            (End::KeptAtMost, Some(20_000), None)
        );
        assert!(trials < 13, "{trials}");
    }

    #[test]
    fn a_platform_that_keeps_nothing_is_said() {
        let (found, _) = run(SEARCH, |_| Trial::Broken);
        assert_eq!((found.end, found.kept, found.broken), (End::BrokenAtOne, None, Some(1)));
    }

    /// Loads that the objectives can't judge are not made.
    #[test]
    fn nothing_below_the_least_is_tried() {
        let search = Search {
            least: 30,
            from: 200,
            ..SEARCH
        };
        let (found, _) = run(search, |_| Trial::Broken);
        assert_eq!(
            (found.end, found.kept, found.broken),
            (End::BrokenAtLeast, None, Some(30))
        );
        assert!(found.trials.keys().all(|load| *load >= 30), "{found:?}");
        let (found, _) = run(search, up_to(137));
        assert_eq!(found.end, End::Found);
        assert!(found.kept <= Some(137) && found.broken > Some(137), "{found:?}");
    }

    #[test]
    fn too_few_samples_are_no_broken_objective() {
        let (found, trials) = run(SEARCH, |_| Trial::TooFewSamples);
        assert_eq!(
            (found.end, found.kept, found.broken, trials),
            (End::TooFewSamples, None, None, 1)
        );
        assert!(!found.interval().confirmed);
    }

    #[test]
    fn a_generator_at_its_limit_gives_what_it_has() {
        let (found, _) = run(
            SEARCH,
            |load| if load < 1000 { Trial::Kept } else { Trial::CouldNotTell },
        );
        assert_eq!(
            (found.end, found.kept, found.broken),
            (End::CouldNotTell, Some(800), None)
        );
    }

    /// An end that a lucky trial made is moved by the trials that follow.
    #[test]
    fn one_lucky_trial_moves_no_bracket() {
        let mut lucky = true;
        let (found, _) = run(SEARCH, |load| {
            if load == 400 && std::mem::take(&mut lucky) {
                return Trial::Kept;
            }
            up_to(390)(load)
        });
        assert_eq!(found.end, End::Found);
        assert!(found.kept <= Some(390) && found.broken > Some(390), "{found:?}");
    }

    #[test]
    fn a_platform_that_tosses_a_coin_is_unstable_or_bracketed_narrowly() {
        let mut rng = StdRng::seed_from_u64(7);
        let (found, trials) = run(SEARCH, |_| {
            if rng.random_bool(0.5) {
                Trial::Kept
            } else {
                Trial::Broken
            }
        });
        assert!(trials <= PATIENCE * (32 + 5 + 6), "{found:?}");
    }
}
