//! Waits for an object by watching it, and tolerates a server that fails temporarily.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::Api;
use kube::runtime::wait::{Condition, Error, await_condition};
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::kube_error::kube_error;

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Why something was waited for in vain.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    #[error("condition not met within {0:?}")]
    Late(Duration),
    #[error("{}", kube_error(.0))]
    Asking(#[from] Error),
}

/// Waits until a condition holds for the object of that name; returns the object, none if it is gone.
///
/// A watch that is too old, a server that has too much to do or does not answer: it is begun again.
pub async fn until<K>(
    api: &Api<K>,
    name: &str,
    condition: impl Condition<K>,
    within: Duration,
) -> Result<Option<K>, WaitError>
where
    K: Clone + Debug + Send + DeserializeOwned + kube::Resource + 'static,
    K::DynamicType: Default,
{
    let deadline = Instant::now() + within;
    loop {
        let holds = |object: Option<&K>| condition.matches_object(object);
        match timeout_at(deadline, await_condition(api.clone(), name, holds)).await {
            Ok(Ok(object)) => return Ok(object),
            Ok(Err(error)) if !may_pass(&error) => return Err(error.into()),
            Ok(Err(error)) if Instant::now() + PAUSE > deadline => return Err(error.into()),
            Ok(Err(_)) => sleep(PAUSE).await,
            Err(_) => return Err(WaitError::Late(within)),
        }
    }
}

fn may_pass(Error::ProbeFailed(error): &Error) -> bool {
    match error {
        // 410 Gone: what it had seen last is too long ago.
        watcher::Error::WatchError(status) => matches!(status.code, 410 | 429 | 500..),
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => is_passing(error),
        watcher::Error::NoResourceVersion => false,
    }
}

/// How long something is tried again that is to be put back or taken away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bears bad moments of a server: what is to be put back is worth some time.
pub struct Patience {
    ends: Instant,
    pause: Duration,
}

impl Patience {
    pub fn begun() -> Patience {
        Patience {
            ends: Instant::now() + PATIENCE,
            pause: Duration::from_millis(100),
        }
    }

    /// Whether to try again, after a pause, what may succeed a moment later.
    pub async fn bears(&mut self, may_pass: bool) -> bool {
        if !may_pass || Instant::now() + self.pause > self.ends {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(5));
        true
    }
}

/// Whether the same may succeed a moment later: nobody answered, or the server has too much to do.
pub fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 410 | 429 | 500..),
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => true,
        _ => false,
    }
}
