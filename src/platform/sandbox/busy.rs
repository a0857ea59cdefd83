//! State that the mutants of load share between connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use http::{Request, Uri};

use super::super::{Mutant, Pod, mutant};
use super::capacity::Capacity;

/// How long a decision is kept.
const KEPT: Duration = Duration::from_millis(200);

/// How long a target lies where all connections have theirs: several handshakes of a load.
const LIES: Duration = Duration::from_millis(20);

/// What an upgrade takes while the others wait for it.
const TURN: Duration = Duration::from_millis(20);

pub struct Busy {
    pod: Pod,
    capacity: Arc<Capacity>,
    /// When it was decided whether those of an address may come in.
    decisions: Mutex<HashMap<IpAddr, (Instant, bool)>>,
    /// The last request's target, of any client.
    target: Mutex<Option<Uri>>,
    /// Held by the upgrade whose turn it is.
    turn: tokio::sync::Mutex<()>,
}

impl Busy {
    pub fn new(pod: &Pod, capacity: Arc<Capacity>) -> Busy {
        Busy {
            pod: pod.clone(),
            capacity,
            decisions: Mutex::default(),
            target: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Whether a mutant that goes wrong under load does so now.
    pub fn is(&self, mutant: &Mutant) -> bool {
        self.capacity.open() > mutant::MANY && self.pod.has(mutant)
    }

    /// The mutant `decision-cached-by-address`: what was decided of somebody else of this address a moment ago.
    pub fn decision(&self, address: IpAddr) -> Option<bool> {
        let (at, opens) = *lock(&self.decisions).get(&address)?;
        (at.elapsed() < KEPT).then_some(opens)
    }

    pub fn decided(&self, address: IpAddr, opens: bool) {
        lock(&self.decisions).insert(address, (Instant::now(), opens));
    }

    /// The mutant `token-of-another-connection`: who comes meanwhile leaves another target.
    pub async fn mix_up<B>(&self, request: &mut Request<B>) {
        *lock(&self.target) = Some(request.uri().clone());
        tokio::time::sleep(LIES).await;
        let left = lock(&self.target).clone();
        if let Some(target) = left {
            *request.uri_mut() = target;
        }
    }

    /// The mutant `upgrades-one-by-one`: whoever came before is served first.
    pub async fn queue(&self) {
        let _turn = self.turn.lock().await;
        tokio::time::sleep(TURN).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
