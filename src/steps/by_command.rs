//! Verbs on a platform that is operated by commands of its profile.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::context::StepContext;
use super::exec::Exec;
use super::observation::{Observation, StepError};
use super::{credentials, secret};
use crate::world::installation::changes::Changes;
use crate::world::operations::{Commands, OperationError, PodTold};
use crate::world::subject;

/// Time between two checks whether a pod is gone.
const PAUSE: Duration = Duration::from_millis(100);

/// A place that can be searched: its name, and its text unless its pod went away meanwhile.
type Text = (String, Option<String>);

/// Lists pods, as the verb `pods` does. `subject`: a role or labels, or the session whose pod is meant.
pub async fn list(commands: &Commands, subject: &Value, context: &StepContext) -> Result<Observation, StepError> {
    let (what, pods) = match subject.as_str() {
        Some(role) => {
            let what = format!("list the {role} pods");
            let selector = match (role, context.world.name(&format!("{role}.selector"))) {
                ("all", _) => "",
                (_, "") => role,
                (_, selector) => selector,
            };
            let pods = commands.pods(selector).await.map_err(doing(&what))?;
            (what, pods)
        }
        None => {
            let what = format!("find the pod of {}", subject::name(subject));
            let pods = of_session(commands, subject, context).await.map_err(doing(&what))?;
            (what, pods)
        }
    };
    let mut items: Vec<Value> = pods.iter().map(observed).collect();
    items.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let column = |field: &str| -> Vec<Value> { items.iter().map(|item| item[field].clone()).collect() };
    let value = json!({
        "kind": "pods",
        "count": items.len(),
        "ready": items.iter().filter(|item| item["ready"] == true).count(),
        "names": column("name"),
        "uids": column("uid"),
        "items": items,
    });
    Ok(Observation { what, value })
}

/// The pods of a session: those with its label, or the one at its address.
async fn of_session(
    commands: &Commands,
    session: &Value,
    context: &StepContext,
) -> Result<Vec<PodTold>, OperationError> {
    let all = commands.pods("").await?;
    let label = context.world.name("session.label");
    let is_labelled = |pod: &&PodTold| {
        let id = pod.labels.get(label).map(String::as_str);
        id.is_some() && id == session["id"].as_str()
    };
    let labelled: Vec<PodTold> = all.iter().filter(is_labelled).cloned().collect();
    if !labelled.is_empty() {
        return Ok(labelled);
    }
    let (host, url) = (
        subject::host(session),
        session["sandbox_url"].as_str().unwrap_or_default(),
    );
    let is_there = |pod: &PodTold| {
        let at = pod.ip.as_deref() == Some(host);
        let port = pod
            .port
            .is_none_or(|port| url.trim_end_matches('/').ends_with(&format!(":{port}")));
        !host.is_empty() && ((at && port) || host.split('.').next() == Some(pod.name.as_str()))
    };
    Ok(all.into_iter().filter(is_there).collect())
}

fn observed(pod: &PodTold) -> Value {
    json!({
        "kind": "pod",
        "name": pod.name,
        "uid": pod.uid.as_ref().unwrap_or(&pod.name),
        "ip": pod.ip,
        "port": pod.port,
        "ready": pod.ready,
        "labels": pod.labels,
    })
}

/// Deletes pods, and waits until they are gone.
pub async fn delete(
    commands: &Commands,
    pods: &[Value],
    what: String,
    context: &StepContext,
) -> Result<Observation, StepError> {
    let names: Vec<&str> = pods.iter().filter_map(|pod| pod["name"].as_str()).collect();
    for name in &names {
        commands.delete_pod(name).await.map_err(doing(&what))?;
    }
    let deadline = Instant::now() + context.limits.ready;
    loop {
        let listed = commands.pods("").await.map_err(doing(&what))?;
        let stays = |pod: &&PodTold| pods.iter().any(|gone| gone["uid"] == observed(pod)["uid"]);
        match listed.iter().find(stays) {
            None => break,
            Some(pod) if Instant::now() + PAUSE > deadline => {
                let (name, within) = (&pod.name, context.limits.ready);
                return Err(StepError::doing(
                    &what,
                    format!("pod {name} was still there after {within:?}"),
                ));
            }
            Some(_) => sleep(PAUSE).await,
        }
    }
    let value = json!({ "done": true, "names": names });
    Ok(Observation { what, value })
}

/// Runs a command in a pod: `exit_code`, `stdout`, `stderr`.
pub async fn exec(commands: &Commands, pod: &str, arguments: &Exec, what: &str) -> Result<Value, StepError> {
    if arguments.tty == Some(true) {
        return Err(StepError::doing(
            what,
            "a command of the profile can't give it a terminal",
        ));
    }
    let stdin = arguments.stdin.as_deref();
    let ran = commands.exec(pod, &arguments.exec, stdin).await.map_err(doing(what))?;
    let (code, stdout, stderr) = ran;
    Ok(json!({ "exit_code": code, "stdout": stdout, "stderr": stderr }))
}

/// Reads the keys of the token's secret. A secret without keys doesn't exist; its uid is always the same.
pub async fn read_secret(commands: &Commands, what: String, context: &StepContext) -> Result<Observation, StepError> {
    let keys = commands.keys().await.map_err(doing(&what))?;
    let mut data = Map::new();
    for (key, value) in keys {
        credentials::keep_text(&key, &value, &context.redactor).map_err(|error| StepError::doing(&what, error))?;
        data.insert(key, value.into());
    }
    let value = json!({ "kind": "secret", "exists": !data.is_empty(), "data": data, "uid": "read-secret" });
    Ok(Observation {
        what,
        value: secret::with_names(value, context),
    })
}

/// Restarts parts of the platform by their roles.
pub async fn restart(changes: &Changes, roles: &[&str]) -> Result<Observation, StepError> {
    let what = format!("restart {}", roles.join(" and "));
    for role in roles {
        let restarted = changes.restart_by_command(role).await;
        restarted.map_err(|error| StepError::doing(&what, error))?;
    }
    Ok(Observation {
        what,
        value: json!({ "done": true }),
    })
}

/// The logs of all listed pods.
pub async fn logs(commands: &Commands) -> Result<Vec<Text>, StepError> {
    let mut texts = Vec::new();
    for pod in commands.pods("").await.map_err(doing("listing pods"))? {
        let name = format!("log of {}", pod.name);
        let read = commands.logs(&pod.name).await;
        let text = unless_gone(read, commands, &pod, &format!("reading the {name}")).await?;
        texts.push((name, text));
    }
    Ok(texts)
}

/// What an operation on a pod told; none where it failed and the pod is no longer listed.
async fn unless_gone<T>(
    told: Result<T, OperationError>,
    commands: &Commands,
    pod: &PodTold,
    what: &str,
) -> Result<Option<T>, StepError> {
    let error = match told {
        Ok(told) => return Ok(Some(told)),
        Err(error) => error,
    };
    let now = commands.pods("").await.map_err(doing("listing pods"))?;
    match now.iter().any(|now| now.name == pod.name && now.uid == pod.uid) {
        true => Err(doing(what)(error)),
        false => Ok(None),
    }
}

/// The scheduler's events.
pub async fn events(commands: &Commands) -> Result<Vec<Text>, StepError> {
    let text = commands.events().await.map_err(doing("reading events"))?;
    Ok(vec![("events".to_owned(), Some(text))])
}

/// The output of a command in each sandbox, both of sessions and warm ones.
pub async fn outputs(commands: &Commands, argv: &[&str], context: &StepContext) -> Result<Vec<Text>, StepError> {
    let listing = "listing pods";
    let warm = commands.pods(context.world.name("warm.selector")).await;
    let all = commands.pods("").await.map_err(doing(listing))?;
    let label = context.world.name("session.label");
    let of_sessions = all.into_iter().filter(|pod| pod.labels.contains_key(label));
    let sandboxes = warm.map_err(doing(listing))?.into_iter().chain(of_sessions);
    let ready: BTreeMap<String, PodTold> = sandboxes
        .filter(|pod| pod.ready)
        .map(|pod| (pod.name.clone(), pod))
        .collect();
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let mut texts = Vec::new();
    for (name, pod) in ready {
        let ran = commands.exec(&name, &argv, None).await;
        let ran = unless_gone(ran, commands, &pod, &format!("reading the processes of {name}")).await?;
        texts.push((format!("processes of {name}"), ran.map(|(_, stdout, _)| stdout)));
    }
    Ok(texts)
}

/// Says what a failed operation was for.
fn doing(what: &str) -> impl Fn(OperationError) -> StepError + use<> {
    let what = what.to_owned();
    move |error| StepError::doing(&what, error)
}
