//! Waiting for changes.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Change, Store};
use crate::world::embedded::error::ApiError;
use crate::world::embedded::kinds::Kind;

/// The changes of one kind, in order, from a version on.
pub struct Changes {
    store: Arc<Store>,
    kind: Kind,
    seen: u64,
    wake: watch::Receiver<u64>,
}

impl Changes {
    pub(super) fn new(store: Arc<Store>, kind: Kind, seen: u64, wake: watch::Receiver<u64>) -> Changes {
        Changes {
            store,
            kind,
            seen,
            wake,
        }
    }

    /// The version up to which changes were handed out.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Waits for changes; at least one. Gone if this watcher was too slow for the history.
    ///
    /// Safe to cancel: nothing is lost between calls.
    pub async fn next(&mut self) -> Result<Vec<Change>, ApiError> {
        loop {
            self.wake.borrow_and_update();
            let found = self.take()?;
            if !found.is_empty() {
                return Ok(found);
            }
            if self.wake.changed().await.is_err() {
                // The store holds the sender and is held by this.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The changes that are there already, without waiting.
    pub fn ready(&mut self) -> Result<Vec<Change>, ApiError> {
        self.take()
    }

    fn take(&mut self) -> Result<Vec<Change>, ApiError> {
        let inner = self.store.lock();
        let table = &inner.tables[self.kind as usize];
        if self.seen < table.forgotten {
            return Err(ApiError::gone(self.seen, table.forgotten));
        }
        let start = table.history.partition_point(|change| change.version <= self.seen);
        let found: Vec<Change> = table.history.range(start..).cloned().collect();
        if let Some(last) = found.last() {
            self.seen = last.version;
        }
        Ok(found)
    }
}
