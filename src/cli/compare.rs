//! `gauntlet compare`: of results of loads, and of reports of runs.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde::Deserialize;

use crate::cli::exit::UsageError;
use crate::file_input;
use crate::load::{Comparison, Limit, Saved};
use crate::report::ReportComparison;
use crate::vocabulary::similar::nearest;

/// What may not be between two reports of runs.
const NEW_FAILURES: &str = "new-failures";

/// The kind of a JSON report of a run.
const REPORT: &str = "Report";

#[derive(Clone, Debug, Args)]
pub struct CompareOptions {
    /// The result to compare with, as `gauntlet load --out` wrote it, or a JSON report of `gauntlet run`
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The one that is compared
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// Exit with 1 where B is worse than A. Of loads by more than this, and by more than chance: `attach.p99 > +10%`,
    /// `steady.echo.p99.9 > +5%`, `errors > +0%`, …; of runs: `new-failures`
    #[arg(long, value_name = "LIMIT")]
    pub fail_on: Vec<FailOn>,
}

/// What is too much worse.
#[derive(Clone, Debug, PartialEq)]
pub enum FailOn {
    NewFailures,
    Load(Limit),
}

/// What is no limit of either kind.
#[derive(Debug, thiserror::Error)]
pub enum NoLimit {
    #[error("did you mean `{NEW_FAILURES}`?")]
    Misspelt,
    /// What is wrong with a limit of loads.
    #[error("{0}")]
    Load(<Limit as FromStr>::Err),
}

impl FromStr for FailOn {
    type Err = NoLimit;

    fn from_str(text: &str) -> Result<FailOn, NoLimit> {
        match text.trim() {
            NEW_FAILURES => Ok(FailOn::NewFailures),
            near if nearest(near, [NEW_FAILURES]).is_some() => Err(NoLimit::Misspelt),
            limit => limit.parse().map(FailOn::Load).map_err(NoLimit::Load),
        }
    }
}

/// What of a document tells its kind.
#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
}

/// Compares; returns what is to be printed, and the exit code.
pub fn compare(options: &CompareOptions) -> Result<(String, u8), UsageError> {
    match [&options.before, &options.after]
        .into_iter()
        .find(|path| is_report(path))
    {
        Some(report) => runs(options, report),
        None => loads(options),
    }
}

/// Whether it is a report of a run, or says so. What can't be read is told by whoever reads it in earnest.
fn is_report(path: &Path) -> bool {
    let text = file_input::read_text(path, file_input::OWN).unwrap_or_default();
    let head: Option<Head> = serde_json::from_str(&text).ok();
    head.and_then(|head| head.kind).is_some_and(|kind| kind == REPORT)
}

fn runs(options: &CompareOptions, report: &Path) -> Result<(String, u8), UsageError> {
    if let Some(FailOn::Load(limit)) = options.fail_on.iter().find(|fail_on| **fail_on != FailOn::NewFailures) {
        return Err(UsageError(format!(
            "--fail-on '{limit}' is of loads, and {} is the report of a run: `--fail-on {NEW_FAILURES}` is of these",
            report.display()
        )));
    }
    let compared = ReportComparison::read(&options.before, &options.after);
    let compared = compared.map_err(|error| UsageError(error.to_string()))?;
    let code = match options.fail_on.is_empty() {
        true => 0,
        false => compared.exit_code(),
    };
    Ok((compared.text(), code))
}

fn loads(options: &CompareOptions) -> Result<(String, u8), UsageError> {
    let read = |file: &Path| Saved::read(file).map_err(|error| UsageError(error.to_string()));
    let (a, b) = (read(&options.before)?, read(&options.after)?);
    let limits = options.fail_on.iter().map(|fail_on| match fail_on {
        FailOn::Load(limit) => Ok(limit.clone()),
        FailOn::NewFailures => Err(UsageError(format!(
            "--fail-on {NEW_FAILURES} is of reports of runs, and {} is the result of a load",
            options.before.display()
        ))),
    });
    let limits = limits.collect::<Result<Vec<Limit>, UsageError>>()?;
    let comparison = Comparison::new(&a, &b, &limits);
    Ok((comparison.text(), comparison.exit_code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_kinds() {
        let read = |text: &str| text.parse::<FailOn>();
        assert_eq!(read("new-failures").expect("a limit"), FailOn::NewFailures);
        let misspelt = read("new-failure").expect_err("near");
        assert_eq!(misspelt.to_string(), "did you mean `new-failures`?");
        assert!(matches!(read("attach.p99 > +10%"), Ok(FailOn::Load(_))));
        assert!(read("attach.p99").is_err_and(|why| why.to_string().contains("there is no >")));
    }
}
