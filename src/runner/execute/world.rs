//! The world of a run: its parts, its start and its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument, debug, info_span};

use super::broken::Broken;
use crate::redact::Redactor;
use crate::runner::context::RunContext;
use crate::runner::eligibility::real_gateways;
use crate::runner::plan::Planned;
use crate::template::{Scope, render_string};
use crate::vocabulary::Contract;
use crate::world::World;
use crate::world::running::Setup;

/// Longest time that a world may take to end.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(15);

/// The parts of a world; its secrets are known to the redactor.
pub(super) fn setup(
    scope: &Scope,
    planned: &Planned,
    shared: &RunContext,
    secrets: &Redactor,
) -> Result<Setup, Broken> {
    let random = || render_string("${token()}", scope);
    let setup = Setup {
        names: shared.names.clone(),
        mutants: shared.mutants.clone(),
        token: random()?,
        master_key: random()?,
        jwt_secret: random()?,
        contract: planned.contract(),
        gateways: real_gateways(planned),
        binary: shared.binary.clone(),
        codex: shared.codex.clone(),
    };
    let own = [&setup.token, &setup.master_key, &setup.jwt_secret];
    register_secrets(secrets, setup.contract, own.map(String::as_str))?;
    Ok(setup)
}

/// Token, master key and JWT secret; empty is what a contract has none of.
pub(super) fn register_secrets(redactor: &Redactor, contract: Contract, secrets: [&str; 3]) -> Result<(), Broken> {
    let names = match contract {
        Contract::HarnessToken | Contract::AgentService => ["HARNESS_AUTH_TOKEN", "MASTER_KEY", "AUTH_JWT_SECRET"],
        Contract::CodexAuth => ["LITELLM_API_KEY", "LITELLM_MASTER_KEY", "RUNTIME_TOKEN"],
    };
    for (name, value) in names.into_iter().zip(secrets).filter(|(_, value)| !value.is_empty()) {
        redactor.add(name, value).map_err(Broken::Secret)?;
    }
    Ok(())
}

/// Starts the world of a run.
pub(super) async fn world_of(planned: &Planned, shared: &RunContext, setup: Setup) -> Result<World, Broken> {
    let start = async {
        debug!("the world starts");
        let world = shared.target.world(&planned.scenario.world, setup).await;
        match &world {
            Ok(world) => debug!(namespace = world.namespace, "the world has started"),
            Err(error) => debug!(%error, "the world did not start"),
        }
        world.map_err(|error| Broken::Start(Box::new(error)))
    };
    start.instrument(info_span!("start")).await
}

/// Ends a world that nobody works in any more, or leaves it to be looked at.
pub(super) async fn end(world: Arc<World>, is_bad: bool, shared: &RunContext) -> Result<(), Broken> {
    match Arc::into_inner(world) {
        Some(world) if shared.keep_failed && world.can_stay() && is_bad => {
            world.leave();
            Ok(())
        }
        Some(world) => match timeout(STOP_WITHIN, stop(world)).await {
            Ok(stopped) => stopped,
            Err(_) => Err(Broken::StopLate),
        },
        None => Err(Broken::StopLate),
    }
}

/// Ends a world.
async fn stop(world: World) -> Result<(), Broken> {
    let stop = async {
        debug!("the world ends");
        let stopped = world.stop().await;
        match &stopped {
            Ok(()) => debug!("the world has ended"),
            Err(error) => debug!(%error, "the world did not end"),
        }
        stopped.map_err(|error| Broken::Stop(Box::new(error)))
    };
    stop.instrument(info_span!("stop")).await
}
