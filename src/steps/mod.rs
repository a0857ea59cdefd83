//! Verbs: what a step can do. One file per verb, or per handful that belong together.
//!
//! A verb's file has its arguments (its part of the scenario schema), its phrases (what can be expected of it in a word
//! or two), the fields of its observation, a `run` that acts and observes, and a [`Verb`] that says all of this, and
//! what else the rest has to know of it. What the observation means is judged by the runner.

pub mod agent;
mod answer;
pub mod attach;
mod await_load;
mod by_command;
mod context;
pub mod credentials;
mod crowd;
mod definition;
mod exec;
mod file;
mod frame;
mod gateway;
pub mod handshake;
pub mod http;
pub mod jwt;
mod limits;
pub mod load;
mod lock;
mod log_files;
mod login;
mod logs;
mod nonce;
mod observation;
mod pods;
pub mod raw;
mod rollout;
mod running;
mod said;
mod search;
mod secret;
pub mod session;
pub mod shell;
pub mod terminal;
mod timing;
mod turn_load;
mod typing;
mod upgrade;
mod websocket;
pub mod wire;

pub use context::StepContext;
pub use definition::{AUTHORITY, Need, Phrase, Proof, Reach, ShownAgain, Verb};
pub use limits::Limits;
pub use observation::{Observation, StepError};

/// All verbs, in the order of the documentation.
pub const VERBS: &[Verb] = &[
    session::SESSION,
    session::RESTART_SESSION,
    session::DELETE_SESSION,
    attach::VERB,
    typing::TYPE,
    typing::RESIZE,
    typing::PING,
    typing::TERMINAL,
    typing::CLOSE,
    http::VERB,
    crowd::VERB,
    gateway::VERB,
    jwt::VERB,
    websocket::VERB,
    raw::VERB,
    timing::VERB,
    load::VERB,
    turn_load::VERB,
    await_load::VERB,
    secret::SECRET,
    secret::PATCH_SECRET,
    rollout::SEED_TOKEN,
    rollout::RESTART,
    pods::PODS,
    pods::DELETE,
    exec::VERB,
    login::VERB,
    file::VERB,
    logs::VERB,
    upgrade::VERB,
    pods::DELETE_PODS,
    search::VERB,
];

/// The verb of that name.
pub fn verb(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|v| v.name == name)
}
