//! The Job of `deploy/job.yaml` on a real cluster: with its Role and no more, beside a platform with other names.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;

use super::standing::Standing;
use crate::binary::Ran;
use crate::installation::theirs::{NAMES, POLICIES};

const JOB: &str = include_str!("../../deploy/job.yaml");

fn kubectl(kubeconfig: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("written");
    drop(stdin);
    Ran::of(child.wait_with_output().expect("it ends"))
}

#[tokio::test]
#[ignore = "makes a cluster, for minutes: `make test-kind`"]
async fn the_job_judges_the_platform_beside_it() {
    let standing = Standing::up();
    let deployments: Api<Deployment> = Api::default_namespaced(standing.client().await);
    let web = deployments.get("agents-web").await.expect("web");
    let pod = web.spec.and_then(|spec| spec.template.spec).expect("what its pods are");
    let image = pod.containers[0].image.clone().expect("an image");
    let job = JOB
        .replace("image: gauntlet\n", &format!("image: {image}\n"))
        .replace("[litellm-env]", "[agents-env]");
    assert!(job.contains(&image) && job.contains("agents-env"), "{job}");

    let profile = standing.path("job.yaml");
    let text = format!("{NAMES}roads: {{ balancer: port-forward }}\n{POLICIES}");
    std::fs::write(&profile, text).expect("written");
    let kubeconfig = standing.path("k.yaml");
    let run = |arguments: &[&str], input: &str| kubectl(&kubeconfig, arguments, input);
    let from = format!("--from-file=profile.yaml={}", profile.display());
    run(&["create", "configmap", "gauntlet-profile", &from], "").exits(0);
    run(&["apply", "-f", "-"], &job).exits(0);
    let wait = ["wait", "--for=condition=complete", "job/gauntlet", "--timeout=300s"];
    let waited = run(&wait, "");
    let log = run(&["logs", "job/gauntlet"], "");
    let told = run(
        &["describe", "job,pod", "--selector", "app.kubernetes.io/name=gauntlet"],
        "",
    );
    run(&["delete", "--ignore-not-found", "-f", "-"], &job).exits(0);
    run(&["delete", "configmap", "gauntlet-profile"], "").exits(0);
    assert_eq!(
        waited.code,
        Some(0),
        "{}{}{}{}",
        waited.stderr,
        log.stdout,
        log.stderr,
        told.stdout
    );
    assert!(log.stdout.contains(" 0 failed, 0 errors, "), "{}", log.stdout);
    assert!(log.stdout.contains("\nPASSED: "), "{}", log.stdout);
    assert!(
        log.stdout.contains(" PASS ") && log.stdout.contains("harness-token/token/accept[direct]"),
        "{}",
        log.stdout
    );
}
