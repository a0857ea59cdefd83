//! The reference platform: the system under test that gauntlet brings along.
//!
//! Each component is one file or folder. A component gets everything from its
//! [`Pod`]: the environment, the address to listen on, the log, access to
//! Kubernetes and the stop signal. So the same code runs as a task in the
//! embedded target and as a process in a pod (`gauntlet platform COMPONENT`).
//!
//! Everything that a component starts ends when its future is dropped.

pub mod mounts;
pub mod mutant;
mod paths;
pub mod pod;

mod access_control;
mod agent_service;
mod await_peers;
mod backends;
mod balancer;
mod codex_auth;
mod gateway;
mod http;
mod identity;
mod litellm;
mod objects;
pub mod probe;
mod records;
mod relay;
mod sandbox;
mod sandbox_controller;
mod seed;
pub mod terminal_session;
mod token;
mod tunnel;
mod upgrade;
mod web;
mod worker;

#[cfg(test)]
mod tests;

pub use codex_auth::STAND_IN as CODEX_STAND_IN;
pub use mounts::Mounts;
pub use mutant::Mutant;
pub use pod::Pod;

/// A part of the reference platform that can be started by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// Session API and WebSocket proxy.
    Web,
    /// Keeps the warm pool filled and reconciles sessions.
    Worker,
    /// The deploy pipeline's step: creates secret and key where they are absent, then ends.
    Seed,
    /// One session's pod: `/tty` onto a pseudo-terminal.
    Sandbox,
    /// The controller that makes a pod of each `Sandbox` object.
    SandboxController,
    /// An HTTP/1.1 load balancer that strips `Authorization` from upgrades.
    Balancer,
    /// A backend that answers every request with what it received.
    Probe,
    /// Agents, and conversations with them, for those who have a JWT.
    AgentService,
    /// Tells a gateway who may pass to the agent service, and as which user.
    AccessControl,
    /// Models for those who have a key.
    LiteLlm,
    /// Before the agent service: asks access control about each request.
    Gateway,
    /// Ends when those that a gateway goes to can be reached.
    AwaitPeers,
    /// The identity provider and the model API that codex logins are for; a fake.
    Vendor,
    /// Makes the folder of the codex logins ready, then ends.
    CodexAuthSeed,
    /// LiteLLM with models behind a codex login.
    CodexLiteLlm,
    /// Takes the next codex login, and refreshes those that have expired.
    CodexAuthRotator,
    /// Puts codex where exec finds it, then idles.
    CodexCli,
    /// A stand-in for the codex CLI, run by exec.
    Codex,
    /// What the login script of account N runs.
    AuthLogin,
    /// A codex agent whose models are LiteLLM's.
    CodexAgent,
}

impl Component {
    pub const ALL: [Component; 20] = [
        Component::Web,
        Component::Worker,
        Component::Seed,
        Component::Sandbox,
        Component::SandboxController,
        Component::Balancer,
        Component::Probe,
        Component::AgentService,
        Component::AccessControl,
        Component::LiteLlm,
        Component::Gateway,
        Component::AwaitPeers,
        Component::Vendor,
        Component::CodexAuthSeed,
        Component::CodexLiteLlm,
        Component::CodexAuthRotator,
        Component::CodexCli,
        Component::Codex,
        Component::AuthLogin,
        Component::CodexAgent,
    ];

    /// The name on the command line: `gauntlet platform NAME`.
    pub fn name(self) -> &'static str {
        match self {
            Component::Web => "web",
            Component::Worker => "worker",
            Component::Seed => "seed",
            Component::Sandbox => "sandbox",
            Component::SandboxController => "sandbox-controller",
            Component::Balancer => "balancer",
            Component::Probe => "probe",
            Component::AgentService => "agent-service",
            Component::AccessControl => "access-control",
            Component::LiteLlm => "litellm",
            Component::Gateway => "gateway",
            Component::AwaitPeers => "await-peers",
            Component::Vendor => "vendor",
            Component::CodexAuthSeed => "codex-auth-seed",
            Component::CodexLiteLlm => "codex-litellm",
            Component::CodexAuthRotator => "codex-auth-rotator",
            Component::CodexCli => "codex-cli",
            Component::Codex => "codex",
            Component::AuthLogin => "auth-login",
            Component::CodexAgent => "codex-agent",
        }
    }

    /// Whether words may stand behind its name.
    pub fn takes_arguments(self) -> bool {
        matches!(self, Component::Codex | Component::AuthLogin)
    }

    pub fn from_name(name: &str) -> Option<Component> {
        Component::ALL.into_iter().find(|c| c.name() == name)
    }
}

/// Why a component could not start or go on. The text is for the pod's log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ComponentError(pub String);

/// Runs a component until its work is done or `pod.stop` is cancelled.
pub async fn run(component: Component, pod: Pod) -> Result<(), ComponentError> {
    for name in pod
        .var_or("GAUNTLET_MUTANTS", "")
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        if mutant::by_name(name).is_none() {
            return Err(ComponentError(format!("GAUNTLET_MUTANTS: there is no mutant {name:?}")));
        }
    }
    match component {
        Component::Web => web::run(pod).await,
        Component::Worker => worker::run(pod).await,
        Component::Seed => seed::run(pod).await,
        Component::Sandbox => sandbox::run(pod).await,
        Component::SandboxController => sandbox_controller::run(pod).await,
        Component::Balancer => balancer::run(pod).await,
        Component::Probe => probe::run(pod).await,
        Component::AgentService => agent_service::run(pod).await,
        Component::AccessControl => access_control::run(pod).await,
        Component::LiteLlm => litellm::run(pod).await,
        Component::Gateway => gateway::run(pod).await,
        Component::AwaitPeers => await_peers::run(pod).await,
        Component::Vendor => codex_auth::vendor(pod).await,
        Component::CodexAuthSeed => codex_auth::seed(&pod),
        Component::CodexLiteLlm => codex_auth::litellm(pod).await,
        Component::CodexAuthRotator => codex_auth::rotator(pod).await,
        Component::CodexCli => codex_auth::cli(pod).await,
        Component::Codex => codex_auth::codex(pod).await,
        Component::AuthLogin => codex_auth::auth_login(pod).await,
        Component::CodexAgent => codex_auth::agent(pod).await,
    }
}
