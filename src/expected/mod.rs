//! Expected failures: what is known to be wrong, why, and until when that may be so.

mod pattern;

use std::sync::{Arc, LazyLock};

use jiff::civil::Date;
use serde_json::{Value, json};

use crate::events::{ScenarioResult, Verdict};
use crate::scenario::Scenario;
use crate::yaml::checker::Checker;
use crate::yaml::node::{self, Kind, Node};
use crate::yaml::problem::Problem;
use crate::yaml::{Source, Span, shape};

use pattern::Pattern;

static SCHEMA: LazyLock<shape::Schema> = LazyLock::new(|| shape::Schema::new(schema()));

/// A file of expected failures.
#[derive(Clone, Debug, Default)]
pub struct ExpectedFailures {
    entries: Vec<Entry>,
}

/// One of them.
#[derive(Clone, Debug)]
struct Entry {
    pattern: Pattern,
    reason: String,
    /// The last day on which it counts.
    expires: Date,
    source: Arc<Source>,
    /// Where `scenario` stands.
    span: Span,
}

/// What counts on a day.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    failures: ExpectedFailures,
    today: Date,
}

impl ExpectedFailures {
    /// Reads a file, or returns all its problems.
    pub fn parse(source: &Arc<Source>) -> Result<ExpectedFailures, Vec<Problem>> {
        let (root, problems) = node::read(source);
        let mut checker = Checker::new(source);
        checker.problems = problems;
        let failures = root.map(|root| read(&root, &mut checker));
        match failures {
            Some(failures) if checker.problems.is_empty() => Ok(failures),
            _ => {
                checker.problems.sort_by_key(|problem| problem.span.start);
                Err(checker.problems)
            }
        }
    }

    /// Entries that match no scenario: a misspelt one would silently cover nothing.
    pub fn unknown(&self, scenarios: &[Scenario]) -> Vec<Problem> {
        self.entries
            .iter()
            .filter_map(|entry| Some((entry, entry.pattern.unknown(scenarios)?)))
            .map(|(entry, (message, help))| {
                let problem = Problem::new(&entry.source, entry.span, message);
                match help {
                    Some(help) => problem.with_help(help),
                    None => problem,
                }
            })
            .collect()
    }

    /// What counts on this day. An entry counts up to and on the day on which it expires.
    pub fn on(self, today: Date) -> Expected {
        Expected { failures: self, today }
    }
}

impl Expected {
    /// Says in a result whether it was expected. An `error` never is: what could not be told is
    /// not known to be the failure that the file means.
    pub fn apply(&self, result: &mut ScenarioResult) {
        let matching = || {
            self.failures
                .entries
                .iter()
                .filter(|entry| entry.pattern.is_match(&result.run))
        };
        let live = matching().find(|entry| entry.expires >= self.today);
        match (result.verdict, live) {
            (Verdict::Fail | Verdict::Pass, Some(entry)) => result.expected_failure = Some(entry.reason.clone()),
            (Verdict::Fail, None) => {
                let last = matching().max_by_key(|entry| entry.expires);
                result.expired_expectation = last.map(|entry| {
                    format!(
                        "it was expected to fail until {} ({}); that day is over, so the failure counts: {}",
                        entry.expires,
                        entry.reason,
                        entry.span.place(&entry.source)
                    )
                });
            }
            _ => {}
        }
    }
}

/// Whether a file is one of expected failures, as far as its top says.
pub fn is_expected_failures(source: &Source) -> bool {
    source
        .text
        .lines()
        .any(|line| line.trim_end() == "kind: ExpectedFailures")
}

fn read(root: &Node, checker: &mut Checker) -> ExpectedFailures {
    shape::check(&SCHEMA, &SCHEMA, root, "a file of expected failures", checker);
    let mut entries: Vec<Entry> = Vec::new();
    let items = match root.get("failures").map(|node| &node.kind) {
        Some(Kind::List(items)) => items.as_slice(),
        _ => &[],
    };
    for item in items {
        // What is missing or of another type was reported with the shape.
        let text = |key: &str| item.get(key).and_then(|node| Some((node.as_text()?, node.span)));
        let pattern = text("scenario").and_then(|(text, span)| match Pattern::parse(text) {
            Ok(pattern) => Some((pattern, span)),
            Err(wrong) => {
                checker.report(span, wrong.to_string());
                None
            }
        });
        if let Some((_, span)) = text("reason").filter(|(text, _)| text.trim().is_empty()) {
            checker.report(
                span,
                "`reason` must not be empty: say what is wrong, and where it is tracked",
            );
        }
        let expires = text("expires").and_then(|(text, span)| match (is_day(text), text.parse::<Date>()) {
            (true, Ok(day)) => Some(day),
            // Another form was reported with the shape.
            (false, _) => None,
            (true, Err(_)) => {
                checker.report(span, format!("there is no day `{text}`"));
                None
            }
        });
        let (Some((pattern, span)), Some((reason, _)), Some(expires)) = (pattern, text("reason"), expires) else {
            continue;
        };
        if let Some(first) = entries.iter().find(|entry| entry.pattern.text == pattern.text) {
            let message = format!("`{}` is listed twice", pattern.text);
            let problem = Problem::new(&checker.source, span, message);
            let problem = problem.with_related(&checker.source, first.span, "first here");
            checker.problems.push(problem);
        }
        entries.push(Entry {
            pattern,
            reason: reason.to_owned(),
            expires,
            source: checker.source.clone(),
            span,
        });
    }
    ExpectedFailures { entries }
}

/// Whether a text can be of the schema's form. jiff reads other forms as well.
fn is_day(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// The JSON Schema of a file of expected failures.
pub fn schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Expected failures of gauntlet",
        "type": "object",
        "required": ["apiVersion", "kind", "failures"],
        "properties": {
            "apiVersion": { "const": "gauntlet/v1" },
            "kind": { "const": "ExpectedFailures" },
            "failures": {
                "type": "array",
                "description": "Known failures. A run also fails if one of them passes.",
                "items": {
                    "type": "object",
                    "required": ["scenario", "reason", "expires"],
                    "properties": {
                        "scenario": {
                            "type": "string",
                            "description": "an id, an id with a case of its matrix as `a/b/c[proxy]`, or a glob",
                        },
                        "reason": {
                            "type": "string",
                            "description": "what is wrong, and where it is tracked",
                        },
                        "expires": {
                            "type": "string",
                            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
                            "patternErrorMessage": "A day is written as 2026-12-31.",
                            "description": "the last day (UTC) on which it counts, as 2026-12-31",
                        },
                    },
                    "additionalProperties": false,
                },
            },
        },
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::events::RunOf;
    use crate::vocabulary::Level;

    fn file(entries: &[[&str; 3]]) -> ExpectedFailures {
        let entries = entries.iter().map(|[scenario, reason, expires]| {
            format!("  - {{ scenario: \"{scenario}\", reason: {reason}, expires: {expires} }}\n")
        });
        let head = "apiVersion: gauntlet/v1\nkind: ExpectedFailures\nfailures:\n";
        let source = Source::new("known.yaml", format!("{head}{}", entries.collect::<String>()));
        ExpectedFailures::parse(&source).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn result(id: &str, case: &[&str], verdict: Verdict) -> ScenarioResult {
        let parameters = case.iter().map(|value| ("road".to_owned(), (*value).to_owned()));
        ScenarioResult {
            run: RunOf {
                id: id.to_owned(),
                parameters: parameters.collect(),
                repetition: Some(2),
            },
            title: String::new(),
            spec: String::new(),
            at: None,
            level: Level::Core,
            verdict,
            interrupted: false,
            reason: None,
            duration: Duration::ZERO,
            attaches: Vec::new(),
            checks: Vec::new(),
            facts: Vec::new(),
            evidence: Vec::new(),
            reproduce: Vec::new(),
            expected_failure: None,
            expired_expectation: None,
            flaky: None,
        }
    }

    fn applied(failures: &ExpectedFailures, today: &str, mut result: ScenarioResult) -> ScenarioResult {
        let today = today.parse().expect("a day");
        failures.clone().on(today).apply(&mut result);
        result
    }

    #[test]
    fn the_last_day_counts_and_the_next_does_not() {
        let failures = file(&[["a/b/c", "a bug", "2026-02-28"]]);
        let on = |today| applied(&failures, today, result("a/b/c", &["proxy"], Verdict::Fail));
        let before = on("2026-02-28");
        assert_eq!(before.expected_failure.as_deref(), Some("a bug"));
        assert_eq!(before.expired_expectation, None);
        let after = on("2026-03-01");
        assert_eq!(after.expected_failure, None);
        assert_eq!(
            after.expired_expectation.as_deref(),
            Some(
                "it was expected to fail until 2026-02-28 (a bug); that day is over, so the failure counts: \
                 known.yaml:4:17"
            )
        );
        // A pass needs no word about what was expected once.
        let passed = applied(&failures, "2026-03-01", result("a/b/c", &[], Verdict::Pass));
        assert_eq!((passed.expected_failure, passed.expired_expectation), (None, None));
    }

    #[test]
    fn what_can_be_expected() {
        let failures = file(&[["a/b/c", "a bug", "2026-02-28"]]);
        let of = |verdict| applied(&failures, "2026-01-01", result("a/b/c", &[], verdict)).expected_failure;
        assert!(of(Verdict::Fail).is_some());
        assert!(of(Verdict::Pass).is_some(), "a pass that was not expected");
        assert!(of(Verdict::Error).is_none());
        assert!(of(Verdict::Skip).is_none());
    }

    #[test]
    fn patterns() {
        let covers = |pattern: &str, id: &str, case: &[&str]| {
            let failures = file(&[[pattern, "a bug", "9999-12-31"]]);
            let applied = applied(&failures, "2026-01-01", result(id, case, Verdict::Fail));
            applied.expected_failure.is_some()
        };
        assert!(covers("a/b/c", "a/b/c", &["proxy"]));
        assert!(!covers("a/b", "a/b/c", &[]));
        assert!(covers("a/b/c[proxy]", "a/b/c", &["proxy"]));
        assert!(!covers("a/b/c[proxy]", "a/b/c", &["direct"]));
        assert!(covers("a/b/c[proxy,first]", "a/b/c", &["proxy", "first"]));
        assert!(covers("a/*/c[proxy]", "a/b/c", &["proxy"]));
        assert!(covers("a/**", "a/b/c/d", &["proxy"]));
        assert!(covers("a/[bx]/{c,d}", "a/b/d", &[]));
    }

    #[test]
    fn a_live_entry_goes_before_an_expired_one() {
        let failures = file(&[["a/b/c", "old", "2026-01-01"], ["a/**", "new", "2026-12-31"]]);
        let applied = applied(&failures, "2026-06-01", result("a/b/c", &[], Verdict::Fail));
        assert_eq!(applied.expected_failure.as_deref(), Some("new"));
    }
}
