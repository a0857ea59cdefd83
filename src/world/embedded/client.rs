//! `kube::Client`s for this cluster's API server.

use std::net::SocketAddr;

use http::{HeaderValue, Request};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use tower::util::MapRequestLayer;
use tracing::debug;

use super::StartError;

/// Makes clients that share their connections.
#[derive(Clone)]
pub struct Clients {
    http: HttpClient<HttpConnector, Body>,
    config: kube::Config,
    /// The one that most ask for.
    default: kube::Client,
}

impl Clients {
    /// Clients for the API server at `address`, over plain HTTP.
    ///
    /// Put together by hand: `Client::try_from` would load the system's root certificates,
    /// which takes longer than a whole world, and ask for a process-wide TLS provider.
    pub fn new(address: SocketAddr, token: &str) -> Result<Clients, StartError> {
        let url = format!("http://{address}")
            .parse()
            .map_err(|why| StartError::new("address", why))?;
        let mut config = kube::Config::new(url);
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|why| StartError::new("token", why))?;
        bearer.set_sensitive(true);
        config.headers.push((http::header::AUTHORIZATION, bearer));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = HttpClient::builder(TokioExecutor::new()).build(connector);
        let default = build(&http, &config, "default")?;
        Ok(Clients { http, config, default })
    }

    pub fn default(&self) -> kube::Client {
        self.default.clone()
    }

    /// A client whose default namespace is `namespace`, as one in a pod there has.
    pub fn of(&self, namespace: &str) -> kube::Client {
        if namespace == self.default.default_namespace() {
            return self.default.clone();
        }
        // The same parts made the first one.
        build(&self.http, &self.config, namespace).unwrap_or_else(|_| self.default.clone())
    }
}

fn build(
    http: &HttpClient<HttpConnector, Body>,
    config: &kube::Config,
    namespace: &str,
) -> Result<kube::Client, StartError> {
    let headers = config
        .extra_headers_layer()
        .map_err(|why| StartError::new("client", why))?;
    Ok(ClientBuilder::new(http.clone(), namespace)
        .with_layer(&MapRequestLayer::new(told))
        .with_layer(&config.base_uri_layer())
        .with_layer(&headers)
        .build())
}

/// As the clients of kube's own making tell what they ask.
fn told(request: Request<Body>) -> Request<Body> {
    debug!(method = %request.method(), url = %request.uri(), "requesting");
    request
}
