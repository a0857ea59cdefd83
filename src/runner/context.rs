//! State shared by all runs of one command.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::plan::Planned;
use super::shared_worlds::SharedWorlds;
use super::sharing::need;
use crate::platform::Mutant;
use crate::redact::Redactor;
use crate::steps::Limits;
use crate::vocabulary::Policies;
use crate::world::Target;
use crate::world::codex::Codex;

/// What all runs share.
pub struct RunContext {
    pub target: Target,
    /// Those that several of its runs work on.
    pub worlds: SharedWorlds,
    pub names: Arc<BTreeMap<String, String>>,
    pub policies: Policies,
    /// Guarded routes of the agent service beside the contract's, each with a method: of a platform that isn't ours.
    pub routes: Vec<String>,
    pub redactor: Redactor,
    pub limits: Limits,
    /// Worlds in which something went wrong stay, where they can.
    pub keep_failed: bool,
    /// This program's own file, which commands in containers of the embedded target run.
    pub binary: Option<PathBuf>,
    /// What logs in and asks in them.
    pub codex: Codex,
    pub seed: u64,
    /// Longest time of a scenario that doesn't say its own.
    pub timeout: Duration,
    /// Mutants that every world is started with.
    pub mutants: Vec<&'static Mutant>,
    /// Flags that commands need to show a failure again.
    pub flags: Flags,
    /// Cancelled when the run is to end early.
    pub stop: CancellationToken,
}

impl RunContext {
    /// Has these runs share worlds where that is right, on a target on which one takes long to make.
    pub fn share<'p>(&self, planned: impl IntoIterator<Item = &'p Planned>) {
        if self.target.shares_worlds() {
            self.worlds.announce(planned.into_iter().filter_map(need));
        }
    }
}

/// Flags of a run that its commands need as well, each with a space before it: ` --profile p.yaml`.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// Of `gauntlet run`, beside level, mutants and seed.
    pub run: String,
    /// Of `gauntlet up`, beside the mutants and the gateway.
    pub up: String,
    /// Of `kubectl`, beside the namespace.
    pub kubectl: String,
    /// Of `curl`.
    pub curl: String,
}
