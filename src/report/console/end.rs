//! The end of a run: facts, counts and the verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Style;
use crate::events::{FactResult, RunOf, RunResult, ScenarioResult};
use crate::report::collect::key;
use crate::report::roads::{self, Compared, Row};
use crate::report::text::{one_line, seconds, wrap};
use crate::report::words::{self, Outcome};

/// Facts as tables, apart from verdicts: roads side by side where they differ; with `all`, also where they agree, and
/// the rest. Empty without such facts.
pub(super) fn facts(scenarios: &[Arc<ScenarioResult>], all: bool, style: Style, width: usize) -> String {
    let (compared, alone) = roads::compare(scenarios.iter().map(AsRef::as_ref));
    let roads = side_by_side(&compared, all, style, width);
    match all {
        true => roads + &list(&alone, style, width),
        false => roads,
    }
}

/// The widest value of a column.
const COLUMN: usize = 20;

/// Requests on different roads: those with different answers, or `all`.
fn side_by_side(compared: &Compared, all: bool, style: Style, width: usize) -> String {
    let differing = compared.rows.iter().filter(|row| row.differs()).count();
    let shown: Vec<&Row> = compared.rows.iter().filter(|row| all || row.differs()).collect();
    if shown.is_empty() {
        return String::new();
    }
    let mut text = format!("{} (observed, not judged):\n", style.bold("Roads"));
    let counted = format!(
        "of {} seen on {}, {} with different answers",
        compared.rows.len(),
        compared.roads.join(", "),
        differing,
    );
    for line in wrap(&counted, width - 2) {
        text += &format!("  {line}\n");
    }
    let is_narrow = |row: &&Row| row.seen.iter().flatten().all(|seen| seen.chars().count() <= COLUMN);
    let (narrow, wide): (Vec<&Row>, Vec<&Row>) = shown.into_iter().partition(is_narrow);
    text += &table(&compared.roads, &narrow, width);
    for row in wide {
        text += &format!("  {}, in {}:\n", row.fact, row.scenario);
        for (road, seen) in compared.roads.iter().zip(&row.seen) {
            let seen = seen.as_deref().unwrap_or(NOTHING);
            let lines = wrap(&format!("{road}: {seen}"), width - 4).join("\n    ");
            text += &format!("    {lines}\n");
        }
    }
    text.push('\n');
    text
}

/// The placeholder where nothing was observed.
const NOTHING: &str = "–";

fn table(roads: &[String], rows: &[&Row], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let shown = |seen: &Option<String>| seen.clone().unwrap_or_else(|| NOTHING.into());
    let columns: Vec<usize> = roads
        .iter()
        .enumerate()
        .map(|(column, road)| {
            let values = rows.iter().map(|row| shown(&row.seen[column]).chars().count());
            values.max().unwrap_or(0).max(road.chars().count())
        })
        .collect();
    let cells = |cells: &[String]| -> String {
        let cells = cells.iter().zip(&columns);
        cells.map(|(cell, width)| format!("{cell:width$}  ")).collect()
    };
    let mut text = format!("  {}\n", cells(roads).trim_end());
    let mut scenario = "";
    for row in rows {
        if row.scenario != scenario {
            scenario = &row.scenario;
            text += &format!("  in {scenario}:\n");
        }
        let cells = cells(&row.seen.iter().map(shown).collect::<Vec<_>>());
        let indent = cells.chars().count() + 2;
        let lines = wrap(&row.fact, width.saturating_sub(indent).max(COLUMN)).join(&format!("\n{:indent$}", ""));
        text += &format!("  {cells}{lines}\n");
    }
    text
}

/// The rest; what was seen alike in several runs once, with the first of them.
fn list(facts: &[(&RunOf, &FactResult)], style: Style, width: usize) -> String {
    let mut alike: BTreeMap<[String; 2], Vec<String>> = BTreeMap::new();
    for (run, fact) in facts {
        let runs = alike.entry([one_line(&fact.name), roads::value(fact)]).or_default();
        runs.push(run.to_string());
    }
    if alike.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; 3]> = alike
        .into_iter()
        .map(|([fact, value], mut runs)| {
            runs.sort();
            let more = runs.len() - 1;
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            [fact, value, runs.swap_remove(0) + &more]
        })
        .collect();
    let head = style.bold("Facts");
    let mut text = format!("{head} (observed, not judged):\n");
    let widest = |column: usize, most: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            .min(most)
    };
    let (name, value) = (widest(0, 28), widest(1, 24));
    for [fact, seen, scenario] in &rows {
        let fits = fact.chars().count() <= name
            && seen.chars().count() <= value
            && 2 + name + 2 + value + 2 + scenario.chars().count() <= width;
        if fits {
            text += &format!("  {fact:name$}  {seen:value$}  {scenario}\n");
        } else {
            text += &format!("  {fact:name$}  in {scenario}:\n");
            for line in wrap(seen, width - name - 4) {
                text += &format!("  {:name$}  {line}\n", "");
            }
        }
    }
    text.push('\n');
    text
}

/// Runs that are named as the slowest.
const SLOWEST: usize = 5;

/// Fewer runs are seen at a glance.
const MANY: usize = 10;

/// The slowest of many runs; empty of few.
pub(super) fn slowest(took: &mut [Arc<ScenarioResult>], style: Style) -> String {
    if took.len() < MANY {
        return String::new();
    }
    took.sort_by(|a, b| b.duration.cmp(&a.duration).then_with(|| key(&a.run).cmp(&key(&b.run))));
    let mut text = format!("{} ({SLOWEST} of {}):\n", style.bold("Slowest"), took.len());
    for result in took.iter().take(SLOWEST) {
        text += &format!("  {:>9}  {}\n", seconds(result.duration), result.run);
    }
    text.push('\n');
    text
}

/// Runs that are listed again as not passed.
const LISTED: usize = 20;

/// Those of many runs that did not pass, by name: their explanations may fill more than a screen. Empty of few runs.
fn not_passed(bad: &[Arc<ScenarioResult>], planned: usize, style: Style) -> String {
    if planned < MANY {
        return String::new();
    }
    let mut text = String::new();
    for result in bad.iter().take(LISTED) {
        let word = style.outcome(Outcome::of(result), 5);
        text += &format!("{word} [{:>8}] {}\n", seconds(result.duration), result.run);
    }
    if let Some(more @ 1..) = bad.len().checked_sub(LISTED) {
        text += &format!("      … {more} more\n");
    }
    text
}

/// The last lines: notes, counts, the runs that did not pass, the verdict and its meaning.
pub(super) fn summary(
    result: &RunResult,
    bad: &[Arc<ScenarioResult>],
    planned: usize,
    style: Style,
    width: usize,
) -> String {
    let mut text = String::new();
    for note in &result.notes {
        let lines = wrap(&one_line(note), width - 6).join("\n      ");
        text += &format!("note: {lines}\n");
    }
    let counts = words::counts(&result.summary);
    let counts = format!("{counts} in {}", seconds(result.duration));
    text += &wrap(&counts, width).join("\n");
    text.push('\n');
    text += &not_passed(bad, planned, style);
    let word = words::verdict(result.verdict);
    let meaning = words::meaning(result, planned);
    let lines = wrap(&format!("{word}: {meaning}"), width).join("\n");
    text += &lines.replacen(word, &style.verdict(result.verdict, word), 1);
    text.push('\n');
    text
}
