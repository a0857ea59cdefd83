use std::net::IpAddr;

use http::HeaderName;
use reqwest::Method as Verb;
use serde_json::{Value, json};

use super::super::Component;
use super::super::agent_service::tests::{Running, access_control, good, service, start};
use super::super::identity::tests::{NOW, with};
use super::super::pod::tests::pod_at;
use super::*;
use crate::world::embedded::Address;

/// A gateway that listens, before these pods.
async fn gateway(pods: &[(&str, IpAddr, &str)]) -> Running {
    let address = Address::reserve().expect("an address");
    let (pod, _log) = pod_at(address.ip.octets(), &[]);
    let backends = Arc::new(Backends::with(&pod, TARGETS, pods));
    let listener = pod.listen(8000).await.expect("a port");
    let server = Server::new(&pod, Duration::from_secs(1)).expect("a server");
    let gateway = Arc::new(Gateway {
        busy: Busy::new(&pod),
        pod: pod.clone(),
        patience: Duration::from_secs(5),
        paths: Paths::new(&pod),
        backends,
        asks: true,
        trusted: Mutex::default(),
        let_in: Mutex::default(),
    });
    let serving = tokio::spawn(async move { server.serve(listener, gateway).await });
    Running {
        pod,
        port: 8000,
        _task: AbortOnDropHandle::new(serving),
        _address: address,
    }
}

#[tokio::test]
async fn who_is_let_through_and_who_is_not() {
    let (service, access) = (service("http://127.0.0.1:9").await, access_control().await);
    let front = gateway(&[
        ("s", service.pod.ip, "agent-service"),
        ("a", access.pod.ip, "access-control"),
    ])
    .await;
    let health = front
        .request(Verb::GET, "/api/healthcheck")
        .send()
        .await
        .expect("an answer");
    assert_eq!(health.status(), 200);
    let status = async |path: &str, token: &str| front.get(path, token).await.status().as_u16();
    let expired = with("exp", json!(NOW - 60.0));
    assert_eq!(status("/api/agents", &good()).await, 200);
    assert_eq!(status("/api/agents", "garbage").await, 401);
    assert_eq!(status("/api/agents", &expired).await, 401);
    assert_eq!(status("/api/agents", &with("role", json!("INACTIVE"))).await, 403);
    assert_eq!(status("/api/models", &good()).await, 404);
    let made = front
        .request(Verb::POST, "/api/agents")
        .bearer_auth(good())
        .body("{}")
        .send()
        .await;
    let made: Value = made.expect("an answer").json().await.expect("JSON");
    let path = format!("/api/agents/{}/react", made["id"].as_str().expect("an id"));
    assert_eq!(front.react(&path).await, (401, None));
    assert_eq!(
        front.react(&format!("{path}?access-token={expired}")).await,
        (401, None)
    );
    let (code, first) = front.react(&format!("{path}?access-token={}", good())).await;
    assert_eq!((code, first), (101, Some(json!({ "type": "init", "agent": made }))));
}

/// The probe stands for the service, and shows what came.
#[tokio::test]
async fn the_service_sees_whom_the_authorizer_names_and_nobody_else() {
    let access = access_control().await;
    let probe = start(Component::Probe, 3001, &[("PORT", "3001")]).await;
    let front = gateway(&[
        ("s", probe.pod.ip, "agent-service"),
        ("a", access.pod.ip, "access-control"),
    ])
    .await;
    let asked = front
        .request(Verb::GET, "/api/agents")
        .bearer_auth(with("email", Value::Null))
        .header("X-User-Id", "1")
        .header("x-user-id", "2")
        .header("x_user_id", "3")
        .header("x-user-email", "eve@example.com")
        .header("connection", "x-user-name, x-user-id");
    let seen: Value = asked.send().await.expect("an answer").json().await.expect("JSON");
    let headers = seen["headers"].as_array().expect("a list");
    let of_users: Vec<&Value> = headers
        .iter()
        .filter(|header| {
            header[0]
                .as_str()
                .is_some_and(|name| name.replace('_', "-").starts_with("x-user-"))
        })
        .collect();
    assert_eq!(of_users, [&json!(["x-user-id", "7"]), &json!(["x-user-name", "ada"])]);
}

#[tokio::test]
async fn nobody_is_let_through_whom_nobody_judges() {
    let probe = start(Component::Probe, 3001, &[("PORT", "3001")]).await;
    // A pod that is there and does not listen where access control does; and none at all.
    let front = gateway(&[
        ("s", probe.pod.ip, "agent-service"),
        ("a", probe.pod.ip, "access-control"),
    ])
    .await;
    assert_eq!(front.get("/api/agents", &good()).await.status(), 503);
    let front = gateway(&[("s", probe.pod.ip, "agent-service")]).await;
    assert_eq!(front.get("/api/agents", &good()).await.status(), 503);
}

#[test]
fn paths_lead_by_their_one_spelling() {
    let paths = Paths::new(&pod_at([127, 0, 0, 1], &[]).0);
    for path in ["/api/agents", "/api/agents/", "/api/agents/a/react", "/api/agents/../x"] {
        assert_eq!(Route::of(&paths, path), Route::Guarded, "{path}");
    }
    for path in [
        "/",
        "/api/agentsX",
        "/api/Agents",
        "/api//agents",
        "/api/healthcheck/",
        "/api/auth/api/agents",
        "/%61pi/agents",
    ] {
        assert_eq!(Route::of(&paths, path), Route::Nowhere, "{path}");
    }
    assert_eq!(Route::of(&paths, "/api/healthcheck"), Route::Open);
}

/// What is left of these headers when a gateway with these mutants has stripped them.
fn left(mutants: &str) -> Vec<String> {
    let mut headers: HeaderMap = [
        "x-user-id",
        "x_user_id",
        "x-user-anything",
        "x_user_anything",
        "x-users",
        "x-other",
    ]
    .into_iter()
    .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")))
    .collect();
    let (pod, _log) = pod_at([127, 0, 0, 1], &[("GAUNTLET_MUTANTS", mutants)]);
    let gateway = Gateway {
        busy: Busy::new(&pod),
        patience: Duration::ZERO,
        paths: Paths::new(&pod),
        backends: Arc::new(Backends::with(&pod, TARGETS, &[])),
        pod,
        asks: true,
        trusted: Mutex::default(),
        let_in: Mutex::default(),
    };
    gateway.strip(&mut headers);
    let mut left: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
    left.sort_unstable();
    left
}

#[test]
fn nobody_says_who_they_are() {
    assert_eq!(left(""), ["x-other", "x-users"]);
    assert_eq!(
        left("user-role-kept"),
        ["x-other", "x-user-anything", "x-users", "x_user_anything"]
    );
    assert_eq!(
        left("underscores-kept"),
        ["x-other", "x-users", "x_user_anything", "x_user_id"]
    );
}
