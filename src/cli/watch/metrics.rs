//! What `/metrics` gives: OpenMetrics text of what is known.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;

use super::tally::{BOUNDS, Rule, Tally, word};
use crate::events::Verdict;
use crate::report::{family, metric};

/// What doesn't change.
#[derive(Clone, Debug)]
pub struct Constant {
    pub version: String,
    pub target: String,
    pub every: Duration,
}

/// The whole text.
///
/// # Errors
/// None: writing to a string can't fail.
pub fn render(constant: &Constant, tally: &Tally) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let out = &mut text;
    family(out, "gauntlet_watch", "info", "What watches, and what.")?;
    let labels = [
        ("version", constant.version.as_str()),
        ("target", constant.target.as_str()),
    ];
    metric(out, "gauntlet_watch_info", &labels, "1")?;
    alone(
        out,
        "gauntlet_watch_interval_seconds",
        "From the start of a round to the next.",
        constant.every.as_secs_f64(),
    )?;
    rounds(out, tally)?;
    rules(out, tally)?;
    attaches(out, tally)?;
    writeln!(out, "# EOF")?;
    Ok(text)
}

fn rounds(out: &mut String, tally: &Tally) -> std::fmt::Result {
    family(out, "gauntlet_watch_rounds", "counter", "Rounds that are over.")?;
    for (judged, count) in [("yes", tally.rounds), ("no", tally.not_judged)] {
        metric(
            out,
            "gauntlet_watch_rounds_total",
            &[("judged", judged)],
            &count.to_string(),
        )?;
    }
    family(
        out,
        "gauntlet_watch_skipped_starts",
        "counter",
        "Starts that were left out, as the round before still went on.",
    )?;
    metric(
        out,
        "gauntlet_watch_skipped_starts_total",
        &[],
        &tally.skipped.to_string(),
    )?;
    let Some(last) = &tally.last else { return Ok(()) };
    alone(
        out,
        "gauntlet_watch_last_round_judged",
        "1 if the last round could judge anything, 0 if the target could not be reached.",
        f64::from(u8::from(last.judged)),
    )?;
    alone(
        out,
        "gauntlet_watch_last_round_timestamp_seconds",
        "When the last round started.",
        seconds(last.started),
    )?;
    alone(
        out,
        "gauntlet_watch_last_round_duration_seconds",
        "How long the last round took.",
        last.duration_ms / 1e3,
    )
}

fn rules(out: &mut String, tally: &Tally) -> std::fmt::Result {
    family(
        out,
        "gauntlet_watch_verdict",
        "gauge",
        "1 for the last verdict on a rule, 0 for the others.",
    )?;
    for ((rule, case), known) in &tally.rules {
        for verdict in [Verdict::Pass, Verdict::Fail, Verdict::Error, Verdict::Skip] {
            let labels = [
                ("rule", rule.as_str()),
                ("case", case.as_str()),
                ("verdict", word(verdict)),
            ];
            let is = u8::from(verdict == known.verdict).to_string();
            metric(out, "gauntlet_watch_verdict", &labels, &is)?;
        }
    }
    type Value = fn(&Rule) -> Option<f64>;
    let gauges: [(&str, &str, Value); 5] = [
        (
            "gauntlet_watch_last_judged_timestamp_seconds",
            "When a rule was last judged.",
            |rule| Some(seconds(rule.judged)),
        ),
        (
            "gauntlet_watch_duration_seconds",
            "How long the last run of a rule took.",
            |rule| Some(rule.duration_ms / 1e3),
        ),
        (
            "gauntlet_watch_slowest_attach_seconds",
            "The slowest attach of the last run of a rule, from its connection to the 101.",
            |rule| rule.slowest_attach_ms.map(|ms| ms / 1e3),
        ),
        (
            "gauntlet_watch_failures_in_a_row",
            "Failures of a rule since it last passed.",
            |rule| Some(rule.in_a_row as f64),
        ),
        (
            "gauntlet_watch_failing_since_timestamp_seconds",
            "When the first of those was.",
            |rule| rule.failing_since.map(seconds),
        ),
    ];
    for (name, help, value) in gauges {
        family(out, name, "gauge", help)?;
        of_rules(out, name, tally, value)?;
    }
    let counters: [(&str, &str, Value); 2] = [
        ("gauntlet_watch_runs", "Runs of a rule.", |rule| Some(rule.runs as f64)),
        ("gauntlet_watch_failures", "Runs of a rule that failed.", |rule| {
            Some(rule.failures as f64)
        }),
    ];
    for (name, help, value) in counters {
        family(out, name, "counter", help)?;
        of_rules(out, &format!("{name}_total"), tally, value)?;
    }
    Ok(())
}

fn of_rules(out: &mut String, name: &str, tally: &Tally, value: fn(&Rule) -> Option<f64>) -> std::fmt::Result {
    for ((rule, case), known) in &tally.rules {
        if let Some(value) = value(known) {
            let labels = [("rule", rule.as_str()), ("case", case.as_str())];
            metric(out, name, &labels, &value.to_string())?;
        }
    }
    Ok(())
}

fn attaches(out: &mut String, tally: &Tally) -> std::fmt::Result {
    let name = "gauntlet_watch_attach_seconds";
    family(
        out,
        name,
        "histogram",
        "Attaches that opened, from the connection to the 101.",
    )?;
    let bounds = BOUNDS
        .iter()
        .map(|bound| format!("{bound:?}"))
        .chain(["+Inf".to_owned()]);
    let mut count = 0;
    for (bound, class) in bounds.zip(tally.attaches.classes) {
        count += class;
        metric(out, &format!("{name}_bucket"), &[("le", &bound)], &count.to_string())?;
    }
    metric(out, &format!("{name}_count"), &[], &count.to_string())?;
    metric(out, &format!("{name}_sum"), &[], &tally.attaches.seconds.to_string())
}

/// A gauge without labels.
fn alone(out: &mut String, name: &str, help: &str, value: f64) -> std::fmt::Result {
    family(out, name, "gauge", help)?;
    metric(out, name, &[], &value.to_string())
}

/// Since 1970, to the millisecond.
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::{at, judged, round};
    use super::*;

    fn text(tally: &Tally) -> String {
        let constant = Constant {
            version: "0.1.0".into(),
            target: "url".into(),
            every: Duration::from_secs(300),
        };
        render(&constant, tally).expect("text")
    }

    /// Each sample stands below the head of its family, once, and is a number.
    fn sound(text: &str) {
        let (mut seen, mut family) = (std::collections::BTreeSet::new(), "");
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("# TYPE ") {
                family = head.split(' ').next().expect("a name");
            } else if !line.starts_with('#') {
                let (sample, value) = line.rsplit_once(' ').expect("a value");
                assert!(sample.starts_with(family), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(seen.insert(sample), "{line}");
            }
        }
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }

    #[test]
    fn before_the_first_round_there_are_no_rules() {
        let text = text(&Tally::default());
        sound(&text);
        assert!(!text.contains("rule="), "{text}");
        assert!(
            text.contains("gauntlet_watch_rounds_total{judged=\"yes\"} 0\n"),
            "{text}"
        );
    }

    #[test]
    fn a_rule_that_fails() {
        let mut tally = Tally::default();
        tally.judge(&judged(Verdict::Pass), at(1));
        tally.judge(&judged(Verdict::Fail), at(2));
        tally.ended(&round(2, Verdict::Fail));
        let text = text(&tally);
        sound(&text);
        let of = "{rule=\"c/g/r\",case=\"direct\"";
        for line in [
            format!("gauntlet_watch_verdict{of},verdict=\"pass\"}} 0"),
            format!("gauntlet_watch_verdict{of},verdict=\"fail\"}} 1"),
            format!("gauntlet_watch_last_judged_timestamp_seconds{of}}} 2"),
            format!("gauntlet_watch_duration_seconds{of}}} 0.0125"),
            format!("gauntlet_watch_slowest_attach_seconds{of}}} 30"),
            format!("gauntlet_watch_failures_in_a_row{of}}} 1"),
            format!("gauntlet_watch_failing_since_timestamp_seconds{of}}} 2"),
            format!("gauntlet_watch_runs_total{of}}} 2"),
            format!("gauntlet_watch_failures_total{of}}} 1"),
            "gauntlet_watch_last_round_judged 1".to_owned(),
            "gauntlet_watch_attach_seconds_bucket{le=\"0.0025\"} 0".to_owned(),
            "gauntlet_watch_attach_seconds_bucket{le=\"0.005\"} 2".to_owned(),
            "gauntlet_watch_attach_seconds_bucket{le=\"+Inf\"} 4".to_owned(),
            "gauntlet_watch_attach_seconds_count 4".to_owned(),
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
        }
    }
}
