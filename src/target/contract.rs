//! The contracts, each with a reference platform of its own.

/// A contract that the reference platform keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contract {
    /// The terminal behind a shared token.
    #[default]
    HarnessToken,
    /// The JWT gateway before the agent service.
    AgentService,
}

impl Contract {
    /// The contract of that name, as ids of scenarios begin with it. Ids of others, as a person may give
    /// them, are about the first.
    pub fn named(name: &str) -> Contract {
        match name {
            "agent-service" => Contract::AgentService,
            _ => Contract::HarnessToken,
        }
    }
}
