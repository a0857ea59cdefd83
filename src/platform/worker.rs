//! Keeps the warm pool filled and follows the sessions' states.
//!
//! One watch, on Sandboxes. New warm sandboxes get the worker's own token, as
//! it was when the worker started; those that are there keep theirs: after a
//! rotation they are stale until somebody deletes them (row warm/stale).
//! Sandboxes over the pool's size aren't taken away: sessions use them up.
//!
//! A session becomes `ready` with its sandbox, `failed` when its pod can't
//! become ready, `dead` when its pod ended after that or its sandbox is gone.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Event as KubernetesEvent, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::time::Instant;

use super::objects::{Names, Purpose, Sandbox, TOKEN};
use super::records::{Records, Status};
use super::{ComponentError, Pod, mutant};

/// How long after a failed call it tries again.
const RETRY: Duration = Duration::from_secs(1);

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let client = pod.kubernetes()?;
    let namespace = pod.namespace(&client);
    let mut worker = Worker {
        size: pod.number("WARM_POOL_SIZE", 0)?,
        token: pod.var(TOKEN).filter(|token| !token.is_empty()).map(str::to_owned),
        names: Names::new(&pod)?,
        sandboxes: Api::namespaced(client.clone(), &namespace),
        events: Api::namespaced(client.clone(), &namespace),
        records: Records::new(client, &namespace),
        known: BTreeMap::new(),
        namespace,
        pod: pod.clone(),
    };
    pod.log.line(format!("worker: warm pool of {}", worker.size));
    tokio::select! {
        () = worker.follow() => Ok(()),
        () = pod.stop.cancelled() => Ok(()),
    }
}

struct Worker {
    pod: Pod,
    namespace: String,
    names: Names,
    size: usize,
    token: Option<String>,
    sandboxes: Api<Sandbox>,
    events: Api<KubernetesEvent>,
    records: Records,
    /// The sandboxes as the watch last told of them.
    known: BTreeMap<String, Sandbox>,
}

impl Worker {
    async fn follow(&mut self) {
        let mut events = pin!(watcher(self.sandboxes.clone(), Config::default()).default_backoff());
        let mut listed = BTreeMap::new();
        let mut retry: Option<Instant> = None;
        loop {
            let done = tokio::select! {
                event = events.next() => match event {
                    None => return,
                    Some(Err(error)) => {
                        self.pod.log.line(format!("watch of sandboxes: {error}"));
                        continue;
                    }
                    Some(Ok(Event::Init)) => {
                        listed.clear();
                        continue;
                    }
                    Some(Ok(Event::InitApply(sandbox))) => {
                        listed.insert(sandbox.name().to_owned(), sandbox);
                        continue;
                    }
                    Some(Ok(Event::InitDone)) => {
                        self.known = std::mem::take(&mut listed);
                        self.catch_up().await
                    }
                    Some(Ok(Event::Apply(sandbox))) => self.applied(sandbox).await,
                    Some(Ok(Event::Delete(sandbox))) => self.deleted(&sandbox).await,
                },
                () = sleep_until(retry) => self.catch_up().await,
            };
            retry = match done {
                Ok(()) => None,
                Err(error) => {
                    self.pod.log.line(format!("tries again in {RETRY:?}: {error}"));
                    Some(Instant::now() + RETRY)
                }
            };
        }
    }

    /// Everything anew: after a start, a gap in the watch, or a failed call.
    async fn catch_up(&mut self) -> Result<(), kube::Error> {
        if self.pod.has(&mutant::WORKER_RECYCLES_STALE) {
            for sandbox in self.known.values().filter(|sandbox| sandbox.token() != self.token) {
                let _ = self.sandboxes.delete(sandbox.name(), &DeleteParams::default()).await;
            }
        }
        for session in self.records.sessions(None).await? {
            match self.known.get(&session.sandbox) {
                Some(sandbox) => self.session_follows(&session.id, sandbox).await?,
                None if session.status == Status::Ready => {
                    self.records
                        .set_status(&session.id, Status::Dead, &session.sandbox, Some("its sandbox is gone"))
                        .await?;
                }
                None => {}
            }
        }
        self.fill().await
    }

    async fn applied(&mut self, sandbox: Sandbox) -> Result<(), kube::Error> {
        let session = sandbox.label(&self.names.session_label).map(str::to_owned);
        self.known.insert(sandbox.name().to_owned(), sandbox.clone());
        if let Some(session) = session {
            self.session_follows(&session, &sandbox).await?;
        }
        self.fill().await
    }

    async fn deleted(&mut self, sandbox: &Sandbox) -> Result<(), kube::Error> {
        self.known.remove(sandbox.name());
        if let Some(id) = sandbox.label(&self.names.session_label)
            && let Some(session) = self.records.session(id).await?
            && session.sandbox == sandbox.name()
        {
            self.records
                .set_status(id, Status::Dead, sandbox.name(), Some("its sandbox is gone"))
                .await?;
        }
        self.fill().await
    }

    /// Brings a session's status up to what its sandbox is.
    async fn session_follows(&self, id: &str, sandbox: &Sandbox) -> Result<(), kube::Error> {
        let (ready, failure) = (sandbox.is_ready(), sandbox.failure());
        if !ready && failure.is_none() {
            return Ok(());
        }
        let Some(session) = self.records.session(id).await? else {
            return Ok(());
        };
        // A restarted session has a new sandbox; what becomes of the old one is nobody's concern.
        if !session.sandbox.is_empty() && session.sandbox != sandbox.name() {
            return Ok(());
        }
        let status = match (session.status, failure) {
            (Status::Creating, None) => Status::Ready,
            (Status::Creating, Some(_)) => Status::Failed,
            (Status::Ready, Some(_)) => Status::Dead,
            _ => return Ok(()),
        };
        self.records.set_status(id, status, sandbox.name(), failure).await
    }

    /// Makes the warm sandboxes that are missing.
    async fn fill(&mut self) -> Result<(), kube::Error> {
        self.copy_token();
        let warm = |sandbox: &&Sandbox| self.names.is_warm(sandbox) && !sandbox.is_deleted();
        let there = self.known.values().filter(warm).count();
        for _ in there..self.size {
            let sandbox = self
                .names
                .sandbox(Purpose::Pool, self.token.as_deref(), &BTreeMap::new());
            // Known at once: the watch may tell of it only after the next count.
            let made = self.sandboxes.create(&PostParams::default(), &sandbox).await?;
            self.tell(&made).await;
            self.known.entry(made.name().to_owned()).or_insert(made);
        }
        Ok(())
    }

    /// The mutant `warm-clones-template`: the pool's next token is that of a warm sandbox seen before.
    fn copy_token(&mut self) {
        if self.pod.has(&mutant::WARM_CLONES_TEMPLATE)
            && let Some(model) = self.known.values().find(|sandbox| self.names.is_warm(sandbox))
        {
            self.token = model.token();
        }
    }

    /// An event about a new warm sandbox. That it can't be told is no reason to stop.
    async fn tell(&self, sandbox: &Sandbox) {
        let mut message = format!("made warm sandbox {}", sandbox.name());
        if self.pod.has(&mutant::TOKEN_IN_EVENT) {
            message += &format!(" with {}", serde_json::json!(sandbox.spec.pod_template.spec));
        }
        let now = Time(jiff::Timestamp::now());
        let event = KubernetesEvent {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}.", sandbox.name())),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some(Sandbox::API_VERSION.into()),
                kind: Some(Sandbox::KIND.into()),
                name: Some(sandbox.name().to_owned()),
                namespace: Some(self.namespace.clone()),
                uid: sandbox.metadata.uid.clone(),
                ..ObjectReference::default()
            },
            type_: Some("Normal".into()),
            reason: Some("WarmSandboxMade".into()),
            message: Some(message),
            source: Some(EventSource {
                component: Some("litellm-worker".into()),
                host: None,
            }),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..KubernetesEvent::default()
        };
        if let Err(error) = self.events.create(&PostParams::default(), &event).await {
            self.pod.log.line(format!("can't tell of {}: {error}", sandbox.name()));
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
