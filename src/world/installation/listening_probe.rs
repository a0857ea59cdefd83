//! The harness's own backend behind somebody else's balancer, as long as a run goes on: it answers each request with what
//! it received.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::platform::pod::Log;
use crate::platform::{Mounts, Pod, probe};
use crate::trust::TrustError;
use crate::vocabulary::Road;
use crate::world::World;
use crate::world::roads::{RoadError, door};

/// Time limit for the balancer's answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Why the backend sees nothing of what the balancer lets through.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("--probe-listen {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    Road(#[from] RoadError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("asking the balancer for what is behind it: {0}")]
    Asking(#[from] reqwest::Error),
    #[error(
        "the balancer answers {status} to {path}, and does not lead it to --probe-listen {address}: it has to lead \
         there whatever begins with {below}/"
    )]
    Elsewhere {
        address: SocketAddr,
        path: String,
        below: String,
        status: u16,
    },
}

/// A backend that listens. Dropped, it ends.
#[derive(Debug)]
pub struct ListeningProbe {
    address: SocketAddr,
    _stop: DropGuard,
}

impl ListeningProbe {
    /// Listens at an address of this machine.
    pub async fn at(address: SocketAddr) -> Result<ListeningProbe, ProbeError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ProbeError::Listen { address, source })?;
        let stop = CancellationToken::new();
        let pod = Pod {
            env: Arc::default(),
            args: Arc::default(),
            ip: address.ip(),
            log: Log::new(|line| tracing::debug!("{line}")),
            mounts: Mounts::default(),
            kubernetes: None,
            stop: stop.clone(),
        };
        tokio::spawn(async move {
            if let Err(error) = probe::serve(&pod, listener).await {
                tracing::error!(%error, "the backend behind the balancer ended");
            }
        });
        Ok(ListeningProbe {
            address,
            _stop: stop.drop_guard(),
        })
    }

    /// Whether the balancer leads to it: nothing could be said of one that doesn't.
    pub async fn is_behind_the_balancer(&self, world: &World) -> Result<(), ProbeError> {
        let balancer = door(world, Road::Balancer, None).await?;
        let below = world.name("probe.path").to_owned();
        let path = format!("{below}/{:016x}", rand::random::<u64>());
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .resolve(balancer.name(), balancer.way)
            .tls_backend_preconfigured(world.trust.client_config()?)
            .build()?;
        let answer = client
            .get(balancer.way_url(&path))
            .header("Host", &balancer.host)
            .timeout(ANSWERS_WITHIN)
            .send()
            .await?;
        let status = answer.status().as_u16();
        let seen: Value = answer.json().await.unwrap_or_default();
        match seen["path"] == path.as_str() {
            true => Ok(()),
            false => Err(ProbeError::Elsewhere {
                address: self.address,
                path,
                below,
                status,
            }),
        }
    }
}
