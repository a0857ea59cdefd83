//! The table of roads: the answers to the same request on each road, side by side.

use std::collections::BTreeMap;

use crate::events::{FactResult, RunOf, ScenarioResult};
use crate::report::text::one_line;

/// The variable of a matrix whose values are roads.
const ROAD: &str = "road";

/// Facts of runs that differ in their road alone.
pub(super) struct Compared {
    /// In the order in which the runs came; those of all rows.
    pub roads: Vec<String>,
    pub rows: Vec<Row>,
}

/// One fact, on each road.
pub(super) struct Row {
    /// The run, its road left out: `agent-service/jwt/none`.
    pub scenario: String,
    pub fact: String,
    /// Indexed by road; none if it was not seen.
    pub seen: Vec<Option<String>>,
}

impl Row {
    /// Whether two roads gave different answers.
    pub fn differs(&self) -> bool {
        let mut seen = self.seen.iter().flatten();
        let first = seen.next();
        seen.any(|other| Some(other) != first)
    }
}

/// A fact with its run and the index of that one's road.
type Seen<'r> = (usize, &'r RunOf, &'r FactResult);

/// A fact's value, on one line.
pub(super) fn value(fact: &FactResult) -> String {
    match &fact.value {
        serde_json::Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

/// Separates what can be compared, seen on two roads or more, from the rest: facts with their runs.
pub(super) fn compare<'r>(
    results: impl Iterator<Item = &'r ScenarioResult>,
) -> (Compared, Vec<(&'r RunOf, &'r FactResult)>) {
    let mut roads: Vec<String> = Vec::new();
    let mut groups: BTreeMap<(String, &str), Vec<Seen>> = BTreeMap::new();
    let mut alone = Vec::new();
    for result in results {
        let road = result.run.parameters.iter().find(|(name, _)| name == ROAD);
        let Some((_, road)) = road else {
            alone.extend(result.facts.iter().map(|fact| (&result.run, fact)));
            continue;
        };
        let index = roads.iter().position(|known| known == road).unwrap_or_else(|| {
            roads.push(road.clone());
            roads.len() - 1
        });
        let mut run = result.run.clone();
        run.parameters.retain(|(name, _)| name != ROAD);
        for fact in &result.facts {
            let group = groups.entry((run.to_string(), &fact.name)).or_default();
            group.push((index, &result.run, fact));
        }
    }
    let mut rows = Vec::new();
    for ((scenario, fact), group) in groups {
        if group.iter().all(|(index, _, _)| *index == group[0].0) {
            alone.extend(group.into_iter().map(|(_, run, fact)| (run, fact)));
            continue;
        }
        let mut seen = vec![None; roads.len()];
        for (index, _, fact) in group {
            seen[index] = Some(value(fact));
        }
        rows.push(Row {
            scenario,
            fact: one_line(fact),
            seen,
        });
    }
    // A road on which nothing can be compared is no column.
    for index in (0..roads.len()).rev() {
        if rows.iter().all(|row| row.seen[index].is_none()) {
            roads.remove(index);
            for row in &mut rows {
                row.seen.remove(index);
            }
        }
    }
    (Compared { roads, rows }, alone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::sample;

    fn seen(road: &str, facts: &[(&str, u16)]) -> ScenarioResult {
        let mut result = sample::fact(road, json!(null));
        if road.is_empty() {
            result.run.parameters.clear();
        }
        let made = result.facts.remove(0);
        let fact = |(name, value): &(&str, u16)| FactResult {
            name: (*name).to_owned(),
            value: json!(value),
            ..made.clone()
        };
        result.facts = facts.iter().map(fact).collect();
        result
    }

    #[test]
    fn roads_stand_side_by_side() {
        let results = [
            seen("builtin", &[("no token", 401), ("query", 200), ("upgrade", 101)]),
            seen("service", &[("no token", 401), ("query", 401)]),
            seen("", &[("other", 1)]),
        ];
        let (compared, alone) = compare(results.iter());
        assert_eq!(compared.roads, ["builtin", "service"]);
        let rows: Vec<_> = compared
            .rows
            .iter()
            .map(|row| (row.fact.as_str(), row.differs()))
            .collect();
        assert_eq!(rows, [("no token", false), ("query", true)]);
        let alone: Vec<_> = alone.iter().map(|(_, fact)| fact.name.as_str()).collect();
        assert_eq!(alone, ["other", "upgrade"]);
    }
}
