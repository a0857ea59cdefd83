//! The target of a command: checked, started, and ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::TargetName;
use super::conclude::tell;
use super::run::{Process, TIMEOUT, UsageError};
use crate::steps::Limits;
use crate::target::Target;
use crate::target::kind::cluster::{self, KindCluster, Options};
use crate::target::kind::namespace;

/// Where to run, and how that comes to be.
#[derive(Clone, Debug, Default, Args)]
pub struct TargetOptions {
    /// Where to run
    #[arg(long, value_enum, default_value_t)]
    pub target: TargetName,
    /// kind: the cluster's name [default: one that nothing else has; with --reuse gauntlet]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// kind: the node's image [default: kind's own]
    #[arg(long, value_name = "NODE_IMAGE")]
    pub image: Option<String>,
    /// kind: leave the cluster when the run is over
    #[arg(long, conflicts_with = "keep_on_failure")]
    pub keep: bool,
    /// kind: leave the cluster where the run did not pass
    #[arg(long)]
    pub keep_on_failure: bool,
    /// kind: work on a cluster of that name where there is one, and leave it for the next run
    #[arg(long)]
    pub reuse: bool,
}

/// The name of a cluster that is to be used again.
pub const REUSED: &str = "gauntlet";

impl TargetOptions {
    fn check(&self) -> Result<(), UsageError> {
        only_for_kind(
            self.target,
            [
                ("--cluster-name", self.cluster_name.is_some()),
                ("--image", self.image.is_some()),
                ("--keep", self.keep),
                ("--keep-on-failure", self.keep_on_failure),
                ("--reuse", self.reuse),
            ],
        )
    }

    fn cluster_name(&self) -> String {
        match (&self.cluster_name, self.reuse) {
            (Some(name), _) => name.clone(),
            (None, true) => REUSED.to_owned(),
            (None, false) => cluster::free_name(),
        }
    }
}

/// Refuses the first flag that is given and has no meaning for the target.
pub fn only_for_kind<const N: usize>(target: TargetName, flags: [(&str, bool); N]) -> Result<(), UsageError> {
    let given = flags.into_iter().find(|(_, given)| *given);
    match (target, given) {
        (TargetName::Embedded, Some((flag, _))) => Err(UsageError(format!(
            "{flag} is about a cluster of kind's, and the target is embedded; did you mean `--target kind`?"
        ))),
        _ => Ok(()),
    }
}

impl TargetName {
    pub fn name(self) -> &'static str {
        match self {
            TargetName::Embedded => "embedded",
            TargetName::Kind => "kind",
        }
    }
}

/// Why there is no target.
pub enum NotStarted {
    /// The command line is wrong.
    Usage(UsageError),
    /// It could not be started.
    Failed(String),
    Interrupted,
}

/// A target that runs.
pub struct Started {
    pub target: Target,
    /// It is deleted when all is over.
    is_ours: bool,
    /// It stays where the run did not pass.
    keep_on_failure: bool,
}

/// Starts a target. Interrupted, it leaves nothing behind.
pub async fn start(options: &TargetOptions, process: &Process) -> Result<Started, NotStarted> {
    options.check().map_err(NotStarted::Usage)?;
    if options.target == TargetName::Embedded {
        return Ok(Started {
            target: Target::Embedded(process.program.clone()),
            is_ours: false,
            keep_on_failure: false,
        });
    }
    let name = options.cluster_name();
    let binary = process.binary.clone().map_err(NotStarted::Failed)?;
    let cluster = match until_stopped(
        kind_cluster(options.image.as_deref(), options.reuse, &name, binary),
        &process.stop,
    )
    .await
    {
        Some(Ok(cluster)) => cluster,
        Some(Err(error)) => return Err(NotStarted::Failed(error)),
        None => {
            // What was there before is not ours to delete.
            if !options.reuse {
                tell(&format!("deleting the cluster {name}"));
                tell_of_failure(cluster::delete(&name).await);
            }
            return Err(NotStarted::Interrupted);
        }
    };
    let stays = options.keep || options.reuse || !cluster.is_new;
    Ok(Started {
        is_ours: !stays,
        target: Target::Kind(Arc::new(cluster)),
        keep_on_failure: options.keep_on_failure,
    })
}

/// A cluster of kind's that worlds can stand on.
pub async fn kind_cluster(
    node_image: Option<&str>,
    reuse: bool,
    name: &str,
    binary: PathBuf,
) -> Result<KindCluster, String> {
    let wanted = Options {
        node_image: node_image.map(str::to_owned),
        reuse,
    };
    let cluster = KindCluster::start(&wanted, name, &binary, tell)
        .await
        .map_err(|error| error.to_string())?;
    match namespace::define_sandbox(&cluster.client).await {
        Ok(()) => Ok(cluster),
        Err(error) => {
            if cluster.is_new {
                tell_of_failure(cluster::delete(name).await);
            }
            Err(error.to_string())
        }
    }
}

async fn until_stopped<T>(work: impl Future<Output = T>, stop: &CancellationToken) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = stop.cancelled() => None,
    }
}

impl Started {
    /// Ends what is to end.
    pub async fn end(self, passed: bool) {
        let Target::Kind(cluster) = &self.target else { return };
        let stays = !self.is_ours || (self.keep_on_failure && !passed);
        if stays {
            let name = &cluster.name;
            tell_of_failure(cluster.made.delete(&cluster.client).await);
            tell(&format!(
                "the cluster {name} stays: `kind export kubeconfig --name {name}` leads to it, \
                 `kind delete cluster --name {name}` deletes it"
            ));
            return;
        }
        let name = cluster.name.clone();
        tell(&format!("deleting the cluster {name}"));
        tell_of_failure(cluster::delete(&name).await);
    }

    /// How many scenarios run at once, where the command line doesn't say.
    pub fn jobs(&self, asked: Option<std::num::NonZeroUsize>, process: &Process) -> usize {
        match (&self.target, asked) {
            (_, Some(asked)) => asked.get(),
            (Target::Embedded(_), None) => process.jobs(),
            // Each has a platform of its own, in containers of its own.
            (Target::Kind(_), None) => process.processors.max(1),
        }
    }

    /// The longest time of a scenario that doesn't say its own.
    pub fn timeout(&self) -> Duration {
        match self.target {
            Target::Embedded(_) => TIMEOUT,
            Target::Kind(_) => Duration::from_secs(300),
        }
    }

    /// How long steps wait for answers.
    pub fn limits(&self) -> Limits {
        match self.target {
            Target::Embedded(_) => Limits::default(),
            Target::Kind(_) => Limits::of_a_cluster(),
        }
    }
}

fn tell_of_failure(done: Result<(), impl std::fmt::Display>) {
    if let Err(error) = done {
        tell(&error.to_string());
    }
}
