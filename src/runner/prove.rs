//! Proves that every check can fail: runs each mutant against the checks of its row.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::attempts::Attempts;
use super::plan::Planned;
use super::schedule::{Ended, Told, job, schedule};
use crate::events::matrix::{Cell, CellResult, Matrix, Mutant as Defect, Row};
use crate::events::{ScenarioResult, Verdict};
use crate::platform::Mutant;
use crate::runner::context::RunContext;
use crate::scenario::Scenario;
use crate::vocabulary::ExpectationKind;

/// Runs the matrix: all that is planned without a mutant, then each row's runs with each of its mutants.
///
/// A mutant is dead only where a check fails whose twin, the same run on the
/// unmutated platform, passes. `tell` hears how many runs of how many are done.
pub async fn prove(
    planned: &[Planned],
    mutants: &[&'static Mutant],
    shared: impl Fn(Vec<&'static Mutant>) -> RunContext,
    jobs: usize,
    mut tell: impl FnMut(usize, usize),
) -> Matrix {
    let whole = Arc::new(shared(Vec::new()));
    whole.share(planned);
    let mut queue: Vec<_> = planned
        .iter()
        .map(|twin| job(None, twin.clone(), whole.clone(), Attempts::default()))
        .collect();
    for mutant in mutants {
        let broken = Arc::new(shared(vec![*mutant]));
        let of_its_row = planned.iter().filter(|twin| twin.scenario.row() == mutant.row);
        broken.share(of_its_row.clone());
        queue.extend(of_its_row.map(|twin| {
            let (twin, broken) = (twin.clone(), broken.clone());
            job(Some(mutant.name), twin, broken, Attempts::default())
        }));
    }
    let (mut done, all) = (0, queue.len());
    let mut results: BTreeMap<Option<&'static str>, Vec<ScenarioResult>> = BTreeMap::new();
    schedule(queue, jobs, &whole.stop, |told| {
        // The matrix is written with the secrets of all runs: none is retired before.
        if let Told::Ended(Ended { key, result, .. }) = told {
            results.entry(key).or_default().push(result);
            done += 1;
            tell(done, all);
        }
        ControlFlow::Continue(())
    })
    .await;
    // In the order of the plan, whoever was done first: two reports of the same can be compared.
    let place = |result: &ScenarioResult| planned.iter().position(|twin| twin.run == result.run);
    results.values_mut().for_each(|of_one| of_one.sort_by_key(place));
    let twins = results.remove(&None).unwrap_or_default();
    Matrix {
        interrupted: whole.stop.is_cancelled(),
        rows: rows(planned),
        mutants: mutants
            .iter()
            .map(|m| Defect {
                name: m.name.into(),
                row: m.row.into(),
                defect: m.defect.into(),
            })
            .collect(),
        cells: mutants
            .iter()
            .map(|mutant| Cell {
                mutant: mutant.name.into(),
                row: mutant.row.into(),
                result: judge(results.get(&Some(mutant.name)).map_or(&[], Vec::as_slice), &twins),
            })
            .collect(),
    }
}

/// The rows that runs stand for, in the order of their ids, with the title of the first of each.
fn rows(planned: &[Planned]) -> Vec<Row> {
    let mut scenarios: Vec<&Scenario> = planned.iter().map(|run| &*run.scenario).collect();
    scenarios.sort_by_key(|scenario| &scenario.id);
    let mut rows: Vec<Row> = Vec::new();
    for scenario in scenarios {
        if rows.last().is_none_or(|row| row.id != scenario.row()) {
            rows.push(Row {
                id: scenario.row().into(),
                title: scenario.title.clone(),
            });
        }
    }
    rows
}

/// The result of a row's runs with a mutant.
fn judge(broken: &[ScenarioResult], twins: &[ScenarioResult]) -> CellResult {
    let twin_of = |result: &ScenarioResult| twins.iter().find(|twin| twin.run == result.run);
    let killer = broken
        .iter()
        .filter(|result| twin_of(result).is_some_and(|twin| twin.verdict == Verdict::Pass))
        .flat_map(|result| &result.checks)
        .find(|check| check.kind == ExpectationKind::Check && check.verdict == Verdict::Fail);
    if let Some(check) = killer {
        return CellResult::Killed {
            check: check.id.clone(),
        };
    }
    if broken.is_empty() {
        return CellResult::NotRun;
    }
    let not_passing = |result: &ScenarioResult| match twin_of(result) {
        None => Some(format!("{} without the mutant: it was not run", result.run)),
        Some(twin) if twin.verdict == Verdict::Pass => None,
        Some(twin) => {
            let why = twin.reason.as_deref().unwrap_or("it did not pass");
            Some(format!("{} without the mutant: {why}", result.run))
        }
    };
    if let Some(reason) = broken.iter().find_map(not_passing) {
        return CellResult::Error { reason };
    }
    match broken.iter().find(|result| result.verdict == Verdict::Error) {
        Some(result) => CellResult::Error {
            reason: format!(
                "{}: {}",
                result.run,
                result.reason.as_deref().unwrap_or("could not tell")
            ),
        },
        None => CellResult::Survived,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::platform::mutant;

    /// Neither is a rule proven that no mutant breaks, nor a mutant tried that no rule looks for.
    #[test]
    fn rows_of_scenarios_and_rows_of_mutants_are_the_same() {
        let scenarios = crate::scenario::load(None).expect("the built-in set");
        let of_scenarios: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.row()).collect();
        let of_mutants: BTreeSet<&str> = mutant::all().map(|mutant| mutant.row).collect();
        assert_eq!(of_scenarios, of_mutants);
    }
}
