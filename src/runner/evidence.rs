//! What a verdict rests on, taken at the moment of failure.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use serde::Serialize;

use super::events::Evidence;
use crate::steps::StepContext;

/// Exchanges over the wire that are shown: the last ones led to the failure.
const EXCHANGES: usize = 6;

/// Takes the evidence: the wire, the pods, their logs, the events.
///
/// What cannot be had is said in its place.
pub async fn take(context: &StepContext) -> Vec<Evidence> {
    let mut evidence = vec![wire(context)];
    let world = &context.world;
    let pods: Api<Pod> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    match pods.list(&ListParams::default()).await {
        Err(error) => evidence.push(text("pods", "pods.yaml", format!("listing pods: {error}"))),
        Ok(listed) => {
            evidence.push(text("pods", "pods.yaml", yaml(&listed.items)));
            for pod in listed.items {
                evidence.extend(logs(&pods, &pod).await);
            }
        }
    }
    let events: Api<Event> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    let listed = match events.list(&ListParams::default()).await {
        Err(error) => format!("listing events: {error}"),
        Ok(listed) => listed.items.iter().map(event_line).collect(),
    };
    evidence.push(text("events", "events.txt", listed));
    evidence
}

/// The commands of the last exchanges, in order: a person can paste them.
pub fn commands(context: &StepContext) -> Vec<String> {
    context
        .exchanges()
        .into_iter()
        .rev()
        .take(1)
        .filter_map(|exchange| exchange.command)
        .collect()
}

fn text(title: &str, file_name: &str, text: String) -> Evidence {
    Evidence {
        title: title.into(),
        file_name: file_name.into(),
        text,
    }
}

fn wire(context: &StepContext) -> Evidence {
    let exchanges = context.exchanges();
    let shown = &exchanges[exchanges.len().saturating_sub(EXCHANGES)..];
    let transcript: String = shown.iter().map(|e| format!("# {}\n{}\n", e.title, e.text)).collect();
    text("wire transcript", "wire.txt", transcript)
}

async fn logs(pods: &Api<Pod>, pod: &Pod) -> Vec<Evidence> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut evidence = Vec::new();
    for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
        let params = LogParams {
            container: Some(container.name.clone()),
            timestamps: true,
            ..LogParams::default()
        };
        let log = match pods.logs(name, &params).await {
            Ok(log) => log,
            Err(error) => format!("reading the log: {error}"),
        };
        evidence.push(text(
            &format!("log of {name}/{}", container.name),
            &format!("{name}.{}.log", container.name),
            log,
        ));
    }
    evidence
}

fn event_line(event: &Event) -> String {
    let about = &event.involved_object;
    format!(
        "{} {}/{} {}: {}\n",
        event.type_.as_deref().unwrap_or_default(),
        about.kind.as_deref().unwrap_or_default(),
        about.name.as_deref().unwrap_or_default(),
        event.reason.as_deref().unwrap_or_default(),
        event.message.as_deref().unwrap_or_default(),
    )
}

fn yaml(objects: &impl Serialize) -> String {
    serde_saphyr::to_string(objects).unwrap_or_else(|error| format!("writing YAML: {error}"))
}
