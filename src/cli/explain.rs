//! `gauntlet explain`: a scenario in words.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::platform::mutant;
use crate::scenario::expectation_in_words;
use crate::scenario::select::level_name;
use crate::scenario::{Claim, Scenario, Step};
use crate::vocabulary::ExpectationKind;
use crate::vocabulary::duration::show;
use crate::vocabulary::policy::policy;

#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The scenario's id
    pub id: String,
    /// Read scenarios from this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
}

/// The rule, where it comes from, the steps, the policies that it depends on, and the mutants
/// that it is there to catch.
pub fn explain(scenario: &Scenario, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}\n{}\n", scenario.id, scenario.title)?;
    writeln!(out, "  from       {}", scenario.spec)?;
    writeln!(out, "  level      {}", level_name(scenario.level))?;
    writeln!(
        out,
        "  intrusion  {} ({})",
        scenario.intrusion.name(),
        scenario.intrusion.meaning()
    )?;
    let needs = scenario.needs();
    if !needs.is_empty() {
        writeln!(out, "  needs      {}", needs.join(", "))?;
    }
    if !scenario.tags.is_empty() {
        writeln!(out, "  tags       {}", scenario.tags.join(", "))?;
    }
    writeln!(out, "  file       {}", scenario.place.source.name)?;
    if let Some(reason) = &scenario.open_road {
        writeln!(out, "  open road  not shown: {reason}")?;
    }
    for (name, choices) in &scenario.matrix {
        let names: Vec<&str> = choices.iter().map(|choice| choice.name.as_str()).collect();
        writeln!(out, "  for each   {name} of {}", names.join(", "))?;
    }
    for (name, value) in &scenario.vars {
        writeln!(out, "  with       {name} = {}", plain(value))?;
    }
    for (title, steps) in [
        ("Steps", &scenario.steps),
        ("At the end, whatever came before", &scenario.finally),
    ] {
        if steps.is_empty() {
            continue;
        }
        writeln!(out, "\n{title}")?;
        for (index, step) in steps.iter().enumerate() {
            describe(index + 1, step, out)?;
        }
    }
    policies(scenario, out)?;
    mutants(scenario, out)
}

fn describe(number: usize, step: &Step, out: &mut impl Write) -> io::Result<()> {
    let mut line = format!("{number:3}. {}", step.verb);
    if let Some(value) = step.args.get(step.verb) {
        line.push_str(&format!(" {}", plain(value)));
    }
    let others: Vec<String> = step
        .args
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.as_str() != step.verb)
        .map(|(key, value)| format!("{key} {}", plain(value)))
        .collect();
    if !others.is_empty() {
        line.push_str(&format!(", {}", others.join(", ")));
    }
    if let Some(name) = &step.bind {
        line.push_str(&format!(", called {name} from here on"));
    }
    writeln!(out, "{line}")?;
    for expectation in &step.expectations {
        let word = match expectation.kind {
            ExpectationKind::Check => "must",
            ExpectationKind::Given => "given",
            ExpectationKind::Needs => "needs",
            ExpectationKind::Fact => "fact",
        };
        for line in expectation_in_words(&expectation.claim, step.verb) {
            writeln!(out, "       {word:5}  {line}")?;
        }
    }
    let times = [
        ("within", step.within),
        ("every", step.every),
        ("for as long as", step.holds_for),
    ];
    for (word, time) in times {
        if let Some(time) = time {
            writeln!(out, "       {word} {}", show(time))?;
        }
    }
    if let Some(reason) = &step.reason {
        writeln!(out, "       else skipped: {reason}")?;
    }
    Ok(())
}

fn policies(scenario: &Scenario, out: &mut impl Write) -> io::Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for step in scenario.steps.iter().chain(&scenario.finally) {
        for expectation in &step.expectations {
            if let Claim::Policy { name, .. } = &expectation.claim
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        }
    }
    let policies: Vec<_> = names.into_iter().filter_map(policy).collect();
    if policies.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nPolicies")?;
    for policy in policies {
        writeln!(
            out,
            "  {}: {} ({}; the reference platform: {}). Where a profile declares none, the check is skipped.",
            policy.name,
            policy.meaning,
            policy.choices().join(", "),
            policy.reference
        )?;
    }
    Ok(())
}

fn mutants(scenario: &Scenario, out: &mut impl Write) -> io::Result<()> {
    let caught: Vec<_> = mutant::all().filter(|mutant| mutant.row == scenario.row()).collect();
    if caught.is_empty() {
        return writeln!(out, "\nNo mutant breaks this row.");
    }
    writeln!(out, "\nMutants that it must catch")?;
    for mutant in caught {
        writeln!(out, "  {}: {}", mutant.name, mutant.defect)?;
    }
    Ok(())
}

/// A value as a file would have it, on one line.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::load;

    #[test]
    fn every_scenario_can_be_explained() {
        for scenario in load(None).expect("the built-in ones are good") {
            let mut out = Vec::new();
            explain(&scenario, &mut out).expect("written");
            let text = String::from_utf8(out).expect("UTF-8");
            assert!(text.contains(&scenario.spec), "{text}");
        }
    }

    #[test]
    fn a_story_in_words() {
        let scenarios = load(None).expect("the built-in ones are good");
        let stale = scenarios
            .iter()
            .find(|s| s.id == "harness-token/warm/stale")
            .expect("it is there");
        let mut out = Vec::new();
        explain(stale, &mut out).expect("written");
        insta::assert_snapshot!(String::from_utf8(out).expect("UTF-8"));
    }
}
