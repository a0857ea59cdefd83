//! A world as a namespace of a cluster that holds many.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace as KubeNamespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;

use tokio::time::{Instant, sleep};

use crate::world::forward::Forwards;
use crate::world::kube_error::kube_error;
use crate::world::labels::{self, MANAGED_BY};
use crate::world::wait::{Patience, is_passing};

/// The definition of Sandbox.
const SANDBOX: &str = include_str!("../../../deploy/sandbox-crd.yaml");

/// The name under which fields that gauntlet sets are known to a cluster.
pub const FIELD_MANAGER: &str = "gauntlet";

/// Longest time until namespaces that were deleted are gone.
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// Time between two looks at whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Longest time until a definition is served.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error("creating a namespace: {}", kube_error(.0.as_ref()))]
    Create(#[source] Box<kube::Error>),
    #[error("looking for a namespace: {}", kube_error(.0.as_ref()))]
    Find(#[source] Box<kube::Error>),
    #[error("deleting the namespace {name}: {}", kube_error(source.as_ref()))]
    Delete { name: String, source: Box<kube::Error> },
    #[error("the cluster has not ended the namespaces {0} within {GONE_WITHIN:?}")]
    Stays(String),
    #[error("applying the definition of Sandbox: {0}")]
    Definition(String),
}

impl NamespaceError {
    /// Whether the same may succeed a moment later.
    fn may_pass(&self) -> bool {
        match self {
            NamespaceError::Create(source) | NamespaceError::Find(source) | NamespaceError::Delete { source, .. } => {
                // A server that has just been started does not know yet who may do what; we may do all.
                is_passing(source) || matches!(&**source, kube::Error::Api(status) if matches!(status.code, 401 | 403))
            }
            NamespaceError::Stays(_) | NamespaceError::Definition(_) => false,
        }
    }
}

/// The namespaces that a run makes.
#[derive(Clone)]
pub struct Made {
    /// The run's name, which they have as a label: also one whose creation nobody answered for.
    run: Arc<str>,
    /// Namespaces that are kept.
    left: Arc<Mutex<BTreeSet<String>>>,
}

impl Made {
    /// None yet.
    pub fn new() -> Made {
        Made {
            run: format!("run-{:08x}", rand::random::<u32>()).into(),
            left: Arc::default(),
        }
    }

    fn left(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes them, but for those that are to stay, and waits until they are gone.
    ///
    /// # Errors
    /// Namespaces that still exist after two minutes.
    pub async fn delete(&self, client: &kube::Client) -> Result<(), NamespaceError> {
        let ends = Instant::now() + GONE_WITHIN;
        let mut patience = Patience::begun();
        loop {
            match self.delete_once(client).await {
                Ok(still) if still.is_empty() => return Ok(()),
                Ok(still) if Instant::now() > ends => return Err(NamespaceError::Stays(still.join(", "))),
                Ok(_) => sleep(LOOK_EVERY).await,
                Err(error) if patience.bears(error.may_pass()).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives those that are on their way.
    async fn delete_once(&self, client: &kube::Client) -> Result<Vec<String>, NamespaceError> {
        let of_run = ListParams::default().labels(&format!("{}={}", labels::RUN, self.run));
        let listed = Api::<KubeNamespace>::all(client.clone())
            .list_metadata(&of_run)
            .await
            .map_err(|error| NamespaceError::Find(Box::new(error)))?;
        let mut still = Vec::new();
        for found in listed.items {
            let name = found.metadata.name.unwrap_or_default();
            if self.left().contains(&name) {
                continue;
            }
            if found.metadata.deletion_timestamp.is_none() {
                delete(client, &name).await?;
            }
            still.push(name);
        }
        Ok(still)
    }
}

impl Default for Made {
    fn default() -> Made {
        Made::new()
    }
}

/// An existing namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// It is terminating.
    pub is_ending: bool,
    /// Gauntlet made it.
    pub is_ours: bool,
    /// The settings of the platform in it, once it is complete.
    pub complete: Option<String>,
}

/// The annotation of a namespace whose platform is complete.
const COMPLETE: &str = "gauntlet/complete";

/// Deletes a namespace, and waits until it is gone.
///
/// # Errors
/// It still exists after two minutes.
pub async fn delete_and_wait(client: &kube::Client, name: &str) -> Result<(), NamespaceError> {
    let ends = Instant::now() + GONE_WITHIN;
    while let Some(found) = Namespace::find(client, name).await? {
        if Instant::now() > ends {
            return Err(NamespaceError::Stays(name.to_owned()));
        }
        if !found.is_ending {
            delete(client, name).await?;
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// A namespace that is a world's own.
pub struct Namespace {
    pub name: String,
    pub forwards: Forwards,
    pub client: kube::Client,
    /// The cluster has a controller of Sandboxes.
    pub has_controller: bool,
    made: Made,
}

/// The controller that creates pods for Sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// The cluster's own: its definition of Sandbox is not gauntlet's.
    Clusters,
    /// Each platform has one.
    Platforms,
}

impl Namespace {
    /// A new one of a run's, with a name that nothing else has.
    pub async fn new(client: &kube::Client, controller: Controller, made: &Made) -> Result<Namespace, NamespaceError> {
        let metadata = ObjectMeta {
            generate_name: Some("gauntlet-".into()),
            labels: Some(labels::labels(&made.run)),
            ..ObjectMeta::default()
        };
        Namespace::create(client, controller, made.clone(), metadata).await
    }

    /// A new one of this name, which stays when this process ends.
    pub async fn named(client: &kube::Client, controller: Controller, name: &str) -> Result<Namespace, NamespaceError> {
        let metadata = ObjectMeta {
            name: Some(name.into()),
            labels: Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into()),
            ..ObjectMeta::default()
        };
        Namespace::create(client, controller, Made::new(), metadata).await
    }

    async fn create(
        client: &kube::Client,
        controller: Controller,
        made: Made,
        metadata: ObjectMeta,
    ) -> Result<Namespace, NamespaceError> {
        let namespace = KubeNamespace {
            metadata,
            ..KubeNamespace::default()
        };
        let created = Api::<KubeNamespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(|error| NamespaceError::Create(Box::new(error)))?;
        let name = created.metadata.name.unwrap_or_default();
        Ok(Namespace {
            forwards: Forwards::new(Api::namespaced(client.clone(), &name)),
            name,
            client: client.clone(),
            has_controller: controller == Controller::Clusters,
            made,
        })
    }

    /// The one of this name.
    pub async fn find(client: &kube::Client, name: &str) -> Result<Option<Known>, NamespaceError> {
        let found = Api::<KubeNamespace>::all(client.clone()).get_opt(name).await;
        let found = found.map_err(|error| NamespaceError::Find(Box::new(error)))?;
        Ok(found.map(|found| Known {
            is_ending: found.metadata.deletion_timestamp.is_some(),
            complete: found.metadata.annotations.and_then(|mut all| all.remove(COMPLETE)),
            is_ours: found
                .metadata
                .labels
                .is_some_and(|labels| labels.get(MANAGED_BY.0).is_some_and(|by| by == MANAGED_BY.1)),
        }))
    }

    /// Says on it that its platform is complete, and what it was made with.
    pub async fn complete(client: &kube::Client, name: &str, with: &str) -> Result<(), NamespaceError> {
        let patch = serde_json::json!({ "metadata": { "annotations": { COMPLETE: with } } });
        let api = Api::<KubeNamespace>::all(client.clone());
        let patched = api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        patched.map(drop).map_err(|error| NamespaceError::Find(Box::new(error)))
    }

    /// Deletes it with all that is in it.
    pub async fn delete(self) -> Result<(), NamespaceError> {
        delete(&self.client, &self.name).await
    }

    /// It is kept with its content, even when this process ends.
    pub fn leave(self) {
        self.made.left().insert(self.name);
    }
}

/// Deletes a namespace, where it is there. Its pods end at once: what their grace is for is over. The
/// cluster does the rest in its own time.
async fn delete(client: &kube::Client, name: &str) -> Result<(), NamespaceError> {
    let gone = |error: kube::Error| match error {
        kube::Error::Api(status) if status.code == 404 => Ok(()),
        source => Err(NamespaceError::Delete {
            name: name.to_owned(),
            source: Box::new(source),
        }),
    };
    let namespaces: Api<KubeNamespace> = Api::all(client.clone());
    let deleted = namespaces.delete(name, &DeleteParams::background()).await;
    deleted.map(drop).or_else(gone)?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    let at_once = DeleteParams::default().grace_period(0);
    let deleted = pods.delete_collection(&at_once, &ListParams::default()).await;
    deleted.map(drop).or_else(gone)
}

/// Brings the definition of Sandbox to a cluster that has none, and waits until it is served. One that
/// somebody else brought stays as it is, and so does the controller that came with it.
pub async fn define_sandbox(client: &kube::Client) -> Result<Controller, NamespaceError> {
    let failed = |error: &(dyn std::error::Error + 'static)| NamespaceError::Definition(kube_error(error));
    let mut definition: CustomResourceDefinition = serde_saphyr::from_str(SANDBOX).map_err(|e| failed(&e))?;
    let name = definition.metadata.name.clone().unwrap_or_default();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = definitions.get_opt(&name).await.map_err(|e| failed(&e))?;
    let is_ours = |found: &CustomResourceDefinition| {
        let labels = found.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(MANAGED_BY.0)).map(String::as_str) == Some(MANAGED_BY.1)
    };
    if found.is_some_and(|found| !is_ours(&found)) {
        return Ok(Controller::Clusters);
    }
    definition.metadata.labels = Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into());
    definitions
        .patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(&definition))
        .await
        .map_err(|e| failed(&e))?;
    let established = await_condition(definitions, &name, is_crd_established());
    match tokio::time::timeout(ESTABLISHED_WITHIN, established).await {
        Ok(Ok(_)) => Ok(Controller::Platforms),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(NamespaceError::Definition(format!(
            "{name} is not served after {ESTABLISHED_WITHIN:?}"
        ))),
    }
}
