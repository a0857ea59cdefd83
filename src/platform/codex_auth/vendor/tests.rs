use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio_util::task::AbortOnDropHandle;

use super::super::super::pod::tests::pod_at;
use super::super::super::{Component, ComponentError, Pod, run};
use crate::world::embedded::Address;

/// The fake, at an address of its own.
pub struct Fake {
    _pod: Pod,
    address: SocketAddr,
    _task: AbortOnDropHandle<Result<(), ComponentError>>,
    _reserved: Address,
}

/// Where a request comes from.
pub const HERE: [u8; 4] = [127, 0, 0, 1];
pub const LAPTOP: [u8; 4] = [127, 77, 0, 1];

impl Fake {
    pub async fn start(env: &[(&str, &str)]) -> Fake {
        let reserved = Address::reserve().expect("an address");
        let (pod, mut log) = pod_at(reserved.ip.octets(), env);
        let mut task = AbortOnDropHandle::new(tokio::spawn(run(Component::Vendor, pod.clone())));
        loop {
            tokio::select! {
                line = log.recv() => if line.expect("the pod holds its log").contains("on port") {
                    break;
                },
                ended = &mut task => panic!("the vendor ended: {ended:?}"),
            }
        }
        Fake {
            address: SocketAddr::new(pod.ip, 9400),
            _pod: pod,
            _task: task,
            _reserved: reserved,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A POST from an address; gives status, `Retry-After` and JSON.
    pub async fn post_from(&self, from: [u8; 4], path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        use http_body_util::{BodyExt, Full};
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind(SocketAddr::from((from, 0)))
            .expect("an address of loopback");
        let stream = socket.connect(self.address).await.expect("it listens");
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("HTTP");
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = http::Request::post(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {bearer}"))
            .body(Full::new(bytes::Bytes::from(body.to_string())))
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("all of it").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.post_from(HERE, path, "", &body).await
    }

    /// Has it do something.
    pub async fn control(&self, name: &str, body: Value) -> Value {
        let (status, answer) = self.post(&format!("/control/{name}"), body).await;
        assert_eq!(status, 200, "{name}: {answer}");
        answer
    }

    pub async fn records(&self) -> Value {
        let url = self.url("/control/records");
        // Which provider it is does not matter here; others may have installed one.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        let answer = client.get(url).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    async fn code(&self) -> (Value, String) {
        let (status, code) = self
            .post(
                "/api/accounts/deviceauth/usercode",
                json!({ "client_id": "gauntlet-codex" }),
            )
            .await;
        assert_eq!(status, 200, "{code}");
        assert_eq!((&code["interval"], &code["expires_in"]), (&json!("1"), &json!(900)));
        let user_code = code["user_code"].as_str().expect("a code").to_owned();
        let asked = json!({ "device_auth_id": code["device_auth_id"], "user_code": user_code });
        (asked, user_code)
    }

    async fn poll(&self, asked: &Value) -> (u16, Value) {
        self.post("/api/accounts/deviceauth/token", asked.clone()).await
    }

    async fn exchange(&self, approved: &Value) -> (u16, Value) {
        let asked = json!({
            "grant_type": "authorization_code",
            "client_id": "gauntlet-codex",
            "code": approved["authorization_code"],
            "code_verifier": approved["code_verifier"],
            "redirect_uri": self.url("/deviceauth/callback"),
        });
        self.post("/oauth/token", asked).await
    }

    async fn refresh_from(&self, from: [u8; 4], tokens: &Value) -> (u16, Value) {
        let asked = json!({
            "grant_type": "refresh_token",
            "client_id": "gauntlet-codex",
            "refresh_token": tokens["refresh_token"],
        });
        self.post_from(from, "/oauth/token", "", &asked).await
    }

    async fn call_from(&self, from: [u8; 4], tokens: &Value) -> (u16, Value) {
        let bearer = tokens["access_token"].as_str().expect("a token");
        let asked = json!({ "model": "gpt-5-codex", "input": "hello" });
        self.post_from(from, "/backend-api/codex/responses", bearer, &asked)
            .await
    }
}

#[tokio::test]
async fn codex_logs_in_and_calls() {
    let fake = Fake::start(&[]).await;
    let (asked, user_code) = fake.code().await;
    assert_eq!(fake.poll(&asked).await.0, 403);
    fake.control("behave", json!({ "poll": { "pending": 1 } })).await;
    fake.control("approve", json!({ "user_code": user_code, "account": "acct-1" }))
        .await;
    assert_eq!(fake.poll(&asked).await.0, 403, "held back");
    let (status, approved) = fake.poll(&asked).await;
    assert_eq!(status, 200, "{approved}");
    assert_eq!(fake.poll(&asked).await.0, 400, "a code is given once");
    let (status, tokens) = fake.exchange(&approved).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(fake.exchange(&approved).await.0, 400, "and exchanged once");
    let (status, answer) = fake.call_from(HERE, &tokens).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["output"][0]["content"][0]["text"], "Hello from acct-1.");
    assert_eq!(
        fake.call_from(HERE, &json!({ "access_token": "e30.e30.e30" })).await.0,
        401
    );
    fake.control("revoke", json!({ "account": "acct-1" })).await;
    assert_eq!(fake.call_from(HERE, &tokens).await.0, 401);
    let records = fake.records().await;
    let statuses: Vec<_> = records["calls"]
        .as_array()
        .expect("calls")
        .iter()
        .map(|call| &call["status"])
        .collect();
    assert_eq!(statuses, [200, 401, 401]);
    assert_eq!(records["calls"][0]["account"], "acct-1");
    assert_eq!(records["polls"].as_array().map(Vec::len), Some(4));
    let shown = records.to_string();
    for token in ["access_token", "refresh_token", "id_token"] {
        assert!(!shown.contains(tokens[token].as_str().expect("a token")), "{token}");
    }
}

#[tokio::test]
async fn a_login_that_comes_to_nothing() {
    let fake = Fake::start(&[]).await;
    let (asked, user_code) = fake.code().await;
    fake.control(
        "behave",
        json!({ "poll": { "status": 429, "retry_after": 2, "times": 1 } }),
    )
    .await;
    assert_eq!(fake.poll(&asked).await.0, 429);
    assert_eq!(fake.poll(&asked).await.0, 403);
    fake.control("deny", json!({ "user_code": user_code })).await;
    assert_eq!(fake.poll(&asked).await, (400, json!({ "error": "access_denied" })));
    let late = json!({ "user_code": user_code, "account": "acct-1" });
    assert_eq!(fake.post("/control/approve", late).await.0, 404);
    fake.control("behave", json!({ "code_ttl": 0 })).await;
    let (status, code) = fake
        .post("/api/accounts/deviceauth/usercode", json!({ "client_id": "x" }))
        .await;
    assert_eq!(status, 200);
    let asked = json!({ "device_auth_id": code["device_auth_id"], "user_code": code["user_code"] });
    assert_eq!(fake.poll(&asked).await, (400, json!({ "error": "expired_token" })));
    assert_eq!(fake.post("/api/accounts/deviceauth/usercode", json!({})).await.0, 400);
    assert_eq!(fake.post("/control/behave", json!({ "nonsense": 1 })).await.0, 400);
}

#[tokio::test]
async fn the_standards_device_flow_slows_the_hasty_down() {
    let fake = Fake::start(&[("POLL_INTERVAL", "3600")]).await;
    let ask = async || {
        let (status, code) = fake.post("/oauth/device/code", json!({ "client_id": "x" })).await;
        assert_eq!(status, 200, "{code}");
        let asked = json!({
            "grant_type": super::oauth::DEVICE_CODE,
            "client_id": "x",
            "device_code": code["device_code"],
        });
        (asked, code["user_code"].clone())
    };
    let token = async |asked: &Value| fake.post("/oauth/token", asked.clone()).await;
    let (asked, user_code) = ask().await;
    assert_eq!(token(&asked).await, (400, json!({ "error": "authorization_pending" })));
    assert_eq!(token(&asked).await, (400, json!({ "error": "slow_down" })));
    fake.control("deny", json!({ "user_code": user_code })).await;
    assert_eq!(token(&asked).await, (400, json!({ "error": "access_denied" })));
    let (asked, user_code) = ask().await;
    fake.control("approve", json!({ "user_code": user_code, "account": "acct-2" }))
        .await;
    let (status, tokens) = token(&asked).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(token(&asked).await, (400, json!({ "error": "invalid_grant" })));
    fake.control("behave", json!({ "code_ttl": 0 })).await;
    let (asked, _) = ask().await;
    assert_eq!(token(&asked).await, (400, json!({ "error": "expired_token" })));
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_use() {
    let fake = Fake::start(&[]).await;
    let first = fake.control("issue", json!({ "account": "acct-1" })).await;
    let (status, second) = fake.refresh_from(HERE, &first).await;
    assert_eq!(status, 200, "{second}");
    let (status, third) = fake.refresh_from(HERE, &second).await;
    assert_eq!(status, 200, "{third}");
    assert_eq!(fake.refresh_from(HERE, &first).await.0, 400);
    // Its reuse has ended the login for everybody.
    assert_eq!(fake.refresh_from(HERE, &third).await.0, 400);
    assert_eq!(fake.call_from(HERE, &third).await.0, 401);
    let records = fake.records().await;
    let outcomes: Vec<_> = records["refreshes"]
        .as_array()
        .expect("refreshes")
        .iter()
        .map(|refresh| refresh["outcome"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(outcomes, ["ok", "ok", "reused", "revoked"]);
    for (behaviour, status) in [("down", 503), ("500", 500), ("html", 200)] {
        let tokens = fake.control("issue", json!({ "account": "acct-2" })).await;
        fake.control("behave", json!({ "refresh": behaviour })).await;
        let (said, body) = fake.refresh_from(HERE, &tokens).await;
        assert_eq!((said, body.get("access_token")), (status, None), "{behaviour}");
        fake.control("behave", json!({ "refresh": "ok" })).await;
        assert_eq!(
            fake.refresh_from(HERE, &tokens).await.0,
            200,
            "{behaviour} spends nothing"
        );
    }
}

#[tokio::test]
async fn a_login_is_bound_to_where_it_was_made() {
    let fake = Fake::start(&[]).await;
    let mine = fake.control("issue", json!({ "account": "acct-1" })).await;
    let (status, answer) = fake.call_from(LAPTOP, &mine).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("device_mismatch")));
    assert_eq!(fake.call_from(HERE, &mine).await.0, 401, "it is revoked");
    let issue = json!({ "account": "acct-2" });
    let (_, laptops) = fake.post_from(LAPTOP, "/control/issue", "", &issue).await;
    assert_eq!(fake.call_from(LAPTOP, &laptops).await.0, 200);
    assert_eq!(fake.refresh_from(HERE, &laptops).await.0, 401);
    let issue = json!({ "account": "acct-3", "as": "cluster", "refresh": false });
    let (_, clusters) = fake.post_from(LAPTOP, "/control/issue", "", &issue).await;
    assert_eq!(clusters.get("refresh_token"), None);
    assert_eq!(fake.call_from(HERE, &clusters).await.0, 200);
    let lax = Fake::start(&[("GAUNTLET_MUTANTS", "vendor-binds-nothing")]).await;
    let mine = lax.control("issue", json!({ "account": "acct-1" })).await;
    assert_eq!(lax.call_from(LAPTOP, &mine).await.0, 200);
}

#[tokio::test]
async fn calls_are_refused_as_told() {
    let fake = Fake::start(&[]).await;
    let tokens = fake.control("issue", json!({ "account": "acct-1" })).await;
    let other = fake.control("issue", json!({ "account": "acct-2" })).await;
    for (kind, type_) in [
        ("usage-cap", "usage_limit_reached"),
        ("transient", "rate_limit_exceeded"),
    ] {
        let rule = json!({ "account": "acct-1", "status": 429, "kind": kind, "times": 1 });
        fake.control("behave", json!({ "answer": rule })).await;
        assert_eq!(fake.call_from(HERE, &other).await.0, 200);
        let (status, answer) = fake.call_from(HERE, &tokens).await;
        assert_eq!((status, &answer["error"]["type"]), (429, &json!(type_)));
        assert_eq!(fake.call_from(HERE, &tokens).await.0, 200);
    }
    let expired = fake.control("issue", json!({ "account": "acct-1", "ttl": -5 })).await;
    assert_eq!(fake.call_from(HERE, &expired).await.0, 401);
}
