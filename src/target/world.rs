//! A running platform that a scenario works on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::runtime::conditions::is_deployment_completed;
use kube::runtime::wait::await_condition;
use serde_json::json;

use super::deploy::{self, DeployError, Values};
use super::embedded::{Cluster, Options, Program, StartError};
use crate::scenario::{SecretState, WorldSpec};

/// Longest time that a platform may take to come up.
const START_WITHIN: Duration = Duration::from_secs(30);

/// Why a world could not be started.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("starting the embedded cluster: {0}")]
    Start(#[from] StartError),
    #[error(transparent)]
    Deploy(#[from] DeployError),
    #[error("creating secret {name}: {source}")]
    Secret { name: String, source: Box<kube::Error> },
    #[error("waiting for the platform's deployments: {0}")]
    Wait(String),
    #[error("deployment {0} was not complete after {START_WITHIN:?}")]
    NotReady(String),
    #[error("making the certificate of the balancer: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// A running platform that a scenario works on.
pub struct World {
    pub kubernetes: kube::Client,
    pub namespace: String,
    /// Names of the installation, the contract's by default.
    pub names: Arc<BTreeMap<String, String>>,
    /// The token that the secret has, or is to get.
    pub token: String,
    /// The session API's key.
    pub master_key: String,
    /// The authority that the balancer's certificate comes from, PEM.
    pub ca: Option<String>,
    /// Values of the manifests, for what is deployed later.
    pub values: Values,
    cluster: Cluster,
}

/// What a world is started with, beside its spec.
pub struct Setup {
    pub program: Program,
    pub names: Arc<BTreeMap<String, String>>,
    /// Mutants that every component is told of.
    pub mutants: Vec<String>,
    pub token: String,
    pub master_key: String,
}

impl World {
    /// A fresh world on the embedded target, its platform complete.
    pub async fn embedded(spec: &WorldSpec, setup: Setup) -> Result<World, WorldError> {
        let options = Options::new(setup.program.clone());
        World::start(spec, setup, options).await
    }

    /// The same with a TLS endpoint, without which kubectl sends no token.
    pub async fn embedded_with_kubectl(spec: &WorldSpec, setup: Setup) -> Result<World, WorldError> {
        let options = Options::new(setup.program.clone()).with_tls();
        World::start(spec, setup, options).await
    }

    async fn start(spec: &WorldSpec, setup: Setup, options: Options) -> Result<World, WorldError> {
        let certificate = match spec.balancer.as_ref().is_some_and(|balancer| balancer.tls) {
            true => Some(Certificate::new(
                setup.names.get("balancer.tls-name").map_or("", String::as_str),
            )?),
            false => None,
        };
        let cluster = Cluster::start(options).await?;
        let world = World {
            kubernetes: cluster.client(),
            namespace: "default".into(),
            values: values(spec, &setup.names, &setup.mutants, certificate.as_ref()),
            names: setup.names,
            token: setup.token,
            master_key: setup.master_key,
            ca: certificate.map(|certificate| certificate.ca),
            cluster,
        };
        world.create_secret(spec.secret).await?;
        if spec.platform {
            let objects = deploy::objects(deploy::HARNESS_TOKEN, &world.values)?;
            deploy::create(&world.kubernetes, &world.namespace, objects, served).await?;
            world.await_deployments().await?;
        }
        Ok(world)
    }

    /// The installation's name for a thing: `secret.name`, `web.selector`. Empty where there is none.
    pub fn name(&self, of: &str) -> &str {
        self.names.get(of).map(String::as_str).unwrap_or_default()
    }

    /// Ends the world and everything in it.
    pub async fn stop(self) {
        self.cluster.stop().await;
    }

    /// How a person reaches the world with kubectl.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    async fn create_secret(&self, state: SecretState) -> Result<(), WorldError> {
        if state == SecretState::Absent {
            return Ok(());
        }
        let mut data = BTreeMap::from([(
            self.values.master_key_key.clone(),
            ByteString(self.master_key.clone().into_bytes()),
        )]);
        if state == SecretState::WithToken {
            data.insert(
                self.values.token_key.clone(),
                ByteString(self.token.clone().into_bytes()),
            );
        }
        let name = self.values.secret.clone();
        let secret = KubeSecret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..KubeSecret::default()
        };
        let secrets: Api<KubeSecret> = Api::namespaced(self.kubernetes.clone(), &self.namespace);
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(source) => Err(WorldError::Secret {
                name,
                source: Box::new(source),
            }),
        }
    }

    async fn await_deployments(&self) -> Result<(), WorldError> {
        let api: Api<Deployment> = Api::namespaced(self.kubernetes.clone(), &self.namespace);
        let listed = api
            .list(&ListParams::default())
            .await
            .map_err(|error| WorldError::Wait(error.to_string()))?;
        for deployment in listed {
            let name = deployment.metadata.name.unwrap_or_default();
            let complete = await_condition(api.clone(), &name, is_deployment_completed());
            match tokio::time::timeout(START_WITHIN, complete).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(WorldError::Wait(error.to_string())),
                Err(_) => return Err(WorldError::NotReady(name)),
            }
        }
        Ok(())
    }
}

/// Kinds of the manifests that the embedded target serves; it has no access control.
fn served(kind: &str) -> bool {
    !matches!(
        kind,
        "Role" | "RoleBinding" | "ServiceAccount" | "CustomResourceDefinition"
    )
}

fn values(
    spec: &WorldSpec,
    names: &BTreeMap<String, String>,
    mutants: &[String],
    certificate: Option<&Certificate>,
) -> Values {
    let name = |of: &str| names.get(of).cloned().unwrap_or_default();
    let balancer = spec.balancer.as_ref();
    let grouped = deploy::grouped(names);
    let targets = json!([
        { "path_prefix": "/", "selector": grouped["web"]["selector"], "port": name("web.port").parse().unwrap_or(0u16) },
        { "path_prefix": name("probe.path"), "selector": grouped["probe"]["selector"], "port": 8081 },
    ]);
    Values {
        image: "gauntlet".into(),
        secret: name("secret.name"),
        token_key: name("secret.key"),
        master_key_key: name("secret.master-key"),
        web_replicas: spec.web_replicas,
        warm_pool: spec.warm_pool,
        terminal: spec
            .terminal
            .as_ref()
            .map(|command| json!(command).to_string())
            .unwrap_or_default(),
        mutants: mutants.join(","),
        header_timeout: "1s".into(),
        drain_timeout: "60s".into(),
        balancer_replicas: balancer.is_some().into(),
        strip_authorization: balancer.is_none_or(|balancer| balancer.strips_authorization),
        idle_timeout: balancer
            .and_then(|balancer| balancer.idle_timeout.clone())
            .unwrap_or_else(|| "60s".into()),
        balancer_targets: targets.to_string(),
        tls_cert: certificate.map(|c| c.certificate.clone()).unwrap_or_default(),
        tls_key: certificate.map(|c| c.key.clone()).unwrap_or_default(),
        probe_replicas: balancer.is_some().into(),
        seed: "seed".into(),
        names: grouped,
    }
}

/// The balancer's certificate, of a CA made for the run. PEM.
struct Certificate {
    ca: String,
    certificate: String,
    key: String,
}

impl Certificate {
    /// Of a balancer that is known by this name.
    fn new(name: &str) -> Result<Certificate, rcgen::Error> {
        let ca_key = rcgen::KeyPair::generate()?;
        let mut ca = rcgen::CertificateParams::new(Vec::new())?;
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key)?;
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(vec![name.into()])?.signed_by(&key, &issuer)?;
        Ok(Certificate {
            ca: ca_certificate.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}
