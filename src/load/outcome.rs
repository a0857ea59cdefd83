//! The outcome of a load, before it is judged.

use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::recorder::Recorder;

/// How a load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// As planned.
    Complete,
    /// It was stopped.
    Stopped,
}

/// The outcome of a load.
pub struct Outcome {
    pub recorder: Recorder,
    pub ending: Ending,
    /// Most terminals that were open at once.
    pub most_open: u64,
    /// Seconds since the load began: the last start, the steady part, the end.
    pub ramped: f64,
    pub steady: Option<(f64, f64)>,
    pub ended: f64,
    pub costs: Costs,
    /// Processes that made the load.
    pub processes: u32,
    /// Workers whose part is missing, in words.
    pub lost_workers: Vec<String>,
    /// The condition that ended it early, in words.
    pub aborted: Option<String>,
}

/// The engine's own process at the turns of a load.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    pub before: Cost,
    /// When the steady part began.
    pub held: Option<Cost>,
    /// When it ended.
    pub after: Option<Cost>,
    pub end: Cost,
}
