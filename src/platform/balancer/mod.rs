//! The load balancer in front of web ("ALB"): HTTP/1.1, plain or behind TLS.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `TARGETS` | web for everything | JSON list of `{path_prefix, selector, port}`; the longest prefix wins |
//! | `STRIP_AUTHORIZATION` | true | takes `Authorization` out of upgrades, and only there |
//! | `IDLE_TIMEOUT` | 60s | a tunnel without a byte either way for so long is cut |
//! | `PORT` | 8080 | plain; with TLS it refuses everything |
//! | `TLS_CERT`, `TLS_KEY`, `TLS_PORT` | none, none, 8443 | PEM; both or neither |
//! | `HEALTH_PORT` | 8082 | its own `/healthz` and `/metrics`: all paths of the others are the backends' |
//!
//! With TLS the plain port answers 403 and neither forwards nor redirects: a
//! redirect would repeat the token to whoever reads along (ASVS 5 4.4.1).

mod forward;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, LOCATION};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::backends::Backends;
use super::http::{Answer, Handler, Server, error};
use super::{ComponentError, Pod, mutant};
use forward::Forwarder;

/// Where requests go that nothing else is said of.
const TARGETS: &str = r#"[{"path_prefix":"/","selector":"app=litellm-web","port":3000}]"#;

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let tls = acceptor(&pod)?;
    let backends = Arc::new(Backends::new(&pod, TARGETS)?);
    let forwarder = Arc::new(Forwarder::new(&pod, backends.clone())?);
    let server = Server::new(&pod, Duration::from_secs(60))?;
    let (port, tls_port) = (pod.number("PORT", 8080)?, pod.number("TLS_PORT", 8443)?);
    let health = Arc::new(Health(server.clone()));
    let health = server.serve(pod.listen(pod.number("HEALTH_PORT", 8082)?).await?, health);
    let plain = pod.listen(port).await?;
    pod.log.line(format!("balancer: on port {port}"));
    let serve = async {
        match tls {
            None => {
                server
                    .serve(
                        plain,
                        Arc::new(Front {
                            forwarder,
                            proto: "http",
                        }),
                    )
                    .await
            }
            Some(acceptor) => {
                let secure = pod.listen(tls_port).await?;
                pod.log.line(format!("balancer: TLS on port {tls_port}"));
                let handshake = move |stream: TcpStream| {
                    let acceptor = acceptor.clone();
                    async move { acceptor.accept(stream).await }
                };
                let front = Arc::new(Front {
                    forwarder: forwarder.clone(),
                    proto: "https",
                });
                let refusing = Arc::new(PlainRefused {
                    pod: pod.clone(),
                    forwarder,
                    tls_port,
                });
                tokio::try_join!(
                    server.serve_with(secure, front, handshake),
                    server.serve(plain, refusing)
                )
                .map(|_| ())
            }
        }
    };
    tokio::select! {
        served = async { tokio::try_join!(serve, health) } => served.map(|_| ()),
        followed = backends.follow(&pod) => followed,
    }
}

/// A request to the port that is open to the world.
struct Front {
    forwarder: Arc<Forwarder>,
    proto: &'static str,
}

impl Handler for Front {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        self.forwarder.forward(request, peer, self.proto).await
    }
}

/// The plain port when there is one with TLS.
struct PlainRefused {
    pod: Pod,
    forwarder: Arc<Forwarder>,
    tls_port: u16,
}

impl Handler for PlainRefused {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        if self.pod.has(&mutant::PLAIN_PORT_FORWARDS) {
            return self.forwarder.forward(request, peer, "http").await;
        }
        if self.pod.has(&mutant::PLAIN_PORT_REDIRECTS_TOKEN) {
            let host = request
                .headers()
                .get(HOST)
                .and_then(|host| host.to_str().ok())
                .unwrap_or("");
            let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
            let location = format!("https://{host}:{}{}", self.tls_port, request.uri());
            if let Ok(location) = HeaderValue::from_str(&location) {
                return error(StatusCode::PERMANENT_REDIRECT, "use TLS")
                    .with(LOCATION, location)
                    .closing()
                    .into();
            }
        }
        error(StatusCode::FORBIDDEN, "TLS is needed").closing().into()
    }
}

/// The balancer's own state.
struct Health(Arc<Server>);

impl Handler for Health {
    async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        let common = self.0.common(request.method(), request.uri().path());
        common.map_or_else(|| error(StatusCode::NOT_FOUND, "not found").into(), Answer::from)
    }
}

/// TLS, if a certificate and a key are given.
fn acceptor(pod: &Pod) -> Result<Option<TlsAcceptor>, ComponentError> {
    let given = |name| pod.var(name).filter(|pem| !pem.trim().is_empty());
    let (certificate, key) = match (given("TLS_CERT"), given("TLS_KEY")) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err(ComponentError("TLS_CERT and TLS_KEY go together".into())),
    };
    let certificates = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ComponentError(format!("TLS_CERT: {error}")))?;
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| ComponentError(format!("TLS_KEY: {error}")))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ComponentError(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| ComponentError(format!("TLS_CERT and TLS_KEY: {error}")))?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
