//! A world of its own on a cluster that has room for many: a namespace.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace as KubeNamespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;

use crate::target::forward::Forwards;
use crate::target::said::said;

/// The definition of Sandbox.
const SANDBOX: &str = include_str!("../../../deploy/sandbox-crd.yaml");

/// The name under which fields that gauntlet sets are known to a cluster.
pub const FIELD_MANAGER: &str = "gauntlet";

/// The label of all that gauntlet makes.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "gauntlet");

/// Longest time until a definition is served.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error("creating a namespace: {}", said(.0.as_ref()))]
    Create(#[source] Box<kube::Error>),
    #[error("looking for a namespace: {}", said(.0.as_ref()))]
    Find(#[source] Box<kube::Error>),
    #[error("deleting the namespace {name}: {}", said(source.as_ref()))]
    Delete { name: String, source: Box<kube::Error> },
    #[error("applying the definition of Sandbox: {0}")]
    Definition(String),
}

/// The namespaces that a process has made and not deleted.
#[derive(Clone, Default)]
pub struct Made(Arc<Mutex<BTreeSet<String>>>);

impl Made {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes what is left of worlds that were dropped on their way.
    pub async fn delete(&self, client: &kube::Client) -> Result<(), NamespaceError> {
        let left: Vec<String> = self.lock().iter().cloned().collect();
        for name in left {
            delete(client, &name).await?;
            self.lock().remove(&name);
        }
        Ok(())
    }
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

/// Who makes pods of Sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// The cluster's own: its definition of Sandbox is not gauntlet's.
    Clusters,
    /// Each platform has one.
    Platforms,
}

impl Namespace {
    /// A new one, with a name that nothing else has. `made` knows of it until it is deleted or left.
    pub async fn new(client: &kube::Client, controller: Controller, made: &Made) -> Result<Namespace, NamespaceError> {
        Namespace::create(client, controller, made, |metadata| {
            metadata.generate_name = Some("gauntlet-".into())
        })
        .await
    }

    /// A new one of this name, which stays when this process ends.
    pub async fn named(client: &kube::Client, controller: Controller, name: &str) -> Result<Namespace, NamespaceError> {
        Namespace::create(client, controller, &Made::default(), |metadata| {
            metadata.name = Some(name.into())
        })
        .await
    }

    async fn create(
        client: &kube::Client,
        controller: Controller,
        made: &Made,
        name: impl FnOnce(&mut ObjectMeta),
    ) -> Result<Namespace, NamespaceError> {
        let mut namespace = KubeNamespace::default();
        namespace.metadata.labels = Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into());
        name(&mut namespace.metadata);
        let created = Api::<KubeNamespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(|error| NamespaceError::Create(Box::new(error)))?;
        let name = created.metadata.name.unwrap_or_default();
        made.lock().insert(name.clone());
        Ok(Namespace {
            forwards: Forwards::new(Api::namespaced(client.clone(), &name)),
            name,
            client: client.clone(),
            has_controller: controller == Controller::Clusters,
            made: made.clone(),
        })
    }

    /// Whether there is one of this name.
    pub async fn find(client: &kube::Client, name: &str) -> Result<bool, NamespaceError> {
        let found = Api::<KubeNamespace>::all(client.clone()).get_opt(name).await;
        let found = found.map_err(|error| NamespaceError::Find(Box::new(error)))?;
        Ok(found.is_some())
    }

    /// Deletes it with all that is in it.
    pub async fn delete(self) -> Result<(), NamespaceError> {
        delete(&self.client, &self.name).await?;
        self.made.lock().remove(&self.name);
        Ok(())
    }

    /// It stays, with all that is in it, also when this process ends.
    pub fn leave(self) {
        self.made.lock().remove(&self.name);
    }
}

/// Deletes a namespace. Its pods end at once: what their grace is for is over. The cluster does the rest
/// in its own time.
async fn delete(client: &kube::Client, name: &str) -> Result<(), NamespaceError> {
    let failed = |source| NamespaceError::Delete {
        name: name.to_owned(),
        source: Box::new(source),
    };
    Api::<KubeNamespace>::all(client.clone())
        .delete(name, &DeleteParams::background())
        .await
        .map_err(failed)?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete_collection(&at_once, &ListParams::default())
        .await
        .map(drop)
        .map_err(failed)
}

/// Brings the definition of Sandbox to a cluster that has none, and waits until it is served. One that
/// somebody else brought stays as it is, and so does the controller that came with it.
pub async fn define_sandbox(client: &kube::Client) -> Result<Controller, NamespaceError> {
    let failed = |error: &(dyn std::error::Error + 'static)| NamespaceError::Definition(said(error));
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
