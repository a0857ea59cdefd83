//! Expected failures: what is known to be wrong, why, and until when that may be so.

use std::sync::{Arc, LazyLock};

use globset::{Glob, GlobMatcher};
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::runner::events::{RunOf, ScenarioResult, Verdict};
use crate::scenario::checker::Checker;
use crate::scenario::node::{self, Kind, Node};
use crate::scenario::problem::{Problem, nearest};
use crate::scenario::{Scenario, Source, Span, shape};

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

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

/// Which runs of which scenarios: `a/b/c`, `a/b/c[proxy]`, `a/*/c[proxy]`.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    id: Id,
    /// The values of the matrix; none for all of them.
    case: Option<String>,
}

#[derive(Clone, Debug)]
enum Id {
    Exact(String),
    Glob(GlobMatcher),
}

/// What counts on a day.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    failures: ExpectedFailures,
    today: Date,
}

impl ExpectedFailures {
    /// Reads a file; all that is wrong with it otherwise.
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

    /// What names none of the scenarios: a misspelt entry would cover nothing, and nobody would know.
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
                checker.report(span, wrong);
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

impl Pattern {
    /// What stands in brackets at the end is a case of the matrix, never a class of characters.
    fn parse(text: &str) -> Result<Pattern, String> {
        let (id, case) = match text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
            Some((id, case)) => (id, Some(case.to_owned())),
            None => (text, None),
        };
        if id.is_empty() {
            return Err("`scenario` is an id, an id with a case as `a/b/c[proxy]`, or a glob".to_owned());
        }
        let matcher = match id.contains(['*', '?', '[', '{']) {
            false => Id::Exact(id.to_owned()),
            true => {
                let glob = Glob::new(id).map_err(|error| format!("`{id}` is no pattern: {}", error.kind()))?;
                Id::Glob(glob.compile_matcher())
            }
        };
        Ok(Pattern {
            text: text.to_owned(),
            id: matcher,
            case,
        })
    }

    fn is_id(&self, id: &str) -> bool {
        match &self.id {
            Id::Exact(exact) => exact == id,
            Id::Glob(glob) => glob.is_match(id),
        }
    }

    fn is_match(&self, run: &RunOf) -> bool {
        let case = || {
            let values: Vec<&str> = run.parameters.iter().map(|(_, value)| value.as_str()).collect();
            values.join(",")
        };
        self.is_id(&run.id) && self.case.as_ref().is_none_or(|wanted| *wanted == case())
    }

    /// What to say, and what to do, where no scenario has such a run.
    fn unknown(&self, scenarios: &[Scenario]) -> Option<(String, Option<String>)> {
        let matched: Vec<&Scenario> = scenarios.iter().filter(|scenario| self.is_id(&scenario.id)).collect();
        if matched.is_empty() {
            let ids = || scenarios.iter().map(|scenario| scenario.id.as_str());
            return Some(match &self.id {
                Id::Glob(_) => (format!("`{}` matches no scenario", self.text), None),
                Id::Exact(id) => {
                    let below = format!("{}/", id.trim_end_matches('/'));
                    let help = match nearest(id, ids()) {
                        Some(near) => Some(format!("did you mean `{near}`?")),
                        None if ids().any(|known| known.starts_with(&below)) => {
                            Some(format!("for all below it: `{below}**`"))
                        }
                        None => None,
                    };
                    (format!("there is no scenario `{id}`"), help)
                }
            });
        }
        let case = self.case.as_ref()?;
        let mut cases: Vec<String> = matched.iter().flat_map(|scenario| scenario.cases()).collect();
        if cases.contains(case) {
            return None;
        }
        cases.retain(|case| !case.is_empty());
        cases.sort();
        cases.dedup();
        let message = match matched.as_slice() {
            [scenario] => format!("`{}` has no case `{case}`", scenario.id),
            _ => format!(
                "none of the scenarios that `{}` matches has the case `{case}`",
                self.text
            ),
        };
        let help = match (cases.as_slice(), nearest(case, cases.iter().map(String::as_str))) {
            ([], _) => "it has no matrix: leave the brackets out".to_owned(),
            (_, Some(near)) => format!("did you mean `{near}`?"),
            (known, None) => format!("its cases: {}", known.join(" and ")),
        };
        Some((message, Some(help)))
    }
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
                "description": "What is known to fail. A run fails also where one of these passes.",
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
