//! The plan: scenarios times matrix times repetitions, in a stable order.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::story::at_of;
use crate::events::{RunOf, ScenarioResult, Verdict};
use crate::scenario::Scenario;
use crate::vocabulary::Contract;
use crate::vocabulary::Level;

/// Which levels run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Levels {
    #[default]
    Core,
    Extended,
    All,
}

impl Levels {
    pub fn name(self) -> &'static str {
        match self {
            Levels::Core => "core",
            Levels::Extended => "extended",
            Levels::All => "all",
        }
    }

    pub fn has(self, level: Level) -> bool {
        match self {
            Levels::Core => level == Level::Core,
            Levels::Extended => level == Level::Extended,
            Levels::All => true,
        }
    }
}

/// One run of one scenario.
#[derive(Clone, Debug)]
pub struct Planned {
    pub scenario: Arc<Scenario>,
    pub run: RunOf,
    /// Values of the matrix, templates.
    pub parameters: Vec<(String, Value)>,
    /// Whether nothing else may run beside it.
    pub alone: bool,
}

impl Planned {
    /// The contract that it is about.
    pub fn contract(&self) -> Contract {
        Contract::named(self.scenario.contract())
    }

    /// The result of a run of which nothing is known but that it was planned: an `error` so far.
    pub fn result(&self, duration: Duration) -> ScenarioResult {
        ScenarioResult {
            run: self.run.clone(),
            title: self.scenario.title.clone(),
            spec: self.scenario.spec.clone(),
            at: Some(at_of(&self.scenario.place)),
            level: self.scenario.level,
            verdict: Verdict::Error,
            reason: None,
            interrupted: false,
            duration,
            attaches: Vec::new(),
            checks: Vec::new(),
            facts: Vec::new(),
            evidence: Vec::new(),
            reproduce: Vec::new(),
            expected_failure: None,
            expired_expectation: None,
            flaky: None,
        }
    }
}

/// The tag of scenarios that measure time: what runs beside them would be measured too.
const ALONE: &str = "timing";

/// A part of a plan: `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From 1.
    pub part: usize,
    pub of: usize,
}

/// A text that names no part of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a partition such as 2/5 (1/N to N/N)")]
pub struct NoPartition {
    text: String,
}

impl std::str::FromStr for Partition {
    type Err = NoPartition;

    fn from_str(text: &str) -> Result<Partition, NoPartition> {
        let numbers = text
            .split_once('/')
            .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((part, of)) if part >= 1 && part <= of => Ok(Partition { part, of }),
            _ => Err(NoPartition { text: text.to_owned() }),
        }
    }
}

/// All runs of these scenarios, in the order of their ids. `repeat` above 1 numbers the repetitions.
pub fn plan(scenarios: &[Arc<Scenario>], repeat: u32) -> Vec<Planned> {
    let mut planned = Vec::new();
    for repetition in 1..=repeat.max(1) {
        for scenario in scenarios {
            for combination in scenario.combinations() {
                let named =
                    |(name, choice): &(&str, &crate::scenario::Choice)| ((*name).to_owned(), choice.name.clone());
                planned.push(Planned {
                    scenario: scenario.clone(),
                    run: RunOf {
                        id: scenario.id.clone(),
                        parameters: combination.iter().map(named).collect(),
                        repetition: (repeat > 1).then_some(repetition),
                    },
                    alone: scenario.tags.iter().any(|tag| tag == ALONE),
                    parameters: combination
                        .iter()
                        .map(|(n, choice)| ((*n).to_owned(), choice.value.clone()))
                        .collect(),
                });
            }
        }
    }
    planned
}

/// The runs of one part: every `of`-th, so that parts take about as long.
pub fn part(planned: Vec<Planned>, partition: Partition) -> Vec<Planned> {
    planned
        .into_iter()
        .skip(partition.part - 1)
        .step_by(partition.of)
        .collect()
}
