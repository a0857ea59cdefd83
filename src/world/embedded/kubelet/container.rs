//! One container: started, probed, started again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::pod::{PodRun, State, Terminated};
use super::probe::{Probe, ProbeError};
use super::{COMPONENT, Kubelet, env};
use crate::platform::ComponentError;
use crate::platform::pod::{Log, Pod};
use crate::world::embedded::events;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::logs::LogBuffer;
use crate::world::embedded::object::{items, new_uid, text};

/// The wait before the second restart; it doubles with each one more. Kubernetes takes 10 s and
/// 5 min: here nobody is protected by waiting.
const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_LIMIT: Duration = Duration::from_secs(5);

/// A container that has run for so long starts with the shortest wait again.
const STEADY: Duration = Duration::from_secs(10);

/// From this interval on a failing probe is worth an Event: before it a container is only starting.
const PATIENCE: Duration = Duration::from_millis(500);

/// Runs the container at `at` until it has ended for good; returns whether well.
pub async fn run(pod: &PodRun, kubelet: &Arc<Kubelet>, at: usize) -> bool {
    let store = &kubelet.store;
    let (spec, init) = {
        let containers = pod.containers();
        (containers[at].spec.clone(), containers[at].init)
    };
    let name = text(&spec["name"]);
    let policy = text(&pod.object["spec"]["restartPolicy"]);
    let mut wait = Duration::ZERO;
    loop {
        let Some(env) = environment(pod, kubelet, at, &spec).await else {
            return false;
        };
        let ended = once(pod, kubelet, at, &spec, env).await;
        let well = ended.exit_code == 0;
        let again = match policy {
            "Always" => !(init && well),
            "OnFailure" => !well,
            _ => false,
        };
        let ran = ended.finished.duration_since(ended.started).unsigned_abs();
        pod.change(store, at, |container| {
            container.ready = init && well;
            container.state = State::Terminated(ended.clone());
        });
        if !again || pod.stop.is_cancelled() {
            return well;
        }
        if ran >= STEADY {
            wait = Duration::ZERO;
        }
        if !wait.is_zero() {
            let message = format!(
                "back-off {wait:?} restarting failed container={name} pod={}_{}({})",
                pod.object.name(),
                pod.object.namespace(),
                pod.object.uid()
            );
            let event = format!(
                "Back-off restarting failed container {name} in pod {}",
                pod.object.name()
            );
            events::record(store, &pod.object, "Warning", "BackOff", &event, COMPONENT);
            pod.change(store, at, |container| {
                container.last = Some(ended.clone());
                container.state = State::Waiting {
                    reason: "CrashLoopBackOff",
                    message,
                };
            });
            if pod.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return well;
            }
        }
        wait = (wait * 2).clamp(BACK_OFF, BACK_OFF_LIMIT);
        pod.containers()[at].last = Some(ended);
        pod.containers()[at].restarts += 1;
    }
}

/// The container's environment, as soon as all that it needs is there; `None` if the pod ends first.
async fn environment(pod: &PodRun, kubelet: &Kubelet, at: usize, spec: &Value) -> Option<BTreeMap<String, String>> {
    let store = &kubelet.store;
    let ip = pod.ip().to_string();
    loop {
        if pod.stop.is_cancelled() {
            return None;
        }
        let version = store.version();
        let why = match env::resolve(store, &pod.object, &ip, spec) {
            Ok(env) => return Some(env),
            Err(why) => why,
        };
        events::record(
            store,
            &pod.object,
            "Warning",
            "Failed",
            &format!("Error: {why}"),
            COMPONENT,
        );
        pod.change(store, at, |container| {
            container.state = State::Waiting {
                reason: "CreateContainerConfigError",
                message: why.to_string(),
            };
        });
        let (Ok(mut secrets), Ok(mut maps)) = (
            store.changes(Kind::Secret, version),
            store.changes(Kind::ConfigMap, version),
        ) else {
            continue;
        };
        tokio::select! {
            _ = secrets.next() => {}
            _ = maps.next() => {}
            () = pod.stop.cancelled() => return None,
        }
    }
}

/// Starts the container once and returns how it ended.
async fn once(
    pod: &PodRun,
    kubelet: &Arc<Kubelet>,
    at: usize,
    spec: &Value,
    env: BTreeMap<String, String>,
) -> Terminated {
    let store = &kubelet.store;
    let started = Timestamp::now();
    let log = LogBuffer::new();
    let gone = CancellationToken::new();
    let probe = Probe::of(spec, pod.ip());
    let mounts = pod.containers()[at].mounts.clone();
    let argv = items(&spec["command"])
        .chain(items(&spec["args"]))
        .map(|word| mounts.translate(&env::expand(text(word), &env)))
        .collect();
    let env: BTreeMap<String, String> = env
        .into_iter()
        .map(|(name, value)| (name, mounts.translate(&value)))
        .collect();
    let env = Arc::new(env);
    let sink = log.clone();
    let inside = Pod {
        env: env.clone(),
        args: Arc::default(),
        ip: IpAddr::V4(pod.ip()),
        log: Log::new(move |line| sink.push(line)),
        mounts,
        kubernetes: Some(kubelet.clients.of(pod.object.namespace())),
        stop: pod.stop.child_token(),
    };
    pod.change(store, at, |container| {
        container.state = State::Running { since: started };
        container.ready = matches!(probe, Ok(None)) && !container.init;
        container.env = env;
        container.previous_log = container.log.replace(log.clone());
        container.gone = gone.clone();
        container.id = new_uid();
    });
    let message = format!("Started container {}", text(&spec["name"]));
    events::record(store, &pod.object, "Normal", "Started", &message, COMPONENT);

    let program = kubelet.program.clone();
    // Called inside of the task, so that a panic of the call itself is the container's too.
    let task = kubelet.tasks.tracker.spawn(async move { program(argv, inside).await });
    let mut task = AbortOnDropHandle::new(task);
    let result = tokio::select! {
        result = &mut task => Some(result),
        never = probing(pod, kubelet, at, probe) => match never {},
        () = pod.kill.cancelled() => {
            task.abort();
            // It ends at its next await, and with it what it holds.
            (&mut task).await.ok().map(Ok)
        }
    };
    let (exit_code, reason) = verdict(result, &log);
    gone.cancel();
    log.close();
    Terminated {
        exit_code,
        reason,
        started,
        finished: Timestamp::now(),
    }
}

/// The exit code and reason; what went wrong goes to the log.
fn verdict(
    result: Option<Result<Result<(), ComponentError>, tokio::task::JoinError>>,
    log: &LogBuffer,
) -> (i32, &'static str) {
    match result {
        Some(Ok(Ok(()))) => (0, "Completed"),
        Some(Ok(Err(error))) => {
            log.push(&error.to_string());
            (1, "Error")
        }
        Some(Err(error)) => {
            if let Ok(panic) = error.try_into_panic() {
                let message = panic
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                    .unwrap_or("no message");
                log.push(&format!("panicked: {message}"));
            }
            (1, "Error")
        }
        // As of a process that SIGKILL ended.
        None => (137, "Error"),
    }
}

/// Keeps a container's readiness up to date. Never ends.
async fn probing(pod: &PodRun, kubelet: &Kubelet, at: usize, probe: Result<Option<Probe>, ProbeError>) -> Infallible {
    let store = &kubelet.store;
    let unhealthy = |why: &ProbeError| {
        let message = format!("Readiness probe failed: {why}");
        events::record(store, &pod.object, "Warning", "Unhealthy", &message, COMPONENT);
    };
    let probe = match probe {
        Ok(Some(probe)) => probe,
        Ok(None) => return std::future::pending().await,
        Err(why) => {
            unhealthy(&why);
            return std::future::pending().await;
        }
    };
    tokio::time::sleep(probe.initial_delay).await;
    // Quickly at first, so that a world is up as soon as its components are.
    let mut wait = Duration::from_millis(1);
    let (mut good, mut bad) = (0, 0);
    let mut ready = false;
    loop {
        match probe.check().await {
            Ok(()) => {
                (good, bad) = (good + 1, 0);
            }
            Err(why) => {
                (good, bad) = (0, bad + 1);
                if ready || wait >= PATIENCE {
                    unhealthy(&why);
                }
            }
        }
        let now = if ready {
            bad < probe.failure_threshold
        } else {
            good >= probe.success_threshold
        };
        if now != ready {
            ready = now;
            pod.change(store, at, |container| container.ready = ready);
        }
        if ready {
            wait = probe.period;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(probe.period);
    }
}
