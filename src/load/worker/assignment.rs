//! A worker's assignment: its part of a load.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

use crate::load::model::Model;
use crate::load::plan::{Door, PARAMETER, Plan, Target};
pub use crate::load::resolution::Named;
use crate::load::resolution::Resolution;
use crate::load::schedule::Arrivals;
use crate::load::url::{ResolveError, resolve};
use crate::trust::{Trust, TrustError};

/// The parts of a load. They contain the tokens, so they don't print.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assignment {
    pub addresses: Vec<SocketAddr>,
    /// The name that the worker resolves itself, instead of addresses: names of a cluster lead somewhere only there.
    pub named: Option<Named>,
    pub resolution: Resolution,
    pub sources: Vec<IpAddr>,
    pub tls: Option<Tls>,
    /// As the `Host` field has it.
    pub authority: String,
    pub headers: Vec<(String, String)>,
    /// The targets of attaches, in turn.
    pub terminals: Vec<Terminal>,
    pub wrong: String,
    pub old: Option<String>,
    pub attaches: u32,
    pub model: Model,
    pub arrivals: Arrivals,
    pub hold: Duration,
    pub echo_every: Option<Duration>,
    pub probe_every: Option<Duration>,
    pub deadline: Duration,
    pub first_tag: u32,
    pub seed: u64,
    pub turn: u32,
    pub workers: u32,
}

/// A terminal, with the token for it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terminal {
    /// With the query that it has without a token.
    pub path: String,
    pub right: String,
}

/// How a door's certificate is judged.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    pub host: String,
    /// Further authorities, PEM.
    pub ca: Option<String>,
    /// Any certificate is taken.
    pub insecure: bool,
}

/// Why an assignment is nothing that can be done.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("{0} isn't a name that a certificate can have")]
    Name(String),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl Assignment {
    /// The plan of a worker, with the addresses that its names have here.
    ///
    /// # Errors
    /// A name that leads nowhere, or where no load may go; certificates that can't be judged.
    pub async fn located(mut self) -> Result<Plan, PlanError> {
        if let Some(Named { host, port, owned }) = self.named.take() {
            let began = Instant::now();
            self.addresses = resolve(&host, port, owned).await?;
            if let Resolution::Once(took) = &mut self.resolution {
                *took = began.elapsed();
            }
        }
        self.plan()
    }

    /// # Errors
    /// Certificates that can't be judged.
    pub fn plan(&self) -> Result<Plan, PlanError> {
        let door = |terminal: &Terminal| {
            let target = Target {
                path: &terminal.path,
                parameter: PARAMETER,
                right: &terminal.right,
                wrong: &self.wrong,
                old: self.old.as_deref(),
            };
            Door::new(&self.authority, &target, &self.headers)
        };
        Ok(Plan {
            addresses: self.addresses.clone(),
            resolution: self.resolution.clone(),
            sources: self.sources.clone(),
            tls: self.tls.as_ref().map(Tls::client).transpose()?,
            doors: self.terminals.iter().map(door).collect(),
            attaches: self.attaches,
            model: self.model,
            arrivals: self.arrivals.clone(),
            hold: self.hold,
            echo_every: self.echo_every,
            // One process alone has all attaches at one terminal.
            fan_out: false,
            probe_every: self.probe_every,
            deadline: self.deadline,
            first_tag: self.first_tag,
            seed: self.seed,
            turn: self.turn,
            workers: self.workers,
        })
    }

    /// The part of one of several workers.
    pub fn part(&self, turn: u32, workers: u32) -> Assignment {
        let resolution = match &self.resolution {
            // It was resolved here, and the first worker tells it for all.
            Resolution::Once(_) if turn > 0 && self.named.is_none() => Resolution::Nothing,
            other => other.clone(),
        };
        Assignment {
            resolution,
            turn,
            workers,
            ..self.clone()
        }
    }
}

impl Tls {
    fn client(&self) -> Result<(Arc<rustls::ClientConfig>, ServerName<'static>), PlanError> {
        let name = ServerName::try_from(self.host.clone()).map_err(|_| PlanError::Name(self.host.clone()))?;
        Ok((Arc::new(self.trust().client_config()?), name))
    }

    pub fn trust(&self) -> Trust {
        match self.insecure {
            true => Trust::Anybody,
            false => Trust::Machine { and: self.ca.clone() },
        }
    }
}
