//! What a namespace has of the three contracts, by what its objects say of themselves. Nothing is read of a secret but
//! its keys.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::DynamicObject;

use super::exposed::{Exposed, before, gateways_before};
use crate::vocabulary::Contract;

/// The objects of a namespace.
#[derive(Default)]
pub struct Objects {
    pub deployments: Vec<Deployment>,
    /// The keys of each secret; none of those that may not be looked at.
    pub secrets: BTreeMap<String, Vec<String>>,
    pub services: Vec<Service>,
    pub ingresses: Vec<Ingress>,
    /// `HTTPRoute`s.
    pub routes: Vec<DynamicObject>,
    /// The gateways that these name, of any namespace.
    pub gateways: Vec<DynamicObject>,
}

/// A contract that something in the namespace is about.
#[derive(Debug)]
pub struct Found {
    pub contract: Contract,
    pub names: Vec<Name>,
    /// Addresses before the cluster that lead to its web, or to its agent service.
    pub addresses: Vec<Exposed>,
}

/// A name of a profile, with where it was seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Name {
    pub name: &'static str,
    pub value: String,
    pub seen: String,
}

/// A key of a secret, as a variable of a deployment has it.
struct Reference<'o> {
    deployment: &'o Deployment,
    variable: &'o str,
    /// The secret and its key; none where the variable has the value itself.
    secret: Option<(&'o str, &'o str)>,
}

/// What is there of each contract.
pub fn find(objects: &Objects) -> Vec<Found> {
    [terminals(objects), agents(objects), codex(objects)]
        .into_iter()
        .flatten()
        .collect()
}

fn terminals(objects: &Objects) -> Option<Found> {
    let tokens = references(objects, "HARNESS_AUTH_TOKEN");
    let token = tokens.iter().find(|token| token.secret.is_some())?;
    let (secret, key) = token.secret?;
    let seen = |of: &Reference<'_>| format!("{} of the deployment {}", of.variable, name(of.deployment));
    let mut names = vec![
        named("secret.name", secret, seen(token)),
        named("secret.key", key, seen(token)),
    ];
    let masters = references(objects, "MASTER_KEY");
    let master = masters
        .iter()
        .find(|master| master.secret.is_some_and(|(of, _)| of == secret));
    if let Some((master, (_, key))) = master.and_then(|master| Some((master, master.secret?))) {
        names.push(named("secret.master-key", key, seen(master)));
    }
    let users: Vec<&Deployment> = tokens.iter().map(|token| token.deployment).collect();
    let is_called = |part: &'static str| move |of: &&&Deployment| name(of).contains(part);
    let worker = users
        .iter()
        .find(is_called("worker"))
        .or_else(|| users.iter().find(|of| port(of).is_none()));
    let is_other = |of: &&&Deployment| worker.is_none_or(|worker| name(worker) != name(of));
    let web = users
        .iter()
        .filter(is_other)
        .find(is_called("web"))
        .or_else(|| users.iter().filter(is_other).find(|of| port(of).is_some()));
    let mut addresses = Vec::new();
    if let Some(web) = web {
        names.extend(deployed(web, "web.deployment", "web.selector"));
        names.extend(port_of(web, "web.port"));
        addresses = before(objects, web);
    }
    if let Some(worker) = worker {
        names.extend(deployed(worker, "worker.deployment", "worker.selector"));
    }
    Some(Found {
        contract: Contract::HarnessToken,
        names,
        addresses,
    })
}

fn agents(objects: &Objects) -> Option<Found> {
    let secrets = references(objects, "AUTH_JWT_SECRET");
    let first = secrets.first()?;
    let mut names = Vec::new();
    if let Some((of, (secret, key))) = secrets.iter().find_map(|of| Some((of, of.secret?))) {
        let seen = || format!("{} of the deployment {}", of.variable, name(of.deployment));
        names.push(named("jwt.secret-name", secret, seen()));
        names.push(named("jwt.secret-key", key, seen()));
    }
    let asked = |of: &&Reference<'_>| {
        ["access-control", "auth"]
            .iter()
            .any(|part| name(of.deployment).contains(part))
    };
    let access = secrets.iter().find(asked).map(|of| of.deployment);
    let service = secrets
        .iter()
        .map(|of| of.deployment)
        .find(|of| access.is_none_or(|access| name(access) != name(of)))
        .unwrap_or(first.deployment);
    for (of, selector_name, port_name) in [
        (Some(service), "agent-service.selector", "agent-service.port"),
        (access, "access-control.selector", "access-control.port"),
    ] {
        let Some(of) = of else { continue };
        names.push(named(
            selector_name,
            selector(of),
            format!("the deployment {}", name(of)),
        ));
        names.extend(port_of(of, port_name));
    }
    Some(Found {
        contract: Contract::AgentService,
        names,
        addresses: gateways_before(objects, service),
    })
}

fn codex(objects: &Objects) -> Option<Found> {
    const ROTATOR: &str = "codex-auth-rotator";
    const VOLUME: &str = "chatgpt-auth";
    let volume = |spec: &PodSpec| {
        let mut volumes = spec.volumes.iter().flatten();
        volumes.find_map(|volume| {
            let claim = volume.persistent_volume_claim.as_ref()?.claim_name.clone();
            (volume.name.contains(VOLUME) || claim.contains(VOLUME)).then(|| (volume.name.clone(), claim))
        })
    };
    let has_login = |of: &&Deployment| {
        let rotates = containers(of).any(|container| container.name == ROTATOR);
        rotates || pod(of).is_some_and(|spec| volume(spec).is_some())
    };
    let litellm = objects.deployments.iter().find(has_login)?;
    let seen = || format!("the deployment {}", name(litellm));
    let mut names: Vec<Name> = deployed(litellm, "litellm.deployment", "litellm.selector").into();
    let is_it = |container: &&Container| {
        let image = container.image.as_deref().unwrap_or_default();
        container.name.contains("litellm") || image.contains("litellm")
    };
    if let Some(container) = containers(litellm).find(is_it) {
        names.push(named("litellm.container", &container.name, seen()));
    }
    names.extend(port_of(litellm, "litellm.port"));
    if let Some((volume, claim)) = pod(litellm).and_then(volume) {
        names.push(named("auth.volume", volume, seen()));
        names.push(named("auth.claim", claim, seen()));
    }
    let keys = references(objects, "LITELLM_MASTER_KEY");
    let mut of_it = keys.iter().filter(|of| name(of.deployment) == name(litellm));
    if let Some((secret, key)) = of_it.find_map(|of| of.secret) {
        names.push(named("litellm.key-secret", secret, seen()));
        names.push(named("litellm.secret-key", key, seen()));
    }
    Some(Found {
        contract: Contract::CodexAuth,
        names,
        addresses: Vec::new(),
    })
}

/// Where deployments have a variable of that name, or one that ends in `_` and the name.
fn references<'o>(objects: &'o Objects, variable: &str) -> Vec<Reference<'o>> {
    let is_it = |name: &str| {
        name.strip_suffix(variable)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    };
    let mut all = Vec::new();
    for deployment in &objects.deployments {
        for container in containers(deployment) {
            for env in container.env.iter().flatten().filter(|env| is_it(&env.name)) {
                all.push(Reference {
                    deployment,
                    variable: &env.name,
                    secret: secret_of(env),
                });
            }
            let sources = container.env_from.iter().flatten();
            for source in sources.filter_map(|source| source.secret_ref.as_ref()) {
                let keys = objects.secrets.get_key_value(&source.name);
                let Some((secret, key)) =
                    keys.and_then(|(secret, keys)| Some((secret, keys.iter().find(|key| is_it(key))?)))
                else {
                    continue;
                };
                all.push(Reference {
                    deployment,
                    variable: key,
                    secret: Some((secret.as_str(), key.as_str())),
                });
            }
        }
    }
    all
}

fn secret_of(env: &EnvVar) -> Option<(&str, &str)> {
    let reference = env.value_from.as_ref()?.secret_key_ref.as_ref()?;
    Some((reference.name.as_str(), reference.key.as_str()))
}

fn named(name: &'static str, value: impl Into<String>, seen: String) -> Name {
    Name {
        name,
        value: value.into(),
        seen,
    }
}

fn deployed(of: &Deployment, deployment_name: &'static str, selector_name: &'static str) -> [Name; 2] {
    let seen = || format!("the deployment {}", name(of));
    [
        named(deployment_name, name(of), seen()),
        named(selector_name, selector(of), seen()),
    ]
}

fn port_of(of: &Deployment, port_name: &'static str) -> Option<Name> {
    let port = port(of)?;
    Some(named(
        port_name,
        port.to_string(),
        format!("the deployment {}", name(of)),
    ))
}

fn name(of: &Deployment) -> &str {
    of.metadata.name.as_deref().unwrap_or_default()
}

fn selector(of: &Deployment) -> String {
    let labels = of.spec.as_ref().and_then(|spec| spec.selector.match_labels.as_ref());
    let labels = labels.into_iter().flatten();
    let labels: Vec<String> = labels.map(|(label, value)| format!("{label}={value}")).collect();
    labels.join(",")
}

fn pod(of: &Deployment) -> Option<&PodSpec> {
    of.spec.as_ref()?.template.spec.as_ref()
}

fn containers(of: &Deployment) -> impl Iterator<Item = &Container> {
    pod(of).into_iter().flat_map(|spec| &spec.containers)
}

fn port(of: &Deployment) -> Option<i32> {
    let mut ports = containers(of).flat_map(|container| container.ports.iter().flatten());
    ports.next().map(|port| port.container_port)
}

#[cfg(test)]
mod tests;
