//! The cluster itself: made with `kind`, with the platform's image on its node, and deleted again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};

use super::base::BaseError;
use super::data_plane;
use super::image::{Image, ImageError};
use super::load_image::{bring, bring_on, has_image, load};
use super::machine::{OLDEST, check_machine, dotted};
use super::making::Making;
use super::namespace::{Controller, Made, NamespaceError, define_sandbox};
use super::tool::{DOCKER, KIND, ToolError, last_lines};
use crate::vocabulary::Road;
use crate::world::gateways::Images;
use crate::world::kube_error::kube_error;

/// The cluster's default configuration, which a user's own file replaces.
const CONFIG: &str = include_str!("../../../kind-config.yaml");

/// How long `kind` waits for the node to be ready.
const NODE_READY_WITHIN: &str = "180s";

/// Lines of the node's log that an error shows.
const LOG_LINES: usize = 8;

/// kind's message that a cluster already exists.
const ALREADY: &str = "already exist for a cluster with the name";

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    #[error("inspecting this machine: {0}")]
    Machine(#[source] ToolError),
    #[error("kind is of version {found}, and must be at least {}: {}", dotted(&OLDEST), KIND.help)]
    Old { found: String },
    #[error("kind needs a container engine, and none answers: {0}")]
    NoEngine(#[source] ToolError),
    #[error("there is a cluster {0} already: `--reuse` works on it, `kind delete cluster --name {0}` removes it")]
    Exists(String),
    #[error("somebody else is creating the cluster {0}; once it exists, the same command works on it")]
    Meanwhile(String),
    #[error("making the cluster {name}: {source}{log}")]
    Create {
        name: String,
        source: ToolError,
        /// Of the node, if any.
        log: String,
    },
    #[error("locking {}: {source}", .path.display())]
    Lock { path: PathBuf, source: std::io::Error },
    #[error("a folder for the cluster's kubeconfig: {0}")]
    Folder(#[source] std::io::Error),
    #[error("reading the kubeconfig of the cluster {name}: {source}")]
    Kubeconfig {
        name: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("looking for classes of Gateways on {name}: {}", kube_error(source.as_ref()))]
    Classes { name: String, source: Box<kube::Error> },
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error(transparent)]
    Definition(#[from] NamespaceError),
    #[error("bringing the platform's image to the node of {name}: {source}")]
    Load { name: String, source: ToolError },
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The node's image; `kind`'s own where there is none.
    pub node_image: Option<String>,
    /// The base image; none for an image built from gauntlet alone.
    pub base_image: Option<String>,
    /// The codex CLI, a program of this machine, that gauntlet's own image gets.
    pub codex: Option<PathBuf>,
    /// Reuses a cluster of this name if it exists, and keeps it for the next run.
    pub reuse: bool,
    /// Images of real gateways.
    pub gateway_images: Images,
}

/// A cluster that runs.
pub struct KindCluster {
    pub name: String,
    /// The platform's image as pods name it.
    pub image: String,
    pub client: kube::Client,
    pub kubeconfig: PathBuf,
    pub controller: Controller,
    /// The class of Gateways that Envoy Gateway serves, where the cluster has its controller: the road `envoy`
    /// goes through it.
    pub gateway_class: Option<String>,
    /// Those of real gateways, which its nodes have or pull.
    pub gateway_images: Images,
    /// The worlds on it.
    pub made: Made,
    /// Whether this run made it.
    pub is_new: bool,
    /// Its kubeconfig is in it.
    _folder: tempfile::TempDir,
}

impl KindCluster {
    /// Makes a cluster, or finds the one that is to be used again, and brings the platform's image to its
    /// node. `tell` hears what is under way. What was made is gone again where this fails; where it is
    /// dropped on its way, [`Making::undo`] must be called.
    pub async fn start(
        options: &Options,
        name: &str,
        binary: &Path,
        making: &Making,
        tell: impl Fn(&str),
    ) -> Result<KindCluster, KindError> {
        let folder = tempfile::Builder::new()
            .prefix("gauntlet-kind-")
            .tempdir()
            .map_err(KindError::Folder)?;
        let kubeconfig = folder.path().join("kubeconfig");
        check_machine().await?;
        let is_there = exists(name).await?;
        match (is_there, options.reuse) {
            (true, false) => return Err(KindError::Exists(name.to_owned())),
            (true, true) => export(name, &kubeconfig).await?,
            (false, _) => {
                tell(&format!("making the cluster {name}"));
                making.begin();
                let created = create(name, options.node_image.as_deref(), folder.path(), &kubeconfig).await;
                created.map_err(|error| match error {
                    KindError::Exists(name) if options.reuse => KindError::Meanwhile(name),
                    other => other,
                })?;
            }
        }
        let prepared = prepare(name, options, &kubeconfig, binary, folder.path(), tell).await;
        let (client, image, controller, gateway_class) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                if !is_there {
                    let _told = delete(name).await;
                }
                return Err(error);
            }
        };
        Ok(KindCluster {
            name: name.to_owned(),
            image,
            client,
            kubeconfig,
            controller,
            gateway_class,
            gateway_images: options.gateway_images.clone(),
            made: Made::new(),
            is_new: !is_there,
            _folder: folder,
        })
    }

    /// Brings the images of these roads' gateways to the node, where this machine has them and the node doesn't;
    /// what neither has the node pulls.
    pub async fn bring_gateways(&self, roads: &[Road]) -> Result<(), KindError> {
        // Envoy Gateway's controller runs Envoys of its own.
        let is_ours = |road: &&Road| **road != Road::Envoy || self.gateway_class.is_none();
        for image in roads
            .iter()
            .filter(is_ours)
            .filter_map(|road| self.gateway_images.of(*road))
        {
            let is_here = DOCKER
                .ask(["image", "inspect", "--format", "{{.Id}}", image])
                .await
                .is_ok();
            if is_here && !has_image(&self.name, image).await {
                load(&self.name, ["docker-image", image]).await?;
            }
        }
        Ok(())
    }
}

/// A name that no other run has: `gauntlet-3f9a2c`.
pub fn free_name() -> String {
    format!("gauntlet-{:06x}", rand::random::<u32>() & 0x00ff_ffff)
}

/// Whether there is a cluster of this name.
pub async fn exists(name: &str) -> Result<bool, KindError> {
    Ok(clusters().await?.iter().any(|known| known == name))
}

async fn clusters() -> Result<Vec<String>, KindError> {
    let listed = KIND.ask(["get", "clusters"]).await.map_err(KindError::Machine)?;
    Ok(listed.lines().map(str::to_owned).collect())
}

async fn export(name: &str, kubeconfig: &Path) -> Result<(), KindError> {
    let file = kubeconfig.to_string_lossy();
    KIND.run(["export", "kubeconfig", "--name", name, "--kubeconfig", &file])
        .await
        .map(drop)
        .map_err(KindError::Machine)
}

async fn create(name: &str, node_image: Option<&str>, folder: &Path, kubeconfig: &Path) -> Result<(), KindError> {
    let config = folder.join("kind-config.yaml");
    std::fs::write(&config, CONFIG).map_err(KindError::Folder)?;
    let (config, kubeconfig) = (config.to_string_lossy(), kubeconfig.to_string_lossy());
    let mut args = vec!["create", "cluster", "--quiet", "--retain", "--name", name];
    args.extend([
        "--config",
        &config,
        "--kubeconfig",
        &kubeconfig,
        "--wait",
        NODE_READY_WITHIN,
    ]);
    if let Some(image) = node_image {
        args.extend(["--image", image]);
    }
    match KIND.run(args).await {
        Ok(_) => Ok(()),
        // One that somebody else made in this moment is theirs.
        Err(ToolError::Failed { said, .. }) if said.contains(ALREADY) => Err(KindError::Exists(name.to_owned())),
        Err(source) => {
            let log = node_log(name).await;
            let _told = delete(name).await;
            Err(KindError::Create {
                name: name.to_owned(),
                source,
                log,
            })
        }
    }
}

/// The node's own log of why it did not start; empty if there is none.
async fn node_log(name: &str) -> String {
    let node = format!("{name}-control-plane");
    let mut log = String::new();
    let console = DOCKER.run(["logs", "--tail", "50", &node]).await.unwrap_or_default();
    let kubelet = [
        "exec",
        &node,
        "journalctl",
        "--no-pager",
        "--output",
        "cat",
        "-u",
        "kubelet",
        "-n",
        "50",
    ];
    let kubelet = DOCKER.run(kubelet).await.unwrap_or_default();
    for (what, text) in [("the node's log", console), ("its kubelet's log", kubelet)] {
        let shown = last_lines(&text, LOG_LINES);
        if !shown.is_empty() {
            // Writing to a text can't fail.
            let _ = write!(log, "\n{what} ends with:\n{shown}");
        }
    }
    log
}

async fn prepare(
    name: &str,
    options: &Options,
    kubeconfig: &Path,
    binary: &Path,
    folder: &Path,
    tell: impl Fn(&str),
) -> Result<(kube::Client, String, Controller, Option<String>), KindError> {
    let client = client_with(name, kubeconfig).await?;
    let image = match &options.base_image {
        None => {
            let image = match &options.codex {
                None => Image::of(binary)?,
                Some(codex) => Image::with_codex(binary, codex)?,
            };
            bring(name, image, folder, &tell).await?
        }
        Some(base) => bring_on(name, base, binary, &tell).await?,
    };
    let controller = define_sandbox(&client).await?;
    let gateway_class = data_plane::class(&client).await.map_err(|error| KindError::Classes {
        name: name.to_owned(),
        source: Box::new(error),
    })?;
    if let Some(class) = &gateway_class {
        tell(&format!("the road envoy goes through Envoy Gateway (class {class})"));
    }
    Ok((client, image, controller, gateway_class))
}

/// A client of an existing cluster.
pub async fn client(name: &str) -> Result<kube::Client, KindError> {
    let folder = tempfile::tempdir().map_err(KindError::Folder)?;
    let kubeconfig = folder.path().join("kubeconfig");
    export(name, &kubeconfig).await?;
    client_with(name, &kubeconfig).await
}

async fn client_with(name: &str, kubeconfig: &Path) -> Result<kube::Client, KindError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| KindError::Kubeconfig {
        name: name.to_owned(),
        source,
    };
    let config = Kubeconfig::read_from(kubeconfig).map_err(|error| failed(error.into()))?;
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
        .await
        .map_err(|error| failed(error.into()))?;
    kube::Client::try_from(config).map_err(|error| failed(error.into()))
}

/// Deletes a cluster, even a partly created one.
pub async fn delete(name: &str) -> Result<(), ToolError> {
    let deleting = KIND.run(["delete", "cluster", "--quiet", "--name", name]);
    match tokio::time::timeout(Duration::from_secs(120), deleting).await {
        Ok(deleted) => deleted.map(drop),
        Err(_) => Err(ToolError::Slow {
            command: format!("kind delete cluster --name {name}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_clusters() {
        let name = free_name();
        assert_eq!(name.len(), "gauntlet-".len() + 6);
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        );
    }
}
