//! The worker: what it finds out that it didn't see, and what it tells.

use k8s_openapi::api::core::v1::Event;

use super::super::objects::Sandbox;
use super::*;

impl World {
    /// So many workers, and no more and no fewer.
    async fn workers(&self, count: usize) {
        let patch = Patch::Merge(json!({ "spec": { "replicas": count } }));
        self.api::<Deployment>()
            .patch("litellm-worker", &PatchParams::default(), &patch)
            .await
            .expect("patched");
        self.until("workers as asked for", async || {
            let workers = ListParams::default().labels("app=litellm-worker");
            let listed = self.api::<KubernetesPod>().list(&workers).await.expect("pods");
            (listed.items.len() == count).then_some(())
        })
        .await;
    }

    async fn sandbox_of(&self, session: &Value) -> String {
        let selector = format!("session={}", text(&session["id"]));
        self.until("the session's sandbox", async || {
            let labelled = ListParams::default().labels(&selector);
            let listed = self.api::<Sandbox>().list(&labelled).await.expect("sandboxes");
            Some(listed.items.first()?.name().to_owned())
        })
        .await
    }

    /// Its pod goes, and no other can be made.
    async fn ruin(&self, sandbox: &str) {
        let patch = Patch::Merge(json!({ "spec": { "podTemplate": { "spec": { "containers": [] } } } }));
        let sandboxes: Api<Sandbox> = self.api();
        sandboxes
            .patch(sandbox, &PatchParams::default(), &patch)
            .await
            .expect("patched");
        // Where there is none yet, there will be none.
        let _deleted = self
            .api::<KubernetesPod>()
            .delete(sandbox, &DeleteParams::default())
            .await;
        let failed = |sandbox: Option<&Sandbox>| sandbox.is_some_and(|sandbox| sandbox.failure().is_some());
        let waited = tokio::time::timeout(SOON, await_condition(sandboxes, sandbox, failed)).await;
        waited.expect("in time").expect("a watch");
    }
}

#[tokio::test]
async fn what_became_of_sessions_while_it_was_away_is_found_out() {
    let world = World::start(Setup {
        token: Some(OLD),
        ..Setup::default()
    })
    .await;
    let (lost, ruined, kept) = (world.session().await, world.session().await, world.session().await);
    world.workers(0).await;
    world.delete_sandbox(&world.sandbox_of(&lost).await).await;
    world.ruin(&world.sandbox_of(&ruined).await).await;
    let (late, hopeless) = (world.create_session().await, world.create_session().await);
    world.ruin(&world.sandbox_of(&hopeless).await).await;
    // Its pod is there, and nobody has seen that yet.
    let sandbox = world.sandbox_of(&late).await;
    world
        .until("the late session's pod", async || {
            let sandbox = world.api::<Sandbox>().get(&sandbox).await.expect("the sandbox");
            sandbox.pod_ip().map(drop)
        })
        .await;
    assert_eq!(refusal(world.attach(&late, Some(OLD)).await), 503);
    world.workers(1).await;
    let dead = world.session_with_status(&lost["id"], "dead").await;
    assert_eq!(dead["failure_reason"], "its sandbox is gone");
    for (session, status) in [(&ruined, "dead"), (&hopeless, "failed")] {
        let ended = world.session_with_status(&session["id"], status).await;
        let why = text(&ended["failure_reason"]);
        assert!(why.contains("containers"), "{why}");
    }
    world.session_with_status(&late["id"], "ready").await;
    world.session_with_status(&kept["id"], "ready").await;
    world.attach(&kept, Some(OLD)).await.expect("attached").works().await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn a_session_without_a_sandbox_yet_is_not_dead() {
    let world = World::start(Setup {
        token: Some(OLD),
        ..Setup::default()
    })
    .await;
    world.workers(0).await;
    let session = world.create_session().await;
    world.delete_sandbox(&world.sandbox_of(&session).await).await;
    world.workers(1).await;
    let other = world.session().await;
    let path = format!("/sessions/{}", text(&session["id"]));
    let (_, still) = world.call("GET", &path, Value::Null).await;
    assert_eq!(still["status"], "creating", "{still}");
    assert_ne!(other["id"], session["id"]);
    world.cluster.stop().await;
}

/// A restarted session's old sandbox may still be on its way out.
#[tokio::test]
async fn a_session_follows_its_own_sandbox_alone() {
    let world = World::start(Setup {
        token: Some(OLD),
        ..Setup::default()
    })
    .await;
    let session = world.session().await;
    let mut other = world
        .api::<Sandbox>()
        .get(&world.sandbox_of(&session).await)
        .await
        .expect("the sandbox");
    other.metadata = ObjectMeta {
        name: Some("other".into()),
        labels: other.metadata.labels,
        ..ObjectMeta::default()
    };
    other.status = None;
    other.spec.pod_template.spec.as_mut().expect("a pod").containers.clear();
    let sandboxes = world.api::<Sandbox>();
    sandboxes.create(&PostParams::default(), &other).await.expect("made");
    let failed = |sandbox: Option<&Sandbox>| sandbox.is_some_and(|sandbox| sandbox.failure().is_some());
    let waited = tokio::time::timeout(SOON, await_condition(sandboxes, "other", failed)).await;
    waited.expect("in time").expect("a watch");
    // What the worker is told later it does later.
    world.session().await;
    let path = format!("/sessions/{}", text(&session["id"]));
    let (_, still) = world.call("GET", &path, Value::Null).await;
    assert_eq!(still["status"], "ready", "{still}");
    world.cluster.stop().await;
}

/// As `kubectl describe` and `kubectl get events` show it.
#[tokio::test]
async fn an_event_says_what_it_is_about() {
    let world = World::start(Setup {
        token: Some(OLD),
        warm_pool: 1,
        ..Setup::default()
    })
    .await;
    let (name, _) = world.warm(1).await.remove(0);
    let sandbox = world.api::<Sandbox>().get(&name).await.expect("the sandbox");
    let event = world
        .until("the event", async || {
            let listed = world.api::<Event>().list(&ListParams::default()).await.expect("events");
            listed
                .items
                .into_iter()
                .find(|event| event.reason.as_deref() == Some("WarmSandboxMade"))
        })
        .await;
    let about = &event.involved_object;
    assert_eq!(about.kind.as_deref(), Some(Sandbox::KIND));
    assert_eq!(about.api_version.as_deref(), Some(Sandbox::API_VERSION));
    assert_eq!(about.name.as_deref(), Some(name.as_str()));
    assert_eq!(about.namespace.as_deref(), Some("default"));
    assert_eq!(about.uid, sandbox.metadata.uid);
    assert_eq!((event.type_.as_deref(), event.count), (Some("Normal"), Some(1)));
    assert!(event.first_timestamp.is_some() && event.first_timestamp == event.last_timestamp);
    let source = event.source.and_then(|source| source.component);
    assert_eq!(source.as_deref(), Some("litellm-worker"));
    world.cluster.stop().await;
}
