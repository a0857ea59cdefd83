//! The contracts, each with a reference platform of its own.

use super::Road;

/// A contract that the reference platform keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contract {
    /// The terminal behind a shared token.
    #[default]
    HarnessToken,
    /// The JWT gateway before the agent service.
    AgentService,
    /// The codex login that lives inside the cluster.
    CodexAuth,
}

impl Contract {
    pub const ALL: [Contract; 3] = [Contract::HarnessToken, Contract::AgentService, Contract::CodexAuth];

    /// The name, as ids of scenarios begin with it.
    pub fn name(self) -> &'static str {
        match self {
            Contract::HarnessToken => "harness-token",
            Contract::AgentService => "agent-service",
            Contract::CodexAuth => "codex-auth",
        }
    }

    /// The contract of that name, as ids of scenarios begin with it. Ids that begin otherwise, as with `capacity`
    /// or as a person may give them, are about the first.
    pub fn named(name: &str) -> Contract {
        let mut all = Contract::ALL.into_iter();
        all.find(|contract| contract.name() == name).unwrap_or_default()
    }

    /// The roads to its reference platform.
    pub fn roads(self) -> &'static [Road] {
        match self {
            Contract::HarnessToken => &[Road::Direct, Road::Proxy, Road::Balancer, Road::BalancerTls],
            Contract::AgentService => &[
                Road::Service,
                Road::AccessControl,
                Road::Builtin,
                Road::Nginx,
                Road::Envoy,
                Road::Witness,
            ],
            Contract::CodexAuth => &[Road::Litellm, Road::Vendor],
        }
    }

    /// The names of the selectors that choose its platform's pods.
    pub fn selectors(self) -> &'static [&'static str] {
        match self {
            Contract::HarnessToken => &["web.selector", "worker.selector", "warm.selector", "balancer.selector"],
            Contract::AgentService => &[
                "agent-service.selector",
                "access-control.selector",
                "builtin.selector",
                "nginx.selector",
                "envoy.selector",
            ],
            Contract::CodexAuth => &["litellm.selector", "agent.selector", "vendor.selector"],
        }
    }
}
