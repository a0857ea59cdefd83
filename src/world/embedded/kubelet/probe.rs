//! Readiness probes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::world::embedded::object::{items, text};

/// Why a container isn't ready, as a person sees it in an Event.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("unable to find port {port} of container {container}")]
    NoPort {
        /// As JSON.
        port: String,
        /// As JSON.
        container: String,
    },
    #[error("{address}: no answer within {within:?}")]
    Late { address: SocketAddr, within: Duration },
    #[error("dial tcp {address}: {source}")]
    Dial { address: SocketAddr, source: io::Error },
    #[error("Get \"{url}\": {source}")]
    Get {
        url: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("HTTP probe failed with statuscode: {0}")]
    Status(u16),
}

/// A readiness probe as the pod's spec describes it.
pub struct Probe {
    address: SocketAddr,
    /// `None` for a TCP probe.
    http: Option<(String, Vec<(String, String)>)>,
    pub initial_delay: Duration,
    pub period: Duration,
    timeout: Duration,
    pub success_threshold: u64,
    pub failure_threshold: u64,
}

impl Probe {
    /// The readiness probe of `container`; `None` if it has none.
    ///
    /// # Errors
    /// If the port has a name that the container doesn't declare.
    pub fn of(container: &Value, ip: Ipv4Addr) -> Result<Option<Probe>, ProbeError> {
        let spec = &container["readinessProbe"];
        if !spec.is_object() {
            return Ok(None);
        }
        let seconds = |field: &str, default: u64| spec[field].as_u64().unwrap_or(default);
        let handler = if spec["httpGet"].is_object() {
            &spec["httpGet"]
        } else {
            &spec["tcpSocket"]
        };
        let host = handler["host"].as_str().and_then(|host| host.parse().ok());
        let address = SocketAddr::new(host.unwrap_or(IpAddr::V4(ip)), port(container, &handler["port"])?);
        let http = spec["httpGet"].is_object().then(|| {
            let path = handler["path"].as_str().unwrap_or("/").to_string();
            let headers = items(&handler["httpHeaders"])
                .map(|header| (text(&header["name"]).to_string(), text(&header["value"]).to_string()))
                .collect();
            (path, headers)
        });
        Ok(Some(Probe {
            address,
            http,
            initial_delay: Duration::from_secs(seconds("initialDelaySeconds", 0)),
            period: Duration::from_secs(seconds("periodSeconds", 10).max(1)),
            timeout: Duration::from_secs(seconds("timeoutSeconds", 1).max(1)),
            success_threshold: seconds("successThreshold", 1).max(1),
            failure_threshold: seconds("failureThreshold", 3).max(1),
        }))
    }

    /// Probes once.
    pub async fn check(&self) -> Result<(), ProbeError> {
        match tokio::time::timeout(self.timeout, self.attempt()).await {
            Ok(result) => result,
            Err(_) => Err(ProbeError::Late {
                address: self.address,
                within: self.timeout,
            }),
        }
    }

    async fn attempt(&self) -> Result<(), ProbeError> {
        let address = self.address;
        let stream = TcpStream::connect(address)
            .await
            .map_err(|source| ProbeError::Dial { address, source })?;
        let Some((path, headers)) = &self.http else {
            return Ok(());
        };
        let failed = |source| ProbeError::Get {
            url: format!("http://{address}{path}"),
            source,
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|why| failed(why.into()))?;
        let mut request = http::Request::get(path)
            .header(http::header::HOST, address.to_string())
            .header(http::header::USER_AGENT, "kube-probe/1.34")
            .header(http::header::CONNECTION, "close");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|why| failed(why.into()))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|why| failed(why.into()))?;
            let status = response.status().as_u16();
            if (200..400).contains(&status) {
                Ok(())
            } else {
                Err(ProbeError::Status(status))
            }
        };
        tokio::pin!(exchange);
        tokio::select! {
            result = &mut exchange => result,
            // The connection only moves bytes; what its end meant the exchange says.
            _ = connection => exchange.await,
        }
    }
}

fn port(container: &Value, port: &Value) -> Result<u16, ProbeError> {
    let number = match port.as_str() {
        None => port.as_u64(),
        Some(name) => items(&container["ports"])
            .find(|port| port["name"] == name)
            .and_then(|port| port["containerPort"].as_u64())
            .or_else(|| name.parse().ok()),
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| ProbeError::NoPort {
            port: port.to_string(),
            container: container["name"].to_string(),
        })
}
