//! Where the cluster of an installation is, and a client of it.

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::InstallationError;
use crate::vocabulary::similar::suggestion;
use crate::world::kube_error::kube_error;
use crate::world::kubeconfig;

/// Why a kubeconfig doesn't lead to the cluster that is meant.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error(
        "there is no kubeconfig, so no context {context}; the cluster of the pod that this runs in is `{IN_CLUSTER}`"
    )]
    NoKubeconfig { context: String },
    #[error("there is none (`--kubeconfig FILE` names one), and this isn't a pod of a cluster")]
    NoPod(#[source] kube::config::InClusterError),
    #[error(transparent)]
    Read(#[from] kubeconfig::ReadError),
    /// One of several.
    #[error("{}: {source}", file.display())]
    ReadOne {
        file: PathBuf,
        source: kubeconfig::ReadError,
    },
    #[error("there is no context {context}; {suggestion}")]
    NoContext { context: String, suggestion: String },
    #[error("{}", kube_error(.0))]
    Kubeconfig(#[from] KubeconfigError),
}

/// The name of the context that is the cluster of the pod that this runs in.
pub const IN_CLUSTER: &str = "in-cluster";

/// How to reach the cluster, from the command line and the environment.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Merged in order; none: that of a pod.
    pub kubeconfig: Vec<PathBuf>,
    /// The kubeconfig's current one where none is said.
    pub context: Option<String>,
    /// The context's where none is said.
    pub namespace: Option<String>,
}

/// A cluster that answers.
pub struct Connected {
    pub client: kube::Client,
    /// The default namespace.
    pub namespace: String,
    /// None without a kubeconfig.
    pub context: Option<String>,
}

/// A client of the cluster that is at a place.
///
/// # Errors
/// If nothing says where it is, or it doesn't answer.
pub async fn connect(place: &Place) -> Result<Connected, InstallationError> {
    let (mut config, context) = config(place).await?;
    // A watch is quiet as long as nothing happens; a cluster that is gone is known by its connections.
    config.connect_timeout = Some(std::time::Duration::from_secs(10));
    let namespace = place.namespace.clone().unwrap_or(config.default_namespace.clone());
    let server = config.cluster_url.to_string();
    let client = kube::Client::try_from(config)
        .map_err(|error| InstallationError::asking(format!("making a client of {server}"), error))?;
    client
        .apiserver_version()
        .await
        .map_err(|error| InstallationError::asking(format!("asking {server} for its version"), error))?;
    Ok(Connected {
        client,
        namespace,
        context,
    })
}

/// The configuration that a place has, and the name of its context.
async fn config(place: &Place) -> Result<(kube::Config, Option<String>), InstallationError> {
    let failed = |source: PlaceError| InstallationError::Kubeconfig {
        files: place.kubeconfig.clone(),
        source: Box::new(source),
    };
    if place.kubeconfig.is_empty() {
        // Which cluster it is was said; that of the pod may be another one.
        if let Some(context) = place.context.as_ref().filter(|context| *context != IN_CLUSTER) {
            let context = context.clone();
            return Err(failed(PlaceError::NoKubeconfig { context }));
        }
        let config = kube::Config::incluster().map_err(|error| failed(PlaceError::NoPod(error)))?;
        return Ok((config, Some(IN_CLUSTER.to_owned())));
    }
    let mut merged = Kubeconfig::default();
    for file in &place.kubeconfig {
        let read = kubeconfig::read(file).map_err(|source| {
            failed(match place.kubeconfig.len() {
                1 => PlaceError::Read(source),
                _ => PlaceError::ReadOne {
                    file: file.clone(),
                    source,
                },
            })
        })?;
        merged = merged.merge(read).map_err(|error| failed(error.into()))?;
    }
    if let Some(context) = &place.context
        && !merged.contexts.iter().any(|known| known.name == *context)
    {
        let known = merged.contexts.iter().map(|known| known.name.as_str());
        return Err(failed(PlaceError::NoContext {
            context: context.clone(),
            suggestion: suggestion(context, known, "contexts"),
        }));
    }
    let options = KubeConfigOptions {
        context: place.context.clone(),
        ..KubeConfigOptions::default()
    };
    let context = place.context.clone().or(merged.current_context.clone());
    let config = kube::Config::from_custom_kubeconfig(merged, &options).await;
    Ok((config.map_err(|error| failed(error.into()))?, context))
}
