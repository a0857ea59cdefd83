//! The end of a run: what was observed, how many did what, and what it means.

use std::sync::Arc;

use super::Style;
use crate::report::text::{one_line, seconds, wrap};
use crate::report::words;
use crate::runner::events::{RunResult, ScenarioResult};

/// Facts as a table, apart from verdicts. Empty without facts.
pub(super) fn facts(scenarios: &[Arc<ScenarioResult>], style: Style, width: usize) -> String {
    let mut rows: Vec<[String; 3]> = scenarios
        .iter()
        .flat_map(|scenario| {
            scenario.facts.iter().map(|fact| {
                let value = match &fact.value {
                    serde_json::Value::String(text) => one_line(text),
                    other => one_line(&other.to_string()),
                };
                [one_line(&fact.name), value, scenario.run.to_string()]
            })
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    rows.sort();
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

/// The last lines: counts, notes, the verdict and its meaning.
pub(super) fn summary(result: &RunResult, planned: usize, style: Style, width: usize) -> String {
    let mut text = String::new();
    for note in &result.notes {
        let lines = wrap(&one_line(note), width - 6).join("\n      ");
        text += &format!("note: {lines}\n");
    }
    let counts = words::counts(&result.summary);
    let counts = format!("{counts} in {}", seconds(result.duration));
    text += &wrap(&counts, width).join("\n");
    text.push('\n');
    let word = words::verdict(result.verdict);
    let meaning = words::meaning(result, planned);
    let lines = wrap(&format!("{word}: {meaning}"), width).join("\n");
    text += &lines.replacen(word, &style.verdict(result.verdict, word), 1);
    text.push('\n');
    text
}
