//! Reads the places that `search` looks through.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};
use serde_json::json;

use super::{Haystack, Holds, Place};
use crate::profile::operations::Operation;
use crate::steps::by_command;
use crate::steps::context::{LogLine, StepContext};
use crate::steps::exec::{self, Exec};
use crate::steps::observation::StepError;
use crate::world::operations::Operations;
use crate::world::pod::{containers, has_restarted, has_started, is_ready, is_sandbox};

/// What a codex agent's boot writes for codex.
const AGENT_CONFIG: &str = "/state/.codex/config.toml";

/// Prints the command lines of all visible processes.
const PROCESSES: &str = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; echo; done 2>/dev/null; true";

const NOT_STARTED: &str = "none, it has not started";
const GONE: &str = "none, its pod went away meanwhile";

/// What is in the places of a kind.
pub(super) async fn read(haystack: Haystack, context: &StepContext) -> Result<Vec<Place>, StepError> {
    if let Operations::Commands(commands) = context.world.operations() {
        let read = match haystack {
            Haystack::Logs if commands.has(Operation::Logs) => by_command::logs(commands).await?,
            Haystack::Events => by_command::events(commands).await?,
            Haystack::Processes => by_command::outputs(commands, &["sh", "-c", PROCESSES], context).await?,
            // The others were kept here, or no operation gives them.
            _ => Vec::new(),
        };
        if !read.is_empty() {
            let place = |(name, text): (String, Option<String>)| Place {
                name,
                holds: text.map_or(Holds::Nothing(GONE), Holds::Text),
                log: None,
            };
            return Ok(read.into_iter().map(place).collect());
        }
    }
    match haystack {
        // Without a cluster and without commands there are the files that the profile names.
        Haystack::Logs => match context.world.operations() {
            Operations::Kubernetes => logs(context).await,
            Operations::Commands(_) | Operations::None => Ok(Vec::new()),
        },
        Haystack::Events => events(context).await,
        Haystack::Config => config(context).await,
        Haystack::State => {
            let folder = context.world.name("auth.path");
            let paths = ["rotator_state.json", "rotate-now"].map(|name| format!("{folder}/{name}"));
            files(context, "litellm.selector", "codex.container", &paths).await
        }
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
    vec![Place::with(name.into(), text)]
}

async fn pods(context: &StepContext) -> Result<Vec<Pod>, StepError> {
    let listed = context.world.pods().await;
    listed.map_err(|error| StepError::asking("listing pods", error))
}

async fn logs(context: &StepContext) -> Result<Vec<Place>, StepError> {
    let api: Api<Pod> = Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace);
    let mut places = Vec::new();
    for pod in pods(context).await? {
        for container in containers(&pod) {
            let name = format!("log of {}/{container}", pod.name_any());
            let line = |previous| LogLine {
                pod: pod.name_any(),
                container: container.to_owned(),
                previous,
                line: 1,
            };
            // Sandboxes go with their sessions.
            let stays = !is_sandbox(&pod);
            let failed = |error| StepError::asking(format!("reading the {name}"), error);
            let holds = log(&api, pod.clone(), container).await.map_err(failed)?;
            let before = before(&api, &pod, container).await.map_err(failed)?;
            places.extend(before.map(|text| Place {
                log: stays.then(|| line(true)),
                ..Place::with(format!("previous {name}"), text)
            }));
            let log = stays.then(|| line(false));
            places.push(Place { name, holds, log });
        }
    }
    Ok(places)
}

/// What a container of a pod, as it was seen, wrote.
async fn log(api: &Api<Pod>, mut seen: Pod, container: &str) -> Result<Holds, kube::Error> {
    let params = LogParams {
        container: Some(container.to_owned()),
        ..LogParams::default()
    };
    loop {
        let error = match api.logs(&seen.name_any(), &params).await {
            Ok(text) => return Ok(Holds::Text(text)),
            Err(error) => error,
        };
        match still(api, &seen).await? {
            None => return Ok(Holds::Nothing(GONE)),
            Some(now) if !has_started(&now, container) => return Ok(Holds::Nothing(NOT_STARTED)),
            Some(_) if has_started(&seen, container) => return Err(error),
            // It started in the meantime: now there is something to read.
            Some(now) => seen = now,
        }
    }
}

/// What a container wrote before it was started again, where it was and the node still has it.
async fn before(api: &Api<Pod>, pod: &Pod, container: &str) -> Result<Option<String>, kube::Error> {
    if !has_restarted(pod, container) {
        return Ok(None);
    }
    let params = LogParams {
        container: Some(container.to_owned()),
        previous: true,
        ..LogParams::default()
    };
    match api.logs(&pod.name_any(), &params).await {
        Ok(text) => Ok(Some(text)),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A pod as it is now, if it is still there and stays.
async fn still(api: &Api<Pod>, seen: &Pod) -> Result<Option<Pod>, kube::Error> {
    let now = api.get_opt(&seen.name_any()).await?;
    Ok(now.filter(|now| now.metadata.uid == seen.metadata.uid && now.metadata.deletion_timestamp.is_none()))
}

async fn events(context: &StepContext) -> Result<Vec<Place>, StepError> {
    let api: Api<Event> = Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace);
    let listed = api
        .list(&ListParams::default())
        .await
        .map_err(|error| StepError::asking("listing events", error))?;
    let text = serde_json::to_string(&listed.items).map_err(|error| StepError::doing("reading events", error))?;
    Ok(vec![Place::with("events".into(), text)])
}

/// Files of the pods that a selector chooses; what isn't there is passed over.
async fn files(
    context: &StepContext,
    selector: &str,
    container: &str,
    paths: &[String],
) -> Result<Vec<Place>, StepError> {
    let (api, world) = (
        Api::<Pod>::namespaced(context.world.kubernetes.clone(), &context.world.namespace),
        &context.world,
    );
    let listed = api.list(&ListParams::default().labels(world.name(selector))).await;
    let listed = listed.map_err(|error| StepError::asking("listing pods", error))?;
    let mut places = Vec::new();
    for pod in listed.items.iter().filter(|pod| is_ready(pod)) {
        let script = r#"for f; do test ! -e "$f" || cat "$f"; done"#;
        let words = ["sh", "-c", script, "sh"].map(str::to_owned);
        let reading = Exec {
            exec: words.into_iter().chain(paths.iter().cloned()).collect(),
            r#in: json!({ "kind": "pod", "name": pod.name_any() }),
            container: Some(world.name(container).to_owned()),
            stdin: None,
            tty: None,
        };
        let read = exec::run(reading, context).await?.value;
        let name = format!("files of {}", pod.name_any());
        places.push(Place::with(
            name,
            read["stdout"].as_str().unwrap_or_default().to_owned(),
        ));
    }
    Ok(places)
}

/// The platform's objects, without its Secrets.
async fn config(context: &StepContext) -> Result<Vec<Place>, StepError> {
    let (client, namespace) = (&context.world.kubernetes, &context.world.namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let deployments = deployments.list(&ListParams::default()).await;
    let deployments = deployments.map_err(|error| StepError::asking("listing deployments", error))?;
    let maps = maps.list(&ListParams::default()).await;
    let maps = maps.map_err(|error| StepError::asking("listing ConfigMaps", error))?;
    let listed = json!({ "deployments": deployments.items, "configMaps": maps.items, "pods": pods(context).await? });
    let mut places = vec![Place::with("configuration".into(), listed.to_string())];
    let paths = [AGENT_CONFIG.to_owned()];
    places.extend(files(context, "agent.selector", "agent.container", &paths).await?);
    Ok(places)
}

/// Command lines of all processes that a sandbox can see.
async fn processes(context: &StepContext) -> Result<Vec<Place>, StepError> {
    let api: Api<Pod> = Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace);
    let pods = pods(context).await?;
    let mut places = Vec::new();
    for pod in pods.iter().filter(|pod| is_sandbox(pod) && is_ready(pod)) {
        let name = pod.name_any();
        let listing = Exec {
            exec: vec!["sh".into(), "-c".into(), PROCESSES.into()],
            r#in: json!({ "kind": "pod", "name": name }),
            container: None,
            stdin: None,
            tty: None,
        };
        let holds = match exec::run(listing, context).await {
            Ok(seen) => Holds::Text(seen.value["stdout"].as_str().unwrap_or_default().to_owned()),
            Err(failed) => {
                let now = still(&api, pod).await;
                let now = now.map_err(|error| StepError::asking(format!("looking at the pod {name}"), error))?;
                match now {
                    Some(_) => return Err(failed),
                    None => Holds::Nothing(GONE),
                }
            }
        };
        let name = format!("processes of {name}");
        places.push(Place { name, holds, log: None });
    }
    Ok(places)
}
