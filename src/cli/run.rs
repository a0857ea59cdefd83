//! `gauntlet run`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use super::conclude::{conclude, refuse};
use super::profile::{self, Effective};
use super::rerun::Rerun;
use super::selection::select;
use super::{LevelName, Run, again};
use crate::expected::{Expected, ExpectedFailures};
use crate::redact::Redactor;
use crate::report::{ConsoleSettings, Format, Reporters, Settings, clash};
use crate::runner::events::{RunInfo, RunVerdict};
use crate::runner::execute::Shared;
use crate::runner::plan::{Levels, part};
use crate::runner::run::{Terms, run as run_all};
use crate::scenario::{self, Policies, Problem, Problems, Scenario};
use crate::steps::Limits;
use crate::target::embedded::Program;
use crate::target::names;

/// What `main` knows of the process.
pub struct Process {
    pub stdout: Box<dyn Write + Send>,
    pub console: ConsoleSettings,
    /// Processors that may be used.
    pub processors: usize,
    /// Files that may be open at once; none where there is no limit.
    pub descriptors: Option<u64>,
    /// Cancelled by the first Ctrl-C or SIGTERM.
    pub stop: CancellationToken,
    /// What containers run.
    pub program: Program,
    /// RFC 3339.
    pub started: String,
    pub version: &'static str,
    pub commit: Option<&'static str>,
}

/// Descriptors that a scenario's world has open at its busiest, and its clients.
const DESCRIPTORS_EACH: u64 = 96;

impl Process {
    /// How many scenarios run at once, where the command line doesn't say: as many as the processors
    /// and the open files are enough for.
    pub fn jobs(&self, asked: Option<std::num::NonZeroUsize>) -> usize {
        let by_files = self
            .descriptors
            .map_or(u64::MAX, |most| (most / DESCRIPTORS_EACH).max(1));
        let by_files = usize::try_from(by_files).unwrap_or(usize::MAX);
        asked.map_or((self.processors * 4).min(by_files), std::num::NonZeroUsize::get)
    }
}

/// Why a run could not start: the command line or a file is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Runs scenarios; gives the exit code.
pub async fn run(options: Run, scenarios: Vec<Scenario>, process: Process) -> Result<u8, UsageError> {
    let flags = again::flags(&options);
    let mut specs = options.report;
    if let Some(clash) = clash(&specs) {
        return Err(UsageError(clash));
    }
    if specs.is_empty() {
        specs.push(Format::Console.into());
    }
    // What failed is to run again whatever its level.
    let level = match (options.level, &options.rerun_failed) {
        (Some(level), _) => level,
        (None, Some(_)) => LevelName::All,
        (None, None) => LevelName::Core,
    };
    let selected = select(&scenarios, &options.selection.selectors, level)?;
    let Effective { profile, digest } = profile::effective(options.profile.as_deref(), &options.set)?;
    let expected = match &options.expected_failures {
        Some(file) => expected(file, &scenarios, &process.started)?,
        None => Expected::default(),
    };
    let (mut planned, mut notes) = (selected.plan(options.repeat.get()), Vec::new());
    if let Some(report) = &options.rerun_failed {
        (planned, notes) = Rerun::read(report, &scenarios, digest.as_deref())?.choose(planned);
    }
    if let Some(partition) = options.partition {
        planned = part(planned, partition);
    }
    if !options.mutant.is_empty() {
        let names = options.mutant.join(", ");
        notes.push(format!("the platform was broken on purpose, by --mutant {names}"));
    }
    let seed = options.seed.unwrap_or_else(rand::random);
    let redactor = Redactor::new();
    let info = RunInfo {
        version: process.version,
        commit: process.commit,
        started: process.started.clone(),
        seed,
        target: "embedded".into(),
        selection: options.selection.selectors.clone(),
        level: Levels::from(level).name().into(),
        profile_digest: digest,
        mutants: mutants(&options.mutant)?,
        scenarios: planned.len(),
    };
    let shared = Arc::new(Shared {
        names: Arc::new(profile.names),
        policies: profile.policies,
        flags,
        ..shared(&process, &redactor, seed, options.timeout, info.mutants.clone())
    });
    let terms = Terms {
        jobs: process.jobs(options.jobs),
        fail_fast: options.fail_fast,
        allow_partial: options.allow_partial,
        expected,
        notes,
    };
    let settings = Settings {
        console: process.console,
        evidence: options.evidence,
        ..Settings::default()
    };
    let mut reporters = Reporters::new(&specs, &settings, process.stdout, redactor.clone());
    if !reporters.problems().is_empty() {
        return Ok(refuse(reporters.problems()));
    }
    let scenarios = info.scenarios;
    let (result, _) = run_all(planned, shared, terms, info, |event| reporters.event(&event)).await;
    Ok(conclude(&reporters.finish(), &redactor, &result, scenarios))
}

/// What the runs of a command share.
pub fn shared(process: &Process, redactor: &Redactor, seed: u64, timeout: Duration, mutants: Vec<String>) -> Shared {
    Shared {
        program: process.program.clone(),
        names: Arc::new(names::contract()),
        policies: Policies::reference(),
        redactor: redactor.clone(),
        limits: Limits::default(),
        seed,
        timeout,
        mutants,
        flags: String::new(),
        stop: process.stop.clone(),
    }
}

/// The failures that are expected on the day on which the run started.
fn expected(file: &Path, scenarios: &[Scenario], started: &str) -> Result<Expected, UsageError> {
    let wrong = |problems: Vec<Problem>| UsageError(Problems(problems).render());
    let source = scenario::read_file(file).map_err(|problem| wrong(vec![problem]))?;
    let failures = ExpectedFailures::parse(&source).map_err(wrong)?;
    // Of all scenarios, not only the selected ones: one file serves every selection.
    let unknown = failures.unknown(scenarios);
    if !unknown.is_empty() {
        return Err(wrong(unknown));
    }
    let started: Timestamp = started
        .parse()
        .map_err(|error| UsageError(format!("reading the time of the start, {started}: {error}")))?;
    Ok(failures.on(started.to_zoned(TimeZone::UTC).date()))
}

/// Known mutants only: a misspelt one would make a run green that should not be.
pub fn mutants(names: &[String]) -> Result<Vec<String>, UsageError> {
    let known = || crate::platform::mutant::MUTANTS.iter().map(|mutant| mutant.name);
    for name in names {
        if !known().any(|mutant| mutant == name) {
            let near = crate::scenario::problem::nearest(name, known());
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(UsageError(format!("there is no mutant {name}{hint}")));
        }
    }
    Ok(names.to_vec())
}

/// The exit code of a run (the table in `--help`).
pub fn exit_code(verdict: RunVerdict) -> u8 {
    match verdict {
        RunVerdict::Passed => 0,
        RunVerdict::Failed => 1,
        RunVerdict::Error => 3,
        RunVerdict::NothingRan => 4,
        RunVerdict::Partial => 5,
        RunVerdict::Interrupted => 130,
    }
}
