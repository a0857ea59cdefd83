//! Verdicts on loads.

use std::time::Duration;

use super::*;
use crate::load::failure::{Failure, Lack};
use crate::load::metric::Metric;
use crate::load::outcome::{Costs, Ending, Outcome};
use crate::load::recorder::Recorder;

/// A load whose generator was a second late.
fn result(objective: &str, failure: Option<Failure>, costs: Costs) -> LoadResult {
    let mut recorder = Recorder::new().expect("histograms");
    recorder.counts.attempted = 20;
    recorder.counts.opened = 20;
    for _ in 0..20 {
        recorder.record(Metric::Lag, 1_000_000_000, false);
        recorder.record(Metric::Attach, 1_000_000, false);
    }
    if let Some(failure) = failure {
        recorder.counts.failed += 1;
        recorder.fail(failure, |failure| Example {
            failure,
            at: 0.0,
            attach: "1".into(),
            local: None,
            said: None,
        });
    }
    let outcome = Outcome {
        recorder,
        ending: Ending::Complete,
        most_open: 20,
        ramped: 1.0,
        steady: None,
        ended: 2.0,
        costs,
        processes: 1,
        lost_workers: Vec::new(),
        aborted: None,
    };
    let gauntlet = Gauntlet {
        version: "1".into(),
        commit: None,
    };
    let load = Load {
        target: "a door".into(),
        model: "open".into(),
        attaches: 20,
        arrivals: "20/s".into(),
        hold: 1000,
        echo_every: None,
        deadline: 1000,
        probe_every: None,
        seed: 1,
        resolve: 0.0,
    };
    let objectives = [objective.parse().expect("an objective")];
    LoadResult::new((gauntlet, String::new()), load, outcome, &objectives, None)
}

fn verdict(objective: &str, failure: Option<Failure>) -> Verdict {
    let result = result(objective, failure, Costs::default());
    assert!(result.generator.saturated);
    assert!(
        result
            .reasons
            .iter()
            .any(|reason| reason.starts_with("the generator was itself the limit"))
    );
    result.verdict
}

#[test]
fn a_late_generator_says_nothing_against_counts() {
    assert_eq!(verdict("errors == 0", None), Verdict::Pass);
    assert_eq!(verdict("attach.p50 < 1s", None), Verdict::Error);
    assert_eq!(verdict("opened >= 21", None), Verdict::Fail);
    assert_eq!(
        verdict("opened >= 1", Some(Failure::Local(Lack::Ports))),
        Verdict::Error
    );
}

#[test]
fn a_moment_or_two_do_not_make_a_generator_late() {
    let is_late = |all: u64, late: u64| {
        let mut recorder = Recorder::new().expect("histograms");
        for at in 0..all {
            recorder.record(Metric::Lag, if at < late { 20_000_000 } else { 100_000 }, false);
        }
        super::judge::is_late(recorder.whole.of(Metric::Lag), 10.0)
    };
    assert!(!is_late(0, 0));
    assert!(!is_late(74, 2), "the p99 of so few is their largest");
    assert!(is_late(74, 3));
    assert!(!is_late(1000, 9), "less than one of a hundred");
    assert!(is_late(1000, 12));
}

/// Twenty ticks are the fewest of which a part is told.
#[test]
fn a_few_ticks_of_the_processor_are_not_divided() {
    let used = |milliseconds| Cost {
        user: Duration::from_millis(milliseconds),
        ..Cost::default()
    };
    for (milliseconds, each) in [(190, None), (200, Some(10.0))] {
        let costs = Costs {
            held: Some(used(milliseconds)),
            ..Costs::default()
        };
        let result = result("errors == 0", None, costs);
        assert_eq!(result.generator.milliseconds_per_attach, each, "{milliseconds}");
    }
}
