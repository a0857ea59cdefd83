//! OpenMetrics text, for a metrics system that keeps what became of each run.

use std::fmt::Write;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::collect::Run;
use super::text::one_line;
use super::words::Outcome;
use crate::events::{RunOf, RunVerdict, Summary};

/// The report of a run as text.
pub(super) fn render(run: &Run, _evidence: &Path) -> io::Result<String> {
    let mut text = String::new();
    write(run, &mut text).map_err(io::Error::other)?;
    Ok(text)
}

fn write(run: &Run, out: &mut String) -> std::fmt::Result {
    let Run {
        info,
        scenarios,
        result,
    } = run;
    family(out, "gauntlet_run", "info", "What ran.")?;
    let seed = info.seed.to_string();
    let labels = [
        ("version", info.version.as_str()),
        ("target", info.target.as_str()),
        ("level", info.level.as_str()),
        ("seed", seed.as_str()),
    ];
    sample(out, "gauntlet_run_info", &labels, "1")?;
    if let Ok(started) = info.started.parse::<Timestamp>() {
        family(out, "gauntlet_run_start_time_seconds", "gauge", "When it started.")?;
        sample(
            out,
            "gauntlet_run_start_time_seconds",
            &[],
            &started.as_second().to_string(),
        )?;
    }
    family(out, "gauntlet_run_duration_seconds", "gauge", "How long it took.")?;
    let took = result.duration.as_secs_f64().to_string();
    sample(out, "gauntlet_run_duration_seconds", &[], &took)?;
    family(out, "gauntlet_run_verdict", "gauge", "The verdict on the whole.")?;
    sample(out, "gauntlet_run_verdict", &[("verdict", of_run(result.verdict))], "1")?;
    family(
        out,
        "gauntlet_scenarios",
        "gauge",
        "Runs of scenarios by what became of them.",
    )?;
    for (verdict, count) in counts(&result.summary) {
        sample(out, "gauntlet_scenarios", &[("verdict", verdict)], &count.to_string())?;
    }
    family(
        out,
        "gauntlet_verdict",
        "gauge",
        "What became of one run of a scenario.",
    )?;
    for scenario in scenarios {
        let verdict = ("verdict", of(Outcome::of(scenario)));
        labelled(out, "gauntlet_verdict", &scenario.run, Some(verdict), "1")?;
    }
    family(
        out,
        "gauntlet_duration_seconds",
        "gauge",
        "How long one run of a scenario took.",
    )?;
    for scenario in scenarios {
        let took = scenario.duration.as_secs_f64().to_string();
        labelled(out, "gauntlet_duration_seconds", &scenario.run, None, &took)?;
    }
    writeln!(out, "# EOF")
}

/// The head of a family: its samples stand right below.
pub(crate) fn family(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# TYPE {name} {kind}")?;
    if name.ends_with("_seconds") {
        writeln!(out, "# UNIT {name} seconds")?;
    }
    writeln!(out, "# HELP {name} {help}")
}

fn labelled(out: &mut String, name: &str, run: &RunOf, verdict: Option<(&str, &str)>, value: &str) -> std::fmt::Result {
    let (case, repetition) = (run.values(), run.repetition.map(|n| n.to_string()).unwrap_or_default());
    let mut labels = vec![("rule", run.id.as_str()), ("case", case.as_str())];
    if !repetition.is_empty() {
        // Without it the repetitions would be one sample, given twice.
        labels.push(("repetition", &repetition));
    }
    labels.extend(verdict);
    sample(out, name, &labels, value)
}

/// A line with a value.
pub(crate) fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: &str) -> std::fmt::Result {
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
        .collect();
    match labels.is_empty() {
        true => writeln!(out, "{name} {value}"),
        false => writeln!(out, "{name}{{{}}} {value}", labels.join(",")),
    }
}

/// A label's value: nothing in it ends it.
fn escape(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('"', "\\\"")
}

fn of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Error => "error",
        Outcome::Interrupted => "interrupted",
        Outcome::Skip => "skip",
        Outcome::ExpectedFailure => "expected-failure",
        Outcome::UnexpectedPass => "unexpected-pass",
        Outcome::Flaky | Outcome::ToleratedFlaky => "flaky",
    }
}

fn of_run(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Passed => "passed",
        RunVerdict::Failed => "failed",
        RunVerdict::Error => "error",
        RunVerdict::NothingRan => "nothing-ran",
        RunVerdict::Partial => "partial",
        RunVerdict::Interrupted => "interrupted",
    }
}

fn counts(summary: &Summary) -> [(&'static str, usize); 8] {
    let Summary {
        pass,
        fail,
        error,
        interrupted,
        not_started,
        skip,
        expected,
        flaky,
    } = *summary;
    [
        ("pass", pass),
        ("fail", fail),
        ("error", error),
        ("interrupted", interrupted),
        ("not-started", not_started),
        ("skip", skip),
        ("expected-failure", expected),
        ("flaky", flaky),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::events::Event;
    use crate::report::file::written;
    use crate::report::sample;

    /// The samples without their values; each is there once, below the head of its family.
    fn samples(events: &[Event]) -> BTreeSet<String> {
        let text = written(render, events);
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        let (mut seen, mut families, mut family) = (BTreeSet::new(), BTreeSet::new(), String::new());
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("# TYPE ") {
                family = head.split(' ').next().unwrap().to_owned();
                assert!(families.insert(family.clone()), "{family} comes twice: {text}");
            } else if !line.starts_with('#') {
                assert!(line.starts_with(&family), "{line}");
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(seen.insert(sample.to_owned()), "{line}");
            }
        }
        seen
    }

    #[test]
    fn every_run_has_a_verdict_and_a_duration() {
        let seen = samples(&sample::failing());
        for part in [
            "gauntlet_run_info{version=\"0.1.0\",target=\"embedded\",level=\"all\",seed=\"42\"}",
            "gauntlet_run_verdict{verdict=\"failed\"}",
            "gauntlet_scenarios{verdict=\"expected-failure\"}",
            "gauntlet_verdict{rule=\"harness-token/warm/stale\",case=\"\",verdict=\"fail\"}",
            "gauntlet_verdict{rule=\"harness-token/token/flow\",case=\"direct\",repetition=\"3\",verdict=\"unexpected-pass\"}",
            "gauntlet_duration_seconds{rule=\"harness-token/token/accept\",case=\"direct\"}",
        ] {
            assert!(seen.contains(part), "{part}: {seen:#?}");
        }
        let of = |name: &str| seen.iter().filter(|sample| sample.starts_with(name)).count();
        assert_eq!((of("gauntlet_verdict{"), of("gauntlet_duration_seconds{")), (9, 9));
    }

    #[test]
    fn nothing_ends_a_label() {
        assert_eq!(escape("a\"} 1\n# EOF\\"), "a\\\"} 1 # EOF\\\\");
        samples(&sample::interrupted());
        samples(&sample::broken_off());
    }
}
