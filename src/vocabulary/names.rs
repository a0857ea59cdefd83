//! Names of an installation: what the contract calls a thing, and what it is called there.

use std::collections::BTreeMap;

/// Every name that the contracts speak of, with the contract's own value.
pub const NAMES: &[(&str, &str)] = &[
    ("access-control.path", "/api/auth"),
    ("access-control.port", "9096"),
    ("access-control.selector", "app=access-control"),
    ("agent-service.port", "3001"),
    ("agent-service.selector", "app=agent-service"),
    ("agent-service.witness-port", "3002"),
    ("agents.health-path", "/api/healthcheck"),
    ("agents.path", "/api/agents"),
    ("api.path", "/api/v1/managed_agents"),
    ("balancer.deployment", "balancer"),
    ("balancer.port", "8080"),
    ("balancer.selector", "app=balancer"),
    ("balancer.tls-name", "balancer.gauntlet.test"),
    ("balancer.tls-port", "8443"),
    ("builtin.port", "8000"),
    ("builtin.selector", "app=gateway"),
    ("envoy.port", "8000"),
    ("envoy.selector", "app=envoy"),
    ("jwt.secret-key", "AUTH_JWT_SECRET"),
    ("jwt.secret-name", "agent-service-env"),
    ("litellm.secret-key", "LITELLM_MASTER_KEY"),
    ("nginx.port", "8000"),
    ("nginx.selector", "app=nginx"),
    ("probe.path", "/gauntlet-probe"),
    ("probe.selector", "app=probe"),
    ("sandbox.port", "4096"),
    ("sandbox.token-variable", "HARNESS_AUTH_TOKEN"),
    ("secret.key", "HARNESS_AUTH_TOKEN"),
    ("secret.master-key", "MASTER_KEY"),
    ("secret.name", "litellm-env"),
    // The label of a session's pod whose value is the session's id. Without it the pod is found by `sandbox_url`.
    ("session.label", "session"),
    ("tty.path", "/tty"),
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
