//! The controller of `Sandbox` objects: a pod of the same name for each.
//!
//! The pod is owned by its Sandbox, so it is deleted with it. Deleted alone, it
//! comes back from the same template. What becomes of it is told in the
//! Sandbox's status.
//!
//! Two watches: on Sandboxes, and on the pods that carry this controller's label.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod as KubernetesPod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::json;
use tokio::time::Instant;

use super::objects::{FAILED, READY, Sandbox, SandboxStatus, has_code, is_pod_ready};
use super::{ComponentError, Pod};

/// On every pod that this controller made; its value is the Sandbox's name.
pub const LABEL: &str = "agents.x-k8s.io/sandbox";

/// How long after a failed call it tries again.
const RETRY: Duration = Duration::from_secs(1);

/// Reasons to wait that waiting doesn't end (kubelet's names).
const HOPELESS: [&str; 6] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
];

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let client = pod.kubernetes()?;
    let namespace = pod.namespace(&client);
    let mut controller = Controller {
        sandboxes: Api::namespaced(client.clone(), &namespace),
        pods: Api::namespaced(client, &namespace),
        known: Known::default(),
        pod: pod.clone(),
    };
    pod.log.line("sandbox-controller: watching");
    tokio::select! {
        () = controller.follow() => Ok(()),
        () = pod.stop.cancelled() => Ok(()),
    }
}

struct Controller {
    pod: Pod,
    sandboxes: Api<Sandbox>,
    pods: Api<KubernetesPod>,
    known: Known,
}

/// Both kinds of objects by name, as the watches last told of them.
#[derive(Default)]
struct Known {
    sandboxes: BTreeMap<String, Sandbox>,
    pods: BTreeMap<String, KubernetesPod>,
    sandboxes_listed: bool,
    pods_listed: bool,
}

impl Controller {
    async fn follow(&mut self) {
        let mut sandboxes = pin!(watcher(self.sandboxes.clone(), Config::default()).default_backoff());
        let mut pods = pin!(watcher(self.pods.clone(), Config::default().labels(LABEL)).default_backoff());
        let mut retry: Option<Instant> = None;
        loop {
            // The names that are to be looked at.
            let names = tokio::select! {
                event = sandboxes.next() => match event {
                    None => return,
                    Some(event) => self.take(event, |known| (&mut known.sandboxes, &mut known.sandboxes_listed)),
                },
                event = pods.next() => match event {
                    None => return,
                    Some(event) => self.take(event, |known| (&mut known.pods, &mut known.pods_listed)),
                },
                () = sleep_until(retry) => {
                    retry = None;
                    self.known.sandboxes.keys().cloned().collect()
                }
            };
            // Before both lists are there, a pod that isn't known may well exist.
            if !(self.known.sandboxes_listed && self.known.pods_listed) {
                continue;
            }
            for name in names {
                if let Err(error) = self.reconcile(&name).await {
                    self.pod
                        .log
                        .line(format!("sandbox {name}: tries again in {RETRY:?}: {error}"));
                    retry = Some(Instant::now() + RETRY);
                }
            }
        }
    }

    /// Puts a watch's event where it belongs and says which names it is about.
    fn take<K: kube::ResourceExt>(
        &mut self,
        event: Result<Event<K>, kube::runtime::watcher::Error>,
        part: impl Fn(&mut Known) -> (&mut BTreeMap<String, K>, &mut bool),
    ) -> Vec<String> {
        let (objects, listed) = part(&mut self.known);
        match event {
            Err(error) => {
                self.pod.log.line(format!("watch: {error}"));
                Vec::new()
            }
            Ok(Event::Init) => {
                objects.clear();
                *listed = false;
                Vec::new()
            }
            Ok(Event::InitApply(object)) => {
                objects.insert(object.name_any(), object);
                Vec::new()
            }
            Ok(Event::InitDone) => {
                *listed = true;
                self.known.sandboxes.keys().cloned().collect()
            }
            Ok(Event::Apply(object)) => {
                let name = object.name_any();
                objects.insert(name.clone(), object);
                vec![name]
            }
            Ok(Event::Delete(object)) => {
                let name = object.name_any();
                objects.remove(&name);
                vec![name]
            }
        }
    }

    async fn reconcile(&mut self, name: &str) -> Result<(), kube::Error> {
        let Some(sandbox) = self
            .known
            .sandboxes
            .get(name)
            .filter(|sandbox| !sandbox.is_deleted())
            .cloned()
        else {
            return Ok(());
        };
        if !self.known.pods.contains_key(name) {
            // The watches aren't in step: the pod may be gone because the Sandbox is.
            let is_there = match self.sandboxes.get_opt(name).await? {
                Some(now) => now.metadata.uid == sandbox.metadata.uid && !now.is_deleted(),
                None => false,
            };
            if !is_there {
                return Ok(());
            }
            match self.pods.create(&PostParams::default(), &pod_of(&sandbox)).await {
                Ok(made) => drop(self.known.pods.insert(name.to_owned(), made)),
                // One that is being deleted is still in the way; its end is an event.
                Err(error) if has_code(&error, 409) => return Ok(()),
                // The template is what it is: the same pod would be refused for ever.
                Err(kube::Error::Api(refusal)) if refusal.code == 422 => {
                    return self.report(&sandbox, refused(&refusal.message, sandbox.ready())).await;
                }
                Err(error) => return Err(error),
            }
        }
        let Some(pod) = self.known.pods.get(name) else {
            return Ok(());
        };
        self.report(&sandbox, status_of(pod, sandbox.ready())).await
    }

    /// Tells a Sandbox what became of its pod, where it doesn't say so yet.
    async fn report(&mut self, sandbox: &Sandbox, status: SandboxStatus) -> Result<(), kube::Error> {
        let name = sandbox.name();
        if sandbox.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "status": status }));
        match self.sandboxes.patch_status(name, &PatchParams::default(), &patch).await {
            Ok(now) => drop(self.known.sandboxes.insert(name.to_owned(), now)),
            Err(error) if has_code(&error, 404) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The pod of a Sandbox: its template under its name, owned by it.
fn pod_of(sandbox: &Sandbox) -> KubernetesPod {
    let template = sandbox.spec.pod_template.clone();
    let template_metadata = template.metadata.unwrap_or_default();
    let mut labels = template_metadata.labels.unwrap_or_default();
    labels.insert(LABEL.to_owned(), sandbox.name().to_owned());
    let owner = OwnerReference {
        api_version: Sandbox::API_VERSION.into(),
        kind: Sandbox::KIND.into(),
        name: sandbox.name().to_owned(),
        uid: sandbox.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    KubernetesPod {
        metadata: ObjectMeta {
            name: sandbox.metadata.name.clone(),
            labels: Some(labels),
            annotations: template_metadata.annotations,
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// What a pod means for its Sandbox. The condition's time changes with its status only.
fn status_of(pod: &KubernetesPod, before: Option<&Condition>) -> SandboxStatus {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.unwrap_or_else(|| "Pending".into());
    let waiting = status
        .container_statuses
        .iter()
        .flatten()
        .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
        .find(|waiting| {
            waiting
                .reason
                .as_deref()
                .is_some_and(|reason| HOPELESS.contains(&reason))
        });
    let (ready, reason, message) = if pod.metadata.deletion_timestamp.is_some() {
        ("False", "PodTerminating", "its pod is being deleted".to_owned())
    } else if matches!(phase.as_str(), "Failed" | "Succeeded") {
        (
            "False",
            FAILED,
            status.message.unwrap_or_else(|| format!("its pod ended: {phase}")),
        )
    } else if is_pod_ready(pod) {
        ("True", "PodReady", String::new())
    } else if let Some(waiting) = waiting {
        let reason = waiting.reason.clone().unwrap_or_default();
        (
            "False",
            FAILED,
            format!("{reason}: {}", waiting.message.as_deref().unwrap_or("no message")),
        )
    } else {
        ("False", "PodNotReady", "its pod is not ready".to_owned())
    };
    SandboxStatus {
        phase: Some(phase),
        pod_ip: status.pod_ip,
        conditions: vec![condition(ready, reason, message, before)],
    }
}

/// What it means for a Sandbox that the API server takes no pod of its template.
fn refused(why: &str, before: Option<&Condition>) -> SandboxStatus {
    SandboxStatus {
        conditions: vec![condition("False", FAILED, format!("no pod can be made: {why}"), before)],
        ..SandboxStatus::default()
    }
}

fn condition(ready: &str, reason: &str, message: String, before: Option<&Condition>) -> Condition {
    let since = before
        .filter(|before| before.status == ready)
        .map(|before| before.last_transition_time.clone());
    Condition {
        type_: READY.into(),
        status: ready.into(),
        reason: reason.into(),
        message,
        last_transition_time: since.unwrap_or_else(|| Time(now())),
        observed_generation: None,
    }
}

/// In whole seconds, as the API keeps times: a finer one would differ from what comes back.
fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
