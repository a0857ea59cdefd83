//! The tasks of a cluster: they end with it.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts tasks and ends them together.
#[derive(Clone)]
pub struct Tasks {
    /// Cancelled when the cluster ends.
    pub stop: CancellationToken,
    pub tracker: TaskTracker,
}

impl Tasks {
    pub fn new() -> Tasks {
        Tasks {
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
        }
    }

    /// Runs `task` until it is done or the cluster ends.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Ends all tasks and waits until they have.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
