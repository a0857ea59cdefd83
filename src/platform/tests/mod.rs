//! The whole platform on the embedded cluster, as operators and clients meet it.

mod balancer;
mod mutants;
mod operator;
mod sessions;
mod worker;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod as KubernetesPod, Secret};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Component, run};
use crate::vocabulary::Contract;
use crate::world::deploy::{self, Values};
use crate::world::embedded::{Cluster, Options};
use crate::world::rollout;

const OLD: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const NEW: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
const KEY: &str = "master-key";
const API: &str = "/api/v1/managed_agents";
/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// What differs from test to test.
#[derive(Clone, Copy, Default)]
struct Setup {
    token: Option<&'static str>,
    /// Without it the platform is there and its secret isn't.
    no_secret: bool,
    warm_pool: u32,
    web_replicas: u32,
    mutants: &'static str,
    balancer: bool,
    idle_timeout: &'static str,
    /// PEM of certificate and key.
    tls: Option<(&'static str, &'static str)>,
}

struct World {
    cluster: Cluster,
    client: kube::Client,
    values: Values,
}

impl World {
    /// The platform, complete.
    async fn start(setup: Setup) -> World {
        let program = |argv: Vec<String>, pod| -> futures_util::future::BoxFuture<'static, _> {
            Box::pin(async move {
                let component = argv
                    .get(1)
                    .and_then(|name| Component::from_name(name))
                    .expect("a component");
                run(component, pod).await
            })
        };
        let cluster = Cluster::start(Options::new(Arc::new(program)))
            .await
            .expect("a cluster");
        let (tls_cert, tls_key) = setup.tls.unwrap_or_default();
        let targets = json!([
            { "path_prefix": "/", "selector": "app=litellm-web", "port": 3000 },
            { "path_prefix": "/probe", "selector": "app=probe", "port": 8081 },
        ]);
        let values = Values {
            image: "gauntlet".into(),
            secret: "litellm-env".into(),
            token_key: "HARNESS_AUTH_TOKEN".into(),
            master_key_key: "MASTER_KEY".into(),
            web_replicas: setup.web_replicas.max(1),
            warm_pool: setup.warm_pool,
            terminal: String::new(),
            mutants: setup.mutants.into(),
            header_timeout: "10s".into(),
            drain_timeout: "60s".into(),
            balancer_replicas: setup.balancer.into(),
            strip_authorization: true,
            idle_timeout: if setup.idle_timeout.is_empty() {
                "60s"
            } else {
                setup.idle_timeout
            }
            .into(),
            balancer_targets: targets.to_string(),
            tls_cert: tls_cert.into(),
            tls_key: tls_key.into(),
            probe_replicas: setup.balancer.into(),
            controller_replicas: 1,
            seed: "seed".into(),
            names: deploy::grouped(&crate::vocabulary::names::contract()),
            ..Values::default()
        };
        let world = World {
            client: cluster.client(),
            cluster,
            values,
        };
        if !setup.no_secret {
            let mut data = BTreeMap::from([("MASTER_KEY".to_owned(), ByteString(KEY.into()))]);
            data.extend(
                setup
                    .token
                    .map(|token| ("HARNESS_AUTH_TOKEN".into(), ByteString(token.into()))),
            );
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some("litellm-env".into()),
                    ..ObjectMeta::default()
                },
                data: Some(data),
                ..Secret::default()
            };
            world
                .api::<Secret>()
                .create(&PostParams::default(), &secret)
                .await
                .expect("the secret");
        }
        let objects = deploy::objects(deploy::platform(Contract::HarnessToken), &world.values).expect("the manifest");
        let served = |kind: &str| !matches!(kind, "Role" | "RoleBinding");
        deploy::create(&world.client, "default", objects, served)
            .await
            .expect("deployed");
        if !setup.no_secret {
            world.complete().await;
        }
        world
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::default_namespaced(self.client.clone())
    }

    /// All deployments are as they should be.
    async fn complete(&self) {
        let deployments: Api<Deployment> = self.api();
        for deployment in deployments.list(&ListParams::default()).await.expect("deployments") {
            let name = deployment.metadata.name.unwrap_or_default();
            // Not the condition alone: right after a restart that may still be of the rollout before.
            rollout::completed(&deployments, &name, SOON)
                .await
                .expect("a complete rollout");
        }
    }

    /// What an operator does after a change of the secret.
    async fn restart(&self) {
        for name in ["litellm-web", "litellm-worker"] {
            let deployments: Api<Deployment> = self.api();
            deployments.restart(name).await.expect("restarted");
        }
        self.complete().await;
        // A pod that drains is no longer ready, but its deployment doesn't wait for it.
        self.until("one generation of web", async || {
            let web = self.ready_pods("app=litellm-web").await;
            (web.len() == self.values.web_replicas as usize).then_some(())
        })
        .await;
    }

    async fn set_token(&self, token: &str) {
        use base64::Engine;
        let value = base64::engine::general_purpose::STANDARD.encode(token);
        let patch = Patch::Merge(json!({ "data": { "HARNESS_AUTH_TOKEN": value } }));
        self.api::<Secret>()
            .patch("litellm-env", &PatchParams::default(), &patch)
            .await
            .expect("patched");
    }

    /// The names and addresses of pods that serve, the newest last.
    async fn ready_pods(&self, selector: &str) -> Vec<(String, IpAddr)> {
        let listed = self
            .api::<KubernetesPod>()
            .list(&ListParams::default().labels(selector))
            .await
            .expect("pods");
        let mut items = listed.items;
        items.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
        items
            .into_iter()
            .filter(crate::world::pod::is_ready)
            .filter_map(|pod| Some((pod.metadata.name?, pod.status?.pod_ip?.parse().ok()?)))
            .collect()
    }

    async fn web(&self) -> IpAddr {
        self.until("a ready web", async || {
            Some(self.ready_pods("app=litellm-web").await.last()?.1)
        })
        .await
    }

    async fn balancer(&self) -> IpAddr {
        self.until("a ready balancer", async || {
            Some(self.ready_pods("app=balancer").await.last()?.1)
        })
        .await
    }

    /// Asks again and again until something is there.
    async fn until<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let asked = async {
            loop {
                if let Some(answer) = ask().await {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(SOON, asked).await {
            Ok(answer) => answer,
            Err(_) => panic!("no {what}"),
        }
    }

    /// A call of the session API with the master key.
    async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let authorization = format!("Bearer {KEY}");
        let web = self.web().await;
        let (status, _, body) = request(
            web,
            3000,
            method,
            &format!("{API}{path}"),
            &[("authorization", &authorization)],
            &body,
        )
        .await;
        (status, body)
    }

    /// A new session, as the API shows it first.
    async fn create_session(&self) -> Value {
        let (status, agent) = self.call("POST", "/agents", json!({ "model": "m" })).await;
        assert_eq!(status, 200, "{agent}");
        let path = format!("/agents/{}/session", text(&agent["id"]));
        let (status, session) = self.call("POST", &path, json!({ "title": "t" })).await;
        assert_eq!(
            (status, &session["status"]),
            (StatusCode::OK, &json!("creating")),
            "{session}"
        );
        session
    }

    async fn session_with_status(&self, id: &Value, status: &str) -> Value {
        let path = format!("/sessions/{}", text(id));
        self.until(status, async || {
            let (_, session) = self.call("GET", &path, Value::Null).await;
            (session["status"] == status).then_some(session)
        })
        .await
    }

    async fn session(&self) -> Value {
        let session = self.create_session().await;
        self.session_with_status(&session["id"], "ready").await
    }

    /// Through web's proxy.
    async fn attach(&self, session: &Value, token: Option<&str>) -> Result<Terminal, StatusCode> {
        let path = format!("{API}/sessions/{}/tty", text(&session["id"]));
        attach(self.web().await, 3000, &path, token, None).await
    }

    /// Straight to the session's pod.
    async fn attach_directly(&self, session: &Value, token: Option<&str>) -> Result<Terminal, StatusCode> {
        let url: http::Uri = text(&session["sandbox_url"]).parse().expect("a URL");
        let ip = url.host().and_then(|host| host.parse().ok()).expect("an address");
        attach(ip, 4096, "/tty", token, None).await
    }

    /// The warm pods that are ready, once there are so many.
    async fn warm(&self, count: usize) -> Vec<(String, IpAddr)> {
        self.until("warm pods", async || {
            let warm = self.ready_pods("pool=warm").await;
            (warm.len() == count).then_some(warm)
        })
        .await
    }

    async fn delete_sandbox(&self, name: &str) {
        let sandboxes: Api<super::objects::Sandbox> = self.api();
        sandboxes.delete(name, &DeleteParams::default()).await.expect("deleted");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// One HTTP request on a connection of its own.
async fn request(
    ip: IpAddr,
    port: u16,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (StatusCode, HeaderMap, Value) {
    let stream = TcpStream::connect((ip, port)).await.expect("a port that listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("HTTP");
    let driver = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = Request::builder().method(method).uri(target).header("host", "x");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = request.body(Full::<bytes::Bytes>::from(body)).expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    drop(driver);
    (
        parts.status,
        parts.headers,
        serde_json::from_slice(&body).unwrap_or(Value::Null),
    )
}

/// An attached client.
#[derive(Debug)]
struct Terminal {
    socket: WebSocketStream<TcpStream>,
    seen: String,
}

/// Attaches, or says with what status it was refused.
async fn attach(
    ip: IpAddr,
    port: u16,
    path: &str,
    token: Option<&str>,
    bearer: Option<&str>,
) -> Result<Terminal, StatusCode> {
    let query = token.map(|token| format!("?token={token}")).unwrap_or_default();
    let mut request = format!("ws://{ip}:{port}{path}{query}")
        .into_client_request()
        .expect("a request");
    if let Some(bearer) = bearer {
        let value = format!("Bearer {bearer}").parse().expect("a value");
        request.headers_mut().insert("authorization", value);
    }
    let stream = TcpStream::connect((ip, port)).await.expect("a port that listens");
    match client_async(request, stream).await {
        Ok((socket, _)) => Ok(Terminal {
            socket,
            seen: String::new(),
        }),
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status()),
        Err(other) => panic!("{other}"),
    }
}

impl Terminal {
    /// Whether what is typed comes to a shell and back.
    async fn works(&mut self) {
        let nonce: u32 = rand::random();
        self.types(&format!("echo $(({nonce}+1))-\r")).await;
        self.sees(&format!("{}-", u64::from(nonce) + 1)).await;
    }

    async fn types(&mut self, keys: &str) {
        self.socket
            .send(Message::binary(keys.as_bytes().to_vec()))
            .await
            .expect("sent");
    }

    async fn sees(&mut self, text: &str) {
        let read = async {
            while !self.seen.contains(text) {
                match self.socket.next().await {
                    Some(Ok(Message::Text(frame))) => self.seen += &frame,
                    Some(Ok(_)) => {}
                    other => panic!("{other:?} before {text:?} in {:?}", self.seen),
                }
            }
        };
        if tokio::time::timeout(SOON, read).await.is_err() {
            panic!("no {text:?} in {:?}", self.seen);
        }
    }

    /// Waits for the end, whatever it is.
    async fn ends(&mut self) {
        let read = async { while let Some(Ok(_)) = self.socket.next().await {} };
        tokio::time::timeout(SOON, read).await.expect("an end");
    }
}

/// The status of a refused attach.
fn refusal(attached: Result<Terminal, StatusCode>) -> u16 {
    attached.map_or_else(|status| status.as_u16(), |_| 101)
}
