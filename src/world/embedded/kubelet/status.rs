//! A pod's status, derived from its containers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::pod::{Container, PodRun, State, Terminated};
use crate::world::embedded::events;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::object::{Object, items, text, time};
use crate::world::embedded::store::{Part, Store};

/// The status of a pod; `before` is the one that it has, for the times of its conditions.
pub fn of(pod: &PodRun, before: &Value) -> Value {
    let containers = pod.containers();
    let (inits, apps): (Vec<&Container>, Vec<&Container>) = containers.iter().partition(|container| container.init);
    let initialized = inits
        .iter()
        .all(|container| matches!(&container.state, State::Terminated(ended) if ended.exit_code == 0));
    let begun = apps
        .iter()
        .any(|container| container.last.is_some() || !matches!(container.state, State::Waiting { .. }));
    let phase = match pod.outcome() {
        Some(true) => "Succeeded",
        Some(false) => "Failed",
        None if begun => "Running",
        None => "Pending",
    };
    let unready: Vec<&str> = apps
        .iter()
        .filter(|c| !c.ready)
        .map(|c| text(&c.spec["name"]))
        .collect();
    let ready = unready.is_empty();
    let not_ready = format!("containers with unready status: [{}]", unready.join(" "));
    let reason = match pod.outcome() {
        Some(true) => "PodCompleted",
        Some(false) => "PodFailed",
        None => "ContainersNotReady",
    };
    let old = &before["conditions"];
    let ip = pod.ip().to_string();
    let mut status = json!({
        "phase": phase,
        "conditions": [
            condition(old, "PodReadyToStartContainers", true, "", ""),
            condition(old, "Initialized", initialized, "ContainersNotInitialized", ""),
            condition(old, "Ready", ready, reason, &not_ready),
            condition(old, "ContainersReady", ready, reason, &not_ready),
            condition(old, "PodScheduled", true, "", ""),
        ],
        "hostIP": super::HOST_IP,
        "hostIPs": [{ "ip": super::HOST_IP }],
        "podIP": ip,
        "podIPs": [{ "ip": ip }],
        "startTime": time(pod.started),
        "qosClass": before["qosClass"],
        "containerStatuses": apps.iter().map(|container| of_container(container)).collect::<Vec<_>>(),
    });
    if !inits.is_empty() {
        status["initContainerStatuses"] = inits.iter().map(|container| of_container(container)).collect();
    }
    status
}

fn of_container(container: &Container) -> Value {
    let running = matches!(container.state, State::Running { .. });
    let mut status = json!({
        "name": container.spec["name"],
        "image": text(&container.spec["image"]),
        "imageID": "",
        "ready": container.ready,
        "started": running,
        "restartCount": container.restarts,
        "state": match &container.state {
            State::Waiting { reason, message } if message.is_empty() => json!({ "waiting": { "reason": reason } }),
            State::Waiting { reason, message } => json!({ "waiting": { "reason": reason, "message": message } }),
            State::Running { since } => json!({ "running": { "startedAt": time(*since) } }),
            State::Terminated(ended) => json!({ "terminated": terminated(ended) }),
        },
        "lastState": match &container.last {
            Some(ended) => json!({ "terminated": terminated(ended) }),
            None => json!({}),
        },
    });
    if !container.id.is_empty() {
        status["containerID"] = format!("gauntlet://{}", container.id).into();
    }
    status
}

fn terminated(ended: &Terminated) -> Value {
    json!({
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": time(ended.started),
        "finishedAt": time(ended.finished),
    })
}

fn condition(before: &Value, kind: &str, holds: bool, reason: &str, message: &str) -> Value {
    let status = if holds { "True" } else { "False" };
    let since = items(before)
        .find(|old| old["type"] == kind && old["status"] == status)
        .map_or_else(
            || time(Timestamp::now()).into(),
            |old| old["lastTransitionTime"].clone(),
        );
    let mut condition = json!({
        "type": kind,
        "status": status,
        "lastProbeTime": null,
        "lastTransitionTime": since,
    });
    if !holds {
        condition["reason"] = reason.into();
        if !message.is_empty() {
            condition["message"] = message.into();
        }
    }
    condition
}

/// Says that a pod can't run because there was no address for it.
pub fn no_address(store: &Store, pod: &Object, why: &str) {
    let message = format!("no loopback address for the pod: {why}");
    events::record(
        store,
        pod,
        "Warning",
        "FailedCreatePodSandBox",
        &message,
        super::COMPONENT,
    );
    // A pod that is gone needs no status.
    let _ = store.update(Kind::Pod, pod.namespace(), pod.name(), Part::Status, |old| {
        let mut new = old.clone();
        new["status"]["phase"] = "Failed".into();
        new["status"]["reason"] = "NoAddress".into();
        new["status"]["message"] = message.as_str().into();
        Ok(new)
    });
}
