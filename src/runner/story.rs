//! Executes the steps of one run and collects their results.

use std::collections::BTreeMap;

use tracing::{Instrument, debug, info_span};

use super::plan::Planned;
use super::step::{Attempt, Judged, StepRunner};
use crate::events::{At, CheckResult, Event, Evidence, FINALLY, FactResult, RunOf, Verdict};
use crate::runner::context::RunContext;
use crate::scenario::{Expectation, Step};
use crate::steps::{StepContext, StepError};
use crate::template::{Scope, render};
use crate::vocabulary::ExpectationKind;
use crate::yaml::Place;

/// Why a story did not come to its end: a step that could not be carried out.
#[derive(Debug, thiserror::Error)]
#[error("{}{}:{}: {source}", if *finally { "in `finally`: " } else { "" }, place.source.name, place.line)]
pub struct StoryError {
    /// Whether the step is one of `finally`.
    finally: bool,
    place: Place,
    source: StepError,
}

/// The state of a run so far.
#[derive(Default)]
pub struct Record {
    pub checks: Vec<CheckResult>,
    pub facts: Vec<FactResult>,
    pub evidence: Vec<Evidence>,
    pub reproduce: Vec<String>,
}

impl Record {
    pub fn judged(&self, verdict: Verdict) -> bool {
        self.checks.iter().any(|check| check.verdict == verdict)
    }

    /// Whether somebody should look at the results so far.
    pub fn is_bad(&self) -> bool {
        self.judged(Verdict::Fail) || self.judged(Verdict::Error)
    }

    /// Failures may have a cause other than the platform.
    pub fn doubt(&mut self, why: &str) {
        for check in self.checks.iter_mut().filter(|check| check.verdict == Verdict::Fail) {
            let seen = check.why();
            check.verdict = Verdict::Error;
            check.reason = Some(format!("{why}; seen was: {seen}"));
        }
    }

    /// The worst of the checks, with why; a run in which nothing was judged proves nothing.
    pub fn verdict(&self) -> (Verdict, Option<String>) {
        for verdict in [Verdict::Fail, Verdict::Error, Verdict::Skip] {
            if let Some(check) = self.checks.iter().find(|check| check.verdict == verdict) {
                return (verdict, Some(check.why()));
            }
        }
        match self.judged(Verdict::Pass) {
            true => (Verdict::Pass, None),
            false => (
                Verdict::Skip,
                Some("nothing was judged, only facts were observed".into()),
            ),
        }
    }
}

/// The steps of a scenario on their way.
pub struct Story<'a> {
    pub planned: &'a Planned,
    pub shared: &'a RunContext,
    tell: &'a (dyn Fn(Event) + Send + Sync),
    pub context: &'a StepContext,
    scope: Scope,
    pub record: &'a mut Record,
    /// Steps that can't be carried out here, by their place, each with why: the others are.
    left_out: BTreeMap<usize, String>,
    /// The step that is being carried out, in words: `in step 2 of 5 (attach)`.
    pub under_way: String,
    /// The step that is being carried out, or that the story ended in.
    pub last: Option<&'a Step>,
    /// All steps were carried out, and what they need and expect held.
    whole: bool,
}

impl<'a> Story<'a> {
    pub fn new(
        planned: &'a Planned,
        shared: &'a RunContext,
        tell: &'a (dyn Fn(Event) + Send + Sync),
        context: &'a StepContext,
        scope: Scope,
        record: &'a mut Record,
        left_out: BTreeMap<usize, String>,
    ) -> Story<'a> {
        Story {
            planned,
            shared,
            tell,
            context,
            scope,
            record,
            left_out,
            under_way: String::new(),
            last: None,
            whole: false,
        }
    }

    /// The steps in order, up to one that doesn't hold.
    pub async fn steps(&mut self) -> Result<(), StoryError> {
        let planned: &'a Planned = self.planned;
        let steps = &planned.scenario.steps;
        for (index, step) in steps.iter().enumerate() {
            let (number, of) = (index + 1, steps.len());
            if let Some(why) = self.left_out.get(&index) {
                let checks = not_judged(&self.planned.run, step, number, why);
                self.record.checks.extend(checks);
                continue;
            }
            self.under_way = format!("in step {number} of {of} (`{}`)", step.verb);
            self.last = Some(step);
            (self.tell)(Event::StepStarted {
                run: self.planned.run.clone(),
                number,
                of,
                what: step.verb.to_owned(),
            });
            if !self.step(step, number).await? {
                return Ok(());
            }
        }
        self.whole = true;
        self.last = None;
        Ok(())
    }

    /// Carries out a step; returns whether to continue.
    async fn step(&mut self, step: &Step, number: usize) -> Result<bool, StoryError> {
        let (attempts, ended) = self.attempt(step).await;
        let mut goes_on = true;
        for Attempt { what, judged, facts } in attempts {
            for (position, judged) in judged.into_iter().enumerate() {
                goes_on &= judged.verdict == Verdict::Pass;
                let id = format!("{}#{number}.{}", self.planned.run, position + 1);
                self.record.checks.push(check(id, what.clone(), judged));
            }
            self.record
                .facts
                .extend(facts.into_iter().map(|(name, value, place)| FactResult {
                    name,
                    value,
                    at: at_of(&place),
                }));
        }
        ended.map(|()| goes_on).map_err(|source| StoryError {
            finally: false,
            place: step.place.clone(),
            source,
        })
    }

    async fn attempt(&mut self, step: &Step) -> (Vec<Attempt>, Result<(), StepError>) {
        let runner = StepRunner {
            step,
            context: self.context,
            policies: &self.shared.policies,
        };
        let mut attempts = Vec::new();
        let span = info_span!("step", verb = step.verb, line = step.place.line);
        let ended = async {
            debug!("the step begins");
            let ended = runner.run(&mut self.scope, &mut attempts).await;
            match &ended {
                Ok(()) => debug!(attempts = attempts.len(), "the step is over"),
                Err(error) => debug!(%error, "the step could not be carried out"),
            }
            ended
        };
        let ended = ended.instrument(span).await;
        (attempts, ended)
    }

    /// All steps of `finally`, whatever becomes of each. What doesn't hold there says nothing of the
    /// rule, and that the platform is not what the scenario leaves behind.
    pub async fn finally(&mut self) -> Result<(), StoryError> {
        let mut first = Ok(());
        for (index, step) in self.planned.scenario.finally.iter().enumerate() {
            if !self.whole && self.is_about_what_never_was(step) {
                continue;
            }
            let (attempts, ended) = self.attempt(step).await;
            for Attempt { what, judged, .. } in attempts {
                for (position, judged) in judged.into_iter().enumerate() {
                    if judged.verdict == Verdict::Error {
                        let id = format!("{}#{FINALLY}{}.{}", self.planned.run, index + 1, position + 1);
                        let what = format!("{what}, in `finally`");
                        self.record.checks.push(check(id, what, judged));
                    }
                }
            }
            if let (Ok(()), Err(source)) = (&first, ended) {
                first = Err(StoryError {
                    finally: true,
                    place: step.place.clone(),
                    source,
                });
            }
        }
        first
    }

    /// Whether a step is about something that the story ended before.
    fn is_about_what_never_was(&self, step: &Step) -> bool {
        let scope = self.scope.with("door", "".into());
        render(&step.args, &scope).is_err_and(|error| error.undefined.is_some())
    }
}

/// The checks of a step that was left out.
fn not_judged(run: &RunOf, step: &Step, number: usize, why: &str) -> Vec<CheckResult> {
    let checks = step.expectations.iter().enumerate();
    let checks = checks.filter(|(_, expectation)| expectation.kind == ExpectationKind::Check);
    let skipped = |(position, expectation): (usize, &Expectation)| CheckResult {
        id: format!("{run}#{number}.{}", position + 1),
        kind: expectation.kind,
        verdict: Verdict::Skip,
        what: format!("step `{}`", step.verb),
        expected: expectation.place.text().trim().to_owned(),
        got: "nothing: it was left out".to_owned(),
        reason: Some(why.to_owned()),
        at: at_of(&expectation.place),
    };
    checks.map(skipped).collect()
}

fn check(id: String, what: String, judged: Judged) -> CheckResult {
    CheckResult {
        id,
        kind: judged.kind,
        verdict: judged.verdict,
        what,
        expected: judged.expected,
        got: judged.got,
        reason: judged.reason,
        at: at_of(&judged.place),
    }
}

/// Lines before a place that are told with it.
const BEFORE: u32 = 3;

/// A place as events have it.
pub(super) fn at_of(place: &Place) -> At {
    At {
        file: place.source.name.clone(),
        line: place.line,
        column: place.column,
        text: place.text().to_owned(),
        before: (place.line.saturating_sub(BEFORE).max(1)..place.line)
            .map(|line| place.source.line(line).to_owned())
            .collect(),
    }
}
