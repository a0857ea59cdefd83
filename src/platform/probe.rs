//! A backend that answers every request with what it received: what is behind
//! the balancer sees what the balancer let through (rows alb/strip, alb/both).
//!
//! `200 {method, path, query, headers: [[name, value], …]}`, for upgrades too:
//! a probe never switches protocols.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use tokio::net::TcpListener;

use super::http::{Answer, Handler, Server};
use super::{ComponentError, Pod};

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let port = pod.number("PORT", 8081)?;
    let listener = pod.listen(port).await?;
    pod.log.line(format!("probe: on port {port}"));
    serve(&pod, listener).await
}

/// Answers on a port that is open, until the pod is to stop.
pub async fn serve(pod: &Pod, listener: TcpListener) -> Result<(), ComponentError> {
    Server::new(pod, Duration::from_secs(1))?
        .serve(listener, Arc::new(Probe))
        .await
}

struct Probe;

impl Handler for Probe {
    async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        let headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
            .collect();
        let seen = json!({
            "method": request.method().as_str(),
            "path": request.uri().path(),
            "query": request.uri().query(),
            "headers": headers,
        });
        super::http::json(StatusCode::OK, &seen).into()
    }
}
