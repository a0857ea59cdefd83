//! The words that all modules share. It depends on none of them.

pub mod contract;
pub mod duration;
mod expectation;
mod level;
pub mod names;
pub mod policy;
mod road;
pub mod selector;
pub mod similar;
mod world_spec;

pub use contract::Contract;
pub use expectation::ExpectationKind;
pub use level::{Intrusion, Level};
pub use policy::Policies;
pub use road::Road;
pub use world_spec::{AgentState, AuthorizerState, BalancerSpec, NamedTerminal, SecretState, TerminalSpec, WorldSpec};
