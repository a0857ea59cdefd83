//! A JSON report in another format: the run, as far as the JSON tells of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::collect::Run;
use super::console::Console;
use super::document::{Check, Fact, Kind, Position, Report, Scenario};
use super::evidence::evidence_paths;
use super::folder::EVIDENCE;
use super::spec::Format;
use super::tee::{Printed, Tee};
use super::{ConsoleSettings, Reporter, RunFolder, github, html, junit, markdown, openmetrics, sarif, tap};
use crate::events::{At, CheckResult, Event, Evidence, FactResult, RunInfo, RunOf, RunResult, ScenarioResult, Summary};
use crate::vocabulary::ExpectationKind;

/// What stands in the place of evidence: a JSON report names the files, and no more.
const ELSEWHERE: &str = "(a JSON report has no evidence in it: look into the file)";

/// What a reader of what is made of a JSON report should know.
const LESS: &str = "made of a JSON report: evidence is named by its path, and lines of scenario files are left out";

/// The report in a format. The console's settings are of `console`.
///
/// # Errors
/// The format can't hold it.
pub fn show(report: &Report, format: Format, console: &ConsoleSettings) -> io::Result<Vec<u8>> {
    let evidence = evidence_folder(report);
    let run = run(report, &evidence);
    let text = match format {
        Format::Console => return printed(&run, console, &evidence),
        // As it is: nothing is left out, and nothing to be said.
        Format::Json => Ok(serde_json::to_string_pretty(report)? + "\n"),
        Format::Junit => junit::render(&run, &evidence),
        Format::Markdown => markdown::render(&run, &evidence),
        Format::Html => html::render(&run, &evidence),
        Format::Sarif => sarif::render(&run, &evidence),
        Format::Tap => tap::render(&run, &evidence),
        Format::Github => github::render(&run, &evidence),
        Format::OpenMetrics => openmetrics::render(&run, &evidence),
    };
    text.map(String::into_bytes)
}

/// What the console says of a run.
fn printed(run: &Run, settings: &ConsoleSettings, evidence: &Path) -> io::Result<Vec<u8>> {
    let printed = Printed::default();
    let out = Tee {
        inner: io::sink(),
        printed: printed.clone(),
    };
    let settings = ConsoleSettings {
        // Nothing is under way.
        stderr_terminal: false,
        ..settings.clone()
    };
    let mut console = Console::new(out, settings, RunFolder::of_evidence(evidence));
    console.event(&Event::RunStarted(run.info.clone()))?;
    for scenario in &run.scenarios {
        console.event(&Event::ScenarioFinished(scenario.clone()))?;
    }
    console.event(&Event::RunFinished(run.result.clone()))?;
    console.finish()?;
    Ok(printed.take())
}

/// The folder of evidence that the paths in the report are of.
fn evidence_folder(report: &Report) -> PathBuf {
    let mut paths = report.scenarios.iter().flat_map(|scenario| &scenario.evidence);
    let folder = paths.next().and_then(|path| path.parent()?.parent());
    let folder = folder.filter(|folder| folder.ends_with(EVIDENCE));
    folder.unwrap_or(Path::new(EVIDENCE)).to_owned()
}

fn run(report: &Report, evidence: &Path) -> Run {
    let totals = &report.summary;
    let mut notes = report.notes.clone();
    notes.push(LESS.to_owned());
    Run {
        info: Arc::new(RunInfo {
            version: report.tool.version.clone(),
            commit: report.tool.commit.clone(),
            started: report.started.clone(),
            seed: report.seed,
            target: report.target.clone(),
            selection: report.selection.clone(),
            level: report.level.clone(),
            profile_digest: report.profile_digest.clone(),
            mutants: report.mutants.clone(),
            scenarios: report.scenarios.len().saturating_add(totals.not_started),
        }),
        scenarios: report
            .scenarios
            .iter()
            .map(|scenario| Arc::new(result(scenario, evidence)))
            .collect(),
        result: Arc::new(RunResult {
            summary: Summary {
                pass: totals.pass,
                fail: totals.fail,
                error: totals.error,
                interrupted: totals.interrupted,
                not_started: totals.not_started,
                skip: totals.skip,
                expected: totals.expected,
                flaky: totals.flaky,
            },
            verdict: totals.verdict,
            duration: duration(totals.duration_ms),
            notes,
        }),
    }
}

fn result(scenario: &Scenario, evidence: &Path) -> ScenarioResult {
    let mut result = ScenarioResult {
        run: RunOf {
            id: scenario.id.clone(),
            parameters: scenario.parameters.clone().into_iter().collect(),
            repetition: scenario.repetition,
        },
        title: scenario.title.clone(),
        spec: scenario.spec.clone(),
        at: scenario.at.as_ref().map(at),
        level: scenario.level,
        verdict: scenario.verdict,
        reason: scenario.reason.clone(),
        interrupted: scenario.interrupted,
        duration: duration(scenario.duration_ms),
        attaches: Vec::new(),
        checks: scenario.checks.iter().map(check).collect(),
        facts: scenario.facts.iter().map(fact).collect(),
        evidence: scenario.evidence.iter().map(|path| named(path)).collect(),
        reproduce: scenario.reproduce.clone(),
        expected_failure: scenario.expected_failure.clone(),
        // The reason has it.
        expired_expectation: None,
        flaky: scenario.flaky,
    };
    let paths = evidence_paths(evidence, &result);
    for ((evidence, path), told) in result.evidence.iter_mut().zip(paths).zip(&scenario.evidence) {
        if path != *told {
            // A format that names a file of the run's folder would name another one.
            evidence.title = told.display().to_string();
        }
    }
    result
}

fn named(path: &Path) -> Evidence {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    Evidence {
        title: name.clone(),
        file_name: name,
        text: ELSEWHERE.to_owned(),
    }
}

fn check(check: &Check) -> CheckResult {
    CheckResult {
        id: check.id.clone(),
        kind: match check.kind {
            Kind::Check => ExpectationKind::Check,
            Kind::Given => ExpectationKind::Given,
            Kind::Needs => ExpectationKind::Needs,
            Kind::Fact => ExpectationKind::Fact,
        },
        verdict: check.verdict,
        what: check.what.clone(),
        expected: check.expected.clone(),
        got: check.got.clone(),
        reason: check.reason.clone(),
        at: at(&check.at),
    }
}

fn fact(fact: &Fact) -> FactResult {
    FactResult {
        name: fact.name.clone(),
        value: fact.value.clone(),
        at: at(&fact.at),
    }
}

fn at(position: &Position) -> At {
    At {
        file: position.file.clone(),
        line: position.line,
        column: position.column,
        text: String::new(),
        before: Vec::new(),
    }
}

/// None where the report has nonsense: somebody may have written it by hand.
fn duration(milliseconds: f64) -> Duration {
    Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::file::written;
    use crate::report::{json, sample};

    fn report() -> Report {
        serde_json::from_str(&written(json::render, &sample::failing())).unwrap()
    }

    fn shown(report: &Report, format: Format) -> String {
        String::from_utf8(show(report, format, &ConsoleSettings::default()).unwrap()).unwrap()
    }

    #[test]
    fn json_is_the_same_again() {
        assert_eq!(
            shown(&report(), Format::Json),
            written(json::render, &sample::failing())
        );
    }

    #[test]
    fn each_format_has_what_it_would_have_had_of_the_run() {
        let report = report();
        assert_eq!(
            shown(&report, Format::OpenMetrics),
            written(openmetrics::render, &sample::failing())
        );
        assert_eq!(
            shown(&report, Format::Github),
            written(github::render, &sample::failing())
        );
        // Less the evidence, and with a note that says so.
        for format in [
            Format::Console,
            Format::Junit,
            Format::Markdown,
            Format::Html,
            Format::Tap,
        ] {
            let text = shown(&report, format);
            assert!(text.contains("attach old (warm-7xk2p)"), "{format:?}: {text}");
            assert!(
                text.contains("harness-token__warm__stale/wire.txt"),
                "{format:?}: {text}"
            );
            assert!(!text.contains("Host: 10.0.0.7"), "{format:?}: {text}");
            let words = text.replace('\n', " ");
            let words: Vec<&str> = words.split_whitespace().collect();
            assert!(
                words.join(" ").contains("evidence is named by its path"),
                "{format:?}: {text}"
            );
        }
        assert!(shown(&report, Format::Sarif).contains("\"ruleId\": \"harness-token/warm/stale\""));
    }

    #[test]
    fn evidence_that_lies_elsewhere_is_named_where_it_lies() {
        let mut report = report();
        let stale = report.scenarios.last_mut().unwrap();
        stale.evidence = vec!["/var/else/where.txt".into()];
        assert!(shown(&report, Format::Markdown).contains("/var/else/where.txt"));
    }

    #[test]
    fn nonsense_is_no_panic() {
        let mut report = report();
        report.summary.duration_ms = -1.0;
        report.summary.not_started = usize::MAX;
        for scenario in &mut report.scenarios {
            scenario.duration_ms = f64::INFINITY;
            scenario.evidence = vec!["".into(), "/".into(), "..".into()];
            scenario.checks.iter_mut().for_each(|check| check.at.column = 0);
        }
        for format in Format::ALL {
            shown(&report, format);
        }
    }
}
