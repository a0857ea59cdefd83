//! Loads that involve a cluster: workers in its pods, the reference platform on it, and the cost to its pods.

mod descriptors;
mod figures;
mod job;
mod kubelet;
mod reference;
mod target;
mod watch;
mod workers;

pub use job::longest;
pub use reference::{DOOR, ReferencePods, ReferencePodsError};
pub use target::{PodCost, TITLE, TargetSide};
pub use watch::{Pods, Watch};
pub use workers::{LeftError, Settings as WorkerSettings, Workers, WorkersError};
