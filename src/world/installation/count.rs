//! Counts what scenarios want a number of.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use super::{Installation, InstallationError};
use crate::profile::operations::Operation;
use crate::world::pod::is_ready;

/// How much there is of what scenarios want a number of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Terminating pods don't count; pods that aren't ready yet do.
    pub warm_pods: u32,
    /// The number of ready pods.
    pub web_replicas: u32,
    /// LiteLLM's pods that have something of the codex login: its rotator, its CLI, or the volume.
    pub codex_pods: u32,
    /// Pods of the codex agent.
    pub codex_agents: u32,
}

impl Installation {
    /// Counts, by `list-pods` if there is such a command, what scenarios want a number of.
    pub async fn count_by_command(&mut self, names: &BTreeMap<String, String>) -> Result<(), InstallationError> {
        let Some(commands) = self
            .commands
            .as_ref()
            .filter(|commands| commands.has(Operation::ListPods))
        else {
            return Ok(());
        };
        let name = |of: &str| names.get(of).map(String::as_str).unwrap_or_default();
        let warm = commands.pods(name("warm.selector")).await?;
        let web = commands.pods(name("web.selector")).await?;
        self.counts = Some(Counts {
            warm_pods: warm.len() as u32,
            web_replicas: web.iter().filter(|pod| pod.ready).count() as u32,
            // A list of pods doesn't tell their containers and volumes.
            codex_pods: 0,
            codex_agents: 0,
        });
        Ok(())
    }
}

/// None if pods may not be listed: that is said when all else is known that may not be done.
pub(super) async fn counts(
    client: &kube::Client,
    namespace: &str,
    names: &BTreeMap<String, String>,
) -> Result<Option<Counts>, InstallationError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let count = async |selector: &str, counts: &dyn Fn(&Pod) -> bool| {
        let selector = names.get(selector).map(String::as_str).unwrap_or_default();
        let listed = pods.list(&ListParams::default().labels(selector)).await?;
        Ok::<_, kube::Error>(listed.items.iter().filter(|pod| counts(pod)).count() as u32)
    };
    let counted = async {
        Ok::<_, kube::Error>(Counts {
            warm_pods: count("warm.selector", &|pod| pod.metadata.deletion_timestamp.is_none()).await?,
            web_replicas: count("web.selector", &is_ready).await?,
            codex_pods: count("litellm.selector", &|pod| has_codex(pod, names)).await?,
            codex_agents: count("agent.selector", &|_| true).await?,
        })
    };
    match counted.await {
        Ok(counts) => Ok(Some(counts)),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(InstallationError::asking(
            format!("counting the platform's pods in namespace {namespace}"),
            error,
        )),
    }
}

/// Whether a pod has something of the codex login. Another platform's LiteLLM has not.
fn has_codex(pod: &Pod, names: &BTreeMap<String, String>) -> bool {
    let named = |name: &str, names_of: [&str; 2]| names_of.iter().any(|of| names.get(*of).is_some_and(|n| n == name));
    let Some(spec) = &pod.spec else {
        return false;
    };
    let mut containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mut volumes = spec.volumes.iter().flatten();
    containers.any(|container| named(&container.name, ["rotator.container", "codex.container"]))
        || volumes.any(|volume| named(&volume.name, ["auth.volume", "auth.claim"]))
}
