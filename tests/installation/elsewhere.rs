//! Logs of pods that aren't the platform's own, as of a gateway in a namespace of its own: the profile names them.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{Api, LogParams, PostParams};
use serde_json::json;

use super::theirs::Theirs;

/// A pod that logs the token when it starts, or one that does not.
fn pod(name: &str, token: &str, mutants: &str) -> Pod {
    let env = json!([
        { "name": "HARNESS_AUTH_TOKEN", "value": token },
        { "name": "GAUNTLET_MUTANTS", "value": mutants },
    ]);
    let container = json!({ "name": "edge", "image": "edge", "args": ["platform", "sandbox"], "env": env });
    let value = json!({
        "metadata": { "name": name, "labels": { "app": "edge" } },
        "spec": { "containers": [container] },
    });
    serde_json::from_value(value).expect("a pod")
}

/// Makes a pod, and waits until its log has a text.
async fn logs(pods: &Api<Pod>, name: &str, pod: &Pod, text: &str) {
    pods.create(&PostParams::default(), pod).await.expect("made");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = pods.logs(name, &LogParams::default()).await.unwrap_or_default();
        if log.contains(text) {
            return;
        }
        assert!(Instant::now() < deadline, "{name} logged:\n{log}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a pod has the log of a container that has been started again.
async fn restarted(pods: &Api<Pod>, name: &str) {
    let previous = LogParams {
        previous: true,
        ..LogParams::default()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let pod = pods.get(name).await.expect("it is there");
        let statuses = pod.status.and_then(|status| status.container_statuses);
        let has_restarted = statuses.into_iter().flatten().any(|status| status.restart_count > 0);
        if has_restarted && pods.logs(name, &previous).await.is_ok() {
            return;
        }
        assert!(Instant::now() < deadline, "{name} was not started again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn logs_of_pods_that_the_profile_names_are_searched() {
    let theirs = Theirs::up(&[]).await;
    let secrets: Api<Secret> = Api::default_namespaced(theirs.client.clone());
    let data = secrets.get("agents-env").await.expect("the secret").data.expect("data");
    let token = String::from_utf8(data["TTY_TOKEN"].0.clone()).expect("text");
    let namespaces: Api<Namespace> = Api::all(theirs.client.clone());
    let edge = serde_json::from_value(json!({ "metadata": { "name": "edge" } })).expect("a namespace");
    namespaces.create(&PostParams::default(), &edge).await.expect("made");
    let pods: Api<Pod> = Api::namespaced(theirs.client.clone(), "edge");
    let profile = std::fs::read_to_string(theirs.path("p.yaml")).expect("text");
    let named = "logs: { gateway: { namespace: edge, selector: app=edge, delay: 50ms } }\n";
    std::fs::write(theirs.path("p.yaml"), profile + named).expect("written");
    let search = ["--allow", "use", "harness-token/leak/log"];

    let report = theirs.judged(3, &search);
    let why = report["scenarios"][0]["reason"].as_str().expect("a reason");
    assert!(
        why.contains(
            "reading the log of gateway, of pods with app=edge in the namespace edge: there is no such container that has \
             started; correct `logs` in the profile"
        ),
        "{why}"
    );
    logs(&pods, "quiet", &pod("quiet", &token, ""), "on port").await;
    theirs.judged(0, &search);
    let mut crashes = pod("crashes", &token, "");
    let env = crashes.spec.as_mut().expect("a spec").containers[0].env.as_mut();
    let terminal = serde_json::from_value(json!({ "name": "TERMINAL", "value": "none" })).expect("a variable");
    env.expect("variables").push(terminal);
    logs(&pods, "crashes", &crashes, "TERMINAL is").await;
    restarted(&pods, "crashes").await;
    let leaks = pod("leaks", &token, "token-in-start-log");
    logs(&pods, "leaks", &leaks, "environment: ").await;
    let report = theirs.judged(1, &search);
    let said = report["scenarios"][0].to_string();
    for place in ["log of gateway, leaks/edge", "previous log of gateway, crashes/edge"] {
        assert!(said.contains(place), "{place}: {report:#}");
    }
}
