//! What stands behind a scenario, and what it does to a platform that isn't ours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a (spec) sentence of the contract stands behind a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// A (spec) sentence of the contract states it.
    Core,
    /// The rest, and hardening with a standard.
    Extended,
}

/// What a scenario does to a platform that isn't ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Intrusion {
    /// Only observes.
    Observe,
    /// Creates its own sessions and deletes them.
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
            Intrusion::Observe => "only observes",
            Intrusion::Use => "creates its own sessions and deletes them",
            Intrusion::Disrupt => "changes secrets, restarts deployments",
            Intrusion::Attack => "malformed traffic, floods",
        }
    }
}
