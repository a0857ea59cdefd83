//! One run of one scenario: its world, its steps, its verdict.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, debug, info_span};

use super::context::RunContext;
use super::eligibility::{Fit, real_gateways};
use super::evidence;
use super::plan::Planned;
use super::reproduce::reproduce;
use super::sharing::need;
use super::story::{Record, Story, StoryError};
use crate::events::{Event, RunOf, ScenarioResult, Verdict};
use crate::redact::{RedactError, Redactor};
use crate::scenario::variables::set_built_in;
use crate::steps::{StepContext, StepError, session};
use crate::template::{Scope, TemplateError, render, render_string};
use crate::vocabulary::{Contract, Policies, duration};
use crate::world::installation::InstallationError;
use crate::world::operations::prepare;
use crate::world::running::{Setup, WorldError};
use crate::world::{Target, World};

/// Longest time that the taking of evidence may take.
const EVIDENCE_WITHIN: Duration = Duration::from_secs(15);

/// Longest time that a scenario's `finally` may take.
const FINALLY_WITHIN: Duration = Duration::from_secs(15);

/// Longest time that a look at what else happened meanwhile may take.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// Longest time that a world may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(15);

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
        && let Ok(Some(why)) = timeout(LOOK_WITHIN, shared.target.fell(since)).await
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

/// Why a run did not come to its end. All but the last: the harness could not tell.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    MadeUp(#[from] TemplateError),
    #[error("a secret of the world: {0}")]
    Secret(#[source] RedactError),
    #[error("starting a world: {0}")]
    Start(#[source] Box<WorldError>),
    #[error("preparing the platform: {0}")]
    Prepare(#[source] InstallationError),
    #[error("the variable {name}: {source}")]
    Variable {
        name: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(transparent)]
    Story(#[from] StoryError),
    /// It ended in the middle of something.
    #[error("the scenario ran over its time of {} {meanwhile}", duration::show(*limit))]
    Late { limit: Duration, meanwhile: String },
    #[error("`finally` was not done within {FINALLY_WITHIN:?}")]
    FinallyLate,
    #[error(transparent)]
    Sweep(StepError),
    #[error("deleting the sessions that were made took too long")]
    SweepLate,
    #[error("putting back what was changed: {0}; `gauntlet recover` tries again")]
    PutBack(#[source] InstallationError),
    #[error("ending its world: {0}")]
    Stop(#[source] Box<WorldError>),
    #[error("its world did not end within {STOP_WITHIN:?}")]
    StopLate,
    /// Somebody wanted the whole run to end; where that met this one.
    #[error("interrupted {0}")]
    Interrupted(String),
}

impl Broken {
    fn late(limit: Duration, meanwhile: &str) -> Broken {
        Broken::Late {
            limit,
            meanwhile: meanwhile.to_owned(),
        }
    }

    fn variable(name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Broken {
        Broken::Variable {
            name: name.to_owned(),
            source: source.into(),
        }
    }
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
        know(&shared.redactor, planned.contract(), secrets.map(String::as_str))?;
    }
    if stay.is_some() {
        // They are those of whoever made it, whose scope may be over before this one.
        let of_world = [&world.token, &world.master_key, &world.jwt_secret];
        know(secrets, planned.contract(), of_world.map(String::as_str))?;
    }
    let ended = match variables(&mut scope, planned, shared, &world, secrets) {
        Ok(()) => {
            let context = StepContext::new(world.clone(), secrets.clone(), shared.limits);
            let ended = match prepared(&world, planned, shared, limit, deadline).await {
                Ok(()) => {
                    let left_out = left_out(planned, shared);
                    let mut story = Story::new(planned, shared, tell, &context, scope, record, left_out);
                    told(&mut story, limit, deadline).await
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

/// Ends a world that nobody works in any more, or leaves it to be looked at.
async fn end(world: Arc<World>, is_bad: bool, shared: &RunContext) -> Result<(), Broken> {
    match Arc::into_inner(world) {
        Some(world) if shared.keep_failed && world.can_stay() && is_bad => {
            world.leave();
            Ok(())
        }
        Some(world) => match timeout(STOP_WITHIN, stop(world)).await {
            Ok(stopped) => stopped,
            Err(_) => Err(Broken::StopLate),
        },
        None => Err(Broken::StopLate),
    }
}

/// Starts the world of a run.
async fn world_of(planned: &Planned, shared: &RunContext, setup: Setup) -> Result<World, Broken> {
    let start = async {
        debug!("the world starts");
        let world = shared.target.world(&planned.scenario.world, setup).await;
        match &world {
            Ok(world) => debug!(namespace = world.namespace, "the world has started"),
            Err(error) => debug!(%error, "the world did not start"),
        }
        world.map_err(|error| Broken::Start(Box::new(error)))
    };
    start.instrument(info_span!("start")).await
}

/// Ends a world.
async fn stop(world: World) -> Result<(), Broken> {
    let stop = async {
        debug!("the world ends");
        let stopped = world.stop().await;
        match &stopped {
            Ok(()) => debug!("the world has ended"),
            Err(error) => debug!(%error, "the world did not end"),
        }
        stopped.map_err(|error| Broken::Stop(Box::new(error)))
    };
    stop.instrument(info_span!("stop")).await
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

/// The parts of a world; its secrets are known to the redactor.
fn setup(scope: &Scope, planned: &Planned, shared: &RunContext, secrets: &Redactor) -> Result<Setup, Broken> {
    let random = || render_string("${token()}", scope);
    let setup = Setup {
        names: shared.names.clone(),
        mutants: shared.mutants.clone(),
        token: random()?,
        master_key: random()?,
        jwt_secret: random()?,
        contract: planned.contract(),
        gateways: real_gateways(planned),
        binary: shared.binary.clone(),
        codex: shared.codex.clone(),
    };
    let own = [&setup.token, &setup.master_key, &setup.jwt_secret];
    know(secrets, setup.contract, own.map(String::as_str))?;
    Ok(setup)
}

/// Token, master key and JWT secret; empty is what a contract has none of.
fn know(redactor: &Redactor, contract: Contract, secrets: [&str; 3]) -> Result<(), Broken> {
    let names = match contract {
        Contract::HarnessToken | Contract::AgentService => ["HARNESS_AUTH_TOKEN", "MASTER_KEY", "AUTH_JWT_SECRET"],
        Contract::CodexAuth => ["LITELLM_API_KEY", "LITELLM_MASTER_KEY", "RUNTIME_TOKEN"],
    };
    for (name, value) in names.into_iter().zip(secrets).filter(|(_, value)| !value.is_empty()) {
        redactor.add(name, value).map_err(Broken::Secret)?;
    }
    Ok(())
}

/// The steps, the evidence of what went wrong in them, and what is done whatever came before.
async fn told(story: &mut Story<'_>, limit: Duration, deadline: Instant) -> Result<(), Broken> {
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

/// Each run has its own seed, so that it can be repeated alone.
fn seed_of(run: &RunOf, seed: u64) -> u64 {
    // FNV-1a: the same on every machine and in every version, unlike the standard library's hasher.
    run.case()
        .bytes()
        .fold(run.seed(seed) ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// What templates can name: the secret, the names, the matrix, the scenario's own variables.
fn variables(
    scope: &mut Scope,
    planned: &Planned,
    shared: &RunContext,
    world: &World,
    redactor: &Redactor,
) -> Result<(), Broken> {
    let (names, policies) = (&world.names, policies(planned, shared, world));
    set_built_in(
        scope,
        names,
        &policies,
        &routes(shared, world),
        &world.token,
        &world.master_key,
        &world.jwt_secret,
    );
    let given = planned.parameters.iter().map(|(name, value)| (name, value));
    for (name, template) in given.chain(&planned.scenario.vars) {
        let value = render(template, scope).map_err(|error| Broken::variable(name, error))?;
        // One made of the world's token is known as that already.
        let unknown = |text: &&str| matches!(redactor.redact(text), Cow::Borrowed(_));
        if let Some(token) = value.as_str().filter(|text| looks_secret(text)).filter(unknown) {
            let label = name.to_uppercase().replace('-', "_");
            redactor
                .add(&label, token)
                .map_err(|error| Broken::variable(name, error))?;
        }
        scope.set(name, value);
    }
    Ok(())
}

/// The policies that templates name: in a world of the scenario's own, what it asks for and the reference platform does.
fn policies(planned: &Planned, shared: &RunContext, world: &World) -> Policies {
    if world.installation().is_some() {
        return shared.policies.clone();
    }
    let (mut policies, spec) = (Policies::reference(), &planned.scenario.world);
    for (name, asked) in [
        ("rotation.interval", &spec.rotation_interval),
        ("rotation.poll", &spec.rotation_poll),
        ("park.transient", &spec.park_transient),
    ] {
        if let Some(asked) = asked {
            policies.declare(name, asked);
        }
    }
    policies
}

/// Guarded routes beside the contract's. A platform of ours has none; there the list of models stands for them.
fn routes(shared: &RunContext, world: &World) -> Vec<String> {
    match world.installation() {
        Some(_) => shared.routes.clone(),
        None => vec![format!("GET {}/models", world.name("agents.path"))],
    }
}

/// Whether a value could be a token: 64 hexadecimal digits, as the contract makes them.
fn looks_secret(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
