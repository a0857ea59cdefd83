//! Comparisons of hand-made results.

use super::*;
use crate::load::{LoadResult, sample};

fn saved(name: &str, result: LoadResult) -> Saved {
    Saved::new(name, result).expect("histograms")
}

fn said(comparison: &Comparison<'_>, figure: &str) -> Said {
    let row = comparison.rows.iter().find(|row| row.figure.to_string() == figure);
    row.unwrap_or_else(|| panic!("{figure} is not in {:?}", comparison.rows))
        .said
}

fn limits(texts: &[&str]) -> Vec<Limit> {
    texts.iter().map(|text| text.parse().expect("a limit")).collect()
}

#[test]
fn a_result_is_no_different_from_itself() {
    let a = saved("a.json", sample::passed());
    let limits = limits(&["attach.p99 > 0%", "errors > 0%"]);
    let comparison = Comparison::new(&a, &a, &limits);
    assert!(
        comparison.rows.iter().all(|row| row.said == Said::Chance),
        "{:?}",
        comparison.rows
    );
    assert_eq!(comparison.exit_code(), 0);
    assert_eq!(comparison.warnings, [""; 0]);
}

#[test]
fn a_difference_that_is_more_than_chance_is_told() {
    let a = saved("a.json", sample::passed());
    let slow = saved(
        "b.json",
        sample::measured(sample::rising().map(|micros| 2 * micros), sample::rising()),
    );
    let comparison = Comparison::new(&a, &slow, &[]);
    assert_eq!(said(&comparison, "attach.p50"), Said::Worse);
    assert_eq!(said(&comparison, "echo.p50"), Said::Chance);
    assert_eq!(said(&comparison, "steady.echo.p99"), Said::Chance);
    assert_eq!(comparison.exit_code(), 0);
    assert_eq!(said(&Comparison::new(&slow, &a, &[]), "attach.p99"), Said::Better);
    // Six per cent of a thousand samples that are spread as far are chance.
    let little = sample::rising().map(|micros| micros * 106 / 100);
    let little = saved("c.json", sample::measured(little, sample::rising()));
    assert_eq!(said(&Comparison::new(&a, &little, &[]), "attach.p50"), Said::Chance);
}

#[test]
fn a_limit_is_broken_by_more_than_it_and_more_than_chance() {
    let a = saved("a.json", sample::passed());
    let slow = saved(
        "b.json",
        sample::measured(sample::rising().map(|micros| 2 * micros), sample::rising()),
    );
    let code = |a: &Saved, b: &Saved, limit: &str| Comparison::new(a, b, &limits(&[limit])).exit_code();
    assert_eq!(code(&a, &slow, "attach.p50 > +90%"), 1);
    assert_eq!(code(&a, &slow, "attach.p50 > +110%"), 0);
    assert_eq!(code(&slow, &a, "attach.p50 > +0%"), 0);
    assert_eq!(code(&a, &slow, "steady.echo.p90 > +0%"), 0);
    // More than so many samples can tell is no pass.
    assert_eq!(code(&a, &slow, "attach.p99.9 > +0%"), 3);
    assert_eq!(code(&a, &slow, "tls.p50 > +0%"), 3);
}

#[test]
fn errors_are_shares() {
    let a = saved("a.json", sample::passed());
    let with = |refused| {
        let mut result = sample::passed();
        result.counts.refused = refused;
        saved("b.json", result)
    };
    let code = |b: Saved| Comparison::new(&a, &b, &limits(&["errors > +0%"])).exit_code();
    assert_eq!(code(with(3)), 0);
    assert_eq!(code(with(20)), 1);
}

#[test]
fn a_generator_at_its_limit_tells_no_latency() {
    let a = saved("a.json", sample::passed());
    let mut result = sample::measured(sample::rising().map(|micros| 2 * micros), sample::rising());
    result.generator.saturated = true;
    result.counts.probes_refused = 10;
    result.counts.probes_opened = 10;
    let b = saved("b.json", result);
    let limited = limits(&["attach.p50 > +10%"]);
    let comparison = Comparison::new(&a, &b, &limited);
    assert_eq!(said(&comparison, "attach.p50"), Said::CouldNotTell);
    assert_eq!(said(&comparison, "errors"), Said::Chance);
    assert_eq!(said(&comparison, "probes-opened"), Said::Worse);
    assert_eq!(comparison.exit_code(), 3);
    assert_eq!(Comparison::new(&a, &b, &[]).exit_code(), 3);
}

/// The same attaches were made, and what became of them stands.
#[test]
fn a_late_generator_says_nothing_against_counts() {
    let a = saved("a.json", sample::passed());
    let late = |refused| {
        let mut result = sample::passed();
        result.generator.saturated = true;
        result.counts.refused = refused;
        saved("b.json", result)
    };
    let code = |b: &Saved, texts: &[&str]| Comparison::new(&a, b, &limits(texts)).exit_code();
    assert_eq!(code(&late(0), &["errors > +0%"]), 0);
    assert_eq!(code(&late(20), &["errors > +0%"]), 1);
    assert_eq!(code(&late(0), &["attach.p50 > +10%"]), 3);
    assert_eq!(code(&late(0), &["errors > +0%", "attach.p50 > +10%"]), 3);
    let limits = limits(&["errors > +0%"]);
    let text = Comparison::new(&a, &late(0), &limits).text();
    assert!(
        text.contains("\n\nNO DIFFERENCE that is more than chance\n  the generator was itself the limit in b.json"),
        "{text}"
    );
}

#[test]
fn what_a_result_could_not_tell_is_not_told_by_a_comparison() {
    let a = saved("a.json", sample::passed());
    let lost = "worker 2 (process 7) was lost after 1 s, it has ended: its 20 attaches are not accounted for";
    let late = "the generator was itself the limit: its lag has a p99 of 50.0 ms, 10.0 ms is the most";
    let error = |reasons: &[&str], saturated| {
        let mut result = sample::passed();
        result.verdict = Verdict::Error;
        result.reasons = reasons.iter().map(|reason| (*reason).to_owned()).collect();
        result.generator.saturated = saturated;
        saved("b.json", result)
    };
    let limits = limits(&["errors > +0%"]);
    for b in [error(&[lost], false), error(&[late, lost], true)] {
        for (a, b) in [(&a, &b), (&b, &a)] {
            let comparison = Comparison::new(a, b, &limits);
            assert_eq!(comparison.exit_code(), 3);
            assert_eq!(comparison.limits, [format!("b.json could not tell: {lost}")]);
        }
    }
    // That it was late is all that it could not tell.
    let b = error(&[late], true);
    let comparison = Comparison::new(&a, &b, &limits);
    assert_eq!((comparison.exit_code(), comparison.limits.len()), (0, 0));
}

/// One of a few is no chance where none may open.
#[test]
fn a_door_that_opened_is_never_chance() {
    let with = |name: &str, probes, opened| {
        let mut result = sample::passed();
        (result.counts.probes, result.counts.probes_opened) = (probes, opened);
        saved(name, result)
    };
    let (shut, untried, open) = (with("a.json", 20, 0), with("a.json", 0, 0), with("b.json", 20, 1));
    for a in [&shut, &untried] {
        let limits = limits(&["probes-opened > +0%"]);
        let comparison = Comparison::new(a, &open, &limits);
        assert_eq!(said(&comparison, "probes-opened"), Said::Worse);
        assert_eq!(comparison.exit_code(), 1);
    }
    assert_eq!(said(&Comparison::new(&shut, &open, &[]), "probes-opened"), Said::Worse);
    assert_eq!(said(&Comparison::new(&open, &shut, &[]), "probes-opened"), Said::Chance);
}

#[test]
fn what_a_machine_lacked_tells_no_errors() {
    let a = saved("a.json", sample::passed());
    let mut result = sample::passed();
    result.counts.failed = 100;
    result
        .failures
        .insert("local: no ports left (EADDRNOTAVAIL)".into(), 100);
    let b = saved("b.json", result);
    let comparison = Comparison::new(&a, &b, &[]);
    assert_eq!(said(&comparison, "failed"), Said::CouldNotTell);
    assert_eq!(said(&comparison, "attach.p50"), Said::Chance);
    assert_eq!(comparison.exit_code(), 3);
}

#[test]
fn other_loads_are_named() {
    let a = saved("a.json", sample::passed());
    let mut result = sample::passed();
    result.load.attaches = 2000;
    result.load.echo_every = None;
    result.load.seed = 8;
    let b = saved("b.json", result);
    assert_eq!(
        warnings(&a, &b),
        ["these are different loads: attaches 1000 and 2000, echo-every 1500 ms and never"]
    );
    let with = saved("c.json", sample::passed().with_http(sample::http()));
    assert_eq!(
        warnings(&a, &with),
        ["these are different loads: http-users none and 5"]
    );
}

#[test]
fn what_only_one_has_is_missing() {
    let a = saved("a.json", sample::passed());
    let b = saved("b.json", sample::measured(sample::rising(), []));
    let comparison = Comparison::new(&a, &b, &[]);
    assert_eq!(said(&comparison, "echo.p50"), Said::Missing);
    assert_eq!(comparison.exit_code(), 0);
}

#[test]
fn latencies_of_two_models_are_not_compared() {
    let open = saved("a.json", sample::passed());
    let closed = saved("b.json", sample::closed());
    let comparison = Comparison::new(&open, &closed, &[]);
    assert_eq!(said(&comparison, "attach.p50"), Said::CouldNotTell);
    assert_eq!(
        comparison.late,
        ["a.json is of the open model and b.json of the closed one: their latencies count from different moments"]
    );
    assert_eq!(comparison.exit_code(), 3);
    assert_eq!(Comparison::new(&closed, &closed, &[]).exit_code(), 0);
}
