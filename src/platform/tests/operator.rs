//! What operators do to the platform: seeding, rotating, restarting.

use super::*;

#[tokio::test]
async fn without_a_token_nobody_gets_in_until_it_is_seeded() {
    let world = World::start(Setup {
        warm_pool: 1,
        ..Setup::default()
    })
    .await;
    let stale = world.warm(1).await.remove(0);
    let claimed = world.session().await;
    assert!(claimed["tty_token"].is_null(), "{claimed}");
    for token in [None, Some(""), Some(NEW)] {
        assert_eq!(refusal(world.attach(&claimed, token).await), 401);
        assert_eq!(refusal(attach(stale.1, 4096, "/tty", token, None).await), 401);
    }
    let left = world.warm(1).await.remove(0);
    world.set_token(NEW).await;
    world.restart().await;
    // The old one is still there, and still knows no token.
    assert_eq!(world.warm(1).await[0], left);
    assert_eq!(refusal(attach(left.1, 4096, "/tty", Some(NEW), None).await), 401);
    let on_stale = world.session().await;
    assert!(on_stale["tty_token"].is_null());
    assert_eq!(refusal(world.attach(&on_stale, Some(NEW)).await), 401);
    let fresh = world.warm(1).await.remove(0);
    attach(fresh.1, 4096, "/tty", Some(NEW), None)
        .await
        .expect("attached")
        .works()
        .await;
    let session = world.session().await;
    assert_eq!(session["tty_token"], NEW);
    world.attach(&session, Some(NEW)).await.expect("attached").works().await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn a_rotation_shuts_old_sessions_until_they_are_restarted() {
    let world = World::start(Setup {
        token: Some(OLD),
        web_replicas: 2,
        ..Setup::default()
    })
    .await;
    let session = world.session().await;
    let mut open = world.attach(&session, Some(OLD)).await.expect("attached");
    open.works().await;
    world.set_token(NEW).await;
    world.restart().await;
    for token in [OLD, NEW] {
        assert_eq!(refusal(world.attach(&session, Some(token)).await), 401);
    }
    // The refusal of the pod itself, as far as it is for the client.
    let handshake = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let target = format!("{}?token={NEW}", text(&session["tty_url"]));
    let (_, headers, _) = request(world.web().await, 3000, "GET", &target, &handshake, &Value::Null).await;
    let has = |name: &str| headers.get(name).map(|value| value.to_str().expect("a text"));
    assert_eq!(has("content-type"), Some("application/json"));
    assert_eq!((has("connection"), has("keep-alive")), (Some("close"), None));
    let (_, shown) = world
        .call("GET", &format!("/sessions/{}", text(&session["id"])), Value::Null)
        .await;
    assert_eq!((&shown["status"], &shown["tty_token"]), (&json!("ready"), &json!(OLD)));
    assert_eq!(refusal(world.attach_directly(&session, Some(OLD)).await), 101);
    assert_eq!(refusal(world.attach_directly(&session, Some(NEW)).await), 401);
    // Policy rotation.open-terminals: kept.
    open.works().await;
    let new = world.session().await;
    assert_eq!(new["tty_token"], NEW);
    assert_eq!(refusal(world.attach(&new, Some(OLD)).await), 401);
    world.attach(&new, Some(NEW)).await.expect("attached").works().await;
    let (_, restarted) = world
        .call(
            "POST",
            &format!("/sessions/{}/restart", text(&session["id"])),
            Value::Null,
        )
        .await;
    assert_eq!(restarted["tty_token"], NEW);
    world
        .attach(&restarted, Some(NEW))
        .await
        .expect("attached")
        .works()
        .await;
    open.ends().await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn the_seed_fills_what_is_absent_and_nothing_else() {
    let world = World::start(Setup {
        no_secret: true,
        ..Setup::default()
    })
    .await;
    let secrets: Api<Secret> = world.api();
    let seed = async |name: &str| {
        let values = Values {
            seed: name.to_owned(),
            ..world.values.clone()
        };
        let objects = deploy::objects(deploy::SEED, &values).expect("the manifest");
        deploy::create(&world.client, "default", objects, |_| true)
            .await
            .expect("deployed");
    };
    let ended = async |name: &str| {
        let ended = |pod: Option<&KubernetesPod>| {
            let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        let pod = tokio::time::timeout(SOON, await_condition(world.api::<KubernetesPod>(), name, ended)).await;
        let pod = pod.expect("an end").expect("a watch").expect("a pod");
        assert_eq!(pod.status.and_then(|status| status.phase).as_deref(), Some("Succeeded"));
    };
    for name in ["seed-1", "seed-2", "seed-3"] {
        seed(name).await;
    }
    for name in ["seed-1", "seed-2", "seed-3"] {
        ended(name).await;
    }
    let first = secrets.get("litellm-env").await.expect("the secret");
    let token = first
        .data
        .as_ref()
        .and_then(|data| data.get("HARNESS_AUTH_TOKEN"))
        .expect("the key")
        .0
        .clone();
    assert!(token.len() == 64 && token.iter().all(u8::is_ascii_hexdigit));
    seed("seed-4").await;
    ended("seed-4").await;
    let again = secrets.get("litellm-env").await.expect("the secret");
    assert_eq!(
        (&again.data, &again.metadata.resource_version),
        (&first.data, &first.metadata.resource_version)
    );
    let patch = Patch::Merge(json!({ "data": { "HARNESS_AUTH_TOKEN": null, "OTHER": "eA==" } }));
    secrets
        .patch("litellm-env", &PatchParams::default(), &patch)
        .await
        .expect("patched");
    seed("seed-5").await;
    ended("seed-5").await;
    let filled = secrets
        .get("litellm-env")
        .await
        .expect("the secret")
        .data
        .unwrap_or_default();
    assert_eq!(filled["HARNESS_AUTH_TOKEN"].0.len(), 64);
    assert_eq!(
        (filled["OTHER"].0.as_slice(), &filled["MASTER_KEY"]),
        (&b"x"[..], &first.data.unwrap_or_default()["MASTER_KEY"])
    );
    // The platform was waiting for its secret.
    world.complete().await;
    world.cluster.stop().await;
}

#[tokio::test]
#[ignore = "measures the CPU time of the whole process: run it alone, in release"]
async fn a_fresh_world_is_cheap() {
    let setup = Setup {
        token: Some(OLD),
        ..Setup::default()
    };
    World::start(setup).await.cluster.stop().await;
    let before = cpu();
    let world = World::start(setup).await;
    let started = cpu();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = cpu() - started;
    world.cluster.stop().await;
    println!(
        "start {:?}, idle for 2 s {idle:?}, all {:?}",
        started - before,
        cpu() - before
    );
    assert!(cpu() - before < Duration::from_millis(20));
}

/// The CPU time of this process's threads.
fn cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
