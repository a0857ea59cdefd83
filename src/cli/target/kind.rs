//! A kind cluster for a run: created or found, and deleted or kept.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::super::TargetName;
use super::super::conclude::tell;
use super::{NotStarted, only_for, tell_of_failure, until_stopped};
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::world::Target;
use crate::world::gateways::Images;
use crate::world::kind::cluster::{self, KindCluster, KindError, Options};
use crate::world::kind::making::Making;

/// The name of a reusable cluster.
pub const REUSED: &str = "gauntlet";

/// A kind cluster: its name, its images, and whether it is kept.
#[derive(Clone, Debug, Default, Args)]
pub struct KindOptions {
    /// kind: the cluster's name [default: a unique one; gauntlet with --reuse]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// kind: the node's image [default: kind's own]
    #[arg(long, value_name = "NODE_IMAGE")]
    pub image: Option<String>,
    /// kind: build the platform's image on top of this one, for its shell and programs [default: gauntlet's own]
    #[arg(long, value_name = "IMAGE")]
    pub base_image: Option<String>,
    /// kind: keep the cluster after the run
    #[arg(long, conflicts_with = "keep_on_failure")]
    pub keep: bool,
    /// kind: keep the cluster if the run did not pass
    #[arg(long)]
    pub keep_on_failure: bool,
    /// kind: reuse the cluster of that name if it exists, and keep it for the next run
    #[arg(long)]
    pub reuse: bool,
}

impl KindOptions {
    /// Rejects kind's flags for another target.
    pub fn check(&self, target: TargetName) -> Result<(), UsageError> {
        let of = [
            ("--cluster-name", self.cluster_name.is_some()),
            ("--image", self.image.is_some()),
            ("--base-image", self.base_image.is_some()),
            ("--keep", self.keep),
            ("--keep-on-failure", self.keep_on_failure),
            ("--reuse", self.reuse),
        ];
        match of.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) if target != TargetName::Kind => Err(only_for(flag, "kind", target.name())),
            _ => Ok(()),
        }
    }
}

/// What happens to the cluster after the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Stays,
    StaysOnFailure,
    Deleted,
}

fn name(options: &KindOptions) -> String {
    match (&options.cluster_name, options.reuse) {
        (Some(name), _) => name.clone(),
        (None, true) => REUSED.to_owned(),
        (None, false) => cluster::free_name(),
    }
}

/// Creates or finds the cluster, as a target. If interrupted, it leaves nothing behind.
pub async fn start(
    options: &KindOptions,
    codex: Option<PathBuf>,
    gateway_images: Images,
    process: &Process,
) -> Result<(Target, End), NotStarted> {
    let (cluster, end) = find(options, codex, gateway_images, process).await?;
    Ok((Target::Kind(Arc::new(cluster)), end))
}

/// Creates or finds the cluster. If interrupted, it leaves nothing behind.
pub async fn find(
    options: &KindOptions,
    codex: Option<PathBuf>,
    gateway_images: Images,
    process: &Process,
) -> Result<(KindCluster, End), NotStarted> {
    let name = name(options);
    let binary = process.binary.clone().map_err(NotStarted::failed)?;
    let wanted = Options {
        node_image: options.image.clone(),
        base_image: options.base_image.clone(),
        codex,
        reuse: options.reuse,
        gateway_images,
    };
    let making = match until_stopped(Making::of(&name, tell), &process.stop).await {
        Some(making) => making.map_err(NotStarted::failed)?,
        None => return Err(NotStarted::Interrupted),
    };
    let made = kind_cluster(&wanted, &name, binary, &making);
    let cluster = match until_stopped(made, &process.stop).await {
        Some(Ok(cluster)) => cluster,
        Some(Err(error)) => return Err(NotStarted::failed(error)),
        None => {
            tell_of_failure(making.undo(tell).await);
            return Err(NotStarted::Interrupted);
        }
    };
    let end = match (
        options.keep || options.reuse || !cluster.is_new,
        options.keep_on_failure,
    ) {
        (true, _) => End::Stays,
        (false, true) => End::StaysOnFailure,
        (false, false) => End::Deleted,
    };
    Ok((cluster, end))
}

/// A kind cluster that can hold worlds.
///
/// `making` knows whether this has begun to make it.
pub async fn kind_cluster(
    wanted: &Options,
    name: &str,
    binary: PathBuf,
    making: &Making,
) -> Result<KindCluster, KindError> {
    KindCluster::start(wanted, name, &binary, making, tell).await
}

/// Deletes the cluster, or what is left of worlds on it.
pub async fn end(cluster: &KindCluster, end: End, passed: bool) {
    let name = &cluster.name;
    if end == End::Stays || (end == End::StaysOnFailure && !passed) {
        tell_of_failure(cluster.made.delete(&cluster.client).await);
        tell(&format!(
            "the cluster {name} stays: `kind export kubeconfig --name {name}` leads to it, \
             `kind delete cluster --name {name}` deletes it"
        ));
        return;
    }
    tell(&format!("deleting the cluster {name}"));
    tell_of_failure(cluster::delete(name).await);
}
