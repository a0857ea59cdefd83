//! `gauntlet run`.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Run;
use crate::redact::Redactor;
use crate::report::{ConsoleSettings, Format, ReportSpec, Reporters, Settings};
use crate::runner::events::{RunInfo, RunVerdict};
use crate::runner::execute::Shared;
use crate::runner::plan::{Levels, part, plan};
use crate::runner::run::{Pace, run as run_all};
use crate::scenario::{Policies, Scenario};
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
    let chosen = super::select(&scenarios, &options.selection.selectors, options.level)?;
    let chosen: Vec<Arc<Scenario>> = chosen.into_iter().cloned().map(Arc::new).collect();
    let mut planned = plan(&chosen, options.repeat.get());
    if let Some(partition) = options.partition {
        planned = part(planned, partition);
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
        level: Levels::from(options.level).name().into(),
        profile_digest: None,
        scenarios: planned.len(),
    };
    let shared = Arc::new(shared(
        &process,
        &redactor,
        seed,
        options.timeout,
        mutants(&options.mutant)?,
    ));
    let pace = Pace {
        jobs: process.jobs(options.jobs),
        fail_fast: options.fail_fast,
        allow_partial: options.allow_partial,
    };
    let settings = Settings {
        console: process.console,
        evidence: options.evidence,
        ..Settings::default()
    };
    let mut specs: Vec<ReportSpec> = options.report;
    if specs.is_empty() {
        specs.push(Format::Console.into());
    }
    let mut reporters = Reporters::new(&specs, &settings, process.stdout, redactor.clone());
    let (result, _) = run_all(planned, shared, pace, info, |event| reporters.event(&event)).await;
    let finished = reporters.finish();
    let problems: Vec<_> = finished
        .problems
        .iter()
        .filter(|problem| !problem.is_closed_output())
        .collect();
    for problem in &problems {
        // Standard error may be closed as well; then there is nobody to tell.
        let _closed = writeln!(std::io::stderr(), "gauntlet: {problem}");
    }
    // No secret in any of it: the harness must not be the leak that it looks for.
    let leaks = redactor
        .search_files(&finished.files)
        .map_err(|error| UsageError(format!("searching the reports for secrets: {error}")))?;
    for leak in &leaks {
        let place = format!("{}:{}", leak.file.display(), leak.line);
        let _closed = writeln!(
            std::io::stderr(),
            "gauntlet: {place}: the secret ${} stands here",
            leak.name
        );
    }
    Ok(
        match (exit_code(result.verdict), problems.is_empty() && leaks.is_empty()) {
            (0, false) => 3,
            (code, _) => code,
        },
    )
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
        stop: process.stop.clone(),
    }
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
