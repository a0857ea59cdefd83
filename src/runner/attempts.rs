//! What did not pass is tried again, where that was asked for.

use std::sync::Arc;

use tracing::debug;

use super::context::RunContext;
use super::execute::execute;
use super::plan::Planned;
use crate::events::{Event, Flaky, ScenarioResult, Verdict};
use crate::expected::Expected;
use crate::redact::Redactor;

/// How often a run is tried, and what it counts if a later attempt passes.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    /// Attempts after the first one, at most.
    pub retries: u32,
    /// Whether what is flaky may pass.
    pub tolerated: bool,
    /// Failures that are as they should be: they are not tried again.
    pub expected: Arc<Expected>,
}

impl Attempts {
    /// Runs a scenario until it passes, or the attempts are used up.
    ///
    /// The result is that of the first attempt: it has what went wrong. If a later one passes, it says so.
    pub async fn run(
        &self,
        planned: &Planned,
        shared: &RunContext,
        secrets: &Redactor,
        tell: &(dyn Fn(Event) + Send + Sync),
    ) -> ScenarioResult {
        let mut result = execute(planned, shared, secrets, tell).await;
        if !self.is_tried_again(&result) {
            return result;
        }
        for attempt in 1..=self.retries {
            if shared.stop.is_cancelled() {
                break;
            }
            debug!(attempt = attempt.saturating_add(1), "the scenario is tried again");
            let again = execute(planned, shared, secrets, tell).await;
            result.duration += again.duration;
            if again.verdict == Verdict::Pass {
                self.passed(&mut result, attempt.saturating_add(1));
                break;
            }
        }
        result
    }

    fn is_tried_again(&self, result: &ScenarioResult) -> bool {
        let is_bad = matches!(result.verdict, Verdict::Fail | Verdict::Error) && !result.interrupted;
        let mut judged = result.clone();
        self.expected.apply(&mut judged);
        is_bad && judged.expected_failure.is_none()
    }

    /// Says in the result of the first attempt which one passed.
    fn passed(&self, result: &mut ScenarioResult, passed_on: u32) {
        result.flaky = Some(Flaky {
            passed_on,
            tolerated: self.tolerated,
        });
        let before = result.reason.take().map(|reason| format!("; before: {reason}"));
        result.reason = Some(format!(
            "it passed on attempt {passed_on}{}",
            before.unwrap_or_default()
        ));
    }
}
