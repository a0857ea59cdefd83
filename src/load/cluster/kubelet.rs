//! Asks kubelets about their pods, through the API server's proxy of nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::descriptors;
use super::figures::{self, Figures};
use crate::world::kube_error::kube_error;

/// Longest time of a call.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The permission needed to query kubelets.
const PROXY_RULE: &str = "a ClusterRole with `get` on `nodes/proxy` would allow it";

/// Why a kubelet says nothing.
pub enum Silent {
    Forbidden(String),
    /// It has no such figures.
    Absent(String),
    Failed(String),
}

/// What a node's kubelet says of a namespace's pods.
pub async fn summary(client: &kube::Client, node: &str, namespace: &str) -> Result<Vec<Figures>, Silent> {
    let doing = "processor time and memory of pods could not be read";
    let text = ask(client, node, "stats/summary", doing).await?;
    figures::read(&text, namespace).map_err(|why| Silent::Failed(format!("{doing} from node {node}: {why}")))
}

/// Open descriptors of a namespace's pods, as a node's kubelet counts them.
pub async fn counted(client: &kube::Client, node: &str, namespace: &str) -> Result<BTreeMap<String, u64>, Silent> {
    let doing = "descriptors of pods could not be read";
    let text = ask(client, node, "metrics/cadvisor", doing).await?;
    Ok(descriptors::read(&text, namespace))
}

/// What a node's kubelet says under a path.
async fn ask(client: &kube::Client, node: &str, path: &str, doing: &str) -> Result<String, Silent> {
    let failed = |why: &dyn std::fmt::Display| Silent::Failed(format!("{doing} from node {node}: {why}"));
    let request = http::Request::get(format!("/api/v1/nodes/{node}/proxy/{path}"))
        .body(Vec::new())
        .map_err(|error| failed(&error))?;
    match timeout(ANSWER_WITHIN, client.request_text(request)).await {
        Ok(Ok(text)) => Ok(text),
        // The same of all nodes, and so without the node's name.
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            Err(Silent::Forbidden(format!("{doing} (403 Forbidden); {PROXY_RULE}")))
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(Silent::Absent(format!(
            "{doing}: the kubelet of node {node} has no {path} (404 Not Found)"
        ))),
        Ok(Err(error)) => Err(failed(&kube_error(&error))),
        Err(_) => Err(failed(&format!("no answer within {} s", ANSWER_WITHIN.as_secs()))),
    }
}
