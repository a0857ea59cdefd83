//! `gauntlet prove`.

use std::io::{self, Write};
use std::path::Path;

use super::Prove;
use super::conclude::{refuse, settle};
use super::run::{Process, UsageError, shared};
use super::selection::select;
use crate::platform::Mutant;
use crate::platform::mutant::MUTANTS;
use crate::redact::Redactor;
use crate::report::matrix::Matrix;
use crate::report::{Finished, Problem, check_file, deliver, progress};
use crate::runner::execute::Shared;
use crate::runner::prove::prove;
use crate::scenario::Scenario;
use crate::target::Target;

/// Runs the matrix; gives the exit code: 0 where every mutant is dead and every row has a killer.
pub async fn run(options: Prove, scenarios: Vec<Scenario>, process: Process) -> Result<u8, UsageError> {
    let selected = select(&scenarios, &options.selection.selectors, super::LevelName::All)?;
    let rows: Vec<&str> = selected.scenarios.iter().map(|scenario| scenario.row()).collect();
    let every = options.selection.selectors.is_empty();
    let mutants: Vec<&'static Mutant> = MUTANTS
        .iter()
        .filter(|mutant| every || rows.contains(&mutant.row))
        .collect();
    if let Some(error) = options.report.as_deref().and_then(|file| check_file(file).err()) {
        return Ok(refuse(&[problem("report", error)]));
    }
    let seed = options.seed.unwrap_or_else(rand::random);
    let redactor = Redactor::new();
    let jobs = options.jobs.map_or_else(|| process.jobs(), std::num::NonZeroUsize::get);
    let target = Target::Embedded(process.program.clone());
    let make = |names| Shared {
        timeout: options.timeout,
        ..shared(&target, &process, &redactor, seed, names)
    };
    let matrix = prove(
        &selected.plan(1),
        &mutants,
        make,
        jobs,
        progress(process.console.stderr_terminal),
    )
    .await;
    let finished = put_out(
        &matrix,
        options.report.as_deref(),
        &redactor,
        process.console.width,
        process.stdout,
    );
    let said = match (process.stop.is_cancelled(), matrix.holds()) {
        (true, _) => 130,
        (_, true) => 0,
        (_, false) if matrix.is_broken() => 1,
        (_, false) => 3,
    };
    Ok(settle(&finished, &redactor, said, &matrix.summary()))
}

/// Prints the matrix and writes the report of it.
fn put_out(
    matrix: &Matrix,
    report: Option<&Path>,
    redactor: &Redactor,
    width: usize,
    mut stdout: Box<dyn Write + Send>,
) -> Finished {
    let mut finished = Finished::default();
    let text = redactor.redact(&matrix.console(width)).into_owned();
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
