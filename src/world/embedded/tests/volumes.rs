use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::*;

/// A pod whose containers share the volume `data` at /data: one writes a file there, one waits.
fn two(name: &str, volume: Value) -> Value {
    let mounts = json!([{ "name": "data", "mountPath": "/data" }]);
    let env = json!([{ "name": "DIR", "value": "/data" }]);
    json!({
        "metadata": { "name": name },
        "spec": {
            "volumes": [volume],
            "containers": [
                { "name": "writer", "image": "test", "args": ["write", "by-component", "hello"], "volumeMounts": mounts },
                { "name": "reader", "image": "test", "args": ["wait"], "volumeMounts": mounts, "env": env },
            ],
        },
    })
}

fn empty_dir() -> Value {
    json!({ "name": "data", "emptyDir": {} })
}

fn of_claim(claim: &str) -> Value {
    json!({ "name": "data", "persistentVolumeClaim": { "claimName": claim } })
}

fn claim(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    })
}

/// What a command in a container prints.
async fn said(pods: &Api<Pod>, pod: &str, container: &str, command: &[&str]) -> String {
    let params = AttachParams::default().container(container).stderr(false);
    let mut process = pods.exec(pod, command.iter().copied(), &params).await.unwrap();
    let mut text = String::new();
    let mut stdout = process.stdout().unwrap();
    tokio::time::timeout(LIMIT, stdout.read_to_string(&mut text))
        .await
        .unwrap_or_else(|_| panic!("{command:?} in {pod} never ended"))
        .unwrap();
    text
}

async fn sh(pods: &Api<Pod>, pod: &str, container: &str, script: &str) -> String {
    said(pods, pod, container, &["sh", "-c", script]).await
}

/// The real folder of a pod of two.
async fn folder(pods: &Api<Pod>, pod: &str) -> PathBuf {
    sh(pods, pod, "reader", "printf %s \"$DIR\"").await.into()
}

/// Waits until a file or folder isn't there any more.
async fn gone(path: &Path) {
    let gone = async {
        while path.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone)
        .await
        .unwrap_or_else(|_| panic!("{} stays", path.display()));
}

/// The message of a pod's first Event for a reason.
async fn event(client: &Client, pod: &str, reason: &str) -> String {
    let events = Api::<Event>::default_namespaced(client.clone());
    let params = WatchParams::default().fields(&format!("involvedObject.name={pod},reason={reason}"));
    let mut found = events.watch(&params, "0").await.unwrap().boxed();
    match tokio::time::timeout(LIMIT, found.try_next()).await.unwrap().unwrap() {
        Some(WatchEvent::Added(event)) => event.message.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn waits_for(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    status.state.as_ref()?.waiting.as_ref()?.reason.clone()
}

#[tokio::test]
async fn containers_share_an_empty_dir_that_goes_with_the_pod() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    create(&pods, two("both", empty_dir())).await;
    running(&pods, "both").await;
    let script = "until [ -s /data/by-component ]; do :; done; cat /data/by-component; echo ' back' > \"$DIR/answer\"";
    assert_eq!(sh(&pods, "both", "reader", script).await, "hello");
    assert_eq!(said(&pods, "both", "writer", &["cat", "/data/answer"]).await, " back\n");
    let own = folder(&pods, "both").await;
    assert!(own.is_dir());
    let root = own.ancestors().nth(3).unwrap();
    assert_eq!(std::fs::metadata(root).unwrap().permissions().mode() & 0o777, 0o700);

    create(&pods, two("other", empty_dir())).await;
    running(&pods, "other").await;
    assert_ne!(folder(&pods, "other").await, own, "each pod has its own");
    pods.delete("both", &DeleteParams::default()).await.unwrap();
    until(pods.clone(), "both", |pod| pod.is_none()).await;
    assert!(!own.exists() && root.exists());
    cluster.stop().await;
    assert!(!root.exists());
}

#[tokio::test]
async fn volumes_go_with_a_cluster_that_is_dropped() {
    let cluster = cluster().await;
    let client = cluster.client();
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let claims = Api::<PersistentVolumeClaim>::default_namespaced(client);
    create(&claims, claim("kept")).await;
    create(&pods, two("both", of_claim("kept"))).await;
    running(&pods, "both").await;
    let own = folder(&pods, "both").await;
    let root = own.ancestors().nth(2).unwrap();
    assert!(root.is_dir());
    let tracker = cluster.tasks.tracker.clone();
    drop(cluster);
    tokio::time::timeout(LIMIT, tracker.wait()).await.unwrap();
    assert!(!root.exists());
}

#[tokio::test]
async fn a_claim_outlives_its_pods_and_is_held_by_them() {
    let cluster = cluster().await;
    let client = cluster.client();
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let claims = Api::<PersistentVolumeClaim>::default_namespaced(client.clone());
    create(&pods, two("first", of_claim("auth"))).await;
    let message = event(&client, "first", "FailedMount").await;
    assert_eq!(
        message,
        "MountVolume.SetUp failed for volume \"data\" : persistentvolumeclaim \"auth\" not found"
    );
    let pod = pods.get("first").await.unwrap();
    assert_eq!(waits_for(&pod).as_deref(), Some("ContainerCreating"));

    let made = create(&claims, claim("auth")).await;
    let status = made.status.as_ref().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Bound"));
    assert_eq!(status.access_modes.as_deref().unwrap(), ["ReadWriteOnce"]);
    assert_eq!(made.finalizers(), ["kubernetes.io/pvc-protection"]);
    let other_mode = Patch::Merge(json!({ "spec": { "accessModes": ["ReadWriteMany"] } }));
    let refused = claims.patch("auth", &PatchParams::default(), &other_mode).await;
    assert_eq!(code(refused.unwrap_err()), (422, "Invalid".into()));
    let larger = Patch::Merge(json!({ "spec": { "resources": { "requests": { "storage": "2Gi" } } } }));
    claims.patch("auth", &PatchParams::default(), &larger).await.unwrap();

    running(&pods, "first").await;
    sh(&pods, "first", "reader", "echo kept > /data/login").await;
    let own = folder(&pods, "first").await;
    pods.delete("first", &DeleteParams::default()).await.unwrap();
    until(pods.clone(), "first", |pod| pod.is_none()).await;
    create(&pods, two("second", of_claim("auth"))).await;
    running(&pods, "second").await;
    assert_eq!(sh(&pods, "second", "reader", "cat /data/login").await, "kept\n");
    assert_eq!(folder(&pods, "second").await, own);

    // Deletion waits for the pod that has it, and nobody else gets it.
    let deleted = claims.delete("auth", &DeleteParams::default()).await.unwrap();
    assert!(deleted.left().unwrap().metadata.deletion_timestamp.is_some());
    create(&pods, two("late", of_claim("auth"))).await;
    let message = event(&client, "late", "FailedMount").await;
    assert!(
        message.ends_with("persistentvolumeclaim \"auth\" is being deleted"),
        "{message}"
    );
    assert_eq!(sh(&pods, "second", "reader", "cat /data/login").await, "kept\n");
    assert!(claims.get("auth").await.is_ok());
    pods.delete("second", &DeleteParams::default()).await.unwrap();
    until(claims.clone(), "auth", |claim| claim.is_none()).await;
    gone(&own).await;

    // One of the same name is another one.
    create(&claims, claim("auth")).await;
    running(&pods, "late").await;
    assert_eq!(
        sh(
            &pods,
            "late",
            "reader",
            "until [ -s /data/by-component ]; do :; done; ls /data"
        )
        .await,
        "by-component\n"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_claim_that_nobody_uses_goes_at_once() {
    let cluster = cluster().await;
    let claims = Api::<PersistentVolumeClaim>::default_namespaced(cluster.client());
    create(&claims, claim("unused")).await;
    claims.delete("unused", &DeleteParams::default()).await.unwrap();
    until(claims.clone(), "unused", |claim| claim.is_none()).await;
    for (field, value) in [("accessModes", json!([])), ("resources", json!({}))] {
        let mut bad = claim("bad");
        bad["spec"][field] = value;
        let refused = claims.create(&PostParams::default(), &from(bad)).await.unwrap_err();
        assert_eq!(code(refused), (422, "Invalid".into()), "{field}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_waits_for_its_config_and_never_starts_with_what_there_is_not() {
    let cluster = cluster().await;
    let client = cluster.client();
    let pods = Api::<Pod>::default_namespaced(client.clone());
    for (name, volume, why) in [
        (
            "map",
            json!({ "name": "data", "configMap": { "name": "config" } }),
            "configmap \"config\" not found",
        ),
        (
            "key",
            json!({ "name": "data", "secret": { "secretName": "token", "items": [{ "key": "a", "path": "a" }] } }),
            "secret \"token\" not found",
        ),
        (
            "host",
            json!({ "name": "data", "hostPath": { "path": "/" } }),
            "the embedded cluster has no volumes of type hostPath, only emptyDir, persistentVolumeClaim, configMap and secret",
        ),
    ] {
        create(&pods, two(name, volume)).await;
        let message = event(&client, name, "FailedMount").await;
        assert_eq!(message, format!("MountVolume.SetUp failed for volume \"data\" : {why}"));
        assert_eq!(
            waits_for(&pods.get(name).await.unwrap()).as_deref(),
            Some("ContainerCreating"),
            "{name}"
        );
    }
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    create(&maps, json!({ "metadata": { "name": "config" }, "data": { "x": "1" } })).await;
    running(&pods, "map").await;
    let secrets = Api::<Secret>::default_namespaced(client.clone());
    create(&secrets, json!({ "metadata": { "name": "token" } })).await;
    let patch = Patch::Merge(json!({ "stringData": { "a": "there" } }));
    secrets.patch("token", &PatchParams::default(), &patch).await.unwrap();
    running(&pods, "key").await;
    assert_eq!(said(&pods, "key", "reader", &["cat", "/data/a"]).await, "there");
    let host = pods.get("host").await.unwrap();
    assert_eq!(host.status.as_ref().unwrap().phase.as_deref(), Some("Pending"));
    pods.delete("host", &DeleteParams::default()).await.unwrap();
    until(pods.clone(), "host", |pod| pod.is_none()).await;
    cluster.stop().await;
}

#[tokio::test]
async fn config_becomes_files_that_can_be_run_and_are_renewed() {
    let cluster = cluster().await;
    let client = cluster.client();
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    let script = "#!/bin/sh\nprintf '%s %s' \"$1\" \"$DIR\"\n";
    create(
        &maps,
        json!({ "metadata": { "name": "scripts" }, "data": { "login.sh": script, "level": "old" } }),
    )
    .await;
    let secrets = Api::<Secret>::default_namespaced(client.clone());
    create(
        &secrets,
        json!({ "metadata": { "name": "token" }, "stringData": { "a": "one", "b": "two" } }),
    )
    .await;
    let mut pod = two("both", empty_dir());
    pod["spec"]["volumes"] = json!([
        { "name": "data", "emptyDir": {} },
        { "name": "scripts", "configMap": { "name": "scripts", "defaultMode": 0o755 } },
        { "name": "token", "secret": { "secretName": "token", "items": [{ "key": "a", "path": "deep/token", "mode": 0o400 }] } },
        { "name": "none", "configMap": { "name": "none", "optional": true } },
    ]);
    pod["spec"]["containers"][1]["volumeMounts"] = json!([
        { "name": "data", "mountPath": "/data" },
        { "name": "scripts", "mountPath": "/scripts", "readOnly": true },
        { "name": "scripts", "mountPath": "/etc/level", "subPath": "level" },
        { "name": "token", "mountPath": "/token" },
        { "name": "none", "mountPath": "/none" },
    ]);
    let pods = Api::<Pod>::default_namespaced(client.clone());
    create(&pods, pod).await;
    running(&pods, "both").await;
    let own = folder(&pods, "both").await;
    let login = said(&pods, "both", "reader", &["/scripts/login.sh", "3"]).await;
    assert_eq!(login, format!("3 {}", own.display()));
    let script = "cat /token/deep/token /etc/level; stat -Lc ' %a' /token/deep/token; ls /token /none";
    assert_eq!(sh(&pods, "both", "reader", script).await.trim_end(), {
        let none = own.with_file_name("none");
        let token = own.with_file_name("token");
        format!("oneold 400\n{}:\n\n{}:\ndeep", none.display(), token.display())
    });

    let patch = Patch::Merge(json!({ "data": { "level": "new", "login.sh": null } }));
    maps.patch("scripts", &PatchParams::default(), &patch).await.unwrap();
    let script = "until [ \"$(cat /scripts/level)\" = new ]; do :; done; while [ -L /scripts/login.sh ]; do :; done; ls /scripts";
    assert_eq!(sh(&pods, "both", "reader", script).await, "level\n");
    // What is gone leaves its files, and what is back writes them anew.
    maps.delete("scripts", &DeleteParams::default()).await.unwrap();
    create(
        &maps,
        json!({ "metadata": { "name": "scripts" }, "data": { "level": "back" } }),
    )
    .await;
    let script = "until [ \"$(cat /scripts/level)\" = back ]; do :; done; echo yes";
    assert_eq!(sh(&pods, "both", "reader", script).await, "yes\n");
    cluster.stop().await;
}

#[tokio::test]
async fn sub_paths_the_home_and_the_working_directory_lead_into_volumes() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    let mut pod = two("both", empty_dir());
    let reader = &mut pod["spec"]["containers"][1];
    reader["workingDir"] = "/data/place".into();
    reader["volumeMounts"] = json!([
        { "name": "data", "mountPath": "/data" },
        { "name": "data", "mountPath": "/data/place", "subPath": "elsewhere" },
        { "name": "data", "mountPath": "/root", "subPath": "people/root" },
    ]);
    create(&pods, pod).await;
    running(&pods, "both").await;
    let script = "echo home > ~/file; cp ~/file here; cat /data/people/root/file /data/elsewhere/here /data/place/here";
    assert_eq!(sh(&pods, "both", "reader", script).await, "home\nhome\nhome\n");
    // What only starts or ends with a mount path is a path of the machine.
    let script = "echo /dataX /mnt/data $HOSTNAME/data";
    assert_eq!(
        sh(&pods, "both", "reader", script).await,
        "/dataX /mnt/data both/data\n"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_container_starts_again_alone_and_finds_what_it_wrote() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    let mut pod = two("both", empty_dir());
    pod["spec"]["containers"][0]["args"] = json!(["fail-once"]);
    create(&pods, pod).await;
    let both = until(pods.clone(), "both", |pod| {
        let pod = pod.filter(|pod| ready(pod));
        let statuses = pod.and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref());
        statuses.is_some_and(|all| all[0].restart_count == 1)
    })
    .await
    .unwrap();
    let statuses = both.status.unwrap().container_statuses.unwrap();
    assert_eq!((statuses[0].restart_count, statuses[1].restart_count), (1, 0));
    assert_eq!(said(&pods, "both", "reader", &["cat", "/data/marker"]).await, "failed");
    let log = async |container: &str, previous: bool| {
        let params = LogParams {
            container: Some(container.into()),
            previous,
            ..LogParams::default()
        };
        pods.logs("both", &params).await
    };
    assert_eq!(log("writer", true).await.unwrap(), "it failed once\n");
    assert_eq!(code(log("reader", true).await.unwrap_err()).0, 400);
    cluster.stop().await;
}

#[tokio::test]
async fn volumes_that_make_no_sense_are_refused() {
    let cluster = cluster().await;
    let pods = Api::<DynamicObject>::default_namespaced_with(cluster.client(), &ApiResource::erase::<Pod>(&()));
    let map = |source: Value| json!([{ "name": "data", "configMap": source }]);
    let mount = |field: &str, value: &str| {
        let mut mount = json!({ "name": "data", "mountPath": "/data" });
        mount[field] = value.into();
        json!([mount])
    };
    for (at, value, field) in [
        (
            "/spec/volumes",
            json!([{ "name": "", "emptyDir": {} }]),
            "spec.volumes[0].name",
        ),
        (
            "/spec/volumes",
            json!([{ "name": "data" }, { "name": "data" }]),
            "spec.volumes[1].name",
        ),
        ("/spec/volumes", json!([]), "spec.containers[0].volumeMounts[0].name"),
        (
            "/spec/volumes",
            map(json!({ "defaultMode": 755 })),
            "spec.volumes[0].configMap.defaultMode",
        ),
        (
            "/spec/volumes",
            map(json!({ "items": [{ "key": "a", "path": "../a" }] })),
            "spec.volumes[0].configMap.items[0].path",
        ),
        (
            "/spec/containers/1/volumeMounts",
            mount("mountPath", "/"),
            "spec.containers[1].volumeMounts[0].mountPath",
        ),
        (
            "/spec/containers/1/volumeMounts",
            mount("subPath", "a/../../b"),
            "spec.containers[1].volumeMounts[0].subPath",
        ),
    ] {
        let mut bad = two("bad", empty_dir());
        bad["apiVersion"] = "v1".into();
        bad["kind"] = "Pod".into();
        *bad.pointer_mut(at).unwrap() = value;
        let refused = pods.create(&PostParams::default(), &from(bad)).await.unwrap_err();
        let kube::Error::Api(status) = refused else {
            panic!("{refused}")
        };
        assert_eq!(status.code, 422, "{field}");
        assert_eq!(status.details.expect("details").causes[0].field, field);
    }
    cluster.stop().await;
}
