//! Events without secrets, whoever made them.

use std::sync::Arc;

use crate::redact::Redactor;
use crate::runner::events::{At, CheckResult, Event, Evidence, FactResult, RunInfo, RunOf, RunResult, ScenarioResult};

/// The event with all its texts redacted. Ids stay: they are the scenario files' own.
pub(super) fn event(redactor: &Redactor, event: &Event) -> Event {
    let r = R(redactor);
    match event {
        Event::RunStarted(info) => Event::RunStarted(Arc::new(RunInfo {
            target: r.text(&info.target),
            selection: r.texts(&info.selection),
            ..RunInfo::clone(info)
        })),
        Event::ScenarioStarted(run) => Event::ScenarioStarted(r.run(run)),
        Event::StepStarted { run, number, of, what } => Event::StepStarted {
            run: r.run(run),
            number: *number,
            of: *of,
            what: r.text(what),
        },
        Event::ScenarioFinished(result) => Event::ScenarioFinished(Arc::new(r.scenario(result))),
        Event::RunFinished(result) => Event::RunFinished(Arc::new(RunResult {
            notes: r.texts(&result.notes),
            ..RunResult::clone(result)
        })),
    }
}

struct R<'r>(&'r Redactor);

impl R<'_> {
    fn text(&self, text: &str) -> String {
        self.0.redact(text).into_owned()
    }

    fn maybe(&self, text: &Option<String>) -> Option<String> {
        text.as_deref().map(|t| self.text(t))
    }

    fn texts(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|t| self.text(t)).collect()
    }

    fn run(&self, run: &RunOf) -> RunOf {
        RunOf {
            id: run.id.clone(),
            parameters: run
                .parameters
                .iter()
                .map(|(name, value)| (name.clone(), self.text(value)))
                .collect(),
            repetition: run.repetition,
        }
    }

    fn at(&self, at: &At) -> At {
        At {
            file: at.file.clone(),
            line: at.line,
            column: at.column,
            text: self.text(&at.text),
        }
    }

    fn check(&self, check: &CheckResult) -> CheckResult {
        CheckResult {
            id: self.text(&check.id),
            kind: check.kind,
            verdict: check.verdict,
            what: self.text(&check.what),
            expected: self.text(&check.expected),
            got: self.text(&check.got),
            reason: self.maybe(&check.reason),
            at: self.at(&check.at),
        }
    }

    fn scenario(&self, result: &ScenarioResult) -> ScenarioResult {
        ScenarioResult {
            run: self.run(&result.run),
            title: self.text(&result.title),
            spec: self.text(&result.spec),
            level: result.level,
            verdict: result.verdict,
            reason: self.maybe(&result.reason),
            interrupted: result.interrupted,
            duration: result.duration,
            checks: result.checks.iter().map(|c| self.check(c)).collect(),
            facts: result
                .facts
                .iter()
                .map(|fact| FactResult {
                    name: self.text(&fact.name),
                    value: self.0.redact_json(&fact.value),
                    at: self.at(&fact.at),
                })
                .collect(),
            evidence: result
                .evidence
                .iter()
                .map(|evidence| Evidence {
                    title: self.text(&evidence.title),
                    file_name: self.text(&evidence.file_name),
                    text: self.text(&evidence.text),
                })
                .collect(),
            reproduce: self.texts(&result.reproduce),
            expected_failure: self.maybe(&result.expected_failure),
            expired_expectation: self.maybe(&result.expired_expectation),
        }
    }
}
