//! The cluster as its clients see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Secret};
use kube::api::{
    Api, AttachParams, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Cluster, Options};
use crate::platform::{ComponentError, Pod as Inside};

mod changes;
mod containers;
mod exec;
mod lifecycle;
mod objects;
mod rollouts;
mod volumes;

/// Every wait in these tests ends by then: a hang is a failure that says where.
const LIMIT: Duration = Duration::from_secs(30);

/// What the containers of these tests do, by their first argument.
async fn program(argv: Vec<String>, pod: Inside) -> Result<(), ComponentError> {
    match argv.first().map(String::as_str) {
        // Answers every connection on port 8080 with the variable TOKEN, until it is asked to end.
        Some("serve") => {
            let listener = TcpListener::bind((pod.ip, 8080)).await.map_err(error)?;
            let token = pod.var("TOKEN").unwrap_or("none").to_string();
            pod.log.line(format!("token {token}"));
            loop {
                let accepted = tokio::select! {
                    () = pod.stop.cancelled() => return Ok(()),
                    accepted = listener.accept() => accepted,
                };
                let (mut stream, _) = accepted.map_err(error)?;
                let body = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{token}", token.len());
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(body.as_bytes()).await;
            }
        }
        Some("fail") => Err(ComponentError("it failed".into())),
        Some("panic") => panic!("it panicked"),
        Some("log") => {
            for word in &argv[1..] {
                pod.log.line(word);
            }
            Ok(())
        }
        // Writes a file into the volume at /data, then waits.
        Some("write") => {
            std::fs::write(pod.path("/data").join(&argv[1]), &argv[2]).map_err(error)?;
            pod.stop.cancelled().await;
            Ok(())
        }
        // Fails the first time that it runs with the volume at /data.
        Some("fail-once") => {
            let marker = pod.path("/data/marker");
            if !marker.exists() {
                std::fs::write(marker, "failed").map_err(error)?;
                return Err(ComponentError("it failed once".into()));
            }
            pod.stop.cancelled().await;
            Ok(())
        }
        // Never ends by itself, whoever asks.
        Some("stubborn") => std::future::pending().await,
        _ => {
            pod.stop.cancelled().await;
            pod.log.line("stopped");
            Ok(())
        }
    }
}

fn error(error: std::io::Error) -> ComponentError {
    ComponentError(error.to_string())
}

async fn cluster() -> Cluster {
    let options = Options::new(Arc::new(|argv, pod| Box::pin(program(argv, pod))));
    Cluster::start(options).await.unwrap()
}

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

async fn create<K>(api: &Api<K>, value: Value) -> K
where
    K: Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    api.create(&PostParams::default(), &from(value)).await.unwrap()
}

fn pod(name: &str, args: &[&str]) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "containers": [{ "name": "main", "image": "test", "args": args }] },
    })
}

fn deployment(name: &str, args: &[&str]) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "main",
                    "image": "test",
                    "args": args,
                    "env": [{ "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "env", "key": "TOKEN", "optional": true } } }],
                    "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
                }] },
            },
        },
    })
}

/// Waits until an object is as wanted; a missing one is `None`.
async fn until<K>(api: Api<K>, name: &str, wanted: impl Fn(Option<&K>) -> bool) -> Option<K>
where
    K: Clone + std::fmt::Debug + Send + DeserializeOwned + kube::Resource + 'static,
{
    let waiting = await_condition(api, name, move |object: Option<&K>| wanted(object));
    tokio::time::timeout(LIMIT, waiting)
        .await
        .unwrap_or_else(|_| panic!("{name} never was as wanted"))
        .unwrap()
}

async fn running(api: &Api<Pod>, name: &str) -> Pod {
    until(api.clone(), name, |pod| pod.is_some_and(ready)).await.unwrap()
}

fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

async fn rolled_out(api: &Api<Deployment>, name: &str) -> Deployment {
    until(api.clone(), name, |deployment| {
        deployment.is_some_and(|deployment| {
            let status = deployment.status.as_ref();
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            status.is_some_and(|status| {
                status.observed_generation == deployment.metadata.generation
                    && status.updated_replicas == wanted
                    && status.replicas == wanted
                    && status.available_replicas == wanted
            })
        })
    })
    .await
    .unwrap()
}

/// The answer of the pod's door.
async fn ask(ip: &str) -> String {
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect((ip, 8080)).await.ok()?;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text.rsplit("\r\n").next().unwrap_or_default().to_string())
    };
    tokio::time::timeout(LIMIT, exchange).await.unwrap().unwrap_or_default()
}

fn ip(pod: &Pod) -> String {
    pod.status.as_ref().unwrap().pod_ip.clone().unwrap()
}

fn code(error: kube::Error) -> (u16, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("not an answer of the API: {other}"),
    }
}
