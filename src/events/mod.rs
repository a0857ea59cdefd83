//! Events of a run, as reporters receive them. Text in events is redacted.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

pub mod matrix;
pub mod seed;

use crate::vocabulary::{ExpectationKind, Level};

/// A judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Pass,
    /// The platform is wrong.
    Fail,
    /// The harness could not tell.
    Error,
    /// Not judged, with the reason.
    Skip,
}

/// The verdict on a whole run; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunVerdict {
    /// 0: everything selected passed.
    Passed,
    /// 1: a check failed.
    Failed,
    /// 3: the harness could not tell.
    Error,
    /// 4: nothing ran.
    NothingRan,
    /// 5: core scenarios of the selected contracts were skipped.
    Partial,
    /// 130: interrupted and cleaned up.
    Interrupted,
}

/// What a run is, known before it starts.
#[derive(Clone, Debug, Serialize)]
pub struct RunInfo {
    /// Of this tool.
    pub version: String,
    pub commit: Option<String>,
    /// RFC 3339.
    pub started: String,
    pub seed: u64,
    pub target: String,
    /// The selectors as given.
    pub selection: Vec<String>,
    /// `core`, `extended` or `all`.
    pub level: String,
    /// SHA-256 of the profile, hexadecimal; none without `--profile` and `--set`.
    pub profile_digest: Option<String>,
    /// Defects that the reference platform was given.
    pub mutants: Vec<String>,
    /// Scenario runs planned, skips among them.
    pub scenarios: usize,
}

/// Which run of which scenario: a scenario with a matrix or `--repeat` has several.
#[derive(Clone, Debug, Serialize, PartialEq, Eq, Hash)]
pub struct RunOf {
    /// The scenario's id.
    pub id: String,
    /// The values of its matrix: `[("road", "direct")]`.
    pub parameters: Vec<(String, String)>,
    /// From 1, with `--repeat`.
    pub repetition: Option<u32>,
}

impl RunOf {
    /// The values of its matrix: `direct`, or `direct,first` of two variables. Empty without a matrix.
    pub fn values(&self) -> String {
        let values: Vec<&str> = self.parameters.iter().map(|(_, value)| value.as_str()).collect();
        values.join(",")
    }

    /// Its name without the repetition: `harness-token/token/accept[direct]`.
    pub fn case(&self) -> String {
        match self.parameters.is_empty() {
            true => self.id.clone(),
            false => format!("{}[{}]", self.id, self.values()),
        }
    }

    /// The seed that makes this run again when it is run without repetitions, where `seed` is that of
    /// the whole run.
    pub fn seed(&self, seed: u64) -> u64 {
        seed::of_repetition(seed, self.repetition.unwrap_or(1))
    }
}

impl std::fmt::Display for RunOf {
    /// `harness-token/token/accept[direct]`, with `#3` behind it for the third repetition.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.case())?;
        match self.repetition {
            Some(n) => write!(f, "#{n}"),
            None => Ok(()),
        }
    }
}

/// A place in a scenario file.
#[derive(Clone, Debug, Serialize)]
pub struct At {
    /// The path as the user knows it.
    pub file: String,
    pub line: u32,
    pub column: u32,
    /// The text of that line.
    pub text: String,
    /// The lines before it, at most three.
    pub before: Vec<String>,
}

/// How the numbers of steps of `finally` begin.
pub const FINALLY: &str = "finally.";

/// One expectation, judged.
#[derive(Clone, Debug, Serialize)]
pub struct CheckResult {
    /// The scenario run's name, `#` and the number of the step and of its expectation: `…#3.1`; of a
    /// step of `finally` `…#finally.3.1`.
    pub id: String,
    pub kind: ExpectationKind,
    pub verdict: Verdict,
    /// What the step did, in words: `attach session s via proxy`.
    pub what: String,
    /// What was expected, in words.
    pub expected: String,
    /// What was seen, in words.
    pub got: String,
    /// Why it was skipped or could not be told.
    pub reason: Option<String>,
    pub at: At,
}

impl CheckResult {
    /// Whether it is of a step of `finally`.
    pub fn is_of_clean_up(&self) -> bool {
        self.id.rsplit('#').next().is_some_and(|step| step.starts_with(FINALLY))
    }

    /// Why it has its verdict, in a sentence.
    pub fn why(&self) -> String {
        let seen = || format!("{}: expected {}, got {}", self.what, self.expected, self.got);
        self.reason.clone().unwrap_or_else(seen)
    }
}

/// Something observed and reported without a verdict.
#[derive(Clone, Debug, Serialize)]
pub struct FactResult {
    /// What it is about: the policy's or field's name.
    pub name: String,
    pub value: Value,
    pub at: At,
}

/// What a verdict rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// `wire transcript`, `log of pod x`, `events`, `object Pod/x`.
    pub title: String,
    /// A file name for it: `wire.txt`, `pod-x.log`, `pods.yaml`.
    pub file_name: String,
    pub text: String,
}

/// How one run of a scenario ended.
#[derive(Clone, Debug, Serialize)]
pub struct ScenarioResult {
    pub run: RunOf,
    pub title: String,
    pub spec: String,
    /// Where the scenario begins in its file; none where a report of an earlier version is shown.
    pub at: Option<At>,
    pub level: Level,
    pub verdict: Verdict,
    /// Why it was skipped, could not be told, or failed, in a sentence.
    pub reason: Option<String>,
    /// It was stopped on its way, as the whole run was: an `error` that is nobody's fault.
    pub interrupted: bool,
    pub duration: Duration,
    /// How long attaches took that opened, each from its connection to the 101; empty in a report that is shown.
    pub attaches: Vec<Duration>,
    pub checks: Vec<CheckResult>,
    pub facts: Vec<FactResult>,
    /// Taken at the moment of failure; empty for a pass.
    pub evidence: Vec<Evidence>,
    /// Commands that a person can paste to see the failure again, secrets as `$NAME`.
    pub reproduce: Vec<String>,
    /// An expected failure: the reason from the file of expected failures.
    pub expected_failure: Option<String>,
    /// A failure that was expected until a day that is over: what to say of that.
    pub expired_expectation: Option<String>,
    /// It passed when it was tried again. All else in the result is of the first attempt, which did not.
    pub flaky: Option<Flaky>,
}

/// A run that failed or could not be told at first, and passed when it was tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Flaky {
    /// The attempt that passed; the first one is 1.
    pub passed_on: u32,
    /// Whether the run may pass all the same: `--flaky pass`.
    pub tolerated: bool,
}

/// Counts of scenario runs by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub pass: usize,
    pub fail: usize,
    pub error: usize,
    /// Stopped on their way; not in `error`.
    pub interrupted: usize,
    /// Planned, but never begun; in no other count.
    pub not_started: usize,
    pub skip: usize,
    /// Failures that the file of expected failures names; not in `fail`.
    pub expected: usize,
    /// Passed only when they were tried again; in no other count.
    pub flaky: usize,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize)]
pub struct RunResult {
    pub summary: Summary,
    pub verdict: RunVerdict,
    pub duration: Duration,
    /// What a reader should know of the run as a whole: `12 core scenarios were skipped`.
    pub notes: Vec<String>,
}

/// What happens in a run.
#[derive(Clone, Debug)]
pub enum Event {
    RunStarted(Arc<RunInfo>),
    ScenarioStarted(RunOf),
    /// A step is under way: for live progress only.
    StepStarted {
        run: RunOf,
        number: usize,
        of: usize,
        what: String,
    },
    ScenarioFinished(Arc<ScenarioResult>),
    RunFinished(Arc<RunResult>),
}
