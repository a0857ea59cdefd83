//! `gauntlet prove`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use globset::Glob;

use super::conclude::{not_run, refuse, settle, tell};
use super::selection::select;
use super::target::{self, CodexOptions, GatewayOptions, KindOptions, NotStarted, TargetOptions};
use super::{MadeTarget, Selection, parse};
use crate::cli::exit::{INTERRUPTED, UsageError};
use crate::cli::process::{IN_PROOFS, Process};
use crate::cli::run::{mutants, shared, through};
use crate::events::matrix::Matrix;
use crate::events::seed;
use crate::platform::Mutant;
use crate::platform::mutant;
use crate::profile::Profile;
use crate::redact::Redactor;
use crate::report::{Finished, Problem, check_file, deliver, progress};
use crate::runner::context::RunContext;
use crate::runner::plan::Planned;
use crate::runner::prove::prove;
use crate::scenario::Scenario;
use crate::vocabulary::names;

#[derive(Clone, Debug, Args)]
pub struct Prove {
    #[command(flatten)]
    pub selection: Selection,
    /// Where to run
    #[arg(long, value_enum, default_value_t)]
    pub target: MadeTarget,
    #[command(flatten)]
    pub kind: KindOptions,
    #[command(flatten)]
    pub gateways: GatewayOptions,
    #[command(flatten)]
    pub codex: CodexOptions,
    /// Only these mutants, globs too, and the rows that they break [default: all of the selected rows]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
    /// Print only what is not shown to hold, and the summary
    #[arg(long, short)]
    pub quiet: bool,
    /// Write the matrix to this file: JSON if it ends in .json, else Markdown
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Scenarios run at once [default: 8 per processor, 3 on kind]
    #[arg(long, short, value_name = "N", value_parser = parse::at_least_one::<std::num::NonZeroUsize>, allow_negative_numbers = true)]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Seed of random values
    #[arg(long, value_name = "N", value_parser = parse::seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Time limit of a scenario without one of its own [default: embedded 60s, kind 300s]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub timeout: Option<Duration>,
}

/// Runs the matrix; returns the exit code: 0 where every mutant is dead and every row has a killer.
pub async fn run(options: Prove, scenarios: Vec<Scenario>, mut process: Process) -> Result<u8, UsageError> {
    let on = TargetOptions {
        target: options.target.into(),
        kind: options.kind,
        gateways: options.gateways,
        codex: options.codex,
        ..TargetOptions::default()
    };
    on.check()?;
    let named = matching(&options.mutant)?;
    let selected = select(&scenarios, &options.selection.selectors, super::LevelName::All)?;
    let profile = Profile::reference();
    let goes = on.gateways.goes(on.target, &profile);
    let mut planned = through(selected.plan(1), &goes)?;
    let mut chosen = chosen(&named, &options.selection.selectors, &mut planned)?;
    // No run would meet the others.
    let is_met = |mutant: &Mutant| mutant.gateway().is_none_or(|road| goes.has(road));
    if let Some(mutant) = chosen.iter().find(|mutant| !named.is_empty() && !is_met(mutant)) {
        return Err(UsageError(format!(
            "--mutant {}: it breaks a gateway that {goes} doesn't go through; `--gateway all` goes through all",
            mutant.name
        )));
    }
    chosen.retain(|mutant| is_met(mutant));
    if let Some(error) = options.report.as_deref().and_then(|file| check_file(file).err()) {
        return Ok(refuse(&[problem("report", error)]));
    }
    let codex = match on.codex(&planned, &process).await {
        Ok(codex) => codex.map(|(codex, _)| codex).unwrap_or_default(),
        Err(error) => return Ok(not_run(&error.to_string())),
    };
    let seed = options.seed.unwrap_or_else(seed::random);
    let redactor = process.redactor.clone();
    let started = match target::start(&on, &profile, &mut planned, &process).await {
        Ok(started) => started,
        Err(NotStarted::Usage(error)) => return Err(error),
        Err(NotStarted::Failed(error)) => return Ok(not_run(&error.to_string())),
        Err(NotStarted::Interrupted) => return Ok(INTERRUPTED),
    };
    // Nothing that it is told by could make it so.
    chosen.retain(|mutant| {
        let can_be = started.target.can_be(mutant);
        if !can_be {
            tell(&format!(
                "{} can't be a defect of Envoy Gateway: it is not tried",
                mutant.name
            ));
        }
        can_be
    });
    match started.start_gateways(&planned, &process.stop).await {
        Some(Ok(())) => {}
        Some(Err(why)) => {
            started.end(false, &names::contract()).await;
            return Ok(not_run(&why.to_string()));
        }
        None => {
            started.end(false, &names::contract()).await;
            return Ok(INTERRUPTED);
        }
    }
    let make = |mutants| RunContext {
        limits: started.limits(),
        timeout: options.timeout.unwrap_or_else(|| started.timeout()),
        codex: codex.clone(),
        ..shared(&started.target, &process, &redactor, seed, mutants)
    };
    let jobs = started.jobs(options.jobs, IN_PROOFS, &process);
    let progress = progress(process.console.stderr_terminal && !options.quiet);
    let matrix = prove(&planned, &chosen, make, jobs, progress).await;
    let stdout = std::mem::replace(&mut process.stdout, Box::new(io::sink()));
    let finished = put_out(
        &matrix,
        options.report.as_deref(),
        &redactor,
        process.console.width,
        options.quiet,
        stdout,
    );
    started.end(matrix.holds(), &names::contract()).await;
    let said = match (process.stop.is_cancelled(), matrix.holds()) {
        (true, _) => INTERRUPTED,
        (_, true) => 0,
        (_, false) if matrix.is_broken() => 1,
        (_, false) => 3,
    };
    Ok(settle(&finished, &redactor, said, &matrix.summary()))
}

/// The mutants of these names, and those that match where a name is a glob.
fn matching(names: &[String]) -> Result<Vec<&'static Mutant>, UsageError> {
    let mut found = Vec::new();
    for name in names {
        if !name.contains('*') {
            found.extend(mutants(std::slice::from_ref(name))?);
            continue;
        }
        let glob = Glob::new(name)
            .map_err(|error| UsageError(format!("--mutant {name}: {error}")))?
            .compile_matcher();
        let before = found.len();
        found.extend(mutant::all().filter(|mutant| glob.is_match(mutant.name)));
        if found.len() == before {
            return Err(UsageError(format!("--mutant {name}: no mutant's name matches")));
        }
    }
    Ok(found)
}

/// The mutants of the selected rows, or only the named ones; then only their rows stay planned.
fn chosen(
    named: &[&'static Mutant],
    selectors: &[String],
    planned: &mut Vec<Planned>,
) -> Result<Vec<&'static Mutant>, UsageError> {
    let is_planned = |mutant: &Mutant| planned.iter().any(|run| run.scenario.row() == mutant.row);
    if named.is_empty() {
        let every = selectors.is_empty();
        return Ok(mutant::all().filter(|mutant| every || is_planned(mutant)).collect());
    }
    let chosen: Vec<&'static Mutant> = mutant::all().filter(|mutant| named.contains(mutant)).collect();
    match chosen.iter().find(|mutant| !is_planned(mutant)) {
        Some(mutant) => Err(UsageError(format!(
            "--mutant {}: it breaks the row {}, of which no scenario is selected",
            mutant.name, mutant.row
        ))),
        None => {
            planned.retain(|run| chosen.iter().any(|mutant| mutant.row == run.scenario.row()));
            Ok(chosen)
        }
    }
}

/// Prints the matrix and writes the report of it.
fn put_out(
    matrix: &Matrix,
    report: Option<&Path>,
    redactor: &Redactor,
    width: usize,
    quiet: bool,
    mut stdout: Box<dyn Write + Send>,
) -> Finished {
    let mut finished = Finished::default();
    let text = redactor.redact(&matrix.console(width, quiet)).into_owned();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => finished.told = true,
        Err(error) => finished.problems.push(problem("console", error)),
    }
    finished.printed = text.into_bytes();
    if let Some(file) = report {
        let text = match file.extension().is_some_and(|extension| extension == "json") {
            true => matrix.json().to_string(),
            false => matrix.markdown(),
        };
        match deliver(file, redactor.redact(&text).into_owned().into_bytes()) {
            Ok(written) => finished.written.push(written),
            Err(error) => finished.problems.push(problem("report", error)),
        }
    }
    finished
}

fn problem(report: &str, error: io::Error) -> Problem {
    Problem {
        report: report.into(),
        error,
    }
}
