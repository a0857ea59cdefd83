//! Whether every check can fail: each mutant against the checks of its row.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::events::{Event, ScenarioResult, Verdict};
use super::execute::{Shared, execute};
use super::plan::{Planned, alone_last};
use crate::platform::Mutant;
use crate::report::{Cell, CellResult, Matrix, Mutant as Defect, Row};
use crate::scenario::{ExpectationKind, Scenario};

/// Runs the matrix: all that is planned without a mutant, then each row's runs with each of its mutants.
///
/// A mutant is dead only where a check fails whose twin, the same run on the
/// unmutated platform, passes. `tell` hears how many runs of how many are done.
pub async fn prove(
    planned: &[Planned],
    mutants: &[&'static Mutant],
    shared: impl Fn(Vec<String>) -> Shared,
    jobs: usize,
    mut tell: impl FnMut(usize, usize),
) -> Matrix {
    let planned = alone_last(planned.to_vec());
    let room = Arc::new(Room::of(jobs));
    let mut running = JoinSet::new();
    let whole = Arc::new(shared(Vec::new()));
    for twin in &planned {
        running.spawn(one(None, twin.clone(), whole.clone(), room.clone()));
    }
    for mutant in mutants {
        let broken = Arc::new(shared(vec![mutant.name.to_owned()]));
        for twin in planned.iter().filter(|twin| twin.scenario.row() == mutant.row) {
            running.spawn(one(Some(mutant.name), twin.clone(), broken.clone(), room.clone()));
        }
    }
    let (mut done, all) = (0, running.len());
    let mut results: BTreeMap<Option<&'static str>, Vec<ScenarioResult>> = BTreeMap::new();
    while let Some(ended) = running.join_next().await {
        // A run that broke the harness counts as not run: nobody is dead by it.
        if let Ok((mutant, result)) = ended {
            results.entry(mutant).or_default().push(result);
        }
        done += 1;
        tell(done, all);
    }
    // In the order of the plan, whoever was done first: two reports of the same can be compared.
    let place = |result: &ScenarioResult| planned.iter().position(|twin| twin.run == result.run);
    results.values_mut().for_each(|of_one| of_one.sort_by_key(place));
    let twins = results.remove(&None).unwrap_or_default();
    Matrix {
        interrupted: whole.stop.is_cancelled(),
        rows: rows(&planned),
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

/// Places for runs. One that runs alone takes them all: the semaphore is fair,
/// so it waits for those before it and holds back those behind it.
struct Room {
    all: u32,
    places: Semaphore,
}

impl Room {
    fn of(jobs: usize) -> Room {
        let all = u32::try_from(jobs.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Room {
            all,
            places: Semaphore::new(all as usize),
        }
    }
}

async fn one(
    mutant: Option<&'static str>,
    planned: Planned,
    shared: Arc<Shared>,
    room: Arc<Room>,
) -> (Option<&'static str>, ScenarioResult) {
    // The semaphore is never closed.
    let _places = room.places.acquire_many(if planned.alone { room.all } else { 1 }).await;
    let silent = |_: Event| {};
    (mutant, execute(&planned, &shared, &shared.redactor, &silent).await)
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

/// What a row's runs with a mutant say of it.
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
