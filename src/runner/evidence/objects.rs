//! The platform's objects, as they are in the cluster.

use std::fmt::Write;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, ObjectMeta};
use serde::Serialize;

use super::text;
use crate::events::Evidence;
use crate::redact::{RedactError, Redactor};
use crate::steps::credentials;
use crate::vocabulary::Contract;
use crate::world::gateways::status;
use crate::world::installation::Installation;
use crate::world::kube_error::kube_error;
use crate::world::running::World;

/// Deployments, Sandboxes, and of the token's secret what it has without what that is.
pub async fn take(world: &World, redactor: &Redactor) -> Vec<Evidence> {
    if world.contract != Contract::HarnessToken {
        return of_parts(world, redactor).await;
    }
    let mut evidence = vec![
        text("deployments", "deployments.yaml", deployments(world, redactor).await),
        text("sandboxes", "sandboxes.yaml", sandboxes(world, redactor).await),
    ];
    // What a run on a platform that isn't ours knows from elsewhere it does not read there.
    if world.installation().is_none_or(Installation::reads_secret) {
        evidence.push(text(
            "the token's secret",
            "secret.txt",
            secret(world, "secret.name").await,
        ));
    }
    evidence
}

/// The same of a platform whose parts are known by their labels, and what tells its gateway what to do.
async fn of_parts(world: &World, redactor: &Redactor) -> Vec<Evidence> {
    let mut shown = String::new();
    for selector in world.contract.selectors() {
        let all: Api<Deployment> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
        match all.list(&ListParams::default().labels(world.name(selector))).await {
            Ok(listed) => {
                for mut deployment in listed {
                    bare(&mut deployment.metadata);
                    separate(&mut shown, &shown_or_why(&deployment, redactor));
                }
            }
            Err(error) => separate(&mut shown, &format!("# listing deployments: {}\n", kube_error(&error))),
        }
    }
    let mut evidence = vec![text("deployments", "deployments.yaml", shown)];
    let mut routes = String::new();
    for mut object in status::objects(&world.kubernetes, &world.namespace).await {
        bare(&mut object.metadata);
        separate(&mut routes, &shown_or_why(&object, redactor));
    }
    if !routes.is_empty() {
        evidence.push(text("routes and policies", "routes.yaml", routes));
    }
    let (title, of) = match world.contract {
        Contract::CodexAuth => ("LiteLLM's keys", "litellm.key-secret"),
        _ => ("the secret of JWTs", "jwt.secret-name"),
    };
    if world.installation().is_none_or(Installation::reads_jwt_secret) {
        evidence.push(text(title, "secret.txt", secret(world, of).await));
    }
    evidence
}

async fn deployments(world: &World, redactor: &Redactor) -> String {
    let all: Api<Deployment> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    let mut shown = String::new();
    for role in ["web.deployment", "worker.deployment", "balancer.deployment"] {
        let name = world.name(role);
        let told = match all.get_opt(name).await {
            Ok(Some(mut deployment)) => {
                bare(&mut deployment.metadata);
                shown_or_why(&deployment, redactor)
            }
            Ok(None) => format!("# there is no deployment {name}\n"),
            Err(error) => format!("# reading the deployment {name}: {}\n", kube_error(&error)),
        };
        separate(&mut shown, &told);
    }
    shown
}

async fn sandboxes(world: &World, redactor: &Redactor) -> String {
    let kind = GroupVersionKind::gvk("agents.x-k8s.io", "v1alpha1", "Sandbox");
    let resource = ApiResource::from_gvk_with_plural(&kind, "sandboxes");
    let all: Api<DynamicObject> = Api::namespaced_with(world.kubernetes.clone(), &world.namespace, &resource);
    let listed = match all.list(&ListParams::default()).await {
        Ok(listed) => listed.items,
        Err(error) => return format!("# listing sandboxes: {}\n", kube_error(&error)),
    };
    let mut shown = String::new();
    for mut sandbox in listed {
        bare(&mut sandbox.metadata);
        separate(&mut shown, &shown_or_why(&sandbox, redactor));
    }
    match shown.is_empty() {
        true => "# there are no sandboxes\n".into(),
        false => shown,
    }
}

/// As `kubectl describe secret` shows it: keys, and how long their values are.
async fn secret(world: &World, of: &str) -> String {
    let name = world.name(of);
    let all: Api<Secret> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    match all.get_opt(name).await {
        Ok(Some(secret)) => described(name, &secret),
        Ok(None) => format!("there is no secret {name}\n"),
        Err(error) => format!("reading the secret {name}: {}\n", kube_error(&error)),
    }
}

fn described(name: &str, secret: &Secret) -> String {
    let version = secret.metadata.resource_version.as_deref().unwrap_or_default();
    let mut shown = format!("{name}, resourceVersion {version}\n");
    for (key, value) in secret.data.iter().flatten() {
        let bytes = value.0.len();
        let ends = match value.0.last().is_some_and(u8::is_ascii_whitespace) {
            true => ", the last of them white space",
            false => "",
        };
        let _infallible = writeln!(shown, "  {key}: {bytes} bytes{ends}");
    }
    shown
}

/// Objects as YAML. What their environments say in the open under a secret's name is a secret from then on.
pub fn shown(objects: &impl Serialize, redactor: &Redactor) -> Result<String, RedactError> {
    let value = match serde_json::to_value(objects) {
        Ok(value) => value,
        Err(error) => return Ok(format!("# showing the objects: {error}\n")),
    };
    credentials::keep_environment(&value, redactor)?;
    Ok(serde_saphyr::to_string(&value).unwrap_or_else(|error| format!("# writing YAML: {error}\n")))
}

fn shown_or_why(object: &impl Serialize, redactor: &Redactor) -> String {
    shown(object, redactor).unwrap_or_else(|error| format!("# not shown: {error}\n"))
}

/// `managedFields` would only be noise here.
fn bare(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
}

fn separate(shown: &mut String, next: &str) {
    if !shown.is_empty() {
        shown.push_str("---\n");
    }
    shown.push_str(next);
    if !shown.ends_with('\n') {
        shown.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn a_secret_shows_its_keys_and_not_its_values() {
        let data = [("EMPTY", ""), ("KEY", "value-1"), ("LINE", "value-2\n")];
        let secret = Secret {
            metadata: ObjectMeta {
                resource_version: Some("7".into()),
                ..ObjectMeta::default()
            },
            data: Some(
                data.map(|(key, value)| (key.to_owned(), ByteString(value.into())))
                    .into(),
            ),
            ..Secret::default()
        };
        insta::assert_snapshot!(described("litellm-env", &secret), @r"
        litellm-env, resourceVersion 7
          EMPTY: 0 bytes
          KEY: 7 bytes
          LINE: 8 bytes, the last of them white space
        ");
    }
}
