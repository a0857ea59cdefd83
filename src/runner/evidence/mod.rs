//! Evidence for a verdict, collected at the moment of failure.

mod objects;

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};

use crate::events::Evidence;
use crate::steps::StepContext;
use crate::world::kube_error::kube_error;
use crate::world::pod::{containers, has_restarted};

/// Lines of each log that are kept.
const LOG_LINES: i64 = 5_000;

/// Exchanges over the wire that are shown: the last ones led to the failure.
const EXCHANGES: usize = 6;

/// Takes the evidence: the wire, the pods, their logs, the events, the objects that they are made of. What tells most comes first:
/// the last exchanges and the logs of the pods that had a part in them.
///
/// Missing evidence is replaced by the reason.
pub async fn take(context: &StepContext) -> Vec<Evidence> {
    let mut evidence: Vec<Evidence> = wire(context).into_iter().collect();
    let load = context.last_load();
    evidence.extend(load.map(|result| text("result of the load", "load.json", result)));
    let world = &context.world;
    let files = world.gateway_files().into_iter();
    evidence.extend(files.map(|(name, told)| text("what the gateway was told", name, told)));
    let pods: Api<Pod> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    if world
        .installation()
        .is_some_and(|installation| !installation.has_cluster)
    {
        return evidence;
    }
    let mut others = Vec::new();
    match world.pods().await {
        Err(error) => others.push(text(
            "pods",
            "pods.yaml",
            format!("listing pods: {}", kube_error(&error)),
        )),
        Ok(listed) => {
            match objects::shown(&listed, &context.redactor) {
                Ok(shown) => others.push(text("pods", "pods.yaml", shown)),
                // Their logs may hold what could not be made a secret.
                Err(error) => {
                    evidence.push(text("pods", "pods.txt", error.to_string()));
                    return evidence;
                }
            }
            let parties: Vec<String> = parties(context).iter().map(ToString::to_string).collect();
            // In the order of the parties: the door before what is behind it.
            for ip in &parties {
                for pod in listed.iter().filter(|pod| address(pod) == Some(ip)) {
                    evidence.extend(logs(&pods, pod).await);
                }
            }
            let is_other = |pod: &&Pod| address(pod).is_none_or(|ip| !parties.iter().any(|party| party == ip));
            for pod in listed.iter().filter(is_other) {
                others.extend(logs(&pods, pod).await);
            }
        }
    }
    let events: Api<Event> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    let listed = match events.list(&ListParams::default()).await {
        Err(error) => format!("listing events: {}", kube_error(&error)),
        Ok(listed) => listed.items.iter().map(event_line).collect(),
    };
    evidence.push(text("events", "events.txt", listed));
    evidence.extend(objects::take(world, &context.redactor).await);
    evidence.extend(others);
    evidence
}

/// That a world was others' as well, by the names of their runs: what is collected from it may be of them.
pub fn of_others(others: &[String]) -> Option<Evidence> {
    if others.is_empty() {
        return None;
    }
    let said = format!(
        "The world of this run was shared with the runs below, which worked in it before or beside this one. Its wire \
         transcript is its own; logs, events and objects show what they did as well. Run alone, it has a world for \
         itself.\n\n{}\n",
        others.join("\n")
    );
    Some(text("who else was in this world", "shared-world.txt", said))
}

/// Addresses of those that had a part in the last exchange.
fn parties(context: &StepContext) -> Vec<IpAddr> {
    let last = context.exchanges().pop();
    last.map(|exchange| exchange.parties).unwrap_or_default()
}

fn address(pod: &Pod) -> Option<&String> {
    pod.status.as_ref()?.pod_ip.as_ref()
}

/// The text in place of evidence that could not be collected in time.
pub fn late(within: Duration) -> Evidence {
    let said = format!("the evidence could not be taken within {within:?}: the cluster does not answer\n");
    text("no evidence", "no-evidence.txt", said)
}

fn text(title: &str, file_name: &str, text: String) -> Evidence {
    Evidence {
        title: title.into(),
        file_name: file_name.into(),
        text,
    }
}

/// None if nothing went over the wire yet.
fn wire(context: &StepContext) -> Option<Evidence> {
    let exchanges = context.exchanges();
    if exchanges.is_empty() {
        return None;
    }
    let shown = &exchanges[exchanges.len().saturating_sub(EXCHANGES)..];
    let transcript: String = shown.iter().map(|e| format!("# {}\n{}\n", e.title, e.text)).collect();
    Some(text("wire transcript", "wire.txt", transcript))
}

/// The logs of a pod's containers; of one that was started again, that of the time before as well.
async fn logs(pods: &Api<Pod>, pod: &Pod) -> Vec<Evidence> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut evidence = Vec::new();
    for container in containers(pod) {
        let title = format!("log of {name}/{container}");
        let log = log(pods, name, container, false).await;
        evidence.push(text(&title, &format!("{name}.{container}.log"), log));
        if has_restarted(pod, container) {
            let log = self::log(pods, name, container, true).await;
            evidence.push(text(
                &format!("{title} before it was started again"),
                &format!("{name}.{container}.previous.log"),
                log,
            ));
        }
    }
    evidence
}

async fn log(pods: &Api<Pod>, pod: &str, container: &str, previous: bool) -> String {
    let params = LogParams {
        container: Some(container.to_owned()),
        previous,
        timestamps: true,
        // Of a platform that has run for months, what may be about the failure.
        tail_lines: Some(LOG_LINES),
        ..LogParams::default()
    };
    match pods.logs(pod, &params).await {
        Ok(log) => log,
        Err(error) => format!("reading the log: {}", kube_error(&error)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_world_that_was_shared_the_others_are_named() {
        assert!(of_others(&[]).is_none());
        let others = ["a/b/c[direct]".to_owned(), "a/b/d".to_owned()];
        let said = of_others(&others).expect("there are some").text;
        assert!(said.ends_with("\n\na/b/c[direct]\na/b/d\n"), "{said}");
    }
}
