//! Comparisons of results that were put together by hand.

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
