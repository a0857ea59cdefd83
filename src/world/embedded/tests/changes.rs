use super::*;

#[tokio::test]
async fn watches_tell_every_change_in_order() {
    let cluster = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(cluster.client());
    create(
        &api,
        json!({ "metadata": { "name": "before", "labels": { "a": "1" } } }),
    )
    .await;
    let list = api.list(&ListParams::default()).await.unwrap();
    let params = WatchParams::default().labels("a=1").timeout(20);
    let mut events = api
        .watch(&params, &list.metadata.resource_version.unwrap())
        .await
        .unwrap()
        .boxed();
    create(&api, json!({ "metadata": { "name": "unlabelled" } })).await;
    create(&api, json!({ "metadata": { "name": "new", "labels": { "a": "1" } } })).await;
    let patch = |value: Value| Patch::Merge(value);
    let params = PatchParams::default();
    api.patch("new", &params, &patch(json!({ "data": { "x": "1" } })))
        .await
        .unwrap();
    api.patch(
        "new",
        &params,
        &patch(json!({ "metadata": { "labels": { "a": "2" } } })),
    )
    .await
    .unwrap();
    api.delete("before", &DeleteParams::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let event = tokio::time::timeout(LIMIT, events.try_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        seen.push(match event {
            WatchEvent::Added(map) => format!("added {}", map.name_any()),
            WatchEvent::Modified(map) => format!("modified {}", map.name_any()),
            WatchEvent::Deleted(map) => format!("deleted {}", map.name_any()),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["added new", "modified new", "deleted new", "deleted before"]);
    cluster.stop().await;
}

#[tokio::test]
async fn streaming_lists_end_with_a_bookmark() {
    let cluster = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(cluster.client());
    create(&api, json!({ "metadata": { "name": "a" } })).await;
    let params = WatchParams::default().initial_events();
    let mut events = api.watch(&params, "0").await.unwrap().boxed();
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    let Some(WatchEvent::Bookmark(bookmark)) = events.try_next().await.unwrap() else {
        panic!("no bookmark");
    };
    assert_eq!(bookmark.metadata.annotations["k8s.io/initial-events-end"], "true");
    cluster.stop().await;
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner() {
    let cluster = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(cluster.client());
    let owned = |name: &str, owners: &[&ConfigMap]| {
        let owners: Vec<Value> = owners
            .iter()
            .map(|owner| json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid() }))
            .collect();
        json!({ "metadata": { "name": name, "ownerReferences": owners } })
    };
    let first = create(&api, json!({ "metadata": { "name": "first" } })).await;
    let second = create(&api, json!({ "metadata": { "name": "second" } })).await;
    let child = create(&api, owned("child", &[&first])).await;
    create(&api, owned("grandchild", &[&child])).await;
    create(&api, owned("shared", &[&first, &second])).await;
    api.delete("first", &DeleteParams::default()).await.unwrap();
    until(api.clone(), "grandchild", |map| map.is_none()).await;
    until(api.clone(), "child", |map| map.is_none()).await;
    until(api.clone(), "shared", |map| {
        map.is_some_and(|map| map.owner_references().len() == 1)
    })
    .await;
    // An owner that is gone already.
    create(&api, owned("late", &[&first])).await;
    until(api.clone(), "late", |map| map.is_none()).await;

    create(&api, owned("held", &[&second])).await;
    api.delete("second", &DeleteParams::foreground()).await.unwrap();
    until(api.clone(), "second", |map| map.is_none()).await;
    assert!(api.get_opt("held").await.unwrap().is_none());
    cluster.stop().await;
}

#[tokio::test]
async fn finalizers_hold_an_object_and_namespaces_take_their_content_along() {
    let cluster = cluster().await;
    let client = cluster.client();
    let namespaces = Api::<Namespace>::all(client.clone());
    create(&namespaces, json!({ "metadata": { "name": "other" } })).await;
    let api = Api::<ConfigMap>::namespaced(client.clone(), "other");
    create(
        &api,
        json!({ "metadata": { "name": "held", "finalizers": ["test/hold"] } }),
    )
    .await;
    let pods = Api::<Pod>::namespaced(client.clone(), "other");
    create(&pods, pod("inside", &["wait"])).await;
    running(&pods, "inside").await;
    namespaces.delete("other", &DeleteParams::default()).await.unwrap();
    until(pods.clone(), "inside", |pod| pod.is_none()).await;
    let held = until(api.clone(), "held", |map| {
        map.is_some_and(|map| map.metadata.deletion_timestamp.is_some())
    })
    .await;
    assert!(held.is_some());
    let error = api
        .create(&PostParams::default(), &from(json!({ "metadata": { "name": "x" } })))
        .await;
    assert_eq!(code(error.unwrap_err()), (403, "Forbidden".into()));
    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    api.patch("held", &PatchParams::default(), &free).await.unwrap();
    until(namespaces, "other", |namespace| namespace.is_none()).await;
    cluster.stop().await;
}
