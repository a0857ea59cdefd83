//! A load from within the cluster: its counts against the platform's own, what it cost the pods, and that nothing stays.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, ListParams};
use rustix::process::Signal;

use super::standing::Standing;
use crate::binary::{DEADLINE, Ran, Running, json};

/// Jobs of loads that are there, in whatever namespace.
async fn jobs(standing: &Standing) -> Vec<String> {
    let jobs: Api<Job> = Api::all(standing.client().await);
    let listed = jobs.list(&ListParams::default()).await.expect("listed");
    let names = listed.items.into_iter().filter_map(|job| job.metadata.name);
    names.filter(|name| name.starts_with("gauntlet-load-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
async fn two_pods_make_one_load() {
    let standing = Standing::up();
    let arguments = [
        "--workers-in-cluster",
        "2",
        "-n",
        "200",
        "--ramp",
        "100/s",
        "--hold",
        "5s",
    ];
    let mut command = standing.load(&arguments);
    let output = tokio::task::spawn_blocking(move || command.output().expect("gauntlet runs"));
    let ran = Ran::of(output.await.expect("it ended")).exits(0);
    let result = json(&standing.path("load.json"));
    let count = |pointer: &str| result.pointer(pointer).and_then(serde_json::Value::as_u64);
    assert_eq!(count("/counts/opened"), Some(200), "{}", ran.stdout);
    assert_eq!(count("/counts/closed"), Some(200));
    assert_eq!(count("/platform/opened"), Some(200), "{}", ran.stdout);
    assert_eq!(count("/platform/refused"), count("/counts/probesRefused"));
    assert!(count("/counts/probesRefused") > Some(0), "{}", ran.stdout);
    assert_eq!(count("/counts/echoesSent"), count("/counts/echoesAnswered"));
    assert_eq!(count("/mostOpen"), Some(200));
    // The workers, and who told them.
    assert_eq!(count("/generator/processes"), Some(3));
    let pods = result["targetSide"]["pods"].as_object().expect("pods");
    let names: Vec<&String> = pods.keys().collect();
    assert_eq!(names, ["terminal-0"], "{}", ran.stdout);
    let terminal = &pods["terminal-0"];
    assert!(terminal["processor"].as_f64() > Some(0.0), "{terminal}");
    assert!(terminal["peakWorkingSet"].as_u64() > Some(1 << 20), "{terminal}");
    assert!(terminal["peakDescriptors"].as_u64() > Some(0), "{terminal}");
    assert_eq!(terminal["restarts"].as_u64(), Some(0));
    assert!(
        ran.stdout
            .contains("\n  Pods of the target: those of namespace gauntlet-"),
        "{}",
        ran.stdout
    );
    assert_eq!(jobs(&standing).await, Vec::<String>::new());
    assert_eq!(standing.worlds().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
async fn an_interrupted_load_leaves_no_job() {
    let standing = Standing::up();
    let arguments = ["--workers-in-cluster", "2", "-n", "20", "--hold", "10m"];
    let mut running = Running::start(&mut standing.load(&arguments)).expect("gauntlet starts");
    let made = async {
        while jobs(&standing).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // The platform's pods come up before.
    tokio::time::timeout(DEADLINE * 2, made).await.expect("a Job is made");
    running.signal(Signal::INT);
    let code = tokio::task::block_in_place(|| running.ends()).code();
    // Before the load began it could not tell.
    assert!(matches!(code, Some(3 | 130)), "{code:?}\n{}", running.stderr());
    assert_eq!(jobs(&standing).await, Vec::<String>::new());
    assert_eq!(standing.worlds().await, Vec::<String>::new());
}
