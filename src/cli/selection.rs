//! The runs that a command's selectors and level choose.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::LevelName;
use crate::cli::exit::UsageError;
use crate::runner::plan::{Levels, Planned, plan};
use crate::scenario::Scenario;
use crate::scenario::select::{Selectable, select as select_runs};

/// Which scenarios.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Which scenarios: an id, the beginning of one up to a /, or a glob, each optionally with a case of the matrix in
    /// brackets; tag:NAME; level:core; ! excludes; without any, all of them
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// Read scenarios from this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
}

/// What selectors and a level choose.
#[derive(Debug)]
pub struct Selected<'s> {
    /// In the order of their ids.
    pub scenarios: Vec<&'s Scenario>,
    /// The chosen cases of each: its id, and the values of its matrix.
    cases: HashSet<(&'s str, String)>,
}

impl Selected<'_> {
    /// The selected runs, each `repeat` times.
    pub fn plan(&self, repeat: u32) -> Vec<Planned> {
        let scenarios: Vec<Arc<Scenario>> = self.scenarios.iter().copied().cloned().map(Arc::new).collect();
        let mut planned = plan(&scenarios, repeat);
        planned.retain(|planned| self.cases.contains(&(planned.run.id.as_str(), planned.run.values())));
        planned
    }
}

/// What the selectors and the level choose.
///
/// # Errors
/// A selector that matches nothing, or selectors or a level that leave nothing: a run of nothing must
/// not look like a pass.
pub fn select<'s>(
    scenarios: &'s [Scenario],
    selectors: &[String],
    level: LevelName,
) -> Result<Selected<'s>, UsageError> {
    let cases: Vec<(&Scenario, String)> = scenarios
        .iter()
        .flat_map(|scenario| scenario.cases().into_iter().map(move |case| (scenario, case)))
        .collect();
    let selectable: Vec<Selectable<'_>> = cases
        .iter()
        .map(|(scenario, case)| Selectable {
            id: &scenario.id,
            case,
            tags: &scenario.tags,
            level: scenario.level,
        })
        .collect();
    let mut chosen: Vec<(&Scenario, String)> = select_runs(&selectable, selectors)
        .map_err(|error| UsageError(error.to_string()))?
        .into_iter()
        .map(|index| cases[index].clone())
        .collect();
    let of = |chosen: &[(&'s Scenario, String)]| {
        let mut scenarios: Vec<&'s Scenario> = chosen.iter().map(|(scenario, _)| *scenario).collect();
        scenarios.dedup_by_key(|scenario| &scenario.id);
        scenarios
    };
    let (levels, selected) = (Levels::from(level), of(&chosen));
    chosen.retain(|(scenario, _)| levels.has(scenario.level));
    if chosen.is_empty() && !selected.is_empty() {
        return Err(UsageError(match selected.as_slice() {
            [only] => format!(
                "the selected scenario, {}, is not of level {}; `--level all` has it",
                only.id,
                levels.name()
            ),
            several => format!(
                "none of the {} selected scenarios is of level {}; `--level all` has them",
                several.len(),
                levels.name()
            ),
        }));
    }
    Ok(Selected {
        scenarios: of(&chosen),
        cases: chosen
            .into_iter()
            .map(|(scenario, case)| (scenario.id.as_str(), case))
            .collect(),
    })
}
