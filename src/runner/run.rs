//! A whole run: many scenarios at once, what became of each, and the verdict.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::events::{Event, RunInfo, RunResult, RunVerdict, ScenarioResult, Summary, Verdict};
use super::execute::{Shared, execute};
use super::plan::{Planned, alone_last};
use super::reproduce::reproduce;
use crate::expected::Expected;
use crate::redact::Redactor;
use crate::scenario::Level;

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
    /// What a reader should know of the run as a whole, before it starts.
    pub notes: Vec<String>,
}

/// Runs all that is planned. `tell` hears of everything, in order.
pub async fn run(
    planned: Vec<Planned>,
    shared: Arc<Shared>,
    terms: Terms,
    info: RunInfo,
    mut tell: impl FnMut(Event),
) -> (RunResult, Vec<Arc<ScenarioResult>>) {
    let started = Instant::now();
    tell(Event::RunStarted(Arc::new(info)));
    let (events, mut inbox) = mpsc::unbounded_channel();
    let mut waiting = alone_last(planned).into_iter().peekable();
    let mut running = JoinSet::new();
    let mut results: Vec<Arc<ScenarioResult>> = Vec::new();
    let mut goes_on = true;
    loop {
        while goes_on && running.len() < terms.jobs.max(1) && !shared.stop.is_cancelled() {
            // Behind a run that is alone there are only such, so none is ever joined by another.
            let fits = |next: &Planned| !next.alone || running.is_empty();
            let Some(next) = waiting.next_if(fits) else { break };
            running.spawn(one(next, shared.clone(), events.clone()));
        }
        if running.is_empty() {
            break;
        }
        tokio::select! {
            Some(event) = inbox.recv() => tell(event),
            Some(ended) = running.join_next() => {
                while let Ok(event) = inbox.try_recv() {
                    tell(event);
                }
                match ended {
                    Ok((mut result, secrets)) => {
                        terms.expected.apply(&mut result);
                        goes_on &= !(terms.fail_fast && failed(&result));
                        let result = Arc::new(result);
                        tell(Event::ScenarioFinished(result.clone()));
                        secrets.retire();
                        results.push(result);
                    }
                    // `one` catches panics; a task ends otherwise only with the runtime.
                    Err(_) => goes_on = false,
                }
            }
        }
    }
    let left = waiting.count();
    let result = sum(&results, left, &shared, terms, started);
    tell(Event::RunFinished(Arc::new(result.clone())));
    (result, results)
}

/// A result, and the secrets that it may hold until it is told.
async fn one(
    planned: Planned,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Event>,
) -> (ScenarioResult, Redactor) {
    let secrets = shared.redactor.scope();
    // The receiver lives as long as the run: what can't be told then is no longer of interest.
    let tell = move |event| drop(events.send(event));
    tell(Event::ScenarioStarted(planned.run.clone()));
    let started = Instant::now();
    let executed = AssertUnwindSafe(execute(&planned, &shared, &secrets, &tell));
    let result = match executed.catch_unwind().await {
        Ok(result) => result,
        // A panic in the harness is a defect of it, and says nothing of the platform.
        Err(_) => ScenarioResult {
            reason: Some("the harness itself broke; what it said is on standard error".into()),
            reproduce: reproduce(&planned, &shared, None),
            ..ScenarioResult::of(&planned, started.elapsed())
        },
    };
    (result, secrets)
}

/// Whether a result fails the run: a pass that was not expected does as well.
fn failed(result: &ScenarioResult) -> bool {
    match result.verdict {
        Verdict::Fail => result.expected_failure.is_none(),
        Verdict::Pass => result.expected_failure.is_some(),
        Verdict::Error | Verdict::Skip => false,
    }
}

fn sum(results: &[Arc<ScenarioResult>], left: usize, shared: &Shared, terms: Terms, started: Instant) -> RunResult {
    let mut summary = Summary::default();
    for result in results {
        match result.verdict {
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
    let verdict = if shared.stop.is_cancelled() {
        RunVerdict::Interrupted
    } else if summary.fail > 0 {
        RunVerdict::Failed
    } else if summary.error > 0 {
        RunVerdict::Error
    } else if summary.pass + summary.expected == 0 {
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
