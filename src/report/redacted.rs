//! Redacts secrets from every event.
//!
//! Each type is taken apart by name, field by field: one that gets a field doesn't compile here until
//! it is said what becomes of it.

use std::sync::Arc;

use crate::events::{At, CheckResult, Event, Evidence, FactResult, RunInfo, RunOf, RunResult, ScenarioResult, Summary};
use crate::redact::Redactor;

/// The event with all its texts redacted.
pub(super) fn event(redactor: &Redactor, event: &Event) -> Event {
    let r = R(redactor);
    match event {
        Event::RunStarted(info) => Event::RunStarted(Arc::new(r.info(info))),
        Event::ScenarioStarted(run) => Event::ScenarioStarted(r.run(run)),
        Event::StepStarted { run, number, of, what } => Event::StepStarted {
            run: r.run(run),
            number: *number,
            of: *of,
            what: r.text(what),
        },
        Event::ScenarioFinished(result) => Event::ScenarioFinished(Arc::new(r.scenario(result))),
        Event::RunFinished(result) => Event::RunFinished(Arc::new(r.result(result))),
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

    fn info(&self, info: &RunInfo) -> RunInfo {
        let RunInfo {
            version,
            commit,
            started,
            seed,
            target,
            selection,
            level,
            profile_digest,
            mutants,
            scenarios,
        } = info;
        RunInfo {
            version: self.text(version),
            commit: self.maybe(commit),
            started: self.text(started),
            seed: *seed,
            target: self.text(target),
            selection: self.texts(selection),
            level: self.text(level),
            profile_digest: self.maybe(profile_digest),
            mutants: self.texts(mutants),
            scenarios: *scenarios,
        }
    }

    fn run(&self, run: &RunOf) -> RunOf {
        let RunOf {
            id,
            parameters,
            repetition,
        } = run;
        let parameters = parameters.iter();
        RunOf {
            id: self.text(id),
            parameters: parameters
                .map(|(name, value)| (self.text(name), self.text(value)))
                .collect(),
            repetition: *repetition,
        }
    }

    fn at(&self, at: &At) -> At {
        let At {
            file,
            line,
            column,
            text,
            before,
        } = at;
        At {
            file: self.text(file),
            line: *line,
            column: *column,
            text: self.text(text),
            before: self.texts(before),
        }
    }

    fn check(&self, check: &CheckResult) -> CheckResult {
        let CheckResult {
            id,
            kind,
            verdict,
            what,
            expected,
            got,
            reason,
            at,
        } = check;
        CheckResult {
            id: self.text(id),
            kind: *kind,
            verdict: *verdict,
            what: self.text(what),
            expected: self.text(expected),
            got: self.text(got),
            reason: self.maybe(reason),
            at: self.at(at),
        }
    }

    fn fact(&self, fact: &FactResult) -> FactResult {
        let FactResult { name, value, at } = fact;
        FactResult {
            name: self.text(name),
            value: self.0.redact_json(value),
            at: self.at(at),
        }
    }

    fn evidence(&self, evidence: &Evidence) -> Evidence {
        let Evidence { title, file_name, text } = evidence;
        Evidence {
            title: self.text(title),
            file_name: self.text(file_name),
            text: self.text(text),
        }
    }

    fn scenario(&self, result: &ScenarioResult) -> ScenarioResult {
        let ScenarioResult {
            run,
            title,
            spec,
            at,
            level,
            verdict,
            reason,
            interrupted,
            duration,
            attaches,
            checks,
            facts,
            evidence,
            reproduce,
            expected_failure,
            expired_expectation,
            flaky,
        } = result;
        ScenarioResult {
            run: self.run(run),
            title: self.text(title),
            spec: self.text(spec),
            at: at.as_ref().map(|at| self.at(at)),
            level: *level,
            verdict: *verdict,
            reason: self.maybe(reason),
            interrupted: *interrupted,
            duration: *duration,
            attaches: attaches.clone(),
            checks: checks.iter().map(|check| self.check(check)).collect(),
            facts: facts.iter().map(|fact| self.fact(fact)).collect(),
            evidence: evidence.iter().map(|evidence| self.evidence(evidence)).collect(),
            reproduce: self.texts(reproduce),
            expected_failure: self.maybe(expected_failure),
            expired_expectation: self.maybe(expired_expectation),
            flaky: *flaky,
        }
    }

    fn result(&self, result: &RunResult) -> RunResult {
        let RunResult {
            summary,
            verdict,
            duration,
            notes,
        } = result;
        RunResult {
            summary: counts(summary),
            verdict: *verdict,
            duration: *duration,
            notes: self.texts(notes),
        }
    }
}

/// Numbers only, so far.
fn counts(summary: &Summary) -> Summary {
    let Summary {
        pass,
        fail,
        error,
        interrupted,
        not_started,
        skip,
        flaky,
        expected,
    } = *summary;
    Summary {
        pass,
        fail,
        error,
        interrupted,
        not_started,
        skip,
        flaky,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::events::{RunVerdict, Verdict};
    use crate::vocabulary::{ExpectationKind, Level};

    /// An event of each kind, with `secret` in every text that it has.
    fn every(secret: &str) -> [Event; 5] {
        let text = || format!("before {secret} after");
        let run = || RunOf {
            id: text(),
            parameters: vec![(text(), text())],
            repetition: Some(1),
        };
        let at = || At {
            file: text(),
            line: 1,
            column: 1,
            text: text(),
            before: vec![text()],
        };
        let check = CheckResult {
            id: text(),
            kind: ExpectationKind::Check,
            verdict: Verdict::Fail,
            what: text(),
            expected: text(),
            got: text(),
            reason: Some(text()),
            at: at(),
        };
        let fact = FactResult {
            name: text(),
            value: json!({ text(): [text()] }),
            at: at(),
        };
        let evidence = Evidence {
            title: text(),
            file_name: text(),
            text: text(),
        };
        [
            Event::RunStarted(Arc::new(RunInfo {
                version: text(),
                commit: Some(text()),
                started: text(),
                seed: 1,
                target: text(),
                selection: vec![text()],
                level: text(),
                profile_digest: Some(text()),
                mutants: vec![text()],
                scenarios: 1,
            })),
            Event::ScenarioStarted(run()),
            Event::StepStarted {
                run: run(),
                number: 1,
                of: 1,
                what: text(),
            },
            Event::ScenarioFinished(Arc::new(ScenarioResult {
                run: run(),
                title: text(),
                spec: text(),
                at: Some(at()),
                level: Level::Core,
                verdict: Verdict::Fail,
                reason: Some(text()),
                interrupted: false,
                duration: Duration::ZERO,
                attaches: Vec::new(),
                checks: vec![check],
                facts: vec![fact],
                evidence: vec![evidence],
                reproduce: vec![text()],
                expected_failure: Some(text()),
                expired_expectation: Some(text()),
                flaky: None,
            })),
            Event::RunFinished(Arc::new(RunResult {
                summary: Summary::default(),
                verdict: RunVerdict::Failed,
                duration: Duration::ZERO,
                notes: vec![text()],
            })),
        ]
    }

    #[test]
    fn no_text_of_an_event_keeps_a_secret() {
        let redactor = Redactor::new();
        redactor.add("T", "0123456789abcdef").unwrap();
        // Redaction changes the texts and nothing else.
        let without = every("$T");
        for (with, without) in every("0123456789abcdef").iter().zip(&without) {
            assert_eq!(format!("{:?}", event(&redactor, with)), format!("{without:?}"));
        }
    }
}
