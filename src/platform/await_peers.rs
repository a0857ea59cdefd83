//! Runs before a real gateway: waits until its backends can be reached from its node.
//!
//! | variable | meaning |
//! |---|---|
//! | `PEERS` | `host:port`, separated by commas |
//!
//! A Service leads to pods that are ready a moment after they are: until the node's rules are written its
//! address refuses connections, which would look like a broken platform.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{ComponentError, Pod};

/// Time between two tries, and the longest that one takes.
const PAUSE: Duration = Duration::from_millis(50);
const TRY: Duration = Duration::from_millis(500);

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    for peer in pod.var_or("PEERS", "").split(',').filter(|peer| !peer.is_empty()) {
        pod.log.line(format!("await-peers: waiting for {peer}"));
        let reached = async {
            while !matches!(timeout(TRY, TcpStream::connect(peer)).await, Ok(Ok(_))) {
                sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = reached => {}
            () = pod.stop.cancelled() => return Ok(()),
        }
    }
    Ok(())
}
