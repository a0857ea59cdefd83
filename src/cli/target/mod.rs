//! The target of a command: checked, started, and ended.

mod codex;
mod gateway;
pub mod installation;
pub mod kind;
pub mod sessions;
pub mod survey;
mod taken;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::TargetName;
use super::conclude::tell;
use crate::cli::exit::UsageError;
use crate::cli::process::{IN_PROOFS, Process};
use crate::cli::run::TIMEOUT;
use crate::profile::Profile;
use crate::runner::eligibility::real_gateways;
use crate::runner::plan::Planned;
use crate::steps::Limits;
use crate::vocabulary::{Contract, Intrusion, Road};
use crate::world::codex::{Codex, CodexError};
use crate::world::gateways::{Gateways, Settings as GatewaySettings};
use crate::world::installation::lease::Held;
use crate::world::{GatewaysError, Target};
pub use codex::{CodexName, CodexOptions};
pub use gateway::{GATEWAYS, GatewayName, GatewayOptions, Goes};
pub use kind::{KindOptions, REUSED, kind_cluster};

/// Where to run, and with what settings.
#[derive(Clone, Debug, Default, Args)]
pub struct TargetOptions {
    /// Where to run
    #[arg(long, value_enum, default_value_t)]
    pub target: TargetName,
    #[command(flatten)]
    pub kind: KindOptions,
    #[command(flatten)]
    pub gateways: GatewayOptions,
    #[command(flatten)]
    pub codex: CodexOptions,
    /// cluster: the context of the kubeconfig [default: its current one]
    #[arg(long)]
    pub context: Option<String>,
    /// cluster: the kubeconfig [default: $KUBECONFIG, or kubectl's]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// cluster: the platform's namespace [default: the context's]
    #[arg(long, short, value_name = "NAME")]
    pub namespace: Option<String>,
    /// By default a run only observes; this permits more. cluster, url: what scenarios may do to the platform, at most
    #[arg(long, value_enum, value_name = "INTRUSION")]
    pub allow: Option<AllowName>,
    /// cluster, url: additional certificate authorities, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// cluster, url: accept any certificate, even from a man in the middle
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
    /// cluster, url: run the backend at this address that sees what the balancer lets through: it has to lead
    /// names.probe.path there
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub probe_listen: Option<SocketAddr>,
    /// cluster, url: where the undo journal is kept [default: gauntlet in $XDG_STATE_HOME, or in ~/.local/state]
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
}

/// Intrusions by their names on the command line; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AllowName {
    /// Only observe
    Observe,
    /// Create sessions of our own and delete them
    Use,
    /// Change secrets and restart deployments
    Disrupt,
    /// Send malformed traffic and floods
    Attack,
}

impl From<AllowName> for Intrusion {
    fn from(name: AllowName) -> Intrusion {
        match name {
            AllowName::Observe => Intrusion::Observe,
            AllowName::Use => Intrusion::Use,
            AllowName::Disrupt => Intrusion::Disrupt,
            AllowName::Attack => Intrusion::Attack,
        }
    }
}

impl TargetOptions {
    /// Rejects meaningless combinations of flags.
    pub fn check(&self) -> Result<(), UsageError> {
        use TargetName::{Cluster, Url};
        self.kind.check(self.target)?;
        self.gateways.check(self.target)?;
        self.codex.check(self.target, self.kind.base_image.is_some())?;
        let of: [(&str, bool, &[TargetName]); 8] = [
            ("--context", self.context.is_some(), &[Cluster]),
            ("--kubeconfig", self.kubeconfig.is_some(), &[Cluster]),
            ("--namespace", self.namespace.is_some(), &[Cluster]),
            ("--allow", self.allow.is_some(), &[Cluster, Url]),
            ("--ca", self.ca.is_some(), &[Cluster, Url]),
            ("--insecure", self.insecure, &[Cluster, Url]),
            ("--probe-listen", self.probe_listen.is_some(), &[Cluster, Url]),
            ("--journal", self.journal.is_some(), &[Cluster, Url]),
        ];
        let given = |(_, given, targets): &(&str, bool, &[TargetName])| *given && !targets.contains(&self.target);
        match of.into_iter().find(given) {
            Some((flag, _, targets)) => Err(only_for(flag, targets[0].name(), self.target.name())),
            None => self.check_allowed(),
        }
    }

    /// Disruption requires an explicit context.
    fn check_allowed(&self) -> Result<(), UsageError> {
        let disrupts = self.allowed() >= Intrusion::Disrupt;
        match self.target == TargetName::Cluster && disrupts && self.context.is_none() {
            true => Err(UsageError(format!(
                "--allow {} requires --context: the cluster to disrupt must be named explicitly",
                self.allowed().name()
            ))),
            false => Ok(()),
        }
    }

    /// The most that scenarios may do to a platform that isn't ours.
    pub fn allowed(&self) -> Intrusion {
        self.allow.map_or(Intrusion::Observe, Intrusion::from)
    }
}

/// Rejects a flag that doesn't apply to the target.
pub fn only_for(flag: &str, target: &str, given: &str) -> UsageError {
    UsageError(format!(
        "{flag} is of the target {target}, and the target is {given}; did you mean `--target {target}`?"
    ))
}

impl TargetName {
    pub fn name(self) -> &'static str {
        match self {
            TargetName::Embedded => "embedded",
            TargetName::Kind => "kind",
            TargetName::Cluster => "cluster",
            TargetName::Url => "url",
        }
    }
}

/// Why a target could not be started.
pub enum NotStarted {
    /// The command line is wrong.
    Usage(UsageError),
    /// The target could not be started.
    Failed(Box<dyn std::error::Error + Send + Sync>),
    Interrupted,
}

impl NotStarted {
    fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NotStarted {
        NotStarted::Failed(error.into())
    }
}

/// A running target.
pub struct Started {
    pub target: Target,
    /// What happens to a kind cluster at the end.
    end: kind::End,
    /// The lease held while a platform that isn't ours is disrupted.
    held: Option<Held>,
}

impl TargetOptions {
    /// The codex of what is planned, and what there is to say of it; none where nothing needs any.
    ///
    /// # Errors
    /// It is there, and can't be run.
    pub async fn codex(&self, planned: &[Planned], process: &Process) -> Result<Option<(Codex, String)>, CodexError> {
        let is_ours = matches!(self.target, TargetName::Embedded | TargetName::Kind);
        if !is_ours || planned.iter().all(|run| run.contract() != Contract::CodexAuth) {
            return Ok(None);
        }
        let codex = self
            .codex
            .find(self.target, self.kind.base_image.is_some(), process)
            .await?;
        let note = self.codex.note(self.target, &codex);
        Ok(Some((codex, note)))
    }
}

/// Starts a target for what is planned. Interrupted, it leaves nothing behind.
pub async fn start(
    options: &TargetOptions,
    profile: &Profile,
    planned: &mut [Planned],
    process: &Process,
) -> Result<Started, NotStarted> {
    let mut held = None;
    let (target, end) = match options.target {
        TargetName::Embedded => {
            let gateways = Gateways::new(GatewaySettings {
                slots: process.jobs(None, IN_PROOFS).map_err(NotStarted::failed)?,
                names: Arc::new(profile.names.clone()),
                path: (process.variable)("PATH"),
                place: options.gateways.place(),
            });
            (Target::Embedded(process.program.clone(), gateways), kind::End::Stays)
        }
        TargetName::Kind => {
            let codex = options.codex.for_image();
            kind::start(&options.kind, codex, options.gateways.images(), process).await?
        }
        TargetName::Cluster | TargetName::Url => {
            let found = installation::start(options, profile, planned, process).await?;
            held = found.held;
            (Target::Installation(found.installation), kind::End::Stays)
        }
    };
    Ok(Started { target, end, held })
}

async fn until_stopped<T>(work: impl Future<Output = T>, stop: &CancellationToken) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = stop.cancelled() => None,
    }
}

impl Started {
    /// Starts the real gateways that the runs go through; none if it is interrupted meanwhile.
    pub async fn start_gateways(
        &self,
        planned: &[Planned],
        stop: &CancellationToken,
    ) -> Option<Result<(), GatewaysError>> {
        let roads: BTreeSet<Road> = planned.iter().flat_map(real_gateways).collect();
        let roads: Vec<Road> = roads.into_iter().collect();
        // What is being started ends with the future that starts it.
        until_stopped(self.target.start_gateways(&roads), stop).await
    }

    /// Stops what has to be stopped.
    pub async fn end(self, passed: bool, names: &BTreeMap<String, String>) {
        match &self.target {
            Target::Embedded(..) => {}
            Target::Kind(cluster) => kind::end(cluster, self.end, passed).await,
            Target::Installation(installation) => installation::end(installation, names).await,
        }
        // Renewed until what is disrupted is put back.
        drop(self.held);
    }

    /// How many scenarios run at once, unless the command line says: on the embedded target `on_each` processor.
    pub fn jobs(&self, asked: Option<std::num::NonZeroUsize>, on_each: usize, process: &Process) -> usize {
        match (&self.target, asked) {
            // The target was not started where there are too few descriptors for one.
            (Target::Embedded(..), asked) => process.jobs(asked, on_each).unwrap_or(1),
            (_, Some(asked)) => asked.get(),
            // Most have a platform of their own, in containers of its own, and wait for them.
            (Target::Kind(_), None) => (process.processors * 3).max(1),
            // Others use it as well.
            (Target::Installation(_), None) => 1,
        }
    }

    /// The time limit of a scenario without one of its own.
    pub fn timeout(&self) -> Duration {
        match self.target {
            Target::Embedded(..) => TIMEOUT,
            Target::Kind(_) | Target::Installation(_) => Duration::from_secs(300),
        }
    }

    /// How long steps wait for answers.
    pub fn limits(&self) -> Limits {
        match self.target {
            Target::Embedded(..) => Limits::default(),
            Target::Kind(_) | Target::Installation(_) => Limits::of_a_cluster(),
        }
    }
}

pub fn tell_of_failure(done: Result<(), impl std::fmt::Display>) {
    if let Err(error) = done {
        tell(&error.to_string());
    }
}
