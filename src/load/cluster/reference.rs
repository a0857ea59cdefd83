//! The reference platform's terminal as pods, for a load from within their cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret as KubeSecret, Service};
use kube::api::{Api, AttachParams, LogParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::load::reference::{Counted, Settings, read};
use crate::redact::Secret;
use crate::world::kube_error::kube_error;
use crate::world::pod::is_ready;
use crate::world::wait;

/// The door's address within the namespace: a Service before all its pods.
pub const DOOR: &str = "ws://terminal:4096/tty";

const NAME: &str = "terminal";
const PORT: u16 = 4096;

/// The key of its token in its Secret.
const KEY: &str = "token";

/// Longest time until a pod is ready.
const UP_WITHIN: Duration = Duration::from_secs(120);

/// Longest time until one has ended, and of what it takes to tell it.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Pods that listen. They go with their namespace.
pub struct ReferencePods {
    pods: Api<Pod>,
    names: Vec<String>,
}

/// Why the reference platform's pods are not ready.
#[derive(Debug, thiserror::Error)]
pub enum ReferencePodsError {
    #[error("creating the reference platform's {kind}: {source}")]
    Manifest { kind: String, source: serde_json::Error },
    #[error("creating the reference platform's {kind}: {}", kube_error(source.as_ref()))]
    Create { kind: String, source: Box<kube::Error> },
    #[error("waiting for the reference platform's pod {name}: {source}")]
    Wait { name: String, source: Box<wait::WaitError> },
}

impl ReferencePods {
    /// Makes so many of an image in a namespace, with a Service before them, and waits until all are ready.
    ///
    /// # Errors
    /// What can't be made, or a pod that doesn't come up.
    pub async fn start(
        client: &kube::Client,
        namespace: &str,
        (image, number): (&str, u32),
        settings: &Settings<'_>,
    ) -> Result<ReferencePods, ReferencePodsError> {
        let secrets: Api<KubeSecret> = Api::namespaced(client.clone(), namespace);
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        create(&secrets, secret(settings.token)).await?;
        create(&services, service()).await?;
        let names: Vec<String> = (0..number).map(|number| format!("{NAME}-{number}")).collect();
        for name in &names {
            create(&pods, pod(name, image, settings)).await?;
        }
        for name in &names {
            let ready = |pod: Option<&Pod>| pod.is_some_and(is_ready);
            let found = wait::until(&pods, name, ready, UP_WITHIN).await;
            found.map_err(|error| ReferencePodsError::Wait {
                name: name.clone(),
                source: Box::new(error),
            })?;
        }
        Ok(ReferencePods { pods, names })
    }

    pub fn count(&self) -> u32 {
        self.names.len() as u32
    }

    /// Ends them; returns what they have counted, where all could say it.
    pub async fn end(self) -> Option<Counted> {
        let mut all = Some(Counted::default());
        for name in &self.names {
            let counted = timeout(ENDS_WITHIN, self.end_one(name)).await.ok().flatten();
            all = all.zip(counted).map(|(one, other)| one.and(other));
        }
        all
    }

    /// Deleted, its log would be gone before its last line is read.
    async fn end_one(&self, name: &str) -> Option<Counted> {
        let params = AttachParams::default().stderr(false);
        let mut process = self.pods.exec(name, ["sh", "-c", "kill 1"], &params).await.ok()?;
        // It may end together with the pod's own.
        if let Some(status) = process.take_status() {
            let _ended = status.await;
        }
        let over = |pod: Option<&Pod>| pod.is_none_or(has_ended);
        wait::until(&self.pods, name, over, ENDS_WITHIN).await.ok()?;
        let params = LogParams {
            tail_lines: Some(5),
            ..LogParams::default()
        };
        let log = self.pods.logs(name, &params).await.ok()?;
        log.lines().filter_map(read).next_back()
    }
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn secret(token: &Secret) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": NAME },
        "stringData": { KEY: token.expose() },
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": NAME },
        "spec": { "selector": { "app": NAME }, "ports": [{ "port": PORT }] },
    })
}

fn pod(name: &str, image: &str, settings: &Settings<'_>) -> Value {
    let mut env =
        vec![json!({ "name": "HARNESS_AUTH_TOKEN", "valueFrom": { "secretKeyRef": { "name": NAME, "key": KEY } } })];
    let variables = [("PORT", PORT.to_string())].into_iter().chain(settings.variables());
    env.extend(variables.map(|(name, value)| json!({ "name": name, "value": value })));
    let container = json!({
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["platform", "sandbox"],
        "env": env,
        "ports": [{ "containerPort": PORT }],
        "readinessProbe": { "httpGet": { "path": "/healthz", "port": PORT }, "periodSeconds": 1 },
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": NAME } },
        "spec": {
            // One that was started again would have forgotten what it has counted.
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 2,
            "containers": [container],
        },
    })
}

async fn create<K>(api: &Api<K>, manifest: Value) -> Result<(), ReferencePodsError>
where
    K: kube::Resource + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let kind = manifest["kind"].as_str().unwrap_or_default().to_owned();
    let object: K = match serde_json::from_value(manifest) {
        Ok(object) => object,
        Err(source) => return Err(ReferencePodsError::Manifest { kind, source }),
    };
    let created = api.create(&PostParams::default(), &object).await;
    created.map(drop).map_err(|error| ReferencePodsError::Create {
        kind,
        source: Box::new(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Redactor;

    #[test]
    fn its_token_is_in_its_secret_alone() {
        let redactor = Redactor::new();
        let token = redactor.plant("TOKEN");
        let settings = Settings {
            token: &token,
            terminal: "loop",
            mutants: &[],
            limits: vec![("MOST_ATTACHES", "10".to_owned())],
        };
        let pod: Pod = serde_json::from_value(pod("terminal-0", "img:1", &settings)).expect("a pod");
        let text = serde_json::to_string(&pod).expect("JSON");
        assert!(!text.contains(token.expose()), "{text}");
        for part in [
            r#""image":"img:1""#,
            r#"{"name":"MOST_ATTACHES","value":"10"}"#,
            r#""secretKeyRef":{"key":"token","name":"terminal"}"#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let secret: KubeSecret = serde_json::from_value(secret(&token)).expect("a secret");
        let data = secret.string_data.expect("data");
        assert_eq!(data[KEY], token.expose());
        let service: Service = serde_json::from_value(service()).expect("a service");
        let spec = service.spec.expect("a spec");
        assert_eq!(pod.metadata.labels, spec.selector);
        let door = crate::load::Place::parse(DOOR).expect("a place");
        assert_eq!((door.host.as_str(), door.port), (NAME, PORT));
        assert!(crate::load::is_service(&door.host));
    }
}
