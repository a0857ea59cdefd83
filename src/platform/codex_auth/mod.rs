//! The codex login that lives inside the cluster (contract 2), and what it is for.
//!
//! | component | does |
//! |---|---|
//! | `vendor` | the identity provider and the model API: a fake that binds logins to the network that made them |
//! | `codex-auth-seed` | makes the folder of the logins ready |
//! | `codex-litellm` | LiteLLM whose codex models are answered with the login in `auth.json` |
//! | `codex-auth-rotator` | puts the login whose turn it is into `auth.json`, and refreshes what has expired |
//! | `codex-cli` | puts `codex` where exec finds it |
//! | `codex` | a stand-in for the codex CLI, where the real one isn't installed |
//! | `auth-login` | makes a login and keeps it as account N |
//! | `codex-agent` | a codex agent that calls LiteLLM |

mod account;
mod agent;
mod auth_login;
mod clock;
mod codex;
mod exchange;
mod folder;
mod install;
mod litellm;
mod login;
mod outgoing;
mod refresh;
mod rotation;
mod rotator;
mod seed;
mod signal;
mod toml;
mod vendor;

pub use agent::run as agent;
pub use auth_login::run as auth_login;
pub use codex::run as codex;
pub use install::{STAND_IN, run as cli};
pub use litellm::run as litellm;
pub use rotator::run as rotator;
pub use seed::run as seed;
pub use vendor::run as vendor;

#[cfg(test)]
mod tests;
