//! Collects a run from its events, for reports written at its end.

use std::sync::Arc;
use std::time::Duration;

use super::words::Outcome;
use crate::events::{Event, RunInfo, RunOf, RunResult, RunVerdict, ScenarioResult, Summary};

/// What has happened so far.
#[derive(Default)]
pub(super) struct Collected {
    info: Option<Arc<RunInfo>>,
    scenarios: Vec<Arc<ScenarioResult>>,
    result: Option<Arc<RunResult>>,
}

/// A whole run.
pub(super) struct Run {
    pub(super) info: Arc<RunInfo>,
    /// By id, parameters and repetition.
    pub(super) scenarios: Vec<Arc<ScenarioResult>>,
    pub(super) result: Arc<RunResult>,
}

impl Collected {
    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted(info) => self.info = Some(Arc::clone(info)),
            Event::ScenarioFinished(result) => self.scenarios.push(Arc::clone(result)),
            Event::RunFinished(result) => self.result = Some(Arc::clone(result)),
            Event::ScenarioStarted(_) | Event::StepStarted { .. } => {}
        }
    }

    /// The run; none if it never began. One that never ended gets the verdict
    /// `error`, so that a report of it can't be taken for that of a good run.
    pub(super) fn take(&mut self) -> Option<Run> {
        let Collected {
            info,
            mut scenarios,
            result,
        } = std::mem::take(self);
        let info = info?;
        scenarios.sort_by(|a, b| key(&a.run).cmp(&key(&b.run)));
        let result = result.unwrap_or_else(|| Arc::new(broken_off(&info, &scenarios)));
        Some(Run {
            info,
            scenarios,
            result,
        })
    }
}

/// What runs are ordered by.
pub(super) fn key(run: &RunOf) -> (&str, &[(String, String)], Option<u32>) {
    (&run.id, &run.parameters, run.repetition)
}

fn broken_off(info: &RunInfo, scenarios: &[Arc<ScenarioResult>]) -> RunResult {
    let mut summary = Summary::default();
    for scenario in scenarios {
        match Outcome::of(scenario) {
            Outcome::Pass => summary.pass += 1,
            Outcome::Fail | Outcome::UnexpectedPass => summary.fail += 1,
            Outcome::ExpectedFailure => summary.expected += 1,
            Outcome::Error => summary.error += 1,
            Outcome::Interrupted => summary.interrupted += 1,
            Outcome::Skip => summary.skip += 1,
            Outcome::Flaky | Outcome::ToleratedFlaky => summary.flaky += 1,
        }
    }
    let done = scenarios.len();
    RunResult {
        summary,
        verdict: RunVerdict::Error,
        duration: scenarios.iter().map(|s| s.duration).max().unwrap_or(Duration::ZERO),
        notes: vec![format!(
            "the run broke off after {done} of {} scenarios: gauntlet itself has failed",
            info.scenarios
        )],
    }
}
