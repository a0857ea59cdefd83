//! One run of one scenario: its world, its steps, its verdict.

mod broken;
mod variables;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};

use super::context::RunContext;
use super::eligibility::Fit;
use super::evidence;
use super::plan::Planned;
use super::reproduce::reproduce;
use super::sharing::need;
use super::story::{Record, Story};
use crate::events::{Event, ScenarioResult, Verdict};
use crate::redact::Redactor;
use crate::steps::{StepContext, session};
use crate::template::Scope;
use crate::world::operations::prepare;
use crate::world::{Target, World};
use broken::Broken;
use variables::{seed_of, variables};
use world::{end, register_secrets, setup, world_of};

/// Longest time that the taking of evidence may take.
const EVIDENCE_WITHIN: Duration = Duration::from_secs(15);

/// Longest time that a scenario's `finally` may take.
const FINALLY_WITHIN: Duration = Duration::from_secs(15);

/// Longest time that a look at what else happened meanwhile may take.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// Runs a scenario to its verdict. `tell` hears of the steps, `secrets` of what must not be told.
pub async fn execute(
    planned: &Planned,
    shared: &RunContext,
    secrets: &Redactor,
    tell: &(dyn Fn(Event) + Send + Sync),
) -> ScenarioResult {
    let started = Instant::now();
    if let Some(reason) = unfit(planned, shared) {
        return ScenarioResult {
            verdict: Verdict::Skip,
            reason: Some(reason),
            ..planned.result(Duration::ZERO)
        };
    }
    let (mut record, since) = (Record::default(), Timestamp::now());
    let ended = live(planned, shared, secrets, tell, &mut record).await;
    if record.judged(Verdict::Fail)
        && let Ok(Some(why)) = timeout(LOOK_WITHIN, shared.target.disruption_since(since)).await
    {
        record.doubt(&why);
    }
    let (judged, reason) = record.verdict();
    let mut interrupted = false;
    let (verdict, reason) = match (ended, judged) {
        (Ok(()), _) => (judged, reason),
        // What was seen stands, whatever broke after it.
        (Err(broken), Verdict::Fail | Verdict::Error) => {
            let seen = reason.unwrap_or_default();
            (judged, Some(format!("{seen}; and then, {broken}")))
        }
        (Err(broken), Verdict::Pass | Verdict::Skip) => {
            interrupted = matches!(broken, Broken::Interrupted(_));
            (Verdict::Error, Some(broken.to_string()))
        }
    };
    if record.reproduce.is_empty() && matches!(verdict, Verdict::Fail | Verdict::Error) {
        record.reproduce = reproduce(planned, shared, None, None);
    }
    let duration = started.elapsed();
    ScenarioResult {
        verdict,
        reason,
        interrupted,
        attaches: record.attaches,
        checks: record.checks,
        facts: record.facts,
        evidence: record.evidence,
        reproduce: record.reproduce,
        ..planned.result(duration)
    }
}

/// What runs are matched against; none where each has a platform of its own.
fn fit(shared: &RunContext) -> Option<Fit<'_>> {
    match &shared.target {
        Target::Installation(installation) => Some(Fit {
            installation,
            policies: &shared.policies,
            routes: &shared.routes,
            names: &shared.names,
        }),
        Target::Embedded(..) | Target::Kind(_) => None,
    }
}

/// Why a run can't be on the target.
fn unfit(planned: &Planned, shared: &RunContext) -> Option<String> {
    fit(shared)?.unfit(planned)
}

/// The steps that a run does without on the target, each with why.
fn left_out(planned: &Planned, shared: &RunContext) -> BTreeMap<usize, String> {
    fit(shared).map(|fit| fit.left_out(planned)).unwrap_or_default()
}

/// The world's life around the steps. `Err` says why the harness could not tell.
async fn live(
    planned: &Planned,
    shared: &RunContext,
    secrets: &Redactor,
    tell: &(dyn Fn(Event) + Send + Sync),
    record: &mut Record,
) -> Result<(), Broken> {
    let limit = planned.scenario.timeout.unwrap_or(shared.timeout);
    let deadline = Instant::now() + limit;
    let mut scope = Scope::new(seed_of(&planned.run, shared.seed));
    let setup = setup(&scope, planned, shared, secrets)?;
    let stay = need(planned).and_then(|need| shared.worlds.enter(&need, &planned.run));
    let making = world_of(planned, shared, setup);
    let getting = async {
        match &stay {
            Some(stay) => stay.world(making).await,
            None => making.await.map(Arc::new),
        }
    };
    let starting = "while its world was starting";
    let world = tokio::select! {
        world = timeout_at(deadline, getting) => match world {
            Ok(world) => world?,
            Err(_) => return Err(Broken::late(limit, starting)),
        },
        () = shared.stop.cancelled() => return Err(Broken::Interrupted(starting.to_owned())),
    };
    if world.installation().is_some() {
        // They are all scenarios' and stay what they are.
        let secrets = [&world.token, &world.master_key, &world.jwt_secret];
        register_secrets(&shared.redactor, planned.contract(), secrets.map(String::as_str))?;
    }
    if stay.is_some() {
        // They are those of whoever made it, whose scope may be over before this one.
        let of_world = [&world.token, &world.master_key, &world.jwt_secret];
        register_secrets(secrets, planned.contract(), of_world.map(String::as_str))?;
    }
    let ended = match variables(&mut scope, planned, shared, &world, secrets) {
        Ok(()) => {
            let context = StepContext::new(world.clone(), secrets.clone(), shared.limits);
            let ended = match prepared(&world, planned, shared, limit, deadline).await {
                Ok(()) => {
                    let left_out = left_out(planned, shared);
                    let mut story = Story::new(planned, shared, tell, &context, scope, record, left_out);
                    run_steps(&mut story, limit, deadline).await
                }
                Err(broken) => Err(broken),
            };
            context.drop_terminals();
            record.attaches = context.attaches();
            if record.judged(Verdict::Fail)
                && let Ok(Some(why)) = timeout(LOOK_WITHIN, world.disturbed()).await
            {
                record.doubt(&why);
            }
            let swept = match timeout(FINALLY_WITHIN, session::sweep(&context)).await {
                Ok(swept) => swept.map_err(Broken::Sweep),
                Err(_) => Err(Broken::SweepLate),
            };
            let put_back = put_back(&world, shared).await;
            ended.and(swept).and(put_back)
        }
        Err(error) => Err(error),
    };
    let is_bad = ended.is_err() || record.is_bad();
    let stopped = match stay {
        None => end(world, is_bad, shared).await,
        Some(stay) => {
            if !record.evidence.is_empty() {
                record.evidence.extend(evidence::of_others(&stay.others()));
            }
            // Others may be in it; who is last ends it.
            drop(world);
            match stay.end(is_bad) {
                Some(last) => end(last.world, last.is_spoilt, shared).await,
                None => Ok(()),
            }
        }
    };
    ended.and(stopped)
}

/// Brings a platform that isn't ours into the state that the scenario requires.
async fn prepared(
    world: &World,
    planned: &Planned,
    shared: &RunContext,
    limit: Duration,
    deadline: Instant,
) -> Result<(), Broken> {
    let preparing = "while the platform was being prepared";
    tokio::select! {
        made = timeout_at(deadline, prepare(world, &planned.scenario.world)) => match made {
            Ok(made) => made.map_err(Broken::Prepare),
            Err(_) => Err(Broken::late(limit, preparing)),
        },
        () = shared.stop.cancelled() => Err(Broken::Interrupted(preparing.to_owned())),
    }
}

/// Leaves a platform that isn't ours as it was found.
async fn put_back(world: &World, shared: &RunContext) -> Result<(), Broken> {
    let Some(changes) = world.changes().filter(|changes| changes.is_changed()) else {
        return Ok(());
    };
    match changes.undo(shared.limits.ready).await {
        Ok(left) => {
            changes.tell_of_left(left);
            Ok(())
        }
        Err(error) => Err(Broken::PutBack(error)),
    }
}

/// The steps, the evidence of what went wrong in them, and what is done whatever came before.
async fn run_steps(story: &mut Story<'_>, limit: Duration, deadline: Instant) -> Result<(), Broken> {
    let stop = story.shared.stop.clone();
    let ended = tokio::select! {
        ended = timeout_at(deadline, story.steps()) => match ended {
            Ok(ended) => ended.map_err(Broken::Story),
            Err(_) => Err(Broken::late(limit, &story.under_way)),
        },
        () = stop.cancelled() => Err(Broken::Interrupted(story.under_way.clone())),
    };
    story.context.stop_loads();
    let taken = ended.is_err() || story.record.is_bad();
    if taken {
        keep_evidence(story).await;
    }
    let finished = match timeout(FINALLY_WITHIN, story.finally()).await {
        Ok(finished) => finished.map_err(Broken::Story),
        Err(_) => Err(Broken::FinallyLate),
    };
    if !taken && (finished.is_err() || story.record.is_bad()) {
        keep_evidence(story).await;
    }
    ended.and(finished)
}

async fn keep_evidence(story: &mut Story<'_>) {
    story.record.evidence = match timeout(EVIDENCE_WITHIN, evidence::take(story.context)).await {
        Ok(evidence) => evidence,
        Err(_) => vec![evidence::late(EVIDENCE_WITHIN)],
    };
    story.record.reproduce = reproduce(story.planned, story.shared, Some(story.context), story.last);
}
