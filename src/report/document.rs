//! The JSON report: its types, and reading one back.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::collect::Run;
use super::evidence::evidence_paths;
use super::words;
use crate::events::seed::LARGEST;
use crate::events::{At, CheckResult, FactResult, Flaky, RunVerdict, ScenarioResult, Verdict};
use crate::file_input;
use crate::vocabulary::{ExpectationKind, Level};

/// The version of the report's shape.
pub const API_VERSION: &str = "gauntlet/v1";

/// What kind of document it is.
pub const KIND: &str = "Report";

/// What ran, on what, and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "gauntlet report")]
pub struct Report {
    /// `gauntlet/v1`. What is added later doesn't change it.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// `Report`.
    pub kind: String,
    pub tool: Tool,
    /// RFC 3339.
    pub started: String,
    /// What random choices were made from; the same seed makes the same ones.
    #[schemars(range(max = LARGEST))]
    pub seed: u64,
    pub target: String,
    /// The selectors as given.
    pub selection: Vec<String>,
    /// `core`, `extended` or `all`.
    pub level: String,
    /// SHA-256 of the profile, hexadecimal; null without a profile.
    pub profile_digest: Option<String>,
    /// Defects that the reference platform was given on purpose, by `--mutant`.
    #[serde(default)]
    pub mutants: Vec<String>,
    pub summary: Totals,
    /// By name.
    pub scenarios: Vec<Scenario>,
    /// What a reader should know of the run as a whole.
    pub notes: Vec<String>,
}

/// What made the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    pub version: String,
    /// Of its source; null where that isn't known.
    pub commit: Option<String>,
}

/// Counts of scenario runs, and the verdict on the whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    pub pass: usize,
    pub fail: usize,
    pub error: usize,
    /// Stopped on their way when the run was interrupted; not in `error`, though that is their verdict.
    #[serde(default)]
    pub interrupted: usize,
    /// Planned, but never begun; not among `scenarios`.
    #[serde(default)]
    pub not_started: usize,
    pub skip: usize,
    /// Failures that the file of expected failures names; not in `fail`.
    pub expected: usize,
    /// Passed only when they were tried again, by `--retries`; in no other count.
    #[serde(default)]
    pub flaky: usize,
    pub verdict: RunVerdict,
    pub duration_ms: f64,
}

/// One run of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scenario {
    /// The scenario's id.
    pub id: String,
    /// The id with the parameters' values and the repetition; names this run.
    pub name: String,
    /// The values of its matrix.
    pub parameters: IndexMap<String, String>,
    /// From 1; null without `--repeat`.
    pub repetition: Option<u32>,
    pub level: Level,
    pub verdict: Verdict,
    /// Why it was skipped, could not be told, or failed, in a sentence.
    pub reason: Option<String>,
    /// Whether it was stopped on its way: its verdict is `error` then.
    #[serde(default)]
    pub interrupted: bool,
    /// Why it is expected to fail; null where it isn't.
    pub expected_failure: Option<String>,
    /// Null unless it passed when it was tried again, by `--retries`: all else is of the first attempt.
    #[serde(default)]
    pub flaky: Option<Flaky>,
    pub duration_ms: f64,
    /// The source and clause, or the standard and section, that the rule comes from.
    pub spec: String,
    pub title: String,
    /// Where the scenario begins in its file.
    #[serde(default)]
    pub at: Option<Position>,
    pub checks: Vec<Check>,
    pub facts: Vec<Fact>,
    /// Paths of the files that the verdict rests on.
    pub evidence: Vec<PathBuf>,
    /// Commands to see it again, secrets as `$NAME`.
    pub reproduce: Vec<String>,
}

/// One expectation, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// The run's name, `#` and the number of the step and of its expectation.
    pub id: String,
    pub verdict: Verdict,
    pub kind: Kind,
    /// What the step did.
    pub what: String,
    pub expected: String,
    pub got: String,
    /// Why it was skipped or could not be told.
    pub reason: Option<String>,
    pub at: Position,
}

/// What it means when an expectation doesn't hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The platform is wrong.
    Check,
    /// The scene could not be set.
    Given,
    /// The scenario can't run here.
    Needs,
    /// Nothing: it is only reported.
    Fact,
}

/// Something observed and reported without a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// The policy's or field's name.
    pub name: String,
    pub value: Value,
    pub at: Position,
}

/// A place in a scenario file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl Report {
    pub(super) fn new(run: &Run, evidence: &Path) -> Report {
        let Run {
            info,
            scenarios,
            result,
        } = run;
        let summary = result.summary;
        Report {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            tool: Tool {
                version: info.version.clone(),
                commit: info.commit.clone(),
            },
            started: info.started.clone(),
            seed: info.seed,
            target: info.target.clone(),
            selection: info.selection.clone(),
            level: info.level.clone(),
            profile_digest: info.profile_digest.clone(),
            mutants: info.mutants.clone(),
            summary: Totals {
                pass: summary.pass,
                fail: summary.fail,
                error: summary.error,
                interrupted: summary.interrupted,
                not_started: summary.not_started,
                skip: summary.skip,
                expected: summary.expected,
                flaky: summary.flaky,
                verdict: result.verdict,
                duration_ms: millis(result.duration),
            },
            scenarios: scenarios.iter().map(|s| Scenario::new(s, evidence)).collect(),
            notes: result.notes.clone(),
        }
    }

    /// The report at `path`, of a run that is over.
    pub fn read(path: &Path) -> Result<Report, ReadError> {
        let text = file_input::read_text(path, file_input::OWN).map_err(|refusal| ReadError::Unreadable {
            path: path.to_owned(),
            why: refusal.in_a_line(),
        })?;
        Report::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Report, ReadError> {
        let foreign = |why: String| ReadError::Foreign {
            path: path.to_owned(),
            why,
        };
        let value: Value = serde_json::from_str(text).map_err(|error| match text.trim_start() {
            "" => foreign("it is empty".to_owned()),
            xml if xml.starts_with('<') => foreign("it looks like XML; take the `json` report, not `junit`".to_owned()),
            _ => foreign(format!("it is not JSON: {error}")),
        })?;
        let field = |name: &str| value.get(name).and_then(Value::as_str);
        match (field("apiVersion"), field("kind")) {
            (Some(API_VERSION), Some(KIND)) => {}
            (Some(API_VERSION), Some(kind)) => {
                return Err(foreign(format!("its kind is {kind}, not {KIND}")));
            }
            (Some(other), _) if other.starts_with("gauntlet/") => {
                return Err(foreign(format!("it is of {other}, this gauntlet reads {API_VERSION}")));
            }
            _ => return Err(foreign(format!("it has no `apiVersion: {API_VERSION}`"))),
        }
        // From the text again, for the line in the message.
        serde_json::from_str(text).map_err(|error| foreign(error.to_string()))
    }

    /// Names of the runs that failed or could not be told, in order: what
    /// `--rerun-failed` runs. Expected failures are not among them.
    pub fn failed(&self) -> Vec<&str> {
        self.scenarios
            .iter()
            .filter(|s| match s.verdict {
                _ if s.flaky.is_some_and(|flaky| flaky.tolerated) => false,
                Verdict::Fail => s.expected_failure.is_none(),
                Verdict::Error => true,
                Verdict::Pass => s.expected_failure.is_some(),
                Verdict::Skip => false,
            })
            .map(|s| s.name.as_str())
            .collect()
    }
}

/// Why a file can't be read as a report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read the report {}: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("{} isn't a JSON report of gauntlet: {why}", path.display())]
    Foreign { path: PathBuf, why: String },
}

impl Scenario {
    fn new(result: &ScenarioResult, evidence: &Path) -> Scenario {
        Scenario {
            id: result.run.id.clone(),
            name: result.run.to_string(),
            parameters: result.run.parameters.iter().cloned().collect(),
            repetition: result.run.repetition,
            level: result.level,
            verdict: result.verdict,
            reason: words::reason(result),
            interrupted: result.interrupted,
            expected_failure: result.expected_failure.clone(),
            flaky: result.flaky,
            duration_ms: millis(result.duration),
            spec: result.spec.clone(),
            title: result.title.clone(),
            at: result.at.as_ref().map(Position::new),
            checks: result.checks.iter().map(Check::new).collect(),
            facts: result.facts.iter().map(Fact::new).collect(),
            // JSON is text: of a name that is none it has what can be shown.
            evidence: evidence_paths(evidence, result)
                .into_iter()
                .map(|path| path.to_string_lossy().into_owned().into())
                .collect(),
            reproduce: result.reproduce.clone(),
        }
    }
}

impl Check {
    fn new(check: &CheckResult) -> Check {
        Check {
            id: check.id.clone(),
            verdict: check.verdict,
            kind: match check.kind {
                ExpectationKind::Check => Kind::Check,
                ExpectationKind::Given => Kind::Given,
                ExpectationKind::Needs => Kind::Needs,
                ExpectationKind::Fact => Kind::Fact,
            },
            what: check.what.clone(),
            expected: check.expected.clone(),
            got: check.got.clone(),
            reason: check.reason.clone(),
            at: Position::new(&check.at),
        }
    }
}

impl Fact {
    fn new(fact: &FactResult) -> Fact {
        Fact {
            name: fact.name.clone(),
            value: fact.value.clone(),
            at: Position::new(&fact.at),
        }
    }
}

impl Position {
    fn new(at: &At) -> Position {
        Position {
            file: at.file.clone(),
            line: at.line,
            column: at.column,
        }
    }
}

/// To the microsecond.
fn millis(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The JSON Schema of [`Report`], as it lies in `docs/report.schema.json`.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Report);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON, with strings for all keys");
    text.push('\n');
    text
}
