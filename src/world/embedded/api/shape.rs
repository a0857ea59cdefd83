//! How objects are shown: whole, only their metadata, or as kubectl's table.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Query;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::object::{Object, items, text};

/// The form that a client's `Accept` asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Whole,
    Metadata,
    Table {
        /// With the whole objects beside the cells, not only their metadata.
        whole: bool,
    },
}

impl Shape {
    pub fn wanted(headers: &HeaderMap, query: &Query) -> Shape {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        // The first form that is known wins, as the real server does without weights.
        for option in accept.unwrap_or_default().split(',') {
            let has = |parameter| option.split(';').any(|part| part.trim() == parameter);
            if has("as=Table") && has("v=v1") {
                return Shape::Table {
                    whole: query.get("includeObject") == Some("Object"),
                };
            }
            if has("as=PartialObjectMetadata") || has("as=PartialObjectMetadataList") {
                return Shape::Metadata;
            }
            if option.trim() == "application/json" {
                break;
            }
        }
        Shape::Whole
    }

    pub fn object(self, kind: Kind, object: &Object) -> Bytes {
        match self {
            Shape::Whole => object.json(),
            Shape::Metadata => metadata(object).to_string().into(),
            Shape::Table { whole } => table(kind, [object], object.version(), whole).to_string().into(),
        }
    }

    pub fn list(self, kind: Kind, objects: &[Arc<Object>], version: u64) -> Bytes {
        let head = |api_version: &str, kind: &str| {
            format!(
                "{{\"kind\":\"{kind}List\",\"apiVersion\":\"{api_version}\",\"metadata\":{{\"resourceVersion\":\"{version}\"}},\"items\":["
            )
        };
        let (mut list, parts): (String, Vec<Bytes>) = match self {
            Shape::Table { whole } => {
                let objects = objects.iter().map(|object| &**object);
                return table(kind, objects, version, whole).to_string().into();
            }
            Shape::Whole => (
                head(&kind.api_version(), kind.facts().kind),
                objects.iter().map(|object| object.json()).collect(),
            ),
            Shape::Metadata => (
                head("meta.k8s.io/v1", "PartialObjectMetadata"),
                objects
                    .iter()
                    .map(|object| metadata(object).to_string().into())
                    .collect(),
            ),
        };
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                list.push(',');
            }
            list.push_str(&String::from_utf8_lossy(part));
        }
        list.push_str("]}");
        list.into()
    }
}

fn metadata(object: &Object) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

fn table<'a>(kind: Kind, objects: impl IntoIterator<Item = &'a Object>, version: u64, whole: bool) -> Value {
    let all: Vec<(&str, u8)> = columns(kind)
        .iter()
        .map(|name| (*name, 0))
        .chain(wide_columns(kind).iter().map(|name| (*name, 1)))
        .collect();
    let columns: Vec<Value> = all
        .iter()
        .map(|(name, priority)| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({ "name": name, "type": "string", "format": format, "description": name, "priority": priority })
        })
        .collect();
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| {
            let cells: Vec<String> = all.iter().map(|(name, _)| cell(kind, name, object)).collect();
            let object = if whole {
                object.value().clone()
            } else {
                metadata(object)
            };
            json!({ "cells": cells, "object": object })
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": { "resourceVersion": version.to_string() },
        "columnDefinitions": columns,
        "rows": rows,
    })
}

fn columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &["Name", "Ready", "Status", "Restarts", "Age"],
        Kind::Deployment => &["Name", "Ready", "Up-to-date", "Available", "Age"],
        Kind::ReplicaSet => &["Name", "Desired", "Current", "Ready", "Age"],
        Kind::Secret => &["Name", "Type", "Data", "Age"],
        Kind::ConfigMap => &["Name", "Data", "Age"],
        Kind::Namespace => &["Name", "Status", "Age"],
        Kind::PersistentVolumeClaim => &["Name", "Status", "Capacity", "Access Modes", "Age"],
        Kind::Event => &["Last Seen", "Type", "Reason", "Object", "Message"],
        Kind::Lease => &["Name", "Holder", "Age"],
        Kind::Service | Kind::ServiceAccount | Kind::Sandbox => &["Name", "Age"],
    }
}

/// What `-o wide` shows beside those.
fn wide_columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &["IP", "Node", "Nominated Node", "Readiness Gates"],
        Kind::Deployment | Kind::ReplicaSet => &["Containers", "Images", "Selector"],
        _ => &[],
    }
}

fn cell(kind: Kind, column: &str, object: &Object) -> String {
    let (spec, status) = (&object["spec"], &object["status"]);
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    match (kind, column) {
        (_, "Name") => object.name().to_string(),
        (_, "Age") => age(&object["metadata"]["creationTimestamp"]),
        (Kind::Pod, "Ready") => {
            let ready = items(&status["containerStatuses"])
                .filter(|c| c["ready"] == true)
                .count();
            format!("{ready}/{}", items(&spec["containers"]).count())
        }
        (Kind::Pod, "Status") => pod_status(object),
        (Kind::Pod, "Restarts") => items(&status["containerStatuses"])
            .map(|c| count(&c["restartCount"]))
            .sum::<u64>()
            .to_string(),
        (Kind::Pod, "IP") => or_none(&status["podIP"]),
        (Kind::Pod, "Node") => or_none(&spec["nodeName"]),
        // There is one node and nothing waits for room on it, and no controller sets gates.
        (Kind::Pod, "Nominated Node" | "Readiness Gates") => NONE.to_string(),
        (Kind::Deployment | Kind::ReplicaSet, "Containers") => of_containers(spec, "name"),
        (Kind::Deployment | Kind::ReplicaSet, "Images") => of_containers(spec, "image"),
        (Kind::Deployment | Kind::ReplicaSet, "Selector") => {
            let labels = spec["selector"]["matchLabels"].as_object().into_iter().flatten();
            let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={}", text(value))).collect();
            labels.join(",")
        }
        (Kind::Deployment, "Ready") => {
            format!("{}/{}", count(&status["readyReplicas"]), count(&spec["replicas"]))
        }
        (Kind::Deployment, "Up-to-date") => count(&status["updatedReplicas"]).to_string(),
        (Kind::Deployment, "Available") => count(&status["availableReplicas"]).to_string(),
        (Kind::ReplicaSet, "Desired") => count(&spec["replicas"]).to_string(),
        (Kind::ReplicaSet, "Current") => count(&status["replicas"]).to_string(),
        (Kind::ReplicaSet, "Ready") => count(&status["readyReplicas"]).to_string(),
        (Kind::PersistentVolumeClaim, "Status") if object.deleting() => "Terminating".to_string(),
        (Kind::PersistentVolumeClaim, "Capacity") => text(&status["capacity"]["storage"]).to_string(),
        (Kind::PersistentVolumeClaim, "Access Modes") => {
            let modes: Vec<&str> = items(&status["accessModes"]).map(access_mode).collect();
            modes.join(",")
        }
        (_, "Data") => object["data"].as_object().map_or(0, |data| data.len()).to_string(),
        (Kind::Event, "Last Seen") => age(&object["lastTimestamp"]),
        (Kind::Event, "Object") => {
            let of = &object["involvedObject"];
            format!("{}/{}", text(&of["kind"]).to_lowercase(), text(&of["name"]))
        }
        (_, "Type") => text(&object["type"]).to_string(),
        (_, "Reason") => text(&object["reason"]).to_string(),
        (_, "Message") => text(&object["message"]).to_string(),
        (_, "Status") => text(&status["phase"]).to_string(),
        (_, "Holder") => text(&spec["holderIdentity"]).to_string(),
        _ => String::new(),
    }
}

/// As kubectl writes that there is nothing.
const NONE: &str = "<none>";

fn or_none(value: &Value) -> String {
    value.as_str().unwrap_or(NONE).to_string()
}

/// A field of each container of a pod template.
fn of_containers(spec: &Value, field: &str) -> String {
    let containers = items(&spec["template"]["spec"]["containers"]);
    let values: Vec<&str> = containers.map(|container| text(&container[field])).collect();
    values.join(",")
}

/// An access mode as kubectl abbreviates it.
fn access_mode(mode: &Value) -> &str {
    match text(mode) {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => other,
    }
}

fn pod_status(pod: &Object) -> String {
    if pod.deleting() {
        return "Terminating".to_string();
    }
    let state = items(&pod["status"]["containerStatuses"]).find_map(|container| {
        let state = &container["state"];
        state["waiting"]["reason"]
            .as_str()
            .or(state["terminated"]["reason"].as_str())
    });
    state.unwrap_or(text(&pod["status"]["phase"])).to_string()
}

fn age(since: &Value) -> String {
    let Ok(since) = text(since).parse::<Timestamp>() else {
        return "<unknown>".to_string();
    };
    let seconds = Timestamp::now().duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
