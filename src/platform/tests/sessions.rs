//! The session API, the warm pool, and what becomes of sessions.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::objects::Sandbox;
use super::*;

#[tokio::test]
async fn the_session_api_is_as_the_contract_says() {
    let world = World::start(Setup {
        token: Some(OLD),
        ..Setup::default()
    })
    .await;
    let web = world.web().await;
    for key in ["", "Bearer wrong", "Bearer ", KEY] {
        let headers = if key.is_empty() {
            vec![]
        } else {
            vec![("authorization", key)]
        };
        let (status, _, body) = request(web, 3000, "GET", &format!("{API}/agents"), &headers, &Value::Null).await;
        assert_eq!(
            (status, body),
            (StatusCode::UNAUTHORIZED, json!({ "error": "unauthorized" }))
        );
    }
    let (status, _, _) = request(web, 3000, "GET", "/healthz", &[], &Value::Null).await;
    assert_eq!(status, 200);
    let authorization = [("authorization", "Bearer master-key")];
    let (status, headers, health) = request(web, 3000, "GET", "/api/v1/health/k8s", &authorization, &Value::Null).await;
    assert_eq!((status, &health["ok"]), (StatusCode::OK, &json!(true)));
    assert_eq!(headers["cache-control"], "no-store");
    assert!(health["elapsed_ms"].is_u64());

    let (status, body) = world.call("POST", "/agents", json!({ "name": "x" })).await;
    assert_eq!((status, body["error"].is_string()), (StatusCode::BAD_REQUEST, true));
    let agent = json!({ "model": "m", "name": "n", "harness_id": "h" });
    let (_, agent) = world.call("POST", "/agents", agent).await;
    let (_, agents) = world.call("GET", "/agents?limit=5", Value::Null).await;
    assert_eq!(agents, json!({ "data": [agent], "total": 1, "limit": 5, "offset": 0 }));
    assert_eq!(
        (&agent["name"], &agent["model"], &agent["harness_id"]),
        (&json!("n"), &json!("m"), &json!("h"))
    );
    for (method, path, wanted) in [
        ("POST", "/agents/nobody/session", 404),
        ("GET", "/sessions/nobody", 404),
        ("POST", "/sessions/nobody/restart", 404),
        ("DELETE", "/sessions/no%2fbody", 404),
        ("DELETE", "/agents", 405),
        ("GET", "/nothing", 404),
    ] {
        let (status, body) = world.call(method, path, Value::Null).await;
        assert_eq!(
            (status.as_u16(), body["error"].is_string()),
            (wanted, true),
            "{method} {path}"
        );
    }
    let (status, body) = world
        .call("POST", "/agents", json!({ "name": "x".repeat(64 << 10) }))
        .await;
    assert_eq!((status.as_u16(), &body), (413, &json!({ "error": "body too large" })));
    let chunked = "Authorization: Bearer master-key\r\nTransfer-Encoding: chunked";
    let broken = format!("POST {API}/agents HTTP/1.1\r\nHost: x\r\n{chunked}\r\n\r\nno length\r\n");
    let mut stream = TcpStream::connect((web, 3000)).await.expect("connected");
    stream.write_all(broken.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 400");
    let path = format!("/agents/{}/session", text(&agent["id"]));
    for variables in [
        json!({ "HARNESS_AUTH_TOKEN": "mine" }),
        json!({ "": "x" }),
        json!({ "A=B": "x" }),
        json!({ "GRÖSSE": "x" }),
        json!({ "A\tB": "x" }),
        json!({ "A": "x\0y" }),
    ] {
        let (status, _) = world.call("POST", &path, json!({ "env_vars": variables })).await;
        assert_eq!(status, 400, "{variables}");
    }

    let (_, made) = world
        .call(
            "POST",
            &path,
            json!({ "env_vars": { "COLOUR": "blue", "PRICE": "5$$ $(COLOUR)" } }),
        )
        .await;
    assert_eq!(
        (&made["status"], &made["tty_url"], &made["tty_token"]),
        (&json!("creating"), &Value::Null, &json!(OLD))
    );
    let session = world.session_with_status(&made["id"], "ready").await;
    assert_eq!(session["tty_url"], format!("{API}/sessions/{}/tty", text(&made["id"])));
    assert_eq!(
        (&session["agent_id"], &session["phase"]),
        (&agent["id"], &json!("Running"))
    );
    assert!(
        session["created_at"].is_string() && session["last_seen_at"].is_string() && session["failure_reason"].is_null()
    );
    let mut terminal = world.attach(&session, Some(OLD)).await.expect("attached");
    terminal.types("echo $COLOUR-$HARNESS_AUTH_TOKEN\r").await;
    terminal.sees(&format!("blue-{OLD}")).await;
    terminal.types("echo \"<$PRICE>\"\r").await;
    terminal.sees("<5$$ $(COLOUR)>").await;
    let (_, sessions) = world
        .call(
            "GET",
            &format!("/sessions?agent_id={}", text(&agent["id"])),
            Value::Null,
        )
        .await;
    assert_eq!(sessions, json!([session]));
    let (_, none) = world.call("GET", "/sessions?agent_id=other", Value::Null).await;
    assert_eq!(none, json!([]));

    let restart = format!("/sessions/{}/restart", text(&session["id"]));
    let (status, restarted) = world.call("POST", &restart, Value::Null).await;
    assert_eq!((status, &restarted["status"]), (StatusCode::OK, &json!("ready")));
    assert_ne!(restarted["sandbox_url"], session["sandbox_url"]);
    terminal.ends().await;
    let mut terminal = world.attach(&restarted, Some(OLD)).await.expect("attached");
    terminal.types("echo $COLOUR-$COLOUR\r").await;
    terminal.sees("blue-blue").await;

    let path = format!("/sessions/{}", text(&session["id"]));
    let (status, deleted) = world.call("DELETE", &path, Value::Null).await;
    assert_eq!(
        (status, deleted),
        (StatusCode::OK, json!({ "id": session["id"], "status": "deleted" }))
    );
    assert_eq!(world.call("GET", &path, Value::Null).await.0, 404);
    assert_eq!(refusal(world.attach(&session, Some(OLD)).await), 404);
    terminal.ends().await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn the_proxy_judges_as_the_sandbox_does() {
    let world = World::start(Setup {
        token: Some(OLD),
        ..Setup::default()
    })
    .await;
    let session = world.session().await;
    for token in [None, Some(""), Some("wrong"), Some(&OLD[..63]), Some(NEW)] {
        assert_eq!(refusal(world.attach(&session, token).await), 401, "{token:?}");
        assert_eq!(refusal(world.attach_directly(&session, token).await), 401, "{token:?}");
    }
    assert_eq!(refusal(world.attach(&json!({ "id": "nobody" }), None).await), 401);
    assert_eq!(refusal(world.attach(&json!({ "id": "nobody" }), Some(OLD)).await), 404);
    let path = text(&session["tty_url"]);
    let web = world.web().await;
    assert_eq!(refusal(attach(web, 3000, path, None, Some(OLD)).await), 101);
    assert_eq!(refusal(attach(web, 3000, path, Some(OLD), Some(NEW)).await), 101);
    assert_eq!(refusal(attach(web, 3000, path, Some(NEW), Some(OLD)).await), 401);
    let target = format!("{path}?token={OLD}");
    for (method, wanted) in [("GET", 426), ("POST", 405), ("HEAD", 405)] {
        let (status, _, _) = request(web, 3000, method, &target, &[], &Value::Null).await;
        assert_eq!(status.as_u16(), wanted, "{method}");
    }
    for path in [format!("{path}/"), path.to_uppercase(), path.replace("/tty", "//tty")] {
        assert!(
            matches!(refusal(attach(web, 3000, &path, Some(OLD), None).await), 401 | 404),
            "{path}"
        );
    }
    let (mut one, mut two) = (
        world.attach(&session, Some(OLD)).await.expect("one"),
        world.attach_directly(&session, Some(OLD)).await.expect("two"),
    );
    one.types("echo shared-$((40+2))\r").await;
    two.sees("shared-42").await;
    two.works().await;
    one.types("exit\r").await;
    one.ends().await;
    two.ends().await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn sessions_claim_warm_pods_and_the_pool_is_filled_again() {
    let world = World::start(Setup {
        token: Some(OLD),
        warm_pool: 2,
        ..Setup::default()
    })
    .await;
    let warm = world.warm(2).await;
    let (_, agent) = world.call("POST", "/agents", json!({ "model": "m" })).await;
    let path = format!("/agents/{}/session", text(&agent["id"]));
    // At once: each must get a pod of its own, whoever is quicker.
    let create = || world.call("POST", &path, Value::Null);
    let made = futures_util::future::join4(create(), create(), create(), create()).await;
    let mut urls = std::collections::BTreeSet::new();
    for (_, session) in [made.0, made.1, made.2, made.3] {
        let session = world.session_with_status(&session["id"], "ready").await;
        urls.insert(text(&session["sandbox_url"]).to_owned());
        let mut terminal = world.attach(&session, Some(OLD)).await.expect("attached");
        terminal.works().await;
    }
    assert_eq!(urls.len(), 4);
    assert!(
        warm.iter().all(|(_, ip)| urls.contains(&format!("http://{ip}:4096"))),
        "{warm:?} {urls:?}"
    );
    let again = world.warm(2).await;
    assert!(again.iter().all(|pod| !warm.contains(pod)));
    world.delete_sandbox(&again[0].0).await;
    world
        .until("a new warm pod", async || {
            let now = world.ready_pods("pool=warm").await;
            (now.len() == 2 && !now.contains(&again[0])).then_some(())
        })
        .await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn pods_come_back_and_sessions_die_with_their_sandbox() {
    let world = World::start(Setup {
        token: Some(OLD),
        ..Setup::default()
    })
    .await;
    let session = world.session().await;
    let selector = format!("session={}", text(&session["id"]));
    let (name, old) = world.ready_pods(&selector).await.remove(0);
    world
        .api::<KubernetesPod>()
        .delete(&name, &DeleteParams::default())
        .await
        .expect("deleted");
    let new = world
        .until("the pod again", async || {
            world
                .ready_pods(&selector)
                .await
                .into_iter()
                .find(|(again, ip)| *again == name && *ip != old)
        })
        .await;
    world
        .until("the way to it", async || {
            let mut terminal = attach(new.1, 4096, "/tty", Some(OLD), None).await.ok()?;
            terminal.works().await;
            world.attach(&session, Some(OLD)).await.ok()
        })
        .await;
    world.delete_sandbox(&name).await;
    let dead = world.session_with_status(&session["id"], "dead").await;
    assert_eq!(
        (&dead["tty_url"], dead["failure_reason"].is_string()),
        (&Value::Null, true)
    );
    assert_eq!(refusal(world.attach(&session, Some(OLD)).await), 503);
    let (status, again) = world
        .call(
            "POST",
            &format!("/sessions/{}/restart", text(&session["id"])),
            Value::Null,
        )
        .await;
    assert_eq!((status, &again["status"]), (StatusCode::OK, &json!("ready")));
    world.attach(&again, Some(OLD)).await.expect("attached").works().await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn a_sandbox_whose_pod_is_refused_says_so() {
    let world = World::start(Setup::default()).await;
    let sandboxes: Api<Sandbox> = world.api();
    let sandbox = Sandbox {
        api_version: Sandbox::API_VERSION.into(),
        kind: Sandbox::KIND.into(),
        metadata: ObjectMeta {
            name: Some("empty".into()),
            ..ObjectMeta::default()
        },
        ..Sandbox::default()
    };
    sandboxes
        .create(&PostParams::default(), &sandbox)
        .await
        .expect("a sandbox");
    let refused = |sandbox: Option<&Sandbox>| {
        sandbox
            .and_then(Sandbox::failure)
            .is_some_and(|why| why.contains("containers"))
    };
    let waited = tokio::time::timeout(SOON, await_condition(sandboxes.clone(), "empty", refused)).await;
    waited.expect("in time").expect("a watch");
    world.cluster.stop().await;
}

/// A warm pod counts from the moment at which everybody can see it ready; its Sandbox's status follows later.
#[tokio::test]
async fn a_ready_warm_pod_is_claimed_before_its_sandbox_says_that_it_is_ready() {
    let world = World::start(Setup {
        token: Some(OLD),
        warm_pool: 1,
        ..Setup::default()
    })
    .await;
    let (warm, _) = world.warm(1).await.remove(0);
    let none = Patch::Merge(json!({ "spec": { "replicas": 0 } }));
    world
        .api::<Deployment>()
        .patch("sandbox-controller", &PatchParams::default(), &none)
        .await
        .expect("scaled down");
    world
        .until("end of the controller", async || {
            world
                .ready_pods("app=sandbox-controller")
                .await
                .is_empty()
                .then_some(())
        })
        .await;
    let unknown = Patch::Merge(json!({ "status": { "conditions": [] } }));
    let sandboxes: Api<Sandbox> = world.api();
    sandboxes
        .patch_status(&warm, &PatchParams::default(), &unknown)
        .await
        .expect("its status taken away");
    let session = world.create_session().await;
    let claimed = sandboxes.get(&warm).await.expect("the warm sandbox");
    assert_eq!(claimed.label("session"), Some(text(&session["id"])));
    world.cluster.stop().await;
}
