//! An API server that fails now and then: a run ends right, or says that it could not tell. What it
//! disrupted can be put back.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;

use super::theirs::{NAMES, POLICIES, ROTATE, Theirs, verdicts};
use crate::binary;
use crate::binary::faulty::{Fault, Faulty};

/// Runs behind a fault; gives the exit code. Nothing is judged wrong, and all can be put back.
async fn behind(fault: Fault) -> i32 {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    let faulty = Faulty::before(theirs.client.clone(), fault).await;
    faulty.kubeconfig(&theirs.path("faulty.yaml"));
    let mut command = theirs.command(&["run", "--target", "cluster", "--kubeconfig", "faulty.yaml"]);
    command
        .args(["--profile", "p.yaml", "--report", "json=r.json", "harness-token/token"])
        .args(ROTATE);
    let ran = tokio::task::spawn_blocking(move || command.output().expect("gauntlet runs"))
        .await
        .expect("it ran");
    let code = ran.status.code().expect("it ended of itself");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!([0, 3].contains(&code), "{fault:?}: {code}\n{said}");
    if theirs.path("r.json").exists() {
        let report = binary::json(&theirs.path("r.json"));
        let wrong: Vec<_> = verdicts(&report)
            .into_iter()
            .filter(|(_, verdict)| verdict == "fail")
            .collect();
        assert!(wrong.is_empty(), "{fault:?}: {wrong:?}");
    }
    // On a good day.
    drop(faulty);
    for journal in theirs.journals() {
        let text = std::fs::read_to_string(&journal).expect("text");
        std::fs::write(&journal, text.replace("faulty.yaml", "k.yaml")).expect("written");
    }
    theirs.ran(&["recover"]).exits(0);
    assert_eq!(theirs.state().await, before, "{fault:?}");
    assert_eq!(theirs.sessions().await.len(), 0, "{fault:?}");
    assert!(theirs.journals().is_empty(), "{fault:?}");
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_gone_are_begun_again() {
    assert_eq!(behind(Fault::Gone { every: 2 }).await, 0);
}

/// Pods come and go while others are at work: one that has not started or is gone has nothing to search.
#[tokio::test(flavor = "multi_thread")]
async fn pods_that_come_and_go_are_no_trouble() {
    let theirs = Theirs::up(&[]).await;
    let starting = json!({
        "metadata": { "name": "starting", "labels": { "app": "agents-worker" } },
        "spec": { "containers": [{
            "name": "worker",
            "image": "gauntlet/worker",
            "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "nowhere", "key": "A" } } }],
        }] },
    });
    let pods: Api<Pod> = Api::default_namespaced(theirs.client.clone());
    let starting = serde_json::from_value(starting).expect("a pod");
    pods.create(&PostParams::default(), &starting).await.expect("made");
    let faulty = Faulty::before(theirs.client.clone(), Fault::Ghost).await;
    faulty.kubeconfig(&theirs.path("faulty.yaml"));
    let mut command = theirs.command(&["run", "--target", "cluster", "--kubeconfig", "faulty.yaml"]);
    command
        .args(["--profile", "p.yaml", "--report", "json=r.json", "--allow", "use"])
        .args(["harness-token/leak/log", "harness-token/leak/process-list"]);
    let ran = tokio::task::spawn_blocking(move || command.output().expect("gauntlet runs"))
        .await
        .expect("it ran");
    let report = binary::json(&theirs.path("r.json"));
    assert_eq!(ran.status.code(), Some(0), "{report:#}");
    let said = report.to_string();
    assert!(
        said.contains("log of starting/worker: none, it has not started"),
        "{said}"
    );
    assert!(said.contains("/web: none, its pod went away meanwhile"), "{said}");
    assert!(said.contains("-ghost: none, its pod went away meanwhile"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_are_waited_for() {
    assert_eq!(behind(Fault::Slow(Duration::from_millis(40))).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_server_are_none_of_the_platforms() {
    for every in [3, 11] {
        behind(Fault::Status { code: 500, every }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_none_of_the_platforms_doing() {
    for every in [3, 11] {
        behind(Fault::Status { code: 429, every }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_behind_a_door_is_the_platforms_failure() {
    let theirs = Theirs::up(&[]).await;
    let profile = format!("{NAMES}roads: {{ balancer: port-forward }}\n{POLICIES}");
    std::fs::write(theirs.path("p.yaml"), profile).expect("written");
    let pods: Api<Pod> = Api::default_namespaced(theirs.client.clone());
    let deployments: Api<Deployment> = Api::default_namespaced(theirs.client.clone());
    let balancers = ListParams::default().labels("app=balancer");
    let pod = pods.list(&balancers).await.expect("pods").items.remove(0).metadata;
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    deployments
        .patch("balancer", &PatchParams::default(), &none)
        .await
        .expect("scaled");
    let (name, uid) = (pod.name.expect("a name"), pod.uid.expect("an id"));
    tokio::time::timeout(
        Duration::from_secs(30),
        await_condition(pods, &name, conditions::is_deleted(&uid)),
    )
    .await
    .expect("the pod goes")
    .expect("watched");
    let scenarios = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/installation/scenarios");
    let ran = theirs
        .ran(&[
            "run",
            "--target",
            "cluster",
            "--context",
            "gauntlet",
            "--allow",
            "attack",
            "--profile",
            "p.yaml",
            "--scenarios",
            scenarios,
        ])
        .exits(1);
    let said = "got  no status (there is no ready pod with app=balancer)";
    assert_eq!(ran.stdout.matches(said).count(), 2, "{}", ran.stdout);
    let said = "got  conclusion \"nobody is behind the door\" (there is no ready pod";
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    assert!(ran.stdout.contains("0 passed, 3 failed, 0 errors"), "{}", ran.stdout);
}
