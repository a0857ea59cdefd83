//! The service, access control and LiteLLM, each at an address of its own.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::task::AbortOnDropHandle;

use super::super::identity::tests::{NOW, SECRET, with};
use super::super::pod::tests::pod_at;
use super::super::{Component, ComponentError, Pod, run};
use crate::world::embedded::Address;

const KEY: &str = "sk-master";

/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

pub struct Running {
    pub pod: Pod,
    pub port: u16,
    pub _task: AbortOnDropHandle<Result<(), ComponentError>>,
    pub _address: Address,
}

pub async fn start(component: Component, port: u16, env: &[(&str, &str)]) -> Running {
    let address = Address::reserve().expect("an address");
    let (pod, mut log) = pod_at(address.ip.octets(), env);
    let mut task = AbortOnDropHandle::new(tokio::spawn(run(component, pod.clone())));
    loop {
        tokio::select! {
            line = log.recv() => if line.expect("the pod holds its log").contains("on port") {
                break;
            },
            ended = &mut task => panic!("{component:?} ended: {ended:?}"),
        }
    }
    Running {
        pod,
        port,
        _task: task,
        _address: address,
    }
}

impl Running {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.pod.ip, self.port)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // Which provider it is does not matter here; others may have installed one.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(SOON).build().expect("a client");
        client.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str, token: &str) -> Response {
        let asked = self.request(Method::GET, path).bearer_auth(token);
        asked.send().await.expect("an answer")
    }

    /// The status of a handshake, and the first message, if any.
    pub async fn react(&self, path: &str) -> (u16, Option<Value>) {
        let stream = TcpStream::connect((self.pod.ip, self.port)).await.expect("it listens");
        let url = self.url(path).replacen("http", "ws", 1);
        match client_async(url, stream).await {
            Ok((mut socket, answer)) => {
                let first = tokio::time::timeout(SOON, socket.next()).await.expect("a message");
                let Some(Ok(Message::Text(text))) = first else {
                    panic!("{first:?}");
                };
                (answer.status().as_u16(), serde_json::from_str(text.as_str()).ok())
            }
            Err(Error::Http(answer)) => (answer.status().as_u16(), None),
            Err(error) => panic!("{error}"),
        }
    }
}

pub async fn service(litellm: &str) -> Running {
    let env = [
        ("AUTH_JWT_SECRET", SECRET),
        ("CLOCK", "1800000000"),
        ("LITELLM_BASE_URL", litellm),
        ("LITELLM_MASTER_KEY", KEY),
    ];
    start(Component::AgentService, 3001, &env).await
}

pub async fn access_control() -> Running {
    let env = [("AUTH_JWT_SECRET", SECRET), ("CLOCK", "1800000000")];
    start(Component::AccessControl, 9096, &env).await
}

pub fn good() -> String {
    with("x", json!(1))
}

#[tokio::test]
async fn without_a_good_token_there_is_nothing_but_health() {
    let service = service("http://127.0.0.1:9").await;
    let health = service
        .request(Method::GET, "/api/healthcheck")
        .send()
        .await
        .expect("an answer");
    assert_eq!(health.status(), 200);
    assert_eq!(health.json::<Value>().await.expect("JSON"), json!({ "status": "ok" }));
    let expired = with("exp", json!(NOW - 60.0));
    for path in [
        "/api/agents",
        "/api/agents/x",
        "/api/agents/models",
        "/api/agents/x/settings",
        "/api/agents/x/y",
    ] {
        let bare = service.request(Method::GET, path).send().await.expect("an answer");
        for answer in [bare, service.get(path, &expired).await] {
            assert_eq!(answer.status(), 401, "{path}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            assert_eq!(
                answer.json::<Value>().await.expect("JSON"),
                json!({ "error": "Unauthorized" })
            );
        }
    }
    for path in ["/api/models", "/api/chat/completions", "/api/agentsX", "/"] {
        assert_eq!(service.get(path, &good()).await.status(), 404, "{path}");
    }
    let in_query = format!("/api/agents?access-token={}", good());
    let answer = service.request(Method::GET, &in_query).send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
    let in_both = service.get(&in_query, &good()).await;
    assert_eq!(in_both.status(), 401);
}

#[tokio::test]
async fn agents_come_and_change_and_go() {
    let service = service("http://127.0.0.1:9").await;
    let send = |method: Method, path: String, body: Value| {
        let asked = service
            .request(method, &path)
            .bearer_auth(good())
            .body(body.to_string());
        async { asked.send().await.expect("an answer") }
    };
    let made = send(
        Method::POST,
        "/api/agents".into(),
        json!({ "name": "a", "settings": { "x": 1, "y": 2 } }),
    )
    .await;
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.expect("JSON");
    let path = format!("/api/agents/{}", made["id"].as_str().expect("an id"));
    let listed: Value = service.get("/api/agents", &good()).await.json().await.expect("JSON");
    assert_eq!(listed, json!([made]));
    let changed = send(Method::PATCH, format!("{path}/settings"), json!({ "x": null, "z": 3 })).await;
    assert_eq!(changed.status(), 200);
    let shown: Value = service.get(&path, &good()).await.json().await.expect("JSON");
    assert_eq!(shown["settings"], json!({ "y": 2, "z": 3 }));
    let wrong = send(Method::PUT, path.clone(), json!({})).await;
    assert_eq!(
        (wrong.status().as_u16(), &wrong.headers()["allow"]),
        (405, &"GET, HEAD, DELETE".parse().expect("text"))
    );
    for body in [json!([1]), json!({ "settings": 1 }), json!({ "name": [] })] {
        assert_eq!(send(Method::POST, "/api/agents".into(), body).await.status(), 400);
    }
    assert_eq!(send(Method::DELETE, path.clone(), json!({})).await.status(), 204);
    assert_eq!(service.get(&path, &good()).await.status(), 404);
}

#[tokio::test]
async fn conversations_want_their_token_in_the_query() {
    let service = service("http://127.0.0.1:9").await;
    let made = service
        .request(Method::POST, "/api/agents")
        .bearer_auth(good())
        .send()
        .await
        .expect("an answer");
    let made: Value = made.json().await.expect("JSON");
    let path = format!("/api/agents/{}/react", made["id"].as_str().expect("an id"));
    assert_eq!(service.react(&path).await, (401, None));
    let expired = with("exp", json!(NOW - 60.0));
    assert_eq!(
        service.react(&format!("{path}?access-token={expired}")).await,
        (401, None)
    );
    let (status, first) = service.react(&format!("{path}?access-token={}", good())).await;
    assert_eq!((status, first), (101, Some(json!({ "type": "init", "agent": made }))));
    let (status, first) = service
        .react(&format!("/api/agents/nobody/react?access-token={}", good()))
        .await;
    assert_eq!((status, &first.expect("a message")["type"]), (101, &json!("error")));
    // No WebSocket at all.
    assert_eq!(service.get(&path, &good()).await.status(), 426);
}

#[tokio::test]
async fn models_are_those_of_litellm() {
    let litellm = start(
        Component::LiteLlm,
        4000,
        &[("LITELLM_MASTER_KEY", KEY), ("VIRTUAL_KEYS", "sk-1=gauntlet-small")],
    )
    .await;
    let service = service(&litellm.url("")).await;
    let listed: Value = service
        .get("/api/agents/models", &good())
        .await
        .json()
        .await
        .expect("JSON");
    let direct: Value = litellm.get("/models", KEY).await.json().await.expect("JSON");
    assert_eq!((listed["object"].as_str(), &listed), (Some("list"), &direct));
    let own: Value = litellm.get("/v1/models", "sk-1").await.json().await.expect("JSON");
    assert_eq!(own["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(litellm.get("/models", "sk-2").await.status(), 401);
    let call = |key: &'static str, model: &str| {
        let body = json!({ "model": model, "messages": [] }).to_string();
        let asked = litellm
            .request(Method::POST, "/v1/chat/completions")
            .bearer_auth(key)
            .body(body);
        async { asked.send().await.expect("an answer").status().as_u16() }
    };
    assert_eq!(call("sk-1", "gauntlet-small").await, 200);
    assert_eq!(call("sk-1", "gauntlet-large").await, 403);
    assert_eq!(call("sk-1", "nothing").await, 400);
    let calls: Value = litellm.get("/calls", KEY).await.json().await.expect("JSON");
    assert_eq!(calls, json!({ "calls": [{ "model": "gauntlet-small" }] }));
    drop(litellm);
    let gone = service.get("/api/agents/models", &good()).await;
    assert_eq!(
        (gone.status().as_u16(), gone.text().await.expect("text").contains(KEY)),
        (502, false)
    );
}

#[tokio::test]
async fn access_control_says_who() {
    let access = access_control().await;
    let status = async |path: &str, token: &str| access.get(path, token).await.status().as_u16();
    let allowed = access.get("/api/auth/api/agents", &good()).await;
    assert_eq!(allowed.status(), 200);
    for (name, value) in [
        ("x-user-id", "7"),
        ("x-user-name", "ada"),
        ("x-user-email", "ada@example.com"),
    ] {
        assert_eq!(allowed.headers()[name], value);
    }
    for method in [Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        let asked = access.request(method, "/api/auth/api/agents/a1").bearer_auth(good());
        assert_eq!(asked.send().await.expect("an answer").status(), 200);
    }
    assert_eq!(status("/api/auth/api/agents", "garbage").await, 401);
    assert_eq!(
        status("/api/auth/api/agents", &with("role", json!("INACTIVE"))).await,
        403
    );
    assert_eq!(status("/api/auth/api/other", &good()).await, 403);
    assert_eq!(status("/api/agents", &good()).await, 404);
    let in_query = format!("/api/auth/api/agents/a/react?access-token={}", good());
    let answer = access.request(Method::GET, &in_query).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(status(&in_query, &good()).await, 401);
}
