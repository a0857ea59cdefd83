//! Names of an installation: what the contract calls a thing, and what it is called there.

use std::collections::BTreeMap;

/// Every name that the contracts speak of, with the contract's own value.
pub const NAMES: &[(&str, &str)] = &[
    ("access-control.path", "/api/auth"),
    ("access-control.port", "9096"),
    ("access-control.selector", "app=access-control"),
    ("agent.container", "agent"),
    ("agent.name", "nova"),
    // A codex agent's Deployment, and its secrets, are called by its name behind this.
    ("agent.prefix", "cloud-codex-"),
    ("agent.selector", "app=cloud-codex-nova"),
    ("agent-service.port", "3001"),
    ("agent-service.selector", "app=agent-service"),
    ("agent-service.witness-port", "3002"),
    ("agents.health-path", "/api/healthcheck"),
    // The query parameter that a conversation's token is in.
    ("agents.parameter", "access-token"),
    ("agents.path", "/api/agents"),
    ("api.path", "/api/v1/managed_agents"),
    ("auth.claim", "litellm-chatgpt-auth"),
    ("auth.path", "/chatgpt-auth"),
    ("auth.volume", "chatgpt-auth"),
    ("balancer.deployment", "balancer"),
    ("balancer.port", "8080"),
    ("balancer.selector", "app=balancer"),
    ("balancer.tls-name", "balancer.gauntlet.test"),
    ("balancer.tls-port", "8443"),
    ("builtin.port", "8000"),
    ("builtin.selector", "app=gateway"),
    ("codex.container", "codex-cli"),
    ("codex.model", "gpt-5-codex"),
    ("envoy.port", "8000"),
    ("envoy.selector", "app=envoy"),
    ("jwt.secret-key", "AUTH_JWT_SECRET"),
    ("jwt.secret-name", "agent-service-env"),
    ("litellm.container", "litellm"),
    ("litellm.deployment", "litellm"),
    ("litellm.key-secret", "litellm-codex-env"),
    ("litellm.port", "4000"),
    ("litellm.secret-key", "LITELLM_MASTER_KEY"),
    ("litellm.selector", "app=litellm"),
    ("login.script", "/scripts/auth-login.sh"),
    ("nginx.port", "8000"),
    ("nginx.selector", "app=nginx"),
    ("probe.path", "/gauntlet-probe"),
    ("probe.selector", "app=probe"),
    ("rotator.container", "codex-auth-rotator"),
    ("sandbox.port", "4096"),
    ("sandbox.token-variable", "HARNESS_AUTH_TOKEN"),
    ("secret.key", "HARNESS_AUTH_TOKEN"),
    ("secret.master-key", "MASTER_KEY"),
    ("secret.name", "litellm-env"),
    ("seed.container", "codex-auth-seed"),
    // The agent, by name or id, that sessions are made with; `any` is the first with a terminal.
    ("session.agent", "any"),
    // The label of a session's pod whose value is the session's id. Without it the pod is found by `sandbox_url`.
    ("session.label", "session"),
    // The query parameter that a terminal's token is in.
    ("tty.parameter", "token"),
    ("tty.path", "/tty"),
    ("vendor.port", "9400"),
    ("vendor.selector", "app=vendor"),
    ("warm.selector", "pool=warm"),
    ("web.deployment", "litellm-web"),
    ("web.port", "3000"),
    ("web.selector", "app=litellm-web"),
    ("worker.deployment", "litellm-worker"),
    ("worker.selector", "app=litellm-worker"),
];

/// The contract's own names.
pub fn contract() -> BTreeMap<String, String> {
    NAMES
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
