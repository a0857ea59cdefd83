//! `gauntlet list`: the scenarios that would run.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::{LevelName, ListFormat, Selection};
use crate::scenario::{Scenario, select::level_name};
use crate::vocabulary::{Intrusion, Level};

#[derive(Clone, Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub selection: Selection,
    /// Which levels
    #[arg(long, value_enum, default_value = "all")]
    pub level: LevelName,
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// A scenario as the list has it.
#[derive(Serialize)]
struct Entry<'s> {
    id: &'s str,
    title: &'s str,
    level: Level,
    contract: &'s str,
    needs: Vec<String>,
    intrusion: Intrusion,
    tags: &'s [String],
    spec: &'s str,
    /// How many runs its matrix makes.
    runs: usize,
}

impl<'s> From<&'s Scenario> for Entry<'s> {
    fn from(scenario: &'s Scenario) -> Entry<'s> {
        Entry {
            id: &scenario.id,
            title: &scenario.title,
            level: scenario.level,
            contract: scenario.contract(),
            needs: scenario.needs(),
            intrusion: scenario.intrusion,
            tags: &scenario.tags,
            spec: &scenario.spec,
            runs: scenario.matrix.values().map(Vec::len).product(),
        }
    }
}

/// A line for each scenario: id, level, intrusion, title.
pub fn text<'s>(scenarios: impl IntoIterator<Item = &'s Scenario>, out: &mut impl Write) -> io::Result<()> {
    let scenarios: Vec<&Scenario> = scenarios.into_iter().collect();
    let width = scenarios.iter().map(|s| s.id.chars().count()).max().unwrap_or(0);
    for scenario in scenarios {
        let (level, intrusion) = (level_name(scenario.level), scenario.intrusion.name());
        writeln!(
            out,
            "{:width$}  {level:8}  {intrusion:7}  {}",
            scenario.id, scenario.title
        )?;
    }
    Ok(())
}

/// A JSON list.
pub fn json<'s>(scenarios: impl IntoIterator<Item = &'s Scenario>, out: &mut impl Write) -> io::Result<()> {
    let entries: Vec<Entry<'_>> = scenarios.into_iter().map(Entry::from).collect();
    serde_json::to_writer_pretty(&mut *out, &entries)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::load;

    #[test]
    fn every_scenario_has_a_line_and_an_entry() {
        let scenarios = load(None).expect("the built-in ones are good");
        let (mut lines, mut list) = (Vec::new(), Vec::new());
        text(&scenarios, &mut lines).expect("written");
        json(&scenarios, &mut list).expect("written");
        let list: serde_json::Value = serde_json::from_slice(&list).expect("JSON");
        assert_eq!(String::from_utf8_lossy(&lines).lines().count(), scenarios.len());
        let stale = list
            .as_array()
            .and_then(|l| l.iter().find(|e| e["id"] == "harness-token/warm/stale"));
        let stale = stale.expect("it is there");
        assert_eq!(stale["intrusion"], "disrupt");
        assert_eq!(stale["needs"], serde_json::json!(["kubernetes"]));
    }
}
