//! A whole run: many scenarios at once, their results, and the verdict.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tracing::{debug, info_span};

use super::attempts::Attempts;
use super::plan::Planned;
use super::schedule::{Ended, Told, job, schedule};
use crate::events::{Event, RunInfo, RunResult, RunVerdict, ScenarioResult, Summary, Verdict};
use crate::expected::Expected;
use crate::runner::context::RunContext;
use crate::vocabulary::Level;

/// The end of what is noted where a run ended early.
pub const NOT_STARTED: &str = "not started";

/// How scenarios are run, and what their results count.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Scenarios at once.
    pub jobs: usize,
    /// No further scenario starts after a failure.
    pub fail_fast: bool,
    /// Skipped core scenarios don't make the run partial.
    pub allow_partial: bool,
    /// Failures that don't fail the run.
    pub expected: Expected,
    /// How often what did not pass is tried again.
    pub retries: u32,
    /// What passed only when it was tried again doesn't fail the run.
    pub flaky_passes: bool,
    /// What a reader should know of the run as a whole, before it starts.
    pub notes: Vec<String>,
}

/// Runs all that is planned. `tell` hears of everything, in order.
pub async fn run(
    planned: Vec<Planned>,
    shared: Arc<RunContext>,
    terms: Terms,
    info: RunInfo,
    mut tell: impl FnMut(Event),
) -> RunResult {
    let started = Instant::now();
    let span = info_span!("run", seed = info.seed, on = %info.target);
    tell(Event::RunStarted(Arc::new(info)));
    shared.share(&planned);
    let attempts = Attempts {
        retries: terms.retries,
        tolerated: terms.flaky_passes,
        expected: Arc::new(terms.expected.clone()),
    };
    let jobs = planned
        .into_iter()
        .map(|planned| job((), planned, shared.clone(), attempts.clone()));
    let jobs: Vec<_> = span.in_scope(|| jobs.collect());
    span.in_scope(|| debug!(scenarios = jobs.len(), at_once = terms.jobs, "the run begins"));
    let mut results: Vec<Arc<ScenarioResult>> = Vec::new();
    let left = schedule(jobs, terms.jobs, &shared.stop, |told| match told {
        Told::Event(event) => {
            tell(event);
            ControlFlow::Continue(())
        }
        Told::Ended(Ended {
            mut result, secrets, ..
        }) => {
            terms.expected.apply(&mut result);
            let ends = terms.fail_fast && failed(&result);
            let result = Arc::new(result);
            tell(Event::ScenarioFinished(result.clone()));
            secrets.retire();
            results.push(result);
            if ends {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    })
    .await;
    let result = sum(&results, left, &shared, terms, started);
    span.in_scope(|| debug!(verdict = ?result.verdict, "the run is over"));
    tell(Event::RunFinished(Arc::new(result.clone())));
    result
}

/// Whether a result fails the run: a pass that was not expected does as well.
fn failed(result: &ScenarioResult) -> bool {
    match result.verdict {
        _ if result.flaky.is_some() => fails_as_flaky(result, Verdict::Fail),
        Verdict::Fail => result.expected_failure.is_none(),
        Verdict::Pass => result.expected_failure.is_some(),
        Verdict::Error | Verdict::Skip => false,
    }
}

/// Whether a result counts as this verdict though it passed when it was tried again.
fn fails_as_flaky(result: &ScenarioResult, verdict: Verdict) -> bool {
    result.flaky.is_some_and(|flaky| !flaky.tolerated) && result.verdict == verdict
}

fn sum(results: &[Arc<ScenarioResult>], left: usize, shared: &RunContext, terms: Terms, started: Instant) -> RunResult {
    let mut summary = Summary::default();
    for result in results {
        match result.verdict {
            _ if result.flaky.is_some() => summary.flaky += 1,
            _ if failed(result) => summary.fail += 1,
            Verdict::Pass => summary.pass += 1,
            Verdict::Fail => summary.expected += 1,
            Verdict::Error if result.interrupted => summary.interrupted += 1,
            Verdict::Error => summary.error += 1,
            Verdict::Skip => summary.skip += 1,
        }
    }
    summary.not_started = left;
    let mut notes = terms.notes;
    if left > 0 {
        notes.push(format!("{} {NOT_STARTED}", count(left, "scenario")));
    }
    let core_skipped = results
        .iter()
        .filter(|r| r.verdict == Verdict::Skip && r.level == Level::Core)
        .count();
    if core_skipped > 0 {
        notes.push(format!("{} skipped", count(core_skipped, "core scenario")));
    }
    let flaky = |verdict| results.iter().any(|result| fails_as_flaky(result, verdict));
    let verdict = if shared.stop.is_cancelled() {
        RunVerdict::Interrupted
    } else if summary.fail > 0 || flaky(Verdict::Fail) {
        RunVerdict::Failed
    } else if summary.error > 0 || flaky(Verdict::Error) {
        RunVerdict::Error
    } else if summary.pass + summary.expected + summary.flaky == 0 {
        RunVerdict::NothingRan
    } else if (core_skipped > 0 || left > 0) && !terms.allow_partial {
        RunVerdict::Partial
    } else {
        RunVerdict::Passed
    };
    RunResult {
        summary,
        verdict,
        duration: started.elapsed(),
        notes,
    }
}

/// `1 scenario was`, `2 scenarios were`.
fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what} was"),
        n => format!("{n} {what}s were"),
    }
}
