//! The world that a scenario asks for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::DurationText;

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
    /// What runs in a sandbox's terminal instead of a shell.
    #[serde(default)]
    pub terminal: Option<TerminalSpec>,
    /// Whether the platform itself is started; `false` leaves only the cluster (for a first deploy).
    #[serde(default = "yes")]
    pub platform: bool,
    /// agent-service: access control.
    #[serde(default)]
    pub authorizer: AuthorizerState,
    /// agent-service: whether LiteLLM is running.
    #[serde(default = "yes")]
    pub litellm: bool,
    /// agent-service: the fixed time by which tokens are judged, in seconds since 1970. Default: the machine's clock.
    #[serde(default)]
    pub clock: Option<f64>,
    /// agent-service: whether the gateway has its policy, which asks access control; `false` forwards without asking.
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
    /// codex-auth: how long an account is parked after a transient 429, as `5m`. Default: 5m.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub park_transient: Option<String>,
    /// codex-auth: the codex agent beside LiteLLM.
    #[serde(default)]
    pub agent: AgentState,
    /// Whether the scenario begins only when all deployments are complete; `false` if it judges that itself.
    #[serde(default = "yes")]
    pub complete: bool,
}

impl WorldSpec {
    /// Whether its balancer has a door over TLS, beside one without.
    pub fn is_about_tls(&self) -> bool {
        self.balancer.as_ref().is_some_and(|balancer| balancer.tls)
    }
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

/// What runs in a sandbox's terminal instead of a shell.
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
    /// The secret and its key exist.
    #[default]
    WithToken,
    /// The secret exists without its key.
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
    /// Its runtime token is missing.
    WithoutToken,
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
    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            AuthorizerState::Works => "works",
            AuthorizerState::Gone => "gone",
            state => state.fault(),
        }
    }

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
    /// Whether it strips `Authorization` from upgrades; stated if the scenario is about it. Default: yes.
    #[serde(default)]
    pub strips_authorization: Option<bool>,
    /// How long a connection may be quiet, as `500ms` or `60s`.
    #[serde(default)]
    #[schemars(with = "Option<DurationText>")]
    pub idle_timeout: Option<String>,
    /// Whether it ends TLS, with a certificate of a CA made for the run.
    #[serde(default)]
    pub tls: bool,
    /// Whether a backend of the harness is behind it, at `names.probe.path`.
    #[serde(default)]
    pub probe: bool,
}
