//! Worker processes: one load from several, on one machine or in a cluster's pods.
//!
//! A protocol of lines of JSON, over a worker's standard input and output or any other stream:
//!
//! ```text
//! coordinator                      worker
//!   prepare (protocol, assignment) ─►
//!                                  ◄─ ready (protocol)
//!   start ─►                           opens its part of the schedule
//!                                  ◄─ second …      each second: a heartbeat, with what happened in it
//!                                  ◄─ settled       all of its attaches are open or have failed
//!   hold ─►                            once all workers have settled: the steady part
//!   stop ─►                            at any time: ends with what was measured
//!                                  ◄─ done          counts and histograms, to be merged without loss
//! ```
//!
//! A worker whose coordinator goes away ends. A worker that goes away, or says nothing for long, is said to be lost:
//! its part is never left out silently.

mod assignment;
mod serve;
mod team;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::outcome::{Costs, Ending, Outcome};
use super::recorder::{Recorded, Second};

pub use assignment::{Assignment, Named, PlanError, Terminal, Tls};
pub use serve::{WorkerError, serve};
pub use team::{IfLost, Member, TeamError, run};

/// The protocol's version: workers and coordinators of different versions don't work together.
pub const PROTOCOL: u32 = 5;

/// A coordinator's message.
#[derive(Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
enum Order {
    /// The assignment is read once it is known to be of the same protocol.
    Prepare {
        protocol: u32,
        assignment: Value,
    },
    Start,
    Hold,
    Stop,
}

/// A worker's message.
#[derive(Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
enum Word {
    Ready {
        protocol: u32,
    },
    Second {
        second: Box<Second>,
    },
    Settled {
        open: u64,
    },
    Done {
        share: Box<Share>,
    },
    /// It can't do its part, for this reason.
    Failed {
        why: String,
    },
}

/// A worker's part of an outcome.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Share {
    recorded: Recorded,
    ending: Ending,
    most_open: u64,
    ramped: f64,
    steady: Option<(f64, f64)>,
    ended: f64,
    costs: Costs,
}

impl From<Outcome> for Share {
    fn from(outcome: Outcome) -> Share {
        Share {
            recorded: outcome.recorder.into(),
            ending: outcome.ending,
            most_open: outcome.most_open,
            ramped: outcome.ramped,
            steady: outcome.steady,
            ended: outcome.ended,
            costs: outcome.costs,
        }
    }
}

/// Writes a message as a line.
pub(super) async fn say(to: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}
