//! UpstreamSlots: a gateway's backends. Each world has its own slot while it lives.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::AUTHORIZER_TIMEOUT;
use crate::vocabulary::Road;
use crate::world::embedded::Address;

/// Where a gateway's requests go: `host:port` of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hops {
    pub service: String,
    /// None: there is no policy, so access control isn't asked.
    pub access_control: Option<String>,
}

/// A gateway's configuration of the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub agents: String,
    pub health: String,
    /// Access control is asked about the path appended to it.
    pub auth: String,
    /// How long access control may take, as `1s`.
    pub authorizer_timeout: String,
}

impl Route {
    /// The configuration for a platform with these names.
    pub fn of(names: &BTreeMap<String, String>) -> Route {
        let name = |of: &str| names.get(of).cloned().unwrap_or_default();
        Route {
            agents: name("agents.path"),
            health: name("agents.health-path"),
            auth: name("access-control.path"),
            authorizer_timeout: AUTHORIZER_TIMEOUT.into(),
        }
    }
}

/// The addresses of a slot, which are nobody else's on this machine.
pub struct Addresses {
    pub service: Address,
    pub access_control: Address,
    /// The gateways' own.
    pub front: Address,
}

impl Addresses {
    pub fn reserve() -> std::io::Result<Addresses> {
        Ok(Addresses {
            service: Address::reserve()?,
            access_control: Address::reserve()?,
            front: Address::reserve()?,
        })
    }
}

/// All slots, and which of them are free.
pub struct UpstreamSlots {
    all: Vec<Addresses>,
    free: Mutex<Vec<usize>>,
    permits: Arc<Semaphore>,
}

impl UpstreamSlots {
    pub fn new(all: Vec<Addresses>) -> Arc<UpstreamSlots> {
        Arc::new(UpstreamSlots {
            free: Mutex::new((0..all.len()).collect()),
            permits: Arc::new(Semaphore::new(all.len())),
            all,
        })
    }

    pub fn all(&self) -> &[Addresses] {
        &self.all
    }

    /// One that is free, waited for.
    pub async fn take(self: &Arc<UpstreamSlots>) -> UpstreamSlot {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let index = self.lock().pop().expect("there are as many free slots as permits");
        UpstreamSlot {
            slots: self.clone(),
            index,
            fronts: BTreeMap::new(),
            logs: Vec::new(),
            _permit: permit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gateway's port on a slot, the name of its file, and the part of it that is the slot's.
type Front = (u16, &'static str, String);

/// A slot that is taken. Dropped, it is free again.
pub struct UpstreamSlot {
    slots: Arc<UpstreamSlots>,
    index: usize,
    fronts: BTreeMap<Road, Front>,
    logs: Vec<(Road, PathBuf)>,
    /// Given back after the index: fields are dropped when `drop` is done.
    _permit: OwnedSemaphorePermit,
}

impl UpstreamSlot {
    /// The same with gateways that lead to it, and the files that they log to.
    pub fn with(mut self, fronts: BTreeMap<Road, Front>, logs: Vec<(Road, PathBuf)>) -> UpstreamSlot {
        self.fronts = fronts;
        self.logs = logs;
        self
    }

    /// The address that the agent service's pod is to have.
    pub fn service(&self) -> Ipv4Addr {
        self.addresses().service.ip
    }

    /// The address that access control's pod is to have.
    pub fn access_control(&self) -> Ipv4Addr {
        self.addresses().access_control.ip
    }

    /// Where the gateway of a road takes its requests.
    pub fn front(&self, road: Road) -> Option<SocketAddr> {
        let (port, ..) = self.fronts.get(&road)?;
        Some(SocketAddr::from((self.addresses().front.ip, *port)))
    }

    /// The configurations of its gateways, by their files' names.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let files = self.fronts.values();
        files.map(|(_, file, text)| (*file, text.clone())).collect()
    }

    /// The files that its gateways log to, those of other slots' requests too.
    pub fn logs(&self) -> &[(Road, PathBuf)] {
        &self.logs
    }

    pub fn addresses(&self) -> &Addresses {
        &self.slots.all[self.index]
    }
}

impl Drop for UpstreamSlot {
    fn drop(&mut self) {
        self.slots.lock().push(self.index);
    }
}
