//! Scenarios: what is to be proven, as data.

pub mod model;

pub use model::*;
