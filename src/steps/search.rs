//! `search`: whether a secret value can be found where it must not be.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use serde_json::{Value, json};

use super::arguments::{Exec, Haystack, Search};
use super::context::{Observation, StepContext, StepError};
use super::exec;
use crate::redact::Redactor;
use crate::target::access::Ask;
use crate::target::pod::is_ready;
use crate::target::pod::is_sandbox;

/// A place that was searched, and what stands in it.
struct Place {
    name: String,
    text: String,
}

/// What the places that are searched ask of a cluster; answers that are kept ask nothing.
pub fn asks(keys: &Value) -> Vec<Ask> {
    let places = keys["in"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let of = |place| match place {
        "logs" => vec![Ask::FindPods, Ask::ReadLogs],
        "events" => vec![Ask::ReadEvents],
        "processes" => vec![Ask::FindPods, Ask::Exec],
        _ => Vec::new(),
    };
    places.flat_map(of).collect()
}

/// Searches: `found` (place and form of each hit), `searched` (bytes by place).
///
/// A place that cannot be read is an error: nothing found there would say nothing.
pub async fn run(arguments: Search, context: &StepContext) -> Result<Observation, StepError> {
    let what = "search for the value".to_owned();
    let needle = Redactor::new();
    needle
        .add("VALUE", &arguments.search)
        .map_err(|error| StepError::doing("the value to search for", error))?;
    let mut places = Vec::new();
    for haystack in &arguments.r#in {
        let read = read(*haystack, context).await?;
        prove(&arguments, *haystack, &read)?;
        places.extend(read);
    }
    let found: Vec<Value> = places
        .iter()
        .flat_map(|place| {
            needle
                .search(place.text.as_bytes())
                .into_iter()
                .map(|hit| json!({ "place": place.name, "form": hit.form.to_string() }))
        })
        .collect();
    let searched: serde_json::Map<String, Value> = places
        .iter()
        .map(|place| (place.name.clone(), place.text.len().into()))
        .collect();
    let names: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
    Ok(Observation {
        what: format!("{what} in {}", names.join(", ")),
        value: json!({ "found": found, "searched": searched }),
    })
}

/// Each kind of place has its own proof: that logs could be read says nothing of events.
fn prove(arguments: &Search, haystack: Haystack, read: &[Place]) -> Result<(), StepError> {
    match &arguments.proof {
        Some(proof) if !read.iter().any(|place| place.text.contains(proof.as_str())) => {
            let bytes: usize = read.iter().map(|place| place.text.len()).sum();
            Err(StepError(format!(
                "searching {haystack}: the proof {proof:?}, which must stand there, isn't in the {bytes} bytes that \
                 were read; what is not found there says nothing"
            )))
        }
        _ => Ok(()),
    }
}

async fn read(haystack: Haystack, context: &StepContext) -> Result<Vec<Place>, StepError> {
    match haystack {
        Haystack::Logs => logs(context).await,
        Haystack::Events => events(context).await,
        Haystack::Processes => processes(context).await,
        Haystack::Errors => Ok(answers(context, "error answers", |_| true)),
        Haystack::Redirects => Ok(answers(context, "redirects", |status| (300..400).contains(&status))),
    }
}

fn answers(context: &StepContext, name: &str, counts: impl Fn(u16) -> bool) -> Vec<Place> {
    let texts = context.answers().into_iter().filter(|answer| counts(answer.status));
    let text = texts
        .map(|a| format!("{}\n{}", a.text, a.location.unwrap_or_default()))
        .collect::<Vec<_>>()
        .join("\n");
    vec![Place {
        name: name.into(),
        text,
    }]
}

async fn pods(context: &StepContext) -> Result<Vec<Pod>, StepError> {
    let listed = context.world.pods().await;
    listed.map_err(|error| StepError::asking("listing pods", error))
}

async fn logs(context: &StepContext) -> Result<Vec<Place>, StepError> {
    let api: Api<Pod> = Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace);
    let mut places = Vec::new();
    for pod in pods(context).await? {
        let name = pod.metadata.name.unwrap_or_default();
        for container in pod.spec.map(|spec| spec.containers).unwrap_or_default() {
            let params = LogParams {
                container: Some(container.name.clone()),
                ..LogParams::default()
            };
            let place = format!("log of {name}/{}", container.name);
            let text = api
                .logs(&name, &params)
                .await
                .map_err(|error| StepError::asking(format!("reading the {place}"), error))?;
            places.push(Place { name: place, text });
        }
    }
    Ok(places)
}

async fn events(context: &StepContext) -> Result<Vec<Place>, StepError> {
    let api: Api<Event> = Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace);
    let listed = api
        .list(&ListParams::default())
        .await
        .map_err(|error| StepError::asking("listing events", error))?;
    let text = serde_json::to_string(&listed.items).map_err(|error| StepError::doing("reading events", error))?;
    Ok(vec![Place {
        name: "events".into(),
        text,
    }])
}

/// Command lines of all processes that a sandbox can see.
async fn processes(context: &StepContext) -> Result<Vec<Place>, StepError> {
    let pods = pods(context).await?;
    let mut places = Vec::new();
    for pod in pods.iter().filter(|pod| is_sandbox(pod) && is_ready(pod)) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let script = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; echo; done 2>/dev/null; true";
        let listing = Exec {
            exec: vec!["sh".into(), "-c".into(), script.into()],
            r#in: json!({ "kind": "pod", "name": name }),
            container: None,
            stdin: None,
            tty: None,
        };
        let seen = exec::run(listing, context).await?;
        let text = seen.value["stdout"].as_str().unwrap_or_default().to_owned();
        places.push(Place {
            name: format!("processes of {name}"),
            text,
        });
    }
    Ok(places)
}
