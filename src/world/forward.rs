//! Port-forwards from this machine to pods: a loopback listener for each, and for every
//! connection to it a port-forward of its own through the API server.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::world::exhausted::Exhausted;
use crate::world::kube_error::kube_error;

/// Between two tries to take a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Why there is no way to a pod.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    #[error("finding the pod: {}", kube_error(.0.as_ref()))]
    Find(#[from] Box<kube::Error>),
    #[error("a listener on loopback: {}", kube_error(.0))]
    Listen(#[from] io::Error),
}

/// The ways that are open. Dropped, they end with all that goes through them.
pub struct Forwards {
    pods: Api<Pod>,
    open: Mutex<HashMap<(String, u16), Forward>>,
}

struct Forward {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Forwards {
    pub fn new(pods: Api<Pod>) -> Forwards {
        Forwards {
            pods,
            open: Mutex::default(),
        }
    }

    /// The address on this machine that leads to one of a pod; none if no pod has it.
    pub async fn to(&self, address: SocketAddr) -> Result<Option<SocketAddr>, WayError> {
        let ip = address.ip().to_string();
        let with_ip = ListParams::default().fields(&format!("status.podIP={ip}"));
        let listed = self.pods.list(&with_ip).await.map_err(Box::new)?;
        // An address is another pod's as soon as it is free; one that has ended has none any more.
        let runs = |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        let Some(pod) = listed.items.iter().find(runs).and_then(|pod| pod.metadata.name.clone()) else {
            return Ok(None);
        };
        let key = (pod.clone(), address.port());
        if let Some(forward) = self.lock().get(&key) {
            return Ok(Some(forward.address));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let local = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, self.pods.clone(), pod, address.port()));
        let forward = Forward {
            address: local,
            _task: AbortOnDropHandle::new(task),
        };
        // Of two that came at once the first one stays.
        Ok(Some(self.lock().entry(key).or_insert(forward).address))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, u16), Forward>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, pods: Api<Pod>, pod: String, port: u16) {
    let pod: Arc<str> = pod.into();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            local = accept(&listener) => drop(connections.spawn(forward(local, pods.clone(), pod.clone(), port))),
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The next connection. Out of descriptors, it waits until some are given back, without keeping a processor busy.
pub async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                Exhausted::note(&error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// One connection. Where the pod can't be reached it is reset, as it would be by the pod's machine; where it is this
/// machine that can't, it waits: a reset would be taken for the pod's.
async fn forward(mut local: TcpStream, pods: Api<Pod>, pod: Arc<str>, port: u16) {
    let reset = |local: &TcpStream| drop(local.set_zero_linger());
    let mut forwarder = loop {
        match pods.portforward(&pod, &[port]).await {
            Ok(forwarder) => break forwarder,
            Err(error) if Exhausted::note(&error).is_some() => tokio::time::sleep(PAUSE).await,
            Err(_) => return reset(&local),
        }
    };
    let (Some(mut remote), Some(refused)) = (forwarder.take_stream(port), forwarder.take_error(port)) else {
        return reset(&local);
    };
    let _nodelay = local.set_nodelay(true);
    tokio::select! {
        _ended = copy_bidirectional(&mut local, &mut remote) => {}
        Some(_) = refused => reset(&local),
    }
    drop(remote);
    // Ends the connection to the API server as well.
    forwarder.abort();
}
