//! One run of one scenario: its world, its steps, its verdict.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::events::{At, CheckResult, Event, Evidence, FactResult, RunOf, ScenarioResult, Verdict};
use super::evidence;
use super::plan::Planned;
use super::step::{Attempt, StepRunner};
use crate::redact::Redactor;
use crate::scenario::variables::set_built_in;
use crate::scenario::{Place, Policies, Scenario, Scope, Step, render, render_string};
use crate::steps::{Limits, StepContext};
use crate::target::World;
use crate::target::embedded::Program;
use crate::target::world::Setup;

/// What all runs share.
pub struct Shared {
    pub program: Program,
    pub names: Arc<std::collections::BTreeMap<String, String>>,
    pub policies: Policies,
    pub redactor: Redactor,
    pub limits: Limits,
    pub seed: u64,
    /// Longest time of a scenario that doesn't say its own.
    pub timeout: Duration,
    /// Mutants that every world is started with.
    pub mutants: Vec<String>,
    /// Flags that a command needs to show a failure again, beside level, mutants and seed: ` --profile p.yaml`.
    pub flags: String,
    /// Cancelled when the run is to end early.
    pub stop: CancellationToken,
}

/// Longest time that the taking of evidence may take.
const EVIDENCE_WITHIN: Duration = Duration::from_secs(15);

/// Longest time that a scenario's `finally` may take.
const FINALLY_WITHIN: Duration = Duration::from_secs(15);

/// Runs a scenario to its verdict. `tell` hears of the steps.
pub async fn execute(planned: &Planned, shared: &Shared, tell: &(dyn Fn(Event) + Send + Sync)) -> ScenarioResult {
    let started = Instant::now();
    let mut record = Record::default();
    let ended = live(planned, shared, tell, &mut record).await;
    let (verdict, reason, interrupted) = match ended {
        Ok(()) => {
            let (verdict, reason) = record.verdict();
            (verdict, reason, false)
        }
        // A failure that was seen stands, whatever broke after it.
        Err(broken) if record.judged(Verdict::Fail) => (Verdict::Fail, Some(broken.to_string()), false),
        Err(broken) => (
            Verdict::Error,
            Some(broken.to_string()),
            matches!(broken, Broken::Interrupted(_)),
        ),
    };
    let scenario = &planned.scenario;
    ScenarioResult {
        run: planned.run.clone(),
        title: scenario.title.clone(),
        spec: scenario.spec.clone(),
        level: scenario.level,
        verdict,
        reason,
        interrupted,
        duration: started.elapsed(),
        checks: record.checks,
        facts: record.facts,
        evidence: record.evidence,
        reproduce: record.reproduce,
        expected_failure: None,
        expired_expectation: None,
    }
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// The harness could not tell.
    #[error("{0}")]
    Error(String),
    /// Somebody wanted the whole run to end; where that met this one.
    #[error("interrupted {0}")]
    Interrupted(String),
}

impl From<String> for Broken {
    fn from(reason: String) -> Broken {
        Broken::Error(reason)
    }
}

/// What is known of a run so far.
#[derive(Default)]
pub struct Record {
    pub checks: Vec<CheckResult>,
    pub facts: Vec<FactResult>,
    evidence: Vec<Evidence>,
    reproduce: Vec<String>,
}

impl Record {
    fn judged(&self, verdict: Verdict) -> bool {
        self.checks.iter().any(|check| check.verdict == verdict)
    }

    /// The worst of the checks; a run in which nothing was judged proves nothing.
    fn verdict(&self) -> (Verdict, Option<String>) {
        let first = |verdict: Verdict| self.checks.iter().find(|check| check.verdict == verdict);
        let reason = |check: &CheckResult| {
            let otherwise = || format!("{}: expected {}, got {}", check.what, check.expected, check.got);
            Some(check.reason.clone().unwrap_or_else(otherwise))
        };
        if let Some(check) = first(Verdict::Fail) {
            return (Verdict::Fail, reason(check));
        }
        if let Some(check) = first(Verdict::Error) {
            return (Verdict::Error, reason(check));
        }
        if let Some(check) = first(Verdict::Skip) {
            return (Verdict::Skip, reason(check));
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

/// The world's life around the steps. `Err` says why the harness could not tell.
async fn live(
    planned: &Planned,
    shared: &Shared,
    tell: &(dyn Fn(Event) + Send + Sync),
    record: &mut Record,
) -> Result<(), Broken> {
    let scenario = &planned.scenario;
    let mut scope = Scope::new(seed_of(&planned.run, shared.seed));
    let random = |scope: &Scope| render_string("${token()}", scope).map_err(|error| error.to_string());
    let setup = Setup {
        program: shared.program.clone(),
        names: shared.names.clone(),
        mutants: shared.mutants.clone(),
        token: random(&scope)?,
        master_key: random(&scope)?,
    };
    for (name, value) in [("HARNESS_AUTH_TOKEN", &setup.token), ("MASTER_KEY", &setup.master_key)] {
        shared
            .redactor
            .add(name, value)
            .map_err(|error| format!("a secret of the world: {error}"))?;
    }
    let world = tokio::select! {
        world = World::embedded(&scenario.world, setup) => {
            world.map_err(|error| format!("starting a world: {error}"))?
        }
        () = shared.stop.cancelled() => {
            return Err(Broken::Interrupted("while its world was starting".to_owned()));
        }
    };
    let world = Arc::new(world);
    variables(&mut scope, planned, &world, &shared.redactor)?;
    let context = StepContext::new(world.clone(), shared.redactor.clone(), shared.limits);
    let mut story = Story {
        planned,
        shared,
        tell,
        context: &context,
        scope,
        record,
        under_way: String::new(),
    };
    let limit = scenario.timeout.unwrap_or(shared.timeout);
    let ended = tokio::select! {
        ended = timeout(limit, story.steps()) => match ended {
            Ok(ended) => ended.map_err(Broken::Error),
            Err(_) => Err(Broken::Error(format!("the scenario ran over its time of {limit:?}"))),
        },
        () = shared.stop.cancelled() => Err(Broken::Interrupted(story.under_way.clone())),
    };
    if ended.is_err() || story.record.judged(Verdict::Fail) || story.record.judged(Verdict::Error) {
        story.record.evidence = match timeout(EVIDENCE_WITHIN, evidence::take(&context)).await {
            Ok(evidence) => evidence,
            Err(_) => vec![evidence::late(EVIDENCE_WITHIN)],
        };
        story.record.reproduce = reproduce(planned, shared, &context);
    }
    let finished = timeout(FINALLY_WITHIN, story.finally()).await;
    context.drop_terminals();
    drop(context);
    if let Some(world) = Arc::into_inner(world) {
        world.stop().await;
    }
    ended?;
    match finished {
        Ok(finished) => Ok(finished?),
        Err(_) => Err(Broken::Error(format!(
            "`finally` was not done within {FINALLY_WITHIN:?}"
        ))),
    }
}

/// A seed of its own for each run, so that one can be run again alone.
fn seed_of(run: &RunOf, seed: u64) -> u64 {
    // FNV-1a: the same on every machine and in every version, unlike the standard library's hasher.
    run.to_string()
        .bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// What templates can name: the secret, the names, the matrix, the scenario's own variables.
fn variables(scope: &mut Scope, planned: &Planned, world: &World, redactor: &Redactor) -> Result<(), String> {
    set_built_in(scope, &world.names, &world.token, &world.master_key);
    let given = planned.parameters.iter().map(|(name, value)| (name, value));
    for (name, template) in given.chain(&planned.scenario.vars) {
        let value = render(template, scope).map_err(|error| format!("the variable {name}: {error}"))?;
        // One made of the world's token is known as that already.
        let unknown = |text: &&str| matches!(redactor.redact(text), Cow::Borrowed(_));
        if let Some(token) = value.as_str().filter(|text| looks_secret(text)).filter(unknown) {
            let label = name.to_uppercase().replace('-', "_");
            redactor
                .add(&label, token)
                .map_err(|error| format!("the variable {name}: {error}"))?;
        }
        scope.set(name, value);
    }
    Ok(())
}

/// Whether a value could be a token: 64 hexadecimal digits, as the contract makes them.
fn looks_secret(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How a person sees the failure again.
fn reproduce(planned: &Planned, shared: &Shared, context: &StepContext) -> Vec<String> {
    let world = &context.world;
    let level = if planned.scenario.level == crate::scenario::Level::Core {
        ""
    } else {
        " --level all"
    };
    let mutants = match shared.mutants.as_slice() {
        [] => String::new(),
        names => format!(" --mutant {}", names.join(",")),
    };
    let mut lines = vec![format!(
        "gauntlet run {}{level}{mutants}{} --seed {}",
        planned.run.id, shared.flags, shared.seed
    )];
    let commands = evidence::commands(context);
    if !commands.is_empty() {
        let (secret, key, space) = (world.name("secret.name"), world.name("secret.key"), &world.namespace);
        lines.push(format!(
            "HARNESS_AUTH_TOKEN=$(kubectl -n {space} get secret {secret} -o jsonpath='{{.data.{key}}}' | base64 -d)"
        ));
        lines.extend(commands);
    }
    lines
}

/// The steps of a scenario on their way.
struct Story<'a> {
    planned: &'a Planned,
    shared: &'a Shared,
    tell: &'a (dyn Fn(Event) + Send + Sync),
    context: &'a StepContext,
    scope: Scope,
    record: &'a mut Record,
    /// The step that is being carried out, in words: `in step 2 of 5 (attach)`.
    under_way: String,
}

impl Story<'_> {
    async fn steps(&mut self) -> Result<(), String> {
        let scenario = self.planned.scenario.clone();
        for (index, step) in scenario.steps.iter().enumerate() {
            if !self.step(&scenario, step, index).await? {
                break;
            }
        }
        Ok(())
    }

    /// Carries out a step; tells whether the story goes on.
    async fn step(&mut self, scenario: &Scenario, step: &Step, index: usize) -> Result<bool, String> {
        let (number, of) = (index + 1, scenario.steps.len());
        self.under_way = format!("in step {number} of {of} (`{}`)", step.verb);
        (self.tell)(Event::StepStarted {
            run: self.planned.run.clone(),
            number,
            of,
            what: step.verb.to_owned(),
        });
        let runner = StepRunner {
            step,
            context: self.context,
            policies: &self.shared.policies,
        };
        let attempts = runner
            .run(&mut self.scope)
            .await
            .map_err(|error| at(&step.place, &error.0))?;
        let mut goes_on = true;
        for Attempt { what, judged, facts } in attempts {
            for (position, expectation) in judged.into_iter().enumerate() {
                goes_on &= expectation.verdict == Verdict::Pass;
                self.record.checks.push(CheckResult {
                    id: format!("{}#{number}.{}", self.planned.run, position + 1),
                    kind: expectation.kind,
                    verdict: expectation.verdict,
                    what: what.clone(),
                    expected: expectation.expected,
                    got: expectation.got,
                    reason: expectation.reason,
                    at: at_of(&expectation.place),
                });
            }
            self.record
                .facts
                .extend(facts.into_iter().map(|(name, value, place)| FactResult {
                    name,
                    value,
                    at: at_of(&place),
                }));
        }
        Ok(goes_on)
    }

    /// All steps of `finally`, whatever becomes of each.
    async fn finally(&mut self) -> Result<(), String> {
        let mut first = Ok(());
        for step in &self.planned.scenario.finally {
            let runner = StepRunner {
                step,
                context: self.context,
                policies: &self.shared.policies,
            };
            let ended = runner
                .run(&mut self.scope)
                .await
                .map_err(|error| at(&step.place, &error.0));
            if first.is_ok() {
                first = ended.map(drop);
            }
        }
        first
    }
}

fn at(place: &Place, message: &str) -> String {
    format!("{}:{}: {message}", place.source.name, place.line)
}

fn at_of(place: &Place) -> At {
    At {
        file: place.source.name.clone(),
        line: place.line,
        column: place.column,
        text: place.text().to_owned(),
    }
}
