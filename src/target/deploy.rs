//! The reference platform's manifests: filled in and sent to a cluster.

use kube::api::{Api, DynamicObject, PostParams, TypeMeta};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Serialize;

use crate::scenario::{Scope, TemplateError, render_string};

/// The platform of contract 1.
pub const HARNESS_TOKEN: &str = include_str!("../../deploy/harness-token.yaml");
/// The deploy pipeline's step.
pub const SEED: &str = include_str!("../../deploy/seed.yaml");

/// Why a manifest could not be brought to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("filling in the platform's manifest: {0}")]
    Template(#[from] TemplateError),
    #[error("reading the platform's manifest as filled in: {0}")]
    Yaml(String),
    #[error("creating {kind} {name}: {source}")]
    Create {
        kind: String,
        name: String,
        source: Box<kube::Error>,
    },
}

/// The values of a manifest's variables; the manifest's head says what each is.
#[derive(Clone, Debug, Serialize)]
pub struct Values {
    pub image: String,
    pub secret: String,
    pub token_key: String,
    pub master_key_key: String,
    pub web_replicas: u32,
    pub warm_pool: u32,
    pub terminal: String,
    pub mutants: String,
    pub header_timeout: String,
    pub drain_timeout: String,
    pub balancer_replicas: u32,
    pub strip_authorization: bool,
    pub idle_timeout: String,
    pub balancer_targets: String,
    pub tls_cert: String,
    pub tls_key: String,
    pub probe_replicas: u32,
    pub seed: String,
}

/// A manifest's objects, its variables filled in. Objects that would do nothing
/// (deployments of no replicas) are left out.
pub fn objects(manifest: &str, values: &Values) -> Result<Vec<DynamicObject>, DeployError> {
    let mut scope = Scope::new(0);
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(values) {
        for (name, value) in fields {
            scope.set(&name, value);
        }
    }
    let text = render_string(manifest, &scope)?;
    let objects: Vec<DynamicObject> =
        serde_saphyr::from_multiple(&text).map_err(|error| DeployError::Yaml(error.to_string()))?;
    Ok(objects
        .into_iter()
        .filter(|object| object.data.pointer("/spec/replicas") != Some(&0.into()))
        .collect())
}

/// Creates objects in a namespace, in their order. Kinds that `serves` refuses are passed over.
pub async fn create(
    client: &kube::Client,
    namespace: &str,
    objects: Vec<DynamicObject>,
    serves: impl Fn(&str) -> bool,
) -> Result<(), DeployError> {
    for object in objects {
        let types = object.types.clone().unwrap_or_else(|| TypeMeta {
            api_version: String::new(),
            kind: String::new(),
        });
        if !serves(&types.kind) {
            continue;
        }
        let name = object.metadata.name.clone().unwrap_or_default();
        let failed = |source: kube::Error| DeployError::Create {
            kind: types.kind.clone(),
            name: name.clone(),
            source: Box::new(source),
        };
        let kind = GroupVersionKind::try_from(&types)
            .map_err(|error| DeployError::Yaml(format!("{name}: its apiVersion {:?}: {error}", types.api_version)))?;
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind));
        api.create(&PostParams::default(), &object).await.map_err(failed)?;
    }
    Ok(())
}
