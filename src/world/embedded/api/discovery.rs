//! Discovery: what the server has, as kubectl asks for it.

use http::Method;
use serde_json::{Value, json};

use super::{Answer, json_response, openapi};
use crate::world::embedded::error::ApiError;
use crate::world::embedded::kinds::Kind;

pub fn answer(method: &Method, path: &str) -> Answer {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let body = match segments.as_slice() {
        ["version"] => version(),
        ["healthz" | "readyz" | "livez"] => {
            return Ok(json_response(200, "ok".into()));
        }
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        ["api", version] => resources("", version)?,
        ["apis"] => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": groups().iter().map(|(group, version)| self::group(group, version)).collect::<Vec<_>>(),
        }),
        ["apis", name] => {
            let (group, version) = groups()
                .into_iter()
                .find(|(group, _)| group == name)
                .ok_or_else(ApiError::no_such_path)?;
            let mut body = self::group(group, version);
            body["kind"] = "APIGroup".into();
            body["apiVersion"] = "v1".into();
            body
        }
        ["apis", group, version] => resources(group, version)?,
        ["openapi", "v3"] => openapi::index(),
        ["openapi", "v3", of @ ..] => openapi::document(&of.join("/"))?,
        _ => return Err(ApiError::no_such_path()),
    };
    if *method != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    Ok(json_response(200, body.to_string().into()))
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "34",
        "gitVersion": concat!("v1.34.0+gauntlet-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// The groups beside the core group, each with its version.
fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| (kind.facts().group, kind.facts().version))
        .filter(|(group, _)| !group.is_empty())
        .collect();
    groups.dedup();
    groups
}

fn group(group: &str, version: &str) -> Value {
    let version = json!({ "groupVersion": format!("{group}/{version}"), "version": version });
    json!({ "name": group, "versions": [version], "preferredVersion": version })
}

fn resources(group: &str, version: &str) -> Result<Value, ApiError> {
    let mut resources = Vec::new();
    let mut group_version = None;
    for kind in Kind::ALL {
        let facts = kind.facts();
        if facts.group != group || facts.version != version {
            continue;
        }
        group_version = Some(kind.api_version());
        let verbs = [
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ];
        // What `kubectl get all` shows.
        let all = matches!(kind, Kind::Pod | Kind::Service | Kind::Deployment | Kind::ReplicaSet);
        resources.push(json!({
            "name": facts.plural,
            "singularName": facts.singular,
            "namespaced": facts.namespaced,
            "kind": facts.kind,
            "verbs": verbs,
            "shortNames": facts.short,
            "categories": if all { vec!["all"] } else { Vec::new() },
        }));
        let mut subresource = |name: &str, kind: &str, verbs: &[&str]| {
            resources.push(json!({
                "name": format!("{}/{name}", facts.plural),
                "singularName": "",
                "namespaced": facts.namespaced,
                "kind": kind,
                "verbs": verbs,
            }));
        };
        if facts.status {
            subresource("status", facts.kind, &["get", "patch", "update"]);
        }
        match kind {
            Kind::Pod => {
                subresource("log", "Pod", &["get"]);
                subresource("exec", "PodExecOptions", &["create", "get"]);
            }
            Kind::Deployment | Kind::ReplicaSet => {
                subresource("scale", "Scale", &["get", "patch", "update"]);
            }
            _ => {}
        }
    }
    let group_version = group_version.ok_or_else(ApiError::no_such_path)?;
    Ok(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }))
}
