//! A cluster of kind's for a run: made or found, and ended.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::conclude::tell;
use super::super::run::Process;
use super::{NotStarted, TargetOptions, tell_of_failure, until_stopped};
use crate::target::Target;
use crate::target::kind::cluster::{self, KindCluster, Options};

/// The name of a cluster that is to be used again.
pub const REUSED: &str = "gauntlet";

/// What becomes of it when the run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Stays,
    StaysOnFailure,
    Deleted,
}

fn name(options: &TargetOptions) -> String {
    match (&options.cluster_name, options.reuse) {
        (Some(name), _) => name.clone(),
        (None, true) => REUSED.to_owned(),
        (None, false) => cluster::free_name(),
    }
}

/// Makes or finds it. Interrupted, it leaves nothing behind.
pub async fn start(options: &TargetOptions, process: &Process) -> Result<(Target, End), NotStarted> {
    let name = name(options);
    let binary = process.binary.clone().map_err(NotStarted::Failed)?;
    let wanted = Options {
        node_image: options.image.clone(),
        base_image: options.base_image.clone(),
        reuse: options.reuse,
    };
    let making = kind_cluster(&wanted, &name, binary);
    let cluster = match until_stopped(making, &process.stop).await {
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
    let end = match (
        options.keep || options.reuse || !cluster.is_new,
        options.keep_on_failure,
    ) {
        (true, _) => End::Stays,
        (false, true) => End::StaysOnFailure,
        (false, false) => End::Deleted,
    };
    Ok((Target::Kind(Arc::new(cluster)), end))
}

/// A cluster of kind's that worlds can stand on.
pub async fn kind_cluster(wanted: &Options, name: &str, binary: PathBuf) -> Result<KindCluster, String> {
    KindCluster::start(wanted, name, &binary, tell)
        .await
        .map_err(|error| error.to_string())
}

/// Deletes it, or what is left of worlds on it.
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
