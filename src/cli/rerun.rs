//! `--rerun-failed`: only the failures and errors of a reported run.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use crate::cli::exit::UsageError;
use crate::events::{RunOf, RunVerdict};
use crate::report::Report;
use crate::runner::plan::Planned;
use crate::runner::run::NOT_STARTED;
use crate::scenario::Scenario;
use crate::vocabulary::similar::nearest;

/// The runs to run again.
#[derive(Debug)]
pub struct Rerun {
    /// The report as the user named it.
    report: String,
    /// Names without repetitions.
    names: HashSet<String>,
    /// What a reader should know: that the report does not tell of everything, …
    notes: Vec<String>,
}

impl Rerun {
    /// Reads a report. All that it names must still be there among `scenarios`: what can't be run
    /// again must not look as if it were right now.
    pub fn read(path: &Path, scenarios: &[Scenario], profile_digest: Option<&str>) -> Result<Rerun, UsageError> {
        let failed = |why: String| UsageError(format!("--rerun-failed: {why}"));
        let report = Report::read(path).map_err(|error| failed(error.to_string()))?;
        let shown = path.display().to_string();
        let bad: HashSet<&str> = report.failed().into_iter().collect();
        let runs: Vec<RunOf> = report
            .scenarios
            .iter()
            .filter(|scenario| bad.contains(scenario.name.as_str()))
            .map(|scenario| RunOf {
                id: scenario.id.clone(),
                parameters: scenario.parameters.clone().into_iter().collect(),
                repetition: None,
            })
            .collect();
        let gone: BTreeSet<String> = runs.iter().filter_map(|run| gone(run, scenarios)).collect();
        if !gone.is_empty() {
            let gone: Vec<String> = gone.into_iter().map(|line| format!("\n  {line}")).collect();
            return Err(failed(format!(
                "{shown} is of other scenarios; these failed there and can't be run again:{}\n\
                 Give the `--scenarios` of that run, or name without `--rerun-failed` what is to run.",
                gone.concat()
            )));
        }
        let mut notes = Vec::new();
        let unfinished = report.notes.iter().any(|note| note.ends_with(NOT_STARTED));
        if unfinished || report.summary.verdict == RunVerdict::Interrupted {
            notes.push(format!(
                "the run of {shown} ended early: unstarted scenarios are not rerun"
            ));
        }
        if report.profile_digest.as_deref() != profile_digest {
            notes.push(format!("the run of {shown} had another profile than this one"));
        }
        Ok(Rerun {
            report: shown,
            names: runs.iter().map(RunOf::case).collect(),
            notes,
        })
    }

    /// The planned runs that failed then, and notes for the reader.
    pub fn choose(self, mut planned: Vec<Planned>) -> (Vec<Planned>, Vec<String>) {
        let Rerun {
            report,
            names,
            mut notes,
        } = self;
        planned.retain(|planned| names.contains(&planned.run.case()));
        match (planned.len(), names.len()) {
            (_, 0) => notes.push(format!(
                "no scenario run of {report} failed or ended in an error: there is nothing to run again"
            )),
            (0, 1) => notes.push(format!("the scenario run that failed in {report} is not selected")),
            (0, n) => notes.push(format!(
                "none of the {n} scenario runs that failed in {report} is selected"
            )),
            _ => {}
        }
        (planned, notes)
    }
}

/// The message about a run that no longer exists.
fn gone(run: &RunOf, scenarios: &[Scenario]) -> Option<String> {
    let Some(scenario) = scenarios.iter().find(|scenario| scenario.id == run.id) else {
        let near = nearest(&run.id, scenarios.iter().map(|scenario| scenario.id.as_str()));
        let hint = near.map(|near| format!("; is it {near} now?")).unwrap_or_default();
        return Some(format!("{run}: there is no scenario {}{hint}", run.id));
    };
    let cases = scenario.cases();
    (!cases.contains(&run.values())).then(|| match cases.as_slice() {
        [only] if only.is_empty() => format!("{run}: the scenario has no matrix"),
        cases => format!("{run}: the scenario's cases are {}", cases.join(" and ")),
    })
}
