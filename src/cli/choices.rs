//! Choices that several commands' flags have, by their names on the command line.

use clap::ValueEnum;

use crate::runner::plan::Levels;
use crate::vocabulary::Contract;

/// The platform that scenarios run against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TargetName {
    /// The reference platform, in this process.
    #[default]
    Embedded,
    /// A cluster that kind creates, with a namespace for each scenario.
    Kind,
    /// An existing platform on a cluster from your kubeconfig; a profile gives its names.
    Cluster,
    /// A platform known only by its doors; a profile's `roads` give their addresses.
    Url,
}

/// Targets that gauntlet can start itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MadeTarget {
    /// The reference platform, in this process.
    #[default]
    Embedded,
    /// A cluster that kind creates.
    Kind,
}

impl From<MadeTarget> for TargetName {
    fn from(target: MadeTarget) -> TargetName {
        match target {
            MadeTarget::Embedded => TargetName::Embedded,
            MadeTarget::Kind => TargetName::Kind,
        }
    }
}

/// Contracts by their names on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ContractName {
    /// The terminal behind a shared token
    #[default]
    HarnessToken,
    /// The JWT gateway before the agent service
    AgentService,
    /// The codex login inside the cluster
    CodexAuth,
}

impl From<ContractName> for Contract {
    fn from(name: ContractName) -> Contract {
        match name {
            ContractName::HarnessToken => Contract::HarnessToken,
            ContractName::AgentService => Contract::AgentService,
            ContractName::CodexAuth => Contract::CodexAuth,
        }
    }
}

/// Levels by their names on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LevelName {
    /// Rules that the contract's source states
    #[default]
    Core,
    /// All other rules, including hardening
    Extended,
    All,
}

impl From<LevelName> for Levels {
    fn from(name: LevelName) -> Levels {
        match name {
            LevelName::Core => Levels::Core,
            LevelName::Extended => Levels::Extended,
            LevelName::All => Levels::All,
        }
    }
}

/// What becomes of a run with scenarios that passed only when they were tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FlakyName {
    /// It fails
    #[default]
    Fail,
    /// It passes, and names them
    Pass,
}

/// When verdicts are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorName {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    #[default]
    Text,
    Json,
}
