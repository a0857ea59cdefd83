//! Workers in pods: creates a Job, attaches to its pods, and deletes it.

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, AttachParams, AttachedProcess, DeleteParams, PostParams};
use kube::client::UpgradeConnectionError;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher;
use kube::runtime::watcher::{Config, Event};
use tokio::io::{AsyncRead, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::job::{CONTAINER, index, job, selector};
use crate::load::worker::Member;
use crate::world::access::{Ask, role};
use crate::world::kube_error::kube_error;
use crate::world::wait::{Patience, is_passing};

/// Longest time until all pods run: an image may have to be pulled.
const UP_WITHIN: Duration = Duration::from_secs(180);

/// Longest time of one call.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Longest time until a Job that was deleted is gone, with its pods.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// Time between two looks at whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Of what is said and heard: a result is some hundred kilobytes.
const BUFFER: usize = 1 << 16;

/// Longest time to read what a worker has said before its connection ended.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Reasons of a waiting container that don't resolve by waiting.
const HOPELESS: [&str; 6] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// Where workers are to run.
#[derive(Clone)]
pub struct Settings {
    pub client: kube::Client,
    pub namespace: String,
    /// Of gauntlet.
    pub image: String,
    pub workers: u32,
    /// Which their pods have as a label.
    pub run: String,
}

/// The workers of a load. [`Workers::end`] must be called in any case.
pub struct Workers {
    settings: Settings,
    /// Of the Job.
    name: String,
    jobs: Api<Job>,
    pods: Api<Pod>,
    /// Whether there may be a Job.
    made: bool,
    /// Dropped, the connections end, and with them the workers.
    attached: Vec<AttachedProcess>,
}

/// Why there are no workers in pods.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    #[error("interrupted before the load began")]
    Interrupted,
    #[error("the manifest of the workers' Job: {0}")]
    Job(#[from] serde_json::Error),
    #[error("{doing}: {}", kube_error(&**source))]
    Asking {
        doing: String,
        source: Box<dyn Error + Send + Sync>,
    },
    /// With the Role that would allow it.
    #[error("{doing}: {}\nthis Role allows workers in the cluster:\n{role}", kube_error(&**source))]
    Forbidden {
        doing: String,
        role: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{doing}: no answer within {} s", ANSWER_WITHIN.as_secs())]
    NoAnswer { doing: String },
    #[error("{doing}: it has no standard input and output")]
    NoStreams { doing: String },
    #[error("the worker's pod {name} doesn't come up: {why}")]
    Hopeless { name: String, why: String },
    #[error("{running} of {workers} workers run after {} s: {why}", UP_WITHIN.as_secs())]
    Late { running: usize, workers: u32, why: String },
}

/// Why the workers' Job may still be there.
#[derive(Debug, thiserror::Error)]
#[error(
    "deleting the workers' Job {name}: {source}; its pods end by themselves, and `kubectl delete job {name} -n \
     {namespace}` deletes it"
)]
pub struct LeftError {
    name: String,
    namespace: String,
    source: StaysError,
}

#[derive(Debug, thiserror::Error)]
enum StaysError {
    #[error("{}", kube_error(.0.as_ref()))]
    Asking(#[from] Box<kube::Error>),
    #[error("no answer")]
    NoAnswer,
    #[error("it is still there after {} s", GONE_WITHIN.as_secs())]
    Late,
}

impl Workers {
    pub fn new(settings: Settings) -> Workers {
        Workers {
            name: format!("gauntlet-load-{:08x}", rand::random::<u32>()),
            jobs: Api::namespaced(settings.client.clone(), &settings.namespace),
            pods: Api::namespaced(settings.client.clone(), &settings.namespace),
            made: false,
            attached: Vec::new(),
            settings,
        }
    }

    /// Has the pods made, and attaches to them once all run. They live for so long at most.
    ///
    /// # Errors
    /// What the cluster refuses, with the Role that would allow it; a pod that doesn't come up; it was
    /// stopped.
    pub async fn start(&mut self, longest: Duration, stop: &CancellationToken) -> Result<Vec<Member>, WorkersError> {
        let Settings {
            run, image, workers, ..
        } = &self.settings;
        let job = job(&self.name, run, image, *workers, longest + UP_WITHIN)?;
        if stop.is_cancelled() {
            return Err(WorkersError::Interrupted);
        }
        self.create(&job).await?;
        let names = tokio::select! {
            names = self.all_run() => names?,
            () = stop.cancelled() => return Err(WorkersError::Interrupted),
        };
        let here = &*self;
        let attaching = try_join_all(names.iter().enumerate().map(|(turn, name)| here.attach(turn, name)));
        let attached = tokio::select! {
            attached = attaching => attached?,
            () = stop.cancelled() => return Err(WorkersError::Interrupted),
        };
        let (members, attached): (Vec<Member>, Vec<AttachedProcess>) = attached.into_iter().unzip();
        self.attached = attached;
        Ok(members)
    }

    /// It is waited for also where somebody stops it: what is under way may be made.
    async fn create(&mut self, job: &Job) -> Result<(), WorkersError> {
        self.made = true;
        let doing = format!(
            "creating the workers' Job {} in namespace {}",
            self.name, self.settings.namespace
        );
        let params = PostParams::default();
        let created = timeout(ANSWER_WITHIN, self.jobs.create(&params, job)).await;
        match created {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                self.made = !matches!(&error, kube::Error::Api(status) if (400..500).contains(&status.code));
                Err(self.refused(doing, error))
            }
            Err(_) => Err(WorkersError::NoAnswer { doing }),
        }
    }

    /// Waits until all pods run; gives their names in their order.
    async fn all_run(&self) -> Result<Vec<String>, WorkersError> {
        let doing = format!("watching the pods of the Job {}", self.name);
        let of_run = Config::default().labels(&selector(&self.settings.run));
        let mut events = pin!(watcher(self.pods.clone(), of_run).default_backoff());
        let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
        let mut trouble = None;
        let until = Instant::now() + UP_WITHIN;
        loop {
            match timeout_at(until, events.next()).await {
                Ok(Some(Ok(Event::Apply(pod) | Event::InitApply(pod)))) => {
                    pods.insert(pod.metadata.name.clone().unwrap_or_default(), pod);
                }
                Ok(Some(Ok(Event::Delete(pod)))) => {
                    pods.remove(pod.metadata.name.as_deref().unwrap_or_default());
                }
                Ok(Some(Ok(Event::Init))) => pods.clear(),
                Ok(Some(Ok(Event::InitDone))) => trouble = None,
                Ok(Some(Err(error))) if is_forbidden(&error) => return Err(self.refused(doing, error)),
                // It is begun again.
                Ok(Some(Err(error))) => trouble = Some(kube_error(&error)),
                Ok(None) | Err(_) => return Err(self.late(&pods, trouble)),
            }
            if let Some((name, why)) = pods.iter().find_map(|(name, pod)| Some((name, hopeless(pod)?))) {
                let name = name.clone();
                return Err(WorkersError::Hopeless { name, why });
            }
            let running: BTreeMap<u32, &String> = pods
                .iter()
                .filter(|(_, pod)| runs(pod))
                .filter_map(|(name, pod)| Some((index(pod)?, name)))
                .collect();
            if running.len() as u32 == self.settings.workers {
                return Ok(running.into_values().cloned().collect());
            }
        }
    }

    /// Why pods that are waited for don't run.
    fn late(&self, pods: &BTreeMap<String, Pod>, trouble: Option<String>) -> WorkersError {
        let running = pods.values().filter(|pod| runs(pod)).count();
        let mut why: Vec<String> = pods
            .iter()
            .filter_map(|(name, pod)| Some(format!("{name}: {}", waits(pod)?)))
            .take(3)
            .collect();
        why.extend(trouble);
        if why.is_empty() {
            let (name, namespace) = (&self.name, &self.settings.namespace);
            why.push(format!(
                "the cluster has made {} pods of the Job {name} in {namespace}",
                pods.len()
            ));
        }
        WorkersError::Late {
            running,
            workers: self.settings.workers,
            why: why.join("; "),
        }
    }

    async fn attach(&self, turn: usize, name: &str) -> Result<(Member, AttachedProcess), WorkersError> {
        let doing = format!("attaching to the worker's pod {name}");
        let params = AttachParams {
            container: Some(CONTAINER.to_owned()),
            stdin: true,
            stdout: true,
            stderr: false,
            max_stdin_buf_size: Some(BUFFER),
            max_stdout_buf_size: Some(BUFFER),
            ..AttachParams::default()
        };
        let mut attached = match timeout(ANSWER_WITHIN, self.pods.attach(name, &params)).await {
            Ok(Ok(attached)) => attached,
            Ok(Err(error)) => return Err(self.refused(doing, error)),
            Err(_) => return Err(WorkersError::NoAnswer { doing }),
        };
        let streams = attached.stdin().zip(attached.stdout()).zip(attached.take_status());
        let ((orders, stdout), over) = streams.ok_or(WorkersError::NoStreams { doing })?;
        let member = Member {
            name: format!("worker {} (pod {name})", turn + 1),
            words: Box::new(until_over(stdout, over, DRAIN_WITHIN)),
            orders: Box::new(orders),
        };
        Ok((member, attached))
    }

    /// What stood in the way; where the cluster forbids it, with what would allow it.
    fn refused(&self, doing: String, error: impl Error + Send + Sync + 'static) -> WorkersError {
        let is_forbidden = is_forbidden(&error);
        let source = Box::new(error);
        match is_forbidden {
            true => {
                let permissions = Ask::LoadFromPods.permissions(&BTreeMap::new()).into_iter().collect();
                let role = role(&self.settings.namespace, &permissions);
                WorkersError::Forbidden { doing, role, source }
            }
            false => WorkersError::Asking { doing, source },
        }
    }

    /// Deletes the Job and waits until it and its pods are gone.
    ///
    /// # Errors
    /// It may still be there.
    pub async fn end(mut self) -> Result<(), LeftError> {
        // The workers end now, if they haven't yet.
        self.attached.clear();
        if !self.made {
            return Ok(());
        }
        let (name, namespace) = (&self.name, &self.settings.namespace);
        let left = |source: StaysError| LeftError {
            name: name.clone(),
            namespace: namespace.clone(),
            source,
        };
        // The Job stays until its pods are gone.
        let params = DeleteParams::foreground();
        let mut patience = Patience::begun();
        loop {
            match timeout(ANSWER_WITHIN, self.jobs.delete(name, &params)).await {
                Ok(Ok(_)) => break,
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(()),
                Ok(Err(error)) if patience.bears(is_passing(&error)).await => {}
                Ok(Err(error)) => return Err(left(StaysError::Asking(Box::new(error)))),
                Err(_) if patience.bears(true).await => {}
                Err(_) => return Err(left(StaysError::NoAnswer)),
            }
        }
        let until = Instant::now() + GONE_WITHIN;
        loop {
            match timeout_at(until, self.jobs.get_metadata_opt(name)).await {
                Ok(Ok(None)) => return Ok(()),
                Ok(Ok(Some(_))) => {}
                Ok(Err(error)) if is_passing(&error) => {}
                Ok(Err(error)) => return Err(left(StaysError::Asking(Box::new(error)))),
                Err(_) => return Err(left(StaysError::Late)),
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// What comes out of a stream until it ends, or what it comes over does: that alone ends no stream of kube's.
fn until_over(
    mut stream: impl AsyncRead + Send + Unpin + 'static,
    over: impl Future<Output: Send> + Send + 'static,
    drain: Duration,
) -> DuplexStream {
    let (words, mut into) = duplex(BUFFER);
    tokio::spawn(async move {
        let mut copying = pin!(tokio::io::copy(&mut stream, &mut into));
        tokio::select! {
            _ended = &mut copying => {}
            _status = over => {
                let _drained = timeout(drain, copying).await;
            }
        }
    });
    words
}

fn is_forbidden(error: &(dyn Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| {
        let error: &(dyn Error + 'static) = *error;
        error.source()
    });
    let forbidden = |code: u16| code == 403;
    chain.any(|error| {
        match error.downcast_ref::<kube::Error>() {
            Some(kube::Error::Api(status)) => return forbidden(status.code),
            Some(kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code))) => {
                return forbidden(code.as_u16());
            }
            _ => {}
        }
        match error.downcast_ref::<watcher::Error>() {
            Some(watcher::Error::WatchError(status)) => forbidden(status.code),
            _ => false,
        }
    })
}

fn worker(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == CONTAINER)
}

fn runs(pod: &Pod) -> bool {
    let state = worker(pod).and_then(|status| status.state.as_ref());
    pod.metadata.deletion_timestamp.is_none() && state.is_some_and(|state| state.running.is_some())
}

/// Why a pod will never run, where that is plain.
fn hopeless(pod: &Pod) -> Option<String> {
    let with = |reason: &str, message: &Option<String>| match message {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    };
    if let Some(state) = worker(pod).and_then(|status| status.state.as_ref()) {
        if let Some(waiting) = &state.waiting {
            let reason = waiting.reason.as_deref().unwrap_or_default();
            return HOPELESS.contains(&reason).then(|| with(reason, &waiting.message));
        }
        if let Some(ended) = &state.terminated {
            let reason = ended.reason.as_deref().unwrap_or("it has ended");
            return Some(format!(
                "{} (exit code {})",
                with(reason, &ended.message),
                ended.exit_code
            ));
        }
    }
    let status = pod.status.as_ref()?;
    let failed = status.phase.as_deref() == Some("Failed");
    failed.then(|| with(status.reason.as_deref().unwrap_or("Failed"), &status.message))
}

/// What a pod waits for.
fn waits(pod: &Pod) -> Option<String> {
    if runs(pod) {
        return None;
    }
    let state = worker(pod).and_then(|status| status.state.as_ref());
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        return Some(match &waiting.message {
            Some(message) => format!("{reason}: {message}"),
            None => reason.to_owned(),
        });
    }
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let unscheduled = conditions
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .find_map(|condition| condition.message.clone());
    Some(unscheduled.unwrap_or_else(|| "it doesn't run".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "w-0" }, "status": status });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn what_a_pod_is_at_is_read_from_its_status() {
        let of = |state: serde_json::Value| {
            let mut container = json!({ "name": CONTAINER, "image": "i", "imageID": "", "restartCount": 0 });
            container["state"] = state;
            pod(json!({ "containerStatuses": [container] }))
        };
        let running = of(json!({ "running": {} }));
        assert!(runs(&running) && hopeless(&running).is_none() && waits(&running).is_none());
        let pulled = of(json!({ "waiting": { "reason": "ContainerCreating" } }));
        assert!(!runs(&pulled) && hopeless(&pulled).is_none());
        assert_eq!(waits(&pulled).as_deref(), Some("ContainerCreating"));
        let missing = of(json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } }));
        assert_eq!(hopeless(&missing).as_deref(), Some("ImagePullBackOff: no such image"));
        let ended = of(json!({ "terminated": { "reason": "StartError", "message": "no such file", "exitCode": 128 } }));
        assert_eq!(
            hopeless(&ended).as_deref(),
            Some("StartError: no such file (exit code 128)")
        );
        let full = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes" }] });
        assert_eq!(waits(&pod(full)).as_deref(), Some("0/1 nodes"));
    }

    #[test]
    fn a_refusal_is_known_wherever_it_stands() {
        let status = || kube::core::Status::failure("jobs.batch is forbidden", "Forbidden").with_code(403);
        assert!(is_forbidden(&kube::Error::Api(status().boxed())));
        assert!(is_forbidden(&watcher::Error::InitialListFailed(kube::Error::Api(
            status().boxed()
        ))));
        assert!(is_forbidden(&watcher::Error::WatchError(status().boxed())));
        assert!(!is_forbidden(&kube::Error::Api(status().with_code(404).boxed())));
        let switch = UpgradeConnectionError::ProtocolSwitch(http::StatusCode::FORBIDDEN);
        assert!(is_forbidden(&kube::Error::UpgradeConnection(switch)));
    }

    /// kube's own end of the stream stays open where the connection breaks.
    #[tokio::test]
    async fn what_was_said_before_a_connection_broke_is_heard_and_then_it_ends() {
        let (theirs, mut ours) = tokio::io::simplex(64);
        let (broken, over) = tokio::sync::oneshot::channel::<()>();
        ours.write_all(b"a word\n").await.expect("written");
        let mut words = until_over(theirs, over, Duration::from_millis(100));
        drop(broken);
        let mut heard = String::new();
        words.read_to_string(&mut heard).await.expect("read");
        assert_eq!(heard, "a word\n");
    }
}
