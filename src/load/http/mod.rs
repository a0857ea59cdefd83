//! The HTTP side of a load: users of the session API and of the agent service's models, by the crate goose, in a process
//! of its own, as goose takes over the process's Ctrl-C.
//!
//! Its users wait for each answer before they ask again. A slow door slows them down, and what they measure is of a
//! closed model: from when a request was sent, and not from when it should have been.
//!
//! ```text
//! coordinator                      worker
//!   the task, as JSON ─►
//!   start ─►                           its users begin
//!   stop ─►                            they end what they are at, sessions that they made are deleted
//!                                  ◄─ done, as JSON (or failed, with why)
//! ```
//!
//! A worker whose coordinator goes away stops as if it was told to.

#[cfg(feature = "goose")]
mod answer;
#[cfg(feature = "goose")]
mod drive;
#[cfg(feature = "goose")]
mod judge;
mod result;
mod table;
#[cfg(feature = "goose")]
mod users;
mod verdict;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(feature = "goose")]
pub use drive::serve;
pub use result::{Example, HttpResult, Lost, LostWorker, Measured, Requests};
pub use table::{COLUMNS, TITLE};

/// Why a build without goose has no HTTP side, and what has one; `None` if it is there.
pub const MISSING: Option<&str> = if cfg!(feature = "goose") {
    None
} else {
    Some("this build leaves out goose, which drives the HTTP side: `cargo build --release` builds it in")
};

/// Why a worker of the HTTP side can't go on. The platform has no part in it.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// This build's.
    #[error("{}", MISSING.unwrap_or_default())]
    Missing,
    /// The coordinator's. The line itself isn't shown: it has the secrets in it.
    #[error("the coordinator sent an invalid task")]
    NoTask,
    /// The coordinator's.
    #[error("the coordinator sent an unknown order")]
    NoOrder,
    #[error("reading the coordinator's orders: {0}")]
    Reading(#[source] std::io::Error),
    #[error("telling the coordinator: {0}")]
    Telling(#[source] std::io::Error),
}

/// Stands in for the worker in a build without goose: says that there is none.
///
/// # Errors
/// Always: [`MISSING`].
#[cfg(not(feature = "goose"))]
pub async fn serve(
    _orders: impl tokio::io::AsyncBufRead + Unpin,
    _words: impl tokio::io::AsyncWrite + Unpin,
) -> Result<(), ServeError> {
    Err(ServeError::Missing)
}

/// A JWT like this one, with another signature; none if it isn't one.
///
/// The very last character may be half padding, so that a decoder may ignore a part of it: four are changed, and stay
/// what base64url has.
pub fn with_bad_signature(jwt: &str) -> Option<String> {
    let (signed, signature) = jwt.rsplit_once('.')?;
    let signed_parts = signed.split('.').filter(|part| !part.is_empty()).count();
    if signed_parts != 2 || signed.split('.').count() != 2 || !signature.is_ascii() || signature.len() < 8 {
        return None;
    }
    let (kept, changed) = signature.split_at(signature.len() - 4);
    // Both end in zero bits, which is what a canonical last character has.
    let changed: String = changed.chars().map(|c| if c == 'A' { 'Q' } else { 'A' }).collect();
    Some(format!("{signed}.{kept}{changed}"))
}

/// A worker's task. It contains secrets, so it doesn't print.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Task {
    pub users: u32,
    pub api: Option<Api>,
    pub models: Option<Models>,
    /// Further authorities of certificates, PEM.
    pub ca: Option<String>,
    /// Any certificate is taken.
    pub insecure: bool,
    /// Longest time of a request, and of a session until it is ready.
    pub deadline: Duration,
}

impl Task {
    /// Longest time from being stopped until the end: somebody may have begun to wait for one answer, and a session has
    /// to be deleted after it.
    pub fn grace(&self) -> Duration {
        self.deadline * 2 + Duration::from_secs(5)
    }
}

/// Where an API is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Site {
    /// `http://HOST:PORT`.
    pub origin: String,
    pub tls: bool,
    pub host: String,
    /// Looked up once, when it was seen whose they are.
    pub addresses: Vec<SocketAddr>,
    /// Before the paths of the contract.
    pub path: String,
}

/// The session API.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Api {
    pub site: Site,
    pub key: String,
}

/// The agent service behind its gateway.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Models {
    pub site: Site,
    pub jwt: String,
    pub bad: String,
    pub inactive: Option<String>,
}

/// A worker's final message.
#[derive(Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum Word {
    Done { measured: Box<Measured> },
    Failed { why: String },
}
