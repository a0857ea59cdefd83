//! Finds, waits for and connects to the Envoys that Envoy Gateway's controller runs for a Gateway.

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::world::forward::{Forwards, WayError};
use crate::world::gateways::envoy_gateway::GATEWAY;
use crate::world::kube_error::kube_error;
use crate::world::pod::is_ready;
use crate::world::roads::RoadError;

/// The controller's name in the classes that it serves.
const CONTROLLER: &str = "gateway.envoyproxy.io/gatewayclass-controller";

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A class of Gateways that Envoy Gateway serves, where a cluster has its controller.
pub async fn class(client: &kube::Client) -> Result<Option<String>, kube::Error> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "GatewayClass");
    let classes: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let listed = match classes.list(&ListParams::default()).await {
        Ok(listed) => listed.items,
        // Such objects aren't defined there.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
        Err(error) => return Err(error),
    };
    let served = |class: &DynamicObject| {
        class.data["spec"]["controllerName"] == CONTROLLER && is_true(&class.data["status"], "Accepted")
    };
    Ok(listed.into_iter().find(served).and_then(|class| class.metadata.name))
}

fn is_true(status: &Value, condition: &str) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|one| one["type"] == condition && one["status"] == "True")
}

/// What was missing last of a Gateway that is waited for, and for how long it was.
#[derive(Debug, thiserror::Error)]
#[error("after {within:?} {missing}")]
pub struct NotProgrammed {
    within: Duration,
    #[source]
    missing: Missing,
}

#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("the Gateway {GATEWAY} is not accepted: {conditions}")]
    Accepted { conditions: Value },
    #[error("no pod of the Gateway {GATEWAY} is ready: {conditions}")]
    Ready { conditions: Value },
    #[error("{}", kube_error(.0.as_ref()))]
    Answer(#[source] Box<kube::Error>),
}

/// Why Envoys were waited for in vain.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyGatewayError {
    #[error(transparent)]
    NotProgrammed(#[from] NotProgrammed),
    #[error(transparent)]
    Road(#[from] RoadError),
    #[error(transparent)]
    Asking(#[from] reqwest::Error),
    #[error("{0} has no route")]
    NoRoute(String),
}

/// The Envoys of a world's Gateway.
pub struct DataPlane {
    client: kube::Client,
    /// That of the world.
    namespace: String,
    /// To its pods, which are in a namespace of the controller's.
    forwards: OnceCell<Forwards>,
}

impl DataPlane {
    pub fn new(client: kube::Client, namespace: &str) -> DataPlane {
        DataPlane {
            client,
            namespace: namespace.to_owned(),
            forwards: OnceCell::new(),
        }
    }

    /// How its pods are chosen.
    pub fn selector(&self) -> String {
        const OWNING: &str = "gateway.envoyproxy.io/owning-gateway";
        format!("{OWNING}-name={GATEWAY},{OWNING}-namespace={}", self.namespace)
    }

    /// Its pods, in whatever namespace.
    pub async fn pods(&self) -> Result<Vec<Pod>, kube::Error> {
        let all: Api<Pod> = Api::all(self.client.clone());
        let listed = all.list(&ListParams::default().labels(&self.selector())).await?;
        Ok(listed.items)
    }

    /// Where this machine connects to for an address of one of its pods; none if no pod has it.
    pub async fn way_to(&self, address: SocketAddr) -> Result<Option<SocketAddr>, WayError> {
        let pods = self.pods().await.map_err(Box::new)?;
        let Some(namespace) = pods.first().and_then(|pod| pod.metadata.namespace.as_deref()) else {
            return Ok(None);
        };
        let forwards = async || Forwards::new(Api::namespaced(self.client.clone(), namespace));
        self.forwards.get_or_init(forwards).await.to(address).await
    }

    /// Waits until the Gateway is programmed and a pod of it is ready; says what is missing otherwise.
    ///
    /// # Errors
    /// The condition was not met in time.
    pub async fn programmed(&self, within: Duration) -> Result<(), NotProgrammed> {
        let deadline = Instant::now() + within;
        loop {
            let missing = match self.missing().await {
                Ok(None) => return Ok(()),
                Ok(Some(missing)) => missing,
                Err(error) => Missing::Answer(Box::new(error)),
            };
            if Instant::now() > deadline {
                return Err(NotProgrammed { within, missing });
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn missing(&self) -> Result<Option<Missing>, kube::Error> {
        let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway");
        let resource = ApiResource::from_gvk(&kind);
        let gateways: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let gateway = gateways.get(GATEWAY).await?;
        let status = &gateway.data["status"];
        let conditions = status["conditions"].clone();
        if !is_true(status, "Accepted") || status["listeners"].is_null() {
            return Ok(Some(Missing::Accepted { conditions }));
        }
        match self.pods().await?.iter().any(is_ready) {
            true => Ok(None),
            false => Ok(Some(Missing::Ready { conditions })),
        }
    }
}
