//! `gauntlet tags`: the words by which scenarios can be selected.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::Args;

use super::{ListFormat, Selection};
use crate::scenario::Scenario;

#[derive(Clone, Debug, Args)]
pub struct Tags {
    #[command(flatten)]
    pub selection: Selection,
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// The ids of the scenarios that have a tag, by the tag.
pub type ByTag<'s> = BTreeMap<&'s str, Vec<&'s str>>;

/// The tags of scenarios.
pub fn tags<'s>(scenarios: &[&'s Scenario]) -> ByTag<'s> {
    let mut tags: ByTag<'s> = BTreeMap::new();
    for scenario in scenarios {
        for tag in &scenario.tags {
            tags.entry(tag).or_default().push(&scenario.id);
        }
    }
    tags
}

/// A line for each tag: as it is selected, and how many scenarios have it.
pub fn text(tags: &ByTag<'_>, out: &mut impl Write) -> io::Result<()> {
    let width = tags.keys().map(|tag| tag.chars().count()).max().unwrap_or(0);
    for (tag, ids) in tags {
        let scenarios = if ids.len() == 1 { "scenario" } else { "scenarios" };
        writeln!(out, "tag:{tag:width$}  {} {scenarios}", ids.len())?;
    }
    Ok(())
}

/// A JSON object: the ids for each tag.
pub fn json(tags: &ByTag<'_>, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, tags)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::load;

    #[test]
    fn every_tag_is_there_with_its_scenarios() {
        let scenarios = load(None).expect("the built-in ones are good");
        let all: Vec<&Scenario> = scenarios.iter().collect();
        let tags = tags(&all);
        for scenario in &scenarios {
            for tag in &scenario.tags {
                assert!(tags[tag.as_str()].contains(&scenario.id.as_str()), "{tag}");
            }
        }
        let mut out = Vec::new();
        text(&tags, &mut out).expect("written");
        let lines = String::from_utf8(out).expect("UTF-8");
        assert_eq!(lines.lines().count(), tags.len());
        assert!(lines.contains("tag:timing"), "{lines}");
    }
}
