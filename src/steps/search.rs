//! `search`: whether a secret value can be found where it must not be.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::by_command;
use super::context::{LogLine, StepContext};
use super::definition::{Proof, Reach, ShownAgain, Verb, phrases, verb};
use super::exec::{self, Exec};
use super::log_files;
use super::outcome::{Observation, StepError};
use crate::profile::operations::Operation;
use crate::redact::Redactor;
use crate::world::access::Ask;
use crate::world::operations::Operations;
use crate::world::pod::{containers, has_restarted, has_started, is_ready, is_sandbox};

/// The verb `search`.
pub const VERB: Verb = Verb {
    phrases: phrases!["finds nothing", "no form of the value was found anywhere", {"found": {"count": 0}};],
    fields: &["found", "searched"],
    reach: Reach::Cluster(asks),
    sees_others,
    proof: Some(Proof {
        field: "found",
        key: "proof",
    }),
    shown_again: ShownAgain::LinesFound,
    ..verb!("search", Search, run)
};

/// Looks for a secret value in plain, base64, percent and JSON forms.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The value looked for.
    pub search: String,
    pub r#in: Vec<Haystack>,
    /// A text that must be found in each kind of place, as proof that it could be read: else
    /// `error`. A check that nothing is found needs one.
    #[schemars(length(min = 1))]
    pub proof: Option<String>,
}

/// Where `search` looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Haystack {
    /// Logs of all pods of the platform, also of containers before they were started again; what gateways of this
    /// machine write; files and pods that the profile names.
    Logs,
    Events,
    /// Deployments, pods and ConfigMaps, as they stand in the cluster, and what codex agents write for codex.
    Config,
    /// What the rotator keeps beside the logins.
    State,
    /// Command lines of all processes that can be seen from the sandboxes.
    Processes,
    /// Answers of the platform's doors that were not 2xx, in this scenario so far.
    Errors,
    /// Redirects' `Location` headers, in this scenario so far.
    Redirects,
}

impl std::fmt::Display for Haystack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Haystack::Logs => "the logs",
            Haystack::Events => "the events",
            Haystack::Config => "the configuration",
            Haystack::State => "the state",
            Haystack::Processes => "the processes",
            Haystack::Errors => "the error answers",
            Haystack::Redirects => "the redirects",
        })
    }
}

/// A place to search.
struct Place {
    name: String,
    holds: Holds,
    /// Its first line, of the log of a pod that stays when the scenario is over.
    log: Option<LogLine>,
}

enum Holds {
    Text(String),
    /// Nothing yet, or nothing any more: why.
    Nothing(&'static str),
}

impl Place {
    fn with(name: String, text: String) -> Place {
        Place {
            name,
            holds: Holds::Text(text),
            log: None,
        }
    }

    fn text(&self) -> &str {
        match &self.holds {
            Holds::Text(text) => text,
            Holds::Nothing(_) => "",
        }
    }
}

/// Time between two looks for the proof.
const PAUSE: Duration = Duration::from_millis(100);

/// Lines of logs that are remembered: one log may be full of what is searched for.
const LINES_KEPT: usize = 20;

/// What a codex agent's boot writes for codex.
const AGENT_CONFIG: &str = "/state/.codex/config.toml";

/// Prints the command lines of all visible processes.
const PROCESSES: &str = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; echo; done 2>/dev/null; true";

const NOT_STARTED: &str = "none, it has not started";
const GONE: &str = "none, its pod went away meanwhile";

/// What the places that are searched ask of a cluster; answers that are kept ask nothing.
pub fn asks(keys: &Value) -> Vec<Ask> {
    let places = keys["in"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let of = |place| match place {
        "logs" => vec![Ask::FindPods, Ask::ReadLogs],
        "events" => vec![Ask::ReadEvents],
        "config" => vec![Ask::FindPods, Ask::ReadConfig, Ask::Exec],
        "state" => vec![Ask::FindPods, Ask::Exec],
        "processes" => vec![Ask::FindPods, Ask::Exec],
        _ => Vec::new(),
    };
    places.flat_map(of).collect()
}

/// Answers are kept for each scenario; everywhere else stands what all did.
fn sees_others(keys: &Value) -> bool {
    let mut places = keys["in"].as_array().into_iter().flatten().filter_map(Value::as_str);
    places.any(|place| !["errors", "redirects"].contains(&place))
}

/// Searches: `found` (place and form of each hit), `searched` (bytes by place), `unread` (why, by place: of a
/// pod that has not started there is nothing to read, nor of one that went away meanwhile).
///
/// Any other place that cannot be read is an error: nothing found there would say nothing.
pub async fn run(arguments: Search, context: &StepContext) -> Result<Observation, StepError> {
    let what = "search for the value".to_owned();
    let needle = Redactor::new();
    needle
        .add("VALUE", &arguments.search)
        .map_err(|error| StepError::doing("the value to search for", error))?;
    let mut places = Vec::new();
    for haystack in &arguments.r#in {
        places.extend(read_proven(&arguments, *haystack, context).await?);
    }
    let mut found = Vec::new();
    let mut lines = Vec::new();
    for place in &places {
        let text = place.text().as_bytes();
        for hit in needle.search(text) {
            found.push(json!({ "place": place.name, "form": hit.form.to_string() }));
            if let Some(log) = place.log.as_ref().filter(|_| lines.len() < LINES_KEPT) {
                let before = text.iter().take(hit.offset).filter(|byte| **byte == b'\n').count();
                lines.push(LogLine {
                    line: log.line + before,
                    ..log.clone()
                });
            }
        }
    }
    lines.dedup();
    context.found_in_logs(lines);
    let mut searched = serde_json::Map::new();
    let mut unread = serde_json::Map::new();
    let mut silent = String::new();
    for place in &places {
        match &place.holds {
            Holds::Text(text) => searched.insert(place.name.clone(), text.len().into()),
            Holds::Nothing(why) => {
                silent += &format!("; {}: {why}", place.name);
                unread.insert(place.name.clone(), (*why).into())
            }
        };
    }
    let names: Vec<&str> = searched.keys().map(String::as_str).collect();
    Ok(Observation {
        what: format!("{what} in {}{silent}", names.join(", ")),
        value: json!({ "found": found, "searched": searched, "unread": unread }),
    })
}

/// Reads until the proof stands there: logs and events come a moment after what they tell of.
async fn read_proven(arguments: &Search, haystack: Haystack, context: &StepContext) -> Result<Vec<Place>, StepError> {
    let patience = match haystack {
        Haystack::Logs | Haystack::Events | Haystack::Config | Haystack::State | Haystack::Processes => {
            context.limits.screen
        }
        // What was answered is here already.
        Haystack::Errors | Haystack::Redirects => Duration::ZERO,
    };
    let deadline = Instant::now() + patience;
    loop {
        let mut read = read(haystack, context).await?;
        if haystack == Haystack::Logs {
            let files = log_files::read(context).await?;
            read.extend(files.into_iter().map(|(name, text)| Place::with(name, text)));
        }
        match prove(arguments, haystack, &read) {
            Ok(()) => return Ok(read),
            Err(unproven) if Instant::now() + PAUSE > deadline => return Err(unproven),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Each kind of place has its own proof: that logs could be read says nothing of events.
fn prove(arguments: &Search, haystack: Haystack, read: &[Place]) -> Result<(), StepError> {
    match &arguments.proof {
        Some(proof) if !read.iter().any(|place| place.text().contains(proof.as_str())) => {
            let bytes: usize = read.iter().map(|place| place.text().len()).sum();
            Err(StepError::Because(format!(
                "searching {haystack}: the proof {proof:?}, which must stand there, isn't in the {bytes} bytes that \
                 were read; what is not found there says nothing"
            )))
        }
        _ => Ok(()),
    }
}

async fn read(haystack: Haystack, context: &StepContext) -> Result<Vec<Place>, StepError> {
    if let Operations::Commands(commands) = context.world.operations() {
        let read = match haystack {
            Haystack::Logs if commands.has(Operation::Logs) => by_command::logs(commands).await?,
            Haystack::Events => by_command::events(commands).await?,
            Haystack::Processes => by_command::outputs(commands, &["sh", "-c", PROCESSES], context).await?,
            // The others were kept here, or no operation gives them.
            _ => Vec::new(),
        };
        if !read.is_empty() {
            return Ok(read.into_iter().map(|(name, text)| Place::with(name, text)).collect());
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
