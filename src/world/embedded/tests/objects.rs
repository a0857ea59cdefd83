use super::*;

fn secret(name: &str, token: &str) -> Value {
    json!({ "metadata": { "name": name, "labels": { "kind": "token" } }, "stringData": { "TOKEN": token } })
}

#[tokio::test]
async fn an_object_is_created_read_changed_and_deleted() {
    let cluster = cluster().await;
    let api = Api::<Secret>::default_namespaced(cluster.client());
    let made = create(&api, secret("env", "abc")).await;
    assert_eq!(made.data.as_ref().unwrap()["TOKEN"].0, b"abc");
    assert_eq!(made.string_data, None);
    assert_eq!(made.type_.as_deref(), Some("Opaque"));
    assert!(made.uid().is_some() && made.resource_version().is_some());
    assert!(made.creation_timestamp().is_some());

    let error = api
        .create(&PostParams::default(), &from(secret("env", "x")))
        .await
        .unwrap_err();
    assert_eq!(code(error), (409, "AlreadyExists".into()));
    assert_eq!(code(api.get("none").await.unwrap_err()), (404, "NotFound".into()));

    let mut stale = made.clone();
    let mut new = made.clone();
    new.string_data = Some(BTreeMap::from([("TOKEN".into(), "def".into())]));
    let new = api.replace("env", &PostParams::default(), &new).await.unwrap();
    assert_eq!(new.data.as_ref().unwrap()["TOKEN"].0, b"def");
    assert_ne!(new.resource_version(), made.resource_version());
    stale.labels_mut().insert("a".into(), "b".into());
    let error = api.replace("env", &PostParams::default(), &stale).await.unwrap_err();
    assert_eq!(code(error), (409, "Conflict".into()));

    let wrong = DeleteParams::default().preconditions(kube::api::Preconditions {
        uid: Some("other".into()),
        resource_version: None,
    });
    assert_eq!(
        code(api.delete("env", &wrong).await.unwrap_err()),
        (409, "Conflict".into())
    );
    assert!(api.delete("env", &DeleteParams::default()).await.unwrap().is_right());
    assert_eq!(code(api.get("env").await.unwrap_err()).0, 404);
    cluster.stop().await;
}

#[tokio::test]
async fn the_default_namespace_stays() {
    let cluster = cluster().await;
    let api = Api::<Namespace>::all(cluster.client());
    let refused = api.delete("default", &DeleteParams::default()).await.unwrap_err();
    assert_eq!(code(refused), (403, "Forbidden".into()));
    assert!(api.get("default").await.is_ok());
    cluster.stop().await;
}

#[tokio::test]
async fn what_is_invalid_is_refused() {
    let cluster = cluster().await;
    let client = cluster.client();
    let secrets = Api::<DynamicObject>::default_namespaced_with(client.clone(), &ApiResource::erase::<Secret>(&()));
    let refused = async |value: Value| code(secrets.create(&PostParams::default(), &from(value)).await.unwrap_err());
    let named = |name: &str| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name } });
    let mut bad = named("a");
    bad["data"] = json!({ "k": "***" });
    assert_eq!(refused(bad).await, (400, "BadRequest".into()));
    assert_eq!(refused(named("Not A Name")).await, (422, "Invalid".into()));
    let mut bad = named("a");
    bad["data"] = json!({ "a key": "" });
    assert_eq!(refused(bad).await, (422, "Invalid".into()));
    let mut other = named("a");
    other["kind"] = "ConfigMap".into();
    assert_eq!(refused(other).await, (400, "BadRequest".into()));

    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    let mut mismatched = deployment("web", &[]);
    mismatched["spec"]["selector"]["matchLabels"]["app"] = "other".into();
    let error = deployments
        .create(&PostParams::default(), &from(mismatched))
        .await
        .unwrap_err();
    assert_eq!(code(error), (422, "Invalid".into()));

    let elsewhere = Api::<ConfigMap>::namespaced(client.clone(), "nowhere");
    let map = json!({ "metadata": { "name": "a" } });
    let error = elsewhere.create(&PostParams::default(), &from(map)).await.unwrap_err();
    assert_eq!(code(error), (404, "NotFound".into()));

    let unknown = ApiResource::from_gvk(&GroupVersionKind::gvk("example.org", "v1", "Unicorn"));
    let unknown = Api::<DynamicObject>::default_namespaced_with(client, &unknown);
    assert_eq!(code(unknown.get("a").await.unwrap_err()), (404, "NotFound".into()));
    cluster.stop().await;
}

#[tokio::test]
async fn names_are_generated_and_versions_count_changes_only() {
    let cluster = cluster().await;
    let api = Api::<ConfigMap>::default_namespaced(cluster.client());
    let made = create(
        &api,
        json!({ "metadata": { "generateName": "map-" }, "data": { "a": "1" } }),
    )
    .await;
    assert!(made.name_any().starts_with("map-") && made.name_any().len() == 9);
    let patch = Patch::Merge(json!({ "data": { "a": "1" } }));
    let same = api
        .patch(&made.name_any(), &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(same.resource_version(), made.resource_version());
    cluster.stop().await;
}

#[tokio::test]
async fn patches_of_every_kind() {
    let cluster = cluster().await;
    let client = cluster.client();
    let api = Api::<Secret>::default_namespaced(client.clone());
    create(&api, json!({ "metadata": { "name": "env" }, "data": { "A": "MQ==" } })).await;
    let params = PatchParams::default();
    let json_patch = async |patch: Value| api.patch("env", &params, &Patch::<()>::Json(from(patch))).await;
    let added = json_patch(json!([{ "op": "add", "path": "/data/TOKEN", "value": "YWJj" }]))
        .await
        .unwrap();
    assert_eq!(added.data.unwrap()["TOKEN"].0, b"abc");
    let again = json_patch(json!([{ "op": "add", "path": "/data/TOKEN", "value": "ZGVm" }]))
        .await
        .unwrap();
    assert_eq!(again.data.unwrap()["TOKEN"].0, b"def");
    for bad in [
        json!([{ "op": "test", "path": "/data/TOKEN", "value": "no" }, { "op": "remove", "path": "/data/TOKEN" }]),
        json!([{ "op": "add", "path": "/nowhere/TOKEN", "value": "" }]),
        json!([{ "op": "remove", "path": "/data/NONE" }]),
        json!([{ "op": "add", "path": "/data/TOKEN", "value": "***" }]),
    ] {
        assert_eq!(code(json_patch(bad).await.unwrap_err()), (422, "Invalid".into()));
    }
    assert_eq!(api.get("env").await.unwrap().data.unwrap()["TOKEN"].0, b"def");

    let merge = Patch::Merge(json!({ "data": { "TOKEN": null }, "stringData": { "B": "2" } }));
    let data = api.patch("env", &params, &merge).await.unwrap().data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["A", "B"]);

    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    create(&deployments, deployment("web", &["wait"])).await;
    let patch = Patch::Strategic(json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "main", "env": [{ "name": "EXTRA", "value": "1" }] },
    ] } } } }));
    let web = deployments.patch("web", &params, &patch).await.unwrap();
    let container = &web.spec.unwrap().template.spec.unwrap().containers[0];
    assert_eq!(container.image.as_deref(), Some("test"));
    assert_eq!(container.env.as_ref().unwrap().len(), 2);
    assert_eq!(web.metadata.generation, Some(2));

    let sandboxes = ApiResource::from_gvk(&GroupVersionKind::gvk("agents.x-k8s.io", "v1alpha1", "Sandbox"));
    let sandboxes = ApiResource {
        plural: "sandboxes".into(),
        ..sandboxes
    };
    let sandboxes = Api::<DynamicObject>::default_namespaced_with(client.clone(), &sandboxes);
    let apply = Patch::Apply(json!({
        "apiVersion": "agents.x-k8s.io/v1alpha1", "kind": "Sandbox",
        "metadata": { "name": "one" }, "spec": { "podTemplate": {} },
    }));
    let applied = sandboxes
        .patch("one", &PatchParams::apply("test"), &apply)
        .await
        .unwrap();
    assert_eq!(applied.metadata.generation, Some(1));
    let strategic = Patch::Strategic(json!({ "spec": {} }));
    let error = sandboxes.patch("one", &params, &strategic).await.unwrap_err();
    assert_eq!(code(error), (415, "UnsupportedMediaType".into()));
    let status = Patch::Merge(json!({ "status": { "ready": true }, "spec": { "ignored": true } }));
    let patched = sandboxes.patch_status("one", &params, &status).await.unwrap();
    assert_eq!(patched.data["status"], json!({ "ready": true }));
    assert_eq!(patched.data["spec"], json!({ "podTemplate": {} }));
    let main = Patch::Merge(json!({ "status": { "ready": false } }));
    let patched = sandboxes.patch("one", &params, &main).await.unwrap();
    assert_eq!(patched.data["status"], json!({ "ready": true }));
    cluster.stop().await;
}

#[tokio::test]
async fn lists_are_selected() {
    let cluster = cluster().await;
    let client = cluster.client();
    let api = Api::<ConfigMap>::default_namespaced(client.clone());
    for (name, tier) in [("a", "front"), ("b", "back"), ("c", "back")] {
        create(
            &api,
            json!({ "metadata": { "name": name, "labels": { "tier": tier } } }),
        )
        .await;
    }
    let names = async |params: ListParams| {
        let list = api.list(&params).await.unwrap();
        list.items
            .iter()
            .map(ResourceExt::name_any)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let labels = |selector: &str| ListParams::default().labels(selector);
    assert_eq!(names(labels("tier=back")).await, "b c");
    assert_eq!(names(labels("tier in (front),tier!=back")).await, "a");
    assert_eq!(names(ListParams::default().fields("metadata.name=b")).await, "b");
    let error = api.list(&labels("tier in back")).await.unwrap_err();
    assert_eq!(code(error), (400, "BadRequest".into()));

    create(
        &Api::<Namespace>::all(client.clone()),
        json!({ "metadata": { "name": "other" } }),
    )
    .await;
    let other = Api::<ConfigMap>::namespaced(client.clone(), "other");
    create(&other, json!({ "metadata": { "name": "z" } })).await;
    assert_eq!(names(ListParams::default()).await, "a b c");
    assert_eq!(
        Api::<ConfigMap>::all(client)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        4
    );
    assert_eq!(api.list_metadata(&ListParams::default()).await.unwrap().items.len(), 3);

    let deleted = api
        .delete_collection(&DeleteParams::default(), &labels("tier=back"))
        .await
        .unwrap();
    assert_eq!(deleted.left().unwrap().items.len(), 2);
    assert_eq!(names(ListParams::default()).await, "a");
    cluster.stop().await;
}

#[tokio::test]
async fn without_the_token_nothing_is_served() {
    let cluster = cluster().await;
    let mut kubeconfig = cluster.kubeconfig();
    kubeconfig.auth_infos[0].auth_info.as_mut().unwrap().token = Some("wrong".to_string().into());
    let server = kubeconfig.clusters[0].cluster.as_ref().unwrap().server.clone().unwrap();
    let address: std::net::SocketAddr = server.strip_prefix("http://").unwrap().parse().unwrap();
    let client = super::super::client::Clients::new(address, "wrong").unwrap().default();
    let error = Api::<Secret>::default_namespaced(client)
        .list(&ListParams::default())
        .await
        .unwrap_err();
    assert_eq!(code(error), (401, "Unauthorized".into()));
    cluster.stop().await;
}
