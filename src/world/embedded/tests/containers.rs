use super::*;

#[tokio::test]
async fn a_container_waits_for_its_secret() {
    let cluster = cluster().await;
    let client = cluster.client();
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let mut waiting = pod("waits", &["serve"]);
    waiting["spec"]["containers"][0]["env"] = json!([
        { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "env", "key": "TOKEN" } } },
    ]);
    create(&pods, waiting).await;
    let reason = |pod: Option<&Pod>| {
        let statuses = pod?.status.as_ref()?.container_statuses.as_ref()?;
        statuses[0].state.as_ref()?.waiting.as_ref()?.reason.clone()
    };
    until(pods.clone(), "waits", move |pod| {
        reason(pod).as_deref() == Some("CreateContainerConfigError")
    })
    .await;
    let log = pods.logs("waits", &LogParams::default()).await.unwrap_err();
    assert_eq!(code(log).0, 400);
    let secrets = Api::<Secret>::default_namespaced(client.clone());
    create(&secrets, json!({ "metadata": { "name": "env" } })).await;
    let patch = Patch::Merge(json!({ "stringData": { "TOKEN": "there" } }));
    secrets.patch("env", &PatchParams::default(), &patch).await.unwrap();
    let up = running(&pods, "waits").await;
    assert_eq!(up.status.as_ref().unwrap().phase.as_deref(), Some("Running"));
    assert_eq!(wait_for_log(&pods, "waits", "token there").await, "token there");
    let events = Api::<Event>::default_namespaced(client.clone());
    let about = ListParams::default().fields("involvedObject.name=waits");
    let reasons: Vec<_> = events
        .list(&about)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|e| e.reason)
        .collect();
    for reason in ["Scheduled", "Failed", "Started"] {
        assert!(reasons.iter().any(|r| r == reason), "{reason} in {reasons:?}");
    }
    cluster.stop().await;
}

/// Follows a log until a line is there.
async fn wait_for_log(pods: &Api<Pod>, name: &str, wanted: &str) -> String {
    let params = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let mut lines = pods.log_stream(name, &params).await.unwrap().lines();
    let find = async {
        while let Some(line) = lines.try_next().await.unwrap() {
            if line == wanted {
                return line;
            }
        }
        panic!("the log ended without {wanted}");
    };
    tokio::time::timeout(LIMIT, find).await.unwrap()
}

#[tokio::test]
async fn the_environment_is_what_the_spec_says() {
    let cluster = cluster().await;
    let client = cluster.client();
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    create(
        &maps,
        json!({ "metadata": { "name": "map" }, "data": { "A": "1", "B": "2" } }),
    )
    .await;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let mut with_env = pod(
        "env",
        &[
            "log",
            "$(NAME)",
            "$(NAMESPACE)",
            "$(LABEL)",
            "$(IP)",
            "$(MAP)",
            "$(P_B)",
            "$(NONE)",
        ],
    );
    with_env["spec"]["restartPolicy"] = "Never".into();
    with_env["spec"]["containers"][0]["envFrom"] = json!([{ "prefix": "P_", "configMapRef": { "name": "map" } }]);
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    with_env["spec"]["containers"][0]["env"] = json!([
        field("NAME", "metadata.name"),
        field("NAMESPACE", "metadata.namespace"),
        field("LABEL", "metadata.labels['app']"),
        field("IP", "status.podIP"),
        { "name": "MAP", "valueFrom": { "configMapKeyRef": { "name": "map", "key": "A" } } },
        { "name": "NONE", "valueFrom": { "configMapKeyRef": { "name": "map", "key": "Z", "optional": true } } },
    ]);
    create(&pods, with_env).await;
    let done = until(pods.clone(), "env", conditions_phase("Succeeded")).await.unwrap();
    let log = pods.logs("env", &LogParams::default()).await.unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines, ["env", "default", "env", &ip(&done), "1", "2", "$(NONE)"]);
    cluster.stop().await;
}

fn conditions_phase(phase: &'static str) -> impl Fn(Option<&Pod>) -> bool {
    move |pod| {
        pod.and_then(|pod| pod.status.as_ref())
            .is_some_and(|status| status.phase.as_deref() == Some(phase))
    }
}

#[tokio::test]
async fn containers_end_and_start_again() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    for (name, args) in [("fails", "fail"), ("panics", "panic")] {
        let mut failing = pod(name, &[args]);
        failing["spec"]["restartPolicy"] = "Never".into();
        create(&pods, failing).await;
        let failed = until(pods.clone(), name, conditions_phase("Failed")).await.unwrap();
        let state = failed.status.unwrap().container_statuses.unwrap()[0]
            .state
            .clone()
            .unwrap();
        assert_eq!(state.terminated.unwrap().exit_code, 1);
    }
    assert_eq!(pods.logs("fails", &LogParams::default()).await.unwrap(), "it failed\n");
    assert_eq!(
        pods.logs("panics", &LogParams::default()).await.unwrap(),
        "panicked: it panicked\n"
    );

    create(&pods, pod("again", &["log", "x"])).await;
    let again = until(pods.clone(), "again", |pod| {
        let statuses = pod
            .and_then(|pod| pod.status.as_ref())
            .and_then(|s| s.container_statuses.as_ref());
        statuses.is_some_and(|all| all[0].restart_count >= 1 && all[0].state.as_ref().unwrap().waiting.is_some())
    })
    .await
    .unwrap();
    let status = &again.status.unwrap().container_statuses.unwrap()[0];
    assert_eq!(
        status
            .last_state
            .as_ref()
            .unwrap()
            .terminated
            .as_ref()
            .unwrap()
            .exit_code,
        0
    );
    assert_eq!(
        status
            .state
            .as_ref()
            .unwrap()
            .waiting
            .as_ref()
            .unwrap()
            .reason
            .as_deref(),
        Some("CrashLoopBackOff")
    );
    let previous = LogParams {
        previous: true,
        ..LogParams::default()
    };
    assert_eq!(pods.logs("again", &previous).await.unwrap(), "x\n");
    cluster.stop().await;
}

#[tokio::test]
async fn containers_of_a_pod_share_its_address_and_init_containers_come_first() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    let container = |name: &str, args: &[&str]| json!({ "name": name, "image": "test", "args": args });
    let both = json!({
        "metadata": { "name": "both" },
        "spec": {
            "initContainers": [container("first", &["log", "1"]), container("second", &["log", "2"])],
            "containers": [container("door", &["serve"]), container("side", &["wait"])],
        },
    });
    create(&pods, both).await;
    let up = running(&pods, "both").await;
    assert_eq!(ask(&ip(&up)).await, "none");
    let status = up.status.unwrap();
    assert_eq!(status.init_container_statuses.unwrap().len(), 2);
    assert_eq!(status.container_statuses.unwrap().len(), 2);
    assert_eq!(code(pods.logs("both", &LogParams::default()).await.unwrap_err()).0, 400);
    let first = LogParams {
        container: Some("first".into()),
        ..LogParams::default()
    };
    assert_eq!(pods.logs("both", &first).await.unwrap(), "1\n");
    cluster.stop().await;
}

#[tokio::test]
async fn deleted_pods_get_their_grace_and_no_more() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    create(&pods, pod("polite", &["wait"])).await;
    running(&pods, "polite").await;
    let params = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let log = pods.log_stream("polite", &params).await.unwrap();
    let deleted = pods
        .delete("polite", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(deleted.metadata.deletion_grace_period_seconds, Some(30));
    until(pods.clone(), "polite", |pod| pod.is_none()).await;
    let lines: Vec<String> = log.lines().try_collect().await.unwrap();
    assert_eq!(lines, ["stopped"]);

    create(&pods, pod("stubborn", &["stubborn"])).await;
    running(&pods, "stubborn").await;
    pods.delete("stubborn", &DeleteParams::default().grace_period(1))
        .await
        .unwrap();
    assert!(
        pods.get("stubborn")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    until(pods.clone(), "stubborn", |pod| pod.is_none()).await;

    create(&pods, pod("forced", &["stubborn"])).await;
    let uid = running(&pods, "forced").await.uid().unwrap();
    pods.delete("forced", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    until(pods.clone(), "forced", move |pod: Option<&Pod>| {
        pod.is_none_or(|pod| pod.uid().as_deref() != Some(&uid))
    })
    .await;
    cluster.stop().await;
}

#[tokio::test]
async fn readiness_follows_the_probe() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    let probed = |name: &str, args: &[&str], probe: Value| {
        let mut pod = pod(name, args);
        pod["spec"]["containers"][0]["readinessProbe"] = probe;
        pod["spec"]["containers"][0]["ports"] = json!([{ "name": "http", "containerPort": 8080 }]);
        pod
    };
    create(
        &pods,
        probed(
            "http",
            &["serve"],
            json!({ "httpGet": { "path": "/", "port": "http" } }),
        ),
    )
    .await;
    create(
        &pods,
        probed("tcp", &["serve"], json!({ "tcpSocket": { "port": 8080 } })),
    )
    .await;
    create(
        &pods,
        probed("never", &["wait"], json!({ "tcpSocket": { "port": 8080 } })),
    )
    .await;
    running(&pods, "http").await;
    running(&pods, "tcp").await;
    let events = Api::<Event>::default_namespaced(cluster.client());
    let params = WatchParams::default().fields("involvedObject.name=never,reason=Unhealthy");
    let mut unhealthy = events.watch(&params, "0").await.unwrap().boxed();
    let event = tokio::time::timeout(LIMIT, unhealthy.try_next())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(event, Some(WatchEvent::Added(_))));
    let never = pods.get("never").await.unwrap();
    assert!(!ready(&never));
    assert_eq!(never.status.unwrap().phase.as_deref(), Some("Running"));
    cluster.stop().await;
}

#[tokio::test]
async fn logs_have_times_and_tails() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    let mut three = pod("three", &["log", "a", "b", "c"]);
    three["spec"]["restartPolicy"] = "Never".into();
    create(&pods, three).await;
    until(pods.clone(), "three", conditions_phase("Succeeded")).await;
    let logs = async |params: LogParams| pods.logs("three", &params).await.unwrap();
    assert_eq!(
        logs(LogParams {
            tail_lines: Some(2),
            ..LogParams::default()
        })
        .await,
        "b\nc\n"
    );
    assert_eq!(
        logs(LogParams {
            since_seconds: Some(60),
            ..LogParams::default()
        })
        .await,
        "a\nb\nc\n"
    );
    assert_eq!(
        logs(LogParams {
            limit_bytes: Some(3),
            ..LogParams::default()
        })
        .await,
        "a\nb"
    );
    let timed = logs(LogParams {
        timestamps: true,
        ..LogParams::default()
    })
    .await;
    let (time, text) = timed.lines().next().unwrap().split_once(' ').unwrap();
    assert_eq!(text, "a");
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    cluster.stop().await;
}
