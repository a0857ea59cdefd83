//! `gauntlet prove`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::Prove;
use super::run::{Process, UsageError, shared};
use crate::platform::Mutant;
use crate::platform::mutant::MUTANTS;
use crate::redact::Redactor;
use crate::report::write_file;
use crate::runner::prove::prove;
use crate::scenario::Scenario;

/// Runs the matrix; gives the exit code: 0 where every mutant is dead and every row has a killer.
pub async fn run(options: Prove, scenarios: Vec<Scenario>, mut process: Process) -> Result<u8, UsageError> {
    let chosen = super::select(&scenarios, &options.selection.selectors, super::LevelName::All)?;
    let chosen: Vec<Arc<Scenario>> = chosen.into_iter().cloned().map(Arc::new).collect();
    let rows: Vec<&str> = chosen.iter().map(|scenario| scenario.row()).collect();
    let every = options.selection.selectors.is_empty();
    let mutants: Vec<&'static Mutant> = MUTANTS
        .iter()
        .filter(|mutant| every || rows.contains(&mutant.row))
        .collect();
    let seed = options.seed.unwrap_or_else(rand::random);
    let redactor = Redactor::new();
    let jobs = process.jobs(options.jobs);
    let make = |names| shared(&process, &redactor, seed, options.timeout, names);
    let matrix = prove(&chosen, &mutants, make, jobs, |_, _| {}).await;
    let text = redactor.redact(&matrix.console(process.console.width)).into_owned();
    let shown = process
        .stdout
        .write_all(text.as_bytes())
        .and_then(|()| process.stdout.flush());
    if let Some(file) = options.report {
        let text = match file.extension().is_some_and(|extension| extension == "json") {
            true => matrix.json().to_string(),
            false => matrix.markdown(),
        };
        write(&file, &redactor.redact(&text))?;
    }
    match shown {
        // Whoever closed standard output still gets the exit code and the report.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(UsageError(format!("writing to standard output: {error}")));
        }
        _ => {}
    }
    let tally = matrix.tally();
    Ok(match (process.stop.is_cancelled(), matrix.holds()) {
        (true, _) => 130,
        (_, true) => 0,
        (_, false) if tally.survived > 0 || tally.rows_without_killer > 0 => 1,
        (_, false) => 3,
    })
}

fn write(file: &Path, text: &str) -> Result<(), UsageError> {
    write_file(file, text.as_bytes()).map_err(|error| UsageError(format!("{}: {error}", file.display())))
}
