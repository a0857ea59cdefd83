//! The embedded target: the part of Kubernetes that scenarios use, in this process.
//!
//! A [`Cluster`] serves the Kubernetes API on loopback. Behind it are a store
//! of objects, the controllers of Deployments and of garbage, and a kubelet that
//! runs containers as tasks, each pod with a loopback address of its own and with real folders
//! for its volumes. All that is done to it goes through [`kube::Client`] as to any other cluster.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use gauntlet::world::embedded::{Cluster, Options};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::start(Options::new(Arc::new(|argv, pod| {
//!     Box::pin(async move {
//!         pod.log.line(format!("running {argv:?} at {}", pod.ip));
//!         pod.stop.cancelled().await;
//!         Ok(())
//!     })
//! })))
//! .await?;
//! let client = cluster.client();
//! // … kube::Api::<Deployment>::default_namespaced(client) …
//! cluster.stop().await;
//! # Ok(())
//! # }
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use kube::config::{AuthInfo, Cluster as ClusterEntry, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::net::TcpListener;

use crate::platform::{ComponentError, Pod};

mod admission;
mod api;
mod client;
mod deployment;
mod error;
mod events;
mod exec;
mod gc;
mod kinds;
mod kubelet;
mod logs;
mod object;
mod patch;
mod portforward;
mod selector;
mod server;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod tls;
mod websocket;

use client::Clients;
use kinds::Kind;
pub use kubelet::Address;
use kubelet::Kubelet;
use store::Store;
use tasks::Tasks;

/// The name of the only node.
const NODE: &str = "embedded";

/// What a container runs: gets its argv (`command` and `args` of its spec, with the paths of its volumes
/// translated) and its pod.
///
/// `Ok` is exit code 0; an error or a panic is exit code 1 with the text in the log.
/// When `pod.stop` is cancelled it should end; it is aborted when its grace period is over.
pub type Program = Arc<dyn Fn(Vec<String>, Pod) -> BoxFuture<'static, Result<(), ComponentError>> + Send + Sync>;

/// How a cluster is to be.
#[non_exhaustive]
pub struct Options {
    /// What every container runs.
    pub program: Program,
    /// Whether [`Cluster::kubeconfig`] leads to a TLS endpoint with a CA of its own.
    /// kubectl sends no token over plain HTTP.
    pub tls: bool,
}

impl Options {
    /// Without TLS.
    pub fn new(program: Program) -> Options {
        Options { program, tls: false }
    }

    /// With a TLS endpoint for kubectl.
    pub fn with_tls(mut self) -> Options {
        self.tls = true;
        self
    }
}

/// Why a cluster could not start.
#[derive(Debug, thiserror::Error)]
#[error("embedded cluster: {what}: {source}")]
pub struct StartError {
    what: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StartError {
    fn new(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StartError {
        StartError {
            what,
            source: source.into(),
        }
    }
}

/// A running cluster. It ends with [`stop`](Cluster::stop), or when it is dropped.
pub struct Cluster {
    clients: Clients,
    tasks: Tasks,
    token: SecretString,
    /// Where clients from outside of this process go, and the CA that they trust (PEM).
    endpoint: (SocketAddr, Option<String>),
}

impl Cluster {
    /// Starts an empty cluster: the namespace `default` and nothing in it.
    ///
    /// # Errors
    /// If no loopback port could be bound, or with `tls` no certificate be made.
    pub async fn start(options: Options) -> Result<Cluster, StartError> {
        let listener = bind().await?;
        let address = listener.local_addr().map_err(|why| StartError::new("listen", why))?;
        let token = format!("{:032x}", rand::random::<u128>());
        let clients = Clients::new(address, &token)?;
        let (store, garbage) = Store::new();
        let tasks = Tasks::new();
        // Before anything runs, so that a failure leaves nothing behind.
        let secure = if options.tls {
            Some((bind().await?, tls::server()?))
        } else {
            None
        };
        store
            .create(Kind::Namespace, "", json!({ "metadata": { "name": "default" } }))
            .map_err(|why| StartError::new("namespace default", why))?;

        let kubelet = Kubelet::new(store.clone(), tasks.clone(), options.program, clients.clone());
        let api = Arc::new(api::Api {
            store: store.clone(),
            kubelet: kubelet.clone(),
            tasks: tasks.clone(),
            authorization: format!("Bearer {token}"),
        });
        tasks.spawn(gc::run(store.clone(), garbage));
        tasks.spawn(deployment::run(store));
        tasks.spawn(kubelet.clone().run());
        tasks.spawn(kubelet.run_claims());
        tasks.spawn(server::run(api.clone(), listener, None));
        let mut endpoint = (address, None);
        if let Some((listener, tls::Server { acceptor, ca })) = secure {
            let address = listener.local_addr().map_err(|why| StartError::new("listen", why))?;
            endpoint = (address, Some(ca));
            tasks.spawn(server::run(api, listener, Some(acceptor)));
        }
        Ok(Cluster {
            clients,
            tasks,
            token: token.into(),
            endpoint,
        })
    }

    /// A client as any other cluster's, over TCP and with the cluster's token.
    pub fn client(&self) -> kube::Client {
        self.clients.default()
    }

    /// A kubeconfig for this cluster, token included.
    pub fn kubeconfig(&self) -> Kubeconfig {
        let name = "gauntlet".to_string();
        let (address, ca) = &self.endpoint;
        let scheme = if ca.is_some() { "https" } else { "http" };
        let cluster = ClusterEntry {
            server: Some(format!("{scheme}://{address}")),
            certificate_authority_data: ca.as_ref().map(|ca| STANDARD.encode(ca)),
            ..ClusterEntry::default()
        };
        let token = SecretString::from(self.token.expose_secret());
        let user = AuthInfo {
            token: Some(token),
            ..AuthInfo::default()
        };
        let context = Context {
            cluster: name.clone(),
            user: Some(name.clone()),
            namespace: Some("default".to_string()),
            ..Context::default()
        };
        Kubeconfig {
            api_version: Some("v1".to_string()),
            kind: Some("Config".to_string()),
            clusters: vec![NamedCluster {
                name: name.clone(),
                cluster: Some(cluster),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: name.clone(),
                auth_info: Some(user),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext {
                name: name.clone(),
                context: Some(context),
                ..NamedContext::default()
            }],
            current_context: Some(name),
            ..Kubeconfig::default()
        }
    }

    /// Ends the cluster: programs are asked to end and have a second, then everything is
    /// aborted. Returns when all tasks have ended and all sockets are closed.
    pub async fn stop(self) {
        self.tasks.end().await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
        self.tasks.tracker.close();
    }
}

async fn bind() -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(|why| StartError::new("bind", why))
}
