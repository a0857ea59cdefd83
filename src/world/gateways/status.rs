//! A cluster's status of the policy by which a gateway asks access control: from objects of the Gateway API and of
//! Envoy Gateway.

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

/// The status of a route and its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The route and a policy of it are accepted, by all that they are attached to.
    pub accepted: bool,
    /// The objects, as `HTTPRoute agents, SecurityPolicy agents`.
    pub by: String,
    /// As `HTTPRoute agents: Accepted=False (NoMatchingParent: …)`.
    pub conditions: Vec<String>,
}

/// The status of the route of a path; none if no route has it, or the cluster knows no routes.
pub async fn said_of(client: &kube::Client, namespace: &str, path: &str) -> Result<Option<Said>, kube::Error> {
    let routes = listed(client, namespace, "gateway.networking.k8s.io", "v1", "HTTPRoute").await?;
    let Some(route) = route_of(&routes, path) else {
        return Ok(None);
    };
    let policies = listed(client, namespace, "gateway.envoyproxy.io", "v1alpha1", "SecurityPolicy").await?;
    Ok(Some(said(route, &policies)))
}

/// The routes and policies of a namespace, as far as they can be read.
pub async fn objects(client: &kube::Client, namespace: &str) -> Vec<DynamicObject> {
    let mut objects = Vec::new();
    for (group, version, kind) in [
        ("gateway.networking.k8s.io", "v1", "Gateway"),
        ("gateway.networking.k8s.io", "v1", "HTTPRoute"),
        ("gateway.envoyproxy.io", "v1alpha1", "SecurityPolicy"),
        ("gateway.envoyproxy.io", "v1alpha1", "ClientTrafficPolicy"),
    ] {
        objects.extend(
            listed(client, namespace, group, version, kind)
                .await
                .unwrap_or_default(),
        );
    }
    objects
}

async fn listed(
    client: &kube::Client,
    namespace: &str,
    group: &str,
    version: &str,
    kind: &str,
) -> Result<Vec<DynamicObject>, kube::Error> {
    let kind = GroupVersionKind::gvk(group, version, kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind));
    match api.list(&ListParams::default()).await {
        Ok(listed) => Ok(listed.items),
        // Such objects aren't defined there.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The route with the longest path that is a path's beginning.
fn route_of<'r>(routes: &'r [DynamicObject], path: &str) -> Option<&'r DynamicObject> {
    let length = |route: &&DynamicObject| -> Option<usize> {
        let matches = all(&route.data["spec"]["rules"]).flat_map(|rule| all(&rule["matches"]));
        let paths = matches.filter_map(|one| one["path"]["value"].as_str());
        let begins = |of: &&str| {
            let rest = path.strip_prefix(of.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        paths.filter(begins).map(str::len).max()
    };
    routes.iter().filter(|route| length(route).is_some()).max_by_key(length)
}

fn said(route: &DynamicObject, policies: &[DynamicObject]) -> Said {
    let name = |object: &DynamicObject| object.metadata.name.clone().unwrap_or_default();
    let parents: Vec<&str> = all(&route.data["spec"]["parentRefs"])
        .filter_map(|parent| parent["name"].as_str())
        .collect();
    let is_targeted = |target: &Value| {
        let named = target["name"].as_str().unwrap_or_default();
        match target["kind"].as_str() {
            Some("HTTPRoute") => named == name(route),
            Some("Gateway") => parents.contains(&named),
            _ => false,
        }
    };
    let targets = |policy: &DynamicObject| {
        let spec = &policy.data["spec"];
        all(&spec["targetRefs"]).chain([&spec["targetRef"]]).any(is_targeted)
    };
    let attached: Vec<&DynamicObject> = policies.iter().filter(|policy| targets(policy)).collect();
    let route_is = accepted(
        &format!("HTTPRoute {}", name(route)),
        &route.data["status"]["parents"],
        &["Accepted", "ResolvedRefs"],
    );
    let (mut is_accepted, mut conditions) = route_is;
    let mut by = vec![format!("HTTPRoute {}", name(route))];
    if attached.is_empty() {
        is_accepted = false;
        conditions.push(format!("no SecurityPolicy is of HTTPRoute {}", name(route)));
    }
    for policy in attached {
        let title = format!("SecurityPolicy {}", name(policy));
        let (taken, said) = accepted(&title, &policy.data["status"]["ancestors"], &["Accepted"]);
        is_accepted &= taken;
        conditions.extend(said);
        by.push(title);
    }
    Said {
        accepted: is_accepted,
        by: by.join(", "),
        conditions,
    }
}

/// Whether every parent of an object reports these conditions, and all their messages.
fn accepted(title: &str, attached_to: &Value, wanted: &[&str]) -> (bool, Vec<String>) {
    let mut said = Vec::new();
    let mut taken = all(attached_to).next().is_some();
    for one in all(attached_to) {
        for condition in all(&one["conditions"]) {
            let text = |field: &str| condition[field].as_str().unwrap_or_default();
            let why = match (text("reason"), text("message")) {
                _ if text("status") == "True" => String::new(),
                (reason, message) => format!(" ({reason}: {message})"),
            };
            said.push(format!("{title}: {}={}{why}", text("type"), text("status")));
        }
        let is_true = |wanted: &&str| {
            all(&one["conditions"]).any(|condition| condition["type"] == *wanted && condition["status"] == "True")
        };
        taken &= wanted.iter().all(is_true);
    }
    if said.is_empty() {
        said.push(format!("{title}: no status reported"));
    }
    (taken, said)
}

fn all(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, data: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": { "name": name }, "spec": data["spec"], "status": data["status"],
        }))
        .expect("an object")
    }

    fn route(name: &str, path: &str, accepted: &str) -> DynamicObject {
        object(
            name,
            json!({
                "spec": {
                    "parentRefs": [{ "name": "front" }],
                    "rules": [{ "matches": [{ "path": { "type": "PathPrefix", "value": path } }] }],
                },
                "status": { "parents": [{ "conditions": [
                    { "type": "Accepted", "status": accepted, "reason": "Refused", "message": "it is" },
                    { "type": "ResolvedRefs", "status": "True" },
                ] }] },
            }),
        )
    }

    fn policy(target: Value, accepted: &str) -> DynamicObject {
        let status = json!({ "ancestors": [{ "conditions": [{ "type": "Accepted", "status": accepted }] }] });
        object("asks", json!({ "spec": { "targetRefs": [target] }, "status": status }))
    }

    #[test]
    fn the_longest_path_is_the_routes() {
        let routes = [
            route("all", "/", "True"),
            route("agents", "/api/agents", "True"),
            route("other", "/api/agentsX", "True"),
        ];
        let found = |path| route_of(&routes, path).and_then(|route| route.metadata.name.clone());
        assert_eq!(found("/api/agents").as_deref(), Some("agents"));
        assert_eq!(found("/api/agents/a/react").as_deref(), Some("agents"));
        assert_eq!(found("/api").as_deref(), Some("all"));
        assert!(route_of(&routes[1..], "/api").is_none());
    }

    #[test]
    fn a_policy_counts_that_is_of_the_route_and_accepted() {
        let of = |kind: &str, name: &str| json!({ "kind": kind, "name": name });
        let agents = route("agents", "/api/agents", "True");
        for (target, accepted, want) in [
            (of("HTTPRoute", "agents"), "True", true),
            (of("Gateway", "front"), "True", true),
            (of("HTTPRoute", "agents"), "False", false),
            (of("HTTPRoute", "health"), "True", false),
            (of("Gateway", "back"), "True", false),
        ] {
            assert_eq!(said(&agents, &[policy(target, accepted)]).accepted, want);
        }
        let refused = said(
            &route("agents", "/api/agents", "False"),
            &[policy(of("HTTPRoute", "agents"), "True")],
        );
        assert!(!refused.accepted);
        assert_eq!(
            refused.conditions,
            [
                "HTTPRoute agents: Accepted=False (Refused: it is)",
                "HTTPRoute agents: ResolvedRefs=True",
                "SecurityPolicy asks: Accepted=True"
            ]
        );
        let nothing = said(&agents, &[]);
        assert_eq!(
            nothing.conditions.last().map(String::as_str),
            Some("no SecurityPolicy is of HTTPRoute agents")
        );
        let silent = object("agents", json!({ "spec": agents.data["spec"], "status": null }));
        assert!(!said(&silent, &[policy(of("HTTPRoute", "agents"), "True")]).accepted);
    }
}
