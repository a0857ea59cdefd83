//! How a deployment is reached from before the cluster, by what ingresses, routes, gateways and load balancers say.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

use super::find::Objects;

/// An address before the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// As a profile says it: `https://agents.example.com`.
    pub address: String,
    /// What says so.
    pub seen: String,
    /// The class of the ingress or the gateway; empty for a load balancer.
    pub class: String,
}

/// A gateway that a route is attached to.
pub struct Parent {
    pub namespace: String,
    pub gateway: String,
    listener: Option<String>,
    port: Option<u64>,
}

/// Addresses of ingresses, gateways and load balancers that lead to a deployment; those with TLS first, as a plain door
/// often does nothing but send people there.
pub fn before(objects: &Objects, of: &Deployment) -> Vec<Exposed> {
    let mut all = gateways_before(objects, of);
    all.extend(services_of(objects, of).into_iter().flat_map(balancer_of));
    in_order(all)
}

/// The same without load balancers, which lead straight to it.
pub fn gateways_before(objects: &Objects, of: &Deployment) -> Vec<Exposed> {
    let services: BTreeSet<String> = services_of(objects, of)
        .into_iter()
        .map(ResourceExt::name_any)
        .collect();
    let mut all: Vec<Exposed> = objects
        .ingresses
        .iter()
        .flat_map(|ingress| of_ingress(ingress, &services))
        .collect();
    let routes = objects.routes.iter().filter(|route| leads_to(route, &services));
    all.extend(routes.flat_map(|route| of_route(route, &objects.gateways)));
    in_order(all)
}

/// What is to be known of load balancers: that one has no address yet, or that nothing tells what is behind it.
pub fn open_questions(objects: &Objects, known: &[&Exposed]) -> Vec<String> {
    let mut told = Vec::new();
    let is_balancer = |service: &&Service| {
        let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
        kind == Some("LoadBalancer")
    };
    for service in objects.services.iter().filter(is_balancer) {
        let name = service.name_any();
        let addresses = balancer_of(service);
        let is_known = |exposed: &Exposed| known.iter().any(|known| known.address == exposed.address);
        match addresses.first() {
            None => told.push(format!("the service {name} is a load balancer that has no address yet")),
            Some(first) if !addresses.iter().any(is_known) => told.push(format!(
                "the service {name} is a load balancer, and nothing says that a door is behind it; if one is: \
                 --road balancer={}",
                first.address
            )),
            Some(_) => {}
        }
    }
    told
}

/// The gateways that a route is attached to.
pub fn parents(route: &DynamicObject) -> Vec<Parent> {
    let own = route.namespace().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    list(&route.data["spec"]["parentRefs"])
        .filter(|parent| parent["kind"].as_str().is_none_or(|kind| kind == "Gateway"))
        .filter_map(|parent| {
            Some(Parent {
                namespace: text(&parent["namespace"]).unwrap_or_else(|| own.clone()),
                gateway: text(&parent["name"])?,
                listener: text(&parent["sectionName"]),
                port: parent["port"].as_u64(),
            })
        })
        .collect()
}

/// Each address once.
fn in_order(mut all: Vec<Exposed>) -> Vec<Exposed> {
    all.sort_by_key(|exposed| !exposed.address.starts_with("https://"));
    let mut seen = BTreeSet::new();
    all.retain(|exposed| seen.insert(exposed.address.clone()));
    all
}

/// The services whose selector takes in the deployment's pods.
fn services_of<'o>(objects: &'o Objects, of: &Deployment) -> Vec<&'o Service> {
    let labels = of
        .spec
        .as_ref()
        .and_then(|spec| spec.template.metadata.as_ref()?.labels.clone());
    let labels = labels.unwrap_or_default();
    let leads = |service: &&Service| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|selector| {
            !selector.is_empty() && selector.iter().all(|(label, value)| labels.get(label) == Some(value))
        })
    };
    objects.services.iter().filter(leads).collect()
}

fn balancer_of(service: &Service) -> Vec<Exposed> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref());
    let mut all = Vec::new();
    for place in status.and_then(|status| status.ingress.as_ref()).into_iter().flatten() {
        let Some(host) = place.hostname.as_ref().or(place.ip.as_ref()) else {
            continue;
        };
        all.extend(ports.unwrap_or_default().iter().map(|port| Exposed {
            address: address(is_secured(port), host, u64::try_from(port.port).ok()),
            seen: format!("the load balancer of the service {}", service.name_any()),
            class: String::new(),
        }));
    }
    all
}

fn is_secured(port: &ServicePort) -> bool {
    let says_so = |text: &Option<String>| text.as_ref().is_some_and(|text| text.starts_with("https"));
    port.port == 443 || says_so(&port.name) || says_so(&port.app_protocol)
}

fn of_ingress(ingress: &Ingress, services: &BTreeSet<String>) -> Vec<Exposed> {
    let Some(spec) = &ingress.spec else {
        return Vec::new();
    };
    let is_its = |backend: &IngressBackend| {
        let service = backend.service.as_ref();
        service.is_some_and(|service| services.contains(&service.name))
    };
    let annotation = |name: &str| ingress.annotations().get(name).map(String::as_str);
    // An ALB has its certificates by annotations.
    let of_alb = annotation("alb.ingress.kubernetes.io/certificate-arn").is_some()
        || annotation("alb.ingress.kubernetes.io/listen-ports").is_some_and(|ports| ports.contains("HTTPS"));
    let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let places: Vec<&String> = status
        .and_then(|status| status.ingress.as_ref())
        .into_iter()
        .flatten()
        .filter_map(|place| place.hostname.as_ref().or(place.ip.as_ref()))
        .collect();
    let class = spec
        .ingress_class_name
        .as_deref()
        .or_else(|| annotation("kubernetes.io/ingress.class"))
        .unwrap_or_default();
    let mut all = Vec::new();
    let mut add = |host: Option<&String>| {
        let with_tls = spec.tls.iter().flatten().find(|tls| {
            // Without hosts it is for all of them.
            let hosts = tls.hosts.as_deref().unwrap_or_default();
            hosts.is_empty() || host.is_some_and(|host| hosts.contains(host))
        });
        let mut seen = format!("the ingress {}", ingress.name_any());
        if let Some(secret) = with_tls.and_then(|tls| tls.secret_name.as_ref()) {
            seen += &format!(", TLS by the secret {secret}");
        }
        seen += &at(host.map(String::as_str), places.iter().map(|place| place.as_str()));
        let reached = match host {
            Some(host) => vec![host],
            None => places.clone(),
        };
        // A host with an asterisk stands for many.
        all.extend(
            reached
                .into_iter()
                .filter(|host| !host.starts_with('*'))
                .map(|host| Exposed {
                    address: address(with_tls.is_some() || of_alb, host, None),
                    seen: seen.clone(),
                    class: class.to_owned(),
                }),
        );
    };
    for rule in spec.rules.iter().flatten() {
        let mut paths = rule.http.iter().flat_map(|http| &http.paths);
        if paths.any(|path| is_its(&path.backend)) {
            add(rule.host.as_ref());
        }
    }
    if spec.default_backend.as_ref().is_some_and(is_its) {
        add(None);
    }
    all
}

fn leads_to(route: &DynamicObject, services: &BTreeSet<String>) -> bool {
    let own = route.namespace();
    list(&route.data["spec"]["rules"])
        .flat_map(|rule| list(&rule["backendRefs"]))
        .any(|backend| {
            let is_service = backend["kind"].as_str().is_none_or(|kind| kind == "Service");
            let is_here = backend["namespace"]
                .as_str()
                .is_none_or(|of| own.as_deref() == Some(of));
            is_service && is_here && backend["name"].as_str().is_some_and(|name| services.contains(name))
        })
}

fn of_route(route: &DynamicObject, gateways: &[DynamicObject]) -> Vec<Exposed> {
    let hosts: Vec<&str> = list(&route.data["spec"]["hostnames"])
        .filter_map(Value::as_str)
        .collect();
    let mut all = Vec::new();
    for parent in parents(route) {
        let is_it = |gateway: &&DynamicObject| {
            gateway.name_any() == parent.gateway && gateway.namespace().unwrap_or_default() == parent.namespace
        };
        let Some(gateway) = gateways.iter().find(is_it) else {
            continue;
        };
        let spec = &gateway.data["spec"];
        let places: Vec<&str> = list(&gateway.data["status"]["addresses"])
            .filter_map(|place| place["value"].as_str())
            .collect();
        let listeners = list(&spec["listeners"]).filter(|listener| {
            let is_named = parent.listener.as_deref().is_none_or(|name| listener["name"] == name);
            is_named && parent.port.is_none_or(|port| listener["port"] == port)
        });
        for listener in listeners {
            let is_secured = match listener["protocol"].as_str() {
                Some("HTTP") => false,
                Some("HTTPS") => true,
                _ => continue,
            };
            let own = listener["hostname"].as_str();
            let mut seen = format!(
                "HTTPRoute {}, listener {} of the Gateway {}",
                route.name_any(),
                listener["name"].as_str().unwrap_or_default(),
                gateway.name_any()
            );
            if let Some(secret) = listener["tls"]["certificateRefs"][0]["name"].as_str() {
                seen += &format!(", TLS by the secret {secret}");
            }
            let reached = match (hosts.as_slice(), own) {
                ([], None) => places.clone(),
                ([], Some(own)) => vec![own],
                (hosts, own) => hosts.iter().filter_map(|host| both(host, own)).collect(),
            };
            // A host with an asterisk stands for many.
            all.extend(
                reached
                    .into_iter()
                    .filter(|host| !host.starts_with('*'))
                    .map(|host| Exposed {
                        address: address(is_secured, host, listener["port"].as_u64()),
                        seen: seen.clone() + &at(Some(host), places.iter().copied()),
                        class: spec["gatewayClassName"].as_str().unwrap_or_default().to_owned(),
                    }),
            );
        }
    }
    all
}

/// The host that a route's and its listener's have in common.
fn both<'h>(host: &'h str, own: Option<&'h str>) -> Option<&'h str> {
    let is_under = |name: &str, of: &str| of.strip_prefix('*').is_some_and(|end| name.ends_with(end));
    match own {
        None => Some(host),
        Some(own) if own == host || is_under(host, own) => Some(host),
        Some(own) if is_under(own, host) => Some(own),
        Some(_) => None,
    }
}

/// Where a host's requests have to arrive, unless that is what it says itself.
fn at<'p>(host: Option<&str>, places: impl Iterator<Item = &'p str>) -> String {
    let others: Vec<&str> = places.filter(|place| host.is_some_and(|host| host != *place)).collect();
    match others.is_empty() {
        true => String::new(),
        false => format!(", at {}", others.join(" and ")),
    }
}

fn address(is_secured: bool, host: &str, port: Option<u64>) -> String {
    let (scheme, usual) = if is_secured { ("https", 443) } else { ("http", 80) };
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    match port {
        Some(port) if port != usual => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests;
