//! What scenarios do with a cluster's API, and the permissions this needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::installation::{KEPT, LEASE};

/// Something that is done through the Kubernetes API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    FindPods,
    Forward,
    ReadSecret,
    ReadJwtSecret,
    ChangeSecret,
    RestartDeployments,
    DeleteSandboxes,
    Exec,
    ReadLogs,
    ReadEvents,
    /// Deployments and ConfigMaps.
    ReadConfig,
    /// Pods that a deployment brings back.
    DeletePods,
    /// Upgrades LiteLLM or a codex agent.
    UpgradeCodex,
    /// Routes of gateways, and policies of them.
    ReadRoutes,
    /// Runs the platform's own seed as a pod.
    RunSeed,
    /// Keeps what is changed under a Lease, and puts it back.
    PutBack,
    /// Has a load made by the pods of a Job.
    LoadFromPods,
}

/// Names of an installation: `secret.name` → `litellm-env`.
type Names = BTreeMap<String, String>;

/// One verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    pub group: &'static str,
    /// With the subresource: `pods/exec`.
    pub resource: &'static str,
    pub verb: &'static str,
    /// The only object that it is about, where it is one.
    pub name: Option<String>,
    /// Default: the installation's.
    pub namespace: Option<String>,
}

/// What it needs to read the logs of pods in a namespace.
pub fn logs_in(namespace: &str) -> [Permission; 2] {
    [("pods", "list"), ("pods/log", "get")].map(|(resource, verb)| Permission {
        group: "",
        resource,
        verb,
        name: None,
        namespace: Some(namespace.to_owned()),
    })
}

impl Ask {
    /// The permissions it needs.
    pub fn permissions(self, names: &Names) -> Vec<Permission> {
        let on = |group, resource, verbs: &[&'static str]| -> Vec<Permission> {
            let one = |verb: &&'static str| Permission {
                group,
                resource,
                verb,
                name: None,
                namespace: None,
            };
            verbs.iter().map(one).collect()
        };
        let only = |name: Option<String>, permissions: Vec<Permission>| -> Vec<Permission> {
            let with = |permission| Permission {
                name: name.clone(),
                ..permission
            };
            permissions.into_iter().map(with).collect()
        };
        let named = |name: &str, permissions| only(names.get(name).cloned(), permissions);
        match self {
            Ask::FindPods => on("", "pods", &["get", "list", "watch"]),
            Ask::Forward => on("", "pods/portforward", &["create", "get"]),
            Ask::ReadSecret => named("secret.name", on("", "secrets", &["get"])),
            Ask::ReadJwtSecret => named("jwt.secret-name", on("", "secrets", &["get"])),
            Ask::ChangeSecret => named("secret.name", on("", "secrets", &["get", "patch"])),
            Ask::RestartDeployments => {
                let of = |name| named(name, on("apps", "deployments", &["get", "patch"]));
                // A list or a watch can't be of one name.
                let watched = on("apps", "deployments", &["list", "watch"]);
                [of("web.deployment"), of("worker.deployment"), watched].concat()
            }
            Ask::DeleteSandboxes => on("agents.x-k8s.io", "sandboxes", &["delete"]),
            Ask::Exec => on("", "pods/exec", &["create", "get"]),
            Ask::ReadLogs => on("", "pods/log", &["get"]),
            Ask::ReadEvents => on("", "events", &["list"]),
            Ask::ReadConfig => [on("apps", "deployments", &["list"]), on("", "configmaps", &["list"])].concat(),
            Ask::DeletePods => on("", "pods", &["delete"]),
            Ask::UpgradeCodex => {
                let agent = ["agent.prefix", "agent.name"].map(|name| names.get(name).cloned().unwrap_or_default());
                let change = || on("apps", "deployments", &["get", "patch"]);
                let watched = on("apps", "deployments", &["list", "watch"]);
                let litellm = named("litellm.deployment", change());
                [litellm, only(Some(agent.concat()), change()), watched].concat()
            }
            Ask::ReadRoutes => [
                on("gateway.networking.k8s.io", "httproutes", &["list"]),
                on("gateway.envoyproxy.io", "securitypolicies", &["list"]),
            ]
            .concat(),
            Ask::RunSeed => [
                on("", "pods", &["create", "delete"]),
                on("", "secrets", &["create"]),
                on("", "serviceaccounts", &["create"]),
            ]
            .concat(),
            Ask::LoadFromPods => [
                on("batch", "jobs", &["create", "delete", "get"]),
                // Clusters ask for one verb or the other.
                on("", "pods/attach", &["create", "get"]),
                Ask::FindPods.permissions(names),
            ]
            .concat(),
            Ask::PutBack => {
                let leases = |verbs| on("coordination.k8s.io", "leases", verbs);
                [
                    // What does not exist yet can't be named.
                    on("", "secrets", &["create"]),
                    only(Some(KEPT.into()), on("", "secrets", &["delete", "get", "patch"])),
                    leases(&["create"]),
                    only(Some(LEASE.into()), leases(&["delete", "get", "update"])),
                    Ask::FindPods.permissions(names),
                    Ask::DeleteSandboxes.permissions(names),
                ]
                .concat()
            }
        }
    }
}

impl std::fmt::Display for Permission {
    /// `patch secrets/litellm-env`, `create pods/exec`, `patch deployments.apps/web`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let group = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{group}{}", self.verb, self.resource, self.group)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

/// A Role with these permissions and no other, as YAML that `kubectl apply -f -` takes; one for each namespace, that of
/// the installation first.
pub fn role(namespace: &str, permissions: &BTreeSet<Permission>) -> String {
    let elsewhere: BTreeSet<&str> = permissions.iter().filter_map(|one| one.namespace.as_deref()).collect();
    let of = |wanted: Option<&str>| {
        let of_it = permissions.iter().filter(|one| one.namespace.as_deref() == wanted);
        role_in(wanted.unwrap_or(namespace), of_it)
    };
    let roles: Vec<String> = std::iter::once(None)
        .chain(elsewhere.into_iter().map(Some))
        .map(of)
        .collect();
    roles.join("---\n")
}

fn role_in<'a>(namespace: &str, permissions: impl Iterator<Item = &'a Permission>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Rule<'p> {
        api_groups: Vec<&'p str>,
        resources: Vec<&'p str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        resource_names: Vec<&'p str>,
        verbs: Vec<&'p str>,
    }
    let mut verbs: BTreeMap<(&str, &str, Option<&str>), Vec<&str>> = BTreeMap::new();
    for permission in permissions {
        let about = (permission.group, permission.resource, permission.name.as_deref());
        verbs.entry(about).or_default().push(permission.verb);
    }
    // Objects of a kind with the same verbs are one rule.
    let mut rules: Vec<Rule> = Vec::new();
    for ((group, resource, name), verbs) in verbs {
        let same = rules.iter_mut().find(|rule| {
            let (groups, resources) = (&rule.api_groups, &rule.resources);
            name.is_some()
                && !rule.resource_names.is_empty()
                && groups[0] == group
                && resources[0] == resource
                && rule.verbs == verbs
        });
        match same {
            Some(rule) => rule.resource_names.extend(name),
            None => rules.push(Rule {
                api_groups: vec![group],
                resources: vec![resource],
                resource_names: name.into_iter().collect(),
                verbs,
            }),
        }
    }
    let mut text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: gauntlet\n  namespace: {namespace}\nrules:\n"
    );
    for rule in rules {
        // JSON is YAML, and a rule fits a line.
        let rule = serde_json::to_string(&rule).unwrap_or_default();
        text.push_str(&format!("  - {}\n", rule.replace("\":", "\": ").replace(',', ", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_role() {
        let names = crate::vocabulary::names::contract();
        let asks = [
            Ask::ReadSecret,
            Ask::ChangeSecret,
            Ask::RestartDeployments,
            Ask::Forward,
        ];
        let permissions: BTreeSet<Permission> = asks.into_iter().flat_map(|ask| ask.permissions(&names)).collect();
        let role = role("agents", &permissions);
        assert_eq!(
            role,
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: gauntlet\n  namespace: agents\nrules:\n\
             \x20 - {\"apiGroups\": [\"\"], \"resources\": [\"pods/portforward\"], \"verbs\": [\"create\", \"get\"]}\n\
             \x20 - {\"apiGroups\": [\"\"], \"resources\": [\"secrets\"], \"resourceNames\": [\"litellm-env\"], \"verbs\": [\"get\", \"patch\"]}\n\
             \x20 - {\"apiGroups\": [\"apps\"], \"resources\": [\"deployments\"], \"verbs\": [\"list\", \"watch\"]}\n\
             \x20 - {\"apiGroups\": [\"apps\"], \"resources\": [\"deployments\"], \"resourceNames\": [\"litellm-web\", \"litellm-worker\"], \"verbs\": [\"get\", \"patch\"]}\n"
        );
        let read: Result<serde_json::Value, _> = serde_saphyr::from_str(&role);
        assert_eq!(read.expect("YAML")["rules"].as_array().map(Vec::len), Some(4));
    }

    #[test]
    fn a_role_for_each_namespace() {
        let names = crate::vocabulary::names::contract();
        let mut permissions: BTreeSet<Permission> = Ask::ReadEvents.permissions(&names).into_iter().collect();
        permissions.extend(logs_in("edge"));
        let role = role("agents", &permissions);
        let (own, other) = role.split_once("---\n").expect("two");
        assert!(
            own.contains("namespace: agents\n") && own.contains("\"events\""),
            "{own}"
        );
        assert!(!own.contains("pods"), "{own}");
        assert!(
            other.contains("namespace: edge\n") && other.contains("\"pods/log\""),
            "{other}"
        );
        assert!(!other.contains("events"), "{other}");
        let shown: Vec<String> = permissions.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "list events",
                "list pods in namespace edge",
                "get pods/log in namespace edge"
            ]
        );
    }

    #[test]
    fn a_permission_reads_as_kubectl_has_it() {
        let names = crate::vocabulary::names::contract();
        let shown = |ask: Ask| -> Vec<String> { ask.permissions(&names).iter().map(ToString::to_string).collect() };
        assert_eq!(shown(Ask::ReadSecret), ["get secrets litellm-env"]);
        assert_eq!(shown(Ask::DeleteSandboxes), ["delete sandboxes.agents.x-k8s.io"]);
    }
}
