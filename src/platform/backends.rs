//! Where requests go: the Ready pods that a target's labels select, by one watch.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod as KubernetesPod;
use kube::api::{Api, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use serde::Deserialize;

use super::{ComponentError, Pod};

/// What paths go where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    path_prefix: String,
    /// `key=value,key=value`: all must hold.
    selector: String,
    port: u16,
}

struct Target {
    path_prefix: String,
    labels: Vec<(String, String)>,
    port: u16,
    /// Counts requests, for round robin.
    turn: AtomicUsize,
}

/// A Ready pod.
struct Backend {
    ip: IpAddr,
    labels: BTreeMap<String, String>,
}

pub struct Backends {
    /// The longest prefix first.
    targets: Vec<Target>,
    ready: RwLock<BTreeMap<String, Backend>>,
}

impl Backends {
    /// Of the variable `TARGETS`, or of `default` where that says nothing: a JSON list of
    /// `{path_prefix, selector, port}`; the longest prefix wins.
    pub fn new(pod: &Pod, default: &str) -> Result<Backends, ComponentError> {
        let text = pod
            .var("TARGETS")
            .filter(|text| !text.trim().is_empty())
            .unwrap_or(default);
        let rules: Vec<Rule> =
            serde_json::from_str(text).map_err(|error| ComponentError(format!("TARGETS: {error}")))?;
        let mut targets = rules.into_iter().map(Target::new).collect::<Result<Vec<_>, _>>()?;
        targets.sort_by_key(|target| std::cmp::Reverse(target.path_prefix.len()));
        Ok(Backends {
            targets,
            ready: RwLock::new(BTreeMap::new()),
        })
    }

    /// The addresses for a path, the one whose turn it is first; `None` if no target has the path.
    pub fn for_path(&self, path: &str) -> Option<Vec<(IpAddr, u16)>> {
        let target = self
            .targets
            .iter()
            .find(|target| path.starts_with(&target.path_prefix))?;
        let ready = self.ready.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut addresses: Vec<_> = ready
            .values()
            .filter(|backend| target.selects(&backend.labels))
            .map(|backend| (backend.ip, target.port))
            .collect();
        if !addresses.is_empty() {
            let turn = target.turn.fetch_add(1, Ordering::Relaxed) % addresses.len();
            addresses.rotate_left(turn);
        }
        Some(addresses)
    }

    /// The same. Where the watch knows of none that is ready somebody looks: it may be a moment behind.
    pub async fn find(&self, pod: &Pod, path: &str) -> Option<Vec<(IpAddr, u16)>> {
        let known = self.for_path(path)?;
        if !known.is_empty() {
            return Some(known);
        }
        if let Ok(client) = pod.kubernetes() {
            let pods: Api<KubernetesPod> = Api::namespaced(client.clone(), &pod.namespace(&client));
            match pods.list(&ListParams::default()).await {
                Ok(listed) => self.change(|ready| ready.extend(listed.iter().filter_map(backend))),
                Err(error) => pod.log.line(format!("list of pods: {error}")),
            }
        }
        self.for_path(path)
    }

    /// Follows the pods until the component is asked to stop, and then stays
    /// as it is: connections that drain may still ask.
    pub async fn follow(&self, pod: &Pod) -> Result<(), ComponentError> {
        let client = pod.kubernetes()?;
        let pods: Api<KubernetesPod> = Api::namespaced(client.clone(), &pod.namespace(&client));
        let mut events = pin!(watcher(pods, Config::default()).default_backoff());
        let mut listed = BTreeMap::new();
        while let Some(event) = tokio::select! {
            event = events.next() => event,
            () = pod.stop.cancelled() => None,
        } {
            match event {
                Err(error) => pod.log.line(format!("watch of pods: {error}")),
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(pod)) => listed.extend(backend(&pod)),
                Ok(Event::InitDone) => self.change(|ready| *ready = std::mem::take(&mut listed)),
                Ok(Event::Apply(pod)) => self.change(|ready| {
                    ready.remove(pod.metadata.name.as_deref().unwrap_or_default());
                    ready.extend(backend(&pod));
                }),
                Ok(Event::Delete(pod)) => self.change(|ready| {
                    ready.remove(pod.metadata.name.as_deref().unwrap_or_default());
                }),
            }
        }
        std::future::pending().await
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Backend>)) {
        change(&mut self.ready.write().unwrap_or_else(|poisoned| poisoned.into_inner()));
    }

    /// Pods that are ready, each with its name, address and label `app`.
    #[cfg(test)]
    pub fn with(pod: &Pod, targets: &str, pods: &[(&str, IpAddr, &str)]) -> Backends {
        let backends = Backends::new(pod, targets).expect("targets");
        backends.change(|ready| {
            for (name, ip, app) in pods {
                let labels = BTreeMap::from([("app".to_owned(), (*app).to_owned())]);
                ready.insert((*name).to_owned(), Backend { ip: *ip, labels });
            }
        });
        backends
    }
}

impl Target {
    fn new(rule: Rule) -> Result<Target, ComponentError> {
        let labels = rule.selector.split(',').map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| ComponentError(format!("TARGETS: {:?} is not key=value,key=value", rule.selector)))?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        });
        Ok(Target {
            labels: labels.collect::<Result<_, ComponentError>>()?,
            path_prefix: rule.path_prefix,
            port: rule.port,
            turn: AtomicUsize::new(0),
        })
    }

    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// A pod that is Ready and isn't being deleted.
fn backend(pod: &KubernetesPod) -> Option<(String, Backend)> {
    let status = pod.status.as_ref()?;
    let is_ready = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    if !is_ready || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let ip = status.pod_ip.as_ref()?.parse().ok()?;
    Some((
        pod.metadata.name.clone()?,
        Backend {
            ip,
            labels: pod.metadata.labels.clone().unwrap_or_default(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_backends_take_turns() {
        let targets = r#"[{"path_prefix":"/","selector":"app=web","port":1},{"path_prefix":"/probe","selector":"app=probe,x=y","port":2}]"#;
        let pod = pod(&[("TARGETS", targets)]);
        let (one, two) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let backends = Backends::with(&pod, "", &[("a", one, "web"), ("b", two, "web")]);
        assert_eq!(backends.for_path("/x"), Some(vec![(one, 1), (two, 1)]));
        assert_eq!(backends.for_path("/x"), Some(vec![(two, 1), (one, 1)]));
        assert_eq!(backends.for_path("/probe/x"), Some(vec![]));
        assert_eq!(backends.for_path("*"), None);
    }

    #[test]
    fn only_pods_that_serve_are_backends() {
        let pod = |status: &str, type_: &str, deleted: bool| -> KubernetesPod {
            let mut pod = serde_json::json!({
                "metadata": { "name": "a" },
                "status": { "podIP": "127.0.0.1", "conditions": [{ "type": type_, "status": status }] },
            });
            if deleted {
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            }
            serde_json::from_value(pod).expect("a pod")
        };
        assert!(backend(&pod("True", "Ready", false)).is_some());
        for serves_not in [
            pod("False", "Ready", false),
            pod("True", "Initialized", false),
            pod("True", "Ready", true),
            KubernetesPod::default(),
        ] {
            assert!(backend(&serves_not).is_none(), "{serves_not:?}");
        }
    }

    #[test]
    fn bad_targets_are_refused() {
        for targets in [
            "{}",
            r#"[{"path_prefix":"/"}]"#,
            r#"[{"path_prefix":"/","selector":"app","port":1}]"#,
        ] {
            assert!(Backends::new(&pod(&[("TARGETS", targets)]), "").is_err(), "{targets}");
        }
    }
}
