//! JUnit XML, as CI servers read it.

use std::io;
use std::path::Path;

use indexmap::IndexMap;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::collect::Run;
use super::evidence::evidence_paths;
use super::text::{last_lines, one_line, printable};
use super::words::{self, Outcome};
use crate::events::{CheckResult, RunInfo, ScenarioResult, Verdict};
use crate::vocabulary::{ExpectationKind, Level};

/// Lines shown of a piece of evidence.
const EXCERPT: usize = 40;

/// The report of a run as text.
pub(super) fn render(run: &Run, evidence: &Path) -> io::Result<String> {
    report(run, evidence).to_string().map_err(io::Error::other)
}

fn report(run: &Run, evidence: &Path) -> Report {
    let mut suites: IndexMap<&str, Vec<&ScenarioResult>> = IndexMap::new();
    for scenario in &run.scenarios {
        suites.entry(group(&scenario.run.id)).or_default().push(scenario);
    }
    let mut report = Report::new("gauntlet");
    report.timestamp = run.info.started.parse().ok();
    report.set_time(run.result.duration);
    for (name, scenarios) in suites {
        let mut suite = TestSuite::new(name);
        suite.timestamp = report.timestamp;
        suite.set_time(scenarios.iter().map(|s| s.duration).sum());
        suite.add_properties(properties(&run.info));
        suite.add_property(property("verdict", words::verdict(run.result.verdict)));
        for note in &run.result.notes {
            suite.add_property(property("note", note));
        }
        for scenario in scenarios {
            suite.add_test_case(test_case(name, scenario, &run.info, evidence));
        }
        report.add_test_suite(suite);
    }
    report
}

/// The contract and the group of its rules: the first two parts of an id.
pub(super) fn group(id: &str) -> &str {
    match id.match_indices('/').nth(1) {
        Some((at, _)) => &id[..at],
        None => id,
    }
}

/// Text that XML can have: quick-junit would take control characters away, and
/// with them what the platform has really said.
fn xml(text: &str) -> String {
    printable(text).into_owned()
}

fn property(name: &str, value: &str) -> Property {
    Property::new(name, xml(value))
}

fn properties(info: &RunInfo) -> Vec<Property> {
    let mut all = vec![
        property("gauntlet.version", &info.version),
        property("target", &info.target),
        property("selection", &info.selection.join(" ")),
        property("level", &info.level),
        property("seed", &info.seed.to_string()),
    ];
    if let Some(commit) = &info.commit {
        all.push(property("gauntlet.commit", commit));
    }
    if let Some(digest) = &info.profile_digest {
        all.push(property("profile_digest", digest));
    }
    if !info.mutants.is_empty() {
        all.push(property("mutants", &info.mutants.join(" ")));
    }
    all
}

fn test_case(suite: &str, result: &ScenarioResult, info: &RunInfo, evidence: &Path) -> TestCase {
    let mut case = TestCase::new(xml(&result.run.to_string()), status(result));
    case.set_classname(suite).set_time(result.duration);
    case.set_assertions(judged(result));
    if let Some(at) = words::place(result) {
        case.extra.insert("file".into(), xml(&at.file).into());
        case.extra.insert("line".into(), at.line.to_string().into());
    }
    case.add_property(property("title", &result.title));
    case.add_property(property("spec", &result.spec));
    let level = match result.level {
        Level::Core => "core",
        Level::Extended => "extended",
    };
    case.add_property(property("level", level));
    case.add_property(property("seed", &info.seed.to_string()));
    for fact in &result.facts {
        case.add_property(property(&format!("fact.{}", xml(&fact.name)), &fact.value.to_string()));
    }
    let out = system_out(result, evidence);
    if !out.is_empty() {
        case.set_system_out(xml(&out));
    }
    case
}

fn judged(result: &ScenarioResult) -> usize {
    let checks = result.checks.iter();
    checks
        .filter(|c| c.kind == ExpectationKind::Check && c.verdict != Verdict::Skip)
        .count()
}

fn status(result: &ScenarioResult) -> TestCaseStatus {
    let outcome = Outcome::of(result);
    let of_verdict = match result.verdict {
        Verdict::Error => NonSuccessKind::Error,
        _ => NonSuccessKind::Failure,
    };
    let (mut status, kind) = match outcome {
        Outcome::Pass => return TestCaseStatus::success(),
        Outcome::Skip => (TestCaseStatus::skipped(), "skip"),
        // A CI server knows no failure that is as it should be.
        Outcome::ExpectedFailure => (TestCaseStatus::skipped(), "expected-failure"),
        Outcome::Fail => (TestCaseStatus::non_success(NonSuccessKind::Failure), "fail"),
        Outcome::UnexpectedPass => (TestCaseStatus::non_success(NonSuccessKind::Failure), "unexpected-pass"),
        Outcome::Error => (TestCaseStatus::non_success(NonSuccessKind::Error), "error"),
        Outcome::Interrupted => (TestCaseStatus::non_success(NonSuccessKind::Error), "interrupted"),
        Outcome::Flaky => (TestCaseStatus::non_success(of_verdict), "flaky"),
        Outcome::ToleratedFlaky => (TestCaseStatus::success(), "flaky"),
    };
    let (_, bad) = words::story(result);
    let message = match (words::reason(result), bad.first()) {
        (Some(reason), _) => reason,
        (None, Some(check)) => format!("{}: expected {}, got {}", check.what, check.expected, check.got),
        (None, None) => kind.to_owned(),
    };
    let description: Vec<String> = bad.iter().map(|c| explain(c)).collect();
    if outcome == Outcome::ToleratedFlaky {
        // What CI servers show as flaky: a good test with a bad attempt.
        let mut attempt = TestRerun::new(of_verdict);
        attempt.set_type(kind).set_message(one_line(&message));
        attempt.set_description(xml(&description.join("\n\n")));
        status.add_rerun(attempt);
        return status;
    }
    status.set_type(kind).set_message(one_line(&message));
    if !description.is_empty() {
        status.set_description(xml(&description.join("\n\n")));
    }
    status
}

fn explain(check: &CheckResult) -> String {
    let at = &check.at;
    let mut text = format!(
        "{}\nexpected: {}\ngot: {}\nat {}:{}:{}\n  {}",
        check.what,
        check.expected,
        check.got,
        at.file,
        at.line,
        at.column,
        at.text.trim()
    );
    if let Some(reason) = &check.reason {
        text += &format!("\nbecause: {reason}");
    }
    text
}

/// Evidence with its paths, in the form that CI servers make attachments of, and
/// how to see it again.
fn system_out(result: &ScenarioResult, folder: &Path) -> String {
    let mut text = String::new();
    for (evidence, path) in result.evidence.iter().zip(evidence_paths(folder, result)) {
        text += &format!("{}\n[[ATTACHMENT|{}]]\n", evidence.title, path.display());
        let (left_out, lines) = last_lines(&evidence.text, EXCERPT);
        if left_out > 0 {
            text += &format!("… {left_out} lines before\n");
        }
        text += &lines.join("\n");
        text += "\n\n";
    }
    if !result.reproduce.is_empty() {
        text += &format!("to see it again:\n{}\n", result.reproduce.join("\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::file::written;
    use crate::report::sample;

    #[test]
    fn everything() {
        let text = written(render, &sample::failing());
        // XML 1.0's Char, and well-formed.
        assert!(!text.contains(|c: char| {
            !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        }));
        let read = Report::deserialize_from_str(&text).unwrap();
        assert_eq!((read.tests, read.failures, read.errors, read.skipped), (9, 3, 1, 2));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_did_run_is_told_of_a_run_that_was_interrupted_or_broke_off() {
        for (events, counted) in [(sample::interrupted(), (2, 1)), (sample::broken_off(), (1, 0))] {
            let read = Report::deserialize_from_str(&written(render, &events)).unwrap();
            assert_eq!((read.tests, read.errors), counted);
        }
    }

    #[test]
    fn any_text_makes_well_formed_xml() {
        use proptest::prelude::*;
        proptest!(ProptestConfig::with_cases(64), |(text in any::<String>())| {
            let events = sample::with_text(&text);
            let read = Report::deserialize_from_str(&written(render, &events));
            prop_assert!(read.is_ok(), "{:?}", read);
        });
    }
}
