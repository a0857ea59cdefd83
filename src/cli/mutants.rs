//! `gauntlet mutants`: the defects that the reference platform can be started with.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::selection::select;
use super::{LevelName, ListFormat};
use crate::cli::exit::UsageError;
use crate::platform::Mutant;
use crate::platform::mutant::{all, by_name};
use crate::scenario::Scenario;
use crate::vocabulary::similar::nearest;

#[derive(Clone, Debug, Args)]
pub struct Mutants {
    /// Which mutants: their names, or selectors of the scenarios whose rows they break; without any, all of them
    #[arg(value_name = "NAME|SELECTOR")]
    pub selectors: Vec<String>,
    /// Read scenarios from this folder instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// A mutant as the list has it.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    row: &'static str,
    defect: &'static str,
    /// The real gateway whose configuration it breaks.
    gateway: Option<&'static str>,
}

/// Those that have one of these names, or break a row of the selected scenarios; all where nothing is named.
///
/// # Errors
/// A selector that is no mutant's name, and matches no scenario.
pub fn chosen(scenarios: &[Scenario], selectors: &[String]) -> Result<Vec<&'static Mutant>, UsageError> {
    let (names, rest): (Vec<String>, Vec<String>) = selectors
        .iter()
        .cloned()
        .partition(|selector| by_name(selector).is_some());
    let rows: HashSet<String> = match rest.is_empty() && !names.is_empty() {
        true => HashSet::new(),
        false => {
            let selected = select(scenarios, &rest, LevelName::All).map_err(|error| with_near(error, &rest))?;
            selected
                .scenarios
                .into_iter()
                .map(|scenario| scenario.row().to_owned())
                .collect()
        }
    };
    let is_chosen = |mutant: &&Mutant| rows.contains(mutant.row) || names.iter().any(|name| name == mutant.name);
    Ok(all().filter(is_chosen).collect())
}

/// The error, with the name of a mutant that may have been meant.
fn with_near(error: UsageError, selectors: &[String]) -> UsageError {
    let mut near = selectors
        .iter()
        .filter_map(|selector| nearest(selector, all().map(|mutant| mutant.name)));
    match near.next() {
        Some(near) => UsageError(format!("{error}; there is a mutant {near}")),
        None => error,
    }
}

/// A line for each mutant: name, row, defect.
pub fn text(mutants: &[&Mutant], out: &mut impl Write) -> io::Result<()> {
    let width = |of: fn(&Mutant) -> &str| mutants.iter().map(|mutant| of(mutant).len()).max().unwrap_or(0);
    let (names, rows) = (width(|mutant| mutant.name), width(|mutant| mutant.row));
    for Mutant { name, row, defect } in mutants {
        writeln!(out, "{name:names$}  {row:rows$}  {defect}")?;
    }
    Ok(())
}

/// A JSON list.
pub fn json(mutants: &[&'static Mutant], out: &mut impl Write) -> io::Result<()> {
    let entries: Vec<Entry> = mutants
        .iter()
        .map(|mutant| Entry {
            name: mutant.name,
            row: mutant.row,
            defect: mutant.defect,
            gateway: mutant.gateway().map(|road| road.name()),
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &entries)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::load;

    fn names(selectors: &[&str]) -> Result<Vec<&'static str>, UsageError> {
        let scenarios = load(None).expect("the built-in ones are good");
        let selectors: Vec<String> = selectors.iter().map(|text| (*text).to_owned()).collect();
        let chosen = chosen(&scenarios, &selectors)?;
        Ok(chosen.into_iter().map(|mutant| mutant.name).collect())
    }

    #[test]
    fn by_name_by_row_or_all() {
        assert_eq!(names(&[]).expect("all").len(), all().count());
        assert_eq!(names(&["keystrokes-lost"]).expect("one"), ["keystrokes-lost"]);
        let of_row = names(&["harness-token/token/refuse"]).expect("some");
        assert!(of_row.contains(&"empty-token-opens"), "{of_row:?}");
        assert!(!of_row.contains(&"keystrokes-lost"), "{of_row:?}");
        let both = names(&["harness-token/token/refuse", "keystrokes-lost"]).expect("some");
        assert_eq!(both.len(), of_row.len() + 1);
    }

    #[test]
    fn a_name_that_is_near_is_told() {
        let said = names(&["keystroke-lost"]).expect_err("there is none").to_string();
        assert!(said.ends_with("; there is a mutant keystrokes-lost"), "{said}");
    }
}
