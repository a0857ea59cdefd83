//! The roads to a door.

use schemars::JsonSchema;
use serde::Deserialize;

/// One way to a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Road {
    /// Straight to the pod.
    Direct,
    /// Through web, the platform's proxy.
    Proxy,
    /// Through the load balancer before web.
    Balancer,
    /// Through the load balancer's TLS port.
    BalancerTls,
    /// Straight to the agent service.
    Service,
    /// Straight to access control, which is asked about the path.
    AccessControl,
    /// Through the gateway before the agent service that gauntlet brings along.
    Builtin,
    /// Through an nginx before the agent service (`auth_request`).
    Nginx,
    /// Through an Envoy before the agent service (`ext_authz`).
    Envoy,
    /// To what shows the requests that came to the reference platform's agent service.
    Witness,
    /// To LiteLLM, which has the codex login.
    Litellm,
    /// To the vendor that the reference platform's logins are made at, and its models called: a fake one, which shows
    /// what came and does as it is told.
    Vendor,
}

impl Road {
    pub const ALL: [Road; 12] = [
        Road::Direct,
        Road::Proxy,
        Road::Balancer,
        Road::BalancerTls,
        Road::Service,
        Road::AccessControl,
        Road::Builtin,
        Road::Nginx,
        Road::Envoy,
        Road::Witness,
        Road::Litellm,
        Road::Vendor,
    ];

    /// The real gateways before the agent service.
    pub const GATEWAYS: [Road; 2] = [Road::Nginx, Road::Envoy];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Road::Direct => "direct",
            Road::Proxy => "proxy",
            Road::Balancer => "balancer",
            Road::BalancerTls => "balancer-tls",
            Road::Service => "service",
            Road::AccessControl => "access-control",
            Road::Builtin => "builtin",
            Road::Nginx => "nginx",
            Road::Envoy => "envoy",
            Road::Witness => "witness",
            Road::Litellm => "litellm",
            Road::Vendor => "vendor",
        }
    }

    /// The road of that name.
    pub fn named(name: &str) -> Option<Road> {
        Road::ALL.into_iter().find(|road| road.name() == name)
    }

    /// How a message names the way: `through the proxy`.
    pub fn by(self) -> &'static str {
        match self {
            Road::Direct => "directly",
            Road::Proxy => "through the proxy",
            Road::Balancer => "through the balancer",
            Road::BalancerTls => "through the balancer over TLS",
            Road::Service => "straight to the agent service",
            Road::AccessControl => "as access control is asked",
            Road::Builtin => "through the built-in gateway",
            Road::Nginx => "through nginx",
            Road::Envoy => "through Envoy",
            Road::Witness => "of the witness",
            Road::Litellm => "at LiteLLM",
            Road::Vendor => "at the vendor",
        }
    }
}
