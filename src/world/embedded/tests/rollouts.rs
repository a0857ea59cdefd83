use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::*;

fn restart(at: &str) -> Patch<Value> {
    Patch::Strategic(json!({ "spec": { "template": { "metadata": { "annotations": {
        "kubectl.kubernetes.io/restartedAt": at,
    } } } } }))
}

async fn pods_of(client: &Client, app: &str) -> Vec<Pod> {
    let params = ListParams::default().labels(&format!("app={app}"));
    let pods = Api::<Pod>::default_namespaced(client.clone())
        .list(&params)
        .await
        .unwrap();
    pods.items
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect()
}

#[tokio::test]
async fn a_restart_keeps_serving_and_reads_the_secret_anew() {
    let cluster = cluster().await;
    let client = cluster.client();
    let secrets = Api::<Secret>::default_namespaced(client.clone());
    create(
        &secrets,
        json!({ "metadata": { "name": "env" }, "stringData": { "TOKEN": "old" } }),
    )
    .await;
    let api = Api::<Deployment>::default_namespaced(client.clone());
    create(&api, deployment("web", &["serve"])).await;
    let web = rolled_out(&api, "web").await;
    let conditions = web.status.unwrap().conditions.unwrap();
    assert!(conditions.iter().all(|condition| condition.status == "True"));
    let [old] = pods_of(&client, "web").await.try_into().unwrap();
    let hash = &old.labels()["pod-template-hash"];
    assert!(old.name_any().starts_with(&format!("web-{hash}-")));
    assert_eq!(old.owner_references()[0].kind, "ReplicaSet");
    assert_eq!(ask(&ip(&old)).await, "old");

    let patch = Patch::Merge(json!({ "stringData": { "TOKEN": "new" } }));
    secrets.patch("env", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(ask(&ip(&old)).await, "old", "the environment is that of the start");
    let watch = api
        .watch(&WatchParams::default(), &web.metadata.resource_version.unwrap())
        .await
        .unwrap();
    api.patch("web", &PatchParams::default(), &restart("now"))
        .await
        .unwrap();
    let web = rolled_out(&api, "web").await;
    assert_eq!(web.annotations()["deployment.kubernetes.io/revision"], "2");
    let [new] = pods_of(&client, "web").await.try_into().unwrap();
    assert_ne!(new.name_any(), old.name_any());
    assert_eq!(ask(&ip(&new)).await, "new");
    // At no point of the rollout was nobody there.
    let last = web.metadata.resource_version;
    let mut watch = watch.boxed();
    loop {
        let event = tokio::time::timeout(LIMIT, watch.try_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let WatchEvent::Modified(web) = event else {
            continue;
        };
        assert!(web.status.unwrap().available_replicas >= Some(1));
        if web.metadata.resource_version == last {
            break;
        }
    }
    let sets = Api::<ReplicaSet>::default_namespaced(client.clone());
    assert_eq!(sets.list(&ListParams::default()).await.unwrap().items.len(), 2);
    cluster.stop().await;
}

#[tokio::test]
async fn a_restart_that_never_gets_ready_leaves_the_old_pod_serving() {
    let cluster = cluster().await;
    let client = cluster.client();
    let api = Api::<Deployment>::default_namespaced(client.clone());
    create(&api, deployment("web", &["serve"])).await;
    rolled_out(&api, "web").await;
    let [old] = pods_of(&client, "web").await.try_into().unwrap();
    let broken = Patch::Strategic(json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "main", "args": ["fail"] },
    ] } } } }));
    api.patch("web", &PatchParams::default(), &broken).await.unwrap();
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let name = loop {
        let all = pods_of(&client, "web").await;
        if let Some(new) = all.iter().find(|pod| pod.name_any() != old.name_any()) {
            break new.name_any();
        }
        tokio::task::yield_now().await;
    };
    let new = until(pods.clone(), &name, |pod| {
        let status = pod
            .and_then(|pod| pod.status.as_ref())
            .and_then(|s| s.container_statuses.as_ref());
        status.is_some_and(|all| all[0].restart_count >= 2)
    })
    .await
    .unwrap();
    assert!(!ready(&new));
    assert_eq!(ask(&ip(&old)).await, "none");
    let web = api.get_status("web").await.unwrap().status.unwrap();
    assert_eq!((web.available_replicas, web.updated_replicas), (Some(1), Some(1)));
    assert_eq!(web.unavailable_replicas, Some(1));
    // The old pod is replaced by one of its own template, should it go.
    pods.delete(&old.name_any(), &DeleteParams::default()).await.unwrap();
    until(pods.clone(), &old.name_any(), |pod| pod.is_none()).await;
    until(api.clone(), "web", |web| {
        web.and_then(|web| web.status.as_ref())
            .is_some_and(|status| status.available_replicas == Some(1))
    })
    .await;
    // What is repaired rolls out.
    let repaired = Patch::Strategic(json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "main", "args": ["serve"], "env": [{ "name": "X", "value": "1" }] },
    ] } } } }));
    api.patch("web", &PatchParams::default(), &repaired).await.unwrap();
    rolled_out(&api, "web").await;
    cluster.stop().await;
}

#[tokio::test]
async fn deployments_scale_replace_and_go() {
    let cluster = cluster().await;
    let client = cluster.client();
    let api = Api::<Deployment>::default_namespaced(client.clone());
    create(&api, deployment("web", &["serve"])).await;
    rolled_out(&api, "web").await;
    let scale = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
    let scaled = api.patch_scale("web", &PatchParams::default(), &scale).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(3));
    // What is no number of replicas is refused, with the field that is wrong, and changes nothing.
    for replicas in [json!(-1), json!("x"), json!(1.5)] {
        let scale = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let refused = api
            .patch_scale("web", &PatchParams::default(), &scale)
            .await
            .unwrap_err();
        let kube::Error::Api(status) = refused else {
            panic!("{refused}")
        };
        assert_eq!(status.code, 422, "{replicas}");
        let details = status.details.expect("details");
        assert_eq!((details.kind.as_str(), details.causes.len()), ("Deployment", 1));
        assert!(details.causes[0].field.contains("replicas"), "{:?}", details.causes);
    }
    let other = json!({ "metadata": { "name": "other" }, "spec": { "replicas": 7 } });
    let refused = api
        .replace_scale("web", &PostParams::default(), &from(other))
        .await
        .unwrap_err();
    assert_eq!(code(refused), (400, "BadRequest".into()));
    rolled_out(&api, "web").await;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let all = pods_of(&client, "web").await;
    assert_eq!(all.len(), 3);
    let lost = all[0].name_any();
    pods.delete(&lost, &DeleteParams::default()).await.unwrap();
    until(pods.clone(), &lost, |pod| pod.is_none()).await;
    rolled_out(&api, "web").await;
    assert_eq!(pods_of(&client, "web").await.len(), 3);
    let scale = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    api.patch("web", &PatchParams::default(), &scale).await.unwrap();
    rolled_out(&api, "web").await;
    let [last] = pods_of(&client, "web").await.try_into().unwrap();
    api.delete("web", &DeleteParams::default()).await.unwrap();
    until(pods.clone(), &last.name_any(), |pod| pod.is_none()).await;
    // A new one of the same name starts from nothing.
    create(&api, deployment("web", &["serve"])).await;
    rolled_out(&api, "web").await;
    cluster.stop().await;
}

#[tokio::test]
async fn recreate_never_has_two_pods_and_its_volume_stays() {
    let cluster = cluster().await;
    let client = cluster.client();
    let claims = Api::<PersistentVolumeClaim>::default_namespaced(client.clone());
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    create(&claims, json!({ "metadata": { "name": "auth" }, "spec": spec })).await;
    let api = Api::<Deployment>::default_namespaced(client.clone());
    let mut web = deployment("web", &["serve"]);
    web["spec"]["strategy"] = json!({ "type": "Recreate" });
    let spec = &mut web["spec"]["template"]["spec"];
    spec["volumes"] = json!([{ "name": "auth", "persistentVolumeClaim": { "claimName": "auth" } }]);
    spec["containers"][0]["volumeMounts"] = json!([{ "name": "auth", "mountPath": "/auth" }]);
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let version = pods
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version;
    let mut watch = pods
        .watch(&WatchParams::default(), &version.unwrap())
        .await
        .unwrap()
        .boxed();
    create(&api, web).await;
    rolled_out(&api, "web").await;
    for at in ["first", "second"] {
        api.patch("web", &PatchParams::default(), &restart(at)).await.unwrap();
        rolled_out(&api, "web").await;
    }
    // One change of mind in the middle of a rollout.
    for at in ["third", "fourth"] {
        api.patch("web", &PatchParams::default(), &restart(at)).await.unwrap();
    }
    rolled_out(&api, "web").await;
    let [last] = pods_of(&client, "web").await.try_into().unwrap();
    let last = last.name_any();
    let mut live = std::collections::BTreeSet::new();
    let mut made = 0;
    while !live.contains(&last) {
        match tokio::time::timeout(LIMIT, watch.try_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
        {
            WatchEvent::Added(pod) => {
                live.insert(pod.name_any());
                made += 1;
            }
            WatchEvent::Deleted(pod) => {
                live.remove(&pod.name_any());
            }
            _ => {}
        }
        assert!(live.len() <= 1, "{live:?}");
    }
    assert!(made >= 4, "{made}");
    cluster.stop().await;
}

#[tokio::test]
async fn recreate_ends_the_old_pod_first() {
    let cluster = cluster().await;
    let client = cluster.client();
    let api = Api::<Deployment>::default_namespaced(client.clone());
    let mut web = deployment("web", &["serve"]);
    web["spec"]["strategy"] = json!({ "type": "Recreate" });
    create(&api, web).await;
    rolled_out(&api, "web").await;
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let list = pods.list(&ListParams::default()).await.unwrap();
    let mut watch = pods
        .watch(&WatchParams::default(), &list.metadata.resource_version.unwrap())
        .await
        .unwrap()
        .boxed();
    api.patch("web", &PatchParams::default(), &restart("now"))
        .await
        .unwrap();
    let mut order = Vec::new();
    while order.len() < 2 {
        match tokio::time::timeout(LIMIT, watch.try_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
        {
            WatchEvent::Added(_) => order.push("added"),
            WatchEvent::Deleted(_) => order.push("deleted"),
            _ => {}
        }
    }
    assert_eq!(order, ["deleted", "added"]);
    rolled_out(&api, "web").await;
    cluster.stop().await;
}
