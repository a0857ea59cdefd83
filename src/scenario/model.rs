//! A scenario as the runner gets it: parsed, validated, with the place in the
//! user's file at everything that a message may have to point at.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::duration::DurationText;
use super::file::{Id, MatrixValues, Name, Steps};
use super::source::Place;

/// Whether a (spec) sentence of the contract stands behind a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// A (spec) sentence of the contract stands behind it.
    Core,
    /// The rest, and hardening with a standard.
    Extended,
}

/// What a scenario does to a platform that isn't ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Intrusion {
    /// Only looks.
    Observe,
    /// Makes sessions of its own and deletes them.
    Use,
    /// Changes secrets, restarts deployments.
    Disrupt,
    /// Malformed traffic, floods.
    Attack,
}

impl Intrusion {
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Intrusion::Observe => "observe",
            Intrusion::Use => "use",
            Intrusion::Disrupt => "disrupt",
            Intrusion::Attack => "attack",
        }
    }

    /// What it means for a platform that isn't ours.
    pub fn meaning(self) -> &'static str {
        match self {
            Intrusion::Observe => "only looks",
            Intrusion::Use => "makes sessions of its own and deletes them",
            Intrusion::Disrupt => "changes secrets, restarts deployments",
            Intrusion::Attack => "malformed traffic, floods",
        }
    }
}

/// The world that a scenario needs. What is left out has the platform's default.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WorldSpec {
    /// The token's secret when the platform starts.
    #[serde(default)]
    pub secret: SecretState,
    /// Warm sandbox pods that the worker keeps; 0 for none.
    #[serde(default)]
    pub warm_pool: u32,
    /// Replicas of web.
    #[serde(default = "one")]
    pub web_replicas: u32,
    /// The balancer in front of web; none where it is left out.
    #[serde(default)]
    pub balancer: Option<BalancerSpec>,
    /// What is in a sandbox's terminal, in a shell's place.
    #[serde(default)]
    pub terminal: Option<TerminalSpec>,
    /// Whether the platform itself is started; `false` leaves only the cluster (for a first deploy).
    #[serde(default = "yes")]
    pub platform: bool,
    /// agent-service: access control.
    #[serde(default)]
    pub authorizer: AuthorizerState,
    /// agent-service: whether LiteLLM is there.
    #[serde(default = "yes")]
    pub litellm: bool,
    /// agent-service: the time by which tokens are judged, in seconds since 1970. It stands still. Default: the machine's.
    #[serde(default)]
    pub clock: Option<f64>,
    /// agent-service: whether the gateway has its policy, by which access control is asked; `false` forwards unasked.
    #[serde(default = "yes")]
    pub gateway_policy: bool,
    /// codex-auth: whether logins are on a volume that outlives the pod.
    #[serde(default)]
    pub persistence: bool,
    /// codex-auth: how long an account is used before the next one's turn, as `1s`. Default: 1s.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub rotation_interval: Option<String>,
    /// codex-auth: how often the rotator looks at logins and signals, as `100ms`. Default: 100ms.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub rotation_poll: Option<String>,
    /// codex-auth: for how long an account is parked that was asked too much of for a moment, as `5m`. Default: 5m.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub park_transient: Option<String>,
    /// codex-auth: the codex agent beside LiteLLM.
    #[serde(default)]
    pub agent: AgentState,
    /// Whether the scenario begins only when all deployments are complete; `false` where it judges that itself.
    #[serde(default = "yes")]
    pub complete: bool,
}

impl Default for WorldSpec {
    /// What a file says that says nothing of the world.
    fn default() -> WorldSpec {
        WorldSpec {
            secret: SecretState::default(),
            warm_pool: 0,
            web_replicas: one(),
            balancer: None,
            terminal: None,
            platform: yes(),
            authorizer: AuthorizerState::default(),
            litellm: yes(),
            clock: None,
            gateway_policy: yes(),
            persistence: false,
            rotation_interval: None,
            rotation_poll: None,
            park_transient: None,
            agent: AgentState::default(),
            complete: yes(),
        }
    }
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

/// What is in a sandbox's terminal, in a shell's place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum TerminalSpec {
    Named(NamedTerminal),
    /// A program and its arguments.
    Program(Vec<String>),
}

/// What a sandbox can have in a terminal's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamedTerminal {
    /// No program: each attach gets back what it types, and nobody else does. For loads.
    Loop,
}

impl NamedTerminal {
    /// As a sandbox is told of it.
    pub fn name(self) -> &'static str {
        match self {
            NamedTerminal::Loop => "loop",
        }
    }
}

/// The token's secret when the platform starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretState {
    /// Secret and key are there.
    #[default]
    WithToken,
    /// The secret is there, the key is not.
    WithoutToken,
    /// There is no secret.
    Absent,
}

/// The codex agent beside LiteLLM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentState {
    /// There is none.
    #[default]
    None,
    /// It has a key for the codex model.
    WithKey,
    /// It has no key.
    WithoutKey,
    /// Its key is for other models.
    ForbiddenKey,
}

/// What access control does when it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorizerState {
    /// It judges.
    #[default]
    Works,
    /// There is none.
    Gone,
    /// 500.
    Error,
    /// No answer for half a minute.
    Slow,
    /// The connection is reset.
    Reset,
    /// 302.
    Redirect,
    /// What is no HTTP.
    Garbage,
    /// 101.
    Informational,
    /// 204.
    NoContent,
    /// 200, with headers of a megabyte.
    HugeHeaders,
}

impl AuthorizerState {
    /// As access control is told of it; empty where it works or is not there.
    pub fn fault(self) -> &'static str {
        match self {
            AuthorizerState::Works | AuthorizerState::Gone => "",
            AuthorizerState::Error => "error",
            AuthorizerState::Slow => "slow",
            AuthorizerState::Reset => "reset",
            AuthorizerState::Redirect => "redirect",
            AuthorizerState::Garbage => "garbage",
            AuthorizerState::Informational => "informational",
            AuthorizerState::NoContent => "no-content",
            AuthorizerState::HugeHeaders => "huge-headers",
        }
    }
}

/// The balancer in front of web.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BalancerSpec {
    /// Whether it takes `Authorization` out of upgrades; said where the scenario is about it. Default: yes.
    #[serde(default)]
    pub strips_authorization: Option<bool>,
    /// How long a connection may be quiet, as `500ms` or `60s`.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub idle_timeout: Option<String>,
    /// Whether it ends TLS, with a certificate of a CA made for the run.
    #[serde(default)]
    pub tls: bool,
    /// Whether a backend of the harness's own is behind it, at `names.probe.path`.
    #[serde(default)]
    pub probe: bool,
}

/// A scenario: a rule of a contract as a story of steps.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// CONTRACT/GROUP/RULE, and the file's path: harness-token/warm/stale is
    /// harness-token/warm/stale.yaml. A fourth part where a rule has several scenarios.
    #[schemars(with = "Id")]
    pub id: String,
    /// The rule, in a sentence.
    pub title: String,
    /// The source and clause, or the standard and section, that the rule comes from.
    pub spec: String,
    /// Whether a (spec) sentence of the contract stands behind it.
    pub level: Level,
    /// What it does to a platform that isn't ours. Default: observe.
    #[schemars(with = "Option<Intrusion>")]
    pub intrusion: Intrusion,
    /// Words to select it by, as tag:warm.
    #[schemars(with = "Option<Vec<String>>")]
    pub tags: Vec<String>,
    /// The world that it needs.
    #[schemars(with = "Option<WorldSpec>")]
    pub world: WorldSpec,
    /// Values by name, evaluated in order when the scenario starts.
    #[schemars(with = "Option<IndexMap<Name, Value>>")]
    pub vars: IndexMap<String, Value>,
    /// The scenario runs once for each combination of these values: of each name a list of
    /// values, or a map of values by what to call them.
    #[schemars(with = "Option<IndexMap<Name, MatrixValues>>")]
    pub matrix: IndexMap<String, Vec<Choice>>,
    /// Longest time that the whole scenario may take.
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
    /// Why no step can show that the road was open, where a refusal is all that can be seen.
    pub open_road: Option<String>,
    /// What is done and what must be true, in order.
    #[schemars(with = "Steps")]
    pub steps: Vec<Step>,
    /// Steps that run at the end, whatever came before.
    #[schemars(with = "Option<Steps>")]
    pub finally: Vec<Step>,
    #[schemars(skip)]
    pub place: Place,
}

/// One value of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// How the run is named: `accept[direct]`.
    pub name: String,
    /// A template, evaluated before `vars`.
    pub value: Value,
}

impl Scenario {
    /// The runs that the matrix makes: for each, a choice by name of the variable. One, and
    /// empty, without a matrix. The last variable changes fastest.
    pub fn combinations(&self) -> Vec<Vec<(&str, &Choice)>> {
        self.matrix.iter().fold(vec![Vec::new()], |runs, (variable, choices)| {
            runs.iter()
                .flat_map(|run: &Vec<(&str, &Choice)>| {
                    choices.iter().map(|choice| {
                        let mut run = run.clone();
                        run.push((variable.as_str(), choice));
                        run
                    })
                })
                .collect()
        })
    }

    /// The runs that the matrix makes, by name: `proxy`, or `proxy,first` of two variables. One, and
    /// empty, without a matrix.
    pub fn cases(&self) -> Vec<String> {
        let name = |run: &Vec<(&str, &Choice)>| {
            let choices: Vec<&str> = run.iter().map(|(_, choice)| choice.name.as_str()).collect();
            choices.join(",")
        };
        self.combinations().iter().map(name).collect()
    }

    /// The row of the contract's table: the first three parts of the id.
    pub fn row(&self) -> &str {
        match self.id.match_indices('/').nth(2) {
            Some((at, _)) => &self.id[..at],
            None => &self.id,
        }
    }

    /// The contract: the first part of the id.
    pub fn contract(&self) -> &str {
        self.id.split('/').next().unwrap_or(&self.id)
    }
}

/// One action with its expectations. Its schema has the keys that all steps have but what is
/// expected, which depends on the verb.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub struct Step {
    /// Name of a verb of [`crate::steps::VERBS`].
    #[schemars(skip)]
    pub verb: &'static str,
    /// The verb's own keys, its name among them; strings may be templates.
    #[schemars(skip)]
    pub args: Value,
    /// The name that the observation gets, for the steps after.
    #[schemars(rename = "as", with = "Option<Name>")]
    pub bind: Option<String>,
    /// Never empty for a verb that has a default given.
    #[schemars(skip)]
    pub expectations: Vec<Expectation>,
    /// Why the scenario is skipped where `needs` doesn't hold.
    pub reason: Option<String>,
    /// How long what is expected may take to become true; the step is repeated until then.
    #[schemars(with = "Option<DurationText>")]
    pub within: Option<Duration>,
    /// Time between two tries. Default: 20ms, growing to 250ms.
    #[schemars(with = "Option<DurationText>")]
    pub every: Option<Duration>,
    /// How long what is expected must stay true; the step is repeated for so long.
    #[schemars(with = "Option<DurationText>")]
    pub holds_for: Option<Duration>,
    #[schemars(skip)]
    pub place: Place,
}

/// What a step must show.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub kind: ExpectationKind,
    pub claim: Claim,
    pub place: Place,
}

/// What it means when an expectation doesn't hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectationKind {
    /// Judges the platform: `fail`.
    Check,
    /// Set-up: `error`.
    Given,
    /// What the scenario can only run with: `skip`, with the step's `reason`.
    Needs,
    /// Reported without a verdict.
    Fact,
}

/// What is expected of an observation.
#[derive(Clone, Debug)]
pub enum Claim {
    /// A phrase of the verb: `opens`, `refused 401`. May hold templates.
    Phrase(String),
    /// Predicates by the path of a field: `body.tty_token`.
    Fields(IndexMap<String, Predicate>),
    /// `policy: NAME` with a claim for each choice.
    Policy {
        name: String,
        choices: IndexMap<String, Claim>,
    },
    /// Paths of fields by the name that they are reported under. Always holds.
    Facts(IndexMap<String, String>),
}

/// What is expected of one value. Operands may be templates.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    Equals(Value),
    Not(Box<Predicate>),
    OneOf(Vec<Value>),
    /// A regular expression that must be found in the text.
    Matches(String),
    /// A part of a text, an element of a list, a key of a map.
    Contains(Value),
    /// The field is not there.
    Absent,
    /// The field is there, whatever its value.
    Present,
    Null,
    LessThan(Value),
    AtLeast(Value),
    /// The number of elements of a list or keys of a map.
    Count(Value),
    /// All of them hold.
    All(Vec<Predicate>),
    /// At least one of them holds.
    Any(Vec<Predicate>),
}
