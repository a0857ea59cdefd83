//! What is in a namespace, and what of it may not be looked at.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DynamicObject, ListParams, ObjectList};
use kube::core::{ApiResource, GroupVersionKind};

use super::exposed::parents;
use super::find::Objects;
use crate::world::kube_error::kube_error;

/// What was looked at, and what came back.
#[derive(Default)]
pub struct Looks {
    /// As `2 deployments`.
    counted: Vec<String>,
    /// Kinds that the cluster doesn't know.
    unknown: Vec<&'static str>,
    /// What may not be looked at, or isn't there, with the API server's reason.
    refused: Vec<String>,
}

/// How one object of a kind is called, and several.
type Kind = (&'static str, &'static str);

impl Looks {
    /// The objects of a list; none of a kind that the cluster doesn't know, or that may not be listed.
    fn took<T: Clone>(
        &mut self,
        kind: Kind,
        listed: Result<ObjectList<T>, kube::Error>,
    ) -> Result<Vec<T>, kube::Error> {
        let (one, several) = kind;
        match listed {
            Ok(listed) => {
                let count = listed.items.len();
                let name = if count == 1 { one } else { several };
                self.counted.push(format!("{count} {name}"));
                Ok(listed.items)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.unknown.push(several);
                Ok(Vec::new())
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                let why = kube_error(&kube::Error::Api(status));
                self.refused.push(format!("{several} may not be listed: {why}"));
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// What was looked at, a line each.
    pub fn lines(&self, namespace: &str) -> Vec<String> {
        let mut lines = vec![format!("looked at namespace {namespace}: {}", self.counted.join(", "))];
        if !self.unknown.is_empty() {
            lines.push(format!("  the cluster knows no {}", self.unknown.join(", no ")));
        }
        lines.extend(self.refused.iter().map(|refused| format!("  {refused}")));
        lines
    }
}

/// Lists what a namespace has. What may not be listed is told by the looks; deployments have to be.
pub async fn look(client: &kube::Client, namespace: &str) -> Result<(Objects, Looks), kube::Error> {
    let all = ListParams::default();
    let mut looks = Looks::default();
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace)
        .list(&all)
        .await?;
    let deployments = looks.took(("deployment", "deployments"), Ok(deployments))?;
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace).list(&all).await;
    let secrets = looks.took(("secret", "secrets"), secrets)?;
    let services = Api::<Service>::namespaced(client.clone(), namespace).list(&all).await;
    let services = looks.took(("service", "services"), services)?;
    let ingresses = Api::<Ingress>::namespaced(client.clone(), namespace).list(&all).await;
    let ingresses = looks.took(("ingress", "ingresses"), ingresses)?;
    let routes = of_gateways(client, namespace, "HTTPRoute").list(&all).await;
    let routes = looks.took(("HTTPRoute", "HTTPRoutes"), routes)?;
    let gateways = gateways(client, &routes, &mut looks).await?;
    let keys = |secret: Secret| {
        let keys = secret.data.unwrap_or_default().into_keys().collect();
        Some((secret.metadata.name?, keys))
    };
    let objects = Objects {
        deployments,
        secrets: secrets.into_iter().filter_map(keys).collect(),
        services,
        ingresses,
        routes,
        gateways,
    };
    Ok((objects, looks))
}

/// The gateways that routes name, which may be in other namespaces.
async fn gateways(
    client: &kube::Client,
    routes: &[DynamicObject],
    looks: &mut Looks,
) -> Result<Vec<DynamicObject>, kube::Error> {
    let named: BTreeSet<(String, String)> = routes
        .iter()
        .flat_map(parents)
        .map(|parent| (parent.namespace, parent.gateway))
        .collect();
    let mut gateways = Vec::new();
    for (namespace, name) in named {
        match of_gateways(client, &namespace, "Gateway").get(&name).await {
            Ok(gateway) => gateways.push(gateway),
            Err(kube::Error::Api(status)) if status.code == 403 || status.code == 404 => {
                let why = kube_error(&kube::Error::Api(status));
                looks
                    .refused
                    .push(format!("Gateway {name} of namespace {namespace} can't be read: {why}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(gateways)
}

/// Objects of the Gateway API, which a cluster need not know.
fn of_gateways(client: &kube::Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}
