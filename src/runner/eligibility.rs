//! What a run needs from a platform that isn't ours, and why it can't run there.

mod left_out;
mod routes;
mod ways;

pub(super) use routes::routes_of;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::plan::Planned;
use super::stretch::LONGEST_IDLE;
use crate::profile::operations::Operation;
use crate::scenario::Step;
use crate::steps::{Need, Reach, verb};
use crate::vocabulary::Contract;
use crate::vocabulary::Road;
use crate::vocabulary::duration;
use crate::vocabulary::policy::{POLICIES, Policy};
use crate::vocabulary::{
    AgentState, AuthorizerState, Intrusion, NamedTerminal, Policies, SecretState, TerminalSpec, WorldSpec,
};
use crate::world::access::Ask;
use crate::world::installation::Installation;

/// Longest turn of a codex account that a scenario waits for on a platform that isn't ours.
const LONGEST_ROTATION: Duration = Duration::from_secs(10);

/// The operations that remove the token from a running platform, and restore it.
const NEW_SECRET: [Operation; 4] = [
    Operation::ReadSecret,
    Operation::PatchSecret,
    Operation::RestartWeb,
    Operation::RestartWorker,
];

/// What runs are matched against.
pub struct Fit<'i> {
    pub installation: &'i Installation,
    pub policies: &'i Policies,
    /// Guarded routes of the agent service beside the contract's.
    pub routes: &'i [String],
    pub names: &'i BTreeMap<String, String>,
}

impl Fit<'_> {
    /// Why a run can't be here: it is skipped, with this as the reason.
    pub fn unfit(&self, planned: &Planned) -> Option<String> {
        // What can't be changed comes before what the next run could allow.
        self.not_this_world(planned)
            .or_else(|| self.no_cluster(planned))
            .or_else(|| self.no_codex(planned))
            .or_else(|| self.no_road(planned))
            .or_else(|| self.unknown_secret(planned))
            .or_else(|| self.undeclared(planned))
            .or_else(|| self.no_routes(planned))
            .or_else(|| self.needs_a_person(planned))
            .or_else(|| self.presses_enter(planned))
            .or_else(|| self.too_intrusive(self.intrusion(planned)))
            .or_else(|| self.left_changed(self.intrusion(planned)))
    }

    /// What a run does with the cluster.
    pub fn asks(&self, planned: &Planned) -> BTreeSet<Ask> {
        if !self.installation.has_cluster {
            return BTreeSet::new();
        }
        let reached = reached(planned);
        let mut asks: BTreeSet<Ask> = reached.iter().flat_map(|(_, reached)| self.asks_of(reached)).collect();
        let (has_cluster, installation) = (self.installation.has_cluster, self.installation);
        match planned.contract() {
            Contract::HarnessToken if has_cluster && installation.reads_secret() => {
                asks.insert(Ask::ReadSecret);
            }
            Contract::AgentService if has_cluster && installation.reads_jwt_secret() => {
                asks.insert(Ask::ReadJwtSecret);
            }
            _ => {}
        }
        if has_cluster && counts_matter(&planned.scenario.world) {
            asks.insert(Ask::FindPods);
        }
        if planned.scenario.intrusion >= Intrusion::Disrupt && has_cluster {
            asks.insert(Ask::PutBack);
        }
        asks
    }

    fn intrusion(&self, planned: &Planned) -> Intrusion {
        intrusion(planned, self.installation.probe.is_some())
    }

    fn too_intrusive(&self, intrusion: Intrusion) -> Option<String> {
        let (name, meaning) = (intrusion.name(), intrusion.meaning());
        (intrusion > self.installation.allowed)
            .then(|| format!("it is `{name}` ({meaning}): `--allow {name}` permits it"))
    }

    /// Otherwise a later run would restore the state that an earlier one changed.
    fn left_changed(&self, intrusion: Intrusion) -> Option<String> {
        let changes = self.installation.changes.as_ref()?;
        (intrusion >= Intrusion::Disrupt && changes.is_changed())
            .then(|| "the changes of an earlier scenario are not restored yet".into())
    }

    fn not_this_world(&self, planned: &Planned) -> Option<String> {
        let world = &planned.scenario.world;
        let of_its_own = |what: &str| Some(format!("it needs a platform of its own, {what}"));
        let can = |operation: Operation| self.installation.can(operation);
        if !world.platform && !can(Operation::Seed) {
            return of_its_own("deployed from nothing");
        }
        if world.secret != SecretState::WithToken && !NEW_SECRET.into_iter().all(can) {
            return of_its_own("whose secret has no token yet");
        }
        if world.authorizer != AuthorizerState::Works && !can(Operation::Authorizer) {
            return of_its_own("whose access control fails");
        }
        if !world.litellm && !can(Operation::Litellm) {
            return of_its_own("without LiteLLM");
        }
        if !world.gateway_policy {
            return of_its_own("whose gateway has no policy");
        }
        if world.clock.is_some() && !can(Operation::SetClock) {
            return of_its_own("whose clock can be set");
        }
        let changes_secret = |step: &&Step| verb(step.verb).is_some_and(|verb| verb.changes_secret);
        let mut changing = steps(planned).filter(changes_secret);
        if changing.any(|step| says(step, "names.jwt.secret-name")) {
            return of_its_own("whose users may be logged out");
        }
        if let Some(why) = self.too_slow(world) {
            return Some(why);
        }
        if world.park_transient.is_some() {
            return of_its_own("whose parked accounts come back soon");
        }
        if matches!(world.agent, AgentState::WithoutKey | AgentState::ForbiddenKey) {
            return of_its_own("with an agent whose key is missing or wrong");
        }
        if world.agent == AgentState::WithoutToken {
            return of_its_own("with an agent whose runtime token is missing");
        }
        match world.terminal {
            Some(TerminalSpec::Program(_)) => return of_its_own("with a command of the scenario's in the terminal"),
            Some(TerminalSpec::Named(NamedTerminal::Loop)) => {
                return of_its_own("whose terminals answer each attach alone: `gauntlet load --url` loads this one");
            }
            None => {}
        }
        if let Some(why) = self.not_so_many(world) {
            return Some(why);
        }
        let balancer = world.balancer.as_ref()?;
        if balancer.probe && self.installation.probe.is_none() && !can(Operation::Probe) {
            return of_its_own("with a backend of the harness behind the balancer (`--probe-listen` runs one)");
        }
        if let Some(timeout) = &balancer.idle_timeout {
            let Some(declared) = self.policies.choice("balancer.idle-timeout") else {
                return Some("policy balancer.idle-timeout not declared".into());
            };
            // One that is waited for has become the scenario's own.
            if timeout != declared {
                let longest = duration::show(LONGEST_IDLE);
                return Some(format!(
                    "it waits {longest} at most for the balancer's idle timeout, and there that is {declared} (policy \
                     balancer.idle-timeout)"
                ));
            }
        }
        let declared = self.policies.choice("balancer.strips-authorization");
        match (balancer.strips_authorization, declared) {
            (Some(_), None) => Some("policy balancer.strips-authorization not declared".into()),
            (Some(strips), Some(declared)) if strips != (declared == "yes") => {
                Some(format!("policy balancer.strips-authorization is `{declared}` here"))
            }
            _ => None,
        }
    }

    /// Whether it waits for something that takes much longer there than in its own world.
    fn too_slow(&self, world: &WorldSpec) -> Option<String> {
        let wanted = world.rotation_interval.as_deref().and_then(duration::parse)?;
        let Some(there) = self.policies.choice("rotation.interval").and_then(duration::parse) else {
            return Some("policy rotation.interval not declared".into());
        };
        (there > wanted.max(LONGEST_ROTATION)).then(|| {
            let (there, longest) = (duration::show(there), duration::show(LONGEST_ROTATION));
            format!(
                "it waits {longest} at most for an account's turn to end, and there that takes {there} (policy \
                 rotation.interval)"
            )
        })
    }

    /// A policy that templates name, and nobody has declared.
    fn undeclared(&self, planned: &Planned) -> Option<String> {
        let names = |name: &str| steps(planned).any(|step| says(step, &format!("policies.{name}")));
        let in_templates = |policy: &&Policy| policy.in_templates(policy.reference).is_some();
        let missing = POLICIES
            .iter()
            .filter(in_templates)
            .find(|policy| self.policies.choice(policy.name).is_none() && names(policy.name))?;
        Some(format!("policy {} not declared", missing.name))
    }

    /// A device login is finished by somebody in a browser. The vendor of the reference platform does as it is told.
    fn needs_a_person(&self, planned: &Planned) -> Option<String> {
        let step = steps(planned).find(|step| needs(step, Need::Person))?;
        let alone = !self.installation.has_road(Road::Vendor);
        alone.then(|| format!("its step `{}` needs a person who finishes it in a browser", step.verb))
    }

    /// Whether it needs more pods than there are.
    fn not_so_many(&self, world: &WorldSpec) -> Option<String> {
        let (warm, web) = (world.warm_pool, world.web_replicas);
        let Some(there) = self.installation.counts else {
            let unknown = !self.installation.has_cluster && counts_matter(world);
            return unknown.then(|| "it needs a number of pods, and only doors are known".to_owned());
        };
        if there.warm_pods < warm {
            let there = there.warm_pods;
            return Some(format!("it needs {warm} warm pods, and there are {there}"));
        }
        let too_few = web > 1 && there.web_replicas < web;
        too_few.then(|| format!("it needs {web} replicas of web, and {} are ready", there.web_replicas))
    }

    /// Whether it is about a codex login, or an agent that uses one, and there is none: another contract's platform.
    fn no_codex(&self, planned: &Planned) -> Option<String> {
        // Without a cluster nobody tells what is in the pods.
        if planned.contract() != Contract::CodexAuth || !self.installation.has_cluster {
            return None;
        }
        let there = self.installation.counts?;
        if there.codex_pods == 0 {
            return Some(
                "there is no codex login: no pod of names.litellm.selector has its containers or its volume".into(),
            );
        }
        let wants_agent = planned.scenario.world.agent != AgentState::None;
        (wants_agent && there.codex_agents == 0)
            .then(|| "there is no codex agent: no pod has the labels of names.agent.selector".into())
    }

    /// Without what JWTs are signed with none can be made, and what isn't known can't be looked for.
    fn unknown_secret(&self, planned: &Planned) -> Option<String> {
        match planned.contract() {
            Contract::HarnessToken => return None,
            Contract::AgentService => {}
            Contract::CodexAuth => return self.unknown_key(planned),
        }
        let wants = |step: &Step| needs(step, Need::JwtSecret) || names(&step.args, "jwt-secret");
        match self.installation.agents.as_ref()? {
            // A cluster without it is one without an agent service.
            Err(why) if self.installation.has_cluster => Some(why.to_string()),
            Err(why) => steps(planned).any(wants).then(|| why.to_string()),
            Ok(secrets)
                if secrets.master_key.is_empty() && steps(planned).any(|step| names(&step.args, "master-key")) =>
            {
                Some(
                    "LiteLLM's key isn't known: `secrets: { litellm-key: … }` in the profile can give its source"
                        .into(),
                )
            }
            Ok(_) => None,
        }
    }

    /// The same of keys at the LiteLLM that has the codex login.
    fn unknown_key(&self, planned: &Planned) -> Option<String> {
        let codex = &self.installation.codex;
        let wants = |variable: &str| steps(planned).any(|step| names(&step.args, variable));
        if codex.master_key.is_empty() && wants("master-key") {
            return Some(
                "LiteLLM's key isn't known: `secrets: { litellm-key: … }` in the profile can give its source".into(),
            );
        }
        (codex.token.is_empty() && wants("agent-key"))
            .then(|| "the agent's key at LiteLLM isn't known: no secret of its name has `LITELLM_API_KEY`".into())
    }

    fn presses_enter(&self, planned: &Planned) -> Option<String> {
        let may = self.policies.choice("tty.enter") == Some("yes");
        let does = !may && steps(planned).any(|step| needs(step, Need::Enter));
        does.then(|| "it presses Enter, and an agent may answer: policy tty.enter is not `yes`".into())
    }
}

/// The intrusion of a run on a platform that isn't ours. Preparing the platform for its world disrupts it; a backend that
/// listens behind the balancer anyway (`probe_listens`) doesn't have to be put there.
pub fn intrusion(planned: &Planned, probe_listens: bool) -> Intrusion {
    let (said, world) = (planned.scenario.intrusion, &planned.scenario.world);
    let changed = !world.platform
        || world.secret != SecretState::WithToken
        || world.authorizer != AuthorizerState::Works
        || !world.litellm
        || world.clock.is_some()
        || !probe_listens && world.balancer.as_ref().is_some_and(|balancer| balancer.probe);
    match changed {
        true => said.max(Intrusion::Disrupt),
        false => said,
    }
}

/// Whether a step looks at the requests that came to the agent service, whoever made them.
pub fn counts_requests(planned: &Planned) -> bool {
    steps(planned).any(|step| roads(planned, step, Road::Proxy).contains(&Road::Witness))
}

/// Whether a step needs something beside what it goes through.
fn needs(step: &Step, what: Need) -> bool {
    verb(step.verb).is_some_and(|verb| (verb.needs)(&step.args).contains(&what))
}

/// Whether a template in a value names a variable, as `${master-key}`.
fn names(value: &impl Serialize, variable: &str) -> bool {
    let written = serde_json::to_string(value).unwrap_or_default();
    written.contains(&format!("${{{variable}}}"))
}

/// Whether a step or its expectations contain a text.
fn says(step: &Step, text: &str) -> bool {
    let keys = serde_json::to_string(&step.args).unwrap_or_default();
    keys.contains(text) || format!("{:?}", step.expectations).contains(text)
}

/// Whether a world requires numbers of pods.
fn counts_matter(world: &WorldSpec) -> bool {
    world.warm_pool > 0 || world.web_replicas > 1
}

/// The gateways before the agent service that a run goes through.
pub fn gateways(planned: &Planned) -> BTreeSet<Road> {
    let of_step = |step| match roads(planned, step, Road::Proxy).as_slice() {
        [road @ (Road::Builtin | Road::Nginx | Road::Envoy)] => Some(*road),
        _ => None,
    };
    steps(planned).filter_map(of_step).collect()
}

/// The gateways that aren't part of the reference platform.
pub fn real_gateways(planned: &Planned) -> Vec<Road> {
    let mut gateways = gateways(planned);
    gateways.remove(&Road::Builtin);
    gateways.into_iter().collect()
}

pub(super) fn steps(planned: &Planned) -> impl Iterator<Item = &Step> {
    planned.scenario.steps.iter().chain(&planned.scenario.finally)
}

/// What a step uses.
enum Reached {
    Api,
    Roads(Vec<Road>),
    Cluster(Vec<Ask>),
}

/// What the steps of a run use.
fn reached(planned: &Planned) -> Vec<(&Step, Reached)> {
    let mut pods: HashMap<&str, bool> = HashMap::new();
    let mut all = Vec::new();
    for step in steps(planned) {
        if let Some(name) = &step.bind {
            pods.insert(name, verb(step.verb).is_some_and(|verb| verb.gives_pods));
        }
        let reached = match verb(step.verb).map(|verb| verb.reach) {
            Some(Reach::Api) => Reached::Api,
            Some(Reach::Cluster(asks)) => Reached::Cluster(asks(&step.args)),
            Some(Reach::Door { subject }) => {
                let is_pod = subject
                    .and_then(|key| variable(step.args.get(key)?))
                    .is_some_and(|name| pods.get(name).copied().unwrap_or_default());
                let usual = if is_pod { Road::Direct } else { Road::Proxy };
                Reached::Roads(roads(planned, step, usual))
            }
            Some(Reach::Open) | None => continue,
        };
        all.push((step, reached));
    }
    all
}

/// The road that a step says; all that it can mean where that is only known when it runs.
pub(super) fn roads(planned: &Planned, step: &Step, usual: Road) -> Vec<Road> {
    let Some(said) = verb(step.verb).and_then(|verb| step.args.get(verb.road)) else {
        return vec![usual];
    };
    let of_matrix = variable(said).and_then(|name| planned.parameters.iter().find(|(known, _)| known == name));
    let value = of_matrix.map_or(said, |(_, value)| value);
    match value.as_str().and_then(Road::named) {
        Some(road) => vec![road],
        None => Road::ALL.to_vec(),
    }
}

/// The first name of a value that is a variable: `s` of `${s}`, `old` of `${old.items[0]}`.
fn variable(value: &Value) -> Option<&str> {
    let inner = value.as_str()?.strip_prefix("${")?.strip_suffix('}')?;
    inner.trim().split(['.', '[']).next()
}
