//! Load: thousands of concurrent attaches to the terminal's door, and the search for its capacity.
//!
//! ```text
//! schedule ─► engine (one thread, epoll) ─► recorder ─► result ─► objectives, summary, reports
//!               └─ attach: connect, TLS, handshake, frames, echo
//! ```

pub mod abort;
mod attach;
pub mod capacity;
mod clock;
pub mod cluster;
mod compare;
mod control;
mod cost;
mod echo;
mod engine;
mod failure;
mod fan_out;
mod first_byte;
pub mod frames;
mod handshake;
pub mod http;
mod metric;
mod model;
mod needs;
pub mod objective;
mod outcome;
mod plan;
mod progress;
mod recorder;
mod reference;
mod report;
mod resolution;
pub mod result;
#[cfg(test)]
mod sample;
pub mod schedule;
mod session_api;
mod sessions;
mod shared;
mod summary;
mod timers;
mod transport;
mod url;
pub mod worker;

pub use compare::{Comparison, Limit, Saved};
pub use control::{Control, Course};
pub use cost::Cost;
pub use echo::{Finder, RUB_OUT, TAGS, nonce};
pub use engine::{EngineError, SpawnError, run, spawn};
pub use failure::Failure;
pub use first_byte::FirstByte;
pub use metric::{HistogramError, Histograms, Metric};
pub use model::Model;
pub use needs::Needs;
pub use outcome::{Ending, Outcome};
pub use plan::{Door, Plan, Target};
pub use progress::Progress;
pub use recorder::{Recorder, Second};
pub use reference::{EACH, Reference, ReferenceError, Settings as ReferenceSettings};
pub use report::{LoadFormat, LoadReportSpec, RenderError, render};
pub use resolution::Resolution;
pub use result::LoadResult;
pub use session_api::{SessionApi, SessionApiError, Way};
pub use sessions::{Made, MakeError, Order, Sessions};
pub use summary::{summary, tick, times};
pub use url::{Place, PlaceError, ResolveError, is_itself, is_private, is_secret, is_service, public_network, resolve};
