//! `gauntlet up`, `down` and `status`: a platform for a person to work with by hand.

mod doors;
mod embedded;
mod instructions;
mod kind;
mod kubeconfig;

use std::io::Write;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::sync::CancellationToken;

pub use kind::{context, down, status};
pub use kubeconfig::EMBEDDED;

use kubeconfig::KubeconfigFile;

use super::conclude::tell;
use super::profile::{Effective, effective};
use super::target::{GATEWAYS, Goes};
use super::{MadeTarget, TargetName, Up};
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::cli::run::mutants;
use crate::redact::Redactor;
use crate::steps::{Limits, StepContext, agent};
use crate::vocabulary::Contract;
use crate::vocabulary::Road;
use crate::vocabulary::{AgentState, BalancerSpec, WorldSpec};
use crate::world::World;
use crate::world::codex::Codex;
use crate::world::running::Setup;

/// Exit code of what could not be done.
const FAILED: u8 = 3;

/// Brings a platform up; returns the exit code.
pub async fn up(options: Up, process: Process, out: impl Write) -> Result<u8, UsageError> {
    let made = match options.target {
        MadeTarget::Embedded => TargetName::Embedded,
        MadeTarget::Kind => TargetName::Kind,
    };
    options.check()?;
    let Effective { profile, .. } = effective(options.profile.as_deref(), &options.set, made)?;
    let contract = Contract::from(options.contract);
    let gateways = match contract {
        Contract::HarnessToken | Contract::CodexAuth => Vec::new(),
        Contract::AgentService => gateways(&options.gateways.goes(made, &profile)),
    };
    let codex = match contract {
        Contract::CodexAuth => options.codex.find(made, options.base_image.is_some(), &process).await,
        Contract::HarnessToken | Contract::AgentService => Ok(Codex::default()),
    };
    let codex = match codex {
        Ok(codex) => {
            if contract == Contract::CodexAuth {
                tell(&options.codex.note(made, &codex));
            }
            codex
        }
        Err(error) => {
            tell(&error.to_string());
            return Ok(FAILED);
        }
    };
    let random = || format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let held = match options.held {
        true => Some(held(&process.stop).await?),
        false => None,
    };
    let (master_key, jwt_secret) = match (held, contract) {
        (Some(secret), Contract::AgentService) => (random(), secret),
        (Some(key), Contract::HarnessToken | Contract::CodexAuth) => (key, random()),
        (None, _) => (random(), random()),
    };
    let setup = Setup {
        names: Arc::new(profile.names),
        mutants: mutants(&options.mutant)?,
        token: random(),
        master_key,
        jwt_secret,
        contract,
        gateways,
        binary: process.binary.clone().ok(),
        codex,
    };
    // Without them its components fail one after the other, and none says why.
    if options.target == MadeTarget::Embedded
        && let Err(few) = process.files_for("a platform")
    {
        tell(&few.to_string());
        return Ok(FAILED);
    }
    let file = KubeconfigFile::claim(&options.kubeconfig, &options.context()).await?;
    Ok(match options.target {
        MadeTarget::Embedded => embedded::run(file, setup, options.gateways.place(), &process, out).await,
        MadeTarget::Kind => kind::up(&options, file, setup, &process, out).await,
    })
}

/// The key or JWT secret that whoever started this process says first; with whom the platform ends, however that one ends.
async fn held(stop: &CancellationToken) -> Result<String, UsageError> {
    let mut said = BufReader::new(tokio::io::stdin()).lines();
    let key = match said.next_line().await {
        Ok(Some(key)) if !key.is_empty() => key,
        _ => return Err(UsageError("--held: standard input has no key".into())),
    };
    let stop = stop.clone();
    tokio::spawn(async move {
        while let Ok(Some(_)) = said.next_line().await {}
        stop.cancel();
    });
    Ok(key)
}

/// The gateways that no component of the reference platform is.
fn gateways(goes: &Goes) -> Vec<Road> {
    let real = |road: &Road| *road != Road::Builtin && goes.has(*road);
    GATEWAYS.into_iter().filter(real).collect()
}

/// The complete platform.
fn spec(contract: Contract) -> WorldSpec {
    match contract {
        Contract::AgentService => WorldSpec::default(),
        Contract::CodexAuth => WorldSpec {
            persistence: true,
            agent: AgentState::WithKey,
            ..WorldSpec::default()
        },
        Contract::HarnessToken => WorldSpec {
            warm_pool: 2,
            web_replicas: 1,
            platform: true,
            balancer: Some(BalancerSpec {
                strips_authorization: None,
                idle_timeout: None,
                tls: false,
                probe: true,
            }),
            ..WorldSpec::default()
        },
    }
}

/// Makes an agent, with which a person's sessions can be made, and those of a run that makes none.
async fn with_agent(world: &Arc<World>) -> Result<(), String> {
    if world.contract != Contract::HarnessToken {
        return Ok(());
    }
    let context = StepContext::new(world.clone(), Redactor::new(), Limits::of_a_cluster());
    let made = agent::make_agent(&context).await;
    made.map(drop).map_err(|error| failed("starting the platform", &error))
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> String {
    format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    /// It contains a token, so one in this folder must not be committed.
    #[test]
    fn the_kubeconfig_is_ignored_by_git() {
        let Command::Up(options) = Cli::parse_from(["gauntlet", "up"]).command else {
            panic!("not up");
        };
        let name = options.kubeconfig.display().to_string();
        let ignored = include_str!("../../../.gitignore");
        assert!(ignored.lines().any(|line| line == name), "{name}");
    }
}
